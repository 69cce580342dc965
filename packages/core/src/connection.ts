import { SmartError } from './errors.js'
import { createReader } from './fhir/reader.js'
import { type FhirRequest, type FhirSend, faultError } from './fhir/request.js'
import type { SearchParamsOf, UncheckedParams } from './fhir/search-types.js'
import type {
  Reader,
  RequestOptions,
  ResourceOf,
  ResourceType,
  SearchOptions,
  SearchResults,
} from './fhir/types.js'
import { inContext, inTurn, pauseOf } from './habits.js'
import { type Revocation, revokeConnection } from './revocation.js'
import type { LaunchContext } from './smart/context.js'
import type { Identity } from './smart/identity.js'
import type { Provider } from './smart/provider.js'
import { splitScopes } from './smart/scopes.js'
import type { StoredConnection } from './stored-connection.js'
import { type ConnectionWorld, createTokenKeeper, type TokenKeeper } from './tokens.js'
import type { Secret } from './util/secret.js'
import { TransportError, type TransportResponse } from './util/transport.js'
import { join, parseUrl } from './util/url.js'

/**
 * Why access is as long as it is. `refresh-token`: until it is ended. `signed-in`: while the participant stays signed
 * in at the provider. `not-requested`: the app asked for one-time access. `public-client`: the provider gives no
 * ongoing access to apps without credentials. `not-granted`: it was asked for and not given.
 */
export type AccessReason = 'refresh-token' | 'signed-in' | 'not-requested' | 'public-client' | 'not-granted'

/** A participant's access to one patient's record at one provider. */
export interface Connection extends Reader {
  /** The same for every connection of this participant to this patient at this provider, also after a reconnect. */
  readonly id: string
  readonly participant?: string
  /** The logical id of the patient. */
  readonly patient: string
  readonly context: LaunchContext
  readonly scopes: readonly string[]
  /** True when the server did not say what it granted: then `scopes` is what was asked for (RFC 6749 §5.1). */
  readonly scopesAssumed: boolean
  /** What was asked for. */
  readonly requestedScopes: readonly string[]
  /** `ongoing` when the server gave a refresh token; `once` ends with the access token. */
  readonly access: 'once' | 'ongoing'
  readonly accessReason: AccessReason
  /** Who signed in; absent unless the client was made with an `identity` check. */
  readonly identity?: Identity
  /** True when whoever signed in is known to be another person than the patient, such as a parent. */
  readonly isProxy: boolean
  readonly status: 'active' | 'expired' | 'ended'
  readonly connectedAt: Date
  /** When the access token in hand expires; ongoing access outlives it. */
  readonly expiresAt?: Date
  /** The provider's page on which the participant sees and ends the access of apps; to be opened in a browser. */
  readonly manageUrl?: string
  /** FHIR bases of other servers that the same grant is good for. */
  readonly locations: readonly string[]
  /** This grant at another of its `locations`. @throws SmartError `FHIR_FOREIGN_URL` for any other server */
  forLocation(location: string): Connection
  /**
   * Searches a type, page by page as it is iterated; the parameters are those that FHIR R4 defines for the type.
   *
   * @example
   * const labs = connection.search('Observation', { patient: connection.patient, category: 'laboratory', date: ['ge2020'] })
   * for await (const lab of labs) console.log(lab.code.text)
   * @throws SmartError `FHIR_*`, while iterating
   * @see https://hl7.org/fhir/R4/http.html#search
   */
  search<T extends ResourceType>(
    type: T,
    params?: SearchParamsOf<T> | UncheckedParams,
    options?: SearchOptions,
  ): SearchResults<ResourceOf<T>>
  /** Reads any path below the FHIR base, as bytes. @throws SmartError `FHIR_FOREIGN_URL` for any other URL */
  fetch(path: string, options?: RequestOptions & { readonly accept?: string }): Promise<Response>
  /** Gets a new access token now. */
  refresh(options?: RequestOptions): Promise<void>
  /** Ends access: revokes it at the server and wipes it here, whatever the server answers. */
  revoke(options?: RequestOptions): Promise<Revocation>
}

/** What the modules beside a connection need of it, and no app may have. */
export interface ConnectionCore {
  readonly key: string
  readonly stored: StoredConnection
  readonly world: ConnectionWorld
  readonly keeper: TokenKeeper
  /** Sends with this connection's token, to a server that the token is for. */
  readonly send: (request: FhirRequest) => Promise<TransportResponse>
}

const cores = new WeakMap<object, ConnectionCore>()

/** The inside of a connection. @throws SmartError `CONFIG_INVALID` for anything else */
export function coreOf(connection: object): ConnectionCore {
  const core = cores.get(connection)
  if (!core) throw new SmartError('CONFIG_INVALID', 'that is not a connection of this client')
  return core
}

/** The one place where OAuth and FHIR meet: a reader whose every request carries this connection's token, and no other. */
export function openConnection(key: string, stored: StoredConnection, world: ConnectionWorld): Connection {
  return openAt(stored.iss, key, stored, world, createTokenKeeper(key, world))
}

function openAt(
  base: string,
  key: string,
  stored: StoredConnection,
  world: ConnectionWorld,
  keeper: TokenKeeper,
): Connection {
  const { platform, transport, provider } = world

  let media = provider.fhirVersion === 'DSTU2' ? dstu2Json : fhirJson
  const attempt = async (wanted: FhirRequest, bearer: Secret): ReturnType<FhirSend> => {
    await inTurn(platform, provider, wanted.signal)
    return transport({
      url: inContext(wanted.url, provider, bearer),
      method: wanted.method ?? 'GET',
      headers: {
        accept: wanted.accept ?? media,
        ...wanted.headers,
        ...(wanted.contentType === undefined ? {} : { 'content-type': wanted.contentType }),
      },
      within: wanted.within ?? [base],
      bearer,
      // A search over a large record can take most of a minute before its first byte.
      idleTimeout: 90_000,
      ...(wanted.body === undefined ? {} : { body: wanted.body }),
      ...(wanted.maxBytes === undefined ? {} : { maxBytes: wanted.maxBytes }),
      ...(wanted.signal ? { signal: wanted.signal } : {}),
      ...(wanted.onHead ? { onHead: wanted.onHead } : {}),
    })
  }

  const send: FhirSend = async (wanted) => {
    const bearer = await keeper.access(undefined, wanted.signal)
    let answer = await attempt(wanted, bearer)
    if (answer.status === 406 && wanted.accept === undefined && media === fhirJson) {
      media = dstu2Json
      answer = await attempt(wanted, bearer)
    }
    if (answer.status !== 401) return answer
    // One refresh and one more try: a server that refuses a fresh token too will go on refusing.
    return attempt(wanted, await keeper.access(bearer, wanted.signal))
  }

  const reader = createReader(base, {
    send,
    clock: platform.clock,
    crypto: platform.crypto,
    provider,
    pause: pauseOf(platform, base),
    ...(provider.attachmentOrigins ? { attachmentOrigins: provider.attachmentOrigins } : {}),
  })
  const manageUrl = stored.endpoints.management
  const locations = (stored.details ?? [])
    .flatMap((detail) => detail.locations)
    .filter((location) => isUsable(location, stored.iss))

  const connection: Connection = Object.freeze({
    id: stored.id,
    ...(stored.participant === undefined ? {} : { participant: stored.participant }),
    provider: Object.freeze({
      ...{ id: provider.id, name: provider.name, iss: base },
      ...(provider.vendor ? { vendor: provider.vendor } : {}),
    }),
    patient: stored.patient,
    context: stored.context,
    scopes: Object.freeze(splitScopes(stored.scope)),
    scopesAssumed: stored.scopeAssumed ?? false,
    requestedScopes: Object.freeze(splitScopes(stored.requested ?? stored.scope)),
    access: stored.refreshToken === undefined ? 'once' : 'ongoing',
    accessReason: reasonOf(stored, provider),
    ...(stored.identity ? { identity: stored.identity } : {}),
    isProxy: isProxy(stored),
    status: statusOf(stored, platform.clock.now()),
    connectedAt: new Date(stored.connectedAt),
    ...(stored.accessExpiresAt === undefined ? {} : { expiresAt: new Date(stored.accessExpiresAt) }),
    ...(manageUrl === undefined ? {} : { manageUrl }),
    locations: Object.freeze(locations),
    ...reader,

    forLocation(location: string): Connection {
      const detail = stored.details?.find((one) => one.locations.some((base) => same(base, location)))
      if (!detail || !locations.some((base) => same(base, location)))
        throw new SmartError('FHIR_FOREIGN_URL', 'the grant is not for that server', { subject: provider.id })
      const { details: _details, ...rest } = stored
      const there: StoredConnection = {
        ...rest,
        context: Object.freeze({ ...stored.context, ...detail.context }),
        patient: detail.context.patient ?? stored.patient,
        scope: detail.scope ?? stored.scope,
      }
      return openAt(location, key, there, world, keeper)
    },

    async fetch(
      path: string,
      options: RequestOptions & { readonly accept?: string } = {},
    ): Promise<Response> {
      const url = parseUrl(path, join(base, ''))
      if (!url)
        throw new SmartError('FHIR_FOREIGN_URL', 'that is not a path below the FHIR base', {
          subject: provider.id,
        })
      const { bytes, status, headers } = await send({ url: url.href, ...options }).catch((error: unknown) => {
        throw error instanceof TransportError && !options.signal?.aborted
          ? faultError(error, { provider })
          : error
      })
      return new Response(nullBody.has(status) ? null : bytes, { status, headers: plainHeaders(headers) })
    },

    async refresh(options: RequestOptions = {}): Promise<void> {
      await keeper.refresh(options.signal)
    },

    revoke: (options: RequestOptions = {}): Promise<Revocation> =>
      revokeConnection(key, stored, world, options.signal),
  } satisfies Connection)
  cores.set(connection, { key, stored, world, keeper, send })
  return connection
}

const fhirJson = 'application/fhir+json'
// What FHIR's JSON was called in DSTU2.
const dstu2Json = 'application/json+fhir'

const same = (one: string, other: string): boolean => one.replace(/\/$/, '') === other.replace(/\/$/, '')

// A server may name others that its token is for, but nothing less safe than itself.
function isUsable(location: string, iss: string): boolean {
  const url = parseUrl(location)
  return url !== undefined && (url.protocol === 'https:' || new URL(iss).protocol === 'http:')
}

const nullBody = new Set([101, 204, 205, 304])

// The body is already decoded, so what described its encoding would be untrue.
function plainHeaders(headers: Headers): Headers {
  const plain = new Headers(headers)
  for (const name of ['content-encoding', 'content-length', 'transfer-encoding']) plain.delete(name)
  return plain
}

function statusOf(stored: StoredConnection, now: number): Connection['status'] {
  if (stored.ended) return 'ended'
  const expired = stored.accessExpiresAt !== undefined && now >= stored.accessExpiresAt
  return expired && stored.refreshToken === undefined ? 'expired' : 'active'
}

// A refresh token in hand is what counts: servers need not list offline_access among what they granted.
function reasonOf(stored: StoredConnection, provider: Provider): AccessReason {
  if (stored.refreshToken !== undefined) return stored.wanted === 'online' ? 'signed-in' : 'refresh-token'
  if (stored.wanted === 'once') return 'not-requested'
  return provider.vendor?.publicRefresh?.value === false && !provider.auth ? 'public-client' : 'not-granted'
}

function isProxy({ identity, context, patient }: StoredConnection): boolean {
  const user = identity?.status === 'verified' ? identity.fhirUser : context.fhirUser
  const [type, id] = user?.split('/').slice(-2) ?? []
  return type !== undefined && (type !== 'Patient' || id !== patient)
}
