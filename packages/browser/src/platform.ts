import { ambientClock, ambientCrypto, ambientFetch, type Platform } from '@s4s/core'
import { browserLock } from './lock.js'
import { type BrowserStore, browserStore } from './store.js'

/** A platform whose store can say whether it keeps anything, and can be emptied. */
export interface BrowserPlatform extends Platform {
  readonly store: BrowserStore
}

/** What the core needs, from a browser. Touches nothing until it is used. */
export function browserPlatform(): BrowserPlatform {
  return Object.freeze({
    fetch: ambientFetch,
    crypto: ambientCrypto,
    clock: ambientClock,
    store: browserStore(),
    lock: browserLock(),
  } satisfies BrowserPlatform)
}
