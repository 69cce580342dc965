import { mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { fileStore } from './file-store.js'
import { memoryStore } from './memory-store.js'
import { storeContract } from './test-support/store-contract.js'

const key = 'a key of thirty-two characters, at least'
const folders: string[] = []
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's4s-store-'))
  folders.push(folder)
})
afterAll(() => Promise.all(folders.map((one) => rm(one, { recursive: true, force: true }))))

storeContract('memoryStore', async () => memoryStore())
storeContract('fileStore', async () => fileStore(folder, { key }))

const files = async (): Promise<string[]> =>
  (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
const sealed = async (): Promise<string[]> => (await files()).filter((file) => file.endsWith('.sealed'))

test.each([
  ['file', () => fileStore(folder, { key })],
  ['memory', () => memoryStore()],
])('a %s store gives back what was put in, lists by prefix, and forgets what is deleted', async (_, make) => {
  const store = make()
  expect(await store.get('connection/a/1')).toBeUndefined()
  expect(await store.keys('connection/')).toEqual([])
  await store.set('connection/a/1', 'one')
  await store.set('connection/a/1', 'zwei ✓')
  await store.set('connection/b/1', '')
  await store.set('launch/x', 'x'.repeat(100_000))
  expect(await store.get('connection/a/1')).toBe('zwei ✓')
  expect(await store.get('connection/b/1')).toBe('')
  expect((await store.keys('connection/')).sort()).toEqual(['connection/a/1', 'connection/b/1'])
  expect(await store.keys('connection/a/')).toEqual(['connection/a/1'])
  expect((await store.keys('')).sort()).toEqual(['connection/a/1', 'connection/b/1', 'launch/x'])
  await store.delete('connection/a/1')
  await store.delete('connection/never')
  expect(await store.get('connection/a/1')).toBeUndefined()
  expect(await store.keys('connection/')).toEqual(['connection/b/1'])
})

test('what one process wrote another reads, with the key only', async () => {
  await fileStore(folder, { key }).set('connection/a', 'token')
  expect(await fileStore(folder, { key }).get('connection/a')).toBe('token')
  const other = fileStore(folder, { key: 'another key of thirty-two characters' })
  await expect(other.get('connection/a')).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
})

test('T37 a passphrase opens its store again, also for many that begin together; another passphrase does not', async () => {
  const passphrase = 'correct horse battery staple'
  const stores = Array.from({ length: 6 }, () => fileStore(folder, { key: passphrase }))
  await Promise.all(stores.map((store, at) => store.set(`connection/${at}`, `token ${at}`)))
  for (const store of [...stores, fileStore(folder, { key: passphrase })]) {
    expect((await store.keys('connection/')).length).toBe(6)
    expect(await store.get('connection/5')).toBe('token 5')
  }
  const other = fileStore(folder, { key: 'correct horse battery stable' })
  await expect(other.get('connection/5')).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
})

test('a file that cannot be read is told of once, by its name on the disk', async () => {
  const told: string[] = []
  const store = fileStore(folder, { key, onCorrupt: (file) => told.push(file) })
  await store.set('connection/a', 'one')
  await store.get('connection/never')
  const [damaged = ''] = await sealed()
  await writeFile(damaged, 'left by someone')
  await store.get('connection/a')
  await store.keys('')
  await store.keys('connection/')
  expect(told).toEqual([damaged])
})

test('an error of the disk is an error, not an absent connection', async () => {
  const file = join(folder, 'a file')
  await writeFile(file, '')
  await expect(fileStore(file, { key }).get('connection/a')).rejects.toThrow()
  await expect(fileStore(join(file, 'below'), { key }).get('connection/a')).rejects.toThrow()
})

test('neither names nor values are readable on the disk, and nobody else may open the files', async () => {
  await fileStore(folder, { key }).set('connection/ada-canary/mercy', 'token-canary')
  for (const file of await files()) {
    expect(file).not.toMatch(/canary|connection|mercy/)
    expect(await readFile(file, 'latin1')).not.toMatch(/canary|mercy/)
    expect((await stat(file)).mode & 0o077).toBe(0)
  }
})

test('F76 F79 a damaged file, and one that was half written, is absent, whichever byte it is; the others stay', async () => {
  const store = fileStore(folder, { key })
  await store.set('connection/a', 'one')
  const [damaged = ''] = await sealed()
  await store.set('connection/b', 'two')
  const whole = await readFile(damaged)
  for (let at = 0; at < whole.length; at++) {
    const bytes = Buffer.from(whole)
    bytes[at] = (bytes[at] as number) ^ 1
    await writeFile(damaged, bytes)
    expect(await store.get('connection/a'), `byte ${at}`).toBeUndefined()
  }
  for (const length of [0, 1, 4, 5, 20, whole.length - 1]) {
    await writeFile(damaged, whole.subarray(0, length))
    expect(await store.get('connection/a'), `cut at ${length}`).toBeUndefined()
  }
  expect(await store.keys('connection/')).toEqual(['connection/b'])
  expect(await store.get('connection/b')).toBe('two')
  await store.set('connection/a', 'anew')
  expect(await store.get('connection/a')).toBe('anew')
})

test('T37 files that change places are damaged files: no participant gets the token of another', async () => {
  const store = fileStore(folder, { key })
  await store.set('connection/a', 'of a')
  await store.set('connection/b', 'of b')
  const [one = '', two = ''] = await sealed()
  await rename(one, `${one}.x`)
  await rename(two, one)
  await rename(`${one}.x`, two)
  expect(await store.get('connection/a')).toBeUndefined()
  expect(await store.get('connection/b')).toBeUndefined()
  expect(await store.keys('')).toEqual([])
})

test('many writes of one name at the same time leave one of them, whole, and no rests', async () => {
  const store = fileStore(folder, { key })
  await Promise.all(Array.from({ length: 50 }, (_, at) => store.set('launch/x', `${at} `.repeat(1000))))
  const value = (await store.get('launch/x')) ?? ''
  expect(new Set(value.trim().split(' ')).size).toBe(1)
  expect((await files()).filter((file) => file.endsWith('.tmp'))).toEqual([])
})

test.each([
  ['', key],
  ['folder', ''],
  ['folder', 'short'],
  ['folder', undefined as unknown as string],
])('a store in %j with the key %j does not open', (where, secret) => {
  expect(() => fileStore(where, { key: secret })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
})
