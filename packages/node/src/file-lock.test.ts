import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { fileLock } from './file-lock.js'
import { processLock } from './process-lock.js'
import { type Child, startChild } from './test-support/child.js'

const program = fileURLToPath(new URL('./test-support/lock-child.ts', import.meta.url))
const folders: string[] = []
const children: Child[] = []
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's4s-lock-'))
  folders.push(folder)
})
afterEach(() => Promise.all(children.splice(0).map((child) => child.kill())))
afterAll(() => Promise.all(folders.map((one) => rm(one, { recursive: true, force: true }))))
const start = (...parameters: string[]): Child => {
  const child = startChild(program, folder, ...parameters)
  children.push(child)
  return child
}

test.each([
  ['process', () => processLock()],
  ['file', () => fileLock(join(folder, 'locks'))],
])(
  'a %s lock lets work of one name in one at a time, in order, and passes on how it ends',
  async (_, make) => {
    const lock = make()
    const seen: string[] = []
    let inside = 0
    const work = (name: string) => async () => {
      expect(++inside).toBe(1)
      await new Promise((resolve) => setImmediate(resolve))
      seen.push(name)
      inside--
      return name
    }
    const results = await Promise.all(['a', 'b', 'c', 'd'].map((name) => lock('x', work(name))))
    expect(results).toEqual(['a', 'b', 'c', 'd'])
    expect(seen).toEqual(['a', 'b', 'c', 'd'])
    await expect(lock('x', () => Promise.reject(new Error('mine')))).rejects.toThrow('mine')
    await expect(
      lock('x', () => {
        throw new Error('at once')
      }),
    ).rejects.toThrow('at once')
    expect(await lock('x', async () => 'after')).toBe('after')
  },
)

test.each([
  ['process', () => processLock()],
  ['file', () => fileLock(join(folder, 'locks'))],
])('a %s lock of another name does not wait, also within the first', async (_, make) => {
  const lock = make()
  expect(await lock('x', () => lock('y', async () => 'both'))).toBe('both')
})

test('T38 four processes and two locks here take turns: not one count is lost', async () => {
  await writeFile(join(folder, 'counter'), '0')
  const workers = Array.from({ length: 4 }, () => start('count'))
  const here = [fileLock(join(folder, 'locks')), fileLock(join(folder, 'locks'))].map(async (lock) => {
    for (let round = 0; round < 25; round++) {
      await lock('shared', async () => {
        const count = Number(await readFile(join(folder, 'counter'), 'utf8'))
        await writeFile(join(folder, 'counter'), String(count + 1))
      })
    }
  })
  await Promise.all([...here, ...workers.map((worker) => worker.line())])
  expect(await readFile(join(folder, 'counter'), 'utf8')).toBe('150')
})

test('a lock whose holder was killed is free, and one whose holder lives is not', async () => {
  const holder = start('hold')
  expect(await holder.line()).toBe('held')
  let got = false
  const waiting = fileLock(join(folder, 'locks'))('shared', async () => {
    got = true
  })
  // A lock of another name goes through the same folder meanwhile, a good many times.
  const other = fileLock(join(folder, 'locks'))
  for (let round = 0; round < 20; round++) await other('another', async () => {})
  expect(got).toBe(false)
  await holder.kill()
  await waiting
  expect(got).toBe(true)
})

test('a lock of another machine that gave no sign of life for a minute is free', async () => {
  const lock = fileLock(join(folder, 'locks'))
  await lock('x', async () => {})
  const [file = ''] = await readdir(join(folder, 'locks'))
  const path = join(folder, 'locks', file)
  await writeFile(path, JSON.stringify({ host: 'elsewhere', pid: 1, began: '' }))
  const longAgo = new Date(Date.now() - 120_000)
  await utimes(path, longAgo, longAgo)
  expect(await lock('x', async () => 'mine')).toBe('mine')
})

test('a number that now belongs to a later process does not hold the lock', async () => {
  const lock = fileLock(join(folder, 'locks'))
  await lock('x', async () => {})
  const [file = ''] = await readdir(join(folder, 'locks'))
  const { hostname } = await import('node:os')
  const stale = { host: hostname(), pid: process.pid, began: 'another time' }
  await writeFile(join(folder, 'locks', file), JSON.stringify(stale))
  expect(await lock('x', async () => 'mine')).toBe('mine')
})

test('a lock leaves one small file behind, which goes when it was free for a day', async () => {
  const locks = join(folder, 'locks')
  for (let round = 0; round < 10; round++) await fileLock(locks)('x', async () => {})
  const left = await readdir(locks)
  expect(left).toHaveLength(1)
  const longAgo = new Date(Date.now() - 2 * 24 * 3_600_000)
  await utimes(join(locks, left[0] as string), longAgo, longAgo)
  await fileLock(locks)('y', async () => {})
  expect(await readdir(locks)).not.toContain(left[0])
})
