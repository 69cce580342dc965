import type { DataClass, Plan } from '../plans/plan.js'

/** A scope for FHIR data, taken apart. Actions of SMART v1 are given as those of v2. */
export interface ResourceScope {
  readonly level: 'patient' | 'user' | 'system'
  /** A resource type or `*`. */
  readonly type: string
  /** Some of `c r u d s`, in that order: create, read, update, delete, search. */
  readonly actions: string
  /** The constraint behind `?` in its plain form, such as `category=http://…|laboratory`. */
  readonly query?: string
}

export type ScopeDialect = 'v1' | 'v2'

const v1Actions: Readonly<Record<string, string>> = { read: 'rs', write: 'cud', '*': 'cruds' }
const letters = 'cruds'

/**
 * Parses a resource scope of either syntax; undefined for anything else, such as `openid` or `launch/patient`.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-fhir-resources
 */
export function parseScope(scope: string): ResourceScope | undefined {
  const match = /^(patient|user|system)\/([A-Za-z]{1,64}|\*)\.([a-z]{1,5}|\*)(?:\?(.{1,1024}))?$/.exec(scope)
  if (!match) return undefined
  const [, level, type, suffix, constraint] = match as unknown as [
    string,
    ResourceScope['level'],
    string,
    string,
    string?,
  ]
  // SMART 2.2: the suffix is a subset of `cruds` in that order; out of order is not a scope.
  const actions = Object.hasOwn(v1Actions, suffix)
    ? v1Actions[suffix]
    : /^c?r?u?d?s?$/.test(suffix)
      ? suffix
      : undefined
  if (actions === undefined) return undefined
  if (constraint === undefined) return { level, type, actions }
  const parameters = readConstraint(constraint)
  return parameters && { level, type, actions, query: writeConstraint(parameters) }
}

/**
 * A resource scope as text. SMART v1 has no constraints and three sets of actions, so one scope may become two,
 * and asks for no less than the scope does.
 */
export function printScope(scope: ResourceScope, dialect: ScopeDialect = 'v2'): string[] {
  const { level, type, actions, query } = scope
  if (dialect === 'v2') return [`${level}/${type}.${actions}${query === undefined ? '' : `?${query}`}`]
  const reads = /[rs]/.test(actions)
  const writes = /[cud]/.test(actions)
  if (reads && writes) return [`${level}/${type}.*`]
  return [`${level}/${type}.${writes ? 'write' : 'read'}`]
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

/** A scope of its own for some of a type: `granular('Observation', { category: '…|laboratory' })`. */
export function granular(
  type: string,
  constraint: Readonly<Record<string, string>>,
  actions = 'rs',
  level: ResourceScope['level'] = 'patient',
): string {
  return printScope({ level, type, actions, query: writeConstraint(Object.entries(constraint)) })[0] as string
}

/**
 * The scope that asks for a resource in context: `launch/patient`, or of another type and for a role.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#requesting-context-with-scopes
 */
export function launchScope(type: string, role?: string): string {
  const name = `launch/${type.toLowerCase()}`
  return role === undefined ? name : `${name}?role=${encodeConstraint(role)}`
}

/** How a plan's scopes are asked for. */
export interface ScopeRequest {
  readonly dialect: ScopeDialect
  readonly launch: 'launch' | 'launch/patient'
  /** Whether access shall outlast the access token: while the person is there, or until it is ended. Default `ongoing`. */
  readonly access?: 'once' | 'online' | 'ongoing'
  /** True to ask who signed in, too. */
  readonly identity?: boolean
  /** Other context to be told about, such as `encounter`. */
  readonly context?: readonly string[]
  /** What the server lists as supported: classes are asked for by their category where it lists that scope. */
  readonly supported?: readonly string[]
}

const refreshScope = { once: [], online: ['online_access'], ongoing: ['offline_access'] } as const

/**
 * The scopes that a plan needs and no more: one per resource type, the launch context, and refresh.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#request-5
 */
export function scopesOf(plan: Plan, wanted: ScopeRequest): string[] {
  const { dialect, launch, access = 'ongoing', identity, context = [], supported = [] } = wanted
  const suffix = dialect === 'v1' ? 'read' : 'rs'
  const whole = new Set<string>(['Patient'])
  const parts = new Map<string, Set<string>>()
  for (const row of plan.classes) {
    const some = dialect === 'v2' ? categoriesOf(row, supported) : undefined
    if (!some) whole.add(row.type)
    else parts.set(row.type, new Set([...(parts.get(row.type) ?? []), ...some]))
    for (const type of row.includes ?? []) whole.add(type)
  }
  const data = [...whole].map((type) => `patient/${type}.${suffix}`)
  for (const [type, some] of parts) if (!whole.has(type)) data.push(...some)
  return [
    launch,
    ...refreshScope[access],
    ...(identity ? ['openid', 'fhirUser'] : []),
    ...context.map((type) => launchScope(type)).filter((scope) => scope !== launch),
    ...data.sort(),
  ]
}

// Only when every search of the class is by a category that the server lists a scope for.
function categoriesOf(row: DataClass, supported: readonly string[]): string[] | undefined {
  const some = row.searches.map(({ category }) =>
    typeof category === 'string' ? granular(row.type, { category }) : '',
  )
  return some.length > 0 && some.every((scope) => supported.includes(scope)) ? some : undefined
}

type Constraint = readonly (readonly [string, string])[]

// US Core's own list of scopes was published with this slip in it; servers copied it.
const slip = 'http://terminology.hl7.org//CodeSystem-observation-category|'
const meant = 'http://terminology.hl7.org/CodeSystem/observation-category|'

function readConstraint(text: string): Constraint | undefined {
  const parameters = text.split('&').map((part): [string, string] => {
    const at = part.indexOf('=')
    return at < 1 ? ['', ''] : [decode(part.slice(0, at)), decode(part.slice(at + 1)).replaceAll(slip, meant)]
  })
  return parameters.some(([name, value]) => name === '' || value === '') ? undefined : parameters
}

// Sorted, and without what another parameter says more narrowly: scopes that mean the same are the same text.
function writeConstraint(parameters: Constraint): string {
  const sorted = parameters.map(([name, value]): [string, string] => [
    name,
    [...new Set(value.split(','))].sort().join(','),
  ])
  const needed = sorted.filter(
    ([name, value], at) =>
      !sorted.some(
        ([other, some], index) => other === name && among(some, value) && (some !== value || index < at),
      ),
  )
  return needed
    .map(([name, value]) => `${encodeConstraint(name)}=${encodeConstraint(value)}`)
    .sort()
    .join('&')
}

// Values behind a comma are alternatives.
const among = (some: string, all: string): boolean => {
  const alternatives = all.split(',')
  return some.split(',').every((one) => alternatives.includes(one))
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

// RFC 6749 §3.3 allows printable ASCII but space, quote and backslash; `&` and `%` have a meaning here.
function encodeConstraint(text: string): string {
  return text.replace(/[^!#$'-~]|\\|%/gu, (one) =>
    one.length === 1 && /[\ud800-\udfff]/.test(one) ? '' : encodeURIComponent(one),
  )
}

/** A set of granted actions, letter by letter, is what the algebra is about. */
function parseAll(scopes: readonly string[]): ResourceScope[] {
  return scopes.map(parseScope).filter((scope) => scope !== undefined)
}

/**
 * True when the granted scopes allow all that the needed ones do. Scopes that are not for FHIR data are equal or
 * not; a constraint is covered by a looser one, and a type by `*`.
 */
export function covers(granted: readonly string[], needed: readonly string[]): boolean {
  const grants = parseAll(granted)
  return needed.every((text) => {
    const need = parseScope(text)
    if (!need) return granted.includes(text)
    return [...need.actions].every((letter) =>
      grants.some((grant) => grant.actions.includes(letter) && reaches(grant, need)),
    )
  })
}

// Actions apart: whatever `need` is about, `grant` is about too.
function reaches(grant: ResourceScope, need: ResourceScope): boolean {
  if (grant.level !== need.level || (grant.type !== '*' && grant.type !== need.type)) return false
  if (grant.query === undefined) return true
  const wanted = readConstraint(need.query ?? '') ?? []
  return (readConstraint(grant.query) ?? []).every(([name, value]) =>
    wanted.some(([other, some]) => other === name && among(some, value)),
  )
}

/**
 * The shortest list that means the same: actions of one type together, what another scope covers left out, in
 * alphabetical order.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#fhir-resource-scope-syntax
 */
export function normalize(scopes: readonly string[], dialect: ScopeDialect = 'v2'): string[] {
  const joined = new Map<string, ResourceScope>()
  const others: string[] = []
  for (const text of scopes) {
    const scope = parseScope(text)
    if (!scope) {
      others.push(text)
      continue
    }
    const { level, type, query } = scope
    const key = JSON.stringify([level, type, query])
    joined.set(key, { ...scope, actions: inOrder((joined.get(key)?.actions ?? '') + scope.actions) })
  }
  const all = [...joined.values()]
  const kept = all.flatMap((scope) => {
    const wider = all.filter((other) => other !== scope && reaches(other, scope))
    const actions = [...scope.actions]
      .filter((letter) => !wider.some((other) => other.actions.includes(letter)))
      .join('')
    return actions === '' ? [] : printScope({ ...scope, actions }, dialect)
  })
  return [...new Set([...others, ...kept])].sort()
}

/** What both lists allow, no more: for asking less at a refresh, or for what a request got of what it wanted. */
export function narrow(granted: readonly string[], wanted: readonly string[]): string[] {
  const both = parseAll(granted).flatMap((grant) =>
    parseAll(wanted).flatMap((want): string[] => {
      const actions = inOrder([...want.actions].filter((letter) => grant.actions.includes(letter)).join(''))
      if (actions === '' || grant.level !== want.level) return []
      if (grant.type !== '*' && want.type !== '*' && grant.type !== want.type) return []
      const query = [grant.query, want.query].filter((part) => part !== undefined).join('&')
      const type = want.type === '*' ? grant.type : want.type
      return printScope({
        level: want.level,
        type,
        actions,
        ...(query === '' ? {} : { query: plain(query) }),
      })
    }),
  )
  return normalize([...both, ...wanted.filter((text) => !parseScope(text) && granted.includes(text))])
}

const plain = (query: string): string => writeConstraint(readConstraint(query) ?? [])

const inOrder = (actions: string): string =>
  [...letters].filter((letter) => actions.includes(letter)).join('')

/** One scope that was asked for and not, or not wholly, granted. */
export interface MissingScope {
  readonly scope: string
  /** What of it was granted; empty when nothing was. */
  readonly instead: readonly string[]
}

/** What was asked for beside what was granted. */
export interface ScopeComparison {
  readonly missing: readonly MissingScope[]
  /** Granted though not asked for. */
  readonly extra: readonly string[]
}

/** Compares a request with its grant, whatever dialect each is in and however the server split it. */
export function compareScopes(requested: readonly string[], granted: readonly string[]): ScopeComparison {
  const missing = requested
    .filter((scope) => !covers(granted, [scope]))
    .map((scope) => Object.freeze({ scope, instead: Object.freeze(narrow(granted, [scope])) }))
  const extra = granted.filter((scope) => !covers(requested, [scope]))
  return Object.freeze({ missing: Object.freeze(missing), extra: Object.freeze(extra) })
}

/** An operation on the FHIR API, as far as scopes tell them apart. */
export type FhirInteraction =
  | 'create'
  | 'read'
  | 'vread'
  | 'history-instance'
  | 'update'
  | 'patch'
  | 'delete'
  | 'search'
  | 'history-type'
  | 'history-system'

/** The letter of the action that an interaction needs (SMART 2.2 §scopes-for-requesting-fhir-resources). */
export function actionOf(interaction: FhirInteraction): 'c' | 'r' | 'u' | 'd' | 's' {
  if (interaction === 'create') return 'c'
  if (interaction === 'update' || interaction === 'patch') return 'u'
  if (interaction === 'delete') return 'd'
  return interaction === 'read' || interaction === 'vread' || interaction === 'history-instance' ? 'r' : 's'
}

const smartPrefix = 'http://smarthealthit.org/fhir/scopes/'
const openIdPrefix = 'http://openid.net/specs/openid-connect-core-1_0#'
const openIdScopes = new Set(['openid', 'profile', 'email', 'address', 'phone', 'offline_access'])

/**
 * A scope as a URI, for a consent record or any other place outside OAuth. One that is a URI already stays.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-as-uris
 */
export function scopeToUri(scope: string): string {
  if (/^[a-z][a-z0-9+.-]*:/i.test(scope)) return scope
  return (openIdScopes.has(scope) ? openIdPrefix : smartPrefix) + scope
}

/** The scope of such a URI; any other text as it is. */
export function scopeFromUri(uri: string): string {
  for (const prefix of [smartPrefix, openIdPrefix])
    if (uri.startsWith(prefix)) return uri.slice(prefix.length)
  return uri
}
