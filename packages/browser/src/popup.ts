import { SmartError } from '@s4s/core'

/** What a launch in a window of its own goes back to: the page that opened it. */
export const popupMark = 's4s:popup'

/** Windows without their own tabs; the size of a sign-in page. */
const plainWindow = 'popup,width=520,height=720'
/** How long the window waits for the page that opened it, before it goes on alone. Milliseconds. */
const patience = 1500
const grace = 1000
const glance = 250

interface News {
  readonly s4s: 'callback' | 'taken'
  readonly url: string
}

/** Opens the window: before anything is awaited, since browsers allow it in a click only. */
export function openWindow(features: string = plainWindow): Window | undefined {
  try {
    return globalThis.open('about:blank', `s4s-${Date.now().toString(36)}`, features) ?? undefined
  } catch {
    return undefined
  }
}

/**
 * Waits for the callback that the window brings, from our own origin and for our own launch only. Its sender is the
 * window, or, where a COOP header has cut the two apart, a channel of our origin.
 *
 * @throws SmartError `AUTHORIZATION_POPUP_CLOSED`, `AUTHORIZATION_EXPIRED`
 */
export async function windowAnswer(
  popup: Window,
  name: string,
  wanted: { readonly state: string; readonly expiresAt: Date; readonly signal?: AbortSignal },
): Promise<string> {
  const { state, expiresAt, signal } = wanted
  const channel = channelOf(name)
  const over = new AbortController()
  try {
    return await new Promise<string>((resolve, reject) => {
      const hear = (data: unknown): void => {
        const url = urlOf(data, 'callback')
        if (url === undefined || stateOf(url) !== state) return
        const taken: News = { s4s: 'taken', url }
        channel?.postMessage(taken)
        popup.postMessage(taken, globalThis.location.origin)
        resolve(url)
      }
      listen(channel, hear, over.signal)
      watch(popup, over.signal, () =>
        reject(new SmartError('AUTHORIZATION_POPUP_CLOSED', 'the sign-in window was closed')),
      )
      const late = setTimeout(
        () => reject(new SmartError('AUTHORIZATION_EXPIRED', 'nobody came back from the sign-in window')),
        expiresAt.getTime() - Date.now(),
      )
      over.signal.addEventListener('abort', () => clearTimeout(late))
      signal?.addEventListener('abort', () => reject(signal.reason), { signal: over.signal })
    })
  } finally {
    over.abort()
    // The window may still be waiting to hear that it was heard.
    setTimeout(() => channel?.close(), patience)
  }
}

// A window that a COOP header cut off says at once that it is closed, before it was ever seen at another origin. It is
// not; then only an answer, the signal or the end of the launch is the end.
function watch(popup: Window, over: AbortSignal, closed: () => void): void {
  let away = false
  let gone = 0
  const timer = setInterval(() => {
    if (!popup.closed) {
      gone = 0
      away ||= !isOurs(popup)
      return
    }
    gone += glance
    if (!away) clearInterval(timer)
    else if (gone > grace) closed()
  }, glance)
  over.addEventListener('abort', () => clearInterval(timer))
}

function isOurs(popup: Window): boolean {
  try {
    return popup.location.origin === globalThis.location.origin || popup.location.href === 'about:blank'
  } catch {
    return false
  }
}

/** In the window: hands its callback to the page that opened it. False when that page is gone. */
export async function handOver(url: string, name: string): Promise<boolean> {
  const channel = channelOf(name)
  const over = new AbortController()
  try {
    return await new Promise<boolean>((resolve) => {
      const hear = (data: unknown): void => {
        if (urlOf(data, 'taken') === url) resolve(true)
      }
      listen(channel, hear, over.signal)
      const news: News = { s4s: 'callback', url }
      channel?.postMessage(news)
      try {
        globalThis.opener?.postMessage(news, globalThis.location.origin)
      } catch {
        // An opener of another origin has no part in this.
      }
      setTimeout(() => resolve(false), patience)
    })
  } finally {
    over.abort()
    channel?.close()
  }
}

// Both ways of hearing are for our own origin only.
function listen(
  channel: BroadcastChannel | undefined,
  hear: (data: unknown) => void,
  signal: AbortSignal,
): void {
  if (channel) channel.onmessage = ({ data }) => hear(data)
  globalThis.addEventListener?.(
    'message',
    ({ origin, data }) => {
      if (origin === globalThis.location.origin) hear(data)
    },
    { signal },
  )
}

// Missing in old browsers, and refused where storage is.
function channelOf(name: string): BroadcastChannel | undefined {
  try {
    return new BroadcastChannel(name)
  } catch {
    return undefined
  }
}

function urlOf(data: unknown, what: News['s4s']): string | undefined {
  const { s4s, url } = (data ?? {}) as Partial<News>
  return s4s === what && typeof url === 'string' && url.length < 20_000 ? url : undefined
}

function stateOf(url: string): string | null {
  try {
    return new URL(url).searchParams.get('state')
  } catch {
    return null
  }
}
