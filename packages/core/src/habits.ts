import type { Platform } from './ports.js'
import { peekJwt } from './smart/jws.js'
import type { Provider } from './smart/provider.js'
import { stringAt } from './util/json.js'
import type { Secret } from './util/secret.js'

const minute = 60_000

/** What is remembered of a server, one for all who share a store. */
function remembered<T>(make: () => T): (platform: Platform, base: string) => T {
  const all = new WeakMap<object, Map<string, T>>()
  return ({ store }, base) => {
    const own = all.get(store) ?? new Map<string, T>()
    all.set(store, own)
    const one = own.get(base) ?? make()
    own.set(base, one)
    return one
  }
}

/** Until when a server has asked to be left alone. Epoch milliseconds. */
export const pauseOf: (platform: Platform, base: string) => { until: number } = remembered(() => ({
  until: 0,
}))

const countOf = remembered(() => ({ minute: 0, sent: 0 }))

/** Waits until a provider that counts the requests of each minute takes another. */
export async function inTurn(platform: Platform, provider: Provider, signal?: AbortSignal): Promise<void> {
  const most = provider.vendor?.requestsPerMinute?.value
  if (most === undefined) return
  const { clock } = platform
  const count = countOf(platform, provider.iss)
  for (;;) {
    const now = clock.now()
    const current = Math.floor(now / minute)
    if (count.minute !== current) Object.assign(count, { minute: current, sent: 0 })
    // A little less than is allowed: its clock is not ours, and tokens count too.
    if (count.sent < most * 0.9) {
      count.sent++
      return
    }
    await clock.sleep((current + 1) * minute - now + 250, signal)
  }
}

/** The URL with what the provider wants to be told with every request, taken from the access token. */
export function inContext(url: string, provider: Provider, token: Secret): string {
  const wanted = provider.vendor?.requestContext?.value
  if (!wanted || new URL(url).searchParams.has(wanted.parameter)) return url
  const value = stringAt(peekJwt(token.reveal()), wanted.claim)
  if (value === undefined || !/^[A-Za-z0-9./_-]{1,200}$/.test(value)) return url
  return `${url}${url.includes('?') ? '&' : '?'}${wanted.parameter}=${value}`
}
