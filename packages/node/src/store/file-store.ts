import { createHmac, randomBytes, scrypt } from 'node:crypto'
import { link, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Lock, SmartError, type Store } from '@s4s/core'
import { CompactEncrypt, compactDecrypt } from 'jose'
import { isTaken, syncFolder, temporaryBeside, unlessMissing, writeDurably, writeSynced } from '../disk.js'
import { fileLock } from '../lock/file-lock.js'

/** A store on disk, with the lock that goes with it. */
export interface FileStore extends Store {
  /** Holds among all processes that use the same folder. */
  readonly lock: Lock
}

export interface FileStoreOptions {
  /** 32 random bytes as base64, or a passphrase of at least 16 characters. */
  readonly key: string
  /** Told once of each file that cannot be read with this key; to the store it is as if it were not there. */
  readonly onCorrupt?: (file: string) => void
}

/**
 * Keeps connections in a folder, one encrypted file for each. Neither the names nor the content of the files say
 * who is connected where. For one machine; processes on it may share the folder.
 *
 * @example fileStore('./connections', { key: process.env.STORE_KEY })
 * @see https://www.rfc-editor.org/rfc/rfc7516
 */
export function fileStore(folder: string, options: FileStoreOptions): FileStore {
  const { key: secret, onCorrupt } = options
  if (typeof folder !== 'string' || folder === '') throw invalid('fileStore needs a folder')
  if (typeof secret !== 'string' || (!rawKey(secret) && secret.length < 16))
    throw invalid('the key of fileStore is neither 32 bytes of base64 nor a passphrase of 16 characters')

  let opened: Promise<Keys> | undefined
  const keys = (): Promise<Keys> => {
    opened ??= openFolder(folder, secret).catch((error: unknown) => {
      opened = undefined
      throw error
    })
    return opened
  }
  const reported = new Set<string>()
  const report = (file: string): undefined => {
    if (reported.has(file)) return
    reported.add(file)
    onCorrupt?.(file)
  }
  // A file's name follows from its key, so what a file is called for need be found out only once.
  const names = new Map<string, string>()

  const read = async (file: string): Promise<Entry | undefined> => {
    const { encryption, naming } = await keys()
    const text = await unlessMissing(readFile(join(folder, file), 'utf8'))
    if (text === undefined) return undefined
    const entry = await unseal(text, encryption)
    // A file under another's name is someone's attempt to swap records.
    return entry && fileOf(entry.key, naming) === file ? entry : report(file)
  }

  return Object.freeze({
    lock: fileLock(join(folder, 'locks')),

    async get(key: string): Promise<string | undefined> {
      return (await read(fileOf(key, (await keys()).naming)))?.value
    },

    async set(key: string, value: string): Promise<void> {
      const { encryption, naming } = await keys()
      await writeDurably(join(folder, fileOf(key, naming)), await seal({ key, value }, encryption))
    },

    async delete(key: string): Promise<void> {
      await rm(join(folder, fileOf(key, (await keys()).naming)), { force: true })
      await syncFolder(folder)
    },

    async keys(prefix: string): Promise<string[]> {
      await keys()
      const found: string[] = []
      for (const file of await readdir(folder)) {
        if (!recordFile.test(file)) continue
        const name = names.get(file) ?? (await read(file))?.key
        if (name === undefined) continue
        names.set(file, name)
        if (name.startsWith(prefix)) found.push(name)
      }
      return found
    },
  } satisfies FileStore)
}

interface Keys {
  readonly encryption: Uint8Array
  readonly naming: Uint8Array
}

/** What one file holds. The key is inside too, and with it under the seal. */
interface Entry {
  readonly key: string
  readonly value: string
}

const recordFile = /^[0-9a-f]{64}\.jwe$/

function fileOf(key: string, naming: Uint8Array): string {
  return `${createHmac('sha256', naming).update(key).digest('hex')}.jwe`
}

async function seal(entry: Entry, key: Uint8Array): Promise<string> {
  return new CompactEncrypt(new TextEncoder().encode(JSON.stringify(entry)))
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
    .encrypt(key)
}

async function unseal(text: string, key: Uint8Array): Promise<Entry | undefined> {
  try {
    const { plaintext } = await compactDecrypt(text, key, {
      keyManagementAlgorithms: ['dir'],
      contentEncryptionAlgorithms: ['A256GCM'],
    })
    const entry = JSON.parse(new TextDecoder().decode(plaintext)) as Partial<Entry> | null
    return typeof entry?.key === 'string' && typeof entry.value === 'string' ? (entry as Entry) : undefined
  } catch {
    return undefined
  }
}

async function openFolder(folder: string, secret: string): Promise<Keys> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await sweep(folder)
  const raw = rawKey(secret) ?? (await stretch(secret, await saltOf(folder)))
  const derive = (what: string): Uint8Array =>
    new Uint8Array(createHmac('sha256', raw).update(`s4s file store ${what}`).digest())
  return { encryption: derive('encryption'), naming: derive('naming') }
}

// What a process that was killed was about to write.
async function sweep(folder: string): Promise<void> {
  for (const file of await readdir(folder)) {
    if (!/^\.[0-9a-f]{18}\.tmp$/.test(file)) continue
    const about = await unlessMissing(stat(join(folder, file)))
    if (about && Date.now() - about.mtimeMs > 3_600_000) await rm(join(folder, file), { force: true })
  }
}

function rawKey(secret: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(secret)) return undefined
  const bytes = Buffer.from(secret, 'base64')
  return bytes.length === 32 ? new Uint8Array(bytes) : undefined
}

// The salt is no secret; it makes the same passphrase another key in another folder.
async function saltOf(folder: string): Promise<Buffer> {
  const path = join(folder, 'salt')
  const found = await unlessMissing(readFile(path))
  if (found) return found
  const temporary = temporaryBeside(path)
  await writeSynced(temporary, randomBytes(16))
  try {
    // A link, not a rename: of two processes that begin together, both must end up with the salt of one.
    await link(temporary, path)
  } catch (error) {
    if (!isTaken(error)) throw error
  } finally {
    await rm(temporary, { force: true })
  }
  await syncFolder(folder)
  return readFile(path)
}

function stretch(passphrase: string, salt: Buffer): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    scrypt(passphrase, salt, 32, { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 }, (error, key) =>
      error ? reject(error) : resolve(new Uint8Array(key)),
    )
  })
}

const invalid = (message: string): SmartError => new SmartError('CONFIG_INVALID', message)
