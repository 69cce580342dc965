/** What was wrong with an export. */
export type BulkIssueKind =
  /** A file could not be had, or not whole; `detail` is an error code. */
  | 'file'
  /** The server itself says that something is missing; `detail` is the FHIR issue type. */
  | 'server'
  /** A line that is no resource; `detail` says why. It is nobody's record that it is missing from, so it may be anybody's. */
  | 'invalid-line'
  /** A resource without an id that FHIR allows. */
  | 'invalid-id'
  /** A resource of a type that was not asked for. */
  | 'unexpected-type'
  /** A resource that names several patients who cannot all be meant, or one of another server; nobody has it. */
  | 'unplaced'
  /** Resources of somebody whose record was not asked for, or who is not part of the export. */
  | 'other-patient'

/** One finding, or a number of alike ones. Never holds health data. */
export interface BulkIssue {
  readonly kind: BulkIssueKind
  readonly type: string
  readonly detail?: string
  readonly count: number
}

/** Counts issues by kind, type and detail. */
export interface BulkIssues {
  add(kind: BulkIssueKind, type: string, detail?: string, count?: number): void
  list(): readonly BulkIssue[]
}

const most = 1000

export function createBulkIssues(from: readonly BulkIssue[] = []): BulkIssues {
  const found = new Map<string, BulkIssue>()
  const add: BulkIssues['add'] = (kind, type, detail, count = 1) => {
    // Types and details are of servers, who may have many.
    const isFull = found.size >= most
    const key = isFull ? kind : `${kind} ${type} ${detail ?? ''}`
    const before = found.get(key)?.count ?? 0
    const about = isFull || detail === undefined ? {} : { detail }
    found.set(key, Object.freeze({ kind, type: isFull ? '' : type, ...about, count: before + count }))
  }
  for (const { kind, type, detail, count } of from) add(kind, type, detail, count)
  return { add, list: () => Object.freeze([...found.values()]) }
}
