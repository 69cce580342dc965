import { readJson } from './body.js'
import type { Access } from './guard.js'
import { guardOf } from './guard.js'
import type { Matcher } from './match.js'
import { FhirProblem, type Issue, quoted } from './outcome.js'
import { type Indexed, localKey, type Repository } from './repository.js'
import { condition, instantOf, type SearchContext } from './search.js'

/** What an export was asked for, and found. */
export interface Found {
  /** The request as the manifest repeats it. */
  readonly request: string
  readonly byType: ReadonlyMap<string, readonly Indexed[]>
  /** What was removed since, as `Type/id`; only when asked for since a time. */
  readonly removed: readonly string[]
  /** What could not be given, for the files of errors. */
  readonly issues: readonly (Issue & { readonly expression?: readonly string[] })[]
}

/** Whose records: those of all, those of the members of a group, or whatever there is. */
export type Level = { kind: 'system' } | { kind: 'patient' } | { kind: 'group'; id: string }

// The form of the answer, which is FHIR JSON, one resource a line, by any of its names.
const formats: ReadonlySet<string> = new Set([
  'application/fhir+ndjson',
  'application/fhir ndjson',
  'application/ndjson',
  'application/x-ndjson',
  'ndjson',
])

/**
 * Reads the request for an export and finds what belongs to it, as it is now.
 *
 * @see https://hl7.org/fhir/uv/bulkdata/STU2/export.html#bulk-data-kick-off-request
 */
export async function findExport(
  context: SearchContext,
  access: Access,
  request: Request,
  level: Level,
): Promise<Found> {
  const { repository } = context
  const lenient = /(^|[,;\s])handling=lenient\b/i.test(request.headers.get('prefer') ?? '')
  if (!/(^|[,;\s])respond-async\b/i.test(request.headers.get('prefer') ?? ''))
    throw new FhirProblem(400, 'required', 'An export is asked for with Prefer: respond-async.')
  const scopes = access.scopes.filter((scope) => scope.startsWith('system/'))
  const guard = guardOf({ scopes }, repository)
  const issues: (Issue & { expression?: readonly string[] })[] = []
  const asked = await askedOf(request)
  const unknown = (what: string, code: Issue['code'] = 'not-supported', expression?: string): void => {
    if (!lenient) throw new FhirProblem(400, code, what)
    issues.push({
      severity: 'error',
      code,
      diagnostics: what,
      ...(expression ? { expression: [expression] } : {}),
    })
  }

  let types: Set<string> | undefined
  let since: number | undefined
  const patients = new Set<string>()
  const filters = new Map<string, Matcher[][]>()
  for (const [name, value] of asked) {
    if (name === '_outputFormat') {
      if (!formats.has(value)) unknown(`The format ${quoted(value)} is not supported.`)
    } else if (name === '_since') since = instantOf(name, value)
    else if (name === '_type') {
      types ??= new Set()
      for (const type of value.split(',').map((one) => one.trim())) {
        if (!/^[A-Z][A-Za-z]{1,63}$/.test(type) || !repository.types().includes(type)) {
          // Any type of FHIR may be asked for, whether or not there is one of it.
          if (!/^[A-Z][A-Za-z]{1,63}$/.test(type)) unknown(`There is no type ${quoted(type)}.`)
          continue
        }
        if (guard.allows(type, ['r', 's'])) types.add(type)
        else if (lenient) unknown(`The access token does not reach ${type}.`, 'forbidden', type)
        else throw new FhirProblem(403, 'forbidden', `The access token does not reach ${type}.`)
      }
    } else if (name === '_typeFilter') {
      for (const query of value.split(/,(?=[A-Z][A-Za-z]+\?)/)) {
        const [type = '', criteria = ''] = query.split(/\?(.*)/s)
        const matchers = matchersOf(context, type, criteria)
        if (matchers) filters.set(type, [...(filters.get(type) ?? []), matchers])
        else unknown(`The filter ${quoted(query)} is not supported.`, 'not-supported', type)
      }
    } else if (name === 'patient') {
      const id = localKey(value.replaceAll(`${context.base}/`, ''))?.replace(/^Patient\//, '')
      if (id === undefined || !repository.get('Patient', id)) unknown(`There is no ${quoted(value)}.`)
      else patients.add(id)
    } else unknown(`The parameter ${quoted(name)} is not supported here.`)
  }
  if (scopes.length === 0)
    throw new FhirProblem(403, 'forbidden', 'An export needs an access token with system scopes.')
  if (!types && !guard.allows('Patient', ['r', 's']))
    throw new FhirProblem(403, 'forbidden', 'The access token does not reach Patient.')

  const wanted = (resource: Indexed): boolean => {
    const ofType = filters.get(resource.type)
    return (
      (types ? types.has(resource.type) : resource.type !== 'Binary') &&
      (since === undefined || resource.lastUpdated > since) &&
      guard.sees(resource, ['r', 's']) &&
      (!ofType || ofType.some((matchers) => matchers.every((meets) => meets(resource))))
    )
  }
  const byType = new Map<string, Indexed[]>()
  const taken = new Set<string>()
  const take = (resource: Indexed | undefined): void => {
    if (!resource || taken.has(resource.key) || !wanted(resource)) return
    taken.add(resource.key)
    const list = byType.get(resource.type)
    if (list) list.push(resource)
    else byType.set(resource.type, [resource])
  }
  const people =
    level.kind === 'system' ? undefined : peopleOf(repository, level).filter((id) => isOneOf(patients, id))
  if (people) {
    for (const id of people) {
      for (const resource of repository.of(id)) take(resource)
      for (const key of repository.shared(id)) {
        const [type = '', shared = ''] = key.split('/')
        take(repository.get(type, shared))
      }
    }
  } else for (const type of repository.types()) for (const resource of repository.all(type)) take(resource)
  const members = people && new Set(people)
  const removed = [...(since === undefined ? [] : repository.allRemoved())]
    .filter(({ at, key, owners }) => {
      const type = key.split('/')[0] ?? ''
      return (
        at > (since ?? 0) &&
        (!types || types.has(type)) &&
        guard.allows(type, ['r', 's']) &&
        (!members || [...owners].some((owner) => members.has(owner)))
      )
    })
    .map(({ key }) => key)
  return { request: request.url, byType, removed, issues }
}

function peopleOf(repository: Repository, level: Exclude<Level, { kind: 'system' }>): string[] {
  if (level.kind === 'patient') return repository.patients().map(({ id }) => id as string)
  const group = repository.get('Group', level.id)
  if (!group) throw new FhirProblem(404, 'not-found', `There is no Group ${quoted(level.id)}.`)
  const { member } = group.resource as { member?: unknown }
  return [member].flat().flatMap((one) => {
    const { entity, inactive } = (one ?? {}) as { entity?: { reference?: unknown }; inactive?: unknown }
    const key = inactive === true ? undefined : localKey(entity?.reference)
    return key?.startsWith('Patient/') ? [key.slice('Patient/'.length)] : []
  })
}

const isOneOf = (patients: ReadonlySet<string>, id: string): boolean =>
  patients.size === 0 || patients.has(id)

function matchersOf(context: SearchContext, type: string, criteria: string): Matcher[] | undefined {
  if (!/^[A-Z][A-Za-z]{1,63}$/.test(type)) return undefined
  const matchers: Matcher[] = []
  for (const [name, value] of new URLSearchParams(criteria)) {
    const matcher = condition(context, type, name, value, 0)
    if (!matcher) return undefined
    matchers.push(matcher)
  }
  return matchers
}

async function askedOf(request: Request): Promise<[string, string][]> {
  const query = [...new URL(request.url).searchParams]
  if (request.method !== 'POST') return query
  const { resourceType, parameter } = await readJson(request)
  if (resourceType !== 'Parameters')
    throw new FhirProblem(400, 'structure', 'What is posted to an operation is a Parameters resource.')
  const posted = [parameter].flat().flatMap((one): [string, string][] => {
    const { name, valueReference, ...values } = (one ?? {}) as Record<string, unknown>
    const reference = (valueReference as { reference?: unknown } | undefined)?.reference
    const value = reference ?? Object.entries(values).find(([key]) => key.startsWith('value'))?.[1]
    return typeof name === 'string' && value !== undefined ? [[name, String(value)]] : []
  })
  return [...query, ...posted]
}
