import { expect, test } from 'vitest'
import type { PackageRow } from './rows.js'
import { summaryOf } from './summary.js'

const row = (
  participant: string,
  completeness: PackageRow['completeness'],
  receivedAt = '2026-11-02T10:00:00.000Z',
) =>
  ({
    digest: participant,
    participant,
    receivedAt,
    resources: 1,
    bytes: 1,
    status: 'stored',
    completeness,
  }) as PackageRow

test('F19 a study team sees how complete packages are by EHR product, and what nobody knows the product of', () => {
  const { byVendor } = summaryOf([
    row('a', [
      { provider: 'Mercy', vendor: 'epic', dataClass: 'Laboratory', status: 'received', count: 3 },
      { provider: 'Mercy', vendor: 'epic', dataClass: 'Problems', status: 'refused', count: 0 },
    ]),
    row('b', [
      { provider: 'Lakeside', vendor: 'epic', dataClass: 'Laboratory', status: 'received', count: 1 },
      { provider: 'Corner', dataClass: 'Laboratory', status: 'failed', count: 0 },
    ]),
  ])
  expect(byVendor).toEqual([
    { name: 'epic', counts: { received: 2, refused: 1 }, total: 3 },
    { name: 'not known', counts: { failed: 1 }, total: 1 },
  ])
})

test('F19 a participant who shares every month counts with what is newest', () => {
  const of = (status: string) => [
    { provider: 'Mercy', vendor: 'epic', dataClass: 'Laboratory', status, count: 1 },
  ]
  const { byVendor, participants } = summaryOf([
    row('a', of('received'), '2026-11-20T10:00:00.000Z'),
    row('a', of('failed'), '2026-10-20T10:00:00.000Z'),
  ])
  expect([participants, byVendor]).toEqual([1, [{ name: 'epic', counts: { received: 1 }, total: 1 }]])
})
