import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Manifest, type PrivateKey, type SealedManifest, SmartError } from '@s4s/core'
import { readEnvelope } from './envelope.js'
import { unseal } from './sealed.js'
import type { RemovedPart } from './tombstones.js'

/** A package that an inbox holds, open to be read. */
export interface StoredPackage {
  /** The study's id. */
  readonly study: string
  readonly digest: string
  readonly participant: string
  /** ISO 8601. */
  readonly receivedAt: string
  readonly manifest: Manifest
  /**
   * The bytes of a part. What is read to its end was as it was sent.
   *
   * @throws SmartError `SHARE_REFUSED` at the end of a part that the disk has changed
   */
  read(path: string): AsyncIterable<Uint8Array>
}

/** Where a stored package lies: the folder of its manifest, and its files, which may lie elsewhere. */
export interface Home {
  readonly folder: string
  /** Fails when there is no such file. */
  read(path: string): AsyncIterable<Uint8Array>
  /** What is there, whatever the manifest says. */
  files(): Promise<readonly RemovedPart[]>
}

/**
 * A stored package, opened where it is sealed.
 *
 * @throws SmartError `SHARE_SEAL_INVALID` when none of the keys opens it
 */
export async function openStored(
  home: Home,
  keys: readonly PrivateKey[],
): Promise<Pick<StoredPackage, 'manifest' | 'read'>> {
  const { manifest, sealed } = readEnvelope(await readFile(join(home.folder, 'manifest.json')))
  if (manifest) return { manifest, read: (path: string) => readPart(home, manifest, path) }
  const paths = new Map(sealed?.parts.map((part) => [part.sha256, part.path]))
  const bytesOf = (digest: string): Promise<Uint8Array> => wholeOf(home.read(paths.get(digest) ?? ''))
  const inside = await unseal(sealed as SealedManifest, keys, bytesOf)
  return {
    manifest: inside.manifest,
    async *read(path: string) {
      yield await inside.read(path)
    },
  }
}

/** A part of a package, held against the manifest while it is read. */
async function* readPart(home: Home, manifest: Manifest, path: string): AsyncGenerator<Uint8Array> {
  const part = manifest.parts.find((one) => one.path === path)
  if (!part) throw new TypeError('the package has no such part')
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of home.read(path)) {
    hash.update(chunk)
    size += chunk.length
    yield chunk
  }
  if (size !== part.size || hash.digest('hex') !== part.sha256) {
    throw new SmartError('SHARE_REFUSED', 'a stored part is no longer what was sent', { reason: 'digest' })
  }
}

/** All of a file, for what has to be looked at whole. */
export async function wholeOf(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = []
  for await (const chunk of chunks) all.push(chunk)
  return Buffer.concat(all)
}
