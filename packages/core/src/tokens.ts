import { SmartError } from './errors.js'
import type { Platform } from './ports.js'
import { type LaunchContext, mergeContext } from './smart/context.js'
import type { Provider } from './smart/provider.js'
import { refreshTokens, type TokenClient, type Tokens } from './smart/token.js'
import { orAborted } from './util/abort.js'
import { singleFlight } from './util/async.js'
import { isObject, parseJson } from './util/json.js'
import { Secret } from './util/secret.js'
import type { Transport } from './util/transport.js'

/** A connection as it is stored. */
export interface StoredConnection {
  readonly format: 1
  readonly id: string
  readonly provider: string
  readonly iss: string
  readonly clientId: string
  readonly participant?: string
  readonly patient: string
  readonly context: LaunchContext
  readonly scope: string
  readonly accessToken: string
  readonly refreshToken?: string
  /** Epoch milliseconds, by this machine's clock. */
  readonly accessExpiresAt?: number
  /** Epoch milliseconds from which a refresh comes before the next request. */
  readonly refreshDueAt?: number
  /** True once the server has said that the grant is no more. */
  readonly ended: boolean
  readonly endpoints: { readonly token: string; readonly revocation?: string; readonly management?: string }
  readonly connectedAt: number
}

/**
 * Refreshed this long before expiry, so that no request leaves with a token that dies on the way. Milliseconds.
 * A short-lived token keeps half of its life: it would be stale on arrival otherwise.
 */
const early = 60_000

export interface TokenKeeper {
  /** A token to send. Refreshes first when it is about to expire, or when it is `refused`, the one a 401 was for. */
  access(refused?: Secret, signal?: AbortSignal): Promise<Secret>
  /** Refreshes now, whatever the clock says. */
  refresh(signal?: AbortSignal): Promise<void>
}

export interface TokenWorld {
  readonly platform: Platform
  readonly transport: Transport
  readonly provider: Provider
}

const flights = new WeakMap<object, ReturnType<typeof singleFlight<StoredConnection>>>()

/**
 * Keeps one connection's tokens fresh. A refresh happens once: in this process, in every tab and in every
 * other process that shares the store and the lock. The new refresh token is stored before it is relied on,
 * and the old one is dropped only when the server says `invalid_grant`.
 */
export function createTokenKeeper(key: string, world: TokenWorld): TokenKeeper {
  const { platform, transport, provider } = world
  const flight = flights.get(platform.store) ?? singleFlight<StoredConnection>()
  flights.set(platform.store, flight)

  const load = async (): Promise<StoredConnection> => {
    const stored = await loadConnection(platform, key)
    if (!stored) throw ended(provider, 'the connection is no longer stored here')
    return stored
  }

  const renew = (
    refused: string | undefined,
    force: boolean,
    _signal?: AbortSignal,
  ): Promise<StoredConnection> =>
    flight(key, () =>
      platform.lock(key, async () => {
        // Read again under the lock: someone else may have refreshed while we waited.
        const current = await load()
        const usable = !isStale(current, platform.clock.now()) && current.accessToken !== refused
        if (current.ended || (usable && !force)) return current
        return refreshed(current)
      }),
    )

  // Never aborted: a rotated token that nobody waits for any more would be lost.
  const refreshed = async (current: StoredConnection): Promise<StoredConnection> => {
    if (current.refreshToken === undefined) return current
    let held = current
    const save = async (next: StoredConnection): Promise<void> => {
      held = next
      await saveConnection(platform, key, next)
    }
    let tokens: Tokens
    try {
      tokens = await refreshTokens(
        transport,
        tokenClientOf(current, provider),
        new Secret(current.refreshToken),
        (rotated) => save({ ...held, refreshToken: rotated.reveal() }),
      )
    } catch (error) {
      if (error instanceof SmartError && error.code === 'TOKEN_ENDED') {
        const { refreshToken: _dead, ...rest } = held
        await save({ ...rest, ended: true })
      }
      throw error
    }
    const { patient } = tokens.context
    if (patient !== undefined && patient !== current.patient) {
      await save({ ...held, ended: true })
      throw new SmartError('TOKEN_PATIENT_CHANGED', `${provider.name} now answers for another patient`, {
        subject: provider.id,
      })
    }
    await save(applyTokens(held, tokens, platform.clock.now()))
    return held
  }

  return Object.freeze({
    async access(refused?: Secret, signal?: AbortSignal) {
      const current = await load()
      if (current.ended) throw ended(provider, 'access has ended')
      const now = platform.clock.now()
      const wasRefused = refused !== undefined && refused.reveal() === current.accessToken
      if (!wasRefused && !isStale(current, now)) return new Secret(current.accessToken)
      if (current.refreshToken === undefined) {
        if (isExpired(current, now) || wasRefused) throw ended(provider, 'one-time access has ended')
        return new Secret(current.accessToken)
      }
      try {
        const next = await orAborted(signal, () => renew(refused?.reveal(), false))
        if (next.ended) throw ended(provider, 'access has ended')
        return new Secret(next.accessToken)
      } catch (error) {
        // An early refresh that fails for now costs nothing while the old token still works.
        const passing = error instanceof SmartError && error.remedy === 'retry'
        if (passing && !wasRefused && !isExpired(current, platform.clock.now()))
          return new Secret(current.accessToken)
        throw error
      }
    },
    async refresh(signal?: AbortSignal) {
      const current = await load()
      if (current.ended) throw ended(provider, 'access has ended')
      if (current.refreshToken === undefined)
        throw ended(provider, 'access is one-time and cannot be refreshed')
      await orAborted(signal, () => renew(undefined, true))
    },
  })
}

export function tokenClientOf(stored: StoredConnection, provider: Provider): TokenClient {
  return {
    provider: { id: provider.id, name: provider.name },
    clientId: stored.clientId,
    tokenEndpoint: stored.endpoints.token,
    ...(provider.auth ? { auth: provider.auth } : {}),
  }
}

/** The stored connection with a token response laid over it; what the response leaves out stays. */
export function applyTokens(stored: StoredConnection, tokens: Tokens, now: number): StoredConnection {
  const { accessExpiresAt: _expired, refreshDueAt: _due, ...rest } = stored
  const lifetime = tokens.expiresIn === undefined ? undefined : tokens.expiresIn * 1000
  return {
    ...rest,
    accessToken: tokens.access.reveal(),
    ...(tokens.refresh ? { refreshToken: tokens.refresh.reveal() } : {}),
    ...(lifetime === undefined
      ? {}
      : { accessExpiresAt: now + lifetime, refreshDueAt: now + Math.max(lifetime / 2, lifetime - early) }),
    ...(tokens.scope === undefined ? {} : { scope: tokens.scope }),
    context: mergeContext(stored.context, tokens.context),
  }
}

/** The connection at a key; undefined when there is none or it cannot be read as one. */
export async function loadConnection(platform: Platform, key: string): Promise<StoredConnection | undefined> {
  const text = await storage(() => platform.store.get(key))
  const value = text === undefined ? undefined : parseJson(text)
  if (!isObject(value) || value.format !== 1) return undefined
  const strings = ['id', 'provider', 'iss', 'clientId', 'patient', 'scope', 'accessToken'] as const
  if (strings.some((name) => typeof value[name] !== 'string')) return undefined
  if (!isObject(value.endpoints) || typeof value.endpoints.token !== 'string') return undefined
  return value as unknown as StoredConnection
}

export async function saveConnection(
  platform: Platform,
  key: string,
  stored: StoredConnection,
): Promise<void> {
  await storage(() => platform.store.set(key, JSON.stringify(stored)))
}

/** Runs one storage operation; its failure becomes the typed error. */
export async function storage<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw new SmartError('CONFIG_STORAGE_FAILED', 'the store could not be read or written', { cause })
  }
}

function isExpired(stored: StoredConnection, now: number): boolean {
  return stored.accessExpiresAt !== undefined && now >= stored.accessExpiresAt
}

function isStale(stored: StoredConnection, now: number): boolean {
  return stored.refreshDueAt !== undefined && now >= stored.refreshDueAt
}

function ended(provider: Provider, why: string): SmartError {
  return new SmartError('TOKEN_ENDED', `the connection to ${provider.name} needs a new sign-in: ${why}`, {
    subject: provider.id,
  })
}
