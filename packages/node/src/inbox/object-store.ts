import { createReadStream } from 'node:fs'
import { copyFile, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { isMissing, syncFolder } from '../durable.js'

/** A file that is brought to a store. */
export interface ObjectFile {
  readonly path: string
  readonly size: number
  /** Hexadecimal. */
  readonly sha256: string
}

/** Something that is in a store. */
export interface StoredObject {
  readonly key: string
  /** Bytes. */
  readonly size: number
  /** When it was put there, as epoch milliseconds. */
  readonly changedAt: number
}

/** A place for the files of packages. Keys are letters, digits and `. _ / -`, such as `sleep/3f…/records/01/Patient-0001.ndjson`. */
export interface ObjectStore {
  /** Settles when a crash can no longer lose it. What was under the key is replaced whole. */
  put(key: string, file: ObjectFile): Promise<void>
  /** Fails when there is nothing under the key. */
  read(key: string): AsyncIterable<Uint8Array>
  /** Everything whose key begins so. */
  list(prefix: string): AsyncIterable<StoredObject>
  /** Settles when nothing of them can be read any more; no error for what is not there. */
  remove(keys: readonly string[]): Promise<void>
}

/** Files in a folder, such as one on a disk of its own. */
export function folderObjects(folder: string): ObjectStore {
  const at = (key: string): string => join(folder, ...key.split('/'))
  return Object.freeze({
    async put(key: string, { path }: ObjectFile): Promise<void> {
      const target = at(key)
      await mkdir(dirname(target), { recursive: true, mode: 0o700 })
      const temporary = `${target}.tmp`
      await copyFile(path, temporary)
      const file = await open(temporary, 'r+')
      try {
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(temporary, target)
      for (let one = dirname(target); one.length >= folder.length; one = dirname(one)) await syncFolder(one)
    },

    read: (key: string): AsyncIterable<Uint8Array> => createReadStream(at(key)),

    async *list(prefix: string): AsyncGenerator<StoredObject> {
      const top = at(prefix.slice(0, prefix.lastIndexOf('/') + 1))
      for (const path of await filesBelow(top)) {
        const key = relative(folder, path).split(sep).join('/')
        const found = key.startsWith(prefix) ? await stat(path).catch(() => undefined) : undefined
        if (found) yield { key, size: found.size, changedAt: found.mtimeMs }
      }
    },

    async remove(keys: readonly string[]): Promise<void> {
      for (const key of keys) await rm(at(key), { force: true })
      for (const parent of new Set(keys.map((key) => dirname(at(key))))) await removeEmpty(parent, folder)
    },
  } satisfies ObjectStore)
}

async function filesBelow(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true })
    return entries.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name))
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

// Folders that hold nothing more say which packages there were.
async function removeEmpty(from: string, top: string): Promise<void> {
  for (let one = from; one.length > top.length; one = dirname(one)) {
    const left = await readdir(one).catch(() => [''])
    if (left.length > 0) return
    await rm(one, { recursive: true, force: true })
  }
}
