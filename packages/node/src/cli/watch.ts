import type { Fetch } from '@s4s/core'
import { codeOf } from '../durable.js'
import { guardedFetch } from '../guarded-fetch.js'
import { nodePlatform } from '../platform.js'

/** What came of one request, as far as the SDK itself does not tell. */
export interface Sighting {
  readonly url: string
  readonly status?: number
  /** Where it redirects to. */
  readonly location?: string
  /** The server's clock beside ours, in milliseconds; positive where it is ahead. */
  readonly skew?: number
  /** The system's name for what went wrong, such as `CERT_HAS_EXPIRED`. */
  readonly code?: string
}

/** A `fetch` for one server that keeps what it saw. */
export interface Watch {
  readonly fetch: Fetch
  readonly seen: readonly Sighting[]
  /** True when the server is not on the public internet. */
  isPrivate(): boolean
}

/** Watches a server that somebody named: it may be inside a private network, whoever else it names may not. */
export function openWatch(address: URL): Watch {
  const seen: Sighting[] = []
  const outside = guardedFetch()
  const named = { id: 'server', name: address.host, iss: address.origin, clientId: 's4s' }
  const inside = nodePlatform({ providers: [named] }).fetch
  let isPrivate = false

  const fetch: Fetch = async (input, init) => {
    const url = String(input instanceof Request ? input.url : input)
    try {
      const response = await outside(input, init).catch((error: unknown) => {
        if (codeOf(error) !== 'S4S_PRIVATE_ADDRESS') throw error
        if (new URL(url).hostname === address.hostname) isPrivate = true
        return inside(input, init)
      })
      const { status, headers } = response
      const location = headers.get('location')
      const date = Date.parse(headers.get('date') ?? '')
      seen.push({
        ...{ url, status },
        ...(location !== null && URL.canParse(location, url)
          ? { location: new URL(location, url).href }
          : {}),
        ...(Number.isNaN(date) ? {} : { skew: date - Date.now() }),
      })
      return response
    } catch (error) {
      const code = codeOf(error) ?? codeOf((error as { cause?: unknown }).cause)
      seen.push({ url, ...(code === undefined ? {} : { code }) })
      throw error
    }
  }
  return Object.freeze({ fetch, seen, isPrivate: () => isPrivate })
}
