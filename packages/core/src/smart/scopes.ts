import type { Plan } from '../plans/plan.js'

/** A scope for FHIR data, taken apart. Letters of SMART v1 are given as those of v2. */
export interface ResourceScope {
  readonly level: 'patient' | 'user' | 'system'
  /** A resource type or `*`. */
  readonly type: string
  /** Some of `c r u d s`, in that order. */
  readonly actions: string
  /** The constraint behind `?`, if any, such as `category=…|laboratory`. */
  readonly query?: string
}

const v1Actions: Readonly<Record<string, string>> = { read: 'rs', write: 'cud', '*': 'cruds' }

/**
 * Parses a resource scope of either syntax; undefined for anything else, such as `openid` or `launch/patient`.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-fhir-resources
 */
export function parseScope(scope: string): ResourceScope | undefined {
  const match = /^(patient|user|system)\/([A-Za-z]{1,64}|\*)\.([a-z]{1,5}|\*)(?:\?(.{1,1024}))?$/.exec(scope)
  if (!match) return undefined
  const [, level, type, suffix, query] = match as unknown as [
    string,
    ResourceScope['level'],
    string,
    string,
    string?,
  ]
  const actions = Object.hasOwn(v1Actions, suffix) ? v1Actions[suffix] : inOrder(suffix)
  if (actions === undefined) return undefined
  return query === undefined ? { level, type, actions } : { level, type, actions, query }
}

/** Scopes of a space-separated list, each once. */
export function splitScopes(scope: string): string[] {
  return [...new Set(scope.split(/\s+/).filter((part) => part !== ''))]
}

/** True when one of the granted scopes allows searching (`s`) or reading (`r`) some of a type for the launch patient. */
export function allows(granted: readonly string[], type: string, action: 'r' | 's'): boolean {
  return granted.some((text) => {
    const scope = parseScope(text)
    return (
      scope !== undefined && (scope.type === '*' || scope.type === type) && scope.actions.includes(action)
    )
  })
}

/**
 * The scopes that a plan needs and no more: one per resource type, the launch context, and refresh.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#request-5
 */
export function scopesOf(
  plan: Plan,
  options: { readonly dialect: 'v1' | 'v2'; readonly launch: 'launch' | 'launch/patient' },
): string[] {
  const types = new Set<string>()
  for (const row of plan.classes) {
    types.add(row.type)
    for (const type of row.includes ?? []) types.add(type)
  }
  types.add('Patient')
  const suffix = options.dialect === 'v1' ? 'read' : 'rs'
  return [options.launch, 'offline_access', ...[...types].sort().map((type) => `patient/${type}.${suffix}`)]
}

// SMART 2.2: the suffix is a subset of `cruds` in that order; out of order is not a scope.
function inOrder(suffix: string): string | undefined {
  return /^c?r?u?d?s?$/.test(suffix) ? suffix : undefined
}
