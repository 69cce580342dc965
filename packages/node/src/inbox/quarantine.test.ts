import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { desks } from './test-support/desk.js'
import { makePackage, sha256 } from './test-support/make-package.js'

const open = desks()
const path = 'records/01/Condition-0001.ndjson'
const wrong = (canary = 'Canary') =>
  makePackage({
    parts: { [path]: `{"resourceType":"Goal","id":"${canary}"}\n{"resourceType":"Condition"}\n` },
  })

test('F19 a package whose part is not what its name says is set aside with the reason, and read as a package nowhere', async () => {
  const desk = await open()
  const made = wrong()
  expect(await desk.deliver(made)).toMatchObject({ status: 422, body: { error: 'manifest', part: path } })
  expect(await desk.inbox.quarantined('sleep')).toEqual([
    {
      digest: made.digest,
      participant: 'p-1',
      at: expect.any(String),
      reason: 'content',
      part: path,
      bytes: Buffer.byteLength(made.parts.get('consent.json') ?? '') + Buffer.byteLength(made.bytes),
      expiresAt: expect.any(String),
    },
  ])
  expect(await desk.inbox.packages('sleep')).toEqual([])
  expect(await desk.inbox.verify(made.digest)).toMatchObject({ ok: false })
  for await (const _ of desk.inbox.stored('sleep')) expect.unreachable()
  expect([await desk.list('packages'), await desk.list('staging')]).toEqual([[], []])
  const kept = join(desk.folder, 'quarantine', 'sleep', made.digest)
  expect(await desk.list('quarantine', 'sleep', made.digest, 'parts')).toEqual([
    sha256(made.parts.get('consent.json') ?? ''),
  ])
  expect(await desk.disk()).not.toContain('Goal')
  expect(await readFile(join(kept, 'reason.json'), 'utf8')).not.toContain('Canary')
  expect(await desk.inbox.quarantined('heart')).toEqual([])
})

test.each([
  ['has expired', { consent: { expiresAt: '2020-01-01T00:00:00.000Z' } }, 'consent-expired'],
  ['is of another participant', { consent: { participant: 'p-2' } }, 'consent-other'],
  ['does not cover a data class', { consent: { dataClasses: ['Patient'] } }, 'consent-narrow'],
  ['was altered', { alteredConsent: true }, 'consent-altered'],
  ['was given tomorrow', { consent: { givenAt: '2999-01-01T00:00:00.000Z' } }, 'consent-not-yet'],
])('F5 of a package whose consent %s nothing of the record is kept, only why', async (_, wanted, reason) => {
  const desk = await open()
  const made = makePackage(wanted)
  // Sent in another order: the record is there before the consent is looked at.
  await desk.call('POST', '/packages', made.bytes)
  for (const text of [...made.parts.values()].reverse())
    await desk.call('PUT', `/packages/${made.digest}/parts/${sha256(text)}`, text)
  expect(await desk.inbox.quarantined('sleep')).toMatchObject([{ reason, part: 'consent.json' }])
  expect(await desk.list('quarantine', 'sleep', made.digest, 'parts')).toEqual([
    sha256(made.parts.get('consent.json') ?? ''),
  ])
  expect(await desk.disk()).not.toContain('"family":"Canary"')
})

test('F5 of a part that is wrong before it is beyond the consent nothing is kept either, nor of those beside it', async () => {
  const desk = await open()
  const old = '{"resourceType":"Condition","id":"c1","recordedDate":"1999-01-01","code":{"text":"Beyond"}}\n'
  const consent = { period: { start: '2020-01-01' }, withhold: ['hiv'] }
  const attempts = [
    makePackage({ consent, parts: { [path]: `{"resourceType":"Goal"}\n${old}` } }),
    makePackage({ consent, parts: { [path]: old + old, 'records/01/AllergyIntolerance-0001.ndjson': 'x' } }),
    makePackage({ consent, parts: { [path]: `garbage\n{"resourceType":"Condition","id":"HIV Beyond"}\n` } }),
  ]
  for (const made of attempts) expect((await desk.deliver(made)).status).toBe(422)
  expect(await desk.disk()).not.toContain('Beyond')
})

test('F19 what was set aside is cleared when its time is over, also by an inbox that is started anew', async () => {
  const desk = await open({ quarantineDays: 0.2 / 86_400 })
  const made = wrong()
  await desk.deliver(made)
  expect(await desk.list('quarantine', 'sleep')).toEqual([made.digest])
  await desk.stop()
  await expect
    .poll(async () => {
      const later = await open({ folder: desk.folder })
      return later.inbox.quarantined('sleep')
    })
    .toEqual([])
  expect(await desk.list('quarantine', 'sleep')).toEqual([])
})

test('F21 what was set aside counts against the quota, and gives way to a participant’s package', async () => {
  const size = Math.max(
    ...[makePackage(), wrong()].map(({ manifest, bytes }) => sizeOf(manifest) + bytes.length),
  )
  const aside = Buffer.byteLength(wrong().parts.get('consent.json') ?? '') + wrong().bytes.length
  const desk = await open({ quotaBytes: 2 * size + 1.05 * aside })
  await desk.deliver(wrong('one'))
  await desk.deliver(wrong('two'))
  expect((await desk.inbox.quarantined('sleep')).filter(({ bytes }) => bytes > 0)).toHaveLength(2)
  expect((await desk.deliver(makePackage())).status).toBe(201)
  expect((await desk.deliver(makePackage({ consent: { id: 'consent-2' } }))).status).toBe(201)
  const [newer, older] = await desk.inbox.quarantined('sleep')
  expect([newer?.bytes, older?.bytes]).toEqual([expect.any(Number), 0])
  expect(newer?.bytes).toBeGreaterThan(0)
  // Its reason stays; nothing but packages stands in the way of a package.
  expect((await desk.deliver(makePackage({ consent: { id: 'consent-3' } }))).status).toBe(507)
})

test('F17 who withdraws takes along what was set aside under the consent', async () => {
  const desk = await open()
  const made = makePackage()
  await desk.deliver(made)
  await desk.deliver(wrong())
  expect(await desk.inbox.quarantined('sleep')).toHaveLength(1)
  expect((await desk.withdraw(made)).status).toBe(200)
  expect(await desk.inbox.quarantined('sleep')).toEqual([])
  expect(await desk.disk()).not.toContain('Canary')
})

test('F21 the audit says that a package was set aside, and why, and a file that bears a name is not named', async () => {
  const desk = await open()
  const text = '{"resourceType":"Goal","id":"x"}\n'
  const file = 'records/01/attachments/Ada-Canary.pdf'
  const made = makePackage({ parts: { [file]: 'x', [path]: text } })
  await desk.deliver(made)
  const audit = await readFile(join(desk.folder, 'audit.ndjson'), 'utf8')
  expect(audit.split('\n').map((line) => (line === '' ? {} : JSON.parse(line)))).toContainEqual(
    expect.objectContaining({
      event: 'quarantined',
      study: 'sleep',
      digest: made.digest,
      reason: 'content',
    }),
  )
  expect(audit).not.toContain('Canary')
})

const sizeOf = (manifest: { readonly parts: readonly { readonly size: number }[] }): number =>
  manifest.parts.reduce((sum, part) => sum + part.size, 0)

test('F4 F5 what is dated outside the period of the consent, or has no date, is refused by the part’s name', async () => {
  const desk = await open()
  const dated = (id: string, onset?: string) =>
    `${JSON.stringify({ resourceType: 'Condition', id, ...(onset === undefined ? {} : { onsetDateTime: onset }) })}\n`
  const consent = { period: { start: '2020-01-01', end: '2020-12-31' } }
  const within = makePackage({
    consent,
    parts: { [path]: dated('a', '2020-03') + dated('b', '2020-12-31T23:00:00Z') },
  })
  expect(await desk.deliver(within)).toMatchObject({ status: 201 })
  for (const other of [dated('b', '2019-12-31'), dated('b', '2020'), dated('b', '2021-01-01'), dated('b')]) {
    const made = makePackage({ consent, parts: { [path]: dated('a', '2020-03-04') + other } })
    const stays = other === dated('b', '2020')
    expect(await desk.deliver(made), other).toMatchObject(
      stays ? { status: 201 } : { status: 422, body: { error: 'consent', part: path } },
    )
    if (stays) continue
    const [row] = (await desk.inbox.quarantined('sleep')).filter(({ digest }) => digest === made.digest)
    expect(row).toMatchObject({ reason: 'consent-narrow', part: path })
    expect(await desk.list('quarantine', 'sleep', made.digest, 'parts')).toEqual([
      sha256(made.parts.get('consent.json') ?? ''),
    ])
  }
})
