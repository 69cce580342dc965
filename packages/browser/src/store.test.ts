import { describe, expect, test, vi } from 'vitest'
import { asked, dumpStorage, freshBrowser } from '../test-support/browser.js'
import { browserStore } from './store.js'

freshBrowser()

const database = async (): Promise<IDBDatabase> => asked(indexedDB.open('s4s/1'))
const raw = async <T>(work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> => {
  const opened = await database()
  const result = await asked(work(opened.transaction('sealed', 'readwrite').objectStore('sealed')))
  opened.close()
  return result
}

test('what is stored is there after a reload', async () => {
  await browserStore().set('connection//a', 'token-1')
  const reloaded = browserStore()
  expect(await reloaded.get('connection//a')).toBe('token-1')
  expect(await reloaded.get('connection//b')).toBeUndefined()
  expect(await reloaded.kind()).toBe('sealed')
})

test('keys begin with the prefix, and a deleted one is gone', async () => {
  const store = browserStore()
  for (const key of ['launch/1', 'launch/2', 'connection//1']) await store.set(key, key)
  await store.delete('launch/1')
  expect(await store.keys('launch/')).toEqual(['launch/2'])
  expect((await store.keys('')).sort()).toEqual(['connection//1', 'launch/2'])
})

test('T35 nothing that was stored can be read in a dump of the storage, and the key cannot be exported', async () => {
  const secret = 'eyJhbGciOiJSUzI1NiJ9.a-token'
  await browserStore().set('connection//a', secret)
  const dump = await dumpStorage()
  expect(dump).not.toContain(secret)
  expect(dump).not.toContain(secret.slice(0, 12))
  const key = (await raw((store) => store.get('key'))) as CryptoKey
  expect(key.algorithm).toMatchObject({ name: 'AES-GCM', length: 256 })
  await expect(crypto.subtle.exportKey('raw', key)).rejects.toThrow()
})

test('every value is sealed with an IV of its own', async () => {
  const store = browserStore()
  const ivs = new Set<string>()
  for (let round = 0; round < 20; round++) {
    await store.set('same', 'same')
    const { iv } = (await raw((records) => records.get('value/same'))) as { iv: Uint8Array }
    expect(iv.byteLength).toBe(12)
    ivs.add(iv.join())
  }
  expect(ivs.size).toBe(20)
})

describe('F76 a record that was tampered with is as if it had never been there, and only that one', () => {
  const flipped = async (): Promise<unknown> => {
    const record = (await raw((store) => store.get('value/a'))) as { iv: Uint8Array; data: ArrayBuffer }
    const bytes = new Uint8Array(record.data.slice(0))
    bytes[3] = (bytes[3] ?? 0) ^ 1
    return { iv: record.iv, data: bytes.buffer }
  }
  test.each<[string, () => Promise<unknown>]>([
    ['a flipped bit', flipped],
    ['a record moved from another name', async () => raw((store) => store.get('value/b'))],
    ['text in place of a record', async () => 'token'],
    ['a record without its bytes', async () => ({ iv: new Uint8Array(12) })],
    ['a record with a short IV', async () => ({ iv: new Uint8Array(4), data: new ArrayBuffer(40) })],
    ['null', async () => null],
  ])('%s', async (_, tampered) => {
    const store = browserStore()
    await store.set('a', 'mine')
    await store.set('b', 'yours')
    const record = await tampered()
    await raw((records) => records.put(record, 'value/a'))
    expect(await store.get('a')).toBeUndefined()
    expect(await store.keys('')).toEqual(['b'])
    expect(await store.get('b')).toBe('yours')
    await store.set('a', 'again')
    expect(await store.get('a')).toBe('again')
  })
})

test('F75 a value whose key was evicted is absent and cleaned up, and the store works on', async () => {
  const store = browserStore()
  await store.set('a', 'lost')
  await raw((records) => records.delete('key'))
  expect(await store.get('a')).toBeUndefined()
  expect(await store.keys('')).toEqual([])
  await store.set('a', 'new')
  expect(await browserStore().get('a')).toBe('new')
})

test('F75 a key whose values were evicted is used again', async () => {
  const store = browserStore()
  await store.set('a', 'lost')
  await raw((records) => records.delete('value/a'))
  expect(await store.get('a')).toBeUndefined()
  await store.set('a', 'new')
  expect(await browserStore().get('a')).toBe('new')
})

test('ten tabs that open at once agree on one key', async () => {
  const tabs = Array.from({ length: 10 }, () => browserStore())
  await Promise.all(tabs.map((tab, index) => tab.set(`a/${index}`, String(index))))
  for (const tab of tabs) {
    const values = await Promise.all(tabs.map((_, index) => tab.get(`a/${index}`)))
    expect(values).toEqual(tabs.map((_, index) => String(index)))
  }
})

test('a value that is set while another tab clears the store is kept whole or not at all', async () => {
  const [one, other] = [browserStore(), browserStore()]
  await one.set('a', 'before')
  await Promise.all([one.set('a', 'after'), other.clear()])
  expect([undefined, 'after']).toContain(await one.get('a'))
  await one.set('a', 'last')
  expect(await other.get('a')).toBe('last')
})

test('clear deletes the key before anything else', async () => {
  const store = browserStore()
  await store.set('a', 'secret')
  const deleted: unknown[] = []
  const { delete: remove, clear } = IDBObjectStore.prototype
  vi.spyOn(IDBObjectStore.prototype, 'delete').mockImplementation(function (this: IDBObjectStore, key) {
    deleted.push(key)
    return remove.call(this, key)
  })
  vi.spyOn(IDBObjectStore.prototype, 'clear').mockImplementation(function (this: IDBObjectStore) {
    deleted.push('all')
    return clear.call(this)
  })
  await store.clear()
  expect(deleted).toEqual(['key', 'all'])
  expect(await store.get('a')).toBeUndefined()
})

describe('F71 without IndexedDB the store works for as long as the page, and says so', () => {
  test.each<[string, () => void]>([
    ['absent', () => vi.stubGlobal('indexedDB', undefined)],
    [
      'denied',
      () =>
        vi.stubGlobal('indexedDB', {
          open: () => {
            throw new DOMException('denied', 'SecurityError')
          },
        }),
    ],
  ])('%s', async (_, deny) => {
    deny()
    const store = browserStore()
    expect(await store.kind()).toBe('memory')
    await store.set('connection//a', 'token')
    expect(await store.get('connection//a')).toBe('token')
    expect(await store.keys('connection/')).toEqual(['connection//a'])
    expect(await dumpStorage().catch(() => JSON.stringify({ ...sessionStorage }))).not.toContain('token')
    await store.clear()
    expect(await browserStore().get('connection//a')).toBeUndefined()
  })

  test('but a pending launch outlives the redirect', async () => {
    vi.stubGlobal('indexedDB', undefined)
    await browserStore().set('launch/state', 'pending')
    const back = browserStore()
    expect(await back.get('launch/state')).toBe('pending')
    await back.delete('launch/state')
    expect(sessionStorage.length).toBe(0)
  })

  test('also where session storage holds nonsense', async () => {
    vi.stubGlobal('indexedDB', undefined)
    for (const nonsense of ['{', '[1]', '{"a":1}', '[["connection/x","y"]]']) {
      sessionStorage.setItem('s4s/1.launches', nonsense)
      expect(await browserStore().keys('')).toEqual([])
    }
  })
})

test('a write that fails is an error, and never falls back to memory unseen', async () => {
  const store = browserStore()
  await store.set('a', '1')
  vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(() => {
    throw new DOMException('full', 'QuotaExceededError')
  })
  await expect(store.set('a', '2')).rejects.toThrow()
  vi.restoreAllMocks()
  expect(await store.get('a')).toBe('1')
})

test('F72 a database that the browser closed behind the page is opened again', async () => {
  const opened: IDBDatabase[] = []
  const { transaction } = IDBDatabase.prototype
  vi.spyOn(IDBDatabase.prototype, 'transaction').mockImplementation(function (this: IDBDatabase, ...options) {
    opened.push(this)
    return transaction.apply(this, options)
  })
  const store = browserStore()
  await store.set('a', '1')
  for (const database of opened) database.close()
  expect(await store.get('a')).toBe('1')
  for (const database of opened) database.close()
  await store.set('a', '2')
  expect(await browserStore().get('a')).toBe('2')
})

test('F73 another tab that erases the database is not held up, and this one works on', async () => {
  const store = browserStore()
  await store.set('a', '1')
  const request = indexedDB.deleteDatabase('s4s/1')
  let blocked = false
  request.onblocked = () => {
    blocked = true
  }
  await asked(request)
  expect(blocked).toBe(false)
  // The key went with the rest: what a disk may still hold is noise.
  expect(await store.get('a')).toBeUndefined()
  await store.set('a', '2')
  expect(await browserStore().get('a')).toBe('2')
})

test('what is written is on the disk before it counts as stored', async () => {
  const transaction = vi.spyOn(IDBDatabase.prototype, 'transaction')
  const store = browserStore()
  await store.set('a', '1')
  await store.delete('a')
  await store.clear()
  const writes = transaction.mock.calls.filter(([, mode]) => mode === 'readwrite')
  expect(writes.length).toBeGreaterThanOrEqual(4)
  for (const [, , options] of writes) expect(options).toEqual({ durability: 'strict' })
})

test('two stores of different names see nothing of each other', async () => {
  await browserStore({ name: 'one' }).set('a', '1')
  expect(await browserStore({ name: 'two' }).get('a')).toBeUndefined()
})
