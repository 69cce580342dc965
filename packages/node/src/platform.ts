import { isIP } from 'node:net'
import {
  ambientClock,
  ambientCrypto,
  ambientFetch,
  type Lock,
  type Platform,
  type Provider,
  SmartError,
  type Store,
} from '@s4s/core'
import { guardedFetch, type Reach } from './guarded-fetch.js'
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
  /**
   * Other hosts that may have private addresses, such as a hospital's sign-in server behind a VPN: names or addresses.
   * A name may stand for an address of a private network; for one of this machine only where a provider is on loopback.
   */
  readonly allowPrivate?: readonly string[]
}

/** What `createClient` needs of Node. */
export function nodePlatform(options: NodePlatformOptions = {}): Platform {
  const store = options.store ?? memoryStore()
  const lock = options.lock ?? (store as Partial<{ lock: Lock }>).lock ?? processLock()
  const fetch = options.providers ? guardedFetch({ reach: reachOf(options) }) : ambientFetch
  return Object.freeze({ fetch, crypto: ambientCrypto, clock: ambientClock, store, lock })
}

// Who lists a provider at a private address means it. One on loopback is a development machine, where the
// authorization server of the same EHR may have a port of its own.
function reachOf({ providers = [], allowPrivate = [] }: NodePlatformOptions): (url: URL) => Reach {
  const bases = providers.flatMap(({ iss, configuration = {} }) =>
    [iss, ...Object.values(configuration)].filter(
      (value) => typeof value === 'string' && URL.canParse(value),
    ),
  ) as string[]
  const hosts = new Set([...bases.map((base) => new URL(base).hostname), ...allowPrivate.map(hostOf)])
  const onLoopback = (host: string): boolean => /^((.+\.)?localhost|127(\.\d+){3}|\[::1\])$/.test(host)
  const develops = [...hosts].some(onLoopback)
  return ({ hostname }) => {
    if (!hosts.has(hostname) && !(develops && onLoopback(hostname))) return 'internet'
    if (isIP(hostname.replace(/^\[|\]$/g, ''))) return 'literal'
    return develops ? 'loopback' : 'private'
  }
}

// As a URL spells it: an address has many spellings, and a name may come in capitals or with its port.
function hostOf(text: string): string {
  for (const host of [text, `[${text}]`])
    if (/^[^/?#@\\]+$/.test(host) && URL.canParse(`https://${host}`))
      return new URL(`https://${host}`).hostname
  throw new SmartError('CONFIG_INVALID', 'allowPrivate lists something that is no host')
}
