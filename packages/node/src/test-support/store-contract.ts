import type { Store } from '@s4s/core'
import { describe, expect, test } from 'vitest'

/** What every store must do, whatever it keeps its values in. `open` gives an empty one. */
export function storeContract(name: string, open: () => Promise<Store>): void {
  describe(`the contract of a store: ${name}`, () => {
    test('what was set is had again, and nothing else', async () => {
      const store = await open()
      expect(await store.get('connection/a')).toBeUndefined()
      await store.set('connection/a', 'one')
      expect(await store.get('connection/a')).toBe('one')
      expect(await store.get('connection/b')).toBeUndefined()
      expect(await store.get('connection/')).toBeUndefined()
    })

    test('a second set replaces the first', async () => {
      const store = await open()
      await store.set('k', 'one')
      await store.set('k', 'two')
      expect(await store.get('k')).toBe('two')
      expect(await store.keys('')).toEqual(['k'])
    })

    test('what was deleted is gone, also from the keys; deleting it again is no error', async () => {
      const store = await open()
      await store.set('k', 'one')
      await store.delete('k')
      await store.delete('k')
      expect(await store.get('k')).toBeUndefined()
      expect(await store.keys('')).toEqual([])
    })

    test('keys are found by how they begin, character by character', async () => {
      const store = await open()
      for (const key of ['launch/a', 'launch/b', 'launchpad', 'Launch/c', 'connection/launch/a'])
        await store.set(key, key)
      expect((await store.keys('launch/')).sort()).toEqual(['launch/a', 'launch/b'])
      expect((await store.keys('launch')).sort()).toEqual(['launch/a', 'launch/b', 'launchpad'])
      expect(await store.keys('nothing')).toEqual([])
      expect((await store.keys('')).length).toBe(5)
    })

    test.each([
      ['a path', '../../etc/passwd'],
      ['an absolute path', '/etc/passwd'],
      ['a prototype', '__proto__'],
      ['nothing', ''],
      ['a long one', 'k'.repeat(5_000)],
      ['other scripts', 'Ærøskøbing/日本/🏥'],
      ['control characters', 'a\u0000b\nc'],
    ])('any string is a key: %s', async (_, key) => {
      const store = await open()
      await store.set(key, 'value')
      expect(await store.get(key)).toBe('value')
      expect(await store.keys('')).toEqual([key])
      await store.delete(key)
      expect(await store.get(key)).toBeUndefined()
    })

    test.each([
      ['empty', ''],
      ['large', 'x'.repeat(300_000)],
      ['of any script', '{"name":"Zoë 🏥"}\u0000\n'],
    ])('any string is a value: %s', async (_, value) => {
      const store = await open()
      await store.set('k', value)
      expect(await store.get('k')).toBe(value)
    })

    test('of many who write at once one is had, whole', async () => {
      const store = await open()
      const values = Array.from({ length: 20 }, (_, n) => String(n).repeat(1_000))
      await Promise.all(values.map((value) => store.set('k', value)))
      expect(values).toContain(await store.get('k'))
      expect(await store.keys('')).toEqual(['k'])
    })
  })
}
