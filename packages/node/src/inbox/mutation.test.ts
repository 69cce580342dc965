import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Desk, desks, key } from './test-support/desk.js'
import { makePackage, sha256 } from './test-support/make-package.js'
import { atATime, mutationOf, randomFrom, snapshot } from './test-support/mutation.js'

const open = desks()

// As a delivery sends it: what it was when it left is said beside it.
const contentDigest = (text: string): string =>
  `sha-256=:${createHash('sha256').update(text).digest('base64')}:`
const post = (
  desk: Desk,
  body: string | Uint8Array,
  headers: Record<string, string> = {},
): Promise<Response> =>
  fetch(`${desk.url}/packages`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, ...headers },
    body: body as BodyInit,
  })

test('T76 700 packages with one byte changed on the way are refused by the name of the part, and the store is as it was', async () => {
  const desk = await open()
  await desk.deliver(makePackage())
  const before = await snapshot(join(desk.folder, 'packages'))
  const made = makePackage({ consent: { id: 'consent-2' }, attachment: 'x'.repeat(600) })
  const files = [
    { path: 'manifest.json', text: made.bytes, bytes: Buffer.from(made.bytes) },
    ...[...made.parts].map(([path, text]) => ({ path, text, bytes: Buffer.from(text) })),
  ]
  expect((await post(desk, made.bytes)).status).toBe(201)
  const random = randomFrom(20_261_125)
  const refused = new Map<string, number>()
  await atATime(4, 700, async () => {
    const { file, bytes, at } = mutationOf(files, random)
    const answer =
      file.path === 'manifest.json'
        ? await post(desk, bytes, { 'content-digest': contentDigest(file.text) })
        : await desk.call('PUT', `/packages/${made.digest}/parts/${sha256(file.text)}`, bytes)
    const said = [answer.status, await answer.json()]
    expect(said, `${file.path} at ${at}`).toEqual([422, { error: 'digest', part: file.path }])
    refused.set(file.path, (refused.get(file.path) ?? 0) + 1)
  })
  // Every part had its turn, the consent and the manifest too.
  expect([...refused.keys()].sort()).toEqual(files.map(({ path }) => path).sort())
  expect(await snapshot(join(desk.folder, 'packages'))).toEqual(before)
  expect(await desk.list('staging', made.digest, 'parts')).toEqual([])
  expect(await desk.inbox.quarantined('sleep')).toEqual([])
  // Up, and none the worse for it.
  expect((await desk.deliver(made)).status).toBe(201)
  expect((await desk.inbox.verify(made.digest)).ok).toBe(true)
  expect((await desk.inbox.verifyAudit()).ok).toBe(true)
}, 25_000)

test('T76 a changed manifest whose sender does not say what it was is refused or another package, never this one', async () => {
  const desk = await open()
  const made = makePackage()
  await desk.deliver(made)
  const before = await snapshot(join(desk.folder, 'packages'))
  const random = randomFrom(7)
  const others = new Set<string>()
  await atATime(4, 60, async () => {
    const { bytes } = mutationOf([{ bytes: Buffer.from(made.bytes) }], random)
    const answer = await post(desk, bytes)
    const body = (await answer.json()) as { digest?: string; error?: string }
    expect([201, 401, 422]).toContain(answer.status)
    if (answer.status === 201) others.add(body.digest as string)
    else expect(['manifest', 'consent', 'key']).toContain(body.error)
  })
  expect(others.has(made.digest)).toBe(false)
  expect(await snapshot(join(desk.folder, 'packages'))).toEqual(before)
  expect((await desk.inbox.verify(made.digest)).ok).toBe(true)
})
