import { createReadStream } from 'node:fs'
import { mkdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { FileStore } from '@tus/file-store'
import { MemoryLocker, Server, Upload } from '@tus/server'
import { codeOf } from '../durable.js'
import { Refusal } from './refusal.js'

/** A part of a package that is open, as far as bringing it needs to know. */
export interface ExpectedPart {
  readonly size: number
  /** True when it has arrived already. */
  readonly held: boolean
  /** Where to keep what has arrived of it; it goes with the package. */
  readonly folder: string
}

export interface ResumableOptions {
  /** The path that uploads are served under, such as `/inbox/uploads`. */
  readonly path: string
  /** The part that an upload is of. @throws Refusal `unknown`, `digest` */
  expected(study: string, digest: string, sha256: string): Promise<ExpectedPart>
  /** Takes a part that is complete. @throws Refusal */
  put(study: string, digest: string, sha256: string, body: ReadableStream<Uint8Array>): Promise<void>
}

/** Parts that arrive piece by piece, and go on where they were after either side was gone. */
export type Resumable = (request: Request, study: string) => Promise<Response>

const headers = { 'tus-resumable': '1.0.0', 'cache-control': 'no-store' }

/**
 * The tus protocol over the parts of open packages. An upload is named by the package and the part, so that a sender
 * finds its own again without having remembered anything.
 *
 * @see https://tus.io/protocols/resumable-upload
 */
export function openResumable({ path, expected, put }: ResumableOptions): Resumable {
  const locker = new MemoryLocker()
  return async (request, study) => {
    const [digest, sha256] = namesOf(request, path)
    const part = await expected(study, digest, sha256)
    const id = `${digest}-${sha256}`
    if (part.held) return heldAnswer(request, `${path}/${id}`, part.size)
    if (request.method === 'POST' && Number(request.headers.get('upload-length')) !== part.size)
      throw new Refusal('digest')
    const store = new FileStore({ directory: part.folder })
    // Every piece had arrived when the process was ended: what was left to do is done now.
    const arrived = await stat(join(part.folder, id)).catch(() => undefined)
    if (arrived?.size === part.size && request.method !== 'PATCH') {
      try {
        const bytes = createReadStream(join(part.folder, id))
        await put(study, digest, sha256, Readable.toWeb(bytes) as ReadableStream<Uint8Array>)
      } finally {
        await store.remove(id).catch(() => {})
      }
      return heldAnswer(request, `${path}/${id}`, part.size)
    }
    // With its package every upload is open, at no byte: a sender need not make it first.
    if (arrived === undefined && request.method !== 'POST') await begin(store, part, id)
    let refused: Refusal | undefined
    const server = new Server({
      path,
      datastore: store,
      locker,
      relativeLocation: true,
      respectForwardedHeaders: false,
      maxSize: part.size,
      namingFunction: () => id,
      generateUrl: () => `${path}/${id}`,
      getFileIdFromRequest: () => id,
      async onUploadFinish() {
        try {
          const bytes = createReadStream(join(part.folder, id))
          await put(study, digest, sha256, Readable.toWeb(bytes) as ReadableStream<Uint8Array>)
        } catch (error) {
          if (error instanceof Refusal) refused = error
          throw error
        } finally {
          await store.remove(id).catch(() => {})
        }
        return {}
      },
    })
    const answer = await server.handleWeb(request as never)
    if (refused) throw refused
    return plain(answer)
  }
}

// The store's own way to create empties what another request may just have begun to write.
async function begin(store: FileStore, part: ExpectedPart, id: string): Promise<void> {
  await mkdir(part.folder, { recursive: true })
  await store.configstore.set(id, new Upload({ id, offset: 0, size: part.size }))
  await writeFile(join(part.folder, id), '', { flag: 'wx' }).catch((error: unknown) => {
    if (codeOf(error) !== 'EEXIST') throw error
  })
}

function namesOf(request: Request, path: string): [string, string] {
  const below = new URL(request.url).pathname.slice(path.length)
  const named = /^\/([0-9a-f]{64})-([0-9a-f]{64})$/.exec(below)
  if (named) return [named[1] as string, named[2] as string]
  if (below !== '' || request.method !== 'POST') throw new Refusal('unknown')
  const metadata = new Map(
    (request.headers.get('upload-metadata') ?? '').split(',').map((pair) => {
      const [key = '', value = ''] = pair.trim().split(' ')
      return [key, Buffer.from(value, 'base64').toString('utf8')]
    }),
  )
  const [digest, sha256] = [metadata.get('package') ?? '', metadata.get('part') ?? '']
  if (!/^[0-9a-f]{64}$/.test(digest) || !/^[0-9a-f]{64}$/.test(sha256)) throw new Refusal('unknown')
  return [digest, sha256]
}

// The answer to the last piece may have been lost: whoever asks then is told that all of it is here.
function heldAnswer(request: Request, location: string, size: number): Response {
  const offset = String(size)
  if (request.method === 'POST')
    return new Response(null, { status: 201, headers: { ...headers, location, 'upload-offset': '0' } })
  const status = request.method === 'HEAD' ? 200 : 204
  return new Response(null, {
    status,
    headers: { ...headers, 'upload-offset': offset, 'upload-length': offset },
  })
}

// Which origins may ask is the inbox's to say, and what went wrong inside is nobody's.
function plain(answer: Response): Response {
  const kept = new Headers(headers)
  for (const name of ['location', 'upload-offset', 'upload-length', 'tus-resumable']) {
    const value = answer.headers.get(name)
    if (value !== null) kept.set(name, value)
  }
  void answer.body?.cancel().catch(() => {})
  return new Response(null, { status: answer.status, headers: kept })
}
