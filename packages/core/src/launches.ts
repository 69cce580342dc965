import type { Platform } from './ports.js'
import type { PendingLaunch } from './smart/authorize.js'
import { storage } from './stored-connection.js'
import { isObject, parseJson } from './util/json.js'

/** A launch as it is stored, from its beginning until an hour after it expires. */
export interface StoredLaunch {
  readonly pending: PendingLaunch
  /** True once the code may have reached the server. */
  readonly sent?: boolean
  /** The store key of the connection that came of it. */
  readonly connection?: string
}

/** Where the launch of a state is kept. */
export const launchKey = (state: string): string => `launch/${state}`

export async function loadLaunch(platform: Platform, key: string): Promise<StoredLaunch | undefined> {
  const text = await storage(() => platform.store.get(key))
  const value = text === undefined ? undefined : parseJson(text)
  return isObject(value) && isObject(value.pending) ? (value as unknown as StoredLaunch) : undefined
}

export async function saveLaunch(platform: Platform, key: string, launch: StoredLaunch): Promise<void> {
  await storage(() => platform.store.set(key, JSON.stringify(launch)))
}

/** What a replay needs to find its connection, without the verifier. */
export function spent(pending: PendingLaunch): PendingLaunch {
  return { ...pending, verifier: '' }
}

/** Launches that nobody came back from go when the next one begins, an hour after they expired. */
export async function sweepLaunches(platform: Platform): Promise<void> {
  await storage(async () => {
    for (const key of await platform.store.keys('launch/')) {
      const launched = await loadLaunch(platform, key)
      if (!launched || launched.pending.expiresAt + 3_600_000 < platform.clock.now())
        await platform.store.delete(key)
    }
  })
}
