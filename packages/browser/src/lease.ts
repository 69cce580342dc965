import { type Lock, SmartError } from '@s4s/core'
import { promisifyRequest, reopening } from './store.js'

/** A page that was frozen or has crashed keeps the others waiting for this long. Milliseconds. */
const term = 15_000
/** Often enough for a hidden tab, whose timers run late. */
const renewal = 4000
/** Work that never ends loses its lease after so many renewals. */
const mostRenewals = 30

interface Lease {
  /** Differs each time, so that whoever lost a lease sees that it did. */
  readonly holder: string
  readonly until: number
}

/**
 * Makes a lock of leases in IndexedDB, which all tabs of the origin see. A lease is renewed while its work goes on and
 * may be taken once it is over. Where there is no IndexedDB, nothing is shared either, and the work just runs.
 *
 * @throws SmartError `AUTHORIZATION_INTERRUPTED` to a caller whose lease was taken meanwhile
 */
export function leaseLock(): Lock {
  const use = reopening('s4s.leases/1')
  return async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const holder = crypto.getRandomValues(new Uint32Array(4)).join()
    // Undefined leaves the lease as it is, null ends it.
    const change = (next: (held: Lease | undefined) => Lease | null | undefined): Promise<boolean> =>
      use('readwrite', (store) => {
        let changed = false
        const request = store.get(name)
        request.onsuccess = () => {
          const lease = next(request.result)
          changed = lease !== undefined
          if (lease) store.put(lease, name)
          else if (changed) store.delete(name)
        }
        return promisifyRequest(store.transaction).then(() => changed)
      })
    const mine = (): Lease => ({ holder, until: Date.now() + term })
    // One that ends later than any may was made before the clock was set back.
    const isOver = ({ until }: Lease): boolean => until < Date.now() || until > Date.now() + term
    const take = (): Promise<boolean> => change((held) => (!held || isOver(held) ? mine() : undefined))
    const renew = (): Promise<boolean> => change((held) => (held?.holder === holder ? mine() : undefined))
    const giveBack = (): Promise<boolean> => change((held) => (held?.holder === holder ? null : undefined))

    try {
      for (let wait = 20; !(await take()); wait = Math.min(wait * 2, 400)) await pause(wait)
    } catch {
      return work()
    }
    let timer: ReturnType<typeof setInterval> | undefined
    const lost = new Promise<never>((_, reject) => {
      let renewals = 0
      timer = setInterval(() => {
        if (++renewals > mostRenewals) clearInterval(timer)
        else
          void renew().then(
            (kept) => kept || reject(tooLate()),
            () => {},
          )
      }, renewal)
    })
    lost.catch(() => {})
    try {
      const result = await Promise.race([work(), lost])
      if (!(await giveBack().catch(() => true))) throw tooLate()
      return result
    } catch (error) {
      await giveBack().catch(() => {})
      throw error
    } finally {
      clearInterval(timer)
    }
  }
}

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds))

function tooLate(): SmartError {
  return new SmartError(
    'AUTHORIZATION_INTERRUPTED',
    'this page was held up for so long that another one went on in its place',
  )
}
