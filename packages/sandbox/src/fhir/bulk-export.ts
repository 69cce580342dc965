import { randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import type { Answer } from './answer.js'
import { type Found, findExport, type Level } from './bulk-request.js'
import type { Access } from './guard.js'
import { fhirJson } from './media.js'
import { FhirProblem, outcomeText } from './outcome.js'
import type { SearchContext } from './search.js'

/** How exports of many records go. */
export interface ExportBehavior {
  /** Polls that are answered with 202 before the export is ready. Default 1. */
  readonly pendingPolls?: number
  /** What `Retry-After` says; who polls sooner is answered with 429. Default 1. */
  readonly retryAfterSeconds?: number
  /** Most lines of one file. Default 5000. */
  readonly linesPerFile?: number
  /** After this an export has expired. Default an hour. */
  readonly keepSeconds?: number
}

/** Answers what belongs to an export; undefined for any other request. */
export type Exports = (
  context: SearchContext,
  access: Access,
  request: Request,
  path: readonly string[],
  query: URLSearchParams,
) => Promise<Answer | undefined>

const mostJobs = 100
const ndjson = 'application/fhir+ndjson'

/**
 * Exports as the Bulk Data guide has them: asked for, polled, fetched in files, and deleted.
 *
 * @see https://hl7.org/fhir/uv/bulkdata/STU2/export.html
 */
export function createExports(behavior: ExportBehavior = {}): Exports {
  const { pendingPolls = 1, retryAfterSeconds = 1, linesPerFile = 5000, keepSeconds = 3600 } = behavior
  const jobs = new Map<string, Job>()

  const begin = async (
    context: SearchContext,
    access: Access,
    request: Request,
    level: Level,
  ): Promise<Answer> => {
    if (request.method !== 'GET' && request.method !== 'POST') throw notAllowed('GET, POST')
    const begunAt = Date.now()
    const found = await findExport(context, access, request, level)
    const id = randomBytes(16).toString('base64url')
    for (const oldest of jobs.keys()) {
      if (jobs.size < mostJobs) break
      jobs.delete(oldest)
    }
    jobs.set(id, { begunAt, found, files: filesOf(found, linesPerFile), polls: 0, notBefore: 0 })
    const location = `${context.base}/$export-status/${id}`
    return {
      status: 202,
      headers: { 'Content-Location': location, 'Content-Type': fhirJson },
      body: outcomeText([{ severity: 'information', code: 'informational', diagnostics: 'Begun.' }]),
    }
  }

  const jobOf = (id: string): Job => {
    const job = jobs.get(id)
    if (!job || Date.now() - job.begunAt > keepSeconds * 1000) {
      jobs.delete(id)
      throw new FhirProblem(404, 'not-found', 'There is no such export, or it has expired.')
    }
    return job
  }

  const status = (context: SearchContext, request: Request, id: string): Answer => {
    const job = jobOf(id)
    if (request.method === 'DELETE') {
      jobs.delete(id)
      return { status: 202, headers: {}, body: null }
    }
    if (request.method !== 'GET') throw notAllowed('DELETE, GET')
    const wait = { 'Retry-After': String(retryAfterSeconds) }
    if (Date.now() < job.notBefore)
      throw new FhirProblem(429, 'too-costly', 'This was asked for too soon.', wait)
    if (job.polls++ < pendingPolls) {
      // A timer may ring a little early.
      job.notBefore = Date.now() + retryAfterSeconds * 1000 - 50
      const done = Math.round((100 * job.polls) / (pendingPolls + 1))
      return { status: 202, headers: { ...wait, 'X-Progress': `${done}% complete` }, body: null }
    }
    const rows = (kind: File['kind']): object[] =>
      [...job.files].flatMap(([name, file]) =>
        file.kind === kind
          ? [
              {
                type: file.type,
                url: `${context.base}/$export-file/${id}/${name}`,
                count: file.lines.length,
              },
            ]
          : [],
      )
    const manifest = {
      transactionTime: new Date(job.begunAt).toISOString(),
      request: job.found.request,
      requiresAccessToken: true,
      output: rows('output'),
      ...(job.found.removed.length > 0 ? { deleted: rows('deleted') } : {}),
      error: rows('error'),
    }
    return {
      status: 200,
      headers: {
        'Content-Type': 'application/json',
        Expires: new Date(job.begunAt + keepSeconds * 1000).toUTCString(),
      },
      body: JSON.stringify(manifest),
    }
  }

  const file = (request: Request, id: string, name: string): Answer => {
    const found = jobOf(id).files.get(name)
    if (!found) throw new FhirProblem(404, 'not-found', 'This export has no such file.')
    if (request.method !== 'GET' && request.method !== 'HEAD') throw notAllowed('GET, HEAD')
    return fileAnswer(
      request,
      Buffer.from(`${found.lines.map((line) => line()).join('\n')}\n`),
      `"${id}-${name}"`,
    )
  }

  return async (context, access, request, path) => {
    const [first, second = '', third = ''] = path
    const isSystem = path.length === 1 && first === '$export'
    const isPatient = path.length === 2 && first === 'Patient' && second === '$export'
    const isGroup = path.length === 3 && first === 'Group' && third === '$export'
    if (isSystem) return begin(context, access, request, { kind: 'system' })
    if (isPatient) return begin(context, access, request, { kind: 'patient' })
    if (isGroup) return begin(context, access, request, { kind: 'group', id: second })
    if (first !== '$export-status' && first !== '$export-file') return undefined
    if (!access.scopes.some((scope) => scope.startsWith('system/')))
      throw new FhirProblem(403, 'forbidden', 'An export needs an access token with system scopes.')
    if (path.length === 2 && first === '$export-status') return status(context, request, second)
    if (path.length === 3 && first === '$export-file') return file(request, second, third)
    return undefined
  }
}

interface File {
  readonly kind: 'output' | 'deleted' | 'error'
  readonly type: string
  /** Made when they are sent: an export of many records is not held twice. */
  readonly lines: readonly (() => string)[]
}

interface Job {
  readonly begunAt: number
  readonly found: Found
  readonly files: ReadonlyMap<string, File>
  polls: number
  /** Epoch milliseconds. */
  notBefore: number
}

function filesOf({ byType, removed, issues }: Found, linesPerFile: number): Map<string, File> {
  const files = new Map<string, File>()
  const add = (kind: File['kind'], type: string, lines: readonly (() => string)[]): void => {
    for (let at = 0; at < lines.length; at += linesPerFile)
      files.set(`${files.size + 1}.ndjson`, { kind, type, lines: lines.slice(at, at + linesPerFile) })
  }
  for (const [type, resources] of byType)
    add(
      'output',
      type,
      resources.map(
        ({ text }) =>
          () =>
            text,
      ),
    )
  const bundle = (key: string): string =>
    JSON.stringify({
      resourceType: 'Bundle',
      type: 'transaction',
      entry: [{ request: { method: 'DELETE', url: key } }],
    })
  add(
    'deleted',
    'Bundle',
    removed.map((key) => () => bundle(key)),
  )
  add(
    'error',
    'OperationOutcome',
    issues.map((issue) => () => outcomeText([issue])),
  )
  return files
}

// Part of a file, and a file in fewer bytes, exclude each other: a range counts the bytes that are sent.
function fileAnswer(request: Request, bytes: Buffer<ArrayBuffer>, etag: string): Answer {
  const headers = { 'Content-Type': ndjson, 'Accept-Ranges': 'bytes', ETag: etag }
  const known = request.headers.get('if-range')
  const [, from] = /^bytes=(\d{1,15})-$/.exec(request.headers.get('range') ?? '') ?? []
  if (from !== undefined && (known === null || known === etag)) {
    const start = Number(from)
    if (start >= bytes.length)
      return { status: 416, headers: { 'Content-Range': `bytes */${bytes.length}` }, body: null }
    return {
      status: 206,
      headers: { ...headers, 'Content-Range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` },
      body: new Uint8Array(bytes.subarray(start)),
    }
  }
  if (/\bgzip\b/.test(request.headers.get('accept-encoding') ?? ''))
    return {
      status: 200,
      headers: { ...headers, ETag: `W/${etag}`, 'Content-Encoding': 'gzip' },
      body: new Uint8Array(gzipSync(bytes, { level: 1 })),
    }
  return { status: 200, headers, body: new Uint8Array(bytes) }
}

function notAllowed(allow: string): FhirProblem {
  return new FhirProblem(405, 'not-supported', 'This is not allowed here.', { Allow: allow })
}
