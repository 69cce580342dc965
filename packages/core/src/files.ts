import { type Connection, coreOf } from './connection.js'
import type { FileShelf } from './ports.js'
import { filePrefix, storage } from './stored-connection.js'
import { base64, fromBase64 } from './util/bytes.js'

/**
 * Keeps the files of a connection's records in the store that keeps the connection: sealed in a browser, encrypted on disk
 * or in a database. Of all files only those under way are in memory. They go when the record is wiped or access ends.
 *
 * @example const record = await collect(connection, { plan, files: filesOf(connection) })
 */
export function filesOf(connection: Connection): FileShelf {
  const { world, key: owner } = coreOf(connection)
  const { store } = world.platform
  const keyOf = (sha256: string): string => `${filePrefix(connection.id)}${sha256}`
  return Object.freeze({
    async put(sha256: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
      await storage(() => store.set(keyOf(sha256), base64(bytes)))
      // Revoked meanwhile, perhaps in another tab: what came too late to be wiped with the rest goes at once.
      if ((await storage(() => store.get(owner))) === undefined)
        await storage(() => store.delete(keyOf(sha256)))
    },
    async get(sha256: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
      const text = await storage(() => store.get(keyOf(sha256)))
      try {
        return text === undefined ? undefined : fromBase64(text)
      } catch {
        return undefined
      }
    },
    delete: (sha256: string) => storage(() => store.delete(keyOf(sha256))),
  } satisfies FileShelf)
}
