import { ambientClock } from '../ambient.js'
import type { Clock } from '../ports.js'
import type { PatientRecord } from '../record/record.js'
import { isObject, parseJson, stringAt } from '../util/json.js'
import { type Choices, termsOf } from './choices.js'
import { dayOf } from './dated.js'
import { itemKey } from './item-key.js'
import type { Removal } from './removals.js'
import { type Selection, selectFrom } from './select.js'
import type { Study } from './study.js'
import type { Withheld, WithheldReason } from './withheld.js'

/** One resource, as a participant would look at it before sharing. */
export interface ReviewItem {
  /** Names it in `leaveOut`. */
  readonly key: string
  readonly type: string
  /** The class of the study that it is in; the first, when it is in several. */
  readonly dataClass: string
  /** What it is about, in the server's words; the type when it does not say. */
  readonly title: string
  /** As precise as it is known. */
  readonly day?: string
  /** Why it would not be shared; absent when it would be. */
  readonly withheld?: WithheldReason
}

/** What one record would give. */
export interface ReviewedRecord {
  readonly connection: string
  readonly provider: { readonly id: string; readonly name: string }
  /** Resources that would be shared, by data class. */
  readonly shared: readonly { readonly dataClass: string; readonly count: number }[]
  readonly withheld: readonly Withheld[]
  /** Elements that the study's protocol takes out, by kind. */
  readonly removed: Readonly<Partial<Record<Removal, number>>>
  /** Files that would be shared. */
  readonly files: number
  /** Everything the study asks for, one resource at a time. */
  items(): Iterable<ReviewItem>
}

/**
 * Shows what would be shared and what would not, before anything is agreed to. Nothing is sent, and the choices are
 * those that `recordConsent` takes.
 *
 * @example const [mercy] = review([record], { study, choices: { withhold: ['mental-health'] } })
 * @throws TypeError for choices that the study does not offer
 */
export function review(
  records: readonly PatientRecord[],
  options: {
    readonly study: Study
    readonly choices?: Choices
    /** Keys of items that the participant leaves out. */
    readonly leaveOut?: readonly string[]
    readonly platform?: { readonly clock: Pick<Clock, 'now'> }
  },
): readonly ReviewedRecord[] {
  if (!Array.isArray(records)) throw new TypeError('records is not an array')
  const { study, choices = {}, leaveOut = [], platform } = options
  const terms = termsOf(study, choices, leaveOut, (platform?.clock ?? ambientClock).now())
  const selections = selectFrom(records, terms)
  return Object.freeze(
    records.map((record, index) => reviewed(record, selections[index] as Selection, study)),
  )
}

function reviewed(record: PatientRecord, selection: Selection, study: Study): ReviewedRecord {
  const { shared, withheld, removed } = selection
  return Object.freeze({
    connection: record.connection,
    provider: Object.freeze({ id: record.provider.id, name: record.provider.name }),
    shared: Object.freeze(
      Object.entries(shared)
        .filter(([, count]) => count > 0)
        .map(([dataClass, count]) => Object.freeze({ dataClass, count })),
    ),
    withheld: Object.freeze(withheld),
    removed: Object.freeze({ ...removed }),
    files: record.attachments.filter((file) => file.status === 'received' && selection.sharesFile(file))
      .length,
    items: () => itemsOf(record, selection, study),
  })
}

function* itemsOf(record: PatientRecord, selection: Selection, study: Study): Iterable<ReviewItem> {
  const seen = new Set<string>()
  for (const { name: dataClass } of study.plan.classes)
    for (const type of Object.keys(record.types()))
      for (const line of record.lines(type, new Set([dataClass]))) {
        const resource = parseJson(line)
        const id = stringAt(resource, 'id') ?? ''
        const key = itemKey(record, { resourceType: type, id })
        if (!isObject(resource) || seen.has(key)) continue
        seen.add(key)
        const day = dayOf(resource)
        const reason = selection.reasonOf(type, id)
        yield Object.freeze({
          ...{ key, type, dataClass, title: titleOf(resource) ?? type },
          ...(day === undefined ? {} : { day }),
          ...(reason === undefined ? {} : { withheld: reason }),
        })
      }
}

// The elements that name a resource, the most telling first.
const naming = [
  'code',
  'vaccineCode',
  'medicationCodeableConcept',
  'type',
  'class',
  'category',
  'description',
  'name',
]

function titleOf(resource: Record<string, unknown>): string | undefined {
  for (const key of naming) {
    const found = wordsOf(resource[key])
    if (found !== undefined) return found.slice(0, 200)
  }
  return undefined
}

function wordsOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value.trim() || undefined
  if (Array.isArray(value)) return wordsOf(value[0])
  if (!isObject(value)) return undefined
  return wordsOf(value.text) ?? wordsOf(value.display) ?? wordsOf(value.coding)
}
