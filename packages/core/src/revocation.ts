import type { Platform } from './ports.js'
import type { Provider } from './smart/provider.js'
import { revokeToken } from './smart/token.js'
import {
  checkpointPrefix,
  filePrefix,
  loadConnection,
  revocationKey,
  revocations,
  type StoredConnection,
  storage,
} from './stored-connection.js'
import { type ConnectionWorld, tokenClientOf } from './tokens.js'
import { Secret } from './util/secret.js'

/** What became of access that was to end. */
export interface Revocation {
  /**
   * `queued`: the server could not be told yet; `client.finishRevocations()` tells it later. `not-offered`: it has no
   * revocation endpoint. `failed`: it refuses. After either of the last two the participant can finish at `manageUrl`.
   */
  readonly server: 'revoked' | 'queued' | 'not-offered' | 'failed'
  readonly local: 'wiped' | 'failed'
  /** The provider's page on which the participant sees and ends the access of apps. */
  readonly manageUrl?: string
}

/**
 * Ends a connection. What is left of it here, until the server has confirmed, is a note of the tokens to revoke:
 * written before the connection goes, so that nothing in between can lose it.
 *
 * @see https://www.rfc-editor.org/rfc/rfc7009
 */
export async function revokeConnection(
  key: string,
  known: StoredConnection,
  world: ConnectionWorld,
  signal?: AbortSignal,
): Promise<Revocation> {
  const { platform } = world
  const current = (await loadConnection(platform, key).catch(() => undefined)) ?? known
  const offered = current.endpoints.revocation !== undefined && !current.ended
  const noteKey = revocationKey(key, current)
  const keep = (note: Note): Promise<boolean> =>
    attempt(() => platform.store.set(noteKey, JSON.stringify(note)))
  const wipe = (): Promise<boolean> =>
    attempt(async () => {
      await platform.store.delete(key)
      for (const prefix of [checkpointPrefix(current.id), filePrefix(current.id)])
        for (const kept of await platform.store.keys(prefix)) await platform.store.delete(kept)
    })
  const manageUrl = current.endpoints.management
  const outcome = (server: Revocation['server'], wiped: boolean): Revocation =>
    Object.freeze({
      server,
      local: wiped ? 'wiped' : 'failed',
      ...(manageUrl === undefined ? {} : { manageUrl }),
    })
  // A refresh that was under way somewhere: when it is over, what it brought goes as well.
  const afterRefresh = <T>(work: () => Promise<T>): Promise<T> => platform.lock(key, work)
  if (!offered) {
    const first = await wipe()
    const wiped = await afterRefresh(wipe)
    await attempt(() => platform.store.delete(noteKey))
    return outcome('not-offered', first && wiped)
  }
  // Held until the server has been told, so that nobody who finishes revocations tells it the same at the same time.
  return platform.lock(noteKey, async () => {
    const noted = await keep(current)
    const wiped = await wipe()
    const first = await tellServer(current, world, noted ? keep : undefined, signal)
    return afterRefresh(async () => {
      const late = await lateTokens(platform, key, noteKey, current)
      const wipedAgain = await wipe()
      const server = late ? await tellServer(late, world, keep, signal) : first
      if (server !== 'queued') await attempt(() => platform.store.delete(noteKey))
      return outcome(server === 'queued' && !noted ? 'failed' : server, wiped && wipedAgain)
    })
  })
}

/** The tokens that a refresh brought while the connection was being ended, wherever it left them. */
async function lateTokens(
  platform: Platform,
  key: string,
  noteKey: string,
  ended: StoredConnection,
): Promise<StoredConnection | undefined> {
  for (const place of [key, noteKey]) {
    const found = await loadConnection(platform, place).catch(() => undefined)
    const isNew =
      found?.accessToken !== ended.accessToken ||
      (found.refreshToken !== undefined && found.refreshToken !== ended.refreshToken)
    if (found && found.connectedAt === ended.connectedAt && isNew) return found
  }
  return undefined
}

/** A connection that ends, without the tokens of which the server has confirmed that they are revoked. */
interface Note extends StoredConnection {
  readonly refreshRevoked?: boolean
}

/** A revocation that had to wait, and what became of it now. */
export interface FinishedRevocation {
  /** The id that the connection had. */
  readonly connection: string
  readonly provider: string
  readonly server: Revocation['server']
}

/** Tells the servers that could not be told before. */
export async function finishRevocations(
  platform: Platform,
  worldOf: (provider: string) => (ConnectionWorld & { readonly provider: Provider }) | undefined,
  signal?: AbortSignal,
): Promise<FinishedRevocation[]> {
  const keys = await storage(() => platform.store.keys(revocations))
  const finished: FinishedRevocation[] = []
  for (const key of keys.sort()) {
    signal?.throwIfAborted()
    await platform.lock(key, async () => {
      const noted: Note | undefined = await loadConnection(platform, key)
      const world = noted && worldOf(noted.provider)
      if (!noted || !world) return
      const keep = (note: Note): Promise<boolean> =>
        attempt(() => platform.store.set(key, JSON.stringify(note)))
      const server = await tellServer(noted, world, keep, signal)
      if (server !== 'queued') await storage(() => platform.store.delete(key))
      finished.push(Object.freeze({ connection: noted.id, provider: noted.provider, server }))
    })
  }
  return finished
}

// The refresh token first: a server that stops halfway must not leave the token that makes new ones.
async function tellServer(
  stored: Note,
  world: ConnectionWorld,
  keep: ((note: Note) => Promise<unknown>) | undefined,
  signal?: AbortSignal,
): Promise<'revoked' | 'queued' | 'failed'> {
  const { transport, platform, provider } = world
  const client = tokenClientOf(stored, provider)
  const revoke = (token: string, hint: 'refresh_token' | 'access_token'): ReturnType<typeof revokeToken> =>
    revokeToken(
      { transport, crypto: platform.crypto },
      client,
      stored.endpoints.revocation as string,
      new Secret(token),
      hint,
      signal,
    )
  try {
    const { refreshToken, ...rest } = stored
    const refresh = refreshToken === undefined ? undefined : await revoke(refreshToken, 'refresh_token')
    if (refresh === 'later') return 'queued'
    // What the server has confirmed is not told again, however often the rest has to be tried.
    // Where that cannot be noted, the longer note is as good.
    if (refresh === 'revoked') await keep?.({ ...rest, refreshRevoked: true })
    const access = await revoke(stored.accessToken, 'access_token')
    if (access === 'later') return 'queued'
    // RFC 7009 §2.2.1: a server need not be able to revoke access tokens by themselves.
    const ended = access === 'revoked' || refresh === 'revoked' || stored.refreshRevoked === true
    return ended ? 'revoked' : 'failed'
  } catch (error) {
    const passing = signal?.aborted || (error as { remedy?: string }).remedy === 'retry'
    return passing ? 'queued' : 'failed'
  }
}

async function attempt(work: () => Promise<void>): Promise<boolean> {
  try {
    await work()
    return true
  } catch {
    return false
  }
}
