import { appendFile, type FileHandle, mkdir, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Manifest } from '@s4s/core'

/** A file that is written piece by piece. */
export interface OutFile {
  /** Waits only when enough has come together to be written. */
  write(data: string): Promise<void> | undefined
  /** As `write`, at once. */
  put(bytes: Uint8Array): Promise<void>
  /** Writes what is left, and makes it durable. */
  close(): Promise<void>
  /** Closes it as it is. */
  abandon(): Promise<void>
}

const enough = 256 * 1024

/** Makes a new file that only its owner can read. */
export async function createFile(path: string): Promise<OutFile> {
  const handle = await open(path, 'wx', 0o600)
  let pending: string[] = []
  let length = 0
  let closed = false

  const flush = async (): Promise<void> => {
    const pieces = pending
    pending = []
    length = 0
    // Joined they could be longer than a text can be.
    for (const piece of length > enough ? pieces : [pieces.join('')]) await putAll(handle, Buffer.from(piece))
  }
  const end = async (): Promise<void> => {
    if (closed) return
    closed = true
    await handle.close()
  }
  return Object.freeze({
    write(data: string) {
      pending.push(data)
      length += data.length
      return length > enough ? flush() : undefined
    },
    put: (bytes: Uint8Array) => putAll(handle, bytes),
    async close() {
      await flush()
      await handle.sync()
      await end()
    },
    abandon: () => end().catch(() => {}),
  })
}

/** Writes bytes as they come. */
export async function writeFile(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const file = await createFile(path)
  try {
    for await (const chunk of chunks) await file.put(chunk)
    await file.close()
  } finally {
    await file.abandon()
  }
}

/** Adds lines to a file of a folder. It is open no longer than that: a study may have very many types. */
export async function appendLines(folder: string, name: string, lines: readonly string[]): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await appendFile(join(folder, name), lines.map((line) => `${line}\n`).join(''), {
    mode: 0o600,
    flush: true,
  })
}

/** Where the files of a package lie in an export, by their paths in the package: under the digests of their bytes. */
export function filesOf({ parts }: Manifest): ReadonlyMap<string, string> {
  return new Map(
    parts.flatMap(({ path, sha256 }) => {
      const [, name = '', ending = ''] = /\/attachments\/([0-9a-f]{64})\.([a-z0-9]{1,8})$/.exec(path) ?? []
      return name === sha256 ? [[path, `attachments/${sha256}.${ending}`] as const] : []
    }),
  )
}

// A disk that fills up takes part of a write without a word; only the rest of it fails.
async function putAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at)).bytesWritten
}
