import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
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
 * @throws SmartError `CONFIG_INVALID` for a port that is taken, `AUTHORIZATION_*`, `TOKEN_*`, `DISCOVERY_*`; `AUTHORIZATION_EXPIRED` when nobody comes back
 * @see https://www.rfc-editor.org/rfc/rfc8252#section-7.3
 */
export async function connectFromTerminal(options: TerminalOptions): Promise<Connection> {
  const { provider, plan, providers, participant, path = '/callback', signal } = options
  if (!/^\/[^?#]*$/.test(path)) throw new SmartError('CONFIG_INVALID', 'path does not begin with a slash')
  signal?.throwIfAborted()
  const server = createServer()
  await listening(server, options.port ?? 0)
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
    const start = `${path}${path.endsWith('/') ? '' : '/'}start`
    const noTicket = randomUUID()
    const answered = new Promise<Connection>((resolve, reject) => {
      const end = (href: string, response: ServerResponse): void => {
        client.callback(href, participant === undefined ? {} : { participant }).then(
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
      }
      server.on('request', (request: IncomingMessage, response: ServerResponse) => {
        const asked = URL.canParse(request.url ?? '', origin) ? new URL(request.url ?? '', origin) : undefined
        const { pathname, searchParams } = asked ?? new URL(origin)
        // A page of another site may send a browser here under a name of its own.
        if (asked?.origin !== origin || request.headers.host !== new URL(origin).host)
          return page(response, 404, '')
        // The button of the page below; nobody else knows its ticket.
        if (request.method === 'POST' && pathname === path && searchParams.get('stop') === noTicket)
          return end(`${origin}${path}?error=access_denied`, response)
        if (request.method !== 'GET') return page(response, 404, '')
        if (form && pathname === start) return startPage(response, form)
        if (pathname !== path) return page(response, 404, '')
        if (searchParams.get('state') === state) return end(asked.href, response)
        if (!isBareDenial(asked)) return page(response, 404, '')
        page(
          response,
          200,
          'Access was not given. If that is what you want, stop here; else go back and sign in.',
          `<form method="post" action="?stop=${noTicket}"><button>Stop</button></form>`,
        )
      })
    })
    answered.catch(() => {})
    ended.catch(() => {})
    // Whoever opens the page may wait until it is closed; the answer does not.
    const opened = (async () => options.open(form ? origin + start : url))()
    return await Promise.race([answered, ended, opened.then(() => answered)])
  } finally {
    stop.abort()
    server.close()
    // The page that says so is still on its way.
    setTimeout(() => server.closeAllConnections(), 200).unref()
  }
}

async function listening(server: Server, port: number): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, '127.0.0.1', resolve)
    })
  } catch (cause) {
    throw new SmartError('CONFIG_INVALID', `port ${port} of loopback cannot be listened on; is it taken?`, {
      cause,
    })
  }
}

// Some servers leave the state out when the person says no. So could any page: such a no is asked about.
function isBareDenial({ searchParams }: URL): boolean {
  return !searchParams.has('state') && searchParams.get('error') === 'access_denied'
}

const guarded = {
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  connection: 'close',
}

function page(response: ServerResponse, status: number, text: string, more = ''): void {
  response.writeHead(status, {
    ...guarded,
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': "default-src 'none'; form-action 'self'; frame-ancestors 'none'",
  })
  response.end(
    `<!doctype html><html lang="en"><meta charset="utf-8"><title>S4S</title><p>${text}</p>${more}</html>`,
  )
}

function startPage(response: ServerResponse, form: Parameters<typeof postPage>[0]): void {
  const { html, headers } = postPage(form)
  response.writeHead(200, { ...guarded, ...headers }).end(html)
}
