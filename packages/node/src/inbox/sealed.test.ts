import { createHash, createPublicKey, verify } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  collect,
  createClient,
  createPackage,
  defineStudy,
  httpDelivery,
  type PatientRecord,
  type PublicKey,
  recordConsent,
  type Study,
  s4sPilot,
  seal,
  share,
  verifyReceipt,
  withdraw,
} from '@s4s/core'
import { tusParts } from '@s4s/core/tus'
import { startSandbox } from '@s4s/sandbox'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { nodePlatform } from '../platform.js'
import { type Served, serve } from '../serve.js'
import { type Child, startChild } from '../test-support/child.js'
import { createInbox, createStudyKeys, type Inbox, type InboxStudy } from './index.js'
import { makePackage } from './test-support/make-package.js'
import { atATime, mutationOf, randomFrom } from './test-support/mutation.js'

const key = 'study-key-sleep'
const keys = await createStudyKeys()
const program = fileURLToPath(new URL('./test-support/inbox-child.ts', import.meta.url))
let record: PatientRecord
let folder: string
const folders: string[] = []
const servers: Served[] = []
const children: Child[] = []

beforeAll(async () => {
  const sandbox = await startSandbox({ people: ['camila'] })
  const client = createClient({
    platform: nodePlatform(),
    redirectUri: 'http://127.0.0.1:9/callback',
    providers: [sandbox.provider],
    plan: s4sPilot,
  })
  const connection = await client.callback(
    await sandbox.approve((await client.authorize(sandbox.provider.id)).url),
  )
  record = await collect(connection, { plan: s4sPilot })
  await sandbox.stop()
}, 60_000)
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's4s-sealed-'))
  folders.push(folder)
})
afterEach(() =>
  Promise.all([
    ...servers.splice(0).map((one) => one.stop()),
    ...children.splice(0).map((one) => one.kill()),
  ]),
)
afterAll(() => Promise.all(folders.map((one) => rm(one, { recursive: true, force: true }))))

const open = async (more: Partial<InboxStudy> = {}): Promise<{ inbox: Inbox; url: string }> => {
  const inbox = createInbox({ folder, studies: [{ id: 'sleep', key, teamKey: 'team-key-sleep', ...more }] })
  const served = await serve(inbox.handler)
  servers.push(served)
  return { inbox, url: served.url }
}
const studyAt = (recipient: string, more: Partial<Study> = keys.study): Study =>
  defineStudy({
    id: 'sleep',
    title: 'Sleep',
    purpose: 'Rest',
    plan: s4sPilot,
    recipient,
    consent: { version: '3', text: 'I agree.' },
    ...more,
  })
const consentTo = (study: Study, more = {}) =>
  recordConsent(study, { participant: 'p-1', signature: 'Camila Canary', ...more })
const everyFile = async (): Promise<Buffer[]> => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return Promise.all(
    entries.filter((one) => one.isFile()).map((one) => readFile(join(one.parentPath, one.name))),
  )
}

test('F14 T76 the host of an inbox without the key holds a package that it cannot read; who has the key reads all of it', async () => {
  const { inbox, url } = await open({ signingKey: keys.inbox.signingKey })
  const study = studyAt(url)
  const shared = await share([record], {
    study,
    consent: consentTo(study),
    deliver: httpDelivery({ url, key }),
  })
  const disk = Buffer.concat(await everyFile()).toString('latin1')
  for (const canary of ['Rivera', 'Camila', 'Observation', 'Condition', 'loinc', record.provider.name])
    expect(disk).not.toContain(canary)
  expect(await inbox.packages('sleep')).toMatchObject([{ digest: shared.digest, completeness: [] }])
  expect(await inbox.verify(shared.digest)).toEqual({ ok: true, faults: [] })

  const counts = new Map<string, number>()
  for await (const pack of inbox.stored('sleep', keys.inbox.openKeys)) {
    for (const { path, resources } of pack.manifest.parts) {
      if (resources === undefined) continue
      for await (const chunk of pack.read(path)) {
        const lines = Buffer.from(chunk).toString('utf8').trimEnd().split('\n')
        for (const { resourceType } of lines.map((line) => JSON.parse(line)))
          counts.set(resourceType, (counts.get(resourceType) ?? 0) + 1)
      }
    }
  }
  expect(Object.fromEntries(counts)).toEqual(record.types())
  expect(await inbox.duplicates('sleep')).toEqual({ hints: [], counts: {}, unread: [shared.digest] })
  await expect(async () => {
    for await (const _ of inbox.stored('sleep')) expect.unreachable()
  }).rejects.toMatchObject({ code: 'SHARE_SEAL_INVALID' })
})

test('F19 an inbox with the key verifies what is inside when it arrives, and knows how complete it is', async () => {
  const { inbox, url } = await open(keys.inbox)
  const study = studyAt(url)
  const shared = await share([record], {
    study,
    consent: consentTo(study),
    deliver: httpDelivery({ url, key }),
  })
  const [row] = await inbox.packages('sleep')
  expect(row?.completeness.length).toBe(s4sPilot.classes.length)
  expect(row?.resources).toBe(record.count())
  expect(await inbox.verify(shared.digest)).toEqual({ ok: true, faults: [] })
})

test('F16 a receipt is verified by anyone with the study’s public key, and one that was altered is not', async () => {
  const { url } = await open(keys.inbox)
  const study = studyAt(url)
  const deliver = httpDelivery({ url, key })
  const shared = await share([record], { study, consent: consentTo(study), deliver })
  const receiptKeys = study.receiptKeys as readonly PublicKey[]
  await verifyReceipt(shared.receipt, receiptKeys)
  expect((await (await fetch(`${url}/studies/sleep/keys`)).json()).keys).toMatchObject(receiptKeys)

  // With nothing of ours and nothing of jose: RFC 7515 by the runtime's own cryptography.
  const [header = '', payload = '', signature = ''] = (shared.receipt.signature ?? '').split('.')
  const plain = createPublicKey({ key: receiptKeys[0] as never, format: 'jwk' })
  const signed = Buffer.from(`${header}.${payload}`)
  const options = { key: plain, dsaEncoding: 'ieee-p1363' } as const
  expect(verify('sha256', signed, options, Buffer.from(signature, 'base64url'))).toBe(true)
  expect(JSON.parse(Buffer.from(payload, 'base64url').toString())).toMatchObject({ digest: shared.digest })

  for (const change of [{ resources: 1 }, { digest: '0'.repeat(64) }, { receivedAt: '2020-01-01T00:00:00Z' }])
    await expect(verifyReceipt({ ...shared.receipt, ...change }, receiptKeys)).rejects.toMatchObject({
      code: 'SHARE_RECEIPT_INVALID',
    })
  const { signature: _, ...unsigned } = shared.receipt
  await expect(verifyReceipt(unsigned as { signature?: string }, receiptKeys)).rejects.toMatchObject({
    code: 'SHARE_RECEIPT_INVALID',
  })
  const other = await createStudyKeys()
  await expect(verifyReceipt(shared.receipt, other.study.receiptKeys)).rejects.toMatchObject({
    code: 'SHARE_RECEIPT_INVALID',
  })
  const { study: heard } = await withdraw(shared, { deliver })
  await verifyReceipt(heard.receipt ?? {}, receiptKeys)
})

test('F16 a study that says how its receipts are signed gets no other taken for one', async () => {
  const { url } = await open({ openKeys: keys.inbox.openKeys })
  const study = studyAt(url)
  await expect(
    share([record], { study, consent: consentTo(study), deliver: httpDelivery({ url, key }) }),
  ).rejects.toMatchObject({ code: 'SHARE_RECEIPT_INVALID' })
})

test('F65 a sealed package that comes again, from a page that was reloaded, is the same package', async () => {
  const { inbox, url } = await open(keys.inbox)
  const study = studyAt(url)
  const consent = consentTo(study)
  const pack = await createPackage([record], { study, consent })
  const headers = { authorization: `Bearer ${key}` }
  const first = await seal(pack, { to: keys.study.sealTo, consent })
  const opened = await fetch(`${url}/packages`, { method: 'POST', headers, body: first.manifestBytes })
  expect(opened.status).toBe(201)
  for (const part of first.parts.slice(0, 3)) {
    const put = { method: 'PUT', headers, body: await part.open() }
    expect((await fetch(`${url}/packages/${pack.digest}/parts/${part.sha256}`, put)).status).toBe(204)
  }
  const sent: string[] = []
  const parts = tusParts({
    fetch: (input, init) => {
      sent.push(`${init?.method} ${input}`)
      return fetch(input, init)
    },
  })
  const deliver = httpDelivery({ url, key, parts })
  const shared = await share([record], { study, consent, deliver })
  expect(shared.digest).toBe(pack.digest)
  for (const part of first.parts.slice(0, 3)) expect(sent.join()).not.toContain(part.sha256)
  const again = await share([record], { study, consent, deliver })
  expect(again.receipt).toEqual(shared.receipt)
  expect(await inbox.packages('sleep')).toHaveLength(1)
})

test('F14 F89 an inbox that is killed in the middle of a part goes on with that part when it is started again', async () => {
  const study = JSON.stringify(keys.inbox)
  const start = async (port: string): Promise<{ child: Child; url: string }> => {
    const child = startChild(program, folder, key, study, port)
    children.push(child)
    return { child, url: await child.line() }
  }
  const { child, url } = await start('0')
  let patches = 0
  let killed: Promise<unknown> | undefined
  let after = 0
  const offsets: number[] = []
  const parts = tusParts({
    chunkSize: 700,
    fetch: async (input, init) => {
      // In the middle of a part: something of it has arrived, and something has not.
      const begun = Number(new Headers(init?.headers).get('upload-offset')) > 0
      if (init?.method === 'PATCH' && begun && ++patches === 6) {
        killed = child.kill().then(() => start(new URL(url).port))
      }
      const answer = await fetch(input, init)
      if (killed && init?.method === 'HEAD') offsets.push(Number(answer.headers.get('upload-offset')))
      if (killed && init?.method === 'PATCH' && answer.status === 204) after++
      return answer
    },
  })
  const one = studyAt(url)
  const consent = consentTo(one)
  const shared = await share([record], { study: one, consent, deliver: httpDelivery({ url, key, parts }) })
  await killed
  expect(killed).toBeDefined()
  expect(after).toBeGreaterThan(0)
  expect(Math.max(...offsets)).toBeGreaterThan(0)
  await verifyReceipt(shared.receipt, one.receiptKeys ?? [])
  const inbox = createInbox({ folder, studies: [{ id: 'sleep', key, ...keys.inbox }] })
  expect(await inbox.verify(shared.digest)).toEqual({ ok: true, faults: [] })
}, 60_000)

test('T76 a sealed package of which one byte was changed is refused, or found by its receipt; the inbox stays up', async () => {
  const { inbox, url } = await open(keys.inbox)
  const study = studyAt(url)
  const consent = consentTo(study)
  const pack = await createPackage([record], { study, consent })
  const sealed = await seal(pack, { to: keys.study.sealTo, consent })
  const headers = { authorization: `Bearer ${key}` }
  let refused = 0
  for (let round = 0; round < 60; round++) {
    const manifest = sealed.manifestBytes.slice()
    const place = Math.floor((manifest.length * round) / 60)
    manifest[place] = (manifest[place] as number) ^ 1
    const opened = await fetch(`${url}/packages`, { method: 'POST', headers, body: manifest })
    const body = await opened.json()
    if (opened.status !== 201) {
      refused++
      continue
    }
    for (const part of sealed.parts) {
      const put = { method: 'PUT', headers, body: await part.open() }
      await fetch(`${url}/packages/${body.digest}/parts/${part.sha256}`, put)
    }
    const completed = await fetch(`${url}/packages/${body.digest}/complete`, { method: 'POST', headers })
    if (completed.status < 300) expect((await completed.json()).receipt.digest).toBe(pack.digest)
    else refused++
  }
  expect(refused).toBeGreaterThan(50)
  for (const row of await inbox.packages('sleep')) expect((await inbox.verify(row.digest)).ok).toBe(true)
})

test('T76 300 sealed packages with one byte changed on the way are refused by the name of the part, and nothing is stored', async () => {
  const { inbox, url } = await open(keys.inbox)
  const study = studyAt(url)
  const consent = consentTo(study)
  const sealed = await seal(await createPackage([record], { study, consent }), {
    to: keys.study.sealTo,
    consent,
  })
  const headers = { authorization: `Bearer ${key}` }
  const digest = createHash('sha256').update(sealed.manifestBytes).digest('base64')
  const files = await Promise.all([
    { path: 'manifest.json', sha256: '', bytes: sealed.manifestBytes },
    ...sealed.parts.map(async (part) => ({ ...part, bytes: await part.open() })),
  ])
  await fetch(`${url}/packages`, { method: 'POST', headers, body: sealed.manifestBytes })
  const random = randomFrom(300)
  await atATime(4, 300, async (round) => {
    // By turns, as the manifest is small beside its parts.
    const { file, bytes, at } = mutationOf(round % 3 === 0 ? files.slice(0, 1) : files, random)
    const body = bytes as Uint8Array<ArrayBuffer>
    const answer =
      file.sha256 === ''
        ? await fetch(`${url}/packages`, {
            method: 'POST',
            headers: { ...headers, 'content-digest': `sha-256=:${digest}:` },
            body,
          })
        : await fetch(`${url}/packages/${sealed.digest}/parts/${file.sha256}`, {
            method: 'PUT',
            headers,
            body,
          })
    const said = [answer.status, await answer.json()]
    expect(said, `${file.path} at ${at}`).toEqual([422, { error: 'digest', part: file.path }])
  })
  expect(await inbox.packages('sleep')).toEqual([])
  const shared = await share([record], { study, consent, deliver: httpDelivery({ url, key }) })
  expect(shared.digest).toBe(sealed.digest)
  expect((await inbox.verify(shared.digest)).ok).toBe(true)
}, 25_000)

test('F19 what is sealed is held against the consent as well: one that covers less is refused by its name', async () => {
  const { inbox, url } = await open(keys.inbox)
  const study = studyAt(url)
  const pack = await createPackage([record], { study, consent: consentTo(study) })
  const other = consentTo(study, { dataClasses: ['Patient'] })
  const narrow = await createPackage([record], { study, consent: other })
  const swapped = {
    ...pack,
    parts: pack.parts.map(
      (part) => narrow.parts.find(({ path }) => path === 'consent.json' && path === part.path) ?? part,
    ),
  }
  const sealed = await seal(swapped, { to: keys.study.sealTo, consent: other })
  await expect(httpDelivery({ url, key }).deliver(sealed)).rejects.toMatchObject({ code: 'SHARE_REFUSED' })
  expect(await inbox.packages('sleep')).toEqual([])
  expect(await inbox.quarantined('sleep')).toMatchObject([{ digest: sealed.digest, reason: 'seal' }])
})

test.each([
  [
    'does not cover what is inside',
    { consent: { dataClasses: ['Patient'] } },
    'consent-narrow',
    'consent.json',
  ],
  [
    'covers a part that holds something else',
    { parts: { 'records/01/Condition-0001.ndjson': '{"resourceType":"Goal"}\n\n' } },
    'content',
    'records/01/Condition-0001.ndjson',
  ],
])(
  'F5 F19 a sealed package whose consent %s is set aside by the part’s name, as is its reason',
  async (_, wanted, reason, part) => {
    const { inbox, url } = await open(keys.inbox)
    const { digest, bytes, manifest, parts } = makePackage(wanted)
    const bytesOf = (text: string) => () => new TextEncoder().encode(text)
    const pack = {
      ...{ digest, manifest, manifestBytes: bytesOf(bytes)() },
      parts: manifest.parts.map((one) => ({ ...one, open: bytesOf(parts.get(one.path) as string) })),
    }
    const study = studyAt(url)
    const sealed = await seal(pack, { to: keys.study.sealTo, consent: consentTo(study) })
    await expect(httpDelivery({ url, key }).deliver(sealed)).rejects.toMatchObject({ code: 'SHARE_REFUSED' })
    const [row] = await inbox.quarantined('sleep')
    expect(row).toMatchObject({ digest, reason, part })
    // Nothing but what is written on the outside.
    expect(row?.bytes).toBe(sealed.manifestBytes.length)
    expect(await inbox.packages('sleep')).toEqual([])
  },
)

test('F19 a seal that opens with none of the study’s keys is set aside with the reason, and nothing that is sealed', async () => {
  const { inbox, url } = await open(keys.inbox)
  const study = studyAt(url)
  const consent = consentTo(study)
  const pack = await createPackage([record], { study, consent })
  const sealed = await seal(pack, { to: (await createStudyKeys()).study.sealTo, consent })
  await expect(httpDelivery({ url, key }).deliver(sealed)).rejects.toMatchObject({ code: 'SHARE_REFUSED' })
  const [row] = await inbox.quarantined('sleep')
  expect(row).toMatchObject({ digest: pack.digest, reason: 'seal', part: 'sealed/0001.jwe' })
  expect(row?.bytes).toBe(sealed.manifestBytes.length)
  expect(await inbox.packages('sleep')).toEqual([])
})

test('F5 a consent to share once covers one package, and the same one again', async () => {
  const { inbox, url } = await open({ signingKey: keys.inbox.signingKey })
  const study = studyAt(url, { receiptKeys: keys.study.receiptKeys, sharing: 'once' })
  const consent = consentTo(study)
  const deliver = httpDelivery({ url, key })
  await share([record], { study, consent, deliver })
  await share([record], { study, consent, deliver })
  await expect(share([record, record], { study, consent, deliver })).rejects.toMatchObject({
    code: 'SHARE_REFUSED',
  })
  expect(await inbox.packages('sleep')).toHaveLength(1)
})

test('a sealed package is withdrawn and deleted like any other', async () => {
  const { inbox, url } = await open({ signingKey: keys.inbox.signingKey })
  const study = studyAt(url)
  const deliver = httpDelivery({ url, key })
  const shared = await share([record], { study, consent: consentTo(study), deliver })
  const { study: told } = await withdraw(shared, { deliver })
  expect(told).toMatchObject({ status: 'acknowledged', deleted: true })
  expect(told.receipt?.removed).toMatchObject([{ digest: shared.digest, bytes: shared.receipt.bytes }])
  await verifyReceipt(told.receipt ?? {}, keys.study.receiptKeys)
  expect(await inbox.packages('sleep')).toMatchObject([{ status: 'withdrawn', deleted: true }])
})

test.each([
  ['another study’s key', { authorization: 'Bearer study-key-other' }, 401],
  ['no key', {}, 401],
])('T76 a piece of a part with %s is refused', async (_, headers, status) => {
  const { url } = await open()
  const id = `${'0'.repeat(64)}-${'1'.repeat(64)}`
  for (const method of ['HEAD', 'PATCH'])
    expect((await fetch(`${url}/uploads/${id}`, { method, headers })).status).toBe(status)
  await writeFile(join(folder, 'probe'), '')
  const known = { authorization: `Bearer ${key}` }
  expect((await fetch(`${url}/uploads/${id}`, { method: 'HEAD', headers: known })).status).toBe(404)
})
