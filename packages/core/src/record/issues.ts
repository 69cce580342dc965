/** What was left out of a record, or could not be made whole. */
export type RecordIssueKind =
  /** The resource is about another patient; it is not in the record. */
  | 'other-patient'
  /** The resource has no id, or one that FHIR does not allow; it is not in the record. */
  | 'invalid-id'
  /** A type that was not asked for; it is not in the record. */
  | 'unexpected-type'
  /** A search by category brought one of another category; it is in the class that it belongs to, if in any. */
  | 'other-class'
  /** An entry of a page that is no resource. */
  | 'invalid-entry'
  /** The server sent the same resource in two versions; the newer one is kept. */
  | 'two-versions'
  /** A resource that the record points to could not be had; `detail` is its type and why. */
  | 'reference'
  /** A file that a resource points to could not be had, or is not the one that was promised. */
  | 'attachment'

/** One finding, or a number of alike ones. Never holds health data. */
export interface RecordIssue {
  readonly kind: RecordIssueKind
  readonly dataClass: string
  /** `Type/id`, when there is one and it is safe to print. */
  readonly resource?: string
  /** A short code that says more. */
  readonly detail?: string
  readonly count: number
}

/** Collects issues in bounded space: the first thousand one by one, the rest counted by kind and class. */
export interface Issues {
  add(issue: Omit<RecordIssue, 'count'>, count?: number): void
  list(): readonly RecordIssue[]
}

const listedOneByOne = 1000

/** An empty list of issues. */
export function createIssues(): Issues {
  const listed: RecordIssue[] = []
  const counted = new Map<string, RecordIssue>()
  return {
    add: (issue, count = 1) => {
      if (listed.length < listedOneByOne) {
        listed.push(Object.freeze({ ...issue, count }))
        return
      }
      const { kind, dataClass } = issue
      const key = `${kind} ${dataClass}`
      const before = counted.get(key)?.count ?? 0
      counted.set(key, Object.freeze({ kind, dataClass, count: before + count }))
    },
    list: () => Object.freeze([...listed, ...counted.values()]),
  }
}
