import type { Platform } from './ports.js'
import { peekJwt } from './smart/jws.js'
import type { Provider } from './smart/provider.js'
import { stringAt } from './util/json.js'
import type { Secret } from './util/secret.js'

const minute = 60_000

interface Count {
  minute: number
  sent: number
}

const counts = new WeakMap<object, Map<string, Count>>()

/** Waits until a provider that counts the requests of each minute takes another. */
export async function inTurn(platform: Platform, provider: Provider, signal?: AbortSignal): Promise<void> {
  const most = provider.vendor?.requestsPerMinute?.value
  if (most === undefined) return
  const { clock, store } = platform
  const own = counts.get(store) ?? new Map<string, Count>()
  counts.set(store, own)
  for (;;) {
    const now = clock.now()
    const current = Math.floor(now / minute)
    const count = own.get(provider.iss) ?? { minute: current, sent: 0 }
    if (count.minute !== current) Object.assign(count, { minute: current, sent: 0 })
    own.set(provider.iss, count)
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
