import { sha256Now } from '../util/sha256.js'
import type { PatientRecord } from './record.js'

/** What is remembered of a resource to see later whether it has changed: nothing of what it says. */
export interface KnownResource {
  readonly type: string
  readonly id: string
  /** SHA-256 of the resource as the server wrote it. Hexadecimal. */
  readonly sha256: string
}

/** How a record differs from what was known. Each is `Type/id`, sorted. */
export interface RecordChanges {
  readonly added: readonly string[]
  readonly changed: readonly string[]
  /** Gone at the server: of types of which everything was asked for and came. */
  readonly removed: readonly string[]
  /** Known before and not in this record, which does not hold everything of their types. */
  readonly unseen: readonly string[]
}

/**
 * What to keep of a record so that a later one can be compared with it.
 *
 * @example localStorage.setItem('known', JSON.stringify(inventoryOf(record)))
 */
export function inventoryOf(record: PatientRecord): KnownResource[] {
  return Object.keys(record.types()).flatMap((type) =>
    [...record.lines(type)].map((text) => {
      const { id } = JSON.parse(text) as { id: string }
      return { type, id, sha256: sha256Now(text) }
    }),
  )
}

/**
 * Compares a record with what was known before. Only a collection of everything, one without `since`, can tell that
 * something was removed: servers do not say so.
 *
 * @example const { removed } = changesBetween(known, await collect(connection, { plan }))
 */
export function changesBetween(known: readonly KnownResource[], record: PatientRecord): RecordChanges {
  const before = new Map(known.map((one) => [`${one.type}/${one.id}`, one]))
  const now = new Map(inventoryOf(record).map((one) => [`${one.type}/${one.id}`, one]))
  const whole = wholeTypes(record)
  const gone = [...before].filter(([key]) => !now.has(key))
  const keys = (entries: readonly (readonly [string, KnownResource])[]): readonly string[] =>
    Object.freeze(entries.map(([key]) => key).sort())
  return Object.freeze({
    added: keys([...now].filter(([key]) => !before.has(key))),
    changed: keys(
      [...now].filter(([key, { sha256 }]) => before.has(key) && before.get(key)?.sha256 !== sha256),
    ),
    removed: keys(gone.filter(([, { type }]) => whole.has(type))),
    unseen: keys(gone.filter(([, { type }]) => !whole.has(type))),
  })
}

// Types of which everything was asked for and every class came whole.
function wholeTypes(record: PatientRecord): Set<string> {
  if (record.since) return new Set()
  const partial = record.completeness.filter(
    ({ status, warnings }) =>
      (status !== 'received' && status !== 'none') || warnings.some(({ code }) => code === 'incomplete'),
  )
  // Of what comes along or by reference, less may have come than there is: only what is searched for is told of.
  const types = new Set(
    record.completeness.filter(({ queries }) => queries.length > 0).map(({ type }) => type),
  )
  for (const { type } of partial) types.delete(type)
  return types
}
