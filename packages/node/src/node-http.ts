import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import type { ReadableStream as NodeStream } from 'node:stream/web'

/** Answers a request. The one shape that everything here is served in. */
export type Handler = (request: Request) => Promise<Response>

/**
 * A request of `node:http` as a standard one; its body streams. The origin is given, as the Host header is the
 * sender's word.
 */
export function toRequest(incoming: IncomingMessage, origin: string, signal?: AbortSignal): Request {
  // Express keeps the whole path here when it mounts a handler below one.
  const path = (incoming as { originalUrl?: string }).originalUrl ?? incoming.url ?? '/'
  const method = incoming.method ?? 'GET'
  const bodiless = method === 'GET' || method === 'HEAD'
  const request = new Request(origin + (path.startsWith('/') ? path : '/'), {
    method,
    headers: headersOf(incoming),
    ...(signal ? { signal } : {}),
    ...(bodiless
      ? {}
      : { body: Readable.toWeb(incoming) as NodeStream<Uint8Array> as ReadableStream, duplex: 'half' }),
  } as RequestInit)
  const { remoteAddress } = incoming.socket
  if (remoteAddress !== undefined) senders.set(request, remoteAddress)
  return request
}

const senders = new WeakMap<Request, string>()

/** The address at the other end of the connection that a request came over, if it came over one of Node's. */
export const senderOf = (request: Request): string | undefined => senders.get(request)

/** The headers of a request of `node:http`. */
export function headersOf(incoming: Pick<IncomingMessage, 'headersDistinct'>): Headers {
  const headers = new Headers()
  for (const [name, values] of Object.entries(incoming.headersDistinct)) {
    for (const value of values ?? []) headers.append(name, value)
  }
  return headers
}

/** Answers a request of `node:http` with a handler. Never throws: what fails becomes a 500 without a word about it. */
export async function answerWith(
  handler: Handler,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  origin: string,
): Promise<void> {
  const gone = new AbortController()
  outgoing.once('close', () => {
    if (!outgoing.writableFinished) gone.abort()
  })
  let response: Response
  try {
    response = await handler(toRequest(incoming, origin, gone.signal))
  } catch {
    response = new Response(null, { status: 500 })
  }
  try {
    await send(response, incoming, outgoing)
  } catch {
    outgoing.destroy()
  }
}

async function send(response: Response, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const { status, headers, body } = response
  const cookies = headers.getSetCookie()
  for (const [name, value] of headers) if (name !== 'set-cookie') outgoing.setHeader(name, value)
  if (cookies.length > 0) outgoing.setHeader('set-cookie', cookies)
  // Answered before the body was read: the sender hears the answer, and its connection ends with it.
  if (!incoming.complete && !isBodiless(incoming)) {
    outgoing.setHeader('connection', 'close')
    drain(incoming)
  }
  outgoing.writeHead(status)
  if (body === null || incoming.method === 'HEAD') return void outgoing.end()
  for await (const chunk of Readable.fromWeb(body as NodeStream<Uint8Array>)) {
    if (outgoing.destroyed) return
    if (!outgoing.write(chunk)) await new Promise((resolve) => once(outgoing, ['drain', 'close'], resolve))
  }
  outgoing.end()
}

function once(outgoing: ServerResponse, events: readonly string[], then: (value: unknown) => void): void {
  for (const event of events) outgoing.once(event, then)
}

const mostDrained = 64 * 1024 * 1024

// A sender that is cut off while it sends may never read the answer; so it may go on for a while, to no one.
function drain(incoming: IncomingMessage): void {
  let drained = 0
  const patience = setTimeout(() => incoming.destroy(), 10_000)
  patience.unref()
  incoming.on('close', () => clearTimeout(patience))
  incoming.on('error', () => {})
  incoming.on('data', (chunk: Buffer) => {
    drained += chunk.length
    if (drained > mostDrained) incoming.destroy()
  })
  incoming.resume()
}

const isBodiless = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] === undefined && (headers['content-length'] ?? '0') === '0'
