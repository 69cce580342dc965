import { isCallback } from '@s4s/core'
import { sessionItem } from './session.js'

const answers = ['code', 'state', 'error', 'error_description', 'error_uri', 'iss', 'session_state']

/** A callback that this tab has come back with. */
export interface Arrival {
  readonly url: string
  /** What tells one callback from another. */
  readonly id: string
  /** Forgets it: its launch is over. */
  settle(): void
}

/**
 * Takes the callback out of the address bar, before anything else can see it there: history, a referrer, an
 * analytics script. Until it is settled it is kept aside, so that a reload halfway finds it again. All of it
 * happens synchronously.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9700#section-4.2
 */
export function takeCallback(redirectUri: string, url?: string): Arrival | undefined {
  const stash = sessionItem(`s4s.callback ${redirectUri}`)
  const here = globalThis.location?.href
  const candidate = url ?? here
  let found = candidate !== undefined && isFor(candidate, redirectUri) ? candidate : undefined
  if (found !== undefined) {
    stash.write(found)
    if (found === here) strip(here)
  } else if (url === undefined) {
    const kept = stash.read()
    if (kept !== undefined && isFor(kept, redirectUri)) found = kept
    else if (kept !== undefined) stash.remove()
  }
  if (found === undefined) return undefined
  const arrived = found
  return Object.freeze({
    url: arrived,
    id: idOf(arrived),
    settle: () => {
      // Another callback may have come meanwhile; only this one is over.
      if (stash.read() === arrived) stash.remove()
    },
  })
}

/** False for another page of the app, which may have a `code` or an `error` in its address that is none of ours. */
export function isFor(url: string, redirectUri: string): boolean {
  if (!isCallback(url)) return false
  const [arrived, registered] = [new URL(url), new URL(redirectUri)]
  return (
    arrived.origin === registered.origin &&
    arrived.pathname === registered.pathname &&
    [...registered.searchParams].every(([name, value]) => arrived.searchParams.getAll(name).includes(value))
  )
}

// Whatever the server sent back belongs to it: the state and the code name it, or the whole query does.
function idOf(url: string): string {
  return new URL(url).search
}

function strip(here: string): void {
  const clean = new URL(here)
  for (const name of answers) clean.searchParams.delete(name)
  globalThis.history.replaceState(globalThis.history.state, '', clean.href)
}
