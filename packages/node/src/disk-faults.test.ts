import type { FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, expect, test, vi } from 'vitest'
import { fileStore } from './file-store.js'

// The disk answers as it does, but for the one operation that is chosen to fail.
const disk = vi.hoisted(() => ({ failAt: 0, done: 0, code: 'EIO' }))
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>()
  const step = (): void => {
    if (++disk.done !== disk.failAt) return
    throw Object.assign(new Error(`${disk.code}: the disk said no`), { code: disk.code })
  }
  const counted =
    <Parameters extends unknown[], Result>(work: (...given: Parameters) => Promise<Result>) =>
    async (...given: Parameters): Promise<Result> => {
      step()
      return work(...given)
    }
  const open = async (...given: Parameters<typeof real.open>): Promise<FileHandle> => {
    step()
    const handle = await real.open(...given)
    for (const name of ['writeFile', 'sync'] as const)
      Object.defineProperty(handle, name, { value: counted(handle[name].bind(handle) as never) })
    return handle
  }
  const names = ['link', 'mkdir', 'readdir', 'readFile', 'rename', 'rm', 'stat'] as const
  return { ...real, ...Object.fromEntries(names.map((name) => [name, counted(real[name] as never)])), open }
})
const { mkdtemp, readdir, rm } = await vi.importActual<typeof import('node:fs/promises')>('node:fs/promises')

const key = 'a key of thirty-two characters, at least'
const folders: string[] = []
afterEach(() => {
  disk.failAt = 0
})
afterAll(() => Promise.all(folders.map((one) => rm(one, { recursive: true, force: true }))))

test.each(['EIO', 'ENOSPC', 'EACCES'])(
  'F78 whichever operation of the disk fails with %s, a token is the old one or the new one, and no other is touched',
  { timeout: 60_000 },
  async (code) => {
    disk.code = code
    let failed = 0
    for (let at = 1; ; at++) {
      disk.failAt = 0
      const folder = await mkdtemp(join(tmpdir(), 's4s-disk-'))
      folders.push(folder)
      const before = fileStore(folder, { key: Buffer.alloc(32, 7).toString('base64') })
      await before.set('connection/a', 'old')
      await before.set('connection/b', 'other')

      const store = fileStore(folder, { key: Buffer.alloc(32, 7).toString('base64') })
      Object.assign(disk, { done: 0, failAt: at })
      const outcome = await store.set('connection/a', 'new').then(
        () => 'stored',
        () => 'refused',
      )
      const reached = disk.done >= at
      disk.failAt = 0
      if (outcome === 'refused') failed++

      const after = fileStore(folder, { key: Buffer.alloc(32, 7).toString('base64') })
      const value = await after.get('connection/a')
      expect(outcome === 'stored' ? ['new'] : ['old', 'new'], `operation ${at}`).toContain(value)
      expect(await after.get('connection/b')).toBe('other')
      expect((await after.keys('connection/')).sort()).toEqual(['connection/a', 'connection/b'])
      // The same store goes on once the disk does.
      await store.set('connection/a', 'newest')
      expect(await after.get('connection/a')).toBe('newest')
      const left = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.tmp'))
      expect(left, `operation ${at}`).toEqual([])
      if (!reached) break
    }
    expect(failed).toBeGreaterThan(5)
  },
)

test('F78 an operation that fails while a store is read is an error, and no connection that is not there', async () => {
  disk.code = 'EIO'
  const folder = await mkdtemp(join(tmpdir(), 's4s-disk-'))
  folders.push(folder)
  await fileStore(folder, { key }).set('connection/a', 'one')
  const store = fileStore(folder, { key })
  await store.get('connection/a')
  for (const read of [() => store.get('connection/a'), () => store.keys('connection/')]) {
    Object.assign(disk, { done: 0, failAt: 1 })
    await expect(read()).rejects.toMatchObject({ code: 'EIO' })
    disk.failAt = 0
    expect(await store.get('connection/a')).toBe('one')
  }
})
