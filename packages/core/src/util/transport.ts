import type { Clock, Fetch } from '../ports.js'
import type { Secret } from './secret.js'
import { isSecure, isWithin, parseUrl } from './url.js'

/** Why a request did not give an answer that may be looked at. */
export type TransportFault =
  | 'insecure'
  | 'foreign'
  | 'unreachable'
  | 'timeout'
  | 'too-large'
  | 'redirected'
  | 'bad-header'
  | 'private'

/** A fault of the transport. Its message never holds more than the host. */
export class TransportError extends Error {
  readonly fault: TransportFault
  constructor(fault: TransportFault, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'TransportError'
    this.fault = fault
  }
}

export interface TransportRequest {
  readonly url: string
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  /** The URL, and every redirect of it, must lie within one of these bases; without it, the request carries no secret. */
  readonly within?: readonly string[]
  /** Sent as `Authorization: Bearer …`; needs `within`. */
  readonly bearer?: Secret
  /** Most bytes of body to read. Default 32 MiB. */
  readonly maxBytes?: number
  /** Milliseconds until headers, and again between any two chunks of the body. Default 30 s. */
  readonly idleTimeout?: number
  /** Milliseconds for the whole exchange. Default 5 min. */
  readonly totalTimeout?: number
  readonly signal?: AbortSignal
  /** Given the beginning of the body of a 200 while the rest is still on its way; not called for a short one. */
  readonly onHead?: (text: string) => void
  /**
   * Looks at an answer before its body is read, and may take the body as it comes: then `bytes` is empty, the next piece
   * waits until the last one was taken, and what the taking rejects with is what the request rejects with.
   */
  readonly sink?: (answer: {
    readonly status: number
    readonly headers: Headers
  }) => ((piece: Uint8Array) => Promise<void>) | undefined
}

export interface TransportResponse {
  readonly url: string
  readonly status: number
  readonly headers: Headers
  readonly bytes: Uint8Array<ArrayBuffer>
  text(): string
}

export interface Transport {
  (request: TransportRequest): Promise<TransportResponse>
  /** Epoch milliseconds by the clock of the server that a URL leads to, as far as its answers told it. */
  serverNow(url: string): number
}

const MiB = 1024 * 1024
const redirectStatus = new Set([301, 302, 303, 307, 308])

/**
 * The one way out. Checks scheme, origin and base path before the secret is attached; sends without redirects,
 * cookies, cache or referrer; reads with a cap; and settles before a deadline, whatever the server does.
 */
export function createTransport(world: { readonly fetch: Fetch; readonly clock: Clock }): Transport {
  const offsets = new Map<string, number>()
  const send = async (request: TransportRequest): Promise<TransportResponse> => {
    const url = guard(request)
    const deadline = createDeadline(world.clock, request)
    try {
      const response = await deadline.race(() => world.fetch(url.href, init(request, deadline.signal)))
      const date = Date.parse(response.headers.get('date') ?? '')
      if (!Number.isNaN(date)) offsets.set(url.origin, date - world.clock.now())
      if (response.type === 'opaqueredirect' || redirectStatus.has(response.status)) {
        void response.body?.cancel().catch(() => {})
        throw new TransportError('redirected', `${url.host} redirects; redirects are not followed`)
      }
      const bytes = await readCapped(response, request, deadline, url.host)
      return {
        url: url.href,
        status: response.status,
        headers: response.headers,
        bytes,
        text: () => decode(bytes),
      }
    } catch (error) {
      if (request.signal?.aborted) throw request.signal.reason
      if (error instanceof TransportError) throw error
      if (error instanceof SinkError) throw error.cause
      if (isPrivate(error))
        throw new TransportError('private', `${url.host} is inside a private network`, error)
      throw new TransportError('unreachable', `no answer from ${url.host}`, error)
    } finally {
      deadline.end()
    }
  }
  return Object.assign(send, {
    serverNow: (url: string) => {
      const offset = offsets.get(parseUrl(url)?.origin ?? '') ?? 0
      // The header counts whole seconds and an answer takes its time: less than this is no difference.
      return world.clock.now() + (Math.abs(offset) > 5000 ? offset : 0)
    },
  })
}

// A fetch that guards a server's own network says so by this code.
function isPrivate(error: unknown): boolean {
  const codeOf = (value: unknown): unknown => (value as { code?: unknown } | undefined)?.code
  const cause = (error as { cause?: unknown } | undefined)?.cause
  return [codeOf(error), codeOf(cause)].includes('S4S_PRIVATE_ADDRESS')
}

function guard(request: TransportRequest): URL {
  const url = parseUrl(request.url)
  if (!url) throw new TransportError('foreign', 'not an http(s) URL without credentials')
  if (!isSecure(url)) throw new TransportError('insecure', `${url.host} is not reached over https`)
  const bases = request.within?.map((base) => parseUrl(base))
  if (bases && !bases.some((base) => base !== undefined && isWithin(url, base))) {
    throw new TransportError('foreign', `${url.host} is outside the base that this request is bound to`)
  }
  if (request.bearer) {
    if (!bases) throw new TransportError('foreign', 'a token needs a base that it is bound to')
    // RFC 6750 §2.1 b64token; a platform error about a bad header value would quote the value.
    if (!/^[A-Za-z0-9._~+/=-]+$/.test(request.bearer.reveal())) {
      throw new TransportError('bad-header', 'the access token holds characters that no header may hold')
    }
  }
  return url
}

function init(request: TransportRequest, signal: AbortSignal): RequestInit {
  const headers = new Headers(request.headers)
  if (request.bearer) headers.set('authorization', `Bearer ${request.bearer.reveal()}`)
  return {
    method: request.method ?? 'GET',
    headers,
    ...(request.body === undefined ? {} : { body: request.body as BodyInit }),
    redirect: 'manual',
    credentials: 'omit',
    cache: 'no-store',
    referrerPolicy: 'no-referrer',
    signal,
  }
}

interface Deadline {
  readonly signal: AbortSignal
  race<T>(work: () => Promise<T>): Promise<T>
  /** A sign of life: what is idle begins again. */
  alive(): void
  end(): void
}

// A fetch that ignores its signal, or a body that never ends, must still settle: every wait is raced.
function createDeadline(clock: Clock, request: TransportRequest): Deadline {
  const controller = new AbortController()
  const stopTimers = new AbortController()
  const idle = request.idleTimeout ?? 30_000
  let fail: (error: unknown) => void = () => {}
  const failed = new Promise<never>((_, reject) => {
    fail = (error) => {
      controller.abort(error)
      reject(error)
    }
  })
  failed.catch(() => {})
  const onAbort = (): void => fail(request.signal?.reason)
  if (request.signal?.aborted) onAbort()
  request.signal?.addEventListener('abort', onAbort, { once: true })
  const late = (what: string, milliseconds: number): void =>
    fail(new TransportError('timeout', `${what} after ${Math.round(milliseconds / 1000)} s`))
  const total = request.totalTimeout ?? 300_000
  clock.sleep(total, stopTimers.signal).then(
    () => late('no complete answer', total),
    () => {},
  )
  // One timer for all waits, not one for each: a body comes in thousands of chunks.
  let sign = clock.now()
  const watch = async (): Promise<void> => {
    for (let left = idle; left > 0; left = sign + idle - clock.now())
      await clock.sleep(left, stopTimers.signal)
    late('no sign of life', idle)
  }
  watch().catch(() => {})
  return {
    signal: controller.signal,
    race: async (work) => {
      sign = clock.now()
      return Promise.race([work(), failed])
    },
    alive: () => {
      sign = clock.now()
    },
    end: () => {
      // With a reason of its own: making the usual one takes longer than all else here.
      stopTimers.abort(ended)
      request.signal?.removeEventListener('abort', onAbort)
    },
  }
}

// Told apart from what the network throws: it is not the server's failure.
class SinkError extends Error {}

const ended = 'ended'
const headLength = 8192

async function readCapped(
  response: Response,
  { maxBytes = 32 * MiB, onHead, sink }: TransportRequest,
  deadline: Deadline,
  host: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const take = sink?.(response)
  const reader = response.body?.getReader()
  if (!reader) return new Uint8Array(0)
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    await deadline.race(async () => {
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return
        deadline.alive()
        size += value.byteLength
        if (size > maxBytes) throw new TransportError('too-large', `${host} sent more than ${maxBytes} bytes`)
        if (take) {
          await take(value).catch((error: unknown) => {
            throw new SinkError('', { cause: error })
          })
          // The time that the taking took was not the server's.
          deadline.alive()
          continue
        }
        chunks.push(value)
        if (chunks.length === 1 && response.status === 200) onHead?.(decode(value.subarray(0, headLength)))
      }
    })
  } catch (error) {
    // Not awaited: a stream that hangs in read may hang in cancel.
    void reader.cancel().catch(() => {})
    throw error
  }
  const bytes = new Uint8Array(take ? 0 : size)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.byteLength
  }
  return bytes
}

// A byte order mark is dropped and ill-formed UTF-8 is replaced: JSON parsing decides what is left of it.
function decode(bytes: Uint8Array): string {
  return new TextDecoder('utf-8').decode(bytes)
}
