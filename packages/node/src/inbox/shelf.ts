import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { syncFolder } from '../durable.js'
import { exists, linkOrCopy, type Places } from './disk.js'
import type { Envelope } from './envelope.js'
import type { ObjectStore } from './object-store.js'
import type { Home } from './stored.js'
import type { RemovedPart } from './tombstones.js'

/** Where the parts of stored packages lie: beside their manifests, or in a store of objects. */
export interface Shelf {
  /** Brings the parts of an upload, before the package moves in. `made` is the folder that will. */
  bring(envelope: Envelope, staging: string, made: string): Promise<void>
  home(study: string, digest: string): Home
  /** Removes parts; before the folder goes, which says that there are some. */
  remove(study: string, digest: string): Promise<void>
  /** Removes what a process that was killed had brought of no package. */
  sweep(): Promise<void>
}

/** Parts as files in the folder of their package: they go and come with it. */
export function diskShelf(places: Places): Shelf {
  return Object.freeze({
    async bring({ parts }: Envelope, staging: string, made: string): Promise<void> {
      const folders = new Set<string>()
      for (const part of parts) {
        const target = join(made, ...part.path.split('/'))
        for (let at = dirname(target); at.length > made.length; at = dirname(at)) folders.add(at)
        await mkdir(dirname(target), { recursive: true, mode: 0o700 })
        await linkOrCopy(join(staging, 'parts', part.sha256), target)
      }
      for (const one of folders) await syncFolder(one)
    },

    home(study: string, digest: string): Home {
      const folder = places.home(study, digest)
      return {
        folder,
        read: (path: string) => createReadStream(join(folder, ...path.split('/'))),
        files: () => filesIn(folder),
      }
    },

    remove: async () => {},
    sweep: async () => {},
  } satisfies Shelf)
}

// What was brought and not moved in within a day will not be.
const staleAfter = 24 * 3_600_000
const atATime = 4

/** Parts as objects, under the study, the digest and their path; the folder keeps the manifest and the receipt. */
export function objectShelf(places: Places, store: ObjectStore): Shelf {
  const below = (study: string, digest: string): string => `${study}/${digest}/`
  const removeBelow = async (prefix: string): Promise<void> => {
    const keys: string[] = []
    for await (const { key } of store.list(prefix)) keys.push(key)
    if (keys.length > 0) await store.remove(keys)
  }
  return Object.freeze({
    async bring({ study, digest, parts }: Envelope, staging: string): Promise<void> {
      // Of an earlier attempt, which may have had another seal.
      await removeBelow(below(study, digest))
      let next = 0
      const some = async (): Promise<void> => {
        for (let part = parts[next++]; part; part = parts[next++]) {
          const { path, size, sha256 } = part
          await store.put(below(study, digest) + path, { path: join(staging, 'parts', sha256), size, sha256 })
        }
      }
      await Promise.all(Array.from({ length: atATime }, some))
    },

    home(study: string, digest: string): Home {
      const folder = places.home(study, digest)
      return {
        folder,
        read: (path: string) => store.read(below(study, digest) + path),
        async files(): Promise<RemovedPart[]> {
          const found = await filesIn(folder)
          for await (const { key } of store.list(below(study, digest)))
            found.push(await digestOf(store.read(key)))
          return found
        },
      }
    },

    async remove(study: string, digest: string): Promise<void> {
      await removeBelow(below(study, digest))
      for await (const _ of store.list(below(study, digest)))
        throw new Error('the store still lists a part that was removed')
    },

    async sweep(): Promise<void> {
      const stale = new Map<string, string[]>()
      for await (const { key, changedAt } of store.list('')) {
        const [study = '', digest = ''] = key.split('/')
        if (Date.now() - changedAt < staleAfter || (await exists(places.home(study, digest)))) continue
        stale.set(digest, [...(stale.get(digest) ?? []), key])
      }
      // One that is being sent again brings its parts anew.
      for (const [digest, keys] of stale)
        if (!(await exists(places.staging(digest)))) await store.remove(keys)
    },
  } satisfies Shelf)
}

async function filesIn(folder: string): Promise<RemovedPart[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  const found: RemovedPart[] = []
  for (const entry of entries.filter((one) => one.isFile()))
    found.push(await digestOf(createReadStream(join(entry.parentPath, entry.name))))
  return found
}

async function digestOf(chunks: AsyncIterable<Uint8Array>): Promise<RemovedPart> {
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of chunks) {
    hash.update(chunk)
    size += chunk.length
  }
  return { sha256: hash.digest('hex'), size }
}
