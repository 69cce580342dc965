import { isSmartError } from '@s4s/core'
import { isObject } from '../json.js'
import { type Doors, mayPass, waitOf } from './doors.js'
import { ExpiredError } from './kick-off.js'
import { countLines } from './lines.js'
import type { ExportFile } from './manifest.js'
import type { Sealing } from './sealing.js'

/** A file as it lies in the folder. */
export interface Fetched {
  readonly bytes: number
  readonly lines: number
  /** Why not all of it is there: an error code, or `count` when it has not as many lines as the server says. */
  readonly fault?: string
}

/** What the files of one export share. */
export interface Downloads {
  readonly doors: Doors
  readonly sealing: Sealing
  /** Where the state of the export is. */
  readonly status: string
  readonly needsToken: boolean
  /** Where the file is by what the server says now. */
  readonly whereNow: () => Promise<string | undefined>
  /** Most bytes of one file. */
  readonly maxBytes: number
  readonly signal?: AbortSignal
}

const attempts = 6
const mostAttempts = 200
const hour = 3_600_000

/**
 * Fetches a file of an export into the folder. One that was cut off goes on where it was, where the server can, also in
 * another process; one whose lines are fewer or more than the server says is fetched once more.
 *
 * @throws ExpiredError when the export is no longer there; the signal's reason
 * @see https://hl7.org/fhir/uv/bulkdata/STU2/export.html#bulk-data-output-file-request
 */
export async function fetchFile(world: Downloads, asked: ExportFile, path: string): Promise<Fetched> {
  let file = asked
  const { sealing, signal } = world
  const known = await fetchedBefore(world, path)
  if (known) return known
  const settled = async (fetched: Fetched): Promise<Fetched> => {
    await sealing.write(`${path}.whole`, fetched)
    return fetched
  }
  let recounted = false
  let failures = 0
  for (let attempt = 1; ; attempt++) {
    const got = await fetchOnce(world, file, path, attempt > 1)
    if (got.kind === 'whole') {
      const lines = await countLines(sealing.read(path))
      if (file.count === undefined || lines === file.count) return settled({ bytes: got.bytes, lines })
      if (recounted) return settled({ bytes: got.bytes, lines, fault: 'count' })
      recounted = true
      await empty(sealing, path)
      continue
    }
    signal?.throwIfAborted()
    if (got.kind === 'anew') {
      await empty(sealing, path)
      if (attempt < attempts) continue
    }
    const { error } = got
    // Only of the network is a fault; that the disk is full is no reason to go on.
    if (!isSmartError(error)) throw error
    const isGone = error.status === 404 || error.status === 410
    if (isGone && (await isExpired(world))) throw new ExpiredError('the export is gone')
    if (!isGone && (error.status === 401 || error.status === 403) && file === asked) {
      const url = await world.whereNow().catch(() => undefined)
      if (url !== undefined && url !== file.url) {
        file = { ...file, url }
        continue
      }
    }
    // A long file that gets further each time is not failing.
    failures = got.gained ? 0 : failures + 1
    if (!mayPass(error) || failures >= attempts || attempt >= mostAttempts)
      return settled({ bytes: got.bytes, lines: 0, fault: error.code })
    await world.doors.clock.sleep(waitOf(error.retryAfter, failures), signal)
  }
}

// One file may be gone when the others are not.
async function isExpired({ doors, status, signal }: Downloads): Promise<boolean> {
  const wanted = { url: status, headers: { accept: 'application/json' }, ...(signal ? { signal } : {}) }
  const answer = await doors.ask(wanted)
  return answer.status === 404 || answer.status === 410
}

async function fetchedBefore({ sealing }: Downloads, path: string): Promise<Fetched | undefined> {
  const value = await sealing.value(`${path}.whole`)
  if (!isObject(value) || typeof value.bytes !== 'number' || typeof value.lines !== 'number') return undefined
  const sealed = await sealing.open(path)
  await sealed.close()
  return sealed.size === value.bytes ? (value as unknown as Fetched) : undefined
}

type Got =
  | { readonly kind: 'whole'; readonly bytes: number }
  | {
      readonly kind: 'anew' | 'failed'
      readonly bytes: number
      readonly gained: boolean
      readonly error: unknown
    }

async function fetchOnce(world: Downloads, { url }: ExportFile, path: string, again: boolean): Promise<Got> {
  const { doors, sealing, signal, needsToken, maxBytes } = world
  const sealed = await sealing.open(path)
  const from = sealed.size
  const tag = from > 0 ? await sealing.value(`${path}.tag`) : undefined
  let misplaced = false
  let clearing: Promise<void> | undefined
  let noting: Promise<void> | undefined
  try {
    const answer = await doors.file(
      {
        url,
        headers: {
          accept: 'application/fhir+ndjson',
          // What was cut off goes on byte by byte, which only the plain form can.
          'accept-encoding': again || from > 0 ? 'identity' : 'gzip',
          ...(from > 0 ? { range: `bytes=${from}-` } : {}),
          ...(from > 0 && typeof tag === 'string' ? { 'if-range': tag } : {}),
        },
        maxBytes: Math.max(0, maxBytes - from),
        idleTimeout: 60_000,
        totalTimeout: 12 * hour,
        ...(signal ? { signal } : {}),
        sink: ({ status, headers }) => {
          if (status !== 200 && status !== 206) return undefined
          misplaced =
            status === 206 &&
            (from === 0 ||
              startOf(headers) !== from ||
              (headers.get('content-encoding') ?? 'identity') !== 'identity')
          if (misplaced) return async () => {}
          if (status === 200) {
            clearing = sealed.clear()
            const etag = headers.get('etag') ?? ''
            const plain = headers.get('content-encoding') === null
            noting = sealing.write(`${path}.tag`, plain && etag.startsWith('"') ? etag.slice(0, 200) : null)
          }
          return async (piece) => {
            await clearing
            await sealed.write(piece)
          }
        },
      },
      needsToken,
    )
    await clearing
    await noting
    if (!answer.error && !misplaced) return { kind: 'whole', bytes: sealed.size }
    if (answer.status === 416 && answer.headers.get('content-range') === `bytes */${from}`)
      return { kind: 'whole', bytes: from }
    const kind = misplaced || answer.status === 416 ? 'anew' : 'failed'
    return { kind, bytes: sealed.size, gained: false, error: answer.error }
  } catch (error) {
    await clearing
    await noting
    return { kind: 'failed', bytes: sealed.size, gained: sealed.size > from, error }
  } finally {
    await sealed.close()
  }
}

function startOf(headers: Headers): number | undefined {
  const [, start] = /^bytes (\d{1,15})-/.exec(headers.get('content-range') ?? '') ?? []
  return start === undefined ? undefined : Number(start)
}

async function empty(sealing: Sealing, path: string): Promise<void> {
  const sealed = await sealing.open(path)
  await sealed.clear()
  await sealed.close()
}
