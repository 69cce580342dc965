import { isIP } from 'node:net'
import { ambientClock, type Clock } from '@s4s/core'
import { isPrivate } from './guarded-fetch.js'

/** Token buckets by key, in the memory of this process. */
export interface Limit {
  /** Takes tokens from the bucket of a key. Answers undefined, or, when there are too few, the seconds until there are. */
  take(key: string, cost?: number): number | undefined
}

/** Buckets that are remembered. One that is forgotten is full again; the least used is forgotten first. */
const mostBuckets = 10_000

/** A limit of so many a minute, of which all may come at once. */
export function createLimit(perMinute: number, clock: Pick<Clock, 'now'> = ambientClock): Limit {
  const buckets = new Map<string, { tokens: number; at: number }>()
  return Object.freeze({
    take: (key: string, cost = 1) => {
      const now = clock.now()
      const held = buckets.get(key) ?? { tokens: perMinute, at: now }
      // A clock that was set back gives nothing, and takes nothing away.
      const gained = (Math.max(0, now - held.at) * perMinute) / 60_000
      const tokens = Math.min(perMinute, held.tokens + gained)
      const enough = tokens >= cost
      buckets.delete(key)
      buckets.set(key, { tokens: enough ? tokens - cost : tokens, at: now })
      if (buckets.size > mostBuckets) buckets.delete(buckets.keys().next().value as string)
      return enough ? undefined : Math.max(1, Math.ceil(((cost - tokens) * 60) / perMinute))
    },
  } satisfies Limit)
}

/** The key of an address: a household has a whole /64 of IPv6. */
export function bucketOf(address: string): string {
  const plain = plainly(address)
  return isIP(plain) === 6 ? networkOf(plain) : plain
}

/** An address as it tells people apart: one in a private network is a proxy's, and stands for everyone behind it. */
export function publicOnly(address: string | undefined): string | undefined {
  return address === undefined || isPrivate(plainly(address)) ? undefined : address
}

const plainly = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/i, '')

function networkOf(address: string): string {
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? [] : Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0')
  const groups = [...left, ...zeros, ...right].slice(0, 4)
  return groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':')
}
