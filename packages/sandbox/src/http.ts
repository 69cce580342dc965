import type { IncomingMessage, ServerResponse } from 'node:http'

const bodyLimit = 1024 * 1024

/** True when a request says of itself that its body is larger than the sandbox takes. */
export function isTooLong(request: IncomingMessage): boolean {
  return Number(request.headers['content-length'] ?? 0) > bodyLimit
}

/** Reads a request's body; undefined when it is larger than the sandbox takes. */
export async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > bodyLimit) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** A web `Request` of a Node one. */
export function toRequest(request: IncomingMessage, url: string, body: string): Request {
  const headers = new Headers()
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value)
  }
  const method = request.method ?? 'GET'
  return new Request(url, {
    method,
    headers,
    ...(method === 'GET' || method === 'HEAD' || body === '' ? {} : { body }),
  })
}

/** Sends a web `Response` through a Node one. */
export async function sendResponse(answer: Response, response: ServerResponse): Promise<void> {
  response.writeHead(answer.status, Object.fromEntries(answer.headers.entries()))
  response.end(Buffer.from(await answer.arrayBuffer()))
}

export function sendText(
  response: ServerResponse,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>>,
): void {
  response.writeHead(status, headers)
  response.end(text)
}
