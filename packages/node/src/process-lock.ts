import type { Lock } from '@s4s/core'

/** A lock for one process: work of the same name runs one after the other, in order of arrival. */
export function processLock(): Lock {
  const tails = new Map<string, Promise<unknown>>()
  return (name, work) => {
    const turn = (tails.get(name) ?? Promise.resolve()).then(work, work)
    const tail = turn
      .catch(() => {})
      .finally(() => {
        // Only the last in the queue clears it.
        if (tails.get(name) === tail) tails.delete(name)
      })
    tails.set(name, tail)
    return turn
  }
}
