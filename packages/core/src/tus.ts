/**
 * Parts of a package as resumable uploads: what has arrived of a part is not sent again, however the line breaks.
 *
 * @module
 * @see https://tus.io/protocols/resumable-upload
 */
import {
  type DetailedError,
  type HttpRequest,
  type HttpResponse,
  Upload,
  type UploadOptions,
} from 'tus-js-client'
import { ambientClock, ambientFetch } from './ambient.js'
import { SmartError } from './errors.js'
import type { Fetch } from './ports.js'
import type { PartUpload } from './study/delivery.js'
import type { PackagePart } from './study/package.js'
import { isWithin, join, parseUrl } from './util/url.js'

export interface TusOptions {
  /** Most bytes of one request. Default 1 MiB. */
  readonly chunkSize?: number
  /** Milliseconds to wait before each further try, as long as nothing arrives. Default: 12 tries over a minute. */
  readonly retryDelays?: readonly number[]
  readonly fetch?: Fetch
}

const delays = [250, 500, 1000, 2000, 3000, 5000, 5000, 8000, 8000, 10_000, 10_000, 10_000]

/**
 * Brings the parts of a package to an inbox by the tus protocol.
 *
 * @example httpDelivery({ url: study.recipient, key, parts: tusParts() })
 */
export function tusParts(options: TusOptions = {}): PartUpload {
  const { chunkSize = 1024 * 1024, retryDelays = delays, fetch = ambientFetch } = options
  return async (part, to) => {
    const bytes = await part.open()
    const uploads = join(to.url, 'uploads')
    const name = `${to.digest}-${part.sha256}`
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        void upload.abort().catch(() => {})
        reject(to.signal?.reason)
      }
      const settle = (end: () => void) => (): void => {
        to.signal?.removeEventListener('abort', stop)
        end()
      }
      const given: UploadOptions = {
        endpoint: uploads,
        // The inbox names an upload by what it is, so that nothing about it needs to be remembered here.
        uploadUrl: join(uploads, name),
        metadata: { package: to.digest, part: part.sha256 },
        headers: { ...to.headers },
        chunkSize,
        retryDelays: [...retryDelays],
        uploadSize: bytes.length,
        storeFingerprintForResuming: false,
        removeFingerprintOnSuccess: true,
        fingerprint: async () => name,
        fileReader: { openFile: async () => source(bytes) },
        httpStack: { getName: () => 'fetch', createRequest: requests(fetch, uploads) },
        onShouldRetry: (error) => isPassing(statusOf(error)),
        onError: (error) => settle(() => end(error as DetailedError, part, resolve, reject))(),
        onSuccess: settle(() => resolve('held')),
      }
      const upload = new Upload(bytes as never, given)
      if (to.signal?.aborted) return reject(to.signal.reason)
      to.signal?.addEventListener('abort', stop, { once: true })
      upload.start()
    })
  }
}

const statusOf = (error: unknown): number => (error as DetailedError).originalResponse?.getStatus() ?? 0

// No answer at all, or one about the moment; 423 is another request for the same upload that has not ended yet.
const isPassing = (status: number): boolean =>
  status === 0 ||
  status === 423 ||
  status === 408 ||
  status === 409 ||
  status === 429 ||
  (status >= 500 && status !== 507)

function end(
  error: DetailedError,
  part: PackagePart,
  resolve: (outcome: 'gone') => void,
  reject: (reason: unknown) => void,
): void {
  const status = statusOf(error)
  if (status === 404 || status === 410) resolve('gone')
  else if (isPassing(status)) {
    reject(
      new SmartError(
        'SHARE_UNREACHABLE',
        'the study’s inbox did not take the package; the same call delivers it once',
      ),
    )
  } else {
    const code =
      status === 401 || status === 403
        ? 'SHARE_KEY_REFUSED'
        : status === 507
          ? 'SHARE_INBOX_FULL'
          : 'SHARE_REFUSED'
    reject(new SmartError(code, `the inbox answered with status ${status} for ${part.path}`, { status }))
  }
}

function source(bytes: Uint8Array) {
  return {
    size: bytes.length,
    slice: async (from: number, to: number) => {
      const value = bytes.subarray(from, Math.min(to, bytes.length))
      // The client asks the chunk itself for its size, as a Blob has one.
      return { value: Object.assign(value, { size: value.length }), done: to >= bytes.length }
    },
    close: () => {},
  }
}

/** Milliseconds for one request, so that a line which takes nothing is given up and tried again. */
const patience = 60_000

// The study key goes to the inbox and nowhere else, whatever Location it answers with.
function requests(fetch: Fetch, uploads: string): (method: string, url: string) => HttpRequest {
  return (method, url) => {
    const [target, base] = [parseUrl(url), parseUrl(uploads)]
    if (!target || !base || !isWithin(target, base))
      throw new SmartError('SHARE_REFUSED', 'the inbox sends an upload elsewhere')
    const headers = new Headers()
    const abort = new AbortController()
    return {
      getMethod: () => method,
      getURL: () => url,
      setHeader: (name, value) => headers.set(name, value),
      getHeader: (name) => headers.get(name) ?? undefined,
      setProgressHandler: () => {},
      abort: async () => abort.abort(),
      getUnderlyingObject: () => undefined,
      async send(body?: Uint8Array): Promise<HttpResponse> {
        const deadline = new AbortController()
        void ambientClock.sleep(patience, deadline.signal).then(
          () => abort.abort(),
          () => {},
        )
        try {
          return await sent(body)
        } finally {
          deadline.abort()
        }
      },
    }

    async function sent(body?: Uint8Array): Promise<HttpResponse> {
      const response = await fetch(url, {
        method,
        headers,
        signal: abort.signal,
        redirect: 'error',
        credentials: 'omit',
        cache: 'no-store',
        referrerPolicy: 'no-referrer',
        ...(body ? { body: new Uint8Array(body) } : {}),
      })
      await response.body?.cancel()
      return {
        getStatus: () => response.status,
        getHeader: (name) => response.headers.get(name) ?? undefined,
        getBody: () => '',
        getUnderlyingObject: () => undefined,
      }
    }
  }
}
