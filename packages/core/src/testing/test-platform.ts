import { ambientClock, ambientCrypto, ambientFetch } from '../ambient.js'
import type { Platform } from '../ports.js'
import { memoryStore } from './memory-store.js'
import { processLock } from './process-lock.js'

/** A platform in memory; hand in the parts that the test wants to hold. */
export function testPlatform(parts: Partial<Platform> = {}): Platform {
  return Object.freeze({
    fetch: ambientFetch,
    crypto: ambientCrypto,
    clock: ambientClock,
    store: memoryStore(),
    lock: processLock(),
    ...parts,
  })
}
