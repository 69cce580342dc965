import type { ResourceType, SearchParams } from '../fhir/types.js'
import type { DataClass, Plan } from '../plans/plan.js'
import type { Vendor } from '../vendors/vendor.js'
import { grantOf, narrowed } from './grants.js'
import { changedSince, datedSince } from './since.js'

/** One question to the server, and the data classes that its answer belongs to. */
export interface Query {
  /** `reference` for what is read because the record points to it: no question of its own. */
  readonly kind: 'read' | 'search' | 'reference' | 'operation'
  readonly type: ResourceType
  /** Without `patient`, which the collection adds. */
  readonly search: SearchParams
  /** The name of the operation, such as `$docref`. */
  readonly operation?: string
  /** True for what may bring more: a server that refuses it lacks nothing. */
  readonly optional?: boolean
  readonly classes: readonly DataClass[]
}

/** What will be asked, in the order of the plan, and what the participant did not grant. */
export interface Schedule {
  readonly queries: readonly Query[]
  readonly notGranted: readonly DataClass[]
  /** Granted only for certain values, such as one category. */
  readonly partlyGranted: readonly DataClass[]
  /** Queries of the plan that this server is known to refuse. */
  readonly known: readonly Query[]
}

/**
 * Turns a plan and the granted scopes into queries. A search that two classes share is asked once.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
 */
export function schedule(plan: Plan, scopes: readonly string[], since?: Date, vendor?: Vendor): Schedule {
  const known: Query[] = []
  const queries = new Map<string, Query & { classes: DataClass[] }>()
  const notGranted: DataClass[] = []
  const partlyGranted: DataClass[] = []
  const grants = new Map(plan.classes.map((row) => [row, grantOf(scopes, row.type)]))
  const along = plan.classes.find((row) => row.by === 'revinclude' && grants.get(row) !== 'none')
  for (const row of plan.classes) {
    const grant = grants.get(row) ?? 'none'
    const kind = row.by === 'reference' ? 'reference' : row.type === 'Patient' ? 'read' : 'search'
    if (row.by === 'revinclude') {
      if (grant === 'none') notGranted.push(row)
      continue
    }
    const { usable, refused } = adapted(row, kind, vendor)
    for (const search of refused) known.push({ kind, type: row.type, search, classes: [row] })
    const asked = usable.map((search) =>
      kind === 'search' ? narrowed(search, grant) : { searches: [{}], whole: true },
    )
    const searches = grant === 'none' ? [] : asked.flatMap((one) => one.searches)
    if (searches.length === 0) notGranted.push(row)
    else if (asked.some(({ whole }) => !whole)) partlyGranted.push(row)
    for (const narrow of searches) {
      const search = kind === 'search' ? withMore(row.type, narrow, along, since, vendor) : narrow
      const key = nameOfQuery({ kind, type: row.type, search })
      const same = queries.get(key)
      if (same) same.classes.push(row)
      else queries.set(key, { kind, type: row.type, search, classes: [row] })
    }
  }
  for (const row of plan.classes) {
    // What was granted in part may be asked for only by that part.
    if (grants.get(row) !== 'all') continue
    for (const operation of row.operations ?? []) {
      const about = { kind: 'operation' as const, type: row.type, search: {}, operation }
      queries.set(nameOfQuery(about), { ...about, optional: true, classes: [row] })
    }
    for (const more of row.more ?? []) {
      const search = withMore(row.type, more, along, since, vendor)
      const about = { kind: 'search' as const, type: row.type, search }
      const same = queries.get(nameOfQuery(about))
      if (!same) queries.set(nameOfQuery(about), { ...about, optional: true, classes: [row] })
      else if (!same.classes.includes(row)) same.classes.push(row)
    }
  }
  const all = [...queries.values()]
  for (const query of all) if (along && query.search._revinclude !== undefined) query.classes.push(along)
  return { queries: all, notGranted, partlyGranted, known }
}

// The searches of a row as the server is known to take them.
function adapted(
  { type, searches }: DataClass,
  kind: Query['kind'],
  vendor: Vendor | undefined,
): { readonly usable: readonly SearchParams[]; readonly refused: readonly SearchParams[] } {
  if (kind !== 'search') return { usable: [{}], refused: [] }
  const asked = searches.length === 0 ? [{}] : searches
  const code = (value: unknown): string => String(value).split('|').at(-1) ?? ''
  const values = vendor?.refusedValues?.value ?? {}
  const refuses = (search: SearchParams): boolean =>
    Object.entries(values).some(([key, refused]) => {
      const [of, parameter = ''] = key.split('.')
      return of === type && search[parameter] !== undefined && refused.includes(code(search[parameter]))
    })
  const usable = asked.filter((search) => !refuses(search))
  const more = vendor?.moreSearches?.value[type] ?? []
  return {
    usable: [...usable, ...more.flatMap((one) => usable.map((search) => ({ ...search, ...one })))],
    refused: asked.filter(refuses),
  }
}

// US Core lists what a Provenance may come along with.
const hasProvenance: ReadonlySet<string> = /* @__PURE__ */ new Set(
  [
    'AllergyIntolerance CarePlan CareTeam Condition Coverage Device DiagnosticReport DocumentReference Encounter',
    'Goal Immunization MedicationDispense MedicationRequest Observation Procedure QuestionnaireResponse',
    'RelatedPerson ServiceRequest',
  ].flatMap((line) => line.split(' ')),
)

function withMore(
  type: ResourceType,
  search: SearchParams,
  along?: DataClass,
  since?: Date,
  vendor?: Vendor,
): SearchParams {
  const byDate = vendor?.lastUpdated?.value === 'ignored'
  return {
    ...search,
    ...(since ? (byDate ? datedSince(type, since) : changedSince(since)) : {}),
    ...(along && hasProvenance.has(type) ? { _revinclude: `${along.type}:target` } : {}),
  }
}

// About how many pages a query has in a long record: what is longest begins first, so that it does not end last.
const lengths: readonly (readonly [type: string, part: string, length: number])[] = [
  // The one that says soonest whether there is access at all.
  ['Patient', '', 1000],
  ['Observation', 'laboratory', 100],
  ['Observation', 'vital-signs', 80],
  ['DocumentReference', '', 40],
  ['DiagnosticReport', '', 30],
  ['Encounter', '', 30],
  ['MedicationRequest', '', 25],
  ['Procedure', '', 20],
  ['Condition', '', 15],
  ['ServiceRequest', '', 15],
  ['Observation', 'social-history', 5],
  ['Observation', 'survey', 5],
]

/** Queries, or what has one, in the order in which to begin them; alike ones stay in the order of the plan. */
export function longestFirst<T>(all: readonly T[], queryOf: (one: T) => Pick<Query, 'type' | 'search'>): T[] {
  const lengthOf = (one: T): number => {
    const { type, search } = queryOf(one)
    return lengths.find(([of, part]) => of === type && String(search.category ?? '').endsWith(part))?.[2] ?? 1
  }
  return [...all].sort((one, other) => lengthOf(other) - lengthOf(one))
}

/** The same for queries that ask the same. */
export function nameOfQuery({
  kind,
  type,
  search,
  operation = '',
}: Pick<Query, 'kind' | 'type' | 'search' | 'operation'>): string {
  return `${kind} ${type}${operation} ${JSON.stringify(Object.entries(search).sort(byKey))}`
}

const byKey = ([a]: [string, unknown], [b]: [string, unknown]): number => (a < b ? -1 : a > b ? 1 : 0)
