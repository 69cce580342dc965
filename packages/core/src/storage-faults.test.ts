import { type Sandbox, startSandbox } from '@s4s/sandbox'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  type Client,
  type Connection,
  checkpointOf,
  collect,
  createClient,
  createPackage,
  defineStudy,
  filesOf,
  type Platform,
  recordConsent,
  type Store,
  usCore,
} from './index.js'
import { memoryStore, testPlatform } from './testing/index.js'

let sandbox: Sandbox
const lifetime = 3600
beforeAll(async () => {
  sandbox = await startSandbox({ id: 'mercy', people: ['camila'], accessTokenSeconds: lifetime })
})
afterAll(() => sandbox.stop())
beforeEach(() => {
  sandbox.faults.clear()
  sandbox.clearRequests()
})

/** A store that fails when it is told to. */
function failing(): Store & { fails: (operation: string, key: string) => boolean } {
  const store = memoryStore()
  const self = {
    ...store,
    fails: (_operation: string, _key: string) => false,
    get: async (key: string) => {
      if (self.fails('get', key)) throw new DOMException('gone', 'UnknownError')
      return store.get(key)
    },
    set: async (key: string, value: string) => {
      if (self.fails('set', key)) throw new DOMException('full', 'QuotaExceededError')
      return store.set(key, value)
    },
  }
  return self
}

const clientOf = (parts: Partial<Platform>): Client =>
  createClient({
    platform: testPlatform(parts),
    redirectUri: 'http://127.0.0.1:9/callback',
    providers: [sandbox.provider],
    plan: usCore,
  })
async function connect(client: Client): Promise<Connection> {
  const { url } = await client.authorize('mercy')
  return client.callback(await sandbox.approve(url))
}
const tokenRequests = (): number =>
  sandbox.requests.filter(({ method, path }) => method === 'POST' && path === '/token').length

test('F69 a store that is full before the code is sent costs no code: room made, the same callback works', async () => {
  const store = failing()
  const client = clientOf({ store })
  const callback = await sandbox.approve((await client.authorize('mercy')).url)
  store.fails = (operation) => operation === 'set'
  await expect(client.callback(callback)).rejects.toMatchObject({ code: 'CONFIG_STORAGE_FAILED' })
  expect(tokenRequests()).toBe(0)
  store.fails = () => false
  expect((await client.callback(callback)).status).toBe('active')
})

test('F69 a store that is full before a refresh is sent costs no refresh token', async () => {
  const store = failing()
  const connection = await connect(clientOf({ store }))
  sandbox.clearRequests()
  store.fails = (operation) => operation === 'set'
  await expect(connection.refresh()).rejects.toMatchObject({ code: 'CONFIG_STORAGE_FAILED' })
  expect(tokenRequests()).toBe(0)
  store.fails = () => false
  await connection.refresh()
  expect(tokenRequests()).toBe(1)
})

test('F69 a store that is full when the answer has come: the new tokens are kept here, and stored when there is room', async () => {
  const store = failing()
  const connection = await connect(clientOf({ store }))
  let answered = false
  sandbox.faults.add({
    match: ({ path }) => path === '/token',
    respond: () => {
      answered = true
      return undefined
    },
  })
  store.fails = (operation) => answered && operation === 'set'
  await connection.refresh()
  // The old tokens are used up at the server; reading goes on with the new ones.
  expect((await connection.read('Patient', connection.patient)).id).toBe('camila')
  answered = false
  expect((await connection.read('Patient', connection.patient)).id).toBe('camila')
  // Another process that opens the store finds what it needs to refresh again.
  const [later] = await clientOf({ store }).connections()
  await later?.refresh()
  expect((await later?.read('Patient', connection.patient))?.id).toBe('camila')
})

test('F87 a connection that is ended during a refresh elsewhere stays ended, and its new tokens are revoked', async () => {
  const platform = testPlatform()
  // Two pages, which share the store and the lock.
  const [here, there] = [clientOf(platform), clientOf({ ...platform, clock: { ...platform.clock } })]
  const connection = await connect(here)
  const [other] = await there.connections()
  const issued: string[] = []
  let sent = (): void => {}
  const isSent = new Promise<void>((resolve) => {
    sent = resolve
  })
  const release: { go(): void } = { go: () => {} }
  const held = new Promise<void>((resolve) => {
    release.go = resolve
  })
  const slow = clientOf({
    ...platform,
    fetch: async (input, init) => {
      const answer = await platform.fetch(input, init)
      if (!String(input).endsWith('/token')) return answer
      const body = await answer.text()
      const { access_token, refresh_token } = JSON.parse(body)
      issued.push(access_token, refresh_token)
      sent()
      await held
      return new Response(body, answer)
    },
  })
  expect(other).toBeDefined()
  const [refreshing] = await slow.connections()
  const refresh = refreshing?.refresh().then(
    () => 'refreshed',
    (error) => error.code,
  )
  await isSent
  const revoked = connection.revoke()
  await expect.poll(async () => (await platform.store.keys('connection/')).length).toBe(0)
  release.go()
  expect(await refresh).toBe('TOKEN_ENDED')
  expect(await revoked).toMatchObject({ server: 'revoked', local: 'wiped' })
  expect(await platform.store.keys('connection/')).toEqual([])
  expect(await platform.store.keys('revocation/')).toEqual([])
  const told = sandbox.requests.filter(({ path }) => path.endsWith('/revocation'))
  expect(told.length).toBeGreaterThanOrEqual(2)
  const [access = ''] = issued
  const answer = await fetch(`${sandbox.iss}/Patient/camila`, {
    headers: { authorization: `Bearer ${access}` },
  })
  expect(answer.status).toBe(401)
})

test('F77 what a newer version has stored is passed over, and stays as it is', async () => {
  const platform = testPlatform()
  const connection = await connect(clientOf(platform))
  const [key = ''] = await platform.store.keys('connection/')
  const newer = JSON.stringify({ ...JSON.parse((await platform.store.get(key)) ?? ''), format: 2 })
  await platform.store.set(`${key}-newer`, newer)
  const found = await clientOf(platform).connections()
  expect(found.map(({ id }) => id)).toEqual([connection.id])
  expect(await platform.store.get(`${key}-newer`)).toBe(newer)
})

test('F92 a checkpoint of another version is not gone on with: the record is whole', async () => {
  const platform = testPlatform()
  const connection = await connect(clientOf(platform))
  const whole = await collect(connection, { plan: usCore })
  const stop = new AbortController()
  sandbox.faults.add({
    match: ({ path }) => path.startsWith('/fhir/Procedure'),
    respond: () => {
      stop.abort()
      return undefined
    },
  })
  const checkpoint = checkpointOf(connection)
  await expect(collect(connection, { plan: usCore, checkpoint, signal: stop.signal })).rejects.toBeDefined()
  const [first = ''] = (await platform.store.keys('checkpoint/')).sort()
  const head = JSON.parse((await platform.store.get(first)) ?? '{}')
  expect(head.head).toContain('[1,')
  await platform.store.set(first, JSON.stringify({ ...head, head: head.head.replace('[1,', '[0,') }))
  sandbox.faults.clear()
  const record = await collect(connection, { plan: usCore, checkpoint: checkpointOf(connection) })
  expect(record.types()).toEqual(whole.types())
  expect(await platform.store.keys('checkpoint/')).toEqual([])
})

test('F94 access that ends in the middle of a collection leaves nothing of it behind', async () => {
  const platform = testPlatform()
  const connection = await connect(clientOf(platform))
  let ended: Promise<unknown> | undefined
  sandbox.faults.add({
    match: ({ path }) => path.startsWith('/fhir/Observation'),
    respond: () => {
      ended ??= connection.revoke()
      return undefined
    },
  })
  const outcome = await collect(connection, { plan: usCore, checkpoint: checkpointOf(connection) }).then(
    (record) => record.completeness.filter(({ reason }) => reason === 'TOKEN_ENDED').length,
    (error) => error.code,
  )
  expect(outcome).not.toBe(0)
  expect(await ended).toMatchObject({ local: 'wiped' })
  await expect
    .poll(() => platform.store.keys(''))
    .toEqual(expect.not.arrayContaining([expect.stringMatching(/^(connection|checkpoint)\//)]))
})

test('F95 a person who ends access at the provider is asked to connect again, and what was collected stays', async () => {
  const client = clientOf({})
  const connection = await connect(client)
  const record = await collect(connection, { plan: usCore })
  const count = record.count()
  sandbox.faults.add({
    match: ({ path }) => path === '/token',
    respond: () => Response.json({ error: 'invalid_grant' }, { status: 400 }),
  })
  sandbox.faults.add({
    match: ({ path }) => path.startsWith('/fhir/'),
    respond: () => new Response(null, { status: 401 }),
  })
  await expect(connection.read('Patient', 'camila')).rejects.toMatchObject({
    code: 'TOKEN_ENDED',
    remedy: 'reconnect',
  })
  expect((await client.connections()).map(({ status }) => status)).toEqual(['ended'])
  expect(record.count()).toBe(count)
})

test('F96 of several providers one that fails costs the others nothing', async () => {
  const away = await startSandbox({ id: 'lakeside', people: ['camila'] })
  const client = createClient({
    platform: testPlatform(),
    redirectUri: 'http://127.0.0.1:9/callback',
    providers: [sandbox.provider, away.provider],
    plan: usCore,
  })
  const connections: Connection[] = []
  for (const one of [sandbox, away]) {
    const { url } = await client.authorize(one.provider.id)
    connections.push(await client.callback(await one.approve(url)))
  }
  away.faults.add({
    match: ({ path }) => path.startsWith('/fhir/'),
    respond: () => new Response(null, { status: 403 }),
  })
  const [first, second] = await Promise.all(connections.map((one) => collect(one, { plan: usCore })))
  expect(first?.completeness.some(({ status }) => status === 'received')).toBe(true)
  expect(second?.count('Laboratory')).toBe(0)
  expect(second?.completeness.filter(({ status }) => status === 'received' || status === 'none')).toEqual([])
  await away.stop()
})

test('the files of a record may lie in the store of its connection: they are shared from there, and go when access ends', async () => {
  const platform = testPlatform()
  const connection = await connect(clientOf(platform))
  const [here, there] = [
    await collect(connection, { plan: usCore }),
    await collect(connection, { plan: usCore, files: filesOf(connection) }),
  ]
  const kept = await platform.store.keys('file/')
  expect(kept.length).toBeGreaterThan(0)
  const study = defineStudy({
    ...{
      id: 'sleep',
      title: 'Sleep',
      purpose: 'Rest',
      plan: usCore,
      recipient: 'https://sleep.example/inbox',
    },
    consent: { version: '1', text: 'I agree.' },
  })
  const consent = recordConsent(study, { participant: 'p', signature: 'Camila' })
  const filesIn = async (record: typeof here) => {
    const { manifest, parts } = await createPackage([record], { study, consent })
    for (const part of parts) expect((await part.open()).length).toBe(part.size)
    return manifest.parts.filter(({ path }) => path.includes('/attachments/')).map(({ sha256 }) => sha256)
  }
  expect(await filesIn(there)).toEqual(await filesIn(here))
  await connection.revoke()
  expect(await platform.store.keys('file/')).toEqual([])
})
