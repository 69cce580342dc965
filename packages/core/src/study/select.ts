import type { RecordAttachment } from '../record/attachments.js'
import type { PatientRecord } from '../record/record.js'
import { isObject, parseJson, stringAt } from '../util/json.js'
import { datedWithin, type Period } from './dated.js'
import { type SensitiveCategory, sensitivityOf } from './sensitive.js'
import { type Removal, strip } from './strip.js'

/**
 * Why something that was collected is not shared: its data class was not agreed to; it is dated outside the period
 * that was, or has no date; it is of a sensitive category, or a file that may be; the participant left it out.
 */
export type WithheldReason = 'not-agreed' | 'period' | 'undated' | 'sensitive' | 'unreadable' | 'left-out'

/** What was collected but not shared: how much, never what it said. */
export interface Withheld {
  readonly dataClass: string
  readonly count: number
  readonly reason: WithheldReason
}

/** The reasons that the study hears of: who hears that something was withheld as sensitive has heard of it. */
export const toldReasons: ReadonlySet<WithheldReason> = new Set(['not-agreed', 'period', 'undated'])

/** What may be shared, and in which form. */
export interface Terms {
  readonly classes: ReadonlySet<string>
  readonly period?: Period
  readonly withhold: readonly SensitiveCategory[]
  /** Keys of what the participant left out, as `keyOf` makes them. */
  readonly leaveOut: ReadonlySet<string>
  readonly removes: readonly Removal[]
}

/** What of a record may be shared. */
export interface Selection {
  /** The JSON texts of a type that are shared, without what is taken out of them; the same at each call. */
  lines(type: string): Iterable<string>
  /** Why a resource is not shared; undefined when it is. */
  reasonOf(type: string, id: string): WithheldReason | undefined
  sharesFile(file: RecordAttachment): boolean
  /** Every reason, by data class; what is of two classes counts in both. For the participant. */
  readonly withheld: readonly Withheld[]
  /** Resources of each data class that are shared, without those that came along. */
  readonly shared: Readonly<Record<string, number>>
  /** Of the same, those that are withheld for reasons which the study does not hear of. */
  readonly silent: Readonly<Record<string, number>>
  /** Elements that were taken out, by kind. */
  readonly removed: Readonly<Partial<Record<Removal, number>>>
}

const keyOf = (connection: string, type: string, id: string): string => `${connection} ${type}/${id}`

/** The name of a resource among all that a participant has collected, for `leaveOut`. */
export function itemKey(
  record: Pick<PatientRecord, 'connection'>,
  resource: { readonly resourceType: string; readonly id?: string | undefined },
): string {
  return keyOf(record.connection, resource.resourceType, resource.id ?? '')
}

/**
 * Selects what of a record the terms allow. Whatever cannot be shown to lie within them is withheld. Of the record's
 * size only what is withheld is remembered.
 */
export function selectFrom(record: PatientRecord, terms: Terms): Selection {
  const { classes, removes: wanted } = terms
  // A file may hold anything; where something is withheld for what it says, its bytes are too.
  const noFiles = terms.withhold.length > 0 || wanted.includes('files') || wanted.includes('free-text')
  const removes: readonly Removal[] = noFiles && !wanted.includes('files') ? [...wanted, 'files'] : wanted
  const reasons = judge(record, terms)
  const out = placesOf(record, classes, reasons)
  const removed: Partial<Record<Removal, number>> = {}

  function* lines(type: string): Iterable<string> {
    const gone = out.get(type)
    let at = 0
    for (const line of record.lines(type, classes)) {
      if (gone?.has(at++)) continue
      yield removes.length === 0 ? line : strip(line, removes).text
    }
  }

  if (wanted.length > 0)
    for (const type of Object.keys(record.types())) {
      let at = 0
      for (const line of record.lines(type, classes)) {
        if (out.get(type)?.has(at++)) continue
        for (const [id, count] of Object.entries(strip(line, wanted).removed) as [Removal, number][])
          removed[id] = (removed[id] ?? 0) + count
      }
    }

  const files = record.attachments.filter((file) => file.dataClasses.some((name) => classes.has(name)))
  const sharesFile = (file: RecordAttachment): boolean =>
    !noFiles && files.includes(file) && !reasons.has(file.source)
  const tally = tallyOf(record, classes, reasons)
  for (const file of terms.withhold.length > 0 ? files : [])
    if (file.status === 'received' && !reasons.has(file.source)) tally.add(file.dataClass, 'unreadable')
  return {
    lines,
    reasonOf: (type, id) => reasons.get(`${type}/${id}`),
    sharesFile,
    withheld: tally.rows(),
    shared: tally.shared,
    silent: tally.silent,
    removed,
  }
}

/** What is withheld of the agreed classes, as `Type/id`, and why. */
function judge(record: PatientRecord, terms: Terms): Map<string, WithheldReason> {
  const { period, withhold, leaveOut, classes } = terms
  const reasons = new Map<string, WithheldReason>()
  if (!period && withhold.length === 0 && leaveOut.size === 0) return reasons
  const isSensitive = sensitivityOf(withhold)
  const pointsTo = new Map<string, string[]>()
  for (const type of Object.keys(record.types()))
    for (const line of record.lines(type, classes)) {
      const resource = parseJson(line)
      const id = stringAt(resource, 'id') ?? ''
      const key = `${type}/${id}`
      const dated = period ? datedWithin(resource, period) : 'inside'
      if (isSensitive(line, resource)) reasons.set(key, 'sensitive')
      else if (leaveOut.has(keyOf(record.connection, type, id))) reasons.set(key, 'left-out')
      else if (dated !== 'inside') reasons.set(key, dated === 'outside' ? 'period' : 'undated')
      if (withhold.length > 0 && reasons.get(key) !== 'sensitive') {
        const references = referencesIn(resource).filter((one) => !common.test(one))
        if (references.length > 0) pointsTo.set(key, references)
      }
    }
  spread(reasons, pointsTo)
  return reasons
}

// Whose whole record would go when they are concerned, or a whole visit of which one reason is.
const common =
  /^(?:Patient|Practitioner|PractitionerRole|Organization|Location|RelatedPerson|Encounter|Device)\//

// What points to something sensitive is about it: the prescription for a condition, the report of a result.
function spread(
  reasons: Map<string, WithheldReason>,
  pointsTo: ReadonlyMap<string, readonly string[]>,
): void {
  for (let found = true; found; ) {
    found = false
    for (const [key, references] of pointsTo) {
      if (common.test(key) || reasons.get(key) === 'sensitive') continue
      if (!references.some((one) => reasons.get(one) === 'sensitive')) continue
      reasons.set(key, 'sensitive')
      found = true
    }
  }
}

function referencesIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(referencesIn)
  if (!isObject(value)) return []
  const own = /(?:^|\/)([A-Z][A-Za-z]+\/[A-Za-z0-9.-]{1,64})(?:\/_history\/.*)?$/.exec(
    stringAt(value, 'reference') ?? '',
  )
  return [...(own ? [own[1] as string] : []), ...Object.values(value).flatMap(referencesIn)]
}

/** The places among the lines of each type that are withheld. */
function placesOf(
  record: PatientRecord,
  classes: ReadonlySet<string>,
  reasons: ReadonlyMap<string, WithheldReason>,
): Map<string, Set<number>> {
  const places = new Map<string, Set<number>>()
  for (const type of new Set([...reasons.keys()].map((key) => key.slice(0, key.indexOf('/'))))) {
    const gone = new Set<number>()
    let at = 0
    for (const line of record.lines(type, classes)) {
      if (reasons.has(`${type}/${stringAt(parseJson(line), 'id') ?? ''}`)) gone.add(at)
      at++
    }
    places.set(type, gone)
  }
  return places
}

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
        const reason = reasons.get(`${type}/${stringAt(parseJson(line), 'id') ?? ''}`)
        if (reason === undefined) continue
        add(dataClass, reason)
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
