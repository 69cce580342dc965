import type { FhirResource, Reader } from '../fhir/types.js'
import type { Plan } from '../plans/plan.js'
import type { AttachmentShelf, RecordAttachment } from './attachments.js'
import type { Completeness } from './completeness.js'
import type { RecordIssue } from './issues.js'
import type { Held, Shelf } from './shelf.js'

/** What was collected from one provider about one patient, and how complete it is. */
export interface PatientRecord {
  /** The id of the connection it was read through. */
  readonly connection: string
  readonly provider: {
    readonly id: string
    readonly name: string
    readonly iss: string
    /** The id of the EHR product that it runs, if it is known. */
    readonly vendor?: string
  }
  readonly patient: string
  readonly plan: { readonly id: string; readonly classes: readonly string[] }
  readonly startedAt: Date
  readonly collectedAt: Date
  /** Set when only what is new was asked for. */
  readonly since?: Date
  /** One row for each data class of the plan, in its order. */
  readonly completeness: readonly Completeness[]
  /** What was left out or could not be made whole. Empty after `wipe`. */
  readonly issues: readonly RecordIssue[]
  /** Files behind documents and reports. Empty after `wipe`. */
  readonly attachments: readonly RecordAttachment[]
  /** The number of resources: of a data class, of a type, or all. A class counts its own type, not what came along. */
  count(of?: string): number
  /** The number of resources by type. */
  types(): Readonly<Record<string, number>>
  /** The same resources that `count` counts, parsed one at a time. */
  resources(of?: string): Iterable<FhirResource>
  /** The server's own JSON texts of a type, one line each, sorted by id; only those of the data classes, if given. */
  lines(type: string, dataClasses?: ReadonlySet<string>): Iterable<string>
  /** Forgets every resource and file: at once here, and when it settles on a shelf too. */
  wipe(): Promise<void>
}

/** What a record is made of. */
export interface RecordParts
  extends Pick<
    PatientRecord,
    'connection' | 'patient' | 'startedAt' | 'collectedAt' | 'since' | 'completeness' | 'issues'
  > {
  readonly provider: Reader['provider']
  readonly plan: Plan
  readonly shelf: Shelf
  readonly files: AttachmentShelf
}

/** Closes a collection: what is on the shelf becomes a record that no longer changes, except to be wiped. */
export function createRecord(parts: RecordParts): PatientRecord {
  const { plan, completeness, files } = parts
  const byType = sorted(parts.shelf.all())
  const classTypes = new Map(plan.classes.map((row) => [row.name, row.type as string]))
  let { issues } = parts
  let { attachments } = files

  function* select(of?: string): Iterable<Held> {
    if (of === undefined) for (const list of byType.values()) yield* list
    else if (classTypes.has(of)) {
      for (const held of byType.get(classTypes.get(of) as string) ?? []) if (held.classes.has(of)) yield held
    } else yield* byType.get(of) ?? []
  }

  return Object.freeze({
    connection: parts.connection,
    provider: providerOf(parts.provider),
    patient: parts.patient,
    plan: Object.freeze({ id: plan.id, classes: Object.freeze(plan.classes.map((row) => row.name)) }),
    startedAt: parts.startedAt,
    collectedAt: parts.collectedAt,
    ...(parts.since ? { since: parts.since } : {}),
    completeness,
    get issues() {
      return issues
    },
    get attachments() {
      return attachments
    },
    count: (of?: string) => {
      let count = 0
      for (const _ of select(of)) count++
      return count
    },
    types: () => Object.fromEntries([...byType].map(([type, list]) => [type, list.length])),
    *resources(of?: string) {
      for (const { text } of select(of)) yield JSON.parse(text) as FhirResource
    },
    *lines(type: string, dataClasses?: ReadonlySet<string>) {
      for (const { text, classes } of byType.get(type) ?? []) {
        if (!dataClasses || overlap(classes, dataClasses)) yield text
      }
    },
    wipe: async () => {
      // Emptied in place, so that a loop that is under way ends as well, and whoever still holds one has nothing.
      for (const list of byType.values()) for (const held of list.splice(0)) held.text = ''
      byType.clear()
      const shelved = files.wipe()
      issues = Object.freeze([])
      attachments = Object.freeze([])
      await shelved
    },
  })
}

function providerOf({ id, name, iss, vendor }: Reader['provider']): PatientRecord['provider'] {
  return Object.freeze({ id, name, iss, ...(vendor === undefined ? {} : { vendor: vendor.id }) })
}

function overlap(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  for (const name of a) if (b.has(name)) return true
  return false
}

function sorted(all: Iterable<Held>): Map<string, Held[]> {
  const byType = new Map<string, Held[]>()
  for (const held of all) {
    const list = byType.get(held.type)
    if (list) list.push(held)
    else byType.set(held.type, [held])
  }
  for (const list of byType.values()) list.sort((a, b) => compare(a.id, b.id))
  return new Map([...byType].sort(([a], [b]) => compare(a, b)))
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
