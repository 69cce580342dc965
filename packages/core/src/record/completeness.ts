import type { Outcome, SearchParams } from '../fhir/types.js'
import type { DataClass } from '../plans/plan.js'
import type { Query } from './schedule.js'

/**
 * How much of a data class the record holds.
 * `received` and `none` are said only when every query of the class was answered to its end.
 */
export type CompletenessStatus =
  | 'received'
  | 'none'
  | 'not-granted'
  | 'refused'
  | 'not-supported'
  | 'truncated'
  | 'failed'

/** One query of a data class, as it went. */
export interface QueryReport {
  readonly type: string
  readonly search: SearchParams
  readonly status: CompletenessStatus
  /** Resources of the class that this query brought; one that two queries bring counts in both. */
  readonly count: number
  readonly pages: number
  /** The server's own count, which may differ. */
  readonly total?: number
  readonly reason?: string
}

/** The row of one data class: exactly one for each class of the plan. */
export interface Completeness {
  readonly dataClass: string
  readonly type: string
  readonly status: CompletenessStatus
  /** Resources of the class in the record, without those that came along. */
  readonly count: number
  /** What the server remarked beside the data. */
  readonly warnings: readonly Outcome[]
  /** An error code of the SDK or of the server, when not everything was had. */
  readonly reason?: string
  readonly queries: readonly QueryReport[]
}

/** How a query stands while it runs and when it is over. */
export interface Run {
  readonly query: Query
  /** Undefined when it came to its end; set when it did not. */
  ended?: 'refused' | 'not-supported' | 'failed' | 'truncated'
  reason?: string
  search: SearchParams
  pages: number
  /** True once it has begun again because the server had forgotten where it was. */
  restarted?: boolean
  /** True once what an earlier collection kept of it was taken up. */
  resumed?: boolean
  /** True once it was refused and others were asked in its place. */
  superseded?: boolean
  /** True when it was refused because access does not reach it, not because of its form. */
  forbidden?: boolean
  /** The parameter that it is asked without, after a refusal. */
  dropped?: string
  /** True once it was asked without what was to come along, which the server refused. */
  alone?: boolean
  total?: number
  /** True once the server's count changed on the way: something came or went, and pages may have moved. */
  shifted?: boolean
  readonly counts: Map<string, number>
  /** `Type/id` of what it brought, so that a page that comes twice counts once. */
  readonly brought: Set<string>
  /** How many of these are of the type that was searched. */
  matches: number
  readonly warnings: Map<string, Outcome>
}

/** A run that has not begun. */
export function createRun(query: Query): Run {
  return {
    query,
    search: query.search,
    pages: 0,
    counts: new Map(),
    brought: new Set(),
    matches: 0,
    warnings: new Map(),
  }
}

const mostWarnings = 50

/** Keeps the remarks of a page, each once, and no more than a reader could look at. */
export function addWarnings(run: Run, outcomes: readonly Outcome[]): void {
  for (const { severity, code, detail } of outcomes) {
    const key = `${severity} ${code} ${detail ?? ''}`
    if (run.warnings.size >= mostWarnings || run.warnings.has(key)) continue
    run.warnings.set(
      key,
      Object.freeze(detail === undefined ? { severity, code } : { severity, code, detail }),
    )
  }
}

/** The row of a class that was not asked for, because no scope covers it. */
export function notGrantedRow(row: DataClass): Completeness {
  return freezeRow({
    dataClass: row.name,
    type: row.type,
    status: 'not-granted',
    count: 0,
    warnings: [],
    queries: [],
  })
}

/** The row of a class whose queries have run. */
export function completenessOf(row: DataClass, runs: readonly Run[], count: number): Completeness {
  const worst = runs.filter((run) => !run.superseded).sort((a, b) => gravity(b) - gravity(a))[0]
  // With some data in hand, a query that was refused or failed makes the class incomplete, not absent.
  const status = worst?.ended === undefined ? received(count) : count > 0 ? 'truncated' : worst.ended
  return freezeRow({
    dataClass: row.name,
    type: row.type,
    status,
    count,
    warnings: [...new Map(runs.flatMap((run) => [...run.warnings])).values()],
    ...(worst?.reason === undefined ? {} : { reason: worst.reason }),
    queries: runs.map((run) => reportOf(run, row.name)),
  })
}

/** The row of a class that was granted in part: whatever came, it is not all. */
export function partlyGrantedRow(row: Completeness): Completeness {
  return row.status === 'received' || row.status === 'none'
    ? freezeRow({ ...row, status: 'truncated', reason: 'partly-granted' })
    : row
}

/** The row of a class that comes along with the searches of others. */
export function alongRow(row: DataClass, runs: readonly Run[], count: number): Completeness {
  const asked = runs.filter((run) => !run.superseded)
  return completenessOf(
    row,
    asked.map(({ ended: _, reason: __, ...run }) =>
      run.alone ? { ...run, ended: 'not-supported', reason: '_revinclude' } : run,
    ),
    count,
  )
}

/** The row of a class that is found through others: when none of them was answered, nobody knows whether there is any. */
export function throughOthersRow(row: Completeness, others: readonly Run[]): Completeness {
  const asked = others.filter((run) => !run.superseded)
  const worst = [...asked].sort((a, b) => gravity(b) - gravity(a))[0]
  if (row.status !== 'none' || worst?.ended === undefined) return row
  if (asked.some((run) => run.ended === undefined || run.pages > 0)) return row
  return freezeRow({
    ...row,
    status: worst.ended,
    ...(worst.reason === undefined ? {} : { reason: worst.reason }),
  })
}

const order = [undefined, 'not-supported', 'refused', 'failed', 'truncated'] as const
const gravity = (run: Run): number => order.indexOf(run.ended)
const received = (count: number): 'received' | 'none' => (count > 0 ? 'received' : 'none')

function reportOf(run: Run, dataClass: string): QueryReport {
  const count = run.counts.get(dataClass) ?? 0
  return Object.freeze({
    type: run.query.type,
    search: run.search,
    status: run.ended ?? received(count),
    count,
    pages: run.pages,
    ...(run.total === undefined ? {} : { total: run.total }),
    ...(run.reason === undefined ? {} : { reason: run.reason }),
  })
}

function freezeRow(row: Completeness): Completeness {
  Object.freeze(row.warnings)
  Object.freeze(row.queries)
  return Object.freeze(row)
}
