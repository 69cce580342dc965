import { type Matcher, matcherOf } from './match.js'
import { parametersOf } from './parameters.js'
import type { Indexed, Repository } from './repository.js'

/** What an access token allows. */
export interface Access {
  readonly scopes: readonly string[]
  /** The launch patient to whom `patient/` scopes are bound. */
  readonly patient?: string
}

/** An interaction that a scope letter stands for: read, search. */
export type Letter = 'r' | 's'

/** What an access token opens in a repository. */
export interface Guard {
  /** True when a scope allows the interaction for something of the type. */
  allows(type: string, letters: readonly Letter[]): boolean
  /** True when a scope allows the interaction for this very resource. */
  sees(resource: Indexed, letters: readonly Letter[]): boolean
  /** The patient beyond whose record nothing of the type can be seen; undefined when there is no such bound. */
  confinedTo(type: string): string | undefined
}

/**
 * Reads scopes of SMART v1 and v2, with granular constraints, as what they open.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-fhir-resources
 */
export function guardOf(access: Access, repository: Repository): Guard {
  const clauses = access.scopes.flatMap((scope) => clauseOf(scope) ?? [])
  const opened = new Map<string, readonly Clause[]>()
  const open = (type: string, letters: readonly Letter[]): readonly Clause[] => {
    const key = `${type}.${letters.join('')}`
    let found = opened.get(key)
    if (!found) {
      found = clauses.filter(
        (clause) =>
          (clause.type === '*' || clause.type === type) &&
          letters.some((letter) => clause.letters.includes(letter)) &&
          (clause.level !== 'patient' || access.patient !== undefined),
      )
      opened.set(key, found)
    }
    return found
  }
  const inRecord = (resource: Indexed): boolean =>
    access.patient !== undefined &&
    (resource.owners.has(access.patient) ||
      (resource.owners.size === 0 && repository.shared(access.patient).has(resource.key)))

  return Object.freeze({
    allows: (type: string, letters: readonly Letter[]) => open(type, letters).length > 0,
    sees: (resource: Indexed, letters: readonly Letter[]) =>
      open(resource.type, letters).some(
        (clause) =>
          (clause.level !== 'patient' || inRecord(resource)) &&
          clause.constraints(resource.type).every((meets) => meets(resource)),
      ),
    confinedTo: (type: string) =>
      open(type, ['r', 's']).some((clause) => clause.level !== 'patient') ? undefined : access.patient,
  })
}

interface Clause {
  readonly level: string
  readonly type: string
  readonly letters: string
  readonly constraints: (type: string) => readonly Matcher[]
}

const v1: Readonly<Record<string, string>> = { read: 'rs', write: 'cud', '*': 'cruds' }
const clauses = new Map<string, Clause | undefined>()

function clauseOf(scope: string): Clause | undefined {
  if (clauses.has(scope)) return clauses.get(scope)
  if (clauses.size > 10_000) clauses.clear()
  const clause = parse(scope)
  clauses.set(scope, clause)
  return clause
}

function parse(scope: string): Clause | undefined {
  const match =
    /^(?:http:\/\/smarthealthit\.org\/fhir\/scopes\/)?(patient|user|system)\/([A-Za-z]{1,64}|\*)\.(read|write|\*|c?r?u?d?s?)(?:\?(.{1,2048}))?$/.exec(
      scope,
    )
  if (!match || match[3] === '') return undefined
  const [, level = '', type = '', suffix = '', query] = match
  const letters = v1[suffix] ?? suffix
  const byType = new Map<string, readonly Matcher[]>()
  const constraints = (of: string): readonly Matcher[] => {
    let matchers = byType.get(of)
    if (!matchers) {
      matchers = query === undefined ? [] : compile(of, query)
      byType.set(of, matchers)
    }
    return matchers
  }
  return { level, type, letters, constraints }
}

// A constraint that is not understood opens nothing.
function compile(type: string, query: string): readonly Matcher[] {
  const never: readonly Matcher[] = [() => false]
  const matchers: Matcher[] = []
  for (const [key, value] of new URLSearchParams(query)) {
    const [name = '', modifier] = key.split(':')
    const parameter = parametersOf(type).get(name)
    if (!parameter) return never
    try {
      matchers.push(matcherOf(parameter, modifier, value))
    } catch {
      return never
    }
  }
  return matchers.length > 0 ? matchers : never
}
