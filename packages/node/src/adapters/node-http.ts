import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream as NodeReadableStream } from 'node:stream/web'

/** What serves a web `Request`. */
export type Handler = (request: Request) => Promise<Response>

/** Answers a Node request through a handler. Never rejects. */
export async function answer(
  handler: Handler,
  request: IncomingMessage,
  response: ServerResponse,
  url: string,
): Promise<void> {
  const gone = new AbortController()
  response.on('close', () => {
    if (!response.writableFinished) gone.abort()
  })
  try {
    await send(await handler(requestOf(request, url, gone.signal)), response)
  } catch {
    // What went wrong may hold what nobody should see.
    if (response.headersSent) response.destroy()
    else response.writeHead(500, { 'content-type': 'application/json' }).end('{"error":"internal"}')
  }
}

function requestOf(request: IncomingMessage, url: string, signal: AbortSignal): Request {
  const headers = new Headers()
  for (let at = 0; at + 1 < request.rawHeaders.length; at += 2) {
    const name = request.rawHeaders[at] as string
    if (!name.startsWith(':')) headers.append(name, request.rawHeaders[at + 1] as string)
  }
  const { method = 'GET' } = request
  if (method === 'GET' || method === 'HEAD') return new Request(url, { method, headers, signal })
  // `duplex` is wanted by the standard for bodies that stream; not every library of types knows it.
  const init: RequestInit & { duplex: 'half' } = {
    method,
    headers,
    signal,
    body: bodyOf(request),
    duplex: 'half',
  }
  return new Request(url, init)
}

// Read only when asked to, and without closing the line when the reader stops early: the answer has yet to go out.
function bodyOf(request: IncomingMessage): ReadableStream<Uint8Array> {
  let chunks: AsyncIterator<Uint8Array> | undefined
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        chunks ??= request.iterator({ destroyOnReturn: false }) as AsyncIterator<Uint8Array>
        const { done, value } = await chunks.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      async cancel() {
        await chunks?.return?.()
      },
    },
    { highWaterMark: 0 },
  )
}

async function send(answered: Response, response: ServerResponse): Promise<void> {
  const headers: [string, string][] = []
  for (const [name, value] of answered.headers) if (name !== 'set-cookie') headers.push([name, value])
  for (const [name, value] of headers) response.setHeader(name, value)
  const cookies = answered.headers.getSetCookie()
  if (cookies.length > 0) response.appendHeader('set-cookie', cookies)
  response.writeHead(answered.status)
  if (answered.body === null || response.req.method === 'HEAD') {
    response.end()
    await answered.body?.cancel()
    return
  }
  await pipeline(Readable.fromWeb(answered.body as NodeReadableStream), response)
}
