import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes, scrypt } from 'node:crypto'
import { link, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Lock, SmartError, type Store } from '@s4s/core'
import { codeOf, isMissing, syncFolder, writeDurably } from './durable.js'
import { fileLock } from './file-lock.js'

/** A store on disk, and the lock that goes with it for every process that opens the same folder. */
export interface FileStore extends Store {
  readonly lock: Lock
}

export interface FileStoreOptions {
  /** 32 random bytes as base64, such as `openssl rand -base64 32` prints, or a passphrase of 16 characters or more. */
  readonly key: string
  /** Told once of each file that cannot be read; to the store it is as if it were not there. */
  readonly onCorrupt?: (file: string) => void
}

/**
 * Keeps connections in a folder, one encrypted file each: AES-256-GCM, bound to its name, and the name itself is
 * neither readable nor guessable. A file that was damaged counts as absent; the others are not touched by it.
 *
 * @example fileStore('./connections', { key: process.env.STORE_KEY })
 * @throws SmartError `CONFIG_INVALID`
 */
export function fileStore(folder: string, options: FileStoreOptions): FileStore {
  const { key, onCorrupt } = options
  if (typeof folder !== 'string' || folder === '') throw invalid('the folder of the store is missing')
  if (typeof key !== 'string' || (!rawKey(key) && key.length < 16))
    throw invalid('the key of the store is neither 32 bytes of base64 nor a passphrase of 16 characters')

  let ready: Promise<Keys> | undefined
  const prepared = (): Promise<Keys> => {
    ready ??= prepare(folder, key).catch((error: unknown) => {
      ready = undefined
      throw error
    })
    return ready
  }

  const hash = ({ naming }: Keys, text: string): string =>
    createHmac('sha256', naming).update(text).digest('hex')
  // One folder for each kind of entry, so that listing pending launches does not open every connection.
  const shelfOf = (keys: Keys, name: string): string =>
    join(folder, hash(keys, `shelf ${name.split('/')[0]}`).slice(0, 16))
  const fileOf = (keys: Keys, name: string): string => join(shelfOf(keys, name), `${hash(keys, name)}.sealed`)

  const reported = new Set<string>()
  const report = (file: string): undefined => {
    if (reported.has(file)) return
    reported.add(file)
    onCorrupt?.(file)
  }

  const read = async (keys: Keys, file: string): Promise<{ name: string; value: string } | undefined> => {
    try {
      return unseal(keys.sealing, await readFile(file), file) ?? report(file)
    } catch (error) {
      if (isMissing(error)) return undefined
      throw error
    }
  }

  const namesIn = async (keys: Keys, shelf: string): Promise<string[]> => {
    const found: string[] = []
    for (const file of await entries(shelf)) {
      if (!file.endsWith('.sealed')) continue
      const entry = await read(keys, join(shelf, file))
      if (entry) found.push(entry.name)
    }
    return found
  }

  return Object.freeze({
    lock: fileLock(join(folder, 'locks')),

    async get(name: string): Promise<string | undefined> {
      const keys = await prepared()
      const entry = await read(keys, fileOf(keys, name))
      return entry?.name === name ? entry.value : undefined
    },

    async set(name: string, value: string): Promise<void> {
      const keys = await prepared()
      const file = fileOf(keys, name)
      await mkdir(shelfOf(keys, name), { recursive: true, mode: 0o700 })
      await writeDurably(file, seal(keys.sealing, name, value, file))
    },

    async delete(name: string): Promise<void> {
      const keys = await prepared()
      await rm(fileOf(keys, name), { force: true })
      await syncFolder(shelfOf(keys, name))
    },

    async keys(prefix: string): Promise<string[]> {
      const keys = await prepared()
      const shelves = prefix.includes('/')
        ? [shelfOf(keys, prefix)]
        : (await entries(folder))
            .filter((name) => /^[0-9a-f]{16}$/.test(name))
            .map((name) => join(folder, name))
      const names = await Promise.all(shelves.map((shelf) => namesIn(keys, shelf)))
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

interface Keys {
  readonly sealing: Buffer
  readonly naming: Buffer
}

async function prepare(folder: string, key: string): Promise<Keys> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const secret = rawKey(key) ?? (await stretch(key, await saltOf(folder)))
  const derive = (use: string): Buffer => Buffer.from(hkdfSync('sha256', secret, 's4s-store/1', use, 32))
  await checkMark(join(folder, 'key-mark'), derive('mark').toString('hex'))
  await clear(folder)
  return { sealing: derive('seal'), naming: derive('name') }
}

function rawKey(key: string): Buffer | undefined {
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(key)) return undefined
  const bytes = Buffer.from(key, 'base64')
  return bytes.length === 32 ? bytes : undefined
}

// A passphrase is made costly to guess for whoever has the folder.
function stretch(passphrase: string, salt: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(passphrase, salt, 32, { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 }, (error, secret) =>
      error ? reject(error) : resolve(secret),
    )
  })
}

// No secret: it makes the same passphrase another key in another folder.
async function saltOf(folder: string): Promise<Buffer> {
  const path = join(folder, 'salt')
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  const found = await readFile(path).catch((error: unknown) => {
    if (!isMissing(error)) throw error
  })
  if (found) return found
  await writeDurably(temporary, randomBytes(16))
  try {
    // A link, not a rename: of two processes that begin together both must end up with the salt of one.
    await link(temporary, path)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  } finally {
    await rm(temporary, { force: true })
  }
  await syncFolder(folder)
  return readFile(path)
}

// A store that is opened with another key would look empty, and participants would be asked to connect again.
async function checkMark(file: string, mark: string): Promise<void> {
  const found = await readFile(file, 'utf8').catch((error: unknown) => {
    if (isMissing(error)) return ''
    throw error
  })
  if (/^[0-9a-f]{64}$/.test(found) && found !== mark) throw invalid('the store was written with another key')
  if (found !== mark) await writeDurably(file, mark)
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
