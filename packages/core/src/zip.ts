/**
 * A package as a ZIP that the participant keeps: what was shared, as it was shared.
 *
 * @module
 */
import { Zip, ZipDeflate, ZipPassThrough } from 'fflate'
import { ambientCrypto } from './ambient.js'
import type { CryptoPort } from './ports.js'
import { openedPart } from './study/opened.js'
import type { Package } from './study/package.js'

/** What a ZIP without the ZIP64 extension holds: bytes, and files. */
const most = { bytes: 0xffff_ffff, files: 0xffff } as const

/**
 * A package as a ZIP: its manifest and every part, by the names that the manifest gives them. It comes in pieces, with
 * no more of the package in memory than one part; the same package gives the same bytes, wherever and whenever.
 *
 * @example new Response(zipOf(pack), { headers: { 'content-type': 'application/zip' } }).blob()
 * @throws TypeError when a name in the package is none that a ZIP should hold, or the package is larger than 4 GiB;
 *   the stream, when a part is no longer what was packed
 * @see https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
 */
export function zipOf(
  pack: Package,
  options: { readonly crypto?: CryptoPort } = {},
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const { crypto = ambientCrypto } = options
  checkNames(pack)
  const pieces = piecesOf(pack, crypto)
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await pieces.next()
      if (done) controller.close()
      else controller.enqueue(value)
    },
    async cancel() {
      await pieces.return(undefined)
    },
  })
}

// Whoever unpacks it trusts its names: none leads out of the folder, and none is there twice.
function checkNames({ parts, manifestBytes }: Package): void {
  const names = parts.map(({ path }) => path)
  const bad = names.find(
    (name) =>
      name === manifestName || !/^[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/.test(name),
  )
  if (bad !== undefined || new Set(names).size < names.length)
    throw new TypeError('the package has a part whose name no ZIP should hold')
  const bytes = parts.reduce((sum, part) => sum + part.size + 1024, manifestBytes.length)
  if (bytes > most.bytes || parts.length >= most.files)
    throw new TypeError('the package is larger than a ZIP may be')
}

const manifestName = 'manifest.json'
const pieceLength = 65_536
// What is compressed already only grows.
const compressed = /\.(jpg|png|gif|jwe)$/

async function* piecesOf(pack: Package, crypto: CryptoPort): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const made: Uint8Array<ArrayBuffer>[] = []
  let failure: Error | null = null
  const zip = new Zip((error, piece) => {
    failure ??= error
    if (piece.length > 0) made.push(piece as Uint8Array<ArrayBuffer>)
  })
  const files = [
    { path: manifestName, open: async () => pack.manifestBytes },
    ...pack.parts.map((part) => ({ path: part.path, open: () => openedPart(part, crypto) })),
  ]
  for (const { path, open } of files) {
    const bytes = await open()
    const file = compressed.test(path) ? new ZipPassThrough(path) : new ZipDeflate(path, { level: 6 })
    // Read by its local parts, so that it is the same day everywhere; the format begins with 1980.
    file.mtime = new Date(1980, 0, 1, 12)
    zip.add(file)
    let from = 0
    do {
      const piece = bytes.subarray(from, from + pieceLength)
      from += pieceLength
      file.push(piece, from >= bytes.length)
      if (failure) throw failure
      yield* made.splice(0)
    } while (from < bytes.length)
  }
  zip.end()
  if (failure) throw failure
  yield* made.splice(0)
}
