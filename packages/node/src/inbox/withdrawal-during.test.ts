import { expect, test } from 'vitest'
import { desks } from './test-support/desk.js'
import { type Made, makePackage, sha256 } from './test-support/make-package.js'

const open = desks()
type Desk = Awaited<ReturnType<typeof open>>

const bring = async (desk: Desk, made: Made): Promise<void> => {
  expect((await desk.call('POST', '/packages', made.bytes)).status).toBe(201)
  for (const text of made.parts.values())
    expect((await desk.call('PUT', `/packages/${made.digest}/parts/${sha256(text)}`, text)).status).toBe(204)
}
const complete = async (desk: Desk, { digest }: Made) => {
  const answer = await desk.call('POST', `/packages/${digest}/complete`)
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
}

test.each(['delete', 'stop'])(
  'F17 who withdraws (%s) while a package is on its way is heard, and the package is not stored afterwards',
  async (ask) => {
    const desk = await open()
    const made = makePackage()
    await bring(desk, made)
    expect((await desk.withdraw(made, { key: 'x', ask })).status).toBe(403)
    expect((await desk.withdraw(made, { consent: 'consent-x', ask })).status).toBe(403)
    const answer = await desk.withdraw(made, { ask })
    expect(answer).toMatchObject({ status: 200, body: { digest: made.digest, deleted: ask === 'delete' } })
    expect(await desk.list('staging')).toEqual([])
    expect(await complete(desk, made)).toMatchObject({ status: 409, body: { error: 'withdrawn' } })
    expect(await desk.deliver(made)).toMatchObject({ status: 409, body: { error: 'withdrawn' } })
    // Neither is another package under this consent.
    expect((await desk.deliver(makePackage({ patient: 'p9' }))).status).toBe(409)
    expect(await desk.list('packages', 'sleep')).toEqual([])
    expect(await desk.disk()).not.toContain('Canary')
    expect((await desk.withdraw(made, { ask })).body).toEqual(answer.body)
    expect(await desk.inbox.withdrawals('sleep')).toMatchObject([{ digest: made.digest }])
  },
)

test('F17 a package of which only the manifest has come is withdrawn too, and one that nobody knows is unknown', async () => {
  const desk = await open()
  const [made, other] = [makePackage(), makePackage({ consent: { id: 'consent-2' } })]
  await desk.call('POST', '/packages', made.bytes)
  expect(await desk.withdraw(other)).toMatchObject({ status: 404, body: { error: 'unknown' } })
  expect((await desk.withdraw(made)).body).toMatchObject({ deleted: true, removed: [] })
  expect((await desk.deliver(other)).status).toBe(201)
})

test('F17 a package that is completed in the moment of its withdrawal is never stored and not withdrawn', async () => {
  const desk = await open()
  for (let round = 0; round < 50; round++) {
    const made = makePackage({ consent: { id: `consent-${round}` } })
    await bring(desk, made)
    // Now the one is first, now the other.
    const both =
      round % 2 === 0
        ? [complete(desk, made), desk.withdraw(made)]
        : [desk.withdraw(made), complete(desk, made)].reverse()
    const [done, withdrawn] = await Promise.all(both)
    expect(withdrawn?.status).toBe(200)
    expect([201, 409]).toContain(done?.status)
    expect([await desk.list('packages', 'sleep'), await desk.list('staging')]).toEqual([[], []])
  }
  const rows = await desk.inbox.packages('sleep')
  expect(rows).toHaveLength(50)
  expect(rows.every(({ status, deleted }) => status === 'withdrawn' && deleted === true)).toBe(true)
}, 60_000)

test('F17 a package that is opened in the moment of its withdrawal leaves nothing behind', async () => {
  const desk = await open()
  for (let round = 0; round < 30; round++) {
    const consent = { id: `consent-${round}` }
    const [made, late] = [makePackage({ consent }), makePackage({ consent, patient: 'late' })]
    await bring(desk, made)
    const [withdrawn, opened] = await Promise.all([
      desk.withdraw(made),
      desk.call('POST', '/packages', late.bytes),
    ])
    expect(withdrawn.status).toBe(200)
    expect([201, 409]).toContain(opened.status)
    expect(await desk.list('staging')).toEqual([])
  }
}, 60_000)
