import type { ManifestSource } from '@s4s/core'
import { isObject, parseJsonBytes } from '../json.js'
import type { StoredPackage } from './stored.js'

/** A resource of a stored package, and where it came from. */
export interface StoredResource {
  readonly source: ManifestSource
  readonly resource: Readonly<Record<string, unknown>>
}

const newline = 10

/** The resources of a package, line by line, so that no more than one of them is in memory. */
export async function* resourcesIn(
  pack: Pick<StoredPackage, 'manifest' | 'read'>,
): AsyncGenerator<StoredResource> {
  for (const { path, resources } of pack.manifest.parts) {
    const source = pack.manifest.sources.find(({ folder }) => path.startsWith(`${folder}/`))
    if (resources === undefined || !source) continue
    for await (const line of linesOf(pack.read(path))) {
      const resource = parseJsonBytes(line)
      if (isObject(resource)) yield { source, resource }
    }
  }
}

async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let pending: Uint8Array[] = []
  for await (const chunk of chunks) {
    let from = 0
    for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, from)) {
      yield Buffer.concat([...pending, chunk.subarray(from, at)])
      pending = []
      from = at + 1
    }
    if (from < chunk.length) pending.push(Uint8Array.from(chunk.subarray(from)))
  }
  if (pending.length > 0) yield Buffer.concat(pending)
}
