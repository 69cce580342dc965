import { ambientClock, ambientCrypto, ambientFetch } from '../ambient.js'
import { SmartError } from '../errors.js'
import type { Platform } from '../ports.js'
import { backoff, pool, retryAfterSeconds } from '../util/async.js'
import { base64, sha256 } from '../util/bytes.js'
import { isObject, parseJson, stringAt, stringsAt } from '../util/json.js'
import { Secret } from '../util/secret.js'
import { tell } from '../util/tell.js'
import {
  createTransport,
  type Transport,
  TransportError,
  type TransportRequest,
  type TransportResponse,
} from '../util/transport.js'
import { isSecure, join, parseUrl } from '../util/url.js'
import type { Package, PackagePart } from './package.js'
import { checkReceipt, type Receipt, type ReceiptIssuer } from './receipt.js'

/** What a participant sends when they withdraw. The key proves that it is they. */
export interface WithdrawalNotice {
  readonly format: 's4s-withdrawal/1'
  /** The study's id. */
  readonly study: string
  readonly participant: string
  /** The package's digest. */
  readonly digest: string
  /** The consent's id. */
  readonly consent: string
  /** `stop`: keep what was shared but take no more. `delete`: remove it too. */
  readonly ask: 'stop' | 'delete'
  readonly at: string
  /** Its SHA-256 is the manifest's `withdrawalCommitment`. */
  readonly key: string
}

/** What a study says it removed of one package. */
export interface RemovedPackage {
  /** The package's digest. */
  readonly digest: string
  /** How many files, as they were sent. */
  readonly parts: number
  /** Their bytes together. */
  readonly bytes: number
  /** SHA-256, hexadecimal, over a line `<sha256> <size>` of each file, sorted, each with its line end. */
  readonly partsDigest: string
}

/** The study's word that it has heard. */
export interface WithdrawalReceipt {
  readonly id: string
  readonly digest: string
  readonly at: string
  readonly deleted: boolean
  /** Every package of the consent that was removed, when the study says so. */
  readonly removed?: readonly RemovedPackage[]
  /** What the study signed, as a compact JWS. */
  readonly signature?: string
}

export interface DeliveryOptions {
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: DeliveryProgress) => void
}

/** How far a delivery is. */
export interface DeliveryProgress {
  /** Parts that the study holds. */
  readonly done: number
  readonly total: number
}

/** A way to a study. `httpDelivery` is one; a study may bring its own. */
export interface Delivery {
  /** Where it leads; `share` refuses one that leads elsewhere than the study says. */
  readonly recipient?: string
  /** Set when its receipts are not the study's own word; `share` refuses it for a study that signs them. */
  readonly issuer?: ReceiptIssuer
  /** Settles when the study holds the whole package; the same package again delivers once. */
  deliver(pack: Package, options?: DeliveryOptions): Promise<Receipt>
  withdraw(notice: WithdrawalNotice, options?: DeliveryOptions): Promise<WithdrawalReceipt>
}

/** A part's way to an inbox. It settles when the inbox holds the part, or says that it no longer knows the package. */
export type PartUpload = (
  part: PackagePart,
  to: {
    /** The inbox. */
    readonly url: string
    /** The package's digest. */
    readonly digest: string
    /** With the study key; for the inbox only. */
    readonly headers: Readonly<Record<string, string>>
    readonly signal?: AbortSignal
  },
) => Promise<'held' | 'gone'>

/**
 * Delivers to a study's inbox over HTTP, part by part: what has arrived is not sent again, and what passes is retried.
 *
 * @example httpDelivery({ url: study.recipient, key: studyKey })
 */
export function httpDelivery(options: {
  readonly url: string
  /** The study key, which lets an app deliver and nothing more. */
  readonly key: string
  /** How parts travel, such as `tusParts()` of `@s4s/core/tus`. Default: each in one request. */
  readonly parts?: PartUpload
  readonly platform?: Pick<Platform, 'fetch' | 'crypto' | 'clock'>
}): Delivery {
  const { url, key, parts } = options
  checkDeliveryUrl(url)
  if (typeof key !== 'string' || !/^[A-Za-z0-9._~+/=-]+$/.test(key)) {
    throw new SmartError('CONFIG_INVALID', 'the study key holds characters that no header may hold')
  }
  const platform = options.platform ?? { fetch: ambientFetch, crypto: ambientCrypto, clock: ambientClock }
  const secret = new Secret(key)
  const bring = parts ?? ((part, to) => putPart(inbox, part, to))
  const inbox: Inbox = { url, key: secret, platform, transport: createTransport(platform), bring }
  return Object.freeze({
    recipient: url,
    deliver: (pack: Package, { signal, onProgress }: DeliveryOptions = {}) =>
      deliver(inbox, pack, signal, (progress) => tell(onProgress, progress)),
    withdraw: (notice: WithdrawalNotice, { signal }: DeliveryOptions = {}) =>
      sendNotice(inbox, notice, signal),
  })
}

/**
 * Makes sure that a study can be reached at a URL.
 *
 * @throws SmartError `CONFIG_INVALID`, `CONFIG_INSECURE_URL`
 */
export function checkDeliveryUrl(url: string): void {
  const base = typeof url === 'string' ? parseUrl(url) : undefined
  if (base?.search !== '' || base.hash !== '') {
    throw new SmartError('CONFIG_INVALID', 'the url of the delivery is not an https URL without a query')
  }
  if (!isSecure(base)) {
    throw new SmartError('CONFIG_INSECURE_URL', 'the url of the delivery is neither https nor loopback')
  }
}

interface Inbox {
  readonly url: string
  readonly key: Secret
  readonly platform: Pick<Platform, 'fetch' | 'crypto' | 'clock'>
  readonly transport: Transport
  readonly bring: PartUpload
}

type Report = (progress: DeliveryProgress) => void

const rounds = 3

// An inbox may forget an open upload, or find a part damaged: then it says what is missing, and that is sent.
async function deliver(
  inbox: Inbox,
  pack: Package,
  signal: AbortSignal | undefined,
  report: Report,
): Promise<Receipt> {
  const total = pack.parts.length
  const manifestMessage = await messageWithDigest(inbox, pack.manifestBytes)
  for (let round = 0; round < rounds; round++) {
    const opened = await send(inbox, 'packages', manifestMessage, signal)
    if (opened.status === 200) {
      report({ done: total, total })
      return receiptIn(opened, pack)
    }
    if (opened.status !== 201) throw refusal(opened)
    const held = await upload(inbox, pack, await missingIn(inbox, opened, pack), signal, report)
    if (!held) continue
    const completed = await send(inbox, `packages/${pack.digest}/complete`, { method: 'POST' }, signal)
    if (completed.status === 200 || completed.status === 201) return receiptIn(completed, pack)
    const again =
      completed.status === 404 || (completed.status === 409 && errorIn(completed) === 'incomplete')
    if (!again) throw refusal(completed)
  }
  throw new SmartError('SHARE_REFUSED', 'the inbox does not get the package complete', {
    reason: 'incomplete',
  })
}

const uploadsAtATime = 3

/** False when the inbox no longer knows of the upload. */
async function upload(
  inbox: Inbox,
  pack: Package,
  missing: readonly PackagePart[],
  signal: AbortSignal | undefined,
  report: Report,
): Promise<boolean> {
  const total = pack.parts.length
  let done = total - missing.length
  let known = true
  report({ done, total })
  await pool(
    uploadsAtATime,
    missing.map((part) => async () => {
      if (!known) return
      const headers = { authorization: `Bearer ${inbox.key.reveal()}` }
      const to = { url: inbox.url, digest: pack.digest, headers, ...(signal ? { signal } : {}) }
      if ((await inbox.bring(part, to)) === 'gone') known = false
      else report({ done: ++done, total })
    }),
  )
  return known
}

async function putPart(
  inbox: Inbox,
  part: PackagePart,
  to: Parameters<PartUpload>[1],
): Promise<'held' | 'gone'> {
  const path = `packages/${to.digest}/parts/${part.sha256}`
  const answer = await send(inbox, path, { method: 'PUT', bytes: await part.open() }, to.signal)
  if (answer.status === 404) return 'gone'
  if (answer.status < 200 || answer.status > 299) throw refusal(answer)
  return 'held'
}

// Two parts with the same bytes are one upload.
async function missingIn(
  inbox: Inbox,
  answer: TransportResponse,
  pack: Package,
): Promise<readonly PackagePart[]> {
  const body = parseJson(answer.text())
  if (stringAt(body, 'digest') !== pack.digest) {
    throw new SmartError('SHARE_RECEIPT_INVALID', 'the inbox opened an upload for another package')
  }
  // The digest says nothing of the seal around it, so the inbox says what it was given.
  if (pack.sealed && stringAt(body, 'sealed') !== (await sha256(inbox.platform.crypto, pack.manifestBytes))) {
    throw new SmartError('SHARE_RECEIPT_INVALID', 'the inbox was given another seal')
  }
  const wanted = new Set(stringsAt(body, 'missing'))
  const byDigest = new Map(pack.parts.map((part) => [part.sha256, part]))
  return [...byDigest.values()].filter((part) => wanted.has(part.sha256))
}

function receiptIn(answer: TransportResponse, pack: Package): Receipt {
  const body = parseJson(answer.text())
  return checkReceipt(isObject(body) && isObject(body.receipt) ? body.receipt : body, pack)
}

async function sendNotice(
  inbox: Inbox,
  notice: WithdrawalNotice,
  signal: AbortSignal | undefined,
): Promise<WithdrawalReceipt> {
  const json = new TextEncoder().encode(JSON.stringify(notice))
  const answer = await send(inbox, 'withdrawals', { method: 'POST', json }, signal)
  if (answer.status < 200 || answer.status > 299) throw refusal(answer)
  return checkWithdrawalReceipt(parseJson(answer.text()), notice)
}

/**
 * Reads the answer to a notice and makes sure that it is the answer to this one.
 *
 * @throws SmartError `SHARE_RECEIPT_INVALID`
 */
export function checkWithdrawalReceipt(value: unknown, notice: WithdrawalNotice): WithdrawalReceipt {
  const [id, digest, at] = [stringAt(value, 'id'), stringAt(value, 'digest'), stringAt(value, 'at')]
  const deleted = isObject(value) ? value.deleted : undefined
  if (id === undefined || at === undefined || digest !== notice.digest || typeof deleted !== 'boolean') {
    throw new SmartError('SHARE_RECEIPT_INVALID', 'the receipt does not match the notice of withdrawal')
  }
  const signature = stringAt(value, 'signature')
  return Object.freeze({
    ...{ id, digest, at, deleted },
    ...removedIn(value),
    ...(signature === undefined ? {} : { signature }),
  })
}

// In the order of its names, as it was signed.
function removedIn(value: unknown): { readonly removed?: readonly RemovedPackage[] } {
  const removed = isObject(value) ? value.removed : undefined
  if (removed === undefined) return {}
  const isCount = (count: unknown): boolean => Number.isSafeInteger(count) && (count as number) >= 0
  const isDigest = (text: string | undefined): boolean => /^[0-9a-f]{64}$/.test(text ?? '')
  const isRemoved = (one: unknown): one is RemovedPackage =>
    isObject(one) &&
    isDigest(stringAt(one, 'digest')) &&
    isDigest(stringAt(one, 'partsDigest')) &&
    isCount(one.parts) &&
    isCount(one.bytes)
  if (!Array.isArray(removed) || !removed.every(isRemoved))
    throw new SmartError('SHARE_RECEIPT_INVALID', 'the receipt does not say what was removed')
  return {
    removed: Object.freeze(
      removed.map(({ digest, parts, bytes, partsDigest }) =>
        Object.freeze({ digest, parts, bytes, partsDigest }),
      ),
    ),
  }
}

// A manifest that was changed on its way would be another package, and as good a one.
async function messageWithDigest({ platform }: Inbox, json: Uint8Array): Promise<Message> {
  const bytes = await platform.crypto.subtle.digest('SHA-256', json as Uint8Array<ArrayBuffer>)
  return { method: 'POST', json, digest: `sha-256=:${base64(new Uint8Array(bytes))}:` }
}

interface Message {
  readonly method: 'POST' | 'PUT'
  /** @see https://www.rfc-editor.org/rfc/rfc9530#section-2 */
  readonly digest?: string
  readonly json?: Uint8Array
  readonly bytes?: Uint8Array
}

const attempts = 4
const longestWait = 30

// Every request of the protocol may be repeated: packages and parts are named by their digests.
function send(
  inbox: Inbox,
  path: string,
  message: Message,
  signal: AbortSignal | undefined,
): Promise<TransportResponse> {
  return sendPatiently(inbox.platform, () => inbox.transport(requestOf(inbox, path, message, signal)), signal)
}

/**
 * Sends a request that may be repeated, and again while what goes wrong may pass.
 *
 * @throws SmartError `SHARE_UNREACHABLE`, `SHARE_REFUSED`; the signal's reason when aborted
 */
export async function sendPatiently(
  platform: Pick<Platform, 'crypto' | 'clock'>,
  request: () => Promise<TransportResponse>,
  signal: AbortSignal | undefined,
): Promise<TransportResponse> {
  for (let attempt = 1; ; attempt++) {
    const outcome = await request().catch((error: unknown) => {
      if (signal?.aborted) throw signal.reason
      return faultOf(error)
    })
    const passing = outcome instanceof Error || isPassing(outcome.status)
    if (!passing) return outcome as TransportResponse
    const retryAfter =
      outcome instanceof Error
        ? undefined
        : retryAfterSeconds(outcome.headers.get('retry-after'), platform.clock.now())
    if (attempt >= attempts || (retryAfter ?? 0) > longestWait) throw unreachable(outcome, retryAfter)
    const [random = 0] = platform.crypto.getRandomValues(new Uint32Array(1))
    const wait = retryAfter === undefined ? backoff(attempt - 1, random / 2 ** 32) : retryAfter * 1000
    await platform.clock.sleep(wait, signal)
  }
}

function requestOf(
  inbox: Inbox,
  path: string,
  message: Message,
  signal: AbortSignal | undefined,
): TransportRequest {
  const body = message.json ?? message.bytes
  const contentType = message.json ? 'application/json' : 'application/octet-stream'
  const patience = patienceFor(body?.length ?? 0)
  return {
    url: join(inbox.url, path),
    within: [inbox.url],
    method: message.method,
    headers: {
      accept: 'application/json',
      ...(body ? { 'content-type': contentType } : {}),
      ...(message.digest === undefined ? {} : { 'content-digest': message.digest }),
    },
    bearer: inbox.key,
    maxBytes: 8 * 1024 * 1024,
    idleTimeout: patience,
    totalTimeout: 2 * patience,
    ...(body ? { body } : {}),
    ...(signal ? { signal } : {}),
  }
}

/** How long to wait for an answer, in milliseconds: it begins only when the body is through, and lines are slow. */
export const patienceFor = (bytes: number): number => 30_000 + bytes / 32.768

// 507 is an answer about this package, not about the moment.
const isPassing = (status: number): boolean =>
  (status >= 500 && status !== 507) || status === 429 || status === 408 || status === 425

/** A fault that may pass is returned; any other is thrown. */
function faultOf(error: unknown): Error {
  if (!(error instanceof TransportError)) throw error
  if (error.fault === 'unreachable' || error.fault === 'timeout') return error
  throw new SmartError('SHARE_REFUSED', `the inbox cannot be used: ${error.message}`, { cause: error })
}

function unreachable(outcome: Error | TransportResponse, retryAfter: number | undefined): SmartError {
  const message = 'the study’s inbox did not take the package; the same call delivers it once'
  if (outcome instanceof Error) return new SmartError('SHARE_UNREACHABLE', message, { cause: outcome })
  return new SmartError('SHARE_UNREACHABLE', message, {
    status: outcome.status,
    ...(retryAfter === undefined ? {} : { retryAfter }),
  })
}

// Only a word of the protocol goes on into a message; whatever else an inbox writes stays where it is.
const words = [
  'key',
  'withdrawn',
  'manifest',
  'consent',
  'digest',
  'full',
  'incomplete',
  'withdrawal-key',
  'unknown',
] as const
function errorIn(answer: TransportResponse): (typeof words)[number] | undefined {
  const error = stringAt(parseJson(answer.text()), 'error')
  return words.find((word) => word === error)
}

/** What an answer of the protocol that is not good means. */
export function refusal(answer: TransportResponse): SmartError {
  const { status } = answer
  const word = errorIn(answer)
  const reason =
    word === 'unknown' ? 'not-found' : word === 'withdrawal-key' ? ('forbidden' as const) : undefined
  const details = { status, ...(reason === undefined ? {} : { reason }) }
  if (status === 401 || (status === 403 && word !== 'withdrawal-key')) {
    return new SmartError('SHARE_KEY_REFUSED', 'the inbox does not accept the study key', details)
  }
  if (status === 409 && word === 'withdrawn') {
    return new SmartError('SHARE_WITHDRAWN', 'the participant has withdrawn this consent', details)
  }
  if (status === 507) return new SmartError('SHARE_INBOX_FULL', 'the inbox has no room', details)
  const what = word === undefined ? '' : ` (${word})`
  return new SmartError('SHARE_REFUSED', `the inbox answered with status ${status}${what}`, details)
}
