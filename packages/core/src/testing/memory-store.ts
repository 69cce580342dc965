import type { Store } from '../ports.js'

/** A store that lives as long as its process. */
export function memoryStore(): Store {
  const values = new Map<string, string>()
  return Object.freeze({
    get: async (key) => values.get(key),
    set: async (key, value) => void values.set(key, value),
    delete: async (key) => void values.delete(key),
    keys: async (prefix) => [...values.keys()].filter((key) => key.startsWith(prefix)),
  } satisfies Store)
}
