import type { Store } from '@s4s/core'
import { createStore, promisifyRequest, type UseStore } from 'idb-keyval'
import { pageStore } from './memory.js'

// The one door to this library.
export { promisifyRequest }

/** Where values live: sealed in IndexedDB, or only in this page because the browser refuses to keep them. */
export type StoreKind = 'sealed' | 'memory'

/** A store whose values nobody can read without this browser's own key. */
export interface BrowserStore extends Store {
  /** Settles once it is known where values live. */
  kind(): Promise<StoreKind>
  /** Erases everything: the key first, so that whatever a disk still holds is noise. */
  clear(): Promise<void>
}

export interface BrowserStoreOptions {
  /** Apps on one origin that must not share a store give each its own name. Default `s4s`. */
  readonly name?: string
}

// Part of the database's name and of what a value is bound to: another format is another database, so that an
// older SDK neither reads nor overwrites what a newer one wrote.
const format = 1
const storeName = 'sealed'
const keyName = 'key'
const valuePrefix = 'value/'

/**
 * A store in IndexedDB. Each value is sealed with AES-GCM under a key that this browser made, keeps beside it, and
 * exports to nobody. A value that cannot be opened is treated as absent and removed; the others stay.
 *
 * Where IndexedDB is denied, values live as long as the page; what is not a token (a pending launch) outlives the
 * redirect in `sessionStorage`.
 */
export function browserStore(options: BrowserStoreOptions = {}): BrowserStore {
  const name = `${options.name ?? 's4s'}/${format}`
  const database = reopening(name)
  let opened: Promise<Backend> | undefined
  const backend = (): Promise<Backend> => {
    opened ??= sealedBackend(database).catch((): Backend => ({ kind: 'memory', ...pageStore(name) }))
    return opened
  }
  return Object.freeze({
    get: async (key) => (await backend()).get(key),
    set: async (key, value) => (await backend()).set(key, value),
    delete: async (key) => (await backend()).delete(key),
    keys: async (prefix) => (await backend()).keys(prefix),
    clear: async () => (await backend()).clear(),
    kind: async () => (await backend()).kind,
  } satisfies BrowserStore)
}

/** Asks the browser to keep what this origin stores, also when it needs room. No answer changes anything. */
export async function keepStorage(): Promise<void> {
  const { storage } = globalThis.navigator ?? {}
  try {
    if (!(await storage?.persisted?.())) await storage?.persist?.()
  } catch {
    // Then it may be emptied, as everything was until now.
  }
}

interface Backend extends Store {
  readonly kind: StoreKind
  clear(): Promise<void>
}

interface Sealed {
  readonly iv: Uint8Array<ArrayBuffer>
  readonly data: ArrayBuffer
}

// Settles only when the database has opened, written, and taken a key that cannot be exported.
async function sealedBackend(use: UseStore): Promise<Backend> {
  await currentKey(use)
  return {
    kind: 'sealed',
    async get(key) {
      const [sealingKey, sealed] = await use('readonly', (store) =>
        Promise.all([
          promisifyRequest<unknown>(store.get(keyName)),
          promisifyRequest<unknown>(store.get(valuePrefix + key)),
        ]),
      )
      if (sealed === undefined) return undefined
      const value = isKey(sealingKey) ? await unseal(sealingKey, key, sealed) : undefined
      if (value === undefined) await removeUnchanged(use, valuePrefix + key, sealed)
      return value
    },
    async set(key, value) {
      // Sealing takes longer than a transaction lives. If the key was replaced meanwhile (another tab erased
      // everything), what was written could never be read, so it is sealed again with the new one.
      for (let sealingKey = await currentKey(use); ; ) {
        const sealed = await seal(sealingKey, key, value)
        const stored = await use('readwrite', async (store) => {
          store.put(sealed, valuePrefix + key)
          const now = promisifyRequest<unknown>(store.get(keyName))
          await promisifyRequest(store.transaction)
          return now
        })
        if (isKey(stored) && (await unseal(stored, key, sealed)) !== undefined) return
        sealingKey = await currentKey(use)
      }
    },
    delete: (key) =>
      use('readwrite', (store) => {
        store.delete(valuePrefix + key)
        return promisifyRequest(store.transaction)
      }),
    async keys(prefix) {
      const all = await use('readonly', (store) => promisifyRequest(store.getAllKeys()))
      const wanted = valuePrefix + prefix
      return all
        .filter((key): key is string => typeof key === 'string' && key.startsWith(wanted))
        .map((key) => key.slice(valuePrefix.length))
    },
    clear: () =>
      use('readwrite', (store) => {
        store.delete(keyName)
        store.clear()
        return promisifyRequest(store.transaction)
      }),
  }
}

// Made before the transaction and added within it: of two tabs that begin together, one key stays and both use it.
async function currentKey(use: UseStore): Promise<CryptoKey> {
  const existing = await use('readonly', (store) => promisifyRequest<unknown>(store.get(keyName)))
  if (isKey(existing)) return existing
  const candidate = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, [
    'encrypt',
    'decrypt',
  ])
  return use('readwrite', (store) => {
    const winner = new Promise<CryptoKey>((resolve, reject) => {
      const request = store.get(keyName)
      request.onerror = () => reject(request.error)
      request.onsuccess = () => {
        const found: unknown = request.result
        if (isKey(found)) return resolve(found)
        try {
          // What an earlier key sealed is lost with it. Removed here, so that no key name outlives its value.
          store.clear()
          store.put(candidate, keyName)
          resolve(candidate)
        } catch (error) {
          reject(error)
        }
      }
    })
    return promisifyRequest(store.transaction).then(() => winner)
  })
}

async function seal(sealingKey: CryptoKey, key: string, value: string): Promise<Sealed> {
  const iv = crypto.getRandomValues(new Uint8Array(12))
  const data = await crypto.subtle.encrypt(
    { name: 'AES-GCM', iv, additionalData: boundTo(key) },
    sealingKey,
    new TextEncoder().encode(value),
  )
  return { iv, data }
}

// Undefined for whatever this key did not seal under this name.
async function unseal(sealingKey: CryptoKey, key: string, stored: unknown): Promise<string | undefined> {
  try {
    const { iv, data } = stored as Sealed
    const bytes = await crypto.subtle.decrypt(
      { name: 'AES-GCM', iv, additionalData: boundTo(key) },
      sealingKey,
      data,
    )
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

// A sealed value that is moved to another name does not open there.
const boundTo = (key: string): Uint8Array<ArrayBuffer> =>
  new TextEncoder().encode(JSON.stringify(['s4s', format, key]))

function isKey(value: unknown): value is CryptoKey {
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.prototype.toString.call(value) === '[object CryptoKey]' &&
    (value as CryptoKey).algorithm.name === 'AES-GCM'
  )
}

// Another tab may have written a good value since the bad one was read.
async function removeUnchanged(use: UseStore, name: string, bad: unknown): Promise<void> {
  const seen = fingerprint(bad)
  await use('readwrite', (store) => {
    const request = store.get(name)
    request.onsuccess = () => {
      if (fingerprint(request.result) === seen) store.delete(name)
    }
    return promisifyRequest(store.transaction)
  })
}

function fingerprint(stored: unknown): string {
  const iv: unknown = (stored as Partial<Sealed> | null | undefined)?.iv
  return ArrayBuffer.isView(iv) ? String(iv) : typeof stored
}

/**
 * Browsers close a database under memory pressure or after sleep, without saying so: then it is opened once more.
 * What is written is on the disk when its promise resolves: a rotated refresh token must outlive a power cut.
 */
export function reopening(name: string): UseStore {
  let use = createStore(name, storeName)
  const run: UseStore = (mode, callback) =>
    use('readonly', (store) => {
      const { db } = store.transaction
      // Another tab erases everything, or a newer format takes over: whoever stays open would hold it up.
      db.onversionchange ??= () => db.close()
      if (mode === 'readonly') return callback(store)
      const options = { durability: 'strict' } as const
      return callback(db.transaction(storeName, mode, options).objectStore(storeName))
    })
  return async (mode, callback) => {
    try {
      return await run(mode, callback)
    } catch (error) {
      if (!isClosed(error)) throw error
      use = createStore(name, storeName)
      return run(mode, callback)
    }
  }
}

const isClosed = (error: unknown): boolean =>
  error instanceof Error &&
  (error.name === 'InvalidStateError' || /connection (is closing|to indexed database)/i.test(error.message))
