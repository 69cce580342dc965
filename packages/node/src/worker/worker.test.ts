import { PGlite } from '@electric-sql/pglite'
import {
  ambientClock,
  ambientFetch,
  type Connection,
  createOutbox,
  httpDelivery,
  SmartError,
} from '@s4s/core'
import { eClinicalWorks, nextGen, oracleHealth } from '@s4s/core/vendors'
import type { FaultRequest, Sandbox } from '@s4s/sandbox'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Sql } from '../store/index.js'
import { createWorker, type Notice, type Worker, type WorkerOptions } from './index.js'
import { pacedFetch } from './paced-fetch.js'
import { clientOn, codeOf, openSetting, type Setting, until } from './test-support/setting.js'
import { createTraffic } from './traffic.js'

let sql: Sql
let setting: Setting
let sandbox: Sandbox
const workers: Worker[] = []
let made = 0
let schema = ''

beforeAll(async () => {
  sql = new PGlite() as Sql
  setting = await openSetting(sql)
  sandbox = setting.sandboxes[0] as Sandbox
}, 60_000)
afterEach(async () => {
  sandbox.faults.clear()
  await Promise.all(workers.splice(0).map((worker) => worker.stop({ seconds: 1 })))
  made++
})
afterAll(async () => {
  await setting.stop()
  await (sql as PGlite).close()
})

const quick = { pollMilliseconds: 50, retrySeconds: 1, leaseSeconds: 2 }
/** A worker; those of one test share their jobs. */
function newWorker(options: Partial<WorkerOptions> = {}): Worker {
  schema = `w${made}`
  const worker = createWorker(sql, { ...setting.work, ...quick, schema, ...options })
  workers.push(worker)
  return worker
}
const packagesOf = async (participant: string) =>
  (await setting.inbox.packages('sleep')).filter((row) => row.participant === codeOf(participant))
const arrived = (participant: string, count = 1): Promise<void> =>
  until(`${count} of ${participant} arrived`, async () => (await packagesOf(participant)).length === count)
const idle = async (worker: Worker): Promise<boolean> => {
  const { queued, active, retrying } = await worker.status()
  return queued + active + retrying === 0
}
const counted = async (
  worker: Worker,
  outcome: 'retry' | 'nothing-new' | 'shared' | 'refreshed',
): Promise<number> => (await worker.status()).hours.reduce((sum, { jobs }) => sum + (jobs[outcome] ?? 0), 0)
const reads = ({ path }: FaultRequest): boolean => path.startsWith('/fhir/') && !path.includes('well-known')
const stateOf = async (worker: Worker): Promise<string | undefined> =>
  (await worker.status()).providers.find(({ provider }) => provider === sandbox.provider.id)?.state

test('F15 what a participant agreed to reaches the study by itself, once, and again only when there is news', async () => {
  const worker = newWorker()
  const id = await setting.connect('ann')
  await worker.schedule(id, { every: 'day' })
  await worker.start()
  await arrived('ann')
  await until('its share is kept', () => setting.shares.size === 1)
  const [row] = await packagesOf('ann')
  expect(await setting.inbox.verify(row?.digest ?? '')).toEqual({ ok: true, faults: [] })
  expect([...setting.shares.keys()]).toEqual([row?.digest])

  await until('it rests', () => idle(worker))
  await worker.run(id)
  await until('it has looked again', async () => (await counted(worker, 'nothing-new')) === 1)
  expect((await packagesOf('ann')).length).toBe(1)

  sandbox.records.put({
    resourceType: 'Immunization',
    id: 'new-one',
    status: 'completed',
    vaccineCode: { text: 'influenza' },
    patient: { reference: 'Patient/leo' },
    occurrenceDateTime: new Date().toISOString().slice(0, 10),
  } as never)
  await worker.run(id)
  await arrived('ann', 2)
  expect(await worker.health()).toEqual({ ok: true, faults: [] })
}, 60_000)

test('F1 F2 a hospital that asks to be left alone is left alone by every worker, and no job is lost or counts as failed', async () => {
  const [one, other] = [newWorker(), newWorker()]
  const ids = [await setting.connect('bob'), await setting.connect('bea')]
  let asked = 0
  sandbox.faults.add({
    match: reads,
    respond: () => {
      asked++
      return new Response('{}', { status: 429, headers: { 'retry-after': '3600' } })
    },
  })
  for (const id of ids) await one.schedule(id, { every: 'day' })
  await one.start()
  await until('it waits', async () => (await stateOf(one)) === 'waiting')
  await until('the jobs are back', async () => (await one.status()).active === 0)
  await other.start()
  // What was on its way when the hospital said so may still arrive.
  await new Promise((resolve) => setTimeout(resolve, 500))
  const before = asked
  await new Promise((resolve) => setTimeout(resolve, 700))
  expect(asked).toBe(before)
  const { providers, queued } = await other.status()
  expect(queued).toBe(2)
  const until1 = providers[0]?.until?.getTime() ?? 0
  expect(Math.abs(until1 - Date.now() - 3_600_000)).toBeLessThan(60_000)
  expect(await counted(one, 'retry')).toBe(0)
  // Until then; or until somebody knows better.
  sandbox.faults.clear()
  await one.resume(sandbox.provider.id)
  await Promise.all([arrived('bob'), arrived('bea')])
}, 60_000)

test('F38 a hospital that is down is left alone after a few requests, and asked again by one', async () => {
  const worker = newWorker()
  const id = await setting.connect('cleo')
  let asked = 0
  sandbox.faults.add({
    match: reads,
    respond: () => {
      asked++
      return new Response('{}', { status: 503 })
    },
  })
  await worker.schedule(id, { every: 'day' })
  await worker.start()
  await until('it is left alone', async () => (await stateOf(worker)) === 'failing')
  await until('the job is back', async () => (await worker.status()).active === 0)
  expect(asked).toBeLessThan(12)
  const before = asked
  // Its rest is over.
  const over = async (): Promise<void> => {
    await until('the job is back', async () => (await worker.status()).active === 0)
    await sql.query(`UPDATE ${schema}.providers SET open_until = now()`)
    await sql.query(`UPDATE ${schema}_jobs.job SET start_after = now() WHERE state < 'active'`)
  }
  await over()
  await until('somebody went to see', () => asked > before)
  await until('it is left alone again', async () => (await stateOf(worker)) === 'failing')
  expect(asked).toBe(before + 1)
  sandbox.faults.clear()
  await over()
  await arrived('cleo')
  expect(await stateOf(worker)).toBe('working')
}, 60_000)

test('F10 F96 of a record of which one part fails for good the rest is shared, with a word on what is missing', async () => {
  const worker = newWorker()
  sandbox.faults.add({
    match: ({ path }) => path.startsWith('/fhir/Immunization'),
    respond: () => new Response('{}', { status: 500 }),
  })
  await worker.run(await setting.connect('nils'))
  await worker.start()
  await until('the rest has arrived', async () => (await packagesOf('nils')).length === 1, 40)
  const [row] = await packagesOf('nils')
  const failed = row?.completeness.filter(({ status }) => status !== 'received')
  expect(failed).toMatchObject([{ dataClass: 'Immunizations', status: 'failed', count: 0 }])
  expect(await counted(worker, 'retry')).toBe(2)
  expect(await stateOf(worker)).toBe('working')
}, 60_000)

test('F16 F40 F95 a participant whose access has ended is asked to sign in again, once, and is collected from when they have', async () => {
  const told: Notice[] = []
  const worker = newWorker({
    onNotice: async (notice) => {
      told.push(notice)
    },
  })
  const id = await setting.connect('dora')
  const { store } = setting.client.platform
  const [key = ''] = (await store.keys('connection/')).filter((name) => name.endsWith(id))
  const stored = JSON.parse((await store.get(key)) ?? '{}')
  await store.set(
    key,
    JSON.stringify({ ...stored, refreshToken: 'used-up', accessExpiresAt: 1, refreshDueAt: 1 }),
  )
  await worker.schedule(id, { every: 'day' })
  await worker.start()
  await until('there is a notice', () => told.length === 1)
  expect(await worker.notices()).toMatchObject([
    { connection: id, provider: 'hospital-1', code: 'TOKEN_ENDED' },
  ])
  await until('it rests', () => idle(worker))
  await worker.run(id)
  await until('it rests', () => idle(worker))
  expect(await counted(worker, 'retry')).toBe(0)
  expect(told.length).toBe(1)
  expect(await worker.deadLetters()).toEqual([])
  expect(await setting.connect('dora')).toBe(id)
  await worker.run(id)
  await arrived('dora')
  await until('the notice is gone', async () => (await worker.notices()).length === 0)
}, 60_000)

test('what passes is tried again, with its reason; what does not is a dead letter that can be revived', async () => {
  let study: 'away' | 'locked' | 'open' = 'away'
  const { deliver } = setting.work
  const worker = newWorker({
    retries: 2,
    deliver: {
      ...deliver,
      deliver: async (pack, options) => {
        if (study === 'away') throw new SmartError('SHARE_UNREACHABLE', 'no answer')
        const key = study === 'locked' ? 'a-wrong-key' : undefined
        return key
          ? httpDelivery({ url: setting.inboxUrl, key }).deliver(pack, options)
          : deliver.deliver(pack, options)
      },
    },
  })
  const id = await setting.connect('emil')
  await worker.run(id)
  await worker.start()
  await until('it is tried again', async () => (await worker.status()).retrying === 1)
  const { rows } = await sql.query(`SELECT output, data FROM ${schema}_jobs.job WHERE state = 'retry'`)
  expect(rows).toEqual([
    {
      output: { code: 'SHARE_UNREACHABLE' },
      data: { kind: 'share', connection: id, provider: 'hospital-1' },
    },
  ])
  await until('it is given up', async () => (await worker.deadLetters()).length === 1)
  const [letter] = await worker.deadLetters()
  expect(letter).toMatchObject({
    kind: 'share',
    connection: id,
    provider: 'hospital-1',
    code: 'SHARE_UNREACHABLE',
  })
  expect(await counted(worker, 'retry')).toBe(2)

  study = 'locked'
  expect(await worker.revive(letter?.id ?? '')).toBe(true)
  expect(await worker.revive(letter?.id ?? '')).toBe(false)
  await until('it is given up at once', async () => (await worker.deadLetters()).length === 1)
  const [second] = await worker.deadLetters()
  expect(second).toMatchObject({ code: 'SHARE_KEY_REFUSED', status: 401 })
  expect(await counted(worker, 'retry')).toBe(2)
  study = 'open'
  await worker.revive(second?.id ?? '')
  await arrived('emil')
}, 60_000)

test('while a provider is paused nothing is asked of it; a job in hand goes back when its worker stops', async () => {
  const [one, other] = [newWorker(), newWorker()]
  const id = await setting.connect('fred')
  await one.pause(sandbox.provider.id)
  sandbox.clearRequests()
  await one.run(id)
  await one.start()
  await new Promise((resolve) => setTimeout(resolve, 500))
  expect(sandbox.requests.length).toBe(0)
  expect(await stateOf(one)).toBe('paused')
  const hangs = sandbox.faults.add({ match: reads, respond: () => 'hang' })
  await one.resume(sandbox.provider.id)
  await until('it is in hand', () => sandbox.requests.length > 0)
  const begun = Date.now()
  await one.stop({ seconds: 1 })
  expect(Date.now() - begun).toBeLessThan(10_000)
  expect(await other.status()).toMatchObject({ queued: 1, active: 0, retrying: 0 })
  hangs()
  await other.start()
  await arrived('fred')
  expect(await counted(other, 'retry')).toBe(0)
}, 60_000)

test('F89 M-07 a worker that is stopped while a hospital answers a refresh stores what it answers first', async () => {
  const [one, other] = [newWorker(), newWorker()]
  const id = await setting.connect('lea')
  const { store } = setting.client.platform
  const [key = ''] = (await store.keys('connection/')).filter((name) => name.endsWith(id))
  const before = JSON.parse((await store.get(key)) ?? '{}')
  await store.set(key, JSON.stringify({ ...before, accessExpiresAt: 1, refreshDueAt: 1 }))
  let refreshes = 0
  sandbox.faults.add({
    match: ({ method, path }) => method === 'POST' && path === '/token',
    respond: async () => {
      refreshes++
      await new Promise((resolve) => setTimeout(resolve, 1500))
      return undefined
    },
  })
  await one.run(id)
  await one.start()
  await until('a refresh is under way', () => refreshes === 1)
  await one.stop({ seconds: 0 })
  const after = JSON.parse((await store.get(key)) ?? '{}')
  expect(after.refreshToken).not.toBe(before.refreshToken)
  expect(after.refreshSentAt).toBeUndefined()
  await other.start()
  await arrived('lea')
  expect(refreshes).toBe(1)
}, 60_000)

test('F59 a hospital that never answers is one that fails; one that we stopped waiting for is not', async () => {
  const worker = newWorker()
  await worker.status()
  sandbox.faults.add({ match: reads, respond: () => 'hang' })
  const paced = pacedFetch({
    ...{ provider: sandbox.provider, traffic: createTraffic(sql, schema), perMinute: 6000 },
    ...{
      fetch: ambientFetch,
      clock: ambientClock,
      hold: () => {},
      failing: () => {},
      onAnswer: () => {},
      onTokens: () => {},
    },
    onError: (error) => {
      throw error
    },
  })
  const ask = async (reason: Error): Promise<void> => {
    const control = new AbortController()
    setTimeout(() => control.abort(reason), 20)
    await expect(paced(`${sandbox.iss}/Patient/leo`, { signal: control.signal })).rejects.toBe(reason)
  }
  for (let time = 0; time < 6; time++) await ask(new Error('the job is handed back'))
  expect(await stateOf(worker)).toBe('working')
  // As the transport ends a request that gives no sign of life.
  for (let time = 0; time < 5; time++)
    await ask(Object.assign(new Error('no sign of life after 90 s'), { name: 'TransportError' }))
  expect(await stateOf(worker)).toBe('failing')
})

test('the more urgent job comes first', async () => {
  const seen: string[] = []
  const worker = newWorker({
    concurrency: 1,
    consentOf: async ({ participant = '' }: Connection) => {
      seen.push(participant)
      return undefined
    },
  })
  for (const [name, priority] of [
    ['gina', 1],
    ['hugo', 5],
    ['ivy', 3],
  ] as const)
    await worker.run(await setting.connect(name), { priority })
  await worker.start()
  await until('all were looked at', () => seen.length === 3)
  expect(seen).toEqual(['hugo', 'ivy', 'gina'])
}, 60_000)

test.each([
  ['an EHR of which nothing is known', undefined, 60 * 24],
  ['NextGen', nextGen, 48],
  ['Oracle Health', oracleHealth, 90 * 24],
  ['eClinicalWorks', eClinicalWorks, 90 * 24],
] as const)(
  'F15 access is used before it is too old, though nothing is collected: %s',
  async (_, vendor, hours) => {
    const provider = { ...sandbox.provider, ...(vendor ? { vendor } : {}) }
    const worker = newWorker({ client: clientOn(sql, [provider], setting.study), leaseSeconds: 1 })
    const id = await setting.connect(`jack at ${hours} ${vendor?.id}`)
    await worker.schedule(id, { every: 'month', startingAt: new Date(Date.now() + 86_400_000) })
    const lastUsed = (hoursAgo: number) =>
      sql.query(`UPDATE ${schema}.schedules SET refreshed_at = now() - $1::float8 * interval '1 hour'`, [
        hoursAgo,
      ])
    await lastUsed(hours / 2 - 0.1)
    sandbox.clearRequests()
    await worker.start()
    await new Promise((resolve) => setTimeout(resolve, 700))
    expect(sandbox.requests.length).toBe(0)
    await lastUsed(hours / 2 + 0.1)
    await until('it was refreshed', async () => (await counted(worker, 'refreshed')) === 1)
    await new Promise((resolve) => setTimeout(resolve, 700))
    expect(sandbox.requests.map(({ method, path }) => `${method} ${path}`)).toEqual(['POST /token'])
  },
  60_000,
)

test('F94 a package that may have arrived before a crash is taken back when the participant has withdrawn meanwhile', async () => {
  let broken = true
  const outbox = createOutbox(setting.client.platform)
  const worker = newWorker({
    outbox,
    keep: async () => {
      if (broken) throw new TypeError('the database of the app is away, and canary is its password')
    },
  })
  const id = await setting.connect('kim')
  await worker.run(id)
  await worker.start()
  await until('it has arrived, and the app does not know', async () => (await worker.status()).retrying === 1)
  expect((await packagesOf('kim')).map(({ status }) => status)).toEqual(['stored'])
  const { rows } = await sql.query(`SELECT output FROM ${schema}_jobs.job WHERE state = 'retry'`)
  expect(rows).toEqual([{ output: { code: 'ERROR' } }])
  setting.consents.delete('kim')
  broken = false
  await until('it is taken back', async () => (await packagesOf('kim'))[0]?.status === 'withdrawn')
  await until('it rests', () => idle(worker))
  const kept = (await setting.client.platform.store.keys(`worker/${id}/`)).length
  expect(kept).toBe(0)
}, 60_000)

test('of a connection that was ended, or whose schedule was, nothing is asked and nothing is kept', async () => {
  const worker = newWorker()
  const { client } = setting
  const ids = [await setting.connect('olga'), await setting.connect('pia')]
  for (const id of ids) await worker.schedule(id, { every: 'day' })
  await worker.start()
  await Promise.all([arrived('olga'), arrived('pia')])
  await until('it rests', () => idle(worker))
  const [olga = '', pia = ''] = ids
  const keptOf = async (id: string): Promise<number> =>
    (await client.platform.store.keys(`worker/${id}/`)).length
  expect(await keptOf(olga)).toBe(1)

  await worker.unschedule(olga)
  expect(await keptOf(olga)).toBe(0)
  await worker.stop()
  await (await client.connection(pia))?.revoke()
  sandbox.clearRequests()
  await sql.query(`UPDATE ${schema}.schedules SET due_at = now()`)
  await worker.start()
  await until('it is forgotten', async () => (await worker.status()).scheduled === 0)
  await until('it rests', () => idle(worker))
  expect(await keptOf(pia)).toBe(0)
  expect(sandbox.requests).toEqual([])
}, 60_000)

test('one that is not there cannot be scheduled, and options that cannot work are refused', async () => {
  await expect(newWorker().schedule('nobody', { every: 'day' })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  })
  await expect(newWorker().run('nobody')).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  for (const wrong of [{ concurrency: 0 }, { retries: 1.5 }, { schema: 'a"b' }, { keep: undefined as never }])
    expect(() => newWorker(wrong)).toThrow(/concurrency|retries|schema|keep/)
})
