import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { answer, type Handler } from './node-http.js'

/** A server that is running. */
export interface Served {
  /** Its origin, without a slash at the end. */
  readonly url: string
  /** Ends it, also for who is connected. */
  stop(): Promise<void>
}

export interface ServeOptions {
  /** 0, the default, takes any free port. */
  readonly port?: number
  /** Default `127.0.0.1`: reachable from this machine only. */
  readonly host?: string
}

/**
 * Serves a handler over HTTP. Behind it should stand a proxy that speaks TLS, unless all of it is on one machine.
 *
 * @example const { url, stop } = await serve(inbox.handler, { port: 8080 })
 */
export async function serve(handler: Handler, options: ServeOptions = {}): Promise<Served> {
  const { port = 0, host = '127.0.0.1' } = options
  let url = ''
  const server = createServer((request, response) => {
    void answer(handler, request, response, `${url}${request.url ?? '/'}`)
  })
  // A part of a package may take a while on a slow line; a silent line may not.
  server.requestTimeout = 30 * 60_000
  server.setTimeout(5 * 60_000)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  const { port: bound } = server.address() as AddressInfo
  url = `http://${host.includes(':') ? `[${host}]` : host}:${bound}`
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
  })
}
