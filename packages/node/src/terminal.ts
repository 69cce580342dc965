import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  type Connection,
  createClient,
  isSmartError,
  type Lock,
  type Plan,
  type Provider,
  SmartError,
  type Store,
} from '@s4s/core'
import { nodePlatform } from './platform.js'
import { postPage } from './post-page.js'

export interface TerminalOptions {
  readonly providers: readonly Provider[]
  /** The id of the provider to connect. */
  readonly provider: string
  readonly plan: Plan
  /** Default: in memory, so that the connection ends with the process. */
  readonly store?: Store
  readonly lock?: Lock
  /** Where to listen on loopback; any free port unless given. Servers differ in whether they take any port. */
  readonly port?: number
  /** Default `/callback`. */
  readonly path?: string
  /** Shows or opens the address at which the person signs in. */
  readonly open: (url: string) => void | Promise<void>
  readonly participant?: string
  readonly signal?: AbortSignal
}

/**
 * Connects from a terminal: the person signs in with their own browser, and the answer comes to a listener on
 * loopback, which serves that one answer and closes.
 *
 * @example const connection = await connectFromTerminal({ providers, provider: 'mercy', plan, open: (url) => console.log(url) })
 * @throws SmartError `AUTHORIZATION_*`, `TOKEN_*`, `DISCOVERY_*`; `AUTHORIZATION_EXPIRED` when nobody comes back
 * @see https://www.rfc-editor.org/rfc/rfc8252#section-7.3
 */
export async function connectFromTerminal(options: TerminalOptions): Promise<Connection> {
  const { provider, plan, providers, participant, path = '/callback', signal } = options
  signal?.throwIfAborted()
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, '127.0.0.1', resolve)
  })
  const stop = new AbortController()
  try {
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const client = createClient({
      platform: nodePlatform(options),
      redirectUri: origin + path,
      providers,
      plan,
    })
    const who = { ...(participant === undefined ? {} : { participant }), ...(signal ? { signal } : {}) }
    const { url, form, state, expiresAt } = await client.authorize(provider, who)
    const ended = new Promise<never>((_, reject) => {
      const late = setTimeout(
        () =>
          reject(
            new SmartError('AUTHORIZATION_EXPIRED', 'nobody came back from the sign-in', {
              subject: provider,
            }),
          ),
        expiresAt.getTime() - Date.now(),
      )
      stop.signal.addEventListener('abort', () => clearTimeout(late))
      signal?.addEventListener('abort', () => reject(signal.reason), { signal: stop.signal })
    })
    const answered = new Promise<Connection>((resolve, reject) => {
      server.on('request', (request: IncomingMessage, response: ServerResponse) => {
        const asked = new URL(request.url ?? '/', origin)
        // A page of another site may send a browser here under a name of its own.
        if (request.headers.host !== new URL(origin).host || request.method !== 'GET')
          return page(response, 404, '')
        if (asked.pathname === '/start' && form) return startPage(response, form)
        const ours =
          asked.pathname === path && (asked.searchParams.get('state') === state || isBareDenial(asked))
        if (!ours) return page(response, 404, '')
        client.callback(asked.href, participant === undefined ? {} : { participant }).then(
          (connection) => {
            page(response, 200, 'Connected. You can close this page.')
            resolve(connection)
          },
          (error: unknown) => {
            const denied = isSmartError(error) && error.code === 'AUTHORIZATION_DENIED'
            page(
              response,
              200,
              denied
                ? 'Not connected. You can close this page.'
                : 'That did not work. You can close this page.',
            )
            // An answer of another server ends nothing: the right one may still come.
            if (!isSmartError(error) || error.code !== 'AUTHORIZATION_ISSUER_MISMATCH') reject(error)
          },
        )
      })
    })
    answered.catch(() => {})
    ended.catch(() => {})
    await Promise.race([options.open(form ? `${origin}/start` : url), ended])
    return await Promise.race([answered, ended])
  } finally {
    stop.abort()
    server.close()
    // The page that says so is still on its way.
    setTimeout(() => server.closeAllConnections(), 200).unref()
  }
}

// Some servers leave the state out when the person says no.
function isBareDenial({ searchParams }: URL): boolean {
  return !searchParams.has('state') && searchParams.get('error') === 'access_denied'
}

const guarded = {
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  connection: 'close',
}

function page(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    ...guarded,
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': "default-src 'none'",
  })
  response.end(`<!doctype html><html lang="en"><meta charset="utf-8"><title>S4S</title><p>${text}</p></html>`)
}

function startPage(response: ServerResponse, form: Parameters<typeof postPage>[0]): void {
  const { html, headers } = postPage(form)
  response.writeHead(200, { ...guarded, ...headers }).end(html)
}
