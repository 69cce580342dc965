import { ambientClock, ambientCrypto, ambientFetch, type Lock, type Platform, type Store } from '@s4s/core'
import { memoryStore } from './memory-store.js'
import { processLock } from './process-lock.js'

export interface NodePlatformOptions {
  /** Default `memoryStore()`. */
  readonly store?: Store
  /** Default: the store's own lock if it has one, such as a `fileStore`'s; else `processLock()`. */
  readonly lock?: Lock
}

/** What `createClient` needs of Node. */
export function nodePlatform(options: NodePlatformOptions = {}): Platform {
  const store = options.store ?? memoryStore()
  const lock = options.lock ?? (store as Partial<{ lock: Lock }>).lock ?? processLock()
  return Object.freeze({ fetch: ambientFetch, crypto: ambientCrypto, clock: ambientClock, store, lock })
}
