import { expect, test } from 'vitest'
import { bucketOf, createLimit, publicOnly } from './limit.js'

test('so many at once, then one after another as time goes; what costs more waits longer', () => {
  let now = 1000
  const limit = createLimit(60, { now: () => now })
  for (let n = 0; n < 60; n++) expect(limit.take('a')).toBeUndefined()
  expect(limit.take('a')).toBe(1)
  expect(limit.take('a', 10)).toBe(10)
  expect(limit.take('b', 60)).toBeUndefined()
  now += 10_000
  expect(limit.take('a', 10)).toBeUndefined()
  expect(limit.take('a')).toBe(1)
  // A clock that was set back is no way around it, and locks nobody out.
  now -= 3_600_000
  expect(limit.take('a')).toBe(1)
  now += 1000
  expect(limit.take('a')).toBeUndefined()
})

test('a day of rest gives no more than what may come at once', () => {
  let now = 0
  const limit = createLimit(10, { now: () => now })
  expect(limit.take('a', 10)).toBeUndefined()
  now += 86_400_000
  expect(limit.take('a', 10)).toBeUndefined()
  expect(limit.take('a')).toBe(6)
})

test('those who ask from everywhere fill no memory, and push out who asks often least of all', () => {
  const limit = createLimit(10, { now: () => 0 })
  expect(limit.take('busy', 10)).toBeUndefined()
  for (let n = 0; n < 30_000; n++) {
    limit.take(`stranger ${n}`)
    if (n % 5000 === 0) expect(limit.take('busy')).toBe(6)
  }
  expect(limit.take('busy')).toBe(6)
})

test('an address counts however it is written, a network of IPv6 as one', () => {
  for (const spelling of ['2001:db8::1', '2001:DB8:0:0:0:0:0:2', '2001:0db8::', '2001:db8::9%eth0'])
    expect(bucketOf(spelling)).toBe('2001:db8:0:0')
  expect(bucketOf('2001:db8:0:1::1')).toBe('2001:db8:0:1')
  expect(bucketOf('::ffff:203.0.114.7')).toBe('203.0.114.7')
  expect(bucketOf('203.0.114.7')).toBe('203.0.114.7')
  expect(bucketOf('whatever a proxy says')).toBe('whatever a proxy says')
})

test('what comes through a proxy in a private network is not counted as one address', () => {
  for (const address of ['127.0.0.1', '::1', '10.1.2.3', '::ffff:192.168.1.1', 'fd00::1', undefined])
    expect(publicOnly(address)).toBeUndefined()
  expect(publicOnly('8.8.8.8')).toBe('8.8.8.8')
  expect(publicOnly('::ffff:8.8.8.8')).toBe('::ffff:8.8.8.8')
})
