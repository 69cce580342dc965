import type { Manifest, ManifestSource } from '../study/package.js'
import { isObject } from '../util/json.js'
import { origin } from './columns.js'
import { dateOf, integerOf, joined, textOf } from './read.js'
import {
  type Cell,
  type ColumnOf,
  type ColumnType,
  defineTable,
  type LineSource,
  type TableOf,
} from './table.js'

// The tables that tell of packages, and not of what is in them.

/** A package as far as its rows need it. */
export interface PackageSubject {
  readonly study: string
  readonly digest: string
  readonly participant: string
  /** ISO 8601. */
  readonly receivedAt: string
  readonly manifest: Manifest
}

/** One source of a package. */
export interface SourceSubject {
  readonly source: LineSource
  readonly from: ManifestSource
}

/** One data class of a source, as the manifest reports it. */
export interface ClassSubject extends SourceSubject {
  readonly dataClass: string
  readonly status: string
  readonly count: number
  readonly withheld: number
  readonly reason: string | undefined
}

/** One file of a source, as `attachments.ndjson` lists it. */
export interface AttachmentSubject {
  readonly source: LineSource
  readonly listed: Readonly<Record<string, unknown>>
  /** Where the files of the package lie in the export, by their paths in the package. */
  readonly files: ReadonlyMap<string, string>
}

const column =
  <Subject>(from: string) =>
  (name: string, type: ColumnType, says: string, read: (subject: Subject) => Cell): ColumnOf<Subject> =>
    Object.freeze({ name, type, says, from, read })

const instantOf = (value: unknown): Cell => dateOf(value)?.time ?? null

const ofPackage = column<PackageSubject>('the package and its manifest')
export const packages: TableOf<PackageSubject> = defineTable({
  name: 'packages',
  says: 'One package: what one participant shared at one time',
  types: [],
  columns: [
    ofPackage('package', 'string', 'The digest of the package', ({ digest }) => digest),
    ofPackage('study', 'string', 'The id of the study', ({ study }) => textOf(study)),
    ofPackage('participant', 'string', 'The participant, as the study names them', ({ participant }) =>
      textOf(participant),
    ),
    ofPackage('received', 'timestamp', 'When the inbox had all of it', ({ receivedAt }) =>
      instantOf(receivedAt),
    ),
    ofPackage('consent', 'string', 'The id of the consent under which it was shared', ({ manifest }) =>
      textOf(manifest.consent.id),
    ),
    ofPackage('consent_version', 'string', 'The version of the consent', ({ manifest }) =>
      textOf(manifest.consent.version),
    ),
    ofPackage('sources', 'integer', 'How many sources it has', ({ manifest }) => manifest.sources.length),
    ofPackage('resources', 'integer', 'How many resources it has, as its manifest says', ({ manifest }) =>
      manifest.parts.reduce((sum, part) => sum + (part.resources ?? 0), 0),
    ),
    ofPackage('software_version', 'string', 'The version of @s4s/core that made it', ({ manifest }) =>
      textOf(manifest.software.version),
    ),
  ],
})

const ofSource = column<SourceSubject>('manifest.sources')
export const sources: TableOf<SourceSubject> = defineTable({
  name: 'sources',
  says: 'One source of a package: the record of one patient at one provider',
  types: [],
  columns: [
    ...origin,
    ofSource('provider_name', 'string', 'What the provider is called', ({ from }) =>
      textOf(from.provider.name),
    ),
    ofSource(
      'provider_vendor',
      'string',
      'The EHR product that the provider runs, if it is known',
      ({ from }) => textOf(from.provider.vendor),
    ),
    ofSource('provider_base', 'string', 'The FHIR base of the provider', ({ from }) =>
      textOf(from.provider.iss),
    ),
    ofSource('patient', 'string', 'The id of the patient at the provider', ({ from }) =>
      textOf(from.patient),
    ),
    ofSource('plan', 'string', 'The id of the plan by which it was collected', ({ from }) =>
      textOf(from.plan.id),
    ),
    ofSource(
      'data_classes',
      'string',
      'The data classes that the consent covers, separated by “; ”',
      ({ from }) => joined(from.plan.classes.map(textOf)),
    ),
    ofSource('started', 'timestamp', 'When collecting began', ({ from }) => instantOf(from.startedAt)),
    ofSource('collected', 'timestamp', 'When collecting ended', ({ from }) => instantOf(from.collectedAt)),
  ],
})

const ofClass = column<ClassSubject>('manifest.sources.completeness, manifest.sources.withheld')
export const completeness: TableOf<ClassSubject> = defineTable({
  name: 'completeness',
  says: 'How much of one data class one source gave, so that nothing can be told from not known',
  types: [],
  columns: [
    ...origin,
    ofClass('data_class', 'string', 'The data class', ({ dataClass }) => textOf(dataClass)),
    ofClass(
      'status',
      'string',
      '`received`: all of it; `none`: the provider has none; `not-agreed`: the consent does not cover it; else it was not, or not all, to be had',
      ({ status }) => textOf(status),
    ),
    ofClass('count', 'integer', 'How many resources of the class are in the package', ({ count }) =>
      integerOf(count),
    ),
    ofClass('withheld', 'integer', 'How many the consent does not cover, so that they are not here', (row) =>
      integerOf(row.withheld),
    ),
    ofClass('reason', 'string', 'Why not all of it was had', ({ reason }) => textOf(reason)),
  ],
})

const ofAttachment = column<AttachmentSubject>('attachments.ndjson')
export const attachments: TableOf<AttachmentSubject> = defineTable({
  name: 'attachments',
  says: 'One file behind a document or a report. Those that came are in the folder `attachments`',
  types: [],
  columns: [
    ...origin,
    ofAttachment('resource', 'string', 'What it belongs to, such as `DocumentReference/17`', ({ listed }) =>
      textOf(listed.source),
    ),
    ofAttachment('status', 'string', '`received`, or why it was not', ({ listed }) => textOf(listed.status)),
    ofAttachment('content_type', 'string', 'What it is said to be', ({ listed }) =>
      textOf(listed.contentType),
    ),
    ofAttachment('size', 'integer', 'Its bytes', ({ listed }) => integerOf(listed.size)),
    ofAttachment('reason', 'string', 'Why it was not received', ({ listed }) => textOf(listed.reason)),
    ofAttachment(
      'file',
      'string',
      'Where it lies in the export; null when it was not received',
      ({ listed, files }) => files.get(String(textOf(listed.path))) ?? null,
    ),
  ],
})

/** The data classes of a source: those that were asked for, then those that the consent does not cover. */
export function* classesIn(subject: SourceSubject): Generator<ClassSubject> {
  const { completeness: rows, withheld } = subject.from
  for (const row of rows) {
    const { dataClass, status, count, reason } = row
    yield { ...subject, dataClass, status, count, withheld: 0, reason }
  }
  for (const row of withheld as readonly unknown[]) {
    if (!isObject(row)) continue
    yield {
      ...subject,
      dataClass: row.dataClass as string,
      status: row.reason as string,
      count: 0,
      withheld: row.count as number,
      reason: undefined,
    }
  }
}
