import type { Plan } from './plans/plan.js'
import { allows, compareScopes, parseScope, type ScopeComparison } from './smart/scopes.js'

/** What a grant means for one data class of a plan. */
export interface GrantedClass {
  readonly name: string
  readonly access: 'granted' | 'partly' | 'not-granted'
  /** For `partly`: the categories that were granted, such as `laboratory`. */
  readonly only: readonly string[]
  /** For the participant. */
  readonly sentence: string
}

/** What was asked for, what was granted, and what that means. */
export interface Grant extends ScopeComparison {
  readonly classes: readonly GrantedClass[]
  /** For the participant: how long access lasts, and why. */
  readonly duration: string
}

/** The part of a connection that tells what was granted. */
export interface Granted {
  readonly provider: { readonly name: string }
  readonly scopes: readonly string[]
  readonly requestedScopes: readonly string[]
  readonly access: 'once' | 'ongoing'
  readonly accessReason: string
}

/**
 * Holds a grant against a plan, in words that a participant understands.
 *
 * @example for (const { sentence } of explainGrant(connection, plan).classes) list.append(sentence)
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
 */
export function explainGrant(connection: Granted, plan: Plan): Grant {
  const { provider, scopes, requestedScopes } = connection
  const classes = plan.classes.map(({ name, type, says }): GrantedClass => {
    const only = categoriesOf(scopes, type)
    const granted = allows(scopes, type, 's') || (type === 'Patient' && allows(scopes, type, 'r'))
    const access = !granted ? 'not-granted' : only.length > 0 ? 'partly' : 'granted'
    const sentence =
      access === 'granted'
        ? `${says}: ${provider.name} gives access.`
        : access === 'partly'
          ? `${says}: ${provider.name} gives access to some of it (${only.join(', ').replaceAll('-', ' ')}).`
          : `${says}: left out, because it was not allowed at ${provider.name}.`
    return Object.freeze({ name, access, only: Object.freeze(only), sentence })
  })
  return Object.freeze({
    ...compareScopes(requestedScopes, scopes),
    classes: Object.freeze(classes),
    duration: explainDuration(connection),
  })
}

/** Says for the participant how long access lasts, and why. */
export function explainDuration({
  provider,
  accessReason,
}: Pick<Granted, 'provider' | 'accessReason'>): string {
  return durations[accessReason]?.(provider.name) ?? ''
}

const durations: Readonly<Record<string, (name: string) => string>> = {
  'refresh-token': (name) => `Access to ${name} lasts until it is ended, here or at ${name}.`,
  'signed-in': (name) => `Access lasts while you stay signed in at ${name}.`,
  'not-requested': (name) => `Access to ${name} is for this one time, as the study asks for no more.`,
  'public-client': (name) => `Access is for this one time: ${name} gives apps of this kind no more.`,
  'not-granted': (name) => `Access is for this one time: ${name} did not allow more.`,
}

// Empty unless every scope that reads the type is limited to something.
function categoriesOf(scopes: readonly string[], type: string): string[] {
  const read = scopes
    .map(parseScope)
    .filter((scope) => scope !== undefined)
    .filter((scope) => (scope.type === '*' || scope.type === type) && /[rs]/.test(scope.actions))
  if (read.some(({ query }) => query === undefined)) return []
  const words = read.flatMap(({ query = '' }) =>
    query.split('&').map((part) => part.split(/[|=]/).at(-1) ?? ''),
  )
  return [...new Set(words)]
}
