import { createHash, randomBytes } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { syncFolder } from '../durable.js'
import { isObject, parseJsonBytes } from '../json.js'
import type { Limits } from './consent.js'
import type { PartKind } from './manifest.js'
import { Refusal } from './refusal.js'

type Body = ReadableStream<Uint8Array> | null

/** A body of at most `most` bytes. @throws Refusal `too-large` */
export async function readBody(body: Body, most: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body ?? []) {
    size += chunk.length
    if (size > most) throw new Refusal('too-large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, size)
}

/**
 * Writes a body into `folder` under the name of its digest. It has this size and this digest, or it is not there.
 *
 * @throws Refusal `digest`
 */
export async function writePart(
  body: Body,
  folder: string,
  expected: { readonly path: string; readonly size: number; readonly sha256: string },
): Promise<void> {
  const temporary = join(folder, `${expected.sha256}.${randomBytes(6).toString('hex')}.tmp`)
  const wrong = (): Refusal => new Refusal('digest', { part: expected.path })
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      const hash = createHash('sha256')
      let size = 0
      for await (const chunk of body ?? []) {
        size += chunk.length
        if (size > expected.size) throw wrong()
        hash.update(chunk)
        await writeAll(file, chunk)
      }
      if (size !== expected.size || hash.digest('hex') !== expected.sha256) throw wrong()
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, join(folder, expected.sha256))
    await syncFolder(folder)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {})
    throw error
  }
}

// A disk that fills up takes part of a write without a word; only the rest of it fails.
async function writeAll(file: Awaited<ReturnType<typeof open>>, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.length; ) at += (await file.write(chunk, at)).bytesWritten
}

/** What a file on the disk turned out to be. */
export type PartFinding = 'ok' | 'digest' | 'content' | 'outside'

/**
 * Reads a file once, in pieces: its digest, its size and, line by line, what it must hold.
 *
 * @param limits what the consent covers: a line beyond them is none that may be here
 */
export async function inspectPart(
  chunks: AsyncIterable<Uint8Array>,
  expected: { readonly size: number; readonly sha256: string },
  kind: PartKind,
  limits?: Limits,
): Promise<PartFinding> {
  const hash = createHash('sha256')
  const lines = linesOf(kind, limits)
  let size = 0
  let good = true
  for await (const chunk of chunks) {
    size += chunk.length
    hash.update(chunk)
    if (size > expected.size) return 'digest'
    if (good && lines && !lines.add(chunk)) good = false
  }
  // The digest comes first: what did not arrive as sent says nothing about the sender.
  if (size !== expected.size || hash.digest('hex') !== expected.sha256) return 'digest'
  return lines === undefined || (good && lines.end()) ? 'ok' : lines.finding()
}

/** Whether bytes are what a part of their kind must hold, line by line. */
export function inspectBytes(
  bytes: Uint8Array,
  kind: PartKind,
  limits?: Limits,
): Exclude<PartFinding, 'digest'> {
  const lines = linesOf(kind, limits)
  return lines === undefined || (lines.add(bytes) && lines.end()) ? 'ok' : lines.finding()
}

const longestLine = 256 * 1024 * 1024

interface Lines {
  /** False when a line is not what it must be. */
  add(chunk: Uint8Array): boolean
  end(): boolean
  /** What was wrong with the line that was not. */
  finding(): 'content' | 'outside'
}

function linesOf(kind: PartKind, limits: Limits | undefined): Lines | undefined {
  if (kind.kind === 'consent' || kind.kind === 'attachment') return undefined
  const type = kind.kind === 'resources' ? kind.type : kind.kind === 'provenance' ? 'Provenance' : undefined
  let pending: Uint8Array[] = []
  let length = 0
  let count = 0
  let outside = false
  const check = (): boolean => {
    const bytes = Buffer.concat(pending, length)
    const line = parseJsonBytes(bytes)
    pending = []
    length = 0
    count++
    if (!isObject(line) || (type !== undefined && line.resourceType !== type)) return false
    // Where the record is from is not of the record: a provider may be called by what it treats.
    if (limits === undefined || kind.kind === 'provenance') return true
    outside = !limits.covers(() => bytes.toString('utf8'), line, kind.kind)
    return !outside
  }
  const keep = (piece: Uint8Array): boolean => {
    pending.push(piece)
    length += piece.length
    return length <= longestLine
  }
  return {
    add(chunk) {
      let from = 0
      for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, from)) {
        if (!keep(chunk.subarray(from, at)) || !check()) return false
        from = at + 1
      }
      return from === chunk.length || keep(chunk.subarray(from))
    },
    end() {
      if (length > 0 && !check()) return false
      return kind.kind === 'resources' ? count === kind.count : count > 0
    },
    finding: () => (outside ? 'outside' : 'content'),
  }
}
