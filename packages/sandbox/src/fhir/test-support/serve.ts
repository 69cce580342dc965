import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A handler behind a real socket on loopback, for tests. */
export interface Served {
  readonly origin: string
  stop(): Promise<void>
}

/** Serves what `make` makes of the origin, and stops without waiting for idle connections. */
export async function serve(
  make: (origin: string) => (request: Request) => Promise<Response>,
): Promise<Served> {
  let handle: ((request: Request) => Promise<Response>) | undefined
  const server = createServer(async (message, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of message) chunks.push(chunk as Buffer)
    const { method = 'GET', url = '/', headers } = message
    const body = method === 'GET' || method === 'HEAD' || chunks.length === 0 ? null : Buffer.concat(chunks)
    const entries = Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)])
    const answer = await handle?.(new Request(`${origin}${url}`, { method, headers: entries, body }))
    response.writeHead(answer?.status ?? 500, Object.fromEntries(answer?.headers ?? []))
    response.end(Buffer.from((await answer?.arrayBuffer()) ?? new ArrayBuffer(0)))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  handle = make(origin)
  return {
    origin,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
