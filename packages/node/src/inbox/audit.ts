import { createReadStream } from 'node:fs'
import { appendFile, mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Lock } from '@s4s/core'
import { isMissing } from '../durable.js'
import { isObject, parseJsonBytes } from '../json.js'
import { sha256 } from './disk.js'

/** One line of `audit.ndjson`: what happened to which package. No participant, no health data, no key. */
export interface AuditEvent {
  readonly event:
    | 'opened'
    | 'stored'
    | 'stored-already'
    | 'quarantined'
    | 'withdrawn'
    | 'refused'
    | 'listed'
    | 'read'
    | 'failed'
  readonly study?: string
  readonly digest?: string
  /** Why, in a word of the protocol. */
  readonly reason?: string
  /** How many packages it was. */
  readonly packages?: number
  readonly resources?: number
  readonly bytes?: number
  /** Further events like it that were not written, so that knocking does not fill the disk. */
  readonly omitted?: number
}

/** Whether an audit is as it was written. */
export interface AuditVerification {
  readonly ok: boolean
  readonly lines: number
  /** The number of the first line that does not follow from the one before, counted from 1. */
  readonly brokenAt?: number
  /** Lines that a process which was killed left unfinished; the chain goes on over them. */
  readonly torn: number
  /** The digest of the last line. Kept elsewhere, it shows later that nothing was cut off the end. */
  readonly head: string
}

export interface Audit {
  /** Appends. What an event records is on the disk by itself, so a failure to append stops nothing. */
  append(event: AuditEvent): Promise<void>
  /**
   * Reads all of it.
   *
   * @param since a head that was noted earlier; an audit that it is no longer part of is not as it was
   */
  verify(since?: string): Promise<AuditVerification>
}

const quiet = 10_000

/** The head of an audit with no lines. */
const nothing = '0'.repeat(64)

/** A chain of lines in a file: each holds the digest of the one before, whichever process wrote that. */
export function openAudit(file: string, lock: Lock): Audit {
  let writing: Promise<void> = Promise.resolve()
  let lastKnock = Number.NEGATIVE_INFINITY
  let omitted = 0
  let known: { readonly size: number; readonly head: string } = { size: 0, head: nothing }

  const write = async (event: Record<string, unknown>): Promise<void> => {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    await lock('audit', async () => {
      const end = await endOf(file, known)
      const line = JSON.stringify({ ...event, ...(end.torn ? { torn: true } : {}), prev: end.head })
      await appendFile(file, `${end.torn ? '\n' : ''}${line}\n`, { mode: 0o600 })
      known = {
        size: end.size + Buffer.byteLength(line) + (end.torn ? 2 : 1),
        head: sha256(line),
      }
    })
  }

  return Object.freeze({
    append(event: AuditEvent): Promise<void> {
      const now = Date.now()
      const knock = event.reason === 'key'
      if (knock && now - lastKnock < quiet) {
        omitted++
        return writing
      }
      const more = knock && omitted > 0 ? { omitted } : {}
      if (knock) {
        lastKnock = now
        omitted = 0
      }
      const line = { at: new Date(now).toISOString(), ...event, ...more }
      writing = writing.then(() => write(line)).catch(() => {})
      return writing
    },

    async verify(since?: string): Promise<AuditVerification> {
      await writing
      // Nobody appends while the end is looked at.
      return lock('audit', () => verifyFile(file, since))
    },
  } satisfies Audit)
}

/** The digest of the last line, which may be one that was never finished. */
async function endOf(
  file: string,
  known: { readonly size: number; readonly head: string },
): Promise<{ readonly size: number; readonly head: string; readonly torn: boolean }> {
  let handle: Awaited<ReturnType<typeof open>>
  try {
    handle = await open(file, 'r')
  } catch (error) {
    if (isMissing(error)) return { size: 0, head: nothing, torn: false }
    throw error
  }
  try {
    const { size } = await handle.stat()
    if (size === known.size) return { ...known, torn: false }
    // Backwards from the end until the last line is in it.
    for (let length = 4096; ; length *= 4) {
      const from = Math.max(0, size - length)
      const bytes = Buffer.alloc(size - from)
      await handle.read(bytes, 0, bytes.length, from)
      const torn = bytes.at(-1) !== newline
      const line = torn ? bytes : bytes.subarray(0, -1)
      const start = line.lastIndexOf(newline)
      if (start === -1 && from > 0) continue
      return { size, torn, head: size === 0 ? nothing : sha256(line.subarray(start + 1)) }
    }
  } finally {
    await handle.close()
  }
}

const newline = 10

async function verifyFile(file: string, since: string | undefined): Promise<AuditVerification> {
  let [head, lines, torn, seen] = [nothing, 0, 0, since === undefined || since === nothing]
  let brokenAt: number | undefined
  // A line that was never finished cannot say what came before it; the next one says that it was cut off.
  let unexplained: number | undefined
  for await (const { line, ended } of linesOf(file)) {
    lines++
    const value = parseJsonBytes(line)
    const follows = isObject(value) && value.prev === head
    if (unexplained !== undefined && !(follows && value.torn === true)) brokenAt ??= unexplained
    unexplained = undefined
    if (isObject(value) && !follows) brokenAt ??= lines
    if (!isObject(value)) {
      torn++
      if (ended) unexplained = lines
    }
    head = sha256(line)
    if (head === since) seen = true
  }
  brokenAt ??= unexplained
  const ok = brokenAt === undefined && seen
  return Object.freeze({ ok, lines, torn, head, ...(brokenAt === undefined ? {} : { brokenAt }) })
}

async function* linesOf(
  file: string,
): AsyncGenerator<{ readonly line: Uint8Array; readonly ended: boolean }> {
  let pending: Buffer = Buffer.alloc(0)
  try {
    for await (const piece of createReadStream(file) as AsyncIterable<Buffer>) {
      pending = pending.length === 0 ? piece : Buffer.concat([pending, piece])
      let from = 0
      for (let at = pending.indexOf(newline); at !== -1; at = pending.indexOf(newline, from)) {
        yield { line: pending.subarray(from, at), ended: true }
        from = at + 1
      }
      pending = pending.subarray(from)
    }
  } catch (error) {
    if (isMissing(error)) return
    throw error
  }
  if (pending.length > 0) yield { line: pending, ended: false }
}
