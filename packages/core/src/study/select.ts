import type { RecordAttachment } from '../record/attachments.js'
import type { PatientRecord } from '../record/record.js'
import type { Period } from './dated.js'
import { judged, type Verdicts } from './judge.js'
import type { Removal } from './removals.js'
import type { SensitiveCategory } from './sensitive.js'
import { onceEach, strip } from './strip.js'
import { toldReasons, type Withheld, type WithheldReason } from './withheld.js'

/** What may be shared, and in which form. */
export interface Terms {
  readonly classes: ReadonlySet<string>
  readonly period?: Period
  readonly withhold: readonly SensitiveCategory[]
  /** Keys of what the participant left out, as `itemKey` makes them. */
  readonly leaveOut: ReadonlySet<string>
  readonly removes: readonly Removal[]
}

/** What of a record may be shared. */
export interface Selection {
  /** The JSON texts of a type that are shared, without what is taken out of them; the same at each call. */
  lines(type: string): Iterable<string>
  /** Why a resource is not shared; undefined when it is. */
  reasonOf(type: string, id: string): WithheldReason | undefined
  /** True of a resource of the agreed classes, by `Type/id`, that is not shared. */
  withholds(key: string): boolean
  sharesFile(file: RecordAttachment): boolean
  /** Every reason. For the participant. */
  readonly withheld: readonly Withheld[]
  /** Resources of each data class that are shared, without those that came along. */
  readonly shared: Readonly<Record<string, number>>
  /** Of the same, those that are withheld for reasons which the study does not hear of. */
  readonly silent: Readonly<Record<string, number>>
  /** Elements that were taken out, by kind. */
  readonly removed: Readonly<Partial<Record<Removal, number>>>
}

/**
 * Selects what of a participant's records the terms allow, in their order. Whatever cannot be shown to lie within the
 * terms is withheld. The records are judged together: what one of them withholds another may point to.
 */
export function selectFrom(records: readonly PatientRecord[], terms: Terms): readonly Selection[] {
  const verdicts = judged(records, terms)
  return records.map((record, index) => selectionOf(record, terms, verdicts[index] as Verdicts))
}

function selectionOf(record: PatientRecord, terms: Terms, { reasons, places, gone }: Verdicts): Selection {
  const { classes, removes: wanted } = terms
  // A file may hold anything; where something is withheld for what it says, its bytes are too.
  const noFiles = terms.withhold.length > 0 || wanted.includes('files') || wanted.includes('free-text')
  const removes: readonly Removal[] = noFiles && !wanted.includes('files') ? [...wanted, 'files'] : wanted
  const narrowed = reasons.size > 0 || removes.length > 0 || terms.period !== undefined || gone.size > 0
  const removed: Partial<Record<Removal, number>> = {}

  function* kept(type: string): Iterable<string> {
    let at = 0
    for (const line of record.lines(type, classes)) {
      if (places.get(type)?.has(at++)) continue
      // Of a name that stands twice, whoever reads takes the last: the first would be shared unseen.
      yield narrowed ? onceEach(line) : line
    }
  }

  function* lines(type: string): Iterable<string> {
    for (const line of kept(type))
      yield removes.length === 0 && gone.size === 0 ? line : strip(line, removes, gone).text
  }

  if (wanted.length > 0)
    for (const type of Object.keys(record.types()))
      for (const line of kept(type))
        for (const [id, count] of Object.entries(strip(line, wanted).removed) as [Removal, number][])
          removed[id] = (removed[id] ?? 0) + count

  const files = new Set(
    record.attachments.filter((file) => file.dataClasses.some((name) => classes.has(name))),
  )
  const sharesFile = (file: RecordAttachment): boolean =>
    !noFiles && files.has(file) && !reasons.has(file.source)
  const tally = tallyOf(record, classes, reasons)
  for (const file of terms.withhold.length > 0 ? files : [])
    if (file.status === 'received' && !reasons.has(file.source)) tally.add(file.dataClass, 'unreadable')
  let agreed: ReadonlySet<string> | undefined
  return {
    lines,
    reasonOf(type, id) {
      const key = `${type}/${id}`
      agreed ??= new Set(
        Object.keys(record.types()).flatMap((one) =>
          [...record.lines(one, classes)].map((line) => `${one}/${idOf(line)}`),
        ),
      )
      return reasons.get(key) ?? (agreed.has(key) ? undefined : 'not-agreed')
    },
    withholds: (key) => reasons.has(key),
    sharesFile,
    withheld: tally.rows(),
    shared: tally.shared,
    silent: tally.silent,
    removed,
  }
}

const idOf = (line: string): string => String((JSON.parse(line) as { id?: unknown }).id ?? '')

interface Tally {
  readonly shared: Record<string, number>
  readonly silent: Record<string, number>
  add(dataClass: string, reason: WithheldReason, count?: number): void
  rows(): Withheld[]
}

function tallyOf(
  record: PatientRecord,
  classes: ReadonlySet<string>,
  reasons: ReadonlyMap<string, WithheldReason>,
): Tally {
  const counts = new Map<string, Withheld>()
  const shared: Record<string, number> = {}
  const silent: Record<string, number> = {}
  const add = (dataClass: string, reason: WithheldReason, count = 1): void => {
    if (count === 0) return
    const key = `${reason} ${dataClass}`
    counts.set(key, Object.freeze({ dataClass, reason, count: count + (counts.get(key)?.count ?? 0) }))
  }
  const counted = new Set<string>()
  const agreed = linesOf(record, classes)
  for (const dataClass of record.plan.classes) {
    // A resource that also belongs to a class which is shared is not withheld.
    if (!classes.has(dataClass)) {
      add(dataClass, 'not-agreed', linesOf(record, new Set([...classes, dataClass])) - agreed)
      continue
    }
    let own = record.count(dataClass)
    const ownType = record.completeness.find((row) => row.dataClass === dataClass)?.type
    for (const type of reasons.size === 0 ? [] : Object.keys(record.types()))
      for (const line of record.lines(type, new Set([dataClass]))) {
        const key = `${type}/${idOf(line)}`
        const reason = reasons.get(key)
        if (reason === undefined) continue
        if (!counted.has(key)) add(dataClass, reason)
        counted.add(key)
        if (type !== ownType) continue
        own -= 1
        if (!toldReasons.has(reason)) silent[dataClass] = (silent[dataClass] ?? 0) + 1
      }
    shared[dataClass] = own
  }
  return { shared, silent, add, rows: () => [...counts.values()] }
}

function linesOf(record: PatientRecord, classes: ReadonlySet<string>): number {
  let count = 0
  for (const type of Object.keys(record.types())) for (const _ of record.lines(type, classes)) count++
  return count
}
