import type { IncomingMessage } from 'node:http'
import {
  type Client,
  type Connection,
  createClient,
  type Lock,
  type Plan,
  type Provider,
  SmartError,
  type Store,
} from '@s4s/core'
import { createSessions, type Session, type Sessions } from './cookie.js'
import { createHandler } from './handler.js'
import { jwksOf } from './keys.js'
import { headersOf } from './node-http.js'
import { nodePlatform } from './platform.js'

export interface NodeClientOptions {
  /** Where the handler is served, as browsers see it. `/callback` below it is the redirect URI to register. */
  readonly baseUrl: string
  readonly providers: readonly Provider[]
  /** What will be collected; decides which scopes are asked for. */
  readonly plan: Plan
  /** Default: in memory, so that connections end with the process. */
  readonly store?: Store
  /** Default: the store's own, or one for this process. */
  readonly lock?: Lock
  /** Who is signed in to your app; undefined for nobody. Without it, each browser is a participant of its own. */
  readonly participant?: (request: Request) => Promise<string | undefined>
  /** Where a participant goes after connecting; what went wrong is in the query as `s4s`, an error code. */
  readonly afterConnect: string
  /** Seals the session cookie. At least 32 characters that nobody can guess. */
  readonly cookieSecret: string
}

/** Connects participants through their browsers, and keeps the tokens on the server. */
export interface NodeClient {
  /**
   * Serves `GET connect/:provider`, `launch`, `callback`, `connections` and `jwks.json`, and
   * `POST connections/:id/revoke`, all below `baseUrl`.
   */
  handler(request: Request): Promise<Response>
  /** The connections of one participant or, for jobs, of all. */
  connections(filter?: {
    /** `undefined` is nobody, and has none. */
    readonly participant?: string | undefined
    readonly provider?: string
  }): Promise<Connection[]>
  /** Who sends a request, standard or Node's own: `options.participant`, or the session of the browser. */
  participantOf(request: Request | Pick<IncomingMessage, 'headersDistinct'>): Promise<string | undefined>
  readonly client: Client
}

/**
 * Makes a client for a server.
 *
 * @example
 * const smart = createNodeClient({ baseUrl: 'https://portal.example/smart', providers, plan, afterConnect: '/', cookieSecret })
 * await serve(smart.handler, { port: 8080 })
 * @throws SmartError `CONFIG_*`
 */
export function createNodeClient(options: NodeClientOptions): NodeClient {
  const { providers, plan, cookieSecret } = options
  const base = checkedBase(options.baseUrl)
  if (typeof cookieSecret !== 'string' || cookieSecret.length < 32)
    throw new SmartError('CONFIG_INVALID', 'cookieSecret has fewer than 32 characters')
  const client = createClient({
    platform: nodePlatform(options),
    // From configuration alone: what a request says about its host is the sender's word.
    redirectUri: `${options.baseUrl.replace(/\/+$/, '')}/callback`,
    providers,
    plan,
  })
  let sealed: Promise<Sessions> | undefined
  const sessions = (): Promise<Sessions> => {
    sealed ??= createSessions(cookieSecret, base.protocol === 'https:')
    return sealed
  }
  const participant = async (request: Request, session?: Session): Promise<string | undefined> => {
    if (options.participant) return (await options.participant(request)) || undefined
    return (session ?? (await (await sessions()).read(request)))?.id
  }

  return Object.freeze({
    handler: createHandler({
      client,
      sessions,
      base,
      afterConnect: checkedAfter(options.afterConnect, base),
      participant,
      jwks: () => jwksOf(client.providers),
    }),
    connections: async (filter = {}) => {
      // Nobody's connections are none; without this they would be everyone's.
      const named = !('participant' in filter) || typeof filter.participant === 'string'
      return named ? client.connections(filter as { participant?: string; provider?: string }) : []
    },
    participantOf: (request) =>
      participant(request instanceof Request ? request : new Request(base, { headers: headersOf(request) })),
    client,
  } satisfies NodeClient)
}

function checkedBase(text: string): URL {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw new SmartError('CONFIG_INVALID', 'baseUrl is not an absolute URL')
  }
  if (url.search !== '' || url.hash !== '' || url.username !== '' || url.password !== '')
    throw new SmartError('CONFIG_INVALID', 'baseUrl has a query, a fragment or credentials')
  return url
}

function checkedAfter(text: string, base: URL): URL {
  try {
    const url = new URL(text, base.origin)
    if (url.protocol === 'https:' || url.origin === base.origin) return url
  } catch {
    // Falls through.
  }
  throw new SmartError('CONFIG_INVALID', 'afterConnect is neither a path of this origin nor an https URL')
}
