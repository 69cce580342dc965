import type { Completeness, CompletenessStatus, QueryReport } from '../record/completeness.js'
import type { PatientRecord } from '../record/record.js'
import type { Selection, Terms } from './select.js'

/**
 * How complete a data class is, as the study is told. What the participant withheld in silence is in no number of it, and
 * nothing of it differs from what would stand there if that had never been.
 */
export interface ToldCompleteness extends Omit<Completeness, 'queries'> {
  /** Without counts; `received` also of a query that was answered to its end and brought nothing. */
  readonly queries: readonly Pick<QueryReport, 'type' | 'search' | 'status' | 'reason'>[]
}

/** The rows of the agreed classes. */
export function toldCompleteness(
  record: PatientRecord,
  terms: Terms,
  selection: Selection,
): ToldCompleteness[] {
  return record.completeness
    .filter((row) => terms.classes.has(row.dataClass))
    .map((row) => {
      const count = row.count - (selection.silent[row.dataClass] ?? 0)
      return {
        ...row,
        count,
        status: count === 0 ? emptied(row) : row.status,
        queries: row.queries.map(told),
      }
    })
}

const told = ({ type, search, status, reason }: QueryReport): ToldCompleteness['queries'][number] => ({
  type,
  search,
  status: status === 'none' ? 'received' : status,
  ...(reason === undefined ? {} : { reason }),
})

const gravity: readonly CompletenessStatus[] = ['not-supported', 'refused', 'failed', 'truncated']

/** The status that a class without a resource would have had. */
function emptied({ status, reason, queries }: Completeness): CompletenessStatus {
  if (status === 'received') return 'none'
  if (status !== 'truncated' || reason === 'partly-granted') return status
  return gravity.findLast((one) => queries.some((query) => query.status === one)) ?? status
}

/** Findings by kind, but for those about what is not shared. */
export function toldIssues(
  record: PatientRecord,
  terms: Terms,
  selection: Selection,
): Record<string, number> {
  const counts = new Map<string, number>()
  for (const { kind, dataClass, count, resource } of record.issues) {
    if (!terms.classes.has(dataClass)) continue
    if (resource !== undefined && selection.withholds(resource)) continue
    counts.set(kind, (counts.get(kind) ?? 0) + count)
  }
  return Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)))
}
