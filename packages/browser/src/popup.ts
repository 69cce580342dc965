import { SmartError } from '@s4s/core'
import { isFor } from './callback.js'

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
    const popup = globalThis.open('about:blank', `s4s-${Date.now().toString(36)}`, features)
    return popup && !popup.closed ? popup : undefined
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
  redirectUri: string,
  { state, expiresAt }: { readonly state: string; readonly expiresAt: Date },
  signal: AbortSignal,
): Promise<string> {
  const channel = channelOf(redirectUri)
  const over = new AbortController()
  try {
    return await new Promise<string>((resolve, reject) => {
      const hear = ({ data, origin, source }: MessageEvent): void => {
        const url = urlOf(data, 'callback')
        if (origin !== globalThis.location.origin || url === undefined || !isFor(url, redirectUri)) return
        if (new URL(url).searchParams.get('state') !== state) return
        // Both ways, since each may be cut: the one by a COOP header, the other by storage kept apart for frames.
        tell({ s4s: 'taken', url }, channel, source as Window | null)
        resolve(url)
      }
      if (channel) channel.onmessage = hear
      globalThis.addEventListener('message', hear, over)
      watch(popup, over.signal, () => reject(closedWindow()))
      const late = setTimeout(
        () => reject(new SmartError('AUTHORIZATION_EXPIRED', 'nobody came back from the sign-in window')),
        expiresAt.getTime() - Date.now(),
      )
      over.signal.addEventListener('abort', () => clearTimeout(late))
      signal.addEventListener('abort', () => reject(signal.reason), over)
    })
  } finally {
    over.abort()
    // The window may still be waiting to hear that it was heard.
    setTimeout(() => channel?.close(), patience)
  }
}

/** The error of a wait that the participant has ended. */
export function closedWindow(): SmartError {
  return new SmartError('AUTHORIZATION_POPUP_CLOSED', 'the sign-in window was closed')
}

// A window that a COOP header cut off says that it is closed, at once, or at a later page of the provider. At once:
// before it was ever seen at another origin. Then only an answer, the signal or the end of the launch is the end.
// Later: the participant still looks at it, and not at this page.
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
    else if (gone > grace && document.hasFocus()) closed()
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
export async function handOver(url: string, redirectUri: string): Promise<boolean> {
  const channel = channelOf(redirectUri)
  const over = new AbortController()
  try {
    return await new Promise<boolean>((resolve) => {
      const hear = ({ data, origin }: MessageEvent): void => {
        if (origin === globalThis.location.origin && urlOf(data, 'taken') === url) resolve(true)
      }
      if (channel) channel.onmessage = hear
      globalThis.addEventListener?.('message', hear, over)
      tell({ s4s: 'callback', url }, channel, globalThis.opener)
      setTimeout(() => resolve(false), patience)
    })
  } finally {
    over.abort()
    channel?.close()
  }
}

// Missing in old browsers, and refused where storage is.
function channelOf(redirectUri: string): BroadcastChannel | undefined {
  try {
    return new BroadcastChannel(`s4s ${redirectUri}`)
  } catch {
    return undefined
  }
}

function tell(news: News, channel: BroadcastChannel | undefined, page: Window | null | undefined): void {
  channel?.postMessage(news)
  page?.postMessage(news, globalThis.location.origin)
}

function urlOf(data: unknown, what: News['s4s']): string | undefined {
  const { s4s, url, ...more } = (data ?? {}) as Partial<News>
  const exact =
    s4s === what && typeof url === 'string' && url.length < 20_000 && Object.keys(more).length === 0
  return exact ? url : undefined
}
