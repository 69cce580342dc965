import {
  ambientClock,
  ambientCrypto,
  ambientFetch,
  type Lock,
  type Platform,
  type Provider,
  type Store,
} from '@s4s/core'
import { guardedFetch } from './guarded-fetch.js'
import { memoryStore } from './memory-store.js'
import { processLock } from './process-lock.js'

export interface NodePlatformOptions {
  /** Default `memoryStore()`. */
  readonly store?: Store
  /** Default: the store's own lock if it has one, such as a `fileStore`'s; else `processLock()`. */
  readonly lock?: Lock
  /**
   * With these, requests reach the public internet and the hosts of these providers only: whatever address in a private
   * network a server names is refused. Without them, the runtime's own `fetch` is used.
   */
  readonly providers?: readonly Provider[]
  /** Other hosts that may have private addresses, such as a hospital's sign-in server behind a VPN. */
  readonly allowPrivate?: readonly string[]
}

/** What `createClient` needs of Node. */
export function nodePlatform(options: NodePlatformOptions = {}): Platform {
  const store = options.store ?? memoryStore()
  const lock = options.lock ?? (store as Partial<{ lock: Lock }>).lock ?? processLock()
  const fetch = options.providers ? guardedFetch({ allowPrivate: listed(options) }) : ambientFetch
  return Object.freeze({ fetch, crypto: ambientCrypto, clock: ambientClock, store, lock })
}

// Who lists a provider at a private address means it. One on loopback is a development machine, where the
// authorization server of the same EHR may have a port of its own.
function listed({ providers = [], allowPrivate = [] }: NodePlatformOptions): (url: URL) => boolean {
  const bases = providers.flatMap(({ iss, configuration = {} }) =>
    [iss, ...Object.values(configuration)].filter(
      (value) => typeof value === 'string' && URL.canParse(value),
    ),
  ) as string[]
  const hosts = new Set([...bases.map((base) => new URL(base).hostname), ...allowPrivate])
  const loopback = (host: string): boolean => /^(localhost|127(\.\d+){3}|\[::1\])$/.test(host)
  const develops = [...hosts].some(loopback)
  return ({ hostname }) => hosts.has(hostname) || (develops && loopback(hostname))
}
