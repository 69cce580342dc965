import { SmartError } from './errors.js'
import type { Platform } from './ports.js'
import { peekJwt } from './smart/jws.js'
import type { Provider } from './smart/provider.js'
import { refreshTokens, type TokenClient, type Tokens } from './smart/token.js'
import {
  applyTokens,
  loadConnection,
  revocationKey,
  type StoredConnection,
  saveConnection,
  storage,
} from './stored-connection.js'
import { orAborted } from './util/abort.js'
import { backoff, singleFlight } from './util/async.js'
import { Secret } from './util/secret.js'
import type { Transport } from './util/transport.js'

export interface TokenKeeper {
  /** A token to send. Refreshes first when it is about to expire, or when it is `refused`, the one a 401 was for. */
  access(refused?: Secret, signal?: AbortSignal): Promise<Secret>
  /** Refreshes now, whatever the clock says. */
  refresh(signal?: AbortSignal): Promise<void>
}

export interface ConnectionWorld {
  readonly platform: Platform
  readonly transport: Transport
  readonly provider: Provider
}

/** A refresh that someone waits for is tried this often; none of these failures costs the refresh token. */
const attempts = 3
/** A server that asks for a longer wait is reported rather than waited for. Seconds. */
const longestWait = 20
/** After an early refresh has failed, the token in hand is used for a while before the next try. Milliseconds. */
const pause = 10_000

interface Memory {
  readonly flight: ReturnType<typeof singleFlight<StoredConnection>>
  readonly pausedUntil: Map<string, number>
  /** What a refresh brought and the store did not take: it is all there is of a rotated token. */
  readonly unsaved: Map<string, StoredConnection>
}

const memories = new WeakMap<object, Memory>()

function memoryOf(platform: Platform): Memory {
  const memory = memories.get(platform.store) ?? {
    flight: singleFlight(),
    pausedUntil: new Map(),
    unsaved: new Map(),
  }
  memories.set(platform.store, memory)
  return memory
}

/**
 * Keeps one connection's tokens fresh. A refresh happens once: in this process, in every tab and in every
 * other process that shares the store and the lock. The new refresh token is stored before it is relied on,
 * and the old one is dropped only when the server says `invalid_grant`.
 */
export function createTokenKeeper(key: string, world: ConnectionWorld): TokenKeeper {
  const { platform, provider } = world
  const { flight, pausedUntil, unsaved } = memoryOf(platform)
  const { clock } = platform

  const load = async (): Promise<StoredConnection> => {
    const stored = await loadConnection(platform, key)
    if (!stored) throw ended(provider, 'the connection is no longer stored here')
    const kept = unsaved.get(key)
    if (!kept) return stored
    // Only while nobody has refreshed since: whoever does takes the mark of the request away.
    const isNewest = stored.connectedAt === kept.connectedAt && stored.refreshSentAt === kept.refreshSentAt
    if (isNewest && !(await attempt(() => saveConnection(platform, key, written(kept))))) return written(kept)
    unsaved.delete(key)
    return isNewest ? written(kept) : stored
  }

  // Whoever ended the connection meanwhile must find neither it again nor its new tokens alive.
  const needsToStand = async (next: StoredConnection, before: StoredConnection): Promise<void> => {
    if (await loadConnection(platform, key)) return
    if (next.refreshToken !== before.refreshToken || next.accessToken !== before.accessToken)
      await storage(() => platform.store.set(revocationKey(key, next), JSON.stringify(next)))
    throw ended(provider, 'the connection was ended meanwhile')
  }

  const renew = (refused: string | undefined, needed: boolean, force = false): Promise<StoredConnection> =>
    flight(key, () =>
      platform.lock(key, async () => {
        // Read again under the lock: someone else may have refreshed while we waited.
        const current = await load()
        const usable = !isDue(current, clock.now()) && current.accessToken !== refused
        if (current.ended || (usable && !force)) return current
        return refreshed(current, needed ? attempts : 1)
      }),
    )

  // Never aborted: a rotated token that nobody waits for any more would be lost.
  const refreshed = async (current: StoredConnection, most: number): Promise<StoredConnection> => {
    let held = current
    const save = async (next: StoredConnection): Promise<void> => {
      await needsToStand(next, current)
      held = next
      await saveConnection(platform, key, next)
    }
    const sentAt = current.refreshSentAt ?? clock.now()
    // A store that is full after the server has answered costs nothing while this process lives.
    const keep = async (next: StoredConnection): Promise<void> => {
      held = next
      if (await attempt(() => save(next))) unsaved.delete(key)
      else unsaved.set(key, { ...next, refreshSentAt: sentAt })
    }
    // Ahead of the request, so that whoever comes after a crash knows that the token may have been used up.
    await save({ ...held, refreshSentAt: sentAt })
    let tokens: Tokens | undefined
    for (let attempt = 1; !tokens; attempt++) {
      try {
        tokens = await refreshTokens(
          { transport: world.transport, crypto: platform.crypto },
          tokenClientOf(current, provider),
          {
            refresh: new Secret(held.refreshToken ?? ''),
            ...(provider.vendor?.refreshScope?.value ? { scope: current.scope } : {}),
          },
          (rotated) => keep({ ...held, refreshToken: rotated.reveal() }),
        )
      } catch (error) {
        const wait = waitAfter(error, attempt, most)
        if (wait === undefined) throw await settle(error, current, save)
        await clock.sleep(wait)
      }
    }
    if (isOther(tokens, current)) {
      await save({ ...held, ended: true })
      throw new SmartError('TOKEN_PATIENT_CHANGED', `${provider.name} now answers for another patient`, {
        subject: provider.id,
      })
    }
    await keep(applyTokens(held, tokens, clock.now()))
    pausedUntil.delete(key)
    return held
  }

  // Milliseconds until the next try; undefined when there shall be none.
  const waitAfter = (error: unknown, attempt: number, most: number): number | undefined => {
    if (!(error instanceof SmartError) || attempt >= most || !mayPass(error)) return undefined
    if (error.retryAfter !== undefined)
      return error.retryAfter <= longestWait ? error.retryAfter * 1000 : undefined
    const [random = 0] = platform.crypto.getRandomValues(new Uint32Array(1))
    return backoff(attempt, random / 2 ** 32)
  }

  // `invalid_grant` alone ends the connection; whatever else went wrong, its refresh token stays.
  const settle = async (
    error: unknown,
    before: StoredConnection,
    save: (next: StoredConnection) => Promise<void>,
  ): Promise<unknown> => {
    if (!(error instanceof SmartError) || error.code !== 'TOKEN_ENDED') return error
    const { refreshToken: _dead, refreshSentAt: _sent, ...rest } = before
    await save({ ...rest, ended: true })
    return before.refreshSentAt === undefined
      ? error
      : ended(provider, 'an earlier refresh was cut off, and its answer with the new token is lost')
  }

  return Object.freeze({
    async access(refused?: Secret, signal?: AbortSignal) {
      const current = await load()
      if (current.ended) throw ended(provider, 'access has ended')
      const now = clock.now()
      const wasRefused = refused !== undefined && refused.reveal() === current.accessToken
      const needed = wasRefused || isExpired(current, now)
      const early = !needed && (pausedUntil.get(key) ?? 0) > now
      if (early || (!needed && !isDue(current, now))) return new Secret(current.accessToken)
      if (current.refreshToken === undefined) {
        if (needed) throw ended(provider, 'one-time access has ended')
        return new Secret(current.accessToken)
      }
      try {
        const next = await orAborted(signal, () => renew(refused?.reveal(), needed))
        if (next.ended) throw ended(provider, 'access has ended')
        return new Secret(next.accessToken)
      } catch (error) {
        // An early refresh that fails for now costs nothing while the old token still works.
        const passing = error instanceof SmartError && error.remedy === 'retry'
        if (!passing || wasRefused || isExpired(current, clock.now())) throw error
        pausedUntil.set(key, clock.now() + pause)
        return new Secret(current.accessToken)
      }
    },
    async refresh(signal?: AbortSignal) {
      const current = await load()
      if (current.ended) throw ended(provider, 'access has ended')
      if (current.refreshToken === undefined)
        throw ended(provider, 'access is one-time and cannot be refreshed')
      await orAborted(signal, () => renew(undefined, true, true))
    },
  })
}

// As it is stored once it can be: the request whose answer this is has come to its end.
function written({ refreshSentAt: _, ...rest }: StoredConnection): StoredConnection {
  return rest
}

/** False when the store failed; every other error is thrown. */
async function attempt(work: () => Promise<void>): Promise<boolean> {
  try {
    await work()
    return true
  } catch (error) {
    if (error instanceof SmartError && error.code === 'CONFIG_STORAGE_FAILED') return false
    throw error
  }
}

export function tokenClientOf(stored: StoredConnection, provider: Provider): TokenClient {
  const { clientId, endpoints } = stored
  return {
    provider: { id: provider.id, name: provider.name },
    clientId,
    tokenEndpoint: endpoints.token,
    ...(provider.auth ? { auth: provider.auth } : {}),
    ...(endpoints.authMethods ? { authMethods: endpoints.authMethods } : {}),
  }
}

// A refusal that says what is wrong with the request is the same the next time.
function mayPass({ code, reason }: SmartError): boolean {
  return (
    code === 'TOKEN_UNREACHABLE' ||
    (code === 'TOKEN_REFUSED' && !/^(invalid|unsupported)_/.test(reason ?? ''))
  )
}

// Of another patient, or of another person: what they may see is not what this connection is for.
function isOther(tokens: Tokens, current: StoredConnection): boolean {
  const { patient } = tokens.context
  if (patient !== undefined && patient !== current.patient) return true
  if (current.identity?.status !== 'verified' || !tokens.idToken) return false
  const subject = peekJwt(tokens.idToken.reveal())?.sub
  return subject !== undefined && subject !== current.identity.subject
}

function isExpired(stored: StoredConnection, now: number): boolean {
  return stored.accessExpiresAt !== undefined && now >= stored.accessExpiresAt
}

function isDue(stored: StoredConnection, now: number): boolean {
  return stored.refreshDueAt !== undefined && now >= stored.refreshDueAt
}

function ended(provider: Provider, why: string): SmartError {
  return new SmartError('TOKEN_ENDED', `the connection to ${provider.name} needs a new sign-in: ${why}`, {
    subject: provider.id,
  })
}
