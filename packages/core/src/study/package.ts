import { ambientClock, ambientCrypto } from '../ambient.js'
import { SmartError } from '../errors.js'
import type { CryptoPort, Platform } from '../ports.js'
import type { RecordAttachment } from '../record/attachments.js'
import type { PatientRecord } from '../record/record.js'
import { sha256 } from '../util/bytes.js'
import { termsOf, withinLookBack } from './choices.js'
import { allowedBy, type ConsentRecord, consentBytes } from './consent.js'
import { provenanceOf } from './provenance.js'
import type { Removal } from './removals.js'
import { type Selection, selectFrom, type Terms } from './select.js'
import type { Study } from './study.js'
import { type ToldCompleteness, toldCompleteness, toldIssues } from './told.js'
import { version } from './version.js'
import { toldReasons, type Withheld } from './withheld.js'

/** One file of a package. */
export interface PackagePart {
  readonly path: string
  readonly contentType: string
  readonly size: number
  /** Hexadecimal. */
  readonly sha256: string
  /** The bytes, made anew at each call, so that a package takes no more memory than its records. */
  open(): Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>
}

/** A part as the manifest lists it. */
export interface ManifestPart {
  readonly path: string
  readonly contentType: string
  readonly size: number
  readonly sha256: string
  /** Collected resources in it, one a line; absent for other files. */
  readonly resources?: number
}

/** What one record contributes. */
export interface ManifestSource {
  /** Where its parts lie: `records/01`. */
  readonly folder: string
  readonly connection: string
  /** With the id of the EHR product that it runs, if it is known. */
  readonly provider: {
    readonly id: string
    readonly name: string
    readonly iss: string
    readonly vendor?: string
  }
  readonly patient: string
  readonly startedAt: string
  readonly collectedAt: string
  readonly plan: { readonly id: string; readonly classes: readonly string[] }
  /** Rows of the data classes that the consent covers. */
  readonly completeness: readonly ToldCompleteness[]
  /** Findings by kind. */
  readonly issues: Readonly<Record<string, number>>
  /** What the consent and the period kept back. What was withheld as sensitive or left out is in no number here. */
  readonly withheld: readonly Withheld[]
  /** Elements that the study's protocol keeps out, by kind, and how many there were. */
  readonly removed?: Readonly<Partial<Record<Removal, number>>>
  /** Resources by type. */
  readonly counts: Readonly<Record<string, number>>
}

/** The table of contents of a package. Its digest stands for all of it. */
export interface Manifest {
  readonly format: 's4s-package/1'
  readonly study: { readonly id: string; readonly title: string }
  readonly participant: string
  readonly consent: {
    readonly id: string
    readonly version: string
    readonly sha256: string
    readonly path: 'consent.json'
  }
  /** SHA-256 of the withdrawal key. */
  readonly withdrawalCommitment: string
  readonly sources: readonly ManifestSource[]
  /** Sorted by path. */
  readonly parts: readonly ManifestPart[]
  readonly software: { readonly name: '@s4s/core'; readonly version: string }
}

/** Everything that will be sent, and nothing else. */
export interface Package {
  /** SHA-256 of the manifest's bytes before they are sealed, hexadecimal. */
  readonly digest: string
  readonly manifest: Manifest
  readonly manifestBytes: Uint8Array<ArrayBuffer>
  readonly parts: readonly PackagePart[]
  /**
   * For the participant: what each record gave, in the order of the manifest's sources, and after these what was
   * withheld of records that are none. It is not sent.
   */
  readonly given?: readonly Given[]
  /** True when `manifestBytes` and `parts` are sealed: only the study can read them. */
  readonly sealed?: true
}

/** What of a record is in a package, and what is not. */
export interface Given {
  /** Resources that are shared, by data class. */
  readonly shared: Readonly<Record<string, number>>
  /** Every reason, also those that the study does not hear of. */
  readonly withheld: readonly Withheld[]
}

/**
 * Packs records for a study, narrowed to the consent. Nothing is sent. The same records and consent give the same
 * package, byte for byte.
 *
 * @throws SmartError `SHARE_CONSENT_INVALID`, `SHARE_NOTHING`
 */
export async function createPackage(
  records: readonly PatientRecord[],
  options: {
    readonly study: Study
    readonly consent: ConsentRecord
    /** Keys of items of a `review` that the participant leaves out. */
    readonly leaveOut?: readonly string[]
    readonly platform?: Pick<Platform, 'crypto' | 'clock'>
  },
): Promise<Package> {
  const { study, consent, leaveOut = [] } = options
  const { crypto, clock } = options.platform ?? { crypto: ambientCrypto, clock: ambientClock }
  if (!Array.isArray(records)) throw new TypeError('records is not an array')
  const allowed = allowedBy(consent, study, clock.now())
  const period = withinLookBack(study, allowed.period, Date.parse(consent.givenAt))
  const terms = termsOf(study, { ...allowed, ...(period === undefined ? {} : { period }) }, leaveOut)

  const parts: Part[] = []
  const agreed = await addPart(parts, crypto, 'consent.json', 'application/json', () => consentBytes(consent))
  const sources: ManifestSource[] = []
  const given: Given[] = []
  const left: Given[] = []
  const sorted = [...records].sort(bySource)
  const selections = selectFrom(sorted, terms)
  for (const [index, record] of sorted.entries()) {
    const selection = selections[index] as Selection
    const { shared, withheld } = selection
    const gives = Object.freeze({ shared: Object.freeze(shared), withheld: Object.freeze(withheld) })
    // A provider of which everything was withheld in silence would say by its name what was.
    if (isSilent(record, selection)) {
      left.push(gives)
      continue
    }
    const folder = `records/${String(sources.length + 1).padStart(2, '0')}`
    sources.push(await addSource(parts, crypto, record, folder, terms, selection))
    given.push(gives)
  }
  if (!parts.some((part) => part.resources)) {
    throw new SmartError('SHARE_NOTHING', 'nothing that was collected is covered by the consent', {
      subject: study.id,
    })
  }

  parts.sort((a, b) => compare(a.path, b.path))
  const manifest: Manifest = {
    format: 's4s-package/1',
    study: { id: study.id, title: study.title },
    participant: consent.participant,
    consent: { id: consent.id, version: consent.version, sha256: agreed.sha256, path: 'consent.json' },
    withdrawalCommitment: consent.withdrawalCommitment,
    sources,
    parts: parts.map(({ path, contentType, size, sha256: digest, resources }) => ({
      path,
      contentType,
      size,
      sha256: digest,
      ...(resources === undefined ? {} : { resources }),
    })),
    software: { name: '@s4s/core', version },
  }
  const manifestBytes = encode(JSON.stringify(manifest))
  return Object.freeze({
    digest: await sha256(crypto, manifestBytes),
    manifest,
    manifestBytes,
    parts: Object.freeze(parts),
    given: Object.freeze([...given, ...left]),
  })
}

interface Part extends PackagePart {
  readonly resources?: number
}

async function addPart(
  parts: Part[],
  crypto: CryptoPort,
  path: string,
  contentType: string,
  open: PackagePart['open'],
  made: { readonly bytes?: Uint8Array; readonly resources?: number } = {},
): Promise<Part> {
  const bytes = made.bytes ?? (await open())
  const part = Object.freeze({
    path,
    contentType,
    size: bytes.length,
    sha256: await sha256(crypto, bytes),
    open,
    ...(made.resources === undefined ? {} : { resources: made.resources }),
  })
  parts.push(part)
  return part
}

async function addSource(
  parts: Part[],
  crypto: CryptoPort,
  record: PatientRecord,
  folder: string,
  terms: Terms,
  selection: Selection,
): Promise<ManifestSource> {
  const { classes } = terms
  const counts: Record<string, number> = {}
  for (const type of Object.keys(record.types()).sort()) {
    if (!/^[A-Z][A-Za-z]{0,63}$/.test(type)) throw new TypeError('a record holds a type that is none')
    const count = await addResources(parts, crypto, folder, type, selection)
    if (count > 0) counts[type] = count
  }
  await addAttachments(parts, crypto, record, folder, selection)
  if (Object.keys(counts).length > 0) {
    await addPart(parts, crypto, `${folder}/provenance.ndjson`, ndjson, () =>
      encode(`${JSON.stringify(provenanceOf(record, counts))}\n`),
    )
  }
  const { provider } = record
  return {
    folder,
    connection: record.connection,
    provider: {
      ...{ id: provider.id, name: provider.name, iss: provider.iss },
      ...(provider.vendor === undefined ? {} : { vendor: provider.vendor }),
    },
    patient: record.patient,
    startedAt: record.startedAt.toISOString(),
    collectedAt: record.collectedAt.toISOString(),
    plan: { id: record.plan.id, classes: record.plan.classes.filter((name) => classes.has(name)) },
    completeness: toldCompleteness(record, terms, selection),
    issues: toldIssues(record, terms, selection),
    withheld: selection.withheld.filter(({ reason }) => toldReasons.has(reason)),
    ...(terms.removes.length === 0 ? {} : { removed: selection.removed }),
    counts,
  }
}

/** True when nothing of a record is shared, and something of it was withheld in silence. */
function isSilent(record: PatientRecord, selection: Selection): boolean {
  const silent = selection.withheld.some(({ reason }) => !toldReasons.has(reason))
  if (!silent) return false
  return Object.keys(record.types()).every(
    (type) => selection.lines(type)[Symbol.iterator]().next().done === true,
  )
}

const ndjson = 'application/fhir+ndjson'
const mostBytes = 4 * 1024 * 1024

// One pass over the lines; each part remembers only which of them are its own.
async function addResources(
  parts: Part[],
  crypto: CryptoPort,
  folder: string,
  type: string,
  selection: Selection,
): Promise<number> {
  let from = 0
  let number = 0
  let chunk: Uint8Array[] = []
  let size = 0
  const flush = async (): Promise<void> => {
    if (chunk.length === 0) return
    const [start, length] = [from, chunk.length]
    const path = `${folder}/${type}-${String(++number).padStart(4, '0')}.ndjson`
    const open = (): Uint8Array<ArrayBuffer> => encodeLines(selection.lines(type), start, length)
    await addPart(parts, crypto, path, ndjson, open, { bytes: concat(chunk, size), resources: length })
    from += length
    chunk = []
    size = 0
  }
  for (const line of selection.lines(type)) {
    const bytes = encode(`${line}\n`)
    // A resource larger than a part, such as a report with its pages inside, is a part of its own.
    if (size + bytes.length > mostBytes) await flush()
    chunk.push(bytes)
    size += bytes.length
  }
  await flush()
  return from
}

function encodeLines(lines: Iterable<string>, from: number, count: number): Uint8Array<ArrayBuffer> {
  const chunk: Uint8Array[] = []
  let size = 0
  let at = 0
  for (const line of lines) {
    if (at++ < from) continue
    const bytes = encode(`${line}\n`)
    chunk.push(bytes)
    size += bytes.length
    if (chunk.length === count) break
  }
  return concat(chunk, size)
}

async function addAttachments(
  parts: Part[],
  crypto: CryptoPort,
  record: PatientRecord,
  folder: string,
  selection: Selection,
): Promise<void> {
  const paths = new Map<string, string>()
  const index: string[] = []
  for (const attachment of record.attachments) {
    if (!selection.sharesFile(attachment)) continue
    const { status, source, contentType, size, reason } = attachment
    if (attachment.status !== 'received') {
      index.push(JSON.stringify({ source, status, contentType, ...(reason === undefined ? {} : { reason }) }))
      continue
    }
    const open: PackagePart['open'] = () => (attachment.shelved ? attachment.open() : attachment.bytes())
    const bytes = await open()
    const digest = await sha256(crypto, bytes)
    const path = paths.get(digest) ?? `${folder}/attachments/${digest}.${extensionOf(attachment)}`
    if (!paths.has(digest)) {
      paths.set(digest, path)
      await addPart(parts, crypto, path, contentType, open, { bytes })
    }
    index.push(JSON.stringify({ source, status, contentType, size, sha256: digest, path }))
  }
  if (index.length === 0) return
  const lines = encode(`${index.sort(compare).join('\n')}\n`)
  await addPart(parts, crypto, `${folder}/attachments.ndjson`, 'application/x-ndjson', () => lines.slice())
}

// A file is named by what it is said to be, from this table only; a server's word never becomes a path.
const extensions: ReadonlyMap<string, string> = new Map([
  ['application/pdf', 'pdf'],
  ['application/json', 'json'],
  ['application/fhir+json', 'json'],
  ['application/xml', 'xml'],
  ['application/hl7-v3+xml', 'xml'],
  ['application/cda+xml', 'xml'],
  ['text/xml', 'xml'],
  ['text/plain', 'txt'],
  ['text/html', 'html'],
  ['text/rtf', 'rtf'],
  ['application/rtf', 'rtf'],
  ['image/jpeg', 'jpg'],
  ['image/png', 'png'],
  ['image/gif', 'gif'],
  ['image/tiff', 'tif'],
  ['application/dicom', 'dcm'],
])
const extensionOf = ({ contentType }: RecordAttachment): string => extensions.get(contentType) ?? 'bin'

function bySource(a: PatientRecord, b: PatientRecord): number {
  return (
    compare(a.provider.id, b.provider.id) ||
    compare(a.patient, b.patient) ||
    a.collectedAt.getTime() - b.collectedAt.getTime() ||
    compare(a.connection, b.connection)
  )
}

function concat(chunks: readonly Uint8Array[], size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}

const encode = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text)
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
