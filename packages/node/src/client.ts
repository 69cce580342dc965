import type { IncomingMessage } from 'node:http'
import {
  type AccessWanted,
  type Client,
  type Connection,
  createClient,
  type IdentityCheck,
  type Lock,
  type Plan,
  type Provider,
  SmartError,
  type Store,
  type Vendor,
} from '@s4s/core'
import type { JWK } from 'jose'
import { createSessions, type Session, type Sessions } from './cookie.js'
import { type CustodyOptions, createCustody } from './custody/custody.js'
import { createGuard } from './custody/guard.js'
import { createHandler } from './handler.js'
import { jwksOf, publicOf } from './keys.js'
import { createLimit, publicOnly } from './limit.js'
import { headersOf, senderOf } from './node-http.js'
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
  /** Seals the session cookie. At least 32 characters that nobody can guess; of a list the first seals, and all open. */
  readonly cookieSecret: string | readonly string[]
  /** How long access shall last. Default `ongoing`. */
  readonly access?: AccessWanted
  /** Asks who signed in, and checks it: `idToken()`. */
  readonly identity?: IdentityCheck
  /** What is known about EHR products, `vendors` of `@s4s/core/vendors`: providers that name none are recognised. */
  readonly vendors?: readonly Vendor[]
  /** Hosts that may have addresses in a private network, beside those of the providers. */
  readonly allowPrivate?: readonly string[]
  /** Public keys that are served at `jwks.json` beside those in use: the next ones, and the last. */
  readonly otherKeys?: readonly JWK[]
  /** Seconds for which `jwks.json` may be cached. Default 3600. */
  readonly jwksMaxAge?: number
  /** Collects and shares for pages, with this study. Without it, that is left to the app. */
  readonly custody?: CustodyOptions
  /** Requests a minute, counted in the memory of this process. */
  readonly limits?: {
    /** Of one participant; what makes a hospital or the study work counts for ten. Default 120. */
    readonly perParticipant?: number
    /** From one address. Default 600. */
    readonly perAddress?: number
  }
  /**
   * Where a request comes from, such as what your proxy says in a header. Default: the other end of the connection, as
   * far as it is known and not in a private network.
   */
  readonly address?: (request: Request) => string | undefined
  /** True for an app that EHRs show inside a frame: the cookie then goes along there, and to no other site. */
  readonly framed?: boolean
}

/** Connects participants through their browsers, and keeps the tokens on the server. */
export interface NodeClient {
  /**
   * Serves `GET connect/:provider`, `launch`, `callback`, `connections` and `jwks.json`, and `DELETE connections/:id`,
   * all below `baseUrl`; with `custody` also `POST collect`, `share` and `withdraw`, and `GET collect/:job`, `events`
   * and `records`.
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
  const secrets = [cookieSecret].flat()
  if (secrets.length === 0 || secrets.some((secret) => typeof secret !== 'string' || secret.length < 32))
    throw new SmartError('CONFIG_INVALID', 'cookieSecret has fewer than 32 characters')
  const framed = options.framed === true
  if (framed && base.protocol !== 'https:')
    throw new SmartError(
      'CONFIG_INVALID',
      'framed needs an https baseUrl: browsers send no such cookie otherwise',
    )
  const otherKeys = (options.otherKeys ?? []).map(publicOf)
  const client = createClient({
    platform: nodePlatform(options),
    // From configuration alone: what a request says about its host is the sender's word.
    redirectUri: `${options.baseUrl.replace(/\/+$/, '')}/callback`,
    providers,
    plan,
    ...(options.access === undefined ? {} : { access: options.access }),
    ...(options.identity ? { identity: options.identity } : {}),
    ...(options.vendors ? { vendors: options.vendors } : {}),
  })
  const jwksMaxAge = options.jwksMaxAge ?? 3600
  if (!Number.isSafeInteger(jwksMaxAge) || jwksMaxAge < 0)
    throw new SmartError('CONFIG_INVALID', 'jwksMaxAge is no whole number of seconds')
  jwksOf(client.providers, otherKeys)
  let sealed: Promise<Sessions> | undefined
  const sessions = (): Promise<Sessions> => {
    sealed ??= createSessions(secrets, base.protocol === 'https:', framed)
    return sealed
  }
  const participant = async (request: Request, session?: Session): Promise<string | undefined> => {
    if (options.participant) return (await options.participant(request)) || undefined
    return (session ?? (await (await sessions()).read(request)))?.id
  }

  const limits = { perParticipant: 120, perAddress: 600, ...options.limits }
  for (const [name, value] of Object.entries(limits))
    if (!(value >= 10 && Number.isFinite(value)))
      throw new SmartError('CONFIG_INVALID', `limits.${name} is less than 10 a minute`)
  const guard = createGuard({ origin: base.origin, participant, limit: createLimit(limits.perParticipant) })
  const custody = options.custody
    ? createCustody({
        custody: options.custody,
        plan,
        platform: client.platform,
        guard,
        connectionsOf: (who) => client.connections({ participant: who }),
      })
    : undefined

  return Object.freeze({
    handler: createHandler({
      guard,
      custody,
      limit: createLimit(limits.perAddress),
      address: options.address ?? ((request) => publicOnly(senderOf(request))),
      client,
      sessions,
      base,
      afterConnect: checkedAfter(options.afterConnect, base),
      participant,
      jwks: () => jwksOf(client.providers, otherKeys),
      jwksMaxAge,
      framed,
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
