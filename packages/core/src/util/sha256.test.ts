import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ambientCrypto } from '../ambient.js'
import { sha256 } from './bytes.js'
import { sha256Now } from './sha256.js'

test('the synchronous digest equals the one of Web Crypto for any text', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 300 }), async (text) => {
      expect(sha256Now(text)).toBe(await sha256(ambientCrypto, text))
    }),
    { numRuns: 300 },
  )
})

test('the synchronous digest is right at every length around the block size', async () => {
  for (let length = 0; length <= 130; length++) {
    const text = 'é'.repeat(length % 2) + 'a'.repeat(length)
    expect(sha256Now(text)).toBe(await sha256(ambientCrypto, text))
  }
})
