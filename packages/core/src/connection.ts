import { SmartError } from './errors.js'
import { createReader } from './fhir/reader.js'
import type { FhirRequest, FhirSend } from './fhir/request.js'
import type { Reader, RequestOptions } from './fhir/types.js'
import type { Platform } from './ports.js'
import type { LaunchContext } from './smart/context.js'
import type { Provider } from './smart/provider.js'
import { splitScopes } from './smart/scopes.js'
import { revokeToken } from './smart/token.js'
import { createTokenKeeper, loadConnection, type StoredConnection, storage, tokenClientOf } from './tokens.js'
import { Secret } from './util/secret.js'
import type { Transport } from './util/transport.js'
import { join, parseUrl } from './util/url.js'

/** What became of access that was to end. */
export interface Revocation {
  /** `not-offered`: the server has no revocation endpoint; the participant can finish at `manageUrl`, if there is one. */
  readonly server: 'revoked' | 'not-offered' | 'failed'
  readonly local: 'wiped' | 'failed'
  readonly manageUrl?: string
}

/** A participant's access to one patient's record at one provider. */
export interface Connection extends Reader {
  /** The same for every connection of this participant to this patient at this provider, also after a reconnect. */
  readonly id: string
  readonly participant?: string
  /** The logical id of the patient. */
  readonly patient: string
  readonly context: LaunchContext
  readonly scopes: readonly string[]
  /** `ongoing` when the server gave a refresh token; `once` ends with the access token. */
  readonly access: 'once' | 'ongoing'
  readonly status: 'active' | 'expired' | 'ended'
  readonly connectedAt: Date
  /** When the access token in hand expires; ongoing access outlives it. */
  readonly expiresAt?: Date
  /** Reads any path below the FHIR base, as bytes. @throws SmartError `FHIR_FOREIGN_URL` for any other URL */
  fetch(path: string, options?: RequestOptions & { readonly accept?: string }): Promise<Response>
  /** Gets a new access token now. */
  refresh(options?: RequestOptions): Promise<void>
  /** Ends access: revokes it at the server and wipes it here, whatever the server answers. */
  revoke(options?: RequestOptions): Promise<Revocation>
}

export interface ConnectionWorld {
  readonly platform: Platform
  readonly transport: Transport
  readonly provider: Provider
}

/** The one place where OAuth and FHIR meet: a reader whose every request carries this connection's token, and no other. */
export function openConnection(key: string, stored: StoredConnection, world: ConnectionWorld): Connection {
  const { platform, transport, provider } = world
  const keeper = createTokenKeeper(key, world)

  const attempt = (wanted: FhirRequest, bearer: Secret): ReturnType<FhirSend> =>
    transport({
      url: wanted.url,
      method: wanted.method ?? 'GET',
      headers: {
        accept: wanted.accept ?? 'application/fhir+json',
        ...(wanted.contentType === undefined ? {} : { 'content-type': wanted.contentType }),
      },
      within: [stored.iss],
      bearer,
      // A search over a large record can take most of a minute before its first byte.
      idleTimeout: 90_000,
      ...(wanted.body === undefined ? {} : { body: wanted.body }),
      ...(wanted.maxBytes === undefined ? {} : { maxBytes: wanted.maxBytes }),
      ...(wanted.signal ? { signal: wanted.signal } : {}),
    })

  const send: FhirSend = async (wanted) => {
    const bearer = await keeper.access(undefined, wanted.signal)
    const answer = await attempt(wanted, bearer)
    if (answer.status !== 401) return answer
    // One refresh and one more try: a server that refuses a fresh token too will go on refusing.
    return attempt(wanted, await keeper.access(bearer, wanted.signal))
  }

  const reader = createReader(stored.iss, { send, clock: platform.clock, crypto: platform.crypto, provider })
  const access = stored.refreshToken === undefined ? 'once' : 'ongoing'

  return Object.freeze({
    id: stored.id,
    ...(stored.participant === undefined ? {} : { participant: stored.participant }),
    provider: Object.freeze({ id: provider.id, name: provider.name, iss: stored.iss }),
    patient: stored.patient,
    context: stored.context,
    scopes: Object.freeze(splitScopes(stored.scope)),
    access,
    status: statusOf(stored, platform.clock.now()),
    connectedAt: new Date(stored.connectedAt),
    ...(stored.accessExpiresAt === undefined ? {} : { expiresAt: new Date(stored.accessExpiresAt) }),
    ...reader,

    async fetch(
      path: string,
      options: RequestOptions & { readonly accept?: string } = {},
    ): Promise<Response> {
      const url = parseUrl(path, join(stored.iss, ''))
      if (!url)
        throw new SmartError('FHIR_FOREIGN_URL', 'that is not a path below the FHIR base', {
          subject: provider.id,
        })
      const { bytes, status, headers } = await send({ url: url.href, ...options })
      return new Response(nullBody.has(status) ? null : bytes, { status, headers: plainHeaders(headers) })
    },

    async refresh(options: RequestOptions = {}): Promise<void> {
      await keeper.refresh(options.signal)
    },

    revoke: (options: RequestOptions = {}): Promise<Revocation> =>
      platform.lock(key, async () => {
        const current = (await loadConnection(platform, key).catch(() => undefined)) ?? stored
        const server = await revokeAtServer(current, world, options.signal)
        const local = await storage(() => platform.store.delete(key)).then(
          () => 'wiped' as const,
          () => 'failed' as const,
        )
        const manageUrl = current.endpoints.management
        return Object.freeze({ server, local, ...(manageUrl === undefined ? {} : { manageUrl }) })
      }),
  } satisfies Connection)
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

// The refresh token first: a server that stops halfway must not leave the token that makes new ones.
async function revokeAtServer(
  stored: StoredConnection,
  world: ConnectionWorld,
  signal?: AbortSignal,
): Promise<Revocation['server']> {
  const { transport, provider } = world
  const endpoint = stored.endpoints.revocation
  if (endpoint === undefined) return 'not-offered'
  const client = tokenClientOf(stored, provider)
  try {
    if (stored.refreshToken !== undefined) {
      const done = await revokeToken(
        transport,
        client,
        endpoint,
        new Secret(stored.refreshToken),
        'refresh_token',
        signal,
      )
      if (!done) return 'failed'
    }
    const done = await revokeToken(
      transport,
      client,
      endpoint,
      new Secret(stored.accessToken),
      'access_token',
      signal,
    )
    // RFC 7009 §2.2.1: a server need not be able to revoke access tokens by themselves.
    return done || stored.refreshToken !== undefined ? 'revoked' : 'failed'
  } catch {
    return 'failed'
  }
}
