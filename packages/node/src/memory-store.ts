import type { Store } from '@s4s/core'

/** A store that lives as long as the process: for tests, demos and jobs that need no memory. */
export function memoryStore(): Store {
  const values = new Map<string, string>()
  return Object.freeze({
    get: async (key: string) => values.get(key),
    set: async (key: string, value: string) => void values.set(key, value),
    delete: async (key: string) => void values.delete(key),
    keys: async (prefix: string) => [...values.keys()].filter((key) => key.startsWith(prefix)),
  } satisfies Store)
}
