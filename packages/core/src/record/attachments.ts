import { isSmartError, SmartError } from '../errors.js'
import type { Reader } from '../fhir/types.js'
import type { CryptoPort, FileShelf } from '../ports.js'
import { orAborted } from '../util/abort.js'
import { pool } from '../util/async.js'
import { base64, fromBase64, hex, sha256 } from '../util/bytes.js'
import { isObject, parseJson, stringAt } from '../util/json.js'
import { storage } from '../util/storage.js'
import type { Held } from './shelf.js'

/**
 * How the bytes behind an attachment were had, or why not: `foreign` lies outside the provider's FHIR base,
 * `mismatch` is not the file whose hash or size the resource states.
 */
export type AttachmentStatus = 'received' | 'missing' | 'too-large' | 'foreign' | 'failed' | 'mismatch'

/** A file of the record, such as a clinical note. Never opened or interpreted, only kept. */
export interface RecordAttachment {
  readonly status: AttachmentStatus
  /** As the resource states it, else as the server sent it. */
  readonly contentType: string
  /** Bytes received, or 0. */
  readonly size: number
  /** Hexadecimal, when it was received. */
  readonly sha256?: string
  /** `DocumentReference/x`: the resource that points to it. */
  readonly source: string
  /** True when the bytes are on a shelf: only `open` reads them. */
  readonly shelved?: true
  /** The first of the data classes it belongs to. */
  readonly dataClass: string
  /** Data classes that it belongs to: those of its source which include files. */
  readonly dataClasses: readonly string[]
  /** An error code, when it was not received. */
  readonly reason?: string
  /** A copy of the bytes; throws a `TypeError` when there are none, or when they are on a shelf: see `open`. */
  bytes(): Uint8Array<ArrayBuffer>
  /**
   * The bytes, wherever they are kept.
   *
   * @throws TypeError when there are none; SmartError `CONFIG_STORAGE_FAILED` when the shelf no longer has what it took
   */
  open(): Promise<Uint8Array<ArrayBuffer>>
}

/** Files with what wipes them. */
export interface AttachmentShelf {
  readonly attachments: readonly RecordAttachment[]
  /** Nothing can be read once it is called; it settles when the shelf has let go of its files too. */
  wipe(): Promise<void>
}

export interface FetchAttachments {
  readonly reader: Reader
  readonly crypto: CryptoPort
  readonly concurrency: number
  readonly signal?: AbortSignal
  readonly maxBytes: number
  /** Where fetched files go; in memory when there is none. */
  readonly shelf?: FileShelf
  /** Most bytes of all files that are fetched together. Default 500 MiB. */
  readonly maxTotalBytes?: number
  /** Names of the data classes whose files are wanted, in the order of the plan. */
  readonly dataClasses: readonly string[]
  /** An error after which nothing more is asked, such as the end of access. */
  isOver(): string | undefined
  over(error: unknown): void
  onReceived(attachment: RecordAttachment): void
}

const MiB = 1024 * 1024
/** Most bytes of one file, unless the caller says otherwise. */
export const attachmentLimit: number = 25 * MiB
const totalLimit = 500 * MiB
const mostAttachments = 10_000

/**
 * Fetches the files behind `DocumentReference.content` and `DiagnosticReport.presentedForm`, each URL once.
 * A file that cannot be had is a row that says why.
 *
 * @see https://hl7.org/fhir/R4/datatypes.html#Attachment
 */
export async function fetchAttachments(
  resources: Iterable<Held>,
  options: FetchAttachments,
): Promise<AttachmentShelf> {
  const found: RecordAttachment[] = []
  const kept = new Map<string, Uint8Array<ArrayBuffer>>()
  const budget = { left: options.maxTotalBytes ?? totalLimit }
  let wiped = false

  const record = (
    place: Place,
    got: Got,
    bytes?: () => Uint8Array<ArrayBuffer>,
    open?: RecordAttachment['open'],
  ): void => {
    const missing = (): TypeError => new TypeError(`the file of ${place.source} is not in the record`)
    const attachment = Object.freeze({
      ...got,
      source: place.source,
      ...(open ? { shelved: true as const } : {}),
      dataClass: place.dataClasses[0] as string,
      dataClasses: place.dataClasses,
      bytes: () => {
        if (wiped || !bytes) throw missing()
        return bytes()
      },
      open: async () => {
        if (wiped || !(open ?? bytes)) throw missing()
        return open ? open() : (bytes as () => Uint8Array<ArrayBuffer>)()
      },
    })
    found.push(attachment)
    options.onReceived(attachment)
  }

  const { shelf } = options
  const shelved = new Set<string>()
  const recordShelved = async (
    place: Place,
    got: Got,
    digest: string,
    bytes: Uint8Array<ArrayBuffer>,
  ): Promise<void> => {
    try {
      if (!shelved.has(digest)) await storage(() => (shelf as FileShelf).put(digest, bytes))
    } catch (error) {
      const { contentType } = got
      return record(place, { status: 'failed', contentType, size: 0, reason: (error as SmartError).code })
    }
    shelved.add(digest)
    record(
      place,
      got,
      () => {
        throw new TypeError(`the file of ${place.source} is on a shelf: open() reads it`)
      },
      () => fromShelf(shelf as FileShelf, digest, options.crypto),
    )
  }

  const inline: Place[] = []
  const byUrl = new Map<string, Place[]>()
  for (const place of places(resources, options.dataClasses)) {
    const url = stringAt(place.stated, 'url')
    if (stringAt(place.stated, 'data') !== undefined) inline.push(place)
    else if (url !== undefined) byUrl.set(url, [...(byUrl.get(url) ?? []), place])
  }

  for (const place of inline) {
    options.signal?.throwIfAborted()
    // Held once, in the resource's text, and decoded again whenever it is asked for.
    const decode = (): Uint8Array<ArrayBuffer> => decodeInline(place)
    record(place, await inspectInline(place.stated, options, decode), decode)
  }

  const fetchOne = async ([url, sharing]: [string, Place[]]): Promise<void> => {
    const [first] = sharing as [Place]
    const answer = await fetchBytes(url, first.stated, options, budget)
    for (const place of sharing) {
      const got = 'bytes' in answer ? await verify(place.stated, answer, options.crypto) : answer
      if ('bytes' in answer && got.sha256 !== undefined) {
        const { sha256: digest } = got
        if (shelf) await recordShelved(place, got, digest, answer.bytes)
        else {
          if (!kept.has(digest)) kept.set(digest, answer.bytes)
          record(place, got, () => (kept.get(digest) as Uint8Array<ArrayBuffer>).slice())
        }
      } else record(place, got)
    }
  }
  await pool(
    options.concurrency,
    [...byUrl].map((entry) => () => fetchOne(entry)),
  )
  return {
    attachments: Object.freeze(found.sort(bySource)),
    wipe: async () => {
      wiped = true
      kept.clear()
      for (const digest of shelved) await storage(() => (shelf as FileShelf).delete(digest))
      shelved.clear()
    },
  }
}

// What a shelf gives back is what it was given, or an error: another file would end up in a study.
async function fromShelf(
  shelf: FileShelf,
  digest: string,
  crypto: CryptoPort,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await storage(() => shelf.get(digest))
  if (!bytes || (await sha256(crypto, bytes)) !== digest)
    throw new SmartError('CONFIG_STORAGE_FAILED', 'a file of the record is no longer as it was kept')
  return bytes
}

/** One attachment element: where it stands and what it states. */
interface Place {
  readonly source: string
  readonly dataClasses: readonly string[]
  readonly held: Held
  readonly index: number
  /** Its elements but for `data`, of which only whether there is any is kept. */
  readonly stated: Readonly<Record<string, unknown>>
}

type Got = Pick<RecordAttachment, 'status' | 'contentType' | 'size' | 'sha256' | 'reason'>

function* places(resources: Iterable<Held>, wanted: readonly string[]): Iterable<Place> {
  let left = mostAttachments
  for (const held of resources) {
    const dataClasses = Object.freeze(wanted.filter((name) => held.classes.has(name)))
    if (dataClasses.length === 0) continue
    const elements = attachmentsOf(parseJson(held.text))
    for (const [index, element] of elements.entries()) {
      if (left-- <= 0) return
      const stated: Record<string, unknown> = {}
      for (const key of ['contentType', 'url', 'size', 'hash']) stated[key] = element[key]
      if (stringAt(element, 'data') !== undefined) stated.data = 'inline'
      yield { source: `${held.type}/${held.id}`, dataClasses, held, index, stated }
    }
  }
}

function attachmentsOf(resource: unknown): Record<string, unknown>[] {
  if (!isObject(resource)) return []
  const list = (value: unknown): Record<string, unknown>[] =>
    Array.isArray(value) ? value.filter(isObject) : []
  if (resource.resourceType === 'DocumentReference') {
    return list(resource.content)
      .map((content) => content.attachment)
      .filter(isObject)
  }
  return resource.resourceType === 'DiagnosticReport' ? list(resource.presentedForm) : []
}

function decodeInline(place: Place): Uint8Array<ArrayBuffer> {
  return fromBase64(stringAt(attachmentsOf(parseJson(place.held.text))[place.index], 'data') ?? '')
}

async function inspectInline(
  stated: Place['stated'],
  options: FetchAttachments,
  decode: () => Uint8Array<ArrayBuffer>,
): Promise<Got> {
  const contentType = contentTypeOf(stated) ?? unknownType
  let bytes: Uint8Array<ArrayBuffer>
  try {
    bytes = decode()
  } catch {
    return { status: 'failed', contentType, size: 0, reason: 'base64' }
  }
  if (bytes.length > options.maxBytes) return { status: 'too-large', contentType, size: 0 }
  // FHIR states the size of what lies behind a URL; data in place is as long as it is.
  return verify({ ...stated, size: undefined }, { bytes, contentType }, options.crypto)
}

async function fetchBytes(
  url: string,
  stated: Place['stated'],
  options: FetchAttachments,
  budget: { left: number },
): Promise<{ readonly bytes: Uint8Array<ArrayBuffer>; readonly contentType: string } | Got> {
  const contentType = contentTypeOf(stated)
  const without = (status: AttachmentStatus, reason?: string): Got => ({
    status,
    contentType: contentType ?? unknownType,
    size: 0,
    ...(reason === undefined ? {} : { reason }),
  })
  const over = options.isOver()
  if (over !== undefined) return without('failed', over)
  const size = stated.size
  const most = Math.min(options.maxBytes, budget.left)
  if (most <= 0 || (typeof size === 'number' && size > most)) return without('too-large')
  const { signal } = options
  try {
    const answer = await orAborted(signal, () =>
      options.reader.attachment(url, {
        ...(signal ? { signal } : {}),
        ...(contentType === undefined ? {} : { accept: contentType }),
      }),
    )
    if (answer.bytes.length > Math.min(options.maxBytes, budget.left)) return without('too-large')
    budget.left -= answer.bytes.length
    return { bytes: answer.bytes, contentType: contentType ?? mediaType(answer.contentType) ?? unknownType }
  } catch (error) {
    if (signal?.aborted) throw signal.reason
    options.over(error)
    return without(statusOf(error), isSmartError(error) ? error.code : undefined)
  }
}

function statusOf(error: unknown): AttachmentStatus {
  if (!isSmartError(error)) return 'failed'
  if (error.code === 'FHIR_NOT_FOUND' || error.code === 'FHIR_GONE') return 'missing'
  if (error.code === 'FHIR_FOREIGN_URL') return 'foreign'
  return error.code === 'FHIR_RESPONSE_TOO_LARGE' ? 'too-large' : 'failed'
}

// A hash says more than a size: where both are stated and the hash fits, the size is taken for a slip.
async function verify(
  stated: Place['stated'],
  answer: { readonly bytes: Uint8Array<ArrayBuffer>; readonly contentType: string },
  crypto: CryptoPort,
): Promise<Got> {
  const { bytes, contentType } = answer
  const mismatch = (reason: string): Got => ({ status: 'mismatch', contentType, size: 0, reason })
  const hash = stringAt(stated, 'hash')
  if (hash !== undefined) {
    const sha1 = new Uint8Array(await crypto.subtle.digest('SHA-1', bytes))
    // FHIR: base64 of the digest; some servers write it in hexadecimal.
    if (hash !== base64(sha1) && hash.toLowerCase() !== hex(sha1)) return mismatch('hash')
  } else if (typeof stated.size === 'number' && stated.size !== bytes.length) return mismatch('size')
  return { status: 'received', contentType, size: bytes.length, sha256: await sha256(crypto, bytes) }
}

const unknownType = 'application/octet-stream'
const contentTypeOf = (stated: Place['stated']): string | undefined =>
  mediaType(stringAt(stated, 'contentType'))

// The server's word becomes a header and a line of a manifest: only type/subtype gets through.
function mediaType(text: string | undefined): string | undefined {
  const match = /^\s*([A-Za-z0-9!#$&^_.+-]{1,64}\/[A-Za-z0-9!#$&^_.+-]{1,64})\s*(?:;|$)/.exec(text ?? '')
  return match?.[1]?.toLowerCase()
}

const bySource = (a: RecordAttachment, b: RecordAttachment): number =>
  compare(a.source, b.source) || compare(a.sha256 ?? '', b.sha256 ?? '') || compare(a.status, b.status)
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
