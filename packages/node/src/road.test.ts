import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Sandbox, startSandbox } from '@s4s/sandbox'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  type Connection,
  collect,
  createInbox,
  createNodeClient,
  type Delivery,
  defineStudy,
  fileStore,
  httpDelivery,
  type Inbox,
  type NodeClient,
  readShare,
  recordConsent,
  type Served,
  type Study,
  serve,
  share,
  usCore,
  withdraw,
} from './index.js'

const key = 'a-study-key-for-the-road'
const teamKey = 'a-team-key-for-the-road'
let folder: string
let sandbox: Sandbox
let inbox: Inbox
let server: Served
let study: Study
let deliver: Delivery
let smart: NodeClient

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 's4s-road-'))
  sandbox = await startSandbox({ name: 'Mercy Hospital' })
  inbox = createInbox({
    folder: join(folder, 'inbox'),
    studies: [{ id: 'sleep', key, teamKey }],
    basePath: '/s4s',
  })
  server = await serve(inbox.handler)
  study = defineStudy({
    id: 'sleep',
    title: 'Sleep',
    purpose: 'Rest',
    plan: usCore.only('Patient', 'Laboratory', 'Documents'),
    recipient: `${server.url}/s4s`,
    consent: { version: '1', text: 'I share.' },
  })
  deliver = httpDelivery({ url: study.recipient, key })
  smart = createNodeClient({
    baseUrl: 'http://127.0.0.1:9/smart',
    providers: [sandbox.provider],
    plan: study.plan,
    store: fileStore(join(folder, 'connections'), { key: 'a store key of thirty-two characters' }),
    afterConnect: '/',
    cookieSecret: 'a cookie secret of thirty-two characters',
  })
})
afterAll(async () => {
  await Promise.all([sandbox.stop(), server.stop()])
  await rm(folder, { recursive: true, force: true })
})

const connect = async (participant: string): Promise<Connection> => {
  const { url } = await smart.client.authorize(sandbox.provider.id, { participant })
  return smart.client.callback(await sandbox.approve(url), { participant })
}

test('what was collected arrives at the study as the hospital sent it, and goes when the participant withdraws', async () => {
  const connection = await connect('p-1')
  const record = await collect(connection, { plan: study.plan })
  const consent = recordConsent(study, { participant: 'p-1', signature: 'Ada' })
  const shared = await share([record], { study, consent, deliver })
  expect(await inbox.verify(shared.digest)).toEqual({ ok: true, faults: [] })
  const [row] = await inbox.packages('sleep')
  expect(row).toMatchObject({
    digest: shared.digest,
    participant: 'p-1',
    resources: record.count(),
    status: 'stored',
  })

  const source = join(folder, 'inbox', 'packages', 'sleep', shared.digest, 'records', '01')
  const text = await readFile(join(source, 'Observation-0001.ndjson'), 'utf8')
  expect(text).toBe([...record.lines('Observation')].map((line) => `${line}\n`).join(''))
  const received = record.attachments.filter(({ status }) => status === 'received')
  expect(received.length).toBeGreaterThan(0)
  const files = await readdir(join(source, 'attachments'))
  expect(files.map((name) => name.split('.')[0]).sort()).toEqual(
    [...new Set(received.map(({ sha256 }) => sha256))].sort(),
  )

  // From storage, as a portal does it another day.
  const stored = readShare(JSON.parse(JSON.stringify(shared)))
  const withdrawal = await withdraw(stored, { deliver, connections: [connection], records: [record] })
  expect(withdrawal).toMatchObject({ complete: true, study: { status: 'acknowledged', deleted: true } })
  expect((await inbox.packages('sleep'))[0]).toMatchObject({ status: 'withdrawn', deleted: true })
  expect(await readdir(join(folder, 'inbox', 'packages', 'sleep'))).toEqual([])
  expect(await smart.connections({ participant: 'p-1' })).toEqual([])
  // The notice may be sent again.
  expect(await withdraw(stored, { deliver })).toMatchObject({
    study: { status: 'acknowledged', deleted: true },
  })
})

test('what was withdrawn cannot be shared again with the same consent, but with a new one', async () => {
  const record = await collect(await connect('p-2'), { plan: study.plan })
  const consent = recordConsent(study, { participant: 'p-2', signature: 'Bob' })
  const shared = await share([record], { study, consent, deliver })
  await withdraw(shared, { deliver })
  await expect(share([record], { study, consent, deliver })).rejects.toMatchObject({
    code: 'SHARE_WITHDRAWN',
  })
  const again = recordConsent(study, { participant: 'p-2', signature: 'Bob' })
  expect((await share([record], { study, consent: again, deliver })).receipt.resources).toBe(record.count())
})

test('T71 sharing again delivers once, and what the consent leaves out never arrives', async () => {
  const record = await collect(await connect('p-3'), { plan: study.plan })
  const consent = recordConsent(study, { participant: 'p-3', signature: 'Eve', dataClasses: ['Laboratory'] })
  const [first, second] = await Promise.all([1, 2].map(() => share([record], { study, consent, deliver })))
  const third = await share([record], { study, consent, deliver })
  expect(new Set([first, second, third].map((one) => one?.receipt.id)).size).toBe(1)
  const rows = (await inbox.packages('sleep')).filter(({ participant }) => participant === 'p-3')
  expect(rows).toHaveLength(1)
  expect(rows[0]?.completeness.map(({ dataClass }) => dataClass)).toEqual(['Laboratory'])
  const files = await readdir(join(folder, 'inbox', 'packages', 'sleep', third.digest, 'records', '01'))
  expect(files.filter((name) => /Patient|DocumentReference/.test(name))).toEqual([])
})

test('a wrong key, and an inbox that has no room, are told as what they are', async () => {
  const record = await collect(await connect('p-4'), { plan: study.plan })
  const consent = recordConsent(study, { participant: 'p-4', signature: 'Zoe' })
  const wrong = httpDelivery({ url: study.recipient, key: 'another-study-key' })
  await expect(share([record], { study, consent, deliver: wrong })).rejects.toMatchObject({
    code: 'SHARE_KEY_REFUSED',
  })

  const small = createInbox({
    folder: join(folder, 'small'),
    studies: [{ id: 'sleep', key }],
    quotaBytes: 1000,
  })
  const served = await serve(small.handler)
  try {
    const there = { ...study, recipient: served.url }
    await expect(
      share([record], { study: there, consent, deliver: httpDelivery({ url: served.url, key }) }),
    ).rejects.toMatchObject({ code: 'SHARE_INBOX_FULL', remedy: 'retry' })
    expect(await small.packages('sleep')).toEqual([])
  } finally {
    await served.stop()
  }
})
