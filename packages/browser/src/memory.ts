import type { Store } from '@s4s/core'
import { sessionItem } from './session.js'

const launches = 'launch/'

/**
 * The store for a browser that keeps nothing. Connections live as long as the page. Pending launches are also put
 * into session storage, since a redirect ends the page: without them nobody could come back from sign-in.
 */
export function pageStore(name: string): Store & { clear(): Promise<void> } {
  const values = valuesOf(name)
  const session = sessionItem(`${name}.launches`)

  const pending = readPending(session.read())
  for (const [key, value] of pending) values.set(key, value)
  const keepPending = (): void => {
    const kept = [...values].filter(([key]) => key.startsWith(launches))
    if (kept.length === 0) session.remove()
    else session.write(JSON.stringify(kept))
  }

  return Object.freeze({
    get: async (key: string) => values.get(key),
    set: async (key: string, value: string) => {
      values.set(key, value)
      if (key.startsWith(launches)) keepPending()
    },
    delete: async (key: string) => {
      values.delete(key)
      if (key.startsWith(launches)) keepPending()
    },
    keys: async (prefix: string) => [...values.keys()].filter((key) => key.startsWith(prefix)),
    clear: async () => {
      values.clear()
      session.remove()
    },
  })
}

// One for all clients of a page, as a database would be; never one for all who are served by a server.
const pages = new Map<string, Map<string, string>>()

function valuesOf(name: string): Map<string, string> {
  if (globalThis.document === undefined) return new Map()
  const values = pages.get(name) ?? new Map<string, string>()
  pages.set(name, values)
  return values
}

function readPending(text: string | undefined): [string, string][] {
  try {
    const list: unknown = JSON.parse(text ?? '[]')
    if (!Array.isArray(list)) return []
    return list.filter(
      (pair): pair is [string, string] =>
        Array.isArray(pair) &&
        typeof pair[0] === 'string' &&
        pair[0].startsWith(launches) &&
        typeof pair[1] === 'string',
    )
  } catch {
    return []
  }
}
