import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { appendFile, open, readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { SmartError } from '@s4s/core'
import { isMissing, writeDurably } from '../durable.js'

/** Files that nobody reads without the key: what lies in the folder of an export is health data. */
export interface Sealing {
  /** Adds a piece to a file. */
  append(path: string, bytes: Uint8Array): Promise<void>
  /** Goes on with a file, behind the last piece that is whole. */
  open(path: string): Promise<SealedFile>
  /** The pieces of a file, in order. @throws SmartError `CONFIG_STORAGE_FAILED` for one that was altered */
  read(path: string): AsyncGenerator<Buffer, void, undefined>
  /** Writes a small file whole or not at all. */
  write(path: string, value: unknown): Promise<void>
  /** What was written; undefined when there is nothing that can be read with this key. */
  value(path: string): Promise<unknown>
}

/** A file that is being written. */
export interface SealedFile {
  /** Bytes that it holds, before they were sealed. */
  readonly size: number
  write(bytes: Uint8Array): Promise<void>
  /** Empties it. */
  clear(): Promise<void>
  /** Resolves when all that was written is durable. */
  close(): Promise<void>
}

const pieceSize = 256 * 1024
/** Nonce and tag. */
const overhead = 28
const longest = 512 * 1024 * 1024

/** Seals with AES-256-GCM; each piece is bound to the name of its file. */
export function createSealing(secret: string): Sealing {
  const bytes = Buffer.from(secret, 'base64')
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(secret) || bytes.length !== 32)
    throw new SmartError('CONFIG_INVALID', 'the key of the export is not 32 bytes of base64')
  const key = Buffer.from(hkdfSync('sha256', bytes, 's4s-bulk/1', 'seal', 32))

  const seal = (path: string, plain: Uint8Array): Buffer => {
    const nonce = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(basename(path)))
    const sealed = Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
    const length = Buffer.alloc(4)
    length.writeUInt32BE(sealed.length)
    return Buffer.concat([length, sealed])
  }

  const unseal = (path: string, sealed: Buffer): Buffer | undefined => {
    try {
      const cipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12), { authTagLength: 16 })
      cipher.setAAD(Buffer.from(basename(path))).setAuthTag(sealed.subarray(-16))
      return Buffer.concat([cipher.update(sealed.subarray(12, -16)), cipher.final()])
    } catch {
      return undefined
    }
  }

  return Object.freeze({
    append: (path: string, plain: Uint8Array) => appendFile(path, seal(path, plain), { mode: 0o600 }),

    open: async (path: string): Promise<SealedFile> => {
      const file = await open(path, 'a+', 0o600)
      let [size, end] = [0, 0]
      let waiting: Uint8Array[] = []
      let held = 0
      const { size: total } = await file.stat()
      const head = Buffer.alloc(4)
      while (end + 4 <= total) {
        await file.read(head, 0, 4, end)
        const length = head.readUInt32BE(0)
        if (length < overhead || length > longest || end + 4 + length > total) break
        // A process that was killed leaves half a piece, and only at the end.
        if (end + 4 + length === total) {
          const last = Buffer.alloc(length)
          await file.read(last, 0, length, end + 4)
          if (!unseal(path, last)) break
        }
        size += length - overhead
        end += 4 + length
      }
      if (end < total) await file.truncate(end)
      const flush = async (): Promise<void> => {
        if (held === 0) return
        const piece = Buffer.concat(waiting)
        waiting = []
        held = 0
        await file.appendFile(seal(path, piece))
      }
      return {
        get size() {
          return size
        },
        write: async (plain) => {
          waiting.push(Uint8Array.from(plain))
          held += plain.byteLength
          size += plain.byteLength
          if (held >= pieceSize) await flush()
        },
        clear: async () => {
          waiting = []
          held = 0
          size = 0
          await file.truncate(0)
        },
        close: async () => {
          try {
            await flush()
            await file.sync()
          } finally {
            await file.close()
          }
        },
      }
    },

    async *read(path: string) {
      const file = await open(path, 'r')
      try {
        const head = Buffer.alloc(4)
        const { size } = await file.stat()
        for (let at = 0; ; ) {
          const { bytesRead } = await file.read(head, 0, 4, at)
          if (bytesRead === 0) return
          const length = head.readUInt32BE(0)
          const sealed = Buffer.alloc(Math.min(length, longest, size))
          const { bytesRead: got } = await file.read(sealed, 0, sealed.length, at + 4)
          const plain = got === length ? unseal(path, sealed) : undefined
          if (!plain)
            throw new SmartError('CONFIG_STORAGE_FAILED', 'a file of the export was altered or cut off')
          yield plain
          at += 4 + length
        }
      } finally {
        await file.close()
      }
    },

    write: (path: string, value: unknown) =>
      writeDurably(path, seal(path, Buffer.from(JSON.stringify(value)))),

    value: async (path: string): Promise<unknown> => {
      const found = await readFile(path).catch((error: unknown) => {
        if (isMissing(error)) return undefined
        throw error
      })
      const plain = found && found.length > 4 ? unseal(path, found.subarray(4)) : undefined
      return plain && JSON.parse(plain.toString('utf8'))
    },
  } satisfies Sealing)
}
