import { type Connection, coreOf } from './connection.js'
import type { Checkpoint, CryptoPort, Store } from './ports.js'
import { checkpointPrefix, storage } from './stored-connection.js'
import { hex } from './util/bytes.js'

/**
 * Keeps how far the collection of a connection's record is, in the store that keeps the connection: sealed in a browser,
 * encrypted on disk. A collection that was cut off, by a closed tab or the end of a process, goes on from there.
 *
 * @example const record = await collect(connection, { plan, checkpoint: checkpointOf(connection) })
 */
export function checkpointOf(connection: Connection): Checkpoint {
  const { world, key } = coreOf(connection)
  const { store, crypto } = world.platform
  return storeCheckpoint(store, crypto, checkpointPrefix(connection.id), key)
}

function storeCheckpoint(store: Store, crypto: CryptoPort, prefix: string, owner: string): Checkpoint {
  // Of two tabs that collect at once neither writes over the other's.
  const writer = hex(crypto.getRandomValues(new Uint8Array(6)))
  let next = 0
  const keys = async (): Promise<string[]> => (await storage(() => store.keys(prefix))).sort()
  return {
    read: async () => {
      const lines: string[] = []
      for (const key of await keys()) {
        const line = await storage(() => store.get(key))
        if (line !== undefined) lines.push(line)
        next = Math.max(next, Number.parseInt(key.slice(prefix.length), 10) + 1)
      }
      return lines
    },
    append: async (line) => {
      const key = `${prefix}${String(next++).padStart(9, '0')}-${writer}`
      await storage(() => store.set(key, line))
      // Revoked meanwhile, perhaps in another tab: what came too late to be wiped with the rest goes at once.
      if ((await storage(() => store.get(owner))) === undefined) await storage(() => store.delete(key))
    },
    clear: async () => {
      for (const key of await keys()) await storage(() => store.delete(key))
    },
  }
}
