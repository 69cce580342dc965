import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { type Manifest, SmartError } from '@s4s/core'

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

/** The parts of a package in a folder, each held against the manifest while it is read. */
export async function* readPart(
  folder: string,
  manifest: Manifest,
  path: string,
): AsyncGenerator<Uint8Array> {
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
