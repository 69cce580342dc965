import { createHash } from 'node:crypto'
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type PublicKey, verifyReceipt } from '@s4s/core'
import { expect, test } from 'vitest'
import { createStudyKeys } from './index.js'
import { desks, key } from './test-support/desk.js'
import { type Made, makePackage, sha256 } from './test-support/make-package.js'

const open = desks()
const keys = await createStudyKeys()
const { receiptKeys } = keys.study

const partsOf = ({ manifest }: Made) => manifest.parts.map(({ sha256, size }) => ({ sha256, size }))
const linesOf = (made: Made): string =>
  partsOf(made)
    .map((part) => `${part.sha256} ${part.size}\n`)
    .sort()
    .join('')
const removedOf = (made: Made) => ({
  digest: made.digest,
  parts: made.parts.size,
  bytes: partsOf(made).reduce((sum, { size }) => sum + size, 0),
  partsDigest: createHash('sha256').update(linesOf(made)).digest('hex'),
})

test('F17 who withdraws one package of a consent has all of them deleted, and is told which, signed', async () => {
  const desk = await open({ study: keys.inbox })
  const [one, two, three] = ['p1', 'p2', 'p3'].map((patient) => makePackage({ patient })) as [
    Made,
    Made,
    Made,
  ]
  const other = makePackage({ consent: { id: 'consent-2' } })
  for (const made of [one, two, three, other]) expect((await desk.deliver(made)).status).toBe(201)

  const { status, body } = await desk.withdraw(two)
  expect(status).toBe(200)
  expect(body).toMatchObject({ digest: two.digest, deleted: true })
  const removed = body.removed as { digest: string }[]
  expect(removed[0]).toEqual(removedOf(two))
  expect(new Map(removed.map((row) => [row.digest, row]))).toEqual(
    new Map([one, two, three].map((made) => [made.digest, removedOf(made)])),
  )
  await verifyReceipt(body, receiptKeys as readonly PublicKey[])
  await expect(verifyReceipt({ ...body, removed: [] } as never, receiptKeys)).rejects.toMatchObject({
    code: 'SHARE_RECEIPT_INVALID',
  })
  expect(await desk.list('packages', 'sleep')).toEqual([other.digest])

  // Each of the others says so for itself, and the same notice has the same answer.
  const again = await desk.withdraw(one)
  expect(again.body).toMatchObject({ digest: one.digest, deleted: true, removed: [removedOf(one)] })
  await verifyReceipt(again.body, receiptKeys)
  expect((await desk.withdraw(two)).body).toEqual(body)
  for (const made of [one, two, three, makePackage({ patient: 'p4' })])
    expect(await desk.deliver(made)).toMatchObject({ status: 409, body: { error: 'withdrawn' } })
})

test('F17 a study can show years later what it removed, file by file, and holds nothing of the record', async () => {
  const desk = await open({ study: keys.inbox })
  const made = makePackage()
  await desk.deliver(made)
  expect(await desk.inbox.deletion('sleep', made.digest)).toBeUndefined()
  const { body } = await desk.withdraw(made)
  await desk.stop()
  const later = await open({ folder: desk.folder, study: keys.inbox })
  const proof = await later.inbox.deletion('sleep', made.digest)
  expect(proof).toMatchObject({ digest: made.digest, consent: 'consent-1', at: body.at, receipt: body })
  expect(proof?.parts).toEqual(partsOf(made))
  expect(await later.inbox.withdrawals('sleep')).toMatchObject([
    { digest: made.digest, deleted: true, removed: { parts: made.parts.size, bytes: expect.any(Number) } },
  ])
  const disk = await later.disk()
  for (const word of ['Canary', 'Condition', 'Problems', 'Mercy']) expect(disk).not.toContain(word)
  expect(await later.inbox.deletion('heart', made.digest)).toBeUndefined()
  expect(await later.inbox.deletion('sleep', '../x')).toBeUndefined()
})

test('F17 to stop covers every package of the consent as well, keeps them, and to delete may follow', async () => {
  const desk = await open()
  const [one, two] = [makePackage(), makePackage({ patient: 'p2' })]
  for (const made of [one, two]) await desk.deliver(made)
  const stopped = await desk.withdraw(one, { ask: 'stop' })
  expect(stopped.body).toMatchObject({ deleted: false })
  expect(stopped.body).not.toHaveProperty('removed')
  expect(await desk.inbox.packages('sleep')).toMatchObject([
    { status: 'withdrawn', deleted: false },
    { status: 'withdrawn', deleted: false },
  ])
  const deleted = await desk.withdraw(two)
  expect((deleted.body.removed as { digest: string }[]).map(({ digest }) => digest).sort()).toEqual(
    [one.digest, two.digest].sort(),
  )
  expect(await desk.list('packages', 'sleep')).toEqual([])
  expect((await desk.withdraw(one)).body.deleted).toBe(true)
})

test('F17 a consent of the same name with another key is another’s: nothing of it is touched or kept out', async () => {
  const desk = await open()
  const victim = makePackage()
  const mallory = makePackage({
    consent: { withdrawalCommitment: sha256('mallory') },
    commitment: sha256('mallory'),
    patient: 'm1',
  })
  for (const made of [victim, mallory]) expect((await desk.deliver(made)).status).toBe(201)
  expect((await desk.withdraw(mallory, { key: 'mallory' })).body.removed).toHaveLength(1)
  expect(await desk.list('packages', 'sleep')).toEqual([victim.digest])
  expect((await desk.deliver(makePackage({ patient: 'p2' }))).status).toBe(201)
})

test('F17 a withdrawal that was cut off between two packages is finished by the same notice', async () => {
  const desk = await open()
  const [one, two] = [makePackage(), makePackage({ patient: 'p2' })]
  for (const made of [one, two]) await desk.deliver(made)
  await cp(join(desk.folder, 'packages'), `${desk.folder}-aside`, {
    recursive: true,
  })
  await desk.withdraw(one)
  // As after a kill when the other was removed, and the one that was asked about was not yet.
  await rm(join(desk.folder, 'withdrawn', 'sleep', `${one.digest}.json`))
  await cp(`${desk.folder}-aside`, join(desk.folder, 'packages'), { recursive: true })
  await rm(`${desk.folder}-aside`, { recursive: true })
  const later = await open({ folder: desk.folder })
  await later.inbox.packages('sleep')
  expect(await later.list('packages', 'sleep')).toEqual([one.digest])
  const { body } = await later.withdraw(one)
  expect((body.removed as { digest: string }[]).map(({ digest }) => digest).sort()).toEqual(
    [one.digest, two.digest].sort(),
  )
  expect(await later.list('packages', 'sleep')).toEqual([])
})

test('F17 a package that the disk has damaged is withdrawn too, and the proof says what was there', async () => {
  const desk = await open()
  const made = makePackage()
  await desk.deliver(made)
  const file = join(desk.folder, 'packages', 'sleep', made.digest, 'manifest.json')
  const manifest = JSON.parse(await readFile(file, 'utf8'))
  await writeFile(file, JSON.stringify({ ...manifest, parts: 'damaged' }))
  const { status, body } = await desk.withdraw(made)
  expect([status, body.deleted]).toEqual([200, true])
  const proof = await desk.inbox.deletion('sleep', made.digest)
  const digests = proof?.parts.map((part) => part.sha256)
  for (const { sha256 } of partsOf(made)) expect(digests).toContain(sha256)
  expect(await desk.list('packages', 'sleep')).toEqual([])
})

test('F17 what was only set aside can be withdrawn, and a withdrawal over HTTP needs the study key as well', async () => {
  const desk = await open()
  const made = makePackage({ parts: { 'records/01/Condition-0001.ndjson': '{"resourceType":"Goal"}\n\n' } })
  expect((await desk.deliver(made)).status).toBe(422)
  expect((await desk.withdraw(made, { key: 'x' })).status).toBe(403)
  expect((await desk.call('POST', '/withdrawals', '{}', `${key}x`)).status).toBe(401)
  expect(await desk.withdraw(made)).toMatchObject({ status: 200, body: { deleted: true, removed: [] } })
  expect(await desk.inbox.quarantined('sleep')).toEqual([])
})
