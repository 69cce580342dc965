import type { Platform } from './ports.js'
import type { AccessWanted, BoundEndpoints } from './smart/authorize.js'
import { type AuthorizationDetail, type LaunchContext, mergeContext } from './smart/context.js'
import type { Identity } from './smart/identity.js'
import type { Tokens } from './smart/token.js'
import { isObject, parseJson } from './util/json.js'
import { storage } from './util/storage.js'

export { storage }

/** A connection as it is stored. */
export interface StoredConnection {
  readonly format: 1
  readonly id: string
  readonly provider: string
  readonly iss: string
  readonly clientId: string
  /** The id of the EHR product that the provider was taken for. */
  readonly vendor?: string
  readonly participant?: string
  readonly patient: string
  readonly context: LaunchContext
  /** As granted; as requested when the server did not say. */
  readonly scope: string
  readonly scopeAssumed?: boolean
  readonly requested?: string
  readonly wanted?: AccessWanted
  readonly identity?: Identity
  readonly details?: readonly AuthorizationDetail[]
  readonly accessToken: string
  readonly refreshToken?: string
  /** Epoch milliseconds, by this machine's clock. */
  readonly accessExpiresAt?: number
  /** Epoch milliseconds from which a refresh comes before the next request. */
  readonly refreshDueAt?: number
  /** When a refresh was sent whose answer has not been stored: its token may have been used up. Epoch milliseconds. */
  readonly refreshSentAt?: number
  /** True once the server has said that the grant is no more. */
  readonly ended: boolean
  /** The kid of the key that this installation is registered with, where providers want one. */
  readonly installation?: string
  readonly endpoints: BoundEndpoints
  readonly connectedAt: number
}

/**
 * Refreshed this long before expiry, so that no request leaves with a token that dies on the way. Milliseconds.
 * A short-lived token keeps half of its life: it would be stale on arrival otherwise.
 */
const early = 60_000

/** The stored connection with a token response laid over it; what the response leaves out stays. */
export function applyTokens(stored: StoredConnection, tokens: Tokens, now: number): StoredConnection {
  const { accessExpiresAt: _expired, refreshDueAt: _due, refreshSentAt: _sent, ...rest } = stored
  const lifetime = tokens.expiresIn === undefined ? undefined : tokens.expiresIn * 1000
  return {
    ...rest,
    accessToken: tokens.access.reveal(),
    ...(tokens.refresh ? { refreshToken: tokens.refresh.reveal() } : {}),
    ...(lifetime === undefined
      ? {}
      : { accessExpiresAt: now + lifetime, refreshDueAt: now + Math.max(lifetime / 2, lifetime - early) }),
    ...(tokens.scope === undefined ? {} : { scope: tokens.scope, scopeAssumed: false }),
    ...(tokens.details.length === 0 ? {} : { details: tokens.details }),
    context: mergeContext(stored.context, tokens.context),
  }
}

/** The connection at a key; undefined when there is none or it cannot be read as one. */
export async function loadConnection(platform: Platform, key: string): Promise<StoredConnection | undefined> {
  const text = await storage(() => platform.store.get(key))
  const value = text === undefined ? undefined : parseJson(text)
  // What another version has written, or a bad disk, is passed over and stays where it is.
  return isStored(value) ? value : undefined
}

const required = ['id', 'provider', 'iss', 'clientId', 'patient', 'scope', 'accessToken']
const texts = ['vendor', 'participant', 'requested', 'wanted', 'refreshToken', 'installation']
const times = ['accessExpiresAt', 'refreshDueAt', 'refreshSentAt']

function isStored(value: unknown): value is StoredConnection {
  if (!isObject(value) || value.format !== 1) return false
  const { endpoints, context, details, identity } = value
  const is = (names: readonly string[], type: string, of: Record<string, unknown> = value): boolean =>
    names.every((name) => of[name] === undefined || typeof of[name] === type)
  return (
    required.every((name) => typeof value[name] === 'string') &&
    is(texts, 'string') &&
    is(times, 'number') &&
    typeof value.connectedAt === 'number' &&
    isObject(context) &&
    is(['fhirUser', 'encounter'], 'string', context) &&
    (identity === undefined || isObject(identity)) &&
    isObject(endpoints) &&
    typeof endpoints.token === 'string' &&
    is(['revocation', 'introspection', 'management', 'registration', 'appState'], 'string', endpoints) &&
    (details === undefined ||
      (Array.isArray(details) &&
        details.every(
          (one) =>
            isObject(one) &&
            Array.isArray(one.locations) &&
            one.locations.every((url) => typeof url === 'string'),
        )))
  )
}

export async function saveConnection(
  platform: Platform,
  key: string,
  stored: StoredConnection,
): Promise<void> {
  await storage(() => platform.store.set(key, JSON.stringify(stored)))
}

/** Where the tokens of a connection that ended wait until the server has been told to revoke them. */
export const revocations = 'revocation/'

/** Of the same connection, made anew while the server could not be told of the last, both sets of tokens are told. */
export const revocationKey = (key: string, { connectedAt }: StoredConnection): string =>
  `${revocations}${key}/${connectedAt}`

/** Where the files of a connection's records are: they go when it does. */
export const filePrefix = (connection: string): string => `file/${connection}/`

/** Where the checkpoints of a connection are: they go when it does. */
export const checkpointPrefix = (connection: string): string => `checkpoint/${connection}/`
