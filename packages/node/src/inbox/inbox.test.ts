import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { type Served, serve } from '../serve.js'
import { createInbox, type Inbox, type InboxOptions } from './index.js'
import { type Made, makePackage, sha256 } from './test-support/make-package.js'

const key = 'study-key-sleep'
const teamKey = 'team-key-sleep'
const studies = [
  { id: 'sleep', key, teamKey },
  { id: 'heart', key: 'study-key-heart', teamKey: 'team-key-heart' },
]

let folder: string
let inbox: Inbox
let served: Served
let url: string
const opened: Served[] = []

const start = async (options: Partial<InboxOptions> = {}): Promise<void> => {
  inbox = createInbox({ folder, studies, basePath: '/inbox', ...options })
  served = await serve(inbox.handler)
  opened.push(served)
  url = `${served.url}/inbox`
}
const folders: string[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's4s-inbox-'))
  folders.push(folder)
  await start()
})
afterEach(() => Promise.all(opened.splice(0).map((one) => one.stop())))
afterAll(() => Promise.all(folders.map((one) => rm(one, { recursive: true, force: true }))))

interface Answer {
  readonly status: number
  readonly body: Record<string, unknown>
  readonly headers: Headers
}

const send = async (
  method: string,
  path: string,
  options: { body?: Uint8Array | string; key?: string; headers?: Record<string, string> } = {},
): Promise<Answer> => {
  const response = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${options.key ?? key}`, ...options.headers },
    ...(options.body === undefined ? {} : { body: options.body as BodyInit }),
  })
  const text = await response.text()
  return {
    status: response.status,
    body: text === '' ? {} : JSON.parse(text),
    headers: response.headers,
  }
}
const open = (made: Made) => send('POST', '/packages', { body: made.bytes })
const put = (made: Made, path: string, body: Uint8Array | string = made.parts.get(path) as string) =>
  send('PUT', `/packages/${made.digest}/parts/${sha256(made.parts.get(path) as string)}`, { body })
const putAll = async (made: Made): Promise<void> => {
  for (const path of made.parts.keys()) expect((await put(made, path)).status, path).toBe(204)
}
const complete = (made: Made) => send('POST', `/packages/${made.digest}/complete`)
const deliver = async (made: Made): Promise<Answer> => {
  expect((await open(made)).status).toBe(201)
  await putAll(made)
  return complete(made)
}
const withdraw = (made: Made, change: Record<string, unknown> = {}, sentWith = key) =>
  send('POST', '/withdrawals', {
    key: sentWith,
    body: JSON.stringify({
      format: 's4s-withdrawal/1',
      study: 'sleep',
      participant: 'p-1',
      digest: made.digest,
      consent: made.manifest.consent.id,
      ask: 'delete',
      at: new Date().toISOString(),
      key: made.withdrawalKey,
      ...change,
    }),
  })

const list = async (...path: string[]): Promise<string[]> =>
  (await readdir(join(folder, ...path)).catch(() => [])).sort()

test('a package arrives in parts, is stored whole and is answered with a receipt', async () => {
  const made = makePackage()
  const first = await open(made)
  expect(first.status).toBe(201)
  expect(first.body).toEqual({
    digest: made.digest,
    missing: expect.arrayContaining([...made.parts.values()].map(sha256)),
  })
  expect(await list('packages', 'sleep')).toEqual([])
  await putAll(made)
  const done = await complete(made)
  expect(done.status).toBe(201)
  expect(done.body.receipt).toEqual({
    id: expect.stringMatching(/^receipt-/),
    study: 'sleep',
    participant: 'p-1',
    digest: made.digest,
    receivedAt: expect.any(String),
    parts: made.parts.size,
    resources: 3,
    bytes: [...made.parts.values()].reduce((sum, text) => sum + Buffer.byteLength(text), 0),
  })
  const home = join(folder, 'packages', 'sleep', made.digest)
  for (const [path, text] of made.parts) expect(await readFile(join(home, path), 'utf8'), path).toBe(text)
  expect(sha256(await readFile(join(home, 'manifest.json'), 'utf8'))).toBe(made.digest)
  expect(JSON.parse(await readFile(join(home, 'receipt.json'), 'utf8'))).toEqual(done.body.receipt)
  expect(await list('staging')).toEqual([])
  expect(await inbox.verify(made.digest)).toEqual({ ok: true, faults: [] })
  expect(await inbox.packages('sleep')).toEqual([
    {
      digest: made.digest,
      participant: 'p-1',
      receivedAt: expect.any(String),
      resources: 3,
      bytes: expect.any(Number),
      status: 'stored',
      completeness: [
        { provider: 'Mercy', dataClass: 'Patient', status: 'received', count: 1 },
        { provider: 'Mercy', dataClass: 'Problems', status: 'received', count: 2 },
      ],
    },
  ])
})

test('a package that was delivered is answered with the same receipt, however it is asked again', async () => {
  const made = makePackage()
  const { receipt } = (await deliver(made)).body
  expect(await open(made)).toMatchObject({ status: 200, body: { receipt } })
  expect(await complete(made)).toMatchObject({ status: 200, body: { receipt } })
  await start()
  expect(await open(made)).toMatchObject({ status: 200, body: { receipt } })
})

test('an upload goes on where it stopped, also at an inbox that was started anew', async () => {
  const made = makePackage()
  await open(made)
  await put(made, 'consent.json')
  expect(await complete(made)).toMatchObject({ status: 409, body: { error: 'incomplete' } })
  await start()
  const again = await open(made)
  expect(again.status).toBe(201)
  expect(again.body.missing).not.toContain(sha256(made.parts.get('consent.json') as string))
  expect(again.body.missing).toHaveLength(made.parts.size - 1)
  await putAll(made)
  expect((await complete(made)).status).toBe(201)
})

test('deliveries of one package at the same time, at two inboxes on one folder, store it once', async () => {
  const made = makePackage()
  const first = url
  await start()
  const bases = [first, url]
  const receipts = await Promise.all(
    Array.from({ length: 8 }, async (_, index) => {
      const at = bases[index % 2] as string
      const go = (method: string, path: string, body?: string) =>
        fetch(at + path, {
          method,
          headers: { authorization: `Bearer ${key}` },
          ...(body === undefined ? {} : { body }),
        })
      for (let round = 0; round < 5; round++) {
        const opening = await go('POST', '/packages', made.bytes)
        if (opening.status === 200) return ((await opening.json()) as { receipt: { id: string } }).receipt.id
        for (const text of made.parts.values())
          await go('PUT', `/packages/${made.digest}/parts/${sha256(text)}`, text)
        const done = await go('POST', `/packages/${made.digest}/complete`)
        if (done.ok) return ((await done.json()) as { receipt: { id: string } }).receipt.id
      }
      throw new Error('never done')
    }),
  )
  expect(new Set(receipts).size).toBe(1)
  expect(await list('packages', 'sleep')).toEqual([made.digest])
  expect(await inbox.verify(made.digest)).toEqual({ ok: true, faults: [] })
})

test('without the key of the study nothing is taken, and the key of another study does not do', async () => {
  const made = makePackage()
  for (const wrong of ['study-key-heart', teamKey, 'x', `${key}x`]) {
    const answer = await send('POST', '/packages', { body: made.bytes, key: wrong })
    expect(answer, wrong).toMatchObject({ status: 401, body: { error: 'key' } })
  }
  const bare = await fetch(`${url}/packages`, { method: 'POST', body: made.bytes })
  expect(bare.status).toBe(401)
  await deliver(made)
  expect((await send('POST', `/packages/${made.digest}/complete`, { key: 'study-key-heart' })).status).toBe(
    404,
  )
  expect((await withdraw(made, { study: 'heart' }, 'study-key-heart')).status).toBe(404)
})

interface LoosePart {
  path: string
  sha256: string
  size: number
  resources?: number
}
interface Loose {
  format: string
  participant?: string
  sources: [{ folder: string; counts: Record<string, number> }] | []
  parts: [LoosePart, LoosePart, LoosePart, ...LoosePart[]]
  withdrawalCommitment?: string
}
const source = (manifest: Loose) => manifest.sources[0] as NonNullable<Loose['sources'][0]>
const manifests: [string, (manifest: Loose) => unknown][] = [
  ['of another format', (m) => (m.format = 's4s-package/2')],
  ['without a participant', (m) => delete m.participant],
  ['with no sources', (m) => (m.sources = [])],
  ['with a path that climbs', (m) => (m.parts[1].path = 'records/01/../../../etc/passwd')],
  ['with an absolute path', (m) => (m.parts[1].path = '/etc/passwd')],
  ['with a hidden file', (m) => (m.parts[1].path = 'records/01/attachments/.bashrc')],
  ['with a space in a path', (m) => (m.parts[1].path = 'records/01/attachments/a b')],
  ['with a backslash in a path', (m) => (m.parts[1].path = 'records\\01\\x')],
  ['with a path of nobody', (m) => (m.parts[1].path = 'records/09/Patient-0001.ndjson')],
  ['with a part in the way of the receipt', (m) => (m.parts[1].path = 'receipt.json')],
  ['with a path that stands twice', (m) => (m.parts[1].path = m.parts[2].path)],
  ['with two paths that differ in case only', (m) => m.parts.push({ ...m.parts[0], path: 'CONSENT.json' })],
  ['with a digest that is none', (m) => (m.parts[1].sha256 = 'abc')],
  ['with a negative size', (m) => (m.parts[1].size = -1)],
  ['with a size that is no whole number', (m) => (m.parts[1].size = 1.5)],
  ['with counts that do not add up', (m) => (source(m).counts.Patient = 2)],
  ['with a type that no part has', (m) => (source(m).counts.Goal = 1)],
  ['with resources without a count', (m) => delete m.parts[2].resources],
  ['with a folder that climbs', (m) => (source(m).folder = 'records/..')],
  ['with no commitment', (m) => delete m.withdrawalCommitment],
  ['with a digest of a key as commitment that is none', (m) => (m.withdrawalCommitment = 'zz')],
]
test.each(manifests)('a manifest %s is refused, and nothing of it is kept', async (_, change) => {
  const manifest = structuredClone(makePackage().manifest) as unknown as Loose
  change(manifest)
  expect(await send('POST', '/packages', { body: JSON.stringify(manifest) })).toMatchObject({
    status: 422,
    body: { error: 'manifest' },
  })
  expect(await list('staging')).toEqual([])
})

test.each([
  ['not JSON', '{'],
  ['empty', ''],
  ['no object', '[]'],
  ['not UTF-8', new Uint8Array([0x22, 0xff, 0x22])],
  ['nested 100,000 deep', '['.repeat(100_000)],
  ['a prototype', '{"__proto__":{"format":"s4s-package/1"}}'],
])('a manifest that is %s is refused', async (_, body) => {
  expect(await send('POST', '/packages', { body })).toMatchObject({
    status: 422,
    body: { error: 'manifest' },
  })
})

test('a part with other bytes, one byte more or less, or that nobody spoke of is refused and named', async () => {
  const made = makePackage()
  await open(made)
  const path = 'records/01/Patient-0001.ndjson'
  const text = made.parts.get(path) as string
  for (const body of [text.replace('p1', 'p2'), `${text}x`, text.slice(1), '']) {
    expect(await put(made, path, body)).toMatchObject({ status: 422, body: { error: 'digest', part: path } })
  }
  const stranger = await send('PUT', `/packages/${made.digest}/parts/${sha256('x')}`, { body: 'x' })
  expect(stranger).toMatchObject({ status: 422, body: { error: 'digest' } })
  expect(await list('staging', made.digest, 'parts')).toEqual([])
  const unknown = await send('PUT', `/packages/${sha256('x')}/parts/${sha256('x')}`, { body: 'x' })
  expect(unknown).toMatchObject({ status: 404, body: { error: 'unknown' } })
})

test.each([
  [
    'with a line that is another type',
    '{"resourceType":"Goal","id":"a"}\n{"resourceType":"Condition","id":"b"}\n',
  ],
  ['with fewer lines than it says', '{"resourceType":"Condition","id":"a"}\n'],
  [
    'with more lines than it says',
    '{"resourceType":"Condition"}\n{"resourceType":"Condition"}\n{"resourceType":"Condition"}\n',
  ],
  ['with a line that is not JSON', '{"resourceType":"Condition"}\n{"resourceType":\n'],
  ['with an empty line', '{"resourceType":"Condition"}\n\n'],
  ['with a list in a line', '{"resourceType":"Condition"}\n[{"resourceType":"Condition"}]\n'],
])('NDJSON %s is refused when the package is completed, and nothing of it is kept', async (_, text) => {
  const path = 'records/01/Condition-0001.ndjson'
  const made = makePackage({ parts: { [path]: text } })
  expect(await deliver(made)).toMatchObject({ status: 422, body: { error: 'manifest', part: path } })
  expect(await list('packages', 'sleep')).toEqual([])
  expect(await list('staging')).toEqual([])
})

const consents: [string, Parameters<typeof makePackage>[0]][] = [
  ['that has expired', { consent: { expiresAt: '2020-01-01T00:00:00.000Z' } }],
  ['of another participant', { consent: { participant: 'p-2' } }],
  ['to another study', { consent: { study: { id: 'heart', title: 'Sleep' } } }],
  ['that does not cover a data class of the package', { consent: { dataClasses: ['Patient'] } }],
  ['of another name', { consent: { id: 'consent-other' } }],
  ['that was altered', { alteredConsent: true }],
  ['of another withdrawal key', { consent: { withdrawalCommitment: sha256('other') } }],
  ['of no format', { consent: { format: 'x' } }],
  ['given in the future', { consent: { givenAt: '2999-01-01T00:00:00.000Z' } }],
]
test.each(consents)('a consent %s is refused as soon as it arrives', async (_, options) => {
  const made = makePackage(options)
  expect((await open(made)).status).toBe(201)
  const answer = await put(made, 'consent.json')
  expect(answer).toMatchObject({ status: 422, body: { error: 'consent', part: 'consent.json' } })
  expect(await list('staging')).toEqual([])
})

test('a package without a consent, or with the digest of another, is refused at once', async () => {
  const { manifest } = makePackage()
  for (const consent of [
    { ...manifest.consent, sha256: sha256('x') },
    { ...manifest.consent, path: 'records/01/x' },
  ]) {
    const body = JSON.stringify({ ...manifest, consent })
    expect(await send('POST', '/packages', { body })).toMatchObject({
      status: 422,
      body: { error: 'consent' },
    })
  }
  const parts = manifest.parts.filter(({ path }) => path !== 'consent.json')
  expect(await send('POST', '/packages', { body: JSON.stringify({ ...manifest, parts }) })).toMatchObject({
    status: 422,
    body: { error: 'consent', part: 'consent.json' },
  })
})

test('a part that the disk damaged before the package was complete is asked for again', async () => {
  const made = makePackage()
  await open(made)
  await putAll(made)
  const path = 'records/01/Condition-0001.ndjson'
  const digest = sha256(made.parts.get(path) as string)
  await writeFile(join(folder, 'staging', made.digest, 'parts', digest), 'damaged')
  expect(await complete(made)).toMatchObject({
    status: 409,
    body: { error: 'incomplete', missing: [digest] },
  })
  await put(made, path)
  expect((await complete(made)).status).toBe(201)
})

test('verify names every part of a stored package that is missing or no longer what was sent', async () => {
  const made = makePackage()
  await deliver(made)
  const home = join(folder, 'packages', 'sleep', made.digest)
  await rm(join(home, 'records/01/Patient-0001.ndjson'))
  await writeFile(join(home, 'records/01/Condition-0001.ndjson'), 'x')
  expect(await inbox.verify(made.digest)).toEqual({
    ok: false,
    faults: [
      { path: 'records/01/Condition-0001.ndjson', fault: 'digest' },
      { path: 'records/01/Patient-0001.ndjson', fault: 'missing' },
    ],
  })
  expect((await inbox.verify(sha256('nothing'))).ok).toBe(false)
  expect((await inbox.verify('../../etc')).ok).toBe(false)
})

test('withdrawal removes the package and keeps it from coming back, and its notice may be sent again', async () => {
  const made = makePackage()
  await deliver(made)
  const answer = await withdraw(made)
  expect(answer).toMatchObject({
    status: 200,
    body: { digest: made.digest, deleted: true, id: expect.any(String) },
  })
  expect(await list('packages', 'sleep')).toEqual([])
  expect((await withdraw(made)).body).toEqual(answer.body)
  expect((await withdraw(made, { ask: 'stop' })).body).toEqual(answer.body)
  expect(await open(made)).toMatchObject({ status: 409, body: { error: 'withdrawn' } })
  expect(await complete(made)).toMatchObject({ status: 409, body: { error: 'withdrawn' } })
  // Another package under the same consent.
  const other = makePackage({ patient: 'p9' })
  expect(other.digest).not.toBe(made.digest)
  expect(await open(other)).toMatchObject({ status: 409, body: { error: 'withdrawn' } })
  expect(await inbox.packages('sleep')).toEqual([
    expect.objectContaining({
      status: 'withdrawn',
      deleted: true,
      withdrawnAt: answer.body.at,
      completeness: [],
    }),
  ])
  // A new consent is a new beginning.
  expect((await deliver(makePackage({ consent: { id: 'consent-2' } }))).status).toBe(201)
})

test('withdrawal that asks to stop keeps the package and takes no more; to delete may follow', async () => {
  const made = makePackage()
  await deliver(made)
  expect((await withdraw(made, { ask: 'stop' })).body.deleted).toBe(false)
  expect(await list('packages', 'sleep')).toEqual([made.digest])
  expect((await open(makePackage({ patient: 'p9' }))).status).toBe(409)
  expect(await inbox.packages('sleep')).toEqual([
    expect.objectContaining({ status: 'withdrawn', deleted: false }),
  ])
  expect((await withdraw(made)).body.deleted).toBe(true)
  expect(await list('packages', 'sleep')).toEqual([])
})

test('only who holds the withdrawal key can withdraw, and a package that nobody has is unknown', async () => {
  const made = makePackage()
  await deliver(made)
  for (const change of [{ key: 'x' }, { key: '' }, { participant: 'p-2' }, { consent: 'consent-x' }]) {
    expect(await withdraw(made, change)).toMatchObject({ status: 403, body: { error: 'withdrawal-key' } })
  }
  expect((await withdraw(made, { digest: sha256('x') })).status).toBe(404)
  for (const change of [{ format: 'x' }, { ask: 'all' }, { digest: '../..' }, { key: 7 }]) {
    expect((await withdraw(made, change)).status).toBe(422)
  }
  expect((await withdraw(made, {}, 'wrong-key')).status).toBe(401)
  expect(await inbox.verify(made.digest)).toEqual({ ok: true, faults: [] })
})

test('an upload that is open when its consent is withdrawn is forgotten with it', async () => {
  const [made, late] = [makePackage(), makePackage({ patient: 'p9' })]
  await deliver(made)
  await open(late)
  await put(late, 'records/01/Patient-0001.ndjson')
  await withdraw(made)
  expect(await list('staging')).toEqual([])
  expect((await complete(late)).status).toBe(404)
})

test('what is larger than a package may be is refused before a byte of it arrives', async () => {
  await start({ maxBytes: 100 })
  expect(await open(makePackage())).toMatchObject({ status: 413, body: { error: 'too-large' } })
})

test('a manifest of more than 16 MiB is not read to its end', async () => {
  const body = new Uint8Array(17 * 1024 * 1024).fill(0x20)
  expect(await send('POST', '/packages', { body })).toMatchObject({
    status: 413,
    body: { error: 'too-large' },
  })
})

test('an inbox whose quota is used up says so, stores nothing, and has room again after a withdrawal', async () => {
  const [made, other] = [makePackage(), makePackage({ consent: { id: 'consent-2' } })]
  const size = made.manifest.parts.reduce((sum, part) => sum + part.size, Buffer.byteLength(made.bytes))
  await start({ quotaBytes: size + 10 })
  await deliver(made)
  expect(await open(other)).toMatchObject({ status: 507, body: { error: 'full' } })
  expect(await list('staging')).toEqual([])
  await withdraw(made)
  expect((await deliver(other)).status).toBe(201)
})

test('room that was promised to an open upload is not promised twice', async () => {
  const made = makePackage()
  await start({
    quotaBytes: made.manifest.parts.reduce((sum, part) => sum + part.size, made.bytes.length) + 10,
  })
  expect((await open(made)).status).toBe(201)
  expect((await open(made)).status).toBe(201)
  expect((await open(makePackage({ consent: { id: 'consent-2' } }))).status).toBe(507)
  await putAll(made)
  expect((await complete(made)).status).toBe(201)
})

test('the team sees its packages with its own key only, and nothing of the record', async () => {
  const made = makePackage()
  await deliver(made)
  const answer = await send('GET', '/studies/sleep/packages', { key: teamKey })
  expect(answer.status).toBe(200)
  expect(answer.body).toEqual(await inbox.packages('sleep'))
  const lists = ['packages', 'withdrawals', 'quarantine', 'duplicates']
  for (const list of lists)
    for (const wrong of [key, 'team-key-heart', 'x'])
      expect((await send('GET', `/studies/sleep/${list}`, { key: wrong })).status, wrong).toBe(401)
  await withdraw(made)
  const bodies = await Promise.all(
    lists.map(async (one) => (await send('GET', `/studies/sleep/${one}`, { key: teamKey })).body),
  )
  expect(bodies).toEqual([
    await inbox.packages('sleep'),
    await inbox.withdrawals('sleep'),
    [],
    { hints: [], counts: {}, unread: [] },
  ])
  expect(JSON.stringify(answer.body)).not.toContain('Canary')
  expect(await inbox.packages('unheard-of')).toEqual([])
})

test('the status page asks for the team key, runs no script, and shows what a stranger wrote as text', async () => {
  const hostile = '<script>alert(1)</script>"\'&'
  await deliver(makePackage({ participant: hostile }))
  const form = await fetch(`${url}/`)
  expect(form.status).toBe(200)
  expect(await form.text()).toContain('type="password"')
  const submit = (value: string) =>
    fetch(`${url}/`, { method: 'POST', body: new URLSearchParams({ key: value }) })
  expect((await submit('wrong')).status).toBe(401)
  expect((await submit(key)).status).toBe(401)
  const page = await submit(teamKey)
  const html = await page.text()
  expect(page.status).toBe(200)
  expect(html).toContain('&#60;script&#62;alert(1)')
  expect(html).not.toContain('<script')
  expect(html).not.toContain('Canary')
  expect(page.headers.get('content-security-policy')).toContain("default-src 'none'")
  const [, style = ''] = /<style>(.*)<\/style>/s.exec(html) ?? []
  const hash = createHash('sha256').update(style).digest('base64')
  expect(page.headers.get('content-security-policy')).toContain(`'sha256-${hash}'`)
  const bearer = await fetch(`${url}/`, { headers: { authorization: `Bearer ${teamKey}` } })
  expect(await bearer.text()).toContain('1 stored, 0 withdrawn')
})

test('a browser app of an allowed origin may deliver; others are told nothing', async () => {
  await start({ allowOrigins: ['https://portal.example'] })
  const ask = (origin: string) => send('OPTIONS', '/packages', { headers: { origin } })
  const allowed = await fetch(`${url}/packages`, {
    method: 'OPTIONS',
    headers: { origin: 'https://portal.example' },
  })
  expect(allowed.status).toBe(204)
  expect(allowed.headers.get('access-control-allow-origin')).toBe('https://portal.example')
  expect(allowed.headers.get('access-control-allow-headers')).toContain('authorization')
  expect(allowed.headers.get('access-control-allow-methods')).toContain('PUT')
  for (const origin of [
    'https://portal.example.evil',
    'http://portal.example',
    'null',
    'https://PORTAL.example',
  ]) {
    const answer = await ask(origin)
    expect(answer.status, origin).toBe(403)
    expect(answer.headers.get('access-control-allow-origin')).toBeNull()
  }
  const refused = await send('POST', '/packages', {
    body: '{',
    headers: { origin: 'https://portal.example' },
  })
  expect(refused.headers.get('access-control-allow-origin')).toBe('https://portal.example')
})

test('what is no part of the protocol is not found, and a wrong method is refused', async () => {
  for (const path of ['/x', '/packages/abc/complete', '/packages/%2e%2e/complete', '/studies//packages']) {
    expect((await send('POST', path)).status, path).toBe(404)
  }
  expect((await send('DELETE', '/packages')).status).toBe(405)
  expect((await fetch(`${served.url}/packages`, { method: 'POST' })).status).toBe(404)
  expect((await fetch(`${served.url}/inboxes/packages`, { method: 'POST' })).status).toBe(404)
})

test('the audit tells what happened and names neither a person, a key nor anything of the record', async () => {
  const made = makePackage()
  await deliver(made)
  await open(made)
  await withdraw(made, { key: 'a-wrong-withdrawal-key' })
  await withdraw(made)
  for (let knock = 0; knock < 20; knock++) await send('POST', '/packages', { body: 'x', key: 'wrong-key' })
  const text = await readFile(join(folder, 'audit.ndjson'), 'utf8')
  const events = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(events.map(({ event, reason }) => [event, reason].filter(Boolean).join(' '))).toEqual([
    'opened',
    'stored',
    'stored-already',
    'refused withdrawal-key',
    'withdrawn delete',
    'refused key',
  ])
  for (const secret of ['p-1', 'Canary', key, teamKey, made.withdrawalKey, 'wrong-key', 'Mercy']) {
    expect(text).not.toContain(secret)
  }
})

test.each<[string, Partial<InboxOptions>]>([
  ['no folder', { folder: '' }],
  ['a study id that is a path', { studies: [{ id: '../x', key }] }],
  [
    'two studies of one id',
    {
      studies: [
        { id: 'a', key },
        { id: 'a', key: 'another-key' },
      ],
    },
  ],
  [
    'one key for two studies',
    {
      studies: [
        { id: 'a', key },
        { id: 'b', key },
      ],
    },
  ],
  ['the study key as team key', { studies: [{ id: 'a', key, teamKey: key }] }],
  ['a key that is short', { studies: [{ id: 'a', key: 'short' }] }],
  ['a base path without its slash', { basePath: 'inbox' }],
  ['an origin with a path', { allowOrigins: ['https://a.example/x'] }],
  ['every origin', { allowOrigins: ['*'] }],
])('an inbox with %s does not open', (_, options) => {
  expect(() => createInbox({ folder, studies, ...options })).toThrow(
    expect.objectContaining({ code: 'CONFIG_INVALID' }),
  )
})
