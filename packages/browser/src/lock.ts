import type { Lock } from '@s4s/core'
import { leaseLock } from './lease.js'

/**
 * Makes a lock among all tabs of the origin: of Web Locks, or of leases in IndexedDB where a browser lacks them or a
 * page may not use them. In a browser that keeps nothing either, it is a queue among the callers of this page.
 *
 * @see https://www.w3.org/TR/web-locks/
 */
export function browserLock(): Lock {
  const [inPage, lease] = [pageQueue(), leaseLock()]
  const queue: Lock = (name, work) => inPage(name, () => lease(name, work))
  return async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const locks: LockManager | undefined = globalThis.navigator?.locks
    if (!locks) return queue(name, work)
    let begun = false
    try {
      return await locks.request(`s4s:${name}`, () => {
        begun = true
        return work()
      })
    } catch (error) {
      // Refused before it began, as in a sandboxed frame; a failure of the work itself is the caller's.
      if (begun) throw error
      return queue(name, work)
    }
  }
}

function pageQueue(): Lock {
  const tails = new Map<string, Promise<unknown>>()
  return async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const mine = (tails.get(name) ?? Promise.resolve()).then(work)
    const tail = mine.catch(() => {})
    tails.set(name, tail)
    try {
      return await mine
    } finally {
      if (tails.get(name) === tail) tails.delete(name)
    }
  }
}
