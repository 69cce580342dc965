import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Lock, SmartError, type Store } from '@s4s/core'
import { isMissing, syncFolder, writeDurably } from './durable.js'
import { fileLock } from './file-lock.js'

/** A store on disk, and the lock that goes with it for every process that opens the same folder. */
export interface FileStore extends Store {
  readonly lock: Lock
}

/**
 * Keeps connections in a folder, one encrypted file each: AES-256-GCM, bound to its name, and the name itself is
 * neither readable nor guessable. A file that was damaged counts as absent; the others are not touched by it.
 *
 * @param options.key At least 32 characters that nobody can guess; `openssl rand -base64 32` prints some.
 * @example fileStore('./connections', { key: process.env.STORE_KEY })
 * @throws SmartError `CONFIG_INVALID`
 */
export function fileStore(folder: string, options: { readonly key: string }): FileStore {
  const { key } = options
  if (typeof folder !== 'string' || folder === '') throw invalid('the folder of the store is missing')
  if (typeof key !== 'string' || key.length < 32)
    throw invalid('the key of the store has fewer than 32 characters')
  const derive = (use: string): Buffer => Buffer.from(hkdfSync('sha256', key, 's4s-store/1', use, 32))
  const sealing = derive('seal')
  const naming = derive('name')
  const mark = derive('mark').toString('hex')

  const hash = (text: string): string => createHmac('sha256', naming).update(text).digest('hex')
  // One folder for each kind of entry, so that listing pending launches does not open every connection.
  const shelfOf = (name: string): string => join(folder, hash(`shelf ${name.split('/')[0]}`).slice(0, 16))
  const fileOf = (name: string): string => join(shelfOf(name), `${hash(name)}.sealed`)

  let ready: Promise<void> | undefined
  const prepared = async (): Promise<void> => {
    ready ??= prepare(folder, mark)
    await ready.catch((error) => {
      ready = undefined
      throw error
    })
  }

  const read = async (file: string): Promise<{ name: string; value: string } | undefined> => {
    try {
      return unseal(sealing, await readFile(file), file)
    } catch (error) {
      if (isMissing(error)) return undefined
      throw error
    }
  }

  const namesIn = async (shelf: string): Promise<string[]> => {
    const found: string[] = []
    for (const file of await entries(shelf)) {
      if (!file.endsWith('.sealed')) continue
      const entry = await read(join(shelf, file))
      if (entry) found.push(entry.name)
    }
    return found
  }

  return Object.freeze({
    lock: fileLock(join(folder, 'locks')),

    async get(name: string): Promise<string | undefined> {
      await prepared()
      const entry = await read(fileOf(name))
      return entry?.name === name ? entry.value : undefined
    },

    async set(name: string, value: string): Promise<void> {
      await prepared()
      await mkdir(shelfOf(name), { recursive: true, mode: 0o700 })
      await writeDurably(fileOf(name), seal(sealing, name, value, fileOf(name)))
    },

    async delete(name: string): Promise<void> {
      await prepared()
      await rm(fileOf(name), { force: true })
      await syncFolder(shelfOf(name))
    },

    async keys(prefix: string): Promise<string[]> {
      await prepared()
      const shelves = prefix.includes('/')
        ? [shelfOf(prefix)]
        : (await entries(folder))
            .filter((name) => /^[0-9a-f]{16}$/.test(name))
            .map((name) => join(folder, name))
      const names = await Promise.all(shelves.map(namesIn))
      return names.flat().filter((name) => name.startsWith(prefix))
    },
  } satisfies FileStore)
}

// A file: a version byte, then the name and the value, each sealed with a nonce of its own. The name is bound to the
// file's name and the value to the name, so that files that change places are damaged files.

const version = 1

function seal(key: Buffer, name: string, value: string, file: string): Buffer {
  const sealedName = encrypt(key, Buffer.from(name), placeOf(file))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(sealedName.length)
  return Buffer.concat([
    Buffer.of(version),
    length,
    sealedName,
    encrypt(key, Buffer.from(value), `value ${name}`),
  ])
}

function unseal(key: Buffer, bytes: Buffer, file: string): { name: string; value: string } | undefined {
  if (bytes.length < 5 || bytes[0] !== version) return undefined
  const end = 5 + bytes.readUInt32BE(1)
  if (end > bytes.length) return undefined
  try {
    const name = decrypt(key, bytes.subarray(5, end), placeOf(file)).toString('utf8')
    return { name, value: decrypt(key, bytes.subarray(end), `value ${name}`).toString('utf8') }
  } catch {
    return undefined
  }
}

const placeOf = (file: string): string => `name ${file.slice(-71)}`

function encrypt(key: Buffer, plain: Buffer, about: string): Buffer {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(about))
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

function decrypt(key: Buffer, sealed: Buffer, about: string): Buffer {
  if (sealed.length < 28) throw new RangeError('too short')
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12), { authTagLength: 16 })
  decipher.setAAD(Buffer.from(about)).setAuthTag(sealed.subarray(-16))
  return Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()])
}

// A store that is opened with another key would look empty, and participants would be asked to connect again.
async function prepare(folder: string, mark: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const file = join(folder, 'key-mark')
  const found = await readFile(file, 'utf8').catch((error) => {
    if (isMissing(error)) return ''
    throw error
  })
  if (/^[0-9a-f]{64}$/.test(found) && found !== mark) throw invalid('the store was written with another key')
  if (found !== mark) await writeDurably(file, mark)
  await clear(folder)
}

// What a process that was killed while it wrote has left behind.
async function clear(folder: string): Promise<void> {
  for (const shelf of await entries(folder)) {
    if (!/^[0-9a-f]{16}$/.test(shelf)) continue
    for (const name of await entries(join(folder, shelf))) {
      if (!name.endsWith('.tmp')) continue
      const file = join(folder, shelf, name)
      const touched = (await stat(file).catch(() => undefined))?.mtimeMs ?? Date.now()
      if (Date.now() - touched > 3_600_000) await rm(file, { force: true })
    }
  }
}

async function entries(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

const invalid = (what: string): SmartError => new SmartError('CONFIG_INVALID', what)
