import type { IncomingMessage, ServerResponse } from 'node:http'
import { gunzipSync } from 'node:zlib'
import inject from 'light-my-request'

type Handler = (request: IncomingMessage, response: ServerResponse) => void

/**
 * A `fetch` that reaches one sandbox without a socket. Other hosts are a network error, as they would be without a network.
 * light-my-request makes the Node request and response that the servers expect.
 */
export function inProcessFetch(origin: string, handler: Handler): typeof globalThis.fetch {
  const send = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init)
    let url = new URL(request.url)
    let method = request.method
    let body: Buffer | undefined =
      request.body === null ? undefined : Buffer.from(await request.arrayBuffer())
    for (let hops = 0; hops < 20; hops++) {
      request.signal.throwIfAborted()
      if (url.origin !== origin) throw new TypeError('fetch failed')
      const answering = inject(handler as never, {
        method: method as 'GET',
        url: url.href,
        headers: { host: url.host, ...Object.fromEntries(request.headers.entries()) },
        ...(body === undefined ? {} : { payload: body }),
      })
      const answer = await orAborted(answering, request.signal)
      const headers = new Headers()
      for (const [name, value] of Object.entries(answer.headers)) {
        for (const one of Array.isArray(value) ? value : [value])
          if (one !== undefined) headers.append(name, String(one))
      }
      const location = headers.get('location')
      const redirects = location !== null && answer.statusCode >= 300 && answer.statusCode < 400
      if (redirects && request.redirect === 'error') throw new TypeError('fetch failed')
      if (!redirects || request.redirect === 'manual') {
        const empty = [101, 204, 205, 304].includes(answer.statusCode) || method === 'HEAD'
        // As fetch does with what was sent in fewer bytes.
        const zipped = answer.headers['content-encoding'] === 'gzip'
        const bytes = empty || !zipped ? answer.rawPayload : gunzipSync(answer.rawPayload)
        const response = new Response(empty ? null : new Uint8Array(bytes), {
          status: answer.statusCode,
          headers,
        })
        // What the constructor leaves empty and fetch fills in.
        return Object.defineProperties(response, {
          url: { value: url.href },
          redirected: { value: hops > 0 },
        })
      }
      url = new URL(location, url)
      if (answer.statusCode !== 307 && answer.statusCode !== 308) {
        method = 'GET'
        body = undefined
      }
    }
    throw new TypeError('fetch failed')
  }
  return send as typeof globalThis.fetch
}

/** The answer, or the reason why it was no longer waited for; a cut connection is what it is to any `fetch`. */
async function orAborted<Answer>(answering: Promise<Answer>, signal: AbortSignal): Promise<Answer> {
  let stop = (): void => {}
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason)
    signal.addEventListener('abort', stop)
  })
  const answered = answering.catch(() => {
    throw new TypeError('fetch failed')
  })
  try {
    return await Promise.race([answered, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
