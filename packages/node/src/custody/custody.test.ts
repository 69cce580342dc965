import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createNodeClient, httpDelivery, isSmartError, type NodeClientOptions } from '../index.js'
import { cookieSecret, openTown, type Page, type Portal, type Town } from './test-support/town.js'

let town: Town
beforeAll(async () => {
  town = await openTown()
})
afterAll(() => town.stop())
beforeEach(() => {
  town.ehr.faults.clear()
  town.ehr.clearRequests()
})

const packagesOf = async (digest: string): Promise<string | undefined> =>
  (await town.inbox.packages('sleep')).find((row) => row.digest === digest)?.status

/** Holds the hospital's answers about laboratory results until it is let go. */
function holdLabs(): () => void {
  let letGo = (): void => {}
  const held = new Promise<void>((resolve) => {
    letGo = resolve
  })
  town.ehr.faults.add({
    match: ({ path }) => path.startsWith('/fhir/Observation'),
    respond: async () => {
      await held
      return undefined
    },
  })
  return letGo
}

describe('a participant whose tokens stay on the server', () => {
  test('T35 U-03 connects, collects, follows it, shares and withdraws; no token or key is in any byte that is answered or logged', async () => {
    const logged: string[] = []
    const [out, err] = [process.stdout.write, process.stderr.write]
    const tap = (chunk: unknown): boolean => logged.push(String(chunk)) > 0
    Object.assign(process.stdout, { write: tap })
    Object.assign(process.stderr, { write: tap })
    const portal = await town.openPortal()
    const secrets = new Set<string>()
    const noteSecrets = async (): Promise<void> => {
      for (const name of await portal.store.keys(''))
        for (const [, secret = ''] of ((await portal.store.get(name)) ?? '').matchAll(
          /"(?:accessToken|refreshToken|verifier|withdrawalKey|sealingKey)":"([^"]+)"/g,
        ))
          secrets.add(secret)
    }
    try {
      const page = await portal.connect()
      await noteSecrets()
      const started = await page.send('POST', '/collect')
      expect(started.status).toBe(202)
      const events = await page.events()
      expect(events.map(({ type }) => type)).toEqual(expect.arrayContaining(['collected', 'done']))
      expect(events.at(-1)).toMatchObject({ type: 'done', data: { job: started.body.job } })
      const [progress] = events.filter(({ type }) => type === 'progress')
      expect(progress?.data.total).toBeGreaterThan(1)
      // All was told: a page that asks again is told to stop.
      expect((await page.get('/events', { 'last-event-id': events.at(-1)?.id ?? '' })).status).toBe(204)
      expect((await page.get(`/collect/${started.body.job}`)).body).toMatchObject({
        state: 'done',
        connections: [{ state: 'collected' }],
      })

      const { body } = await page.get('/records')
      expect(body.shared).toEqual([])
      const [record] = body.records
      expect(record.classes).toEqual([
        { dataClass: 'Patient', status: 'received', count: 1 },
        { dataClass: 'Laboratory', status: 'received', count: expect.any(Number) },
      ])
      const all = record.resources
      const shared = await page.send('POST', '/share', { signature: 'Ada', dataClasses: ['Laboratory'] })
      expect(shared.status).toBe(201)
      expect(shared.body.receipt.resources).toBeLessThan(all)
      expect(shared.body.withheld).toContainEqual({ dataClass: 'Patient', reason: 'not-agreed', count: 1 })
      expect(await packagesOf(shared.body.digest)).toBe('stored')
      expect((await page.get('/records')).body.shared).toMatchObject([{ digest: shared.body.digest }])
      await noteSecrets()

      const withdrawn = await page.send('POST', '/withdraw', {})
      expect(withdrawn.body).toMatchObject({
        complete: true,
        access: [{ server: 'revoked' }],
        study: { status: 'acknowledged', deleted: true },
      })
      expect(await packagesOf(shared.body.digest)).toBe('withdrawn')
      expect((await page.get('/records')).body).toEqual({ records: [], shared: [] })
      expect((await page.get('/connections')).body).toEqual([])
    } finally {
      Object.assign(process.stdout, { write: out })
      Object.assign(process.stderr, { write: err })
    }
    expect(secrets.size).toBeGreaterThanOrEqual(4)
    const bytes = [...portal.said, ...logged].join('\n')
    expect(bytes).toContain('event: done')
    for (const secret of secrets) expect(bytes).not.toContain(secret)
    // Neither is there anything of the record: no id of a resource, no reference, no text.
    expect(bytes).not.toMatch(/resourceType|Observation\/|"items"/)
  })

  test('with showItems a page lists what would be shared, and leaves one thing out', async () => {
    const { study } = town
    const portal = await town.openPortal({
      custody: { study, deliver: deliver(), showItems: true, nameInStudy: async () => 'p-0042' },
    })
    const page = await portal.connect()
    await page.collect()
    const [{ items }] = (await page.get('/records')).body.records
    expect(items[0]).toMatchObject({ key: expect.any(String), type: 'Patient' })
    const { status, body } = await page.send('POST', '/share', {
      signature: 'Ada',
      leaveOut: [items.at(-1).key],
    })
    expect([status, body.receipt.resources, body.receipt.participant]).toEqual([
      201,
      items.length - 1,
      'p-0042',
    ])
    expect(body.withheld).toContainEqual(expect.objectContaining({ reason: 'left-out', count: 1 }))
  })

  test('a double click shares once, and a study that did not answer is sent the same package again', async () => {
    const { study } = town
    const lossy = deliver()
    const portal = await town.openPortal({
      custody: { study, deliver: { ...lossy, deliver: once(lossy.deliver) } },
    })
    const page = await portal.connect()
    await page.collect()
    const first = await page.send('POST', '/share', { signature: 'Ada' })
    expect([first.status, first.body]).toEqual([503, { error: 'SHARE_UNREACHABLE', remedy: 'retry' }])
    const before = (await town.inbox.packages('sleep')).length
    const answers = await Promise.all([1, 2, 3].map(() => page.send('POST', '/share', { signature: 'Ada' })))
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201])
    expect(new Set(answers.map(({ body }) => body.receipt.id)).size).toBe(1)
    // What had arrived before is what arrived.
    expect((await town.inbox.packages('sleep')).length).toBe(before)
    // Other choices are another consent.
    const other = await page.send('POST', '/share', { signature: 'Ada', dataClasses: ['Patient'] })
    expect(other.body.digest).not.toBe(answers[0]?.body.digest)
    const { body } = await page.send('POST', '/withdraw')
    expect(body).toMatchObject({ complete: true, study: { deleted: true } })
    expect(body.study.shares.length).toBe(2)
  })

  test('a record that two tabs ask for is collected once, and the second follows the first', async () => {
    const portal = await town.openPortal()
    const page = await portal.connect()
    const letGo = holdLabs()
    const [one, two] = await Promise.all([page.send('POST', '/collect'), page.send('POST', '/collect')])
    expect(one.body.job).toBe(two.body.job)
    expect((await page.send('POST', '/share', { signature: 'Ada' })).body.error).toBe('collecting')
    letGo()
    await page.events()
    const reads = town.ehr.requests.filter(({ path }) => path.startsWith('/fhir/Patient'))
    expect(reads.length).toBe(1)
    // When it is over, it can be had anew.
    expect((await page.send('POST', '/collect')).body.job).not.toBe(one.body.job)
    await page.events()
    expect((await page.get('/records')).body.records.length).toBe(1)
  })

  test('who asks for one record and then for two has the first read once', async () => {
    const { ehr } = town
    const portal = await town.openPortal({ providers: [ehr.provider, { ...ehr.provider, id: 'second' }] })
    const page = await portal.connect()
    const leaving = await page.get('/connect/second')
    const back = await ehr.approve(leaving.headers.get('location') ?? '', { patient: 'camila' })
    await page.get(back.slice(portal.base.length))
    const [one, two] = (await page.get('/connections')).body
    const letGo = holdLabs()
    ehr.clearRequests()
    const first = await page.send('POST', '/collect', { connections: [one.id] })
    const both = await page.send('POST', '/collect', { connections: [one.id, two.id] })
    expect(both.body.job).not.toBe(first.body.job)
    letGo()
    const events = await page.events()
    expect(events.filter(({ type }) => type === 'collected')).toHaveLength(2)
    expect(ehr.requests.filter(({ path }) => path.startsWith('/fhir/Patient'))).toHaveLength(2)
    for (const { body } of [first, both])
      expect((await page.get(`/collect/${body.job}`)).body.connections[0].state).toBe('collected')
  })

  test('a hospital that fails is told as a code, and nothing of its words', async () => {
    const portal = await town.openPortal()
    const page = await portal.connect()
    town.ehr.faults.add({
      match: ({ path }) => path.startsWith('/fhir/'),
      respond: () => new Response('{"secret":"words of a hospital"}', { status: 401 }),
    })
    const { body } = await page.send('POST', '/collect')
    const failed = (await page.events()).find(({ type }) => type === 'failed')
    expect(failed?.data).toMatchObject({ state: 'failed', error: expect.stringMatching(/^(FHIR|TOKEN)_/) })
    expect((await page.get(`/collect/${body.job}`)).body.connections[0].state).toBe('failed')
    expect(portal.said.join()).not.toContain('words of a hospital')
    expect((await page.send('POST', '/share', { signature: 'Ada' })).body.error).toBe('SHARE_NOTHING')
  })

  test('T72 ending a connection stops its collection and wipes what came of it', async () => {
    const portal = await town.openPortal()
    const page = await portal.connect()
    await page.collect()
    const [{ id }] = (await page.get('/connections')).body
    const letGo = holdLabs()
    const { body } = await page.send('POST', '/collect')
    expect((await page.send('DELETE', `/connections/${id}`)).body).toMatchObject({ server: 'revoked' })
    letGo()
    await page.events()
    expect((await page.get(`/collect/${body.job}`)).body.connections[0].state).toBe('stopped')
    expect((await page.get('/records')).body.records).toEqual([])
    expect((await page.send('POST', '/collect')).status).toBe(409)
  })

  test('T72 withdrawing before anything was shared ends access and forgets', async () => {
    const portal = await town.openPortal()
    const page = await portal.connect()
    await page.collect()
    const { body } = await page.send('POST', '/withdraw')
    expect(body).toMatchObject({
      complete: true,
      access: [{ server: 'revoked' }],
      local: { status: 'wiped' },
    })
    expect(body.study).toBeUndefined()
    expect((await page.get('/records')).body.records).toEqual([])
  })

  test('stopping leaves what the study has, until the participant asks for that too', async () => {
    const portal = await town.openPortal()
    const page = await portal.connect()
    await page.collect()
    const { body } = await page.send('POST', '/share', { signature: 'Ada' })
    expect((await page.send('POST', '/withdraw', { ask: 'stop' })).body.study).toMatchObject({
      status: 'acknowledged',
      deleted: false,
    })
    expect((await page.send('POST', '/withdraw')).body.study).toMatchObject({ deleted: true })
    expect(await packagesOf(body.digest)).toBe('withdrawn')
  })

  test('what was collected is wiped when its time is over', async () => {
    const { study } = town
    const portal = await town.openPortal({ custody: { study, deliver: deliver(), keepSeconds: 1 } })
    const page = await portal.connect()
    const job = await page.collect()
    expect((await page.get('/records')).body.records.length).toBe(1)
    await expect.poll(async () => (await page.get('/records')).body.records.length, { timeout: 5000 }).toBe(0)
    await expect.poll(async () => (await page.get(`/collect/${job}`)).status, { timeout: 5000 }).toBe(404)
  })
})

describe('T50 what changes something', () => {
  let portal: Portal
  let page: Page
  beforeAll(async () => {
    portal = await town.openPortal()
    page = await portal.connect()
    await page.collect()
  })
  const routes = [
    ['POST', '/collect'],
    ['POST', '/share'],
    ['POST', '/withdraw'],
    ['DELETE', '/connections/x'],
  ] as const

  test.each(routes)(
    '%s %s is done for a page of the same origin only, in JSON, and for somebody',
    async (method, path) => {
      const own = portal.origin
      for (const headers of [
        { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
        { origin: 'null', 'sec-fetch-site': 'cross-site' },
        { origin: own, 'sec-fetch-site': 'same-site' },
        { origin: own, 'sec-fetch-site': 'none' },
        { origin: `${own}.evil.example` },
        { origin: own.replace('127.0.0.1', 'localhost') },
      ]) {
        const { status, body } = await page.send(method, path, {}, headers)
        expect([status, body]).toEqual([403, { error: 'origin' }])
      }
      const bare = await page.browser.go(portal.base + path, {
        method,
        headers: { 'content-type': 'application/json' },
      })
      expect(bare.status).toBe(403)
      for (const type of [
        'text/plain',
        'application/x-www-form-urlencoded',
        'multipart/form-data',
        'application/jsonp',
        '',
      ])
        expect((await page.send(method, path, {}, { 'content-type': type })).status).toBe(415)
      const nobody = await portal.newPage().send(method, path, {})
      expect([nobody.status, nobody.body]).toEqual([401, { error: 'participant' }])
      expect((await page.get('/connections')).body.length).toBe(1)
      expect((await page.get('/records')).body.records.length).toBe(1)
    },
  )

  test('a body that is none is refused in words of ours', async () => {
    const wrong: readonly (readonly [string, unknown, number, string])[] = [
      ['/collect', '{', 400, 'body'],
      ['/collect', '[]', 400, 'body'],
      ['/collect', 'null', 400, 'body'],
      ['/collect', { connections: 'x' }, 400, 'body'],
      ['/collect', { connections: [1] }, 400, 'body'],
      ['/collect', { connections: [] }, 409, 'no-connections'],
      ['/collect', { connections: ['x'] }, 404, 'unknown'],
      ['/collect', { pad: 'x'.repeat(1024 * 1024) }, 413, 'too-large'],
      ['/share', {}, 400, 'body'],
      ['/share', { signature: ' ' }, 400, 'body'],
      ['/share', { signature: 'Ada', dataClasses: 'Patient' }, 400, 'body'],
      ['/share', { signature: 'Ada', period: [] }, 400, 'body'],
      ['/share', { signature: 'Ada', period: { start: 5 } }, 400, 'body'],
      ['/share', { signature: 'Ada', givenBy: 'mother' }, 400, 'body'],
      ['/share', { signature: 'Ada', sharing: 'always' }, 400, 'body'],
      ['/share', { signature: 'Ada', dataClasses: ['Secrets'] }, 400, 'choices'],
      ['/share', { signature: 'Ada', dataClasses: [] }, 400, 'choices'],
      ['/share', { signature: 'Ada', period: { start: 'yesterday' } }, 400, 'choices'],
      ['/share', { signature: 'Ada', withhold: ['everything'] }, 400, 'choices'],
      ['/share', { signature: 'Ada', connections: ['x'] }, 404, 'unknown'],
      ['/share', { signature: 'Ada', connections: [] }, 409, 'SHARE_NOTHING'],
      ['/withdraw', { ask: 'forget' }, 400, 'body'],
    ]
    for (const [path, body, status, error] of wrong) {
      const answer = await page.send('POST', path, body)
      expect([path, body, answer.status, answer.body?.error]).toEqual([path, body, status, error])
    }
    expect(await portal.smart.connections()).toHaveLength(1)
  })

  test('a page of another site reads nothing either', async () => {
    for (const path of ['/connections', '/records', '/events', '/collect/x'])
      expect((await page.get(path, { 'sec-fetch-site': 'cross-site' })).status).toBe(403)
  })
})

describe('how much', () => {
  test('a participant who asks too often waits, and others do not', async () => {
    const portal = await town.openPortal({ limits: { perParticipant: 30 } })
    const [one, two] = [await portal.connect(), await portal.connect()]
    const answers = []
    for (let n = 0; n < 5; n++) answers.push(await one.send('POST', '/collect', { connections: [] }))
    expect(answers.map(({ status }) => status)).toEqual([409, 409, 409, 429, 429])
    expect(Number(answers.at(-1)?.headers.get('retry-after'))).toBeGreaterThan(10)
    expect((await two.get('/records')).status).toBe(200)
  })

  test('an address that asks too often waits, for everything but the public keys', async () => {
    const portal = await town.openPortal({
      limits: { perAddress: 10 },
      address: (request) => request.headers.get('x-from') ?? undefined,
    })
    const page = portal.newPage()
    const from = { 'x-from': '2001:db8:1:2::7' }
    for (let n = 0; n < 10; n++) expect((await page.get('/connections', from)).status).toBe(200)
    for (const path of ['/connections', '/connect/sandbox', '/callback', '/launch', '/nothing'])
      expect((await page.get(path, { 'x-from': '2001:DB8:1:2:9:9:9:9' })).status).toBe(429)
    expect((await page.get('/jwks.json', from)).status).toBe(200)
    expect((await page.get('/connections', { 'x-from': '2001:db8:1:3::7' })).status).toBe(200)
    expect((await page.get('/connections')).status).toBe(200)
  })

  test('when too many collect, the next is asked to come later', async () => {
    const { study } = town
    const portal = await town.openPortal({ custody: { study, deliver: deliver(), mostRunning: 1 } })
    const [one, two] = [await portal.connect(), await portal.connect()]
    const letGo = holdLabs()
    await one.send('POST', '/collect')
    const busy = await two.send('POST', '/collect')
    expect([busy.status, busy.body.error, busy.headers.get('retry-after')]).toEqual([503, 'busy', '30'])
    letGo()
    await one.events()
    expect((await two.send('POST', '/collect')).status).toBe(202)
    await two.events()
  })

  test.each([
    ['keepSeconds', { keepSeconds: 0 }],
    ['keepSeconds', { keepSeconds: Number.NaN }],
    ['mostRunning', { mostRunning: 1.5 }],
  ])('custody.%s that cannot work is refused at the start: %o', (name, wrong) => {
    const { study } = town
    const options: NodeClientOptions = {
      baseUrl: 'https://portal.example/smart',
      providers: [],
      plan: study.plan,
      afterConnect: '/',
      cookieSecret,
      custody: { study, deliver: deliver(), ...wrong },
    }
    let thrown: unknown
    try {
      createNodeClient(options)
    } catch (error) {
      thrown = error
    }
    expect(isSmartError(thrown) && [thrown.code, thrown.message]).toEqual([
      'CONFIG_INVALID',
      expect.stringContaining(name),
    ])
  })
})

const deliver = () => httpDelivery({ url: town.study.recipient, key: 'a-study-key-for-the-town' })

/** The first package arrives, and its receipt is lost on the way back. */
function once<Args extends readonly unknown[], Answer>(
  work: (...args: Args) => Promise<Answer>,
): (...args: Args) => Promise<Answer> {
  let lost = false
  return async (...args) => {
    const answer = await work(...args)
    if (lost) return answer
    lost = true
    throw new TypeError('the answer was lost')
  }
}
