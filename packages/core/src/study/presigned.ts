import { ambientClock, ambientCrypto, ambientFetch } from '../ambient.js'
import { SmartError } from '../errors.js'
import type { CryptoPort, Platform } from '../ports.js'
import { pool } from '../util/async.js'
import { base64, sha256 } from '../util/bytes.js'
import { isObject, parseJson, stringAt } from '../util/json.js'
import { md5Base64 } from '../util/old-hash.js'
import { Secret } from '../util/secret.js'
import { tell } from '../util/tell.js'
import { createTransport, type Transport, type TransportResponse } from '../util/transport.js'
import { join } from '../util/url.js'
import {
  checkDeliveryUrl,
  checkWithdrawalReceipt,
  type Delivery,
  type DeliveryOptions,
  type DeliveryProgress,
  httpDelivery,
  patienceFor,
  refusal,
  sendPatiently,
  type WithdrawalNotice,
} from './delivery.js'
import { openedPart } from './opened.js'
import type { Package } from './package.js'
import { checkReceipt, expectedReceipt, type Receipt } from './receipt.js'

/** What an app asks the study for: a place in its storage for one file of a package. */
export interface UploadAsked {
  /** The package's digest; files of several packages may have the same path. */
  readonly digest: string
  /** The study's id. */
  readonly study: string
  readonly participant: string
  /** The consent's id. */
  readonly consent: string
  /** The manifest comes last: with it the package is whole. */
  readonly kind: 'part' | 'manifest'
  /** `manifest.json`, or the path of the part. */
  readonly path: string
  readonly contentType: string
  readonly size: number
  /** Hexadecimal. */
  readonly sha256: string
  /** The same bytes in base64, for `x-amz-checksum-sha256`, and their MD5, for `content-md5`. */
  readonly checksums: { readonly sha256: string; readonly md5: string }
}

/** Where a file may be put, once; or that it is there. */
export type UploadSigned =
  | {
      readonly held: true
      /** Since when, as an instant. */
      readonly at?: string
    }
  | {
      readonly held?: false
      /** A pre-signed URL for `PUT`. */
      readonly url: string
      /** Headers that were signed along, such as a checksum that the storage holds the bytes against. */
      readonly headers?: Readonly<Record<string, string>>
      /** A pre-signed URL for `HEAD` of the same object, to see whether it is there. */
      readonly look?: string
    }

/** Signs a place for one file. Called again for the same file when the storage refuses what was signed before. */
export type SignUpload = (
  asked: UploadAsked,
  options: { readonly signal?: AbortSignal },
) => Promise<UploadSigned>

export interface PresignedDeliveryOptions {
  /** The study's own endpoint. */
  readonly url: string
  /** The study key, which goes to the endpoint and never to the storage. Not needed with both `sign` and `notify`. */
  readonly key?: string
  /** Default: `POST {url}/uploads` with what is asked as JSON, which answers with what was signed as JSON. */
  readonly sign?: SignUpload
  /** Takes a withdrawal and answers with its receipt. Default: `POST {url}/withdrawals`, as an inbox has it. */
  readonly notify?: (notice: WithdrawalNotice, options: { readonly signal?: AbortSignal }) => Promise<unknown>
  readonly platform?: Pick<Platform, 'fetch' | 'crypto' | 'clock'>
}

/**
 * Delivers into a study's object storage, S3 or one that is like it: every file by a pre-signed URL that the study hands
 * out, the manifest last, so that a package is whole when its manifest is there. What is there already is not sent again.
 *
 * The receipt has `issuer: 'storage'`: the storage took every file, and compared what it was given a checksum for; the
 * study has not looked yet. Its `receivedAt` is the storage's, where it can be seen.
 *
 * @example presignedDelivery({ url: study.recipient, key: studyKey })
 * @throws SmartError `CONFIG_INVALID`, `CONFIG_INSECURE_URL`
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/PresignedUrlUploadObject.html
 */
export function presignedDelivery(options: PresignedDeliveryOptions): Delivery {
  const { url, key, notify } = options
  checkDeliveryUrl(url)
  if (key === undefined && !(options.sign && notify))
    throw new SmartError('CONFIG_INVALID', 'the delivery needs the study key, or both sign and notify')
  const platform = options.platform ?? { fetch: ambientFetch, crypto: ambientCrypto, clock: ambientClock }
  const transport = createTransport(platform)
  const inbox = key === undefined ? undefined : httpDelivery({ url, key, platform })
  const sign = options.sign ?? signerAt(url, new Secret(key ?? ''), platform, transport)
  const storage: Storage = { sign, platform, transport }
  return Object.freeze({
    recipient: url,
    issuer: 'storage' as const,
    deliver: (pack: Package, { signal, onProgress }: DeliveryOptions = {}) =>
      deliver(storage, pack, signal, (progress) => tell(onProgress, progress)),
    withdraw: async (notice: WithdrawalNotice, given: DeliveryOptions = {}) =>
      notify || !inbox
        ? checkWithdrawalReceipt(await notify?.(notice, given), notice)
        : inbox.withdraw(notice, given),
  })
}

function signerAt(
  url: string,
  key: Secret,
  platform: Pick<Platform, 'crypto' | 'clock'>,
  transport: Transport,
): SignUpload {
  return async (asked, { signal }) => {
    const request = (): Promise<TransportResponse> =>
      transport({
        url: join(url, 'uploads'),
        within: [url],
        method: 'POST',
        headers: { accept: 'application/json', 'content-type': 'application/json' },
        bearer: key,
        body: JSON.stringify(asked),
        maxBytes: 1024 * 1024,
        ...(signal ? { signal } : {}),
      })
    const answer = await sendPatiently(platform, request, signal)
    if (answer.status < 200 || answer.status > 299) throw refusal(answer)
    return parseJson(answer.text()) as UploadSigned
  }
}

interface Storage {
  readonly sign: SignUpload
  readonly platform: Pick<Platform, 'fetch' | 'crypto' | 'clock'>
  readonly transport: Transport
}

const uploadsAtATime = 3

async function deliver(
  storage: Storage,
  pack: Package,
  signal: AbortSignal | undefined,
  report: (progress: DeliveryProgress) => void,
): Promise<Receipt> {
  const { crypto } = storage.platform
  const total = pack.parts.length
  const manifest = await askedFor(pack, 'manifest', manifestFile, pack.manifestBytes, crypto)
  const whole = await lookedFor(storage, manifest, signal)
  if (whole !== undefined) {
    report({ done: total, total })
    return receiptOf(storage, pack, whole)
  }
  let done = 0
  report({ done, total })
  await pool(
    uploadsAtATime,
    pack.parts.map((part) => async () => {
      signal?.throwIfAborted()
      const bytes = await openedPart(part, crypto)
      await bring(storage, await askedFor(pack, 'part', part, bytes, crypto), bytes, signal)
      report({ done: ++done, total })
    }),
  )
  return receiptOf(storage, pack, await bring(storage, manifest, pack.manifestBytes, signal))
}

const manifestFile = { path: 'manifest.json', contentType: 'application/json' } as const

async function askedFor(
  pack: Package,
  kind: UploadAsked['kind'],
  { path, contentType }: Pick<UploadAsked, 'path' | 'contentType'>,
  bytes: Uint8Array<ArrayBuffer>,
  crypto: CryptoPort,
): Promise<UploadAsked> {
  const { study, participant, consent } = pack.manifest
  const digest = await sha256(crypto, bytes)
  const raw = Uint8Array.from(digest.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16))
  return {
    digest: pack.digest,
    ...{ study: study.id, participant, consent: consent.id },
    ...{ kind, path, contentType, size: bytes.length, sha256: digest },
    checksums: { sha256: base64(raw), md5: md5Base64(bytes) },
  }
}

/** Since when the storage holds a file, or an empty text when it does not say; undefined when it does not hold it. */
async function lookedFor(
  storage: Storage,
  asked: UploadAsked,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const signed = await signedFor(storage, asked, signal)
  return 'held' in signed ? signed.held : lookedAt(storage, asked, signed, signal)
}

const tries = 3

/** Settles when the storage holds the file, with since when. */
async function bring(
  storage: Storage,
  asked: UploadAsked,
  bytes: Uint8Array<ArrayBuffer>,
  signal: AbortSignal | undefined,
): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    const signed = await signedFor(storage, asked, signal)
    if ('held' in signed) return signed.held
    const there = await lookedAt(storage, asked, signed, signal)
    if (there !== undefined) return there
    const patience = patienceFor(bytes.length)
    const request = (): Promise<TransportResponse> =>
      storage.transport({
        url: signed.url,
        method: 'PUT',
        headers: signed.headers,
        body: bytes,
        idleTimeout: patience,
        totalTimeout: 2 * patience,
        ...(signal ? { signal } : {}),
      })
    const answer = await sendPatiently(storage.platform, request, signal)
    if (answer.status >= 200 && answer.status <= 299) return answer.headers.get('date') ?? ''
    // The study signed that nothing may be replaced, and an object is whole or not there.
    if (answer.status === 412 && 'if-none-match' in signed.headers) return ''
    // A signature that has run out, or bytes that a checksum found damaged on their way.
    const again = answer.status === 403 || answer.status === 400
    if (!again || attempt >= tries)
      throw new SmartError('SHARE_REFUSED', `the storage answered with status ${answer.status}`, {
        status: answer.status,
      })
  }
}

async function lookedAt(
  { transport, platform }: Storage,
  asked: UploadAsked,
  { look }: Place,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  if (look === undefined) return undefined
  const request = (): Promise<TransportResponse> =>
    transport({ url: look, method: 'HEAD', ...(signal ? { signal } : {}) })
  const { status, headers } = await sendPatiently(platform, request, signal)
  const checksum = headers.get('x-amz-checksum-sha256') ?? asked.checksums.sha256
  const isWhole = headers.get('content-length') === `${asked.size}` && checksum === asked.checksums.sha256
  return status === 200 && isWhole ? (headers.get('last-modified') ?? '') : undefined
}

interface Place {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly look: string | undefined
}

async function signedFor(
  { sign }: Storage,
  asked: UploadAsked,
  signal: AbortSignal | undefined,
): Promise<Place | { readonly held: string }> {
  const signed: unknown = await sign(asked, signal ? { signal } : {})
  if (isObject(signed) && signed.held === true) return { held: stringAt(signed, 'at') ?? '' }
  const url = stringAt(signed, 'url')
  if (url === undefined) throw refused('hands out no URL')
  return { url, look: stringAt(signed, 'look'), headers: headersIn(signed) }
}

// A URL that was signed needs no one to be known; a header that says who sends it would tell the storage.
const secrets = ['authorization', 'cookie', 'proxy-authorization']

function headersIn(signed: unknown): Record<string, string> {
  const given = isObject(signed) && isObject(signed.headers) ? signed.headers : {}
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(given)) {
    // A platform's own error about a bad value would quote the value.
    if (!/^[A-Za-z0-9-]{1,100}$/.test(name) || typeof value !== 'string' || !/^[\t -~]{0,4000}$/.test(value))
      throw refused('hands out a header that cannot be sent')
    // The platform writes these itself.
    if (/^(host|content-length)$/i.test(name)) continue
    if (secrets.includes(name.toLowerCase())) throw refused('hands out a header that no storage is sent')
    headers[name.toLowerCase()] = value
  }
  return headers
}

function receiptOf({ platform }: Storage, pack: Package, since: string): Receipt {
  const at = Date.parse(since)
  const receivedAt = new Date(Number.isNaN(at) ? platform.clock.now() : at).toISOString()
  const id = `storage-${pack.digest.slice(0, 32)}`
  return checkReceipt({ id, receivedAt, ...expectedReceipt(pack), issuer: 'storage' }, pack)
}

const refused = (what: string): SmartError => new SmartError('SHARE_REFUSED', `the study’s endpoint ${what}`)
