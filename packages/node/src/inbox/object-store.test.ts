import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { folderObjects, type ObjectStore, s3Objects } from './index.js'
import { type Bucket, startBucket } from './test-support/bucket.js'
import { desks } from './test-support/desk.js'
import { makePackage, sha256 } from './test-support/make-package.js'

const open = desks()
let bucket: Bucket
let folder: string
let prefixes = 0
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 's4s-objects-'))
  bucket = await startBucket()
})
afterAll(async () => {
  await bucket.stop()
  await rm(folder, { recursive: true, force: true })
})

const stores: [string, () => ObjectStore][] = [
  ['a folder', () => folderObjects(join(folder, `store-${++prefixes}`))],
  ['a bucket', () => s3Objects(bucket.client, { bucket: bucket.bucket, prefix: `inbox/${++prefixes}/` })],
]
const fileOf = async (bytes: Uint8Array | string) => {
  const path = join(folder, randomBytes(8).toString('hex'))
  await writeFile(path, bytes)
  return { path, size: Buffer.byteLength(bytes), sha256: sha256(bytes) }
}
const textAt = async (store: ObjectStore, key: string): Promise<string> => {
  const chunks: Uint8Array[] = []
  for await (const chunk of store.read(key)) chunks.push(chunk)
  return Buffer.concat(chunks).toString('latin1')
}
const keysOf = async (store: ObjectStore, prefix = ''): Promise<string[]> => {
  const keys: string[] = []
  for await (const { key } of store.list(prefix)) keys.push(key)
  return keys.sort()
}
// Everything on both disks, to find what should be gone.
const disksHold = async (text: string): Promise<boolean> => {
  for (const top of [folder, bucket.folder])
    for (const entry of await readdir(top, { recursive: true, withFileTypes: true }))
      if (entry.isFile() && (await readFile(join(entry.parentPath, entry.name), 'latin1')).includes(text))
        return true
  return false
}

describe.each(stores)('%s', (_, make) => {
  test('what is put under a key is read as it was, replaced whole, listed by its beginning, and gone when removed', async () => {
    const store = make()
    const large = randomBytes(3_000_000)
    await store.put('sleep/aa/records/01/a.ndjson', await fileOf(large))
    await store.put('sleep/aa/consent.json', await fileOf('{}'))
    await store.put('sleep/ab/consent.json', await fileOf('other'))
    expect(await textAt(store, 'sleep/aa/records/01/a.ndjson')).toBe(large.toString('latin1'))
    await store.put('sleep/ab/consent.json', await fileOf('newer'))
    expect(await textAt(store, 'sleep/ab/consent.json')).toBe('newer')
    expect(await keysOf(store, 'sleep/aa/')).toEqual([
      'sleep/aa/consent.json',
      'sleep/aa/records/01/a.ndjson',
    ])
    expect(await keysOf(store)).toHaveLength(3)
    expect(await keysOf(store, 'heart/')).toEqual([])
    for await (const { size, changedAt } of store.list('sleep/ab/')) {
      expect(size).toBe(5)
      expect(Math.abs(Date.now() - changedAt)).toBeLessThan(60_000)
    }
    await store.remove(['sleep/aa/consent.json', 'sleep/aa/records/01/a.ndjson', 'sleep/zz/nothing'])
    expect(await keysOf(store)).toEqual(['sleep/ab/consent.json'])
    await expect(textAt(store, 'sleep/aa/consent.json')).rejects.toThrow()
  })

  test('F21 an inbox keeps the files of its packages there: verified, read and withdrawn as in its own folder', async () => {
    const parts = make()
    const desk = await open({ parts })
    const canary = `canary-${prefixes}`
    const made = makePackage({ attachment: canary })
    const other = makePackage({ consent: { id: 'consent-2' } })
    for (const one of [made, other]) expect((await desk.deliver(one)).status).toBe(201)
    expect((await desk.deliver(made)).status).toBe(200)
    expect(await desk.list('packages', 'sleep', made.digest)).toEqual(['manifest.json', 'receipt.json'])
    expect(await desk.disk()).not.toContain('Canary')
    expect(await keysOf(parts, `sleep/${made.digest}/`)).toEqual(
      [...made.parts.keys()].map((path) => `sleep/${made.digest}/${path}`).sort(),
    )
    expect(await desk.inbox.verify(made.digest)).toEqual({ ok: true, faults: [] })
    for await (const pack of desk.inbox.stored('sleep'))
      for (const { path } of pack.manifest.parts) {
        let text = ''
        for await (const chunk of pack.read(path)) text += Buffer.from(chunk).toString('utf8')
        expect(text).toBe((pack.digest === made.digest ? made : other).parts.get(path))
      }
    expect(await disksHold(canary)).toBe(true)
    const { body } = await desk.withdraw(made)
    expect(body).toMatchObject({ deleted: true, removed: [{ digest: made.digest, parts: made.parts.size }] })
    expect(await keysOf(parts, `sleep/${made.digest}/`)).toEqual([])
    expect(await disksHold(canary)).toBe(false)
    expect((await desk.inbox.verify(other.digest)).ok).toBe(true)
  })

  test('F21 a file that was changed or lost there is found by verify, and ends the reading', async () => {
    const parts = make()
    const desk = await open({ parts })
    const made = makePackage()
    await desk.deliver(made)
    const [one, two] = ['records/01/Condition-0001.ndjson', 'records/01/Patient-0001.ndjson']
    await parts.put(`sleep/${made.digest}/${one}`, await fileOf('{"resourceType":"Condition"}\n'))
    await parts.remove([`sleep/${made.digest}/${two}`])
    expect((await desk.inbox.verify(made.digest)).faults).toEqual([
      { path: one, fault: 'digest' },
      { path: two, fault: 'missing' },
    ])
    for await (const pack of desk.inbox.stored('sleep'))
      for (const path of [one, two])
        await expect(async () => {
          for await (const _ of pack.read(path as string));
        }).rejects.toThrow()
    expect((await desk.withdraw(made)).body.deleted).toBe(true)
    expect(await keysOf(parts)).toEqual([])
  })

  test('F21 a store that fails keeps nothing by halves: the sender tries again, and who withdraws is told nothing untrue', async () => {
    const parts = make()
    let away = true
    const failing: ObjectStore = {
      ...parts,
      put: (key, file) =>
        away && key.endsWith('Patient-0001.ndjson')
          ? Promise.reject(new Error('away'))
          : parts.put(key, file),
      remove: (keys) => (away ? Promise.reject(new Error('away')) : parts.remove(keys)),
    }
    const desk = await open({ parts: failing })
    const made = makePackage()
    expect((await desk.deliver(made)).status).toBe(500)
    expect(await desk.inbox.packages('sleep')).toEqual([])
    away = false
    expect((await desk.deliver(made)).status).toBe(201)
    expect((await desk.inbox.verify(made.digest)).ok).toBe(true)
    away = true
    expect((await desk.withdraw(made)).status).toBe(500)
    await desk.stop()
    // What could not be removed is removed at the next start, and the notice that is sent again is answered.
    away = false
    const next = await open({ parts: failing, folder: desk.folder })
    await next.inbox.packages('sleep')
    expect(await keysOf(parts)).toEqual([])
    expect((await next.withdraw(made)).body.deleted).toBe(true)
  })
})

test('F21 what a killed process had brought of a package that never came is gone a day later, and nothing else is', async () => {
  const top = join(folder, 'swept')
  const parts = folderObjects(top)
  const desk = await open({ parts })
  const made = makePackage()
  await desk.deliver(made)
  await desk.stop()
  const [old, young] = [`sleep/${sha256('old')}/consent.json`, `sleep/${sha256('young')}/consent.json`]
  for (const key of [old, young]) await parts.put(key, await fileOf('{}'))
  const before = new Date(Date.now() - 25 * 3_600_000)
  const held = `sleep/${made.digest}/consent.json`
  for (const key of [old, held]) await utimes(join(top, key), before, before)
  const next = await open({ parts, folder: desk.folder })
  await next.inbox.packages('sleep')
  await expect.poll(() => keysOf(parts, `sleep/${sha256('old')}`)).toEqual([])
  expect(await keysOf(parts, young)).toEqual([young])
  expect(await next.inbox.verify(made.digest)).toEqual({ ok: true, faults: [] })
})

test('a bucket without a name, or a prefix that is no path, is refused when it is made', () => {
  for (const options of [{ bucket: '' }, { bucket: 'b', prefix: 'inbox' }, { bucket: 'b', prefix: 'a b/' }])
    expect(() => s3Objects(bucket.client, options)).toThrow(TypeError)
})
