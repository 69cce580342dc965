import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { answerWith, type Handler } from './node-http.js'

/** A server that is running. */
export interface Served {
  /** Its origin. */
  readonly url: string
  /** Ends it and every connection to it. */
  stop(): Promise<void>
}

/**
 * Serves a handler over HTTP, on loopback unless told otherwise. Put what terminates TLS in front of it.
 *
 * @example const { url, stop } = await serve(inbox.handler, { port: 5000 })
 */
export async function serve(
  handler: Handler,
  options: { readonly port?: number; readonly host?: string } = {},
): Promise<Served> {
  const { port = 0, host = '127.0.0.1' } = options
  let url = ''
  const server = createServer((incoming, outgoing) => void answerWith(handler, incoming, outgoing, url))
  // A large part on a slow line takes longer than Node's five minutes.
  server.requestTimeout = 3_600_000
  // Longer than proxies and clients keep a connection: one that is just taken up again must not be closed.
  server.keepAliveTimeout = 65_000
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const { address, family, port: bound } = server.address() as AddressInfo
  url = `http://${family === 'IPv6' ? `[${address}]` : address}:${bound}`
  let stopped: Promise<void> | undefined
  return Object.freeze({
    url,
    stop: () => {
      stopped ??= new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
      return stopped
    },
  } satisfies Served)
}
