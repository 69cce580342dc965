import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import type { PackageRow } from './index.js'
import { statusPage } from './page.js'
import { summaryOf } from './summary.js'
import { desks, teamKey } from './test-support/desk.js'
import { makePackage } from './test-support/make-package.js'

const open = desks()
const rowOf = (change: Partial<PackageRow> = {}): PackageRow => ({
  ...{ digest: 'd'.repeat(64), participant: 'p-1', receivedAt: '2026-03-04T10:00:00.000Z', resources: 3 },
  ...{ bytes: 1500, status: 'stored' },
  completeness: [
    { provider: 'Mercy', dataClass: 'Problems', status: 'received', count: 2 },
    { provider: 'Mercy', dataClass: 'Goals', status: 'failed', count: 0 },
  ],
  ...change,
})
const at = new Date('2026-03-20T00:00:00Z')
const pageOf = (packages: readonly PackageRow[]): Promise<string> =>
  statusPage('sleep', { packages, withdrawals: [], quarantined: [], at }).text()

test('F19 a study team sees how complete its data is, by data class and by provider, in pictures and in numbers', async () => {
  const second = [
    { provider: 'Lakeside', dataClass: 'Problems', status: 'none', count: 0 },
    { provider: 'Lakeside', dataClass: 'Goals', status: 'received', count: 1 },
  ]
  const html = await pageOf([rowOf(), rowOf({ participant: 'p-2', completeness: second })])
  for (const label of [
    'Problems: 1 received, 1 none there',
    'Goals: 1 received, 1 failed',
    'Mercy: 1 received, 1 failed',
    'Lakeside: 1 received, 1 none there',
    '2 packages in one week, at most 2 in one',
  ])
    expect(html).toContain(`role="img" aria-label="${label}"`)
  // Each picture says the same in a table.
  const [, problems = ''] = /<tr><th scope="row">Problems<\/th>(.*?)<\/tr>/s.exec(html) ?? []
  const numbers = [...problems.matchAll(/<td class="number">(?:<span class="zero">)?(\d+)/g)]
  expect(numbers.map(([, number]) => number)).toEqual(['1', '1', '0'])
  expect(html).toContain('2 stored, 0 withdrawn')
})

test('F19 a participant who shares every month counts once for each provider, as the newest package has it', () => {
  const older = [
    { provider: 'Mercy', dataClass: 'Problems', status: 'failed', count: 0 },
    { provider: 'Lakeside', dataClass: 'Problems', status: 'none', count: 0 },
  ]
  const removed = rowOf({ status: 'withdrawn', deleted: true, completeness: [], resources: 9 })
  const summary = summaryOf([rowOf(), rowOf({ completeness: older }), removed])
  expect(summary).toMatchObject({ participants: 1, stored: 2, stopped: 0, deleted: 1, resources: 6 })
  expect(summary.byClass).toEqual([
    { name: 'Problems', counts: { received: 1, none: 1 }, total: 2 },
    { name: 'Goals', counts: { failed: 1 }, total: 1 },
  ])
})

test('F19 weeks without a package are in the picture too, a year of them at most, and a week begins on Monday', () => {
  const on = (receivedAt: string) => rowOf({ receivedAt })
  const { weeks } = summaryOf([
    on('2026-03-22T23:59:59.999Z'),
    on('2026-03-02T00:00:00.000Z'),
    on('2026-03-01T23:59:59.999Z'),
    on(''),
  ])
  expect(weeks).toEqual([
    { monday: '2026-02-23', packages: 1 },
    { monday: '2026-03-02', packages: 1 },
    { monday: '2026-03-09', packages: 0 },
    { monday: '2026-03-16', packages: 1 },
  ])
  expect(summaryOf([on('2026-03-22T00:00:00Z'), on('1970-01-02T00:00:00Z')]).weeks).toHaveLength(52)
})

test('F19 the page runs no script, loads nothing, and shows what a sender wrote as text, wherever it stands', async () => {
  const desk = await open()
  const hostile = '"><script>alert(1)</script><svg onload=alert(1)>'
  const made = makePackage({ participant: hostile, provider: hostile })
  const bad = makePackage({
    participant: hostile,
    consent: { id: 'consent-2' },
    parts: { 'records/01/Condition-0001.ndjson': '{"resourceType":"Goal"}\n\n' },
  })
  const withdrawn = makePackage({ participant: hostile, consent: { id: 'consent-3' } })
  for (const one of [made, bad, withdrawn]) await desk.deliver(one)
  await desk.withdraw(withdrawn)
  const answer = await desk.call('GET', '/', undefined, teamKey)
  const html = await answer.text()
  expect(html).toContain('a part does not hold what its name and count say')
  expect(html).toContain('1 stored, 1 withdrawn')
  expect(html).not.toMatch(/<script|onload=alert\(1\)>|\sstyle=|\son\w+="|href=|src=|Canary/)
  const policy = answer.headers.get('content-security-policy') ?? ''
  const [, style = ''] = /<style>(.*)<\/style>/s.exec(html) ?? []
  expect(policy).toContain(`style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`)
  expect(policy).toContain("default-src 'none'")
})

test('a study with nothing in its inbox, or with more than a page holds, has a page all the same', async () => {
  expect(await pageOf([])).toContain('Nothing has arrived yet.')
  const many = Array.from({ length: 1234 }, (_, n) => rowOf({ participant: `p-${n}` }))
  const html = await pageOf(many)
  expect(html).toContain('The newest 200 of 1,234')
  expect(html.match(/<tr class="stored">/g)).toHaveLength(200)
  const odd = [{ provider: 'Mercy', dataClass: 'Goals', status: 'constructor', count: 1 }]
  expect(await pageOf([rowOf({ completeness: odd })])).toContain('Goals: 1 other')
})
