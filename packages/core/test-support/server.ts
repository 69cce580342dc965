import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

/** A request as a test looks at it. */
export interface Heard {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export interface TestServer {
  readonly url: string
  readonly heard: Heard[]
  stop(): Promise<void>
}

/** A real HTTP server on loopback that answers as the test says; what it leaves open is cut at the end. */
export async function startServer(
  answer: (request: Heard, response: ServerResponse) => unknown,
): Promise<TestServer> {
  const heard: Heard[] = []
  const sockets = new Set<Socket>()
  // Longer than any client keeps a connection it does not use: a busy machine must not close one that is just taken up.
  const server = createServer({ keepAliveTimeout: 65_000 }, async (message, response) => {
    let body = ''
    for await (const chunk of message) body += chunk
    const request: Heard = {
      method: message.method ?? '',
      path: message.url ?? '',
      headers: message.headers,
      body,
    }
    heard.push(request)
    await answer(request, response)
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    heard,
    stop: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export function json(
  response: ServerResponse,
  body: unknown,
  status = 200,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/fhir+json', ...headers })
  response.end(typeof body === 'string' ? body : JSON.stringify(body))
}
