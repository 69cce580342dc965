import { expect, test, vi } from 'vitest'
import { freshBrowser, lockManager } from '../test-support/browser.js'
import { browserLock } from './lock.js'

freshBrowser()

const provide = (locks: unknown): void => {
  Object.defineProperty(navigator, 'locks', { value: locks, configurable: true })
}

const refusing = {
  request: () => Promise.reject(new DOMException('not here', 'SecurityError')),
}

test.each<[string, () => unknown]>([
  ['with Web Locks', () => lockManager()],
  ['without Web Locks', () => undefined],
  ['where Web Locks are refused', () => refusing],
])('work of one name runs one at a time, of another beside it, %s', async (_, locks) => {
  provide(locks())
  const lock = browserLock()
  const order: string[] = []
  let release = (): void => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const first = lock('a', async () => {
    order.push('a1 begins')
    await held
    order.push('a1 ends')
    return 1
  })
  const second = lock('a', async () => {
    order.push('a2')
    return 2
  })
  await lock('b', async () => void order.push('b'))
  release()
  expect(await Promise.all([first, second])).toEqual([1, 2])
  expect(order).toEqual(['a1 begins', 'b', 'a1 ends', 'a2'])
})

test.each<[string, () => unknown]>([
  ['with Web Locks', () => lockManager()],
  ['without', () => undefined],
])('work that fails is told to its caller, runs once and frees the name, %s', async (_, locks) => {
  provide(locks())
  const lock = browserLock()
  const work = vi.fn(async () => {
    throw new Error('mine')
  })
  await expect(lock('a', work)).rejects.toThrow('mine')
  expect(work).toHaveBeenCalledTimes(1)
  expect(await lock('a', async () => 'next')).toBe('next')
})

test('names on the origin are marked as ours', async () => {
  const locks = lockManager()
  provide(locks)
  await browserLock()('launch/x', async () => {})
  expect(locks.names).toEqual(['s4s:launch/x'])
})
