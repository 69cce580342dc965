import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Manifest, type PrivateKey, type SealedManifest, SmartError } from '@s4s/core'
import { readEnvelope } from './envelope.js'
import { unseal } from './sealed.js'

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

/**
 * A stored package, opened where it is sealed.
 *
 * @throws SmartError `SHARE_SEAL_INVALID` when none of the keys opens it
 */
export async function openStored(
  folder: string,
  keys: readonly PrivateKey[],
): Promise<Pick<StoredPackage, 'manifest' | 'read'>> {
  const { manifest, sealed } = readEnvelope(await readFile(join(folder, 'manifest.json')))
  if (manifest) return { manifest, read: (path: string) => readPart(folder, manifest, path) }
  const places = new Map(sealed?.parts.map((part) => [part.sha256, join(folder, ...part.path.split('/'))]))
  const inside = await unseal(sealed as SealedManifest, keys, (digest) => places.get(digest) ?? folder)
  return {
    manifest: inside.manifest,
    async *read(path: string) {
      yield await inside.read(path)
    },
  }
}

/** The parts of a package in a folder, each held against the manifest while it is read. */
async function* readPart(folder: string, manifest: Manifest, path: string): AsyncGenerator<Uint8Array> {
  const part = manifest.parts.find((one) => one.path === path)
  if (!part) throw new TypeError('the package has no such part')
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of createReadStream(join(folder, ...path.split('/'))) as AsyncIterable<Buffer>) {
    hash.update(chunk)
    size += chunk.length
    yield chunk
  }
  if (size !== part.size || hash.digest('hex') !== part.sha256) {
    throw new SmartError('SHARE_REFUSED', 'a stored part is no longer what was sent', { reason: 'digest' })
  }
}
