import assert from 'node:assert/strict'
import { test } from 'node:test'
import { idsOf, testsIn } from './titles.mjs'

test('ids, ranges and several of them in a title', () => {
  assert.deepEqual(idsOf('G-01 to G-03 C-09 T1 F39 the rest'), ['G-01', 'G-02', 'G-03', 'C-09', 'T1', 'F39'])
  assert.deepEqual(idsOf('KF-05 two tabs, US-01x and SHA-256'), ['KF-05'])
})

test('a test that does not run proves nothing', () => {
  const code = `
    // test('A-01 a comment', () => {})
    test.skip('A-02 skipped', () => {})
    test.todo('A-03 to be written')
    describe.skip('A-04', () => { test('A-05 inside', () => {}) })
    const text = "test('A-06 a string')"
    test('A-07 this one', () => {})
    test.each([1])('A-08 and %i', () => {})
    test.skipIf(no)('A-10 where it can', () => {})
    describe('A-09 around', () => { it(\`x \${1}\`, () => {}) })`
  assert.deepEqual(
    testsIn(code).flatMap(({ ids }) => ids),
    ['A-07', 'A-08', 'A-10', 'A-09'],
  )
})
