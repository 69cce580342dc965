import {
  type Authorization,
  type Client,
  type Connection,
  type ErrorCode,
  isSmartError,
  SmartError,
} from '@s4s/core'
import { failure, guarded, json } from './answer.js'
import { type Session, type Sessions, sameMark } from './cookie.js'
import type { Custody } from './custody/custody.js'
import { type Guard, tooMany } from './custody/guard.js'
import { bucketOf, type Limit } from './limit.js'
import type { Handler } from './node-http.js'
import { postPage } from './post-page.js'
import { readReturnTo } from './return-to.js'
import type { Route, RouteRow, Visit } from './route.js'

export interface HandlerOptions {
  readonly client: Client
  readonly sessions: () => Promise<Sessions>
  /** Where the handler is, as everyone sees it. */
  readonly base: URL
  readonly afterConnect: URL
  /** Who a request comes from; the session is given where it is new and not in the request yet. */
  readonly participant: (request: Request, session?: Session) => Promise<string | undefined>
  readonly jwks: () => unknown
  /** Seconds that the JWKS may be cached. */
  readonly jwksMaxAge: number
  /** True where an EHR may show these pages inside a frame. */
  readonly framed: boolean
  readonly guard: Guard
  /** By address, of who sends a request. */
  readonly limit: Limit
  readonly address: (request: Request) => string | undefined
  readonly custody: Custody | undefined
}

/** The routes that a participant's browser goes through. Nothing of a request decides where it is sent but its path and, within our own origin, `returnTo`. */
export function createHandler(options: HandlerOptions): Handler {
  const { client, base, afterConnect } = options

  /** Sends the browser to the EHR, with the launch bound to the session that the cookie holds. */
  const leave = async (
    { request }: Visit,
    begin: (participant: string, returnTo: string) => Promise<Pick<Authorization, 'url' | 'form'>>,
    returnTo?: string,
  ): Promise<Response> => {
    const sessions = await options.sessions()
    const session = await sessions.open(request)
    const participant = await options.participant(request, session)
    if (participant === undefined) return json(401, { error: 'participant' })
    const ticket: Ticket = { session: session.mark, ...(returnTo === undefined ? {} : { to: returnTo }) }
    try {
      const { url, form } = await begin(participant, JSON.stringify(ticket))
      const cookie = await sessions.write(session)
      if (!form) return redirect(url, cookie)
      const { html, headers } = postPage(form, options.framed)
      return new Response(html, { headers: { ...guarded, ...headers, 'set-cookie': cookie } })
    } catch (error) {
      return failed(error, afterConnect)
    }
  }

  const connect: Route = (visit) => {
    const to = readReturnTo(visit.url.searchParams.get('returnTo'), base.origin)
    return leave(visit, (participant, returnTo) => client.authorize(visit.id, { participant, returnTo }), to)
  }

  const launch: Route = (visit) =>
    leave(visit, (participant, returnTo) => client.launch(visit.url.href, { participant, returnTo }))

  const callback: Route = async ({ request, url }) => {
    // The address that was registered, not the one that this request says it came to.
    const here = `${withoutSlash(base.href)}/callback${url.search}`
    const session = await (await options.sessions()).read(request)
    let to: string | undefined
    try {
      const ticket = readTicket(await client.returnTo(here))
      to = ticket?.to
      // A callback of someone else's launch would put their record into this participant's account.
      const stranger = !session || !ticket || !sameMark(ticket.session, session.mark)
      if (stranger && url.searchParams.has('state')) {
        to = undefined
        throw new SmartError(
          'AUTHORIZATION_STATE_UNKNOWN',
          'the callback answers no launch that began in this browser',
        )
      }
      const participant = session && (await options.participant(request, session))
      await client.callback(here, participant === undefined ? {} : { participant })
      return redirect(to ?? afterConnect.href)
    } catch (error) {
      return failed(error, to === undefined ? afterConnect : new URL(to))
    }
  }

  const connections: Route = async ({ request }) => {
    const participant = await options.guard.reads(request)
    if (typeof participant === 'string') return json(200, (await connectionsOf(participant)).map(describe))
    // Nobody has none, and a page that was just opened may ask.
    return participant.status === 401 ? json(200, []) : participant
  }

  const revoke: Route = async ({ request, id }) => {
    const participant = await options.guard.changes(request)
    if (typeof participant !== 'string') return participant
    const connection = (await connectionsOf(participant)).find((candidate) => candidate.id === id)
    if (!connection) return json(404, { error: 'unknown' })
    options.custody?.forget(participant, id)
    return json(200, await connection.revoke())
  }

  const connectionsOf = (participant: string): Promise<Connection[]> => client.connections({ participant })

  const jwks: Route = async () => {
    const answer = json(200, options.jwks())
    answer.headers.set('cache-control', `public, max-age=${options.jwksMaxAge}`)
    return answer
  }

  const routes: readonly RouteRow[] = [
    ['GET', /^connect\/([^/]+)$/, connect],
    ['GET', /^launch$/, launch],
    ['GET', /^callback$/, callback],
    ['GET', /^connections$/, connections],
    ['DELETE', /^connections\/([^/]+)$/, revoke],
    ...(options.custody?.routes ?? []),
    ['GET', /^jwks\.json$/, jwks],
    ['HEAD', /^jwks\.json$/, async (visit) => new Response(null, await jwks(visit))],
  ]

  return async (request) => {
    const url = new URL(request.url)
    const root = `${withoutSlash(base.pathname)}/`
    const path = url.pathname.startsWith(root) ? url.pathname.slice(root.length) : ''
    const address = options.address(request)
    // Public keys are fetched by hospitals, and cost nothing.
    const free = address === undefined || path === 'jwks.json'
    const wait = free ? undefined : options.limit.take(bucketOf(address))
    if (wait !== undefined) return tooMany(wait)
    const allowed: string[] = []
    for (const [method, pattern, route] of routes) {
      const match = pattern.exec(path)
      if (!match) continue
      allowed.push(method)
      if (method !== request.method) continue
      try {
        return await route({ request, url, id: decode(match[1] ?? '') })
      } catch (error) {
        return failure(error)
      }
    }
    if (allowed.length === 0) return json(404, { error: 'unknown' })
    const answer = json(405, { error: 'method' })
    answer.headers.set('allow', allowed.join(', '))
    return answer
  }
}

/** Kept with the pending launch, in the store: whose browser began it and where it goes afterwards. */
interface Ticket {
  readonly session: string
  readonly to?: string
}

function readTicket(text: string | undefined): Ticket | undefined {
  try {
    const { session, to } = JSON.parse(text ?? '') as Partial<Record<keyof Ticket, unknown>>
    if (typeof session !== 'string') return undefined
    return typeof to === 'string' ? { session, to } : { session }
  } catch {
    return undefined
  }
}

/** What a page may know of a connection. */
function describe(connection: Connection): Record<string, unknown> {
  const { id, provider, patient, status, access, scopes, connectedAt, expiresAt } = connection
  return {
    id,
    provider: { id: provider.id, name: provider.name },
    patient,
    status,
    access,
    scopes,
    connectedAt,
    expiresAt,
  }
}

// Asked for by a link or a typed address, such an error is the app's own; the others come with a participant.
const plain: ReadonlyMap<ErrorCode, number> = new Map([
  ['CONFIG_UNKNOWN_PROVIDER', 404],
  ['LAUNCH_INVALID', 400],
  ['LAUNCH_UNKNOWN_ISSUER', 400],
])

// A participant who comes back is shown the app, with our code for what happened; no server's words go along.
function failed(error: unknown, to: URL): Response {
  if (!isSmartError(error)) throw error
  const status = plain.get(error.code)
  if (status !== undefined) return json(status, { error: error.code })
  const url = new URL(to)
  url.searchParams.set('s4s', error.code)
  return redirect(url.href)
}

function redirect(location: string, cookie?: string): Response {
  const headers = new Headers({ location, ...guarded })
  if (cookie !== undefined) headers.append('set-cookie', cookie)
  return new Response(null, { status: 302, headers })
}

const withoutSlash = (text: string): string => text.replace(/\/+$/, '')

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return ''
  }
}
