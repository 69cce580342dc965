import { type BundleEntry, type Link, searchsetText } from './bundle.js'
import { dateQuery, meets } from './dates.js'
import type { Guard } from './guard.js'
import { type Matcher, matcherOf, spansIn, split, targetsOf } from './match.js'
import { FhirProblem, type Issue, quoted } from './outcome.js'
import type { Findings, Pages } from './pages.js'
import { knownTypes, type Parameter, parametersOf } from './parameters.js'
import { type Indexed, localKey, type Repository } from './repository.js'

/** What a search works with. */
export interface SearchContext {
  readonly base: string
  readonly repository: Repository
  readonly guard: Guard
  readonly pages: Pages
  /** `Prefer: handling=strict`: what is unknown is an error, not a warning. */
  readonly strict: boolean
}

/** An `_include` or `_revinclude`, taken apart. */
export interface Include {
  readonly reverse: boolean
  /** A type or `*`. */
  readonly source: string
  /** A reference parameter or `*`. */
  readonly parameter: string
  readonly target?: string
  readonly iterate: boolean
}

const defaultCount = 100
const maxCount = 1000
const maxIncluded = 5000

/**
 * Searches a type and answers with the text of a Bundle.
 *
 * @see https://hl7.org/fhir/R4/search.html
 */
export function search(
  context: SearchContext,
  type: string,
  parameters: Iterable<readonly [string, string]>,
  compartment?: string,
): string {
  const { guard, repository } = context
  if (!guard.allows(type, ['s'])) throw insufficientScope(type, 'search')
  const query = parse(context, type, [...parameters])
  const matchers = [...query.matchers]
  if (compartment !== undefined) matchers.push((resource) => resource.owners.has(compartment))
  const asked = compartment === undefined ? query.patients : [compartment]
  const bound = guard.confinedTo(type)
  if (bound !== undefined && asked && !asked.includes(bound)) {
    throw new FhirProblem(403, 'forbidden', 'The access token is bound to another patient.')
  }

  const matches: Indexed[] = []
  for (const resource of candidates(repository, type, query.ids, asked, bound)) {
    if (guard.sees(resource, ['s']) && matchers.every((meets) => meets(resource))) matches.push(resource)
  }
  const findings: Findings = {
    matches: query.order ? query.order(matches) : matches,
    includes: query.includes,
    count: query.count,
    self: `${context.base}/${compartment === undefined ? '' : `Patient/${compartment}/`}${type}${query.text}`,
    issues: query.issues,
    total: query.total,
    letters: ['s'],
  }
  if (query.countOnly) {
    const links: Link[] = [{ relation: 'self', url: findings.self }]
    return searchsetText({ base: context.base, total: matches.length, links, issues: query.issues })
  }
  return page(context, findings, 0)
}

/** The text of one page of what a search found; what the token no longer opens, or is gone, is left out. */
export function page(context: SearchContext, findings: Findings, offset: number): string {
  const { base, guard, pages, repository } = context
  const end = offset + findings.count
  const entries: BundleEntry[] = []
  for (const found of findings.matches.slice(offset, end)) {
    // A page chain shows what was found when it began, in the version of now.
    const resource = repository.get(found.type, found.id)
    if (resource && guard.sees(resource, findings.letters)) entries.push({ resource, mode: 'match' })
  }
  const issues: Issue[] = offset === 0 ? [...findings.issues] : []
  const included = follow(context, findings.includes, entries, issues)
  const links: Link[] = [{ relation: 'self', url: findings.self }]
  if (end < findings.matches.length) {
    links.push({
      relation: 'next',
      url: `${findings.self.split('?')[0]}?_page=${pages.cursor(findings, end)}`,
    })
  }
  return searchsetText({
    base,
    links,
    entries: [...entries, ...included],
    issues,
    ...(findings.total ? { total: findings.matches.length } : {}),
  })
}

/** Everything that the token opens of a patient's record, and what it refers to. */
export function everything(
  context: SearchContext,
  patient: string,
  parameters: Iterable<readonly [string, string]>,
): string {
  const { base, guard, repository } = context
  if (!guard.allows('Patient', ['r'])) throw insufficientScope('Patient', 'read')
  const self = repository.get('Patient', patient)
  if (!self || !guard.sees(self, ['r'])) throw notFound('Patient', patient)
  let count = defaultCount
  let types: ReadonlySet<string> | undefined
  let since = Number.NEGATIVE_INFINITY
  const issues: Issue[] = []
  for (const [name, value] of parameters) {
    if (name === '_count') count = Math.max(1, countOf(value))
    else if (name === '_type') types = new Set(value.split(','))
    else if (name === '_since') since = instantOf(name, value)
    else if (!silent.has(name)) tell(context, issues, `The parameter ${quoted(name)} is not supported here.`)
  }
  const rest = [...repository.of(patient)].filter((resource) => resource !== self)
  const shared = [...repository.shared(patient)].flatMap((key) => {
    const [type = '', id = ''] = key.split('/')
    return repository.get(type, id) ?? []
  })
  const matches = [self, ...rest, ...shared].filter(
    (resource) =>
      guard.sees(resource, ['r', 's']) &&
      (!types || types.has(resource.type)) &&
      resource.lastUpdated >= since,
  )
  const findings: Findings = {
    matches,
    includes: [],
    count,
    self: `${base}/Patient/${patient}/$everything`,
    issues,
    total: true,
    letters: ['r', 's'],
  }
  return page(context, findings, 0)
}

/** The 403 of a token whose scopes do not reach. */
export function insufficientScope(type: string, verb: 'read' | 'search'): FhirProblem {
  const needed = `patient/${type}.${verb === 'read' ? 'r' : 's'}`
  return new FhirProblem(
    403,
    'forbidden',
    `The access token has no scope to ${verb} ${type}, such as ${needed}.`,
    { 'WWW-Authenticate': `Bearer error="insufficient_scope", scope="${needed}"` },
  )
}

/** The 404 of what does not exist, and of what the token may not know to exist. */
export function notFound(type: string, id: string): FhirProblem {
  return new FhirProblem(404, 'not-found', `There is no ${type} ${quoted(id)} that the access token opens.`)
}

interface Query {
  readonly matchers: readonly Matcher[]
  /** The patients, if the search names them. */
  readonly patients: readonly string[] | undefined
  readonly ids: readonly string[] | undefined
  readonly includes: readonly Include[]
  readonly count: number
  readonly countOnly: boolean
  readonly order: ((matches: readonly Indexed[]) => Indexed[]) | undefined
  readonly total: boolean
  readonly issues: readonly Issue[]
  /** The query of the self link, with its `?`. */
  readonly text: string
}

// What changes only the form of an answer, and what a client may send to get around caches.
const silent: ReadonlySet<string> = new Set(['_format', '_pretty', '_'])

function parse(context: SearchContext, type: string, given: readonly (readonly [string, string])[]): Query {
  if (given.length > 256) throw new FhirProblem(400, 'too-costly', 'The search has too many parameters.')
  const matchers: Matcher[] = []
  const includes: Include[] = []
  const issues: Issue[] = []
  const used: [string, string][] = []
  let patients: readonly string[] | undefined
  let ids: readonly string[] | undefined
  let count = defaultCount
  let summaryCount = false
  let order: Query['order']
  let total = true

  for (const [key, raw] of given) {
    if (silent.has(key) || raw === '') continue
    const value = raw.replaceAll(`${context.base}/`, '')
    const [name = '', modifier] = cut(key, ':')
    let understood = true
    if (name === '_count') count = countOf(value)
    else if (name === '_total') total = value !== 'none'
    else if (name === '_summary') {
      if (value === 'count') summaryCount = true
      else if (value !== 'false') understood = false
    } else if (name === '_sort') order = orderOf(type, value, () => (understood = false))
    else if (name === '_include' || name === '_revinclude') {
      const include = includeOf(name, modifier, value)
      if (include) includes.push(include)
      else understood = false
    } else {
      const matcher = condition(context, type, key, value, 0)
      if (matcher) matchers.push(matcher)
      else understood = false
      if (key === '_id') ids = value.split(',')
      if (key === 'patient' || /^(subject|beneficiary)(:Patient)?$/.test(key) || key === 'patient:Patient') {
        const named = patientsOf(key, value)
        if (matcher && named) patients = named
      }
    }
    if (understood) used.push([key, raw])
    else
      tell(
        context,
        issues,
        `The search parameter ${quoted(`${key}=${value}`)} is not supported and was ignored.`,
      )
  }
  return {
    matchers,
    patients,
    ids,
    includes,
    count,
    countOnly: summaryCount || count === 0,
    order,
    total,
    issues,
    text: used.length > 0 ? `?${new URLSearchParams(used)}` : '',
  }
}

/** One condition of a search; undefined when the parameter is unknown. */
export function condition(
  context: SearchContext,
  type: string,
  key: string,
  value: string,
  depth: number,
): Matcher | undefined {
  if (depth > 3) throw new FhirProblem(400, 'too-costly', 'The search goes through too many references.')
  const [name = '', modifier] = cut(key, ':')
  if (name === '_id') {
    if (modifier !== undefined)
      throw new FhirProblem(400, 'not-supported', 'The parameter _id has no modifiers.')
    const ids = new Set(value.split(','))
    return (resource) => ids.has(resource.id)
  }
  if (name === '_lastUpdated') return lastUpdated(modifier, value)
  if (name === '_has') return has(context, modifier, value, depth)
  const [first = '', rest] = cut(key, '.')
  if (rest !== undefined) return chain(context, type, first, rest, value, depth)
  const parameter = parametersOf(type).get(name)
  return parameter && matcherOf(parameter, modifier, value)
}

function lastUpdated(modifier: string | undefined, value: string): Matcher {
  const queries = modifier === undefined ? value.split(',').map((one) => dateQuery(one)) : [undefined]
  if (queries.includes(undefined)) {
    throw new FhirProblem(400, 'value', `"_lastUpdated" is no date: ${quoted(value)}.`)
  }
  return (resource) => {
    const span = { low: resource.lastUpdated, high: resource.lastUpdated + 1 }
    return queries.some((query) => query && meets(span, query.prefix, query.span))
  }
}

// _has:Observation:patient:code=… — only what the token sees may decide, or a search would tell the rest.
function has(
  context: SearchContext,
  modifier: string | undefined,
  value: string,
  depth: number,
): Matcher | undefined {
  const [source = '', after = ''] = cut(modifier ?? '', ':')
  const [by = '', key] = cut(after, ':')
  const link = referenceParameter(source, by)
  const inner = key === undefined ? undefined : condition(context, source, key, value, depth + 1)
  if (!link || !inner) return undefined
  return (resource) => {
    for (const referrer of context.repository.referrers(resource.key)) {
      if (
        referrer.type === source &&
        context.guard.sees(referrer, ['s']) &&
        targetsOf(referrer, link).includes(resource.key) &&
        inner(referrer)
      ) {
        return true
      }
    }
    return false
  }
}

function chain(
  context: SearchContext,
  type: string,
  first: string,
  rest: string,
  value: string,
  depth: number,
): Matcher | undefined {
  const [name = '', only] = cut(first, ':')
  const link = referenceParameter(type, name)
  if (!link) return undefined
  // The targets' types are known only when they are met, and the condition differs with them.
  const conditions = new Map<string, Matcher | undefined>()
  const conditionOf = (target: string): Matcher | undefined => {
    if (!conditions.has(target)) conditions.set(target, condition(context, target, rest, value, depth + 1))
    return conditions.get(target)
  }
  const known = (only === undefined ? knownTypes : [only]).some((target) => conditionOf(target) !== undefined)
  if (!known) return undefined
  return (resource) =>
    targetsOf(resource, link).some((key) => {
      const [target = '', id = ''] = key.split('/')
      if (only !== undefined && target !== only) return false
      const found = context.repository.get(target, id)
      return (
        found !== undefined && context.guard.sees(found, ['r', 's']) && conditionOf(target)?.(found) === true
      )
    })
}

function referenceParameter(type: string, name: string): Parameter | undefined {
  const parameter = parametersOf(type).get(name)
  return parameter?.kind === 'reference' ? parameter : undefined
}

function patientsOf(key: string, value: string): readonly string[] | undefined {
  const typed = key.startsWith('patient') || key.endsWith(':Patient')
  const patients: string[] = []
  for (const one of split(value, ',')) {
    const local = localKey(one)
    if (local?.startsWith('Patient/')) patients.push(local.slice('Patient/'.length))
    else if (local === undefined && typed) patients.push(one)
    else return undefined
  }
  return patients
}

function candidates(
  repository: Repository,
  type: string,
  ids: readonly string[] | undefined,
  patients: readonly string[] | undefined,
  bound: string | undefined,
): Iterable<Indexed> {
  if (ids) return [...new Set(ids)].flatMap((id) => repository.get(type, id) ?? [])
  if (patients) {
    return new Set([...new Set(patients)].flatMap((patient) => [...repository.of(patient, type)]))
  }
  if (bound === undefined) return repository.all(type)
  const own = [...repository.of(bound, type)]
  const shared = [...repository.shared(bound)].filter((key) => key.startsWith(`${type}/`))
  return [...own, ...shared.flatMap((key) => repository.get(type, key.slice(type.length + 1)) ?? [])]
}

function countOf(value: string): number {
  if (!/^\d{1,9}$/.test(value))
    throw new FhirProblem(400, 'value', `"_count" is no number: ${quoted(value)}.`)
  return Math.min(Number(value), maxCount)
}

export function instantOf(name: string, value: string): number {
  const query = dateQuery(value)
  if (!query) throw new FhirProblem(400, 'value', `${quoted(name)} is no date: ${quoted(value)}.`)
  return query.span.low
}

function orderOf(type: string, value: string, refuse: () => void): Query['order'] {
  const keys: { readonly sign: number; readonly of: (resource: Indexed) => number | string }[] = []
  for (const part of value.split(',').slice(0, 8)) {
    const sign = part.startsWith('-') ? -1 : 1
    const name = part.replace(/^-/, '')
    const parameter = parametersOf(type).get(name)
    const keyOf: ((resource: Indexed) => number | string) | undefined =
      name === '_lastUpdated'
        ? (resource) => resource.lastUpdated
        : name === '_id'
          ? (resource) => resource.id
          : parameter?.kind === 'date'
            ? (resource) => spansIn(resource, parameter)[0]?.low ?? Number.NEGATIVE_INFINITY
            : undefined
    if (!keyOf) {
      refuse()
      continue
    }
    keys.push({ sign, of: keyOf })
  }
  if (keys.length === 0) return undefined
  return (matches) => {
    const keyed = matches.map((resource) => ({ resource, values: keys.map(({ of }) => of(resource)) }))
    keyed.sort((a, b) => {
      for (const [index, { sign }] of keys.entries()) {
        const [left, right] = [a.values[index] ?? '', b.values[index] ?? '']
        if (left !== right) return left < right ? -sign : sign
      }
      return 0
    })
    return keyed.map(({ resource }) => resource)
  }
}

function includeOf(name: string, modifier: string | undefined, value: string): Include | undefined {
  const iterate = modifier === 'iterate' || modifier === 'recurse'
  if (modifier !== undefined && !iterate) {
    throw new FhirProblem(
      400,
      'not-supported',
      `The modifier ${quoted(modifier)} is not supported for ${name}.`,
    )
  }
  const reverse = name === '_revinclude'
  if (value === '*') return { reverse, source: '*', parameter: '*', iterate }
  const [source = '', parameter = '', target, more] = value.split(':')
  if (more !== undefined || !/^[A-Z][A-Za-z]{1,63}$/.test(source)) return undefined
  if (parameter !== '*' && !referenceParameter(source, parameter)) return undefined
  return { reverse, source, parameter, iterate, ...(target === undefined ? {} : { target }) }
}

function follow(
  { guard, repository }: SearchContext,
  includes: readonly Include[],
  matches: readonly BundleEntry[],
  issues: Issue[],
): BundleEntry[] {
  const entries: BundleEntry[] = []
  if (includes.length === 0) return entries
  const seen = new Set(matches.map(({ resource }) => `${resource.type}/${resource.id}`))
  let wave = matches.map(({ resource }) => resource as Indexed)
  for (let depth = 0; depth < 5 && wave.length > 0; depth++) {
    const next: Indexed[] = []
    for (const include of includes) {
      if (depth > 0 && !include.iterate) continue
      for (const from of wave) {
        for (const found of include.reverse
          ? sourcesOf(repository, from, include)
          : goalsOf(repository, from, include)) {
          if (seen.has(found.key) || !guard.sees(found, ['r', 's'])) continue
          if (entries.length >= maxIncluded) {
            const diagnostics = `Only the first ${maxIncluded} included resources of this page are here.`
            issues.push({ severity: 'warning', code: 'incomplete', diagnostics })
            return entries
          }
          seen.add(found.key)
          entries.push({ resource: found, mode: 'include' })
          next.push(found)
        }
      }
    }
    wave = next
  }
  return entries
}

function goalsOf(repository: Repository, from: Indexed, include: Include): Indexed[] {
  if (include.source !== '*' && include.source !== from.type) return []
  const parameter = referenceParameter(from.type, include.parameter)
  const keys = include.parameter === '*' ? [...from.references] : parameter ? targetsOf(from, parameter) : []
  return keys.flatMap((key) => {
    const [type = '', id = ''] = key.split('/')
    return include.target === undefined || include.target === type ? (repository.get(type, id) ?? []) : []
  })
}

function sourcesOf(repository: Repository, from: Indexed, include: Include): Indexed[] {
  if (include.target !== undefined && include.target !== from.type) return []
  const found: Indexed[] = []
  for (const referrer of repository.referrers(from.key)) {
    if (include.source !== '*' && include.source !== referrer.type) continue
    const parameter = referenceParameter(referrer.type, include.parameter)
    if (include.parameter === '*' || (parameter && targetsOf(referrer, parameter).includes(from.key))) {
      found.push(referrer)
    }
  }
  return found
}

function tell(context: SearchContext, issues: Issue[], diagnostics: string): void {
  if (context.strict) throw new FhirProblem(400, 'not-supported', diagnostics)
  issues.push({ severity: 'warning', code: 'not-supported', diagnostics })
}

function cut(text: string, separator: string): [string, string?] {
  const at = text.indexOf(separator)
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)]
}
