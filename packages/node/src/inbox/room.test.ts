import { utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { desks } from './test-support/desk.js'
import { makePackage, sha256 } from './test-support/make-package.js'

const open = desks()
const packageOf = (at: number) => makePackage({ consent: { id: `consent-${at}` } })

test('F21 a manifest takes room as its parts do, of uploads, of packages and of what was set aside', async () => {
  const desk = await open({ quotaBytes: 100_000 })
  const { bytes } = makePackage()
  const large = JSON.stringify({ ...JSON.parse(bytes), pad: 'x'.repeat(200_000) })
  expect((await desk.call('POST', '/packages', large)).status).toBe(507)
  expect(await desk.list('staging')).toEqual([])
  const padded = (at: number, parts?: Record<string, string>) => {
    const made = makePackage({ consent: { id: `consent-${at}` }, ...(parts ? { parts } : {}) })
    const text = JSON.stringify({ ...JSON.parse(made.bytes), pad: 'x'.repeat(60_000) })
    return { ...made, bytes: text, digest: sha256(text) }
  }
  const [first, second] = [padded(1), padded(2)]
  expect((await desk.call('POST', '/packages', first.bytes)).status).toBe(201)
  expect((await desk.call('POST', '/packages', second.bytes)).status).toBe(507)
  expect((await desk.deliver(first)).status).toBe(201)
  expect((await desk.call('POST', '/packages', second.bytes)).status).toBe(507)
  expect((await desk.withdraw(first)).status).toBe(200)
  // What was set aside gives way, and can be withdrawn still.
  const wrong = padded(3, { 'records/01/Condition-0001.ndjson': '{"resourceType":"Goal"}\n' })
  expect((await desk.deliver(wrong)).status).toBe(422)
  expect((await desk.inbox.quarantined('sleep'))[0]?.bytes).toBeGreaterThan(60_000)
  expect((await desk.deliver(second)).status).toBe(201)
  expect(await desk.inbox.quarantined('sleep')).toMatchObject([{ digest: wrong.digest, bytes: 0 }])
  expect(await desk.list('quarantine', 'sleep', wrong.digest)).not.toContain('manifest.json')
  expect((await desk.withdraw(wrong)).status).toBe(200)
  expect(await desk.inbox.quarantined('sleep')).toEqual([])
})

test('F21 a study has only so many uploads open, says when to come again, and takes the next when one is done', async () => {
  const desk = await open({ maxOpen: 2 })
  const [one, two, three] = [packageOf(1), packageOf(2), packageOf(3)]
  for (const made of [one, two, one])
    expect((await desk.call('POST', '/packages', made.bytes)).status).toBe(201)
  const busy = await desk.call('POST', '/packages', three.bytes)
  expect([busy.status, busy.headers.get('retry-after')]).toEqual([429, '30'])
  expect(await busy.json()).toEqual({ error: 'busy' })
  expect((await desk.deliver(one)).status).toBe(201)
  expect((await desk.call('POST', '/packages', three.bytes)).status).toBe(201)
  // One that nobody went on with for an hour gives its place.
  const earlier = new Date(Date.now() - 2 * 3_600_000)
  await utimes(join(desk.folder, 'staging', two.digest, 'parts'), earlier, earlier)
  expect((await desk.deliver(packageOf(4))).status).toBe(201)
  expect(await desk.list('staging')).toEqual([three.digest])
})
