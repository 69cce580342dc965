import { afterEach, describe, expect, test, vi } from 'vitest'
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

describe('F84 tabs of a browser without Web Locks', () => {
  afterEach(() => vi.useRealTimers())
  const noLocks = (): void => {
    provide(undefined)
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'] })
  }
  /** Work that holds the lock until it is let go. */
  const holding = (lock: ReturnType<typeof browserLock>) => {
    let release = (): void => {}
    let begin = (): void => {}
    const begun = new Promise<void>((resolve) => {
      begin = resolve
    })
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    const done = lock('a', async () => {
      begin()
      await released
      return 'held'
    })
    return { begun, release, done }
  }
  const settled = () => new Promise((resolve) => setTimeout(resolve, 60))

  test('work one at a time', async () => {
    noLocks()
    let inside = 0
    let most = 0
    const tabs = Array.from({ length: 6 }, () => browserLock())
    const results = await Promise.all(
      tabs.map((lock, index) =>
        lock('a', async () => {
          most = Math.max(most, ++inside)
          await new Promise((resolve) => setTimeout(resolve, 5))
          inside--
          return index
        }),
      ),
    )
    expect(results).toEqual([0, 1, 2, 3, 4, 5])
    expect(most).toBe(1)
  })

  test('F83 a lease is renewed for as long as its work goes on', async () => {
    noLocks()
    const first = holding(browserLock())
    await first.begun
    const order: string[] = []
    const second = browserLock()('a', async () => void order.push('second'))
    for (let seconds = 0; seconds < 60; seconds += 4) {
      vi.advanceTimersByTime(4000)
      await settled()
    }
    expect(order).toEqual([])
    first.release()
    expect(await first.done).toBe('held')
    await second
    expect(order).toEqual(['second'])
  })

  test('F83 a tab that has crashed holds up the others for a while only', async () => {
    noLocks()
    const crashed = holding(browserLock())
    await crashed.begun
    vi.clearAllTimers()
    const next = browserLock()('a', async () => 'next')
    vi.setSystemTime(Date.now() + 16_000)
    expect(await next).toBe('next')
  })

  test('F83 F80 a tab that wakes after its lease was taken does not think that it holds it', async () => {
    noLocks()
    const late = holding(browserLock())
    await late.begun
    vi.setSystemTime(Date.now() + 16_000)
    const next = holding(browserLock())
    await next.begun
    const refused = expect(late.done).rejects.toMatchObject({
      code: 'AUTHORIZATION_INTERRUPTED',
      remedy: 'retry',
    })
    late.release()
    await refused
    // Nor does it end the lease of the other.
    const order: string[] = []
    const third = browserLock()('a', async () => void order.push('third'))
    await settled()
    expect(order).toEqual([])
    next.release()
    expect(await next.done).toBe('held')
    await third
  })

  test('F83 a lease that was made before the clock was set back is over', async () => {
    noLocks()
    const before = holding(browserLock())
    await before.begun
    vi.setSystemTime(Date.now() - 3_600_000)
    expect(await browserLock()('a', async () => 'next')).toBe('next')
  })

  test('F71 without IndexedDB too, work of one page still runs one at a time', async () => {
    noLocks()
    vi.stubGlobal('indexedDB', undefined)
    const lock = browserLock()
    const order: number[] = []
    await Promise.all([3, 1, 2].map((delay) => lock('a', async () => void order.push(delay))))
    expect(order).toEqual([3, 1, 2])
  })
})
