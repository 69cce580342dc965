import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createSessions } from '../cookie.js'
import { cookieSecret, openTown, type Page, type Portal, type Said, type Town } from './test-support/town.js'

// Ann has all that a participant can have here; whoever else asks, with whatever they hold, learns and changes nothing.

let town: Town
beforeAll(async () => {
  town = await openTown()
})
afterAll(() => town.stop())

interface Ann {
  readonly page: Page
  readonly connection: string
  readonly job: string
  readonly event: string
  readonly digest: string
}

async function settle(portal: Portal, page: Page): Promise<Ann> {
  const { body } = await page.send('POST', '/collect')
  const events = await page.events()
  const shared = await page.send('POST', '/share', { signature: 'Ann' })
  const [{ id }] = (await page.get('/connections')).body
  expect([shared.status, events.at(-1)?.type]).toEqual([201, 'done'])
  expect(portal.base).toContain('/smart')
  return { page, connection: id, job: body.job, event: events[0]?.id ?? '', digest: shared.body.digest }
}

/** Every route that takes or gives something of a participant, with an id of Ann's or one that nobody has. */
const requests: readonly {
  readonly name: string
  readonly send: (page: Page, ids: Ids, headers: Record<string, string>) => Promise<Said>
  /** What one who is somebody hears; nobody hears 401, and of connections that there are none. */
  readonly status: number
  /** What one with connections and records of their own hears. */
  readonly own?: number
}[] = [
  { name: 'GET connections', send: (page, _, headers) => page.get('/connections', headers), status: 200 },
  {
    name: 'DELETE connections/:id',
    send: (page, { connection }, headers) => page.send('DELETE', `/connections/${connection}`, {}, headers),
    status: 404,
  },
  {
    name: 'POST collect',
    send: (page, { connection }, headers) =>
      page.send('POST', '/collect', { connections: [connection] }, headers),
    status: 404,
  },
  {
    name: 'GET collect/:job',
    send: (page, { job }, headers) => page.get(`/collect/${job}`, headers),
    status: 404,
  },
  {
    name: 'GET events',
    send: (page, { event }, headers) => page.get('/events', { 'last-event-id': event, ...headers }),
    status: 204,
    own: 200,
  },
  { name: 'GET records', send: (page, _, headers) => page.get('/records', headers), status: 200 },
  {
    name: 'POST share',
    send: (page, { connection }, headers) =>
      page.send('POST', '/share', { signature: 'Eve', connections: [connection] }, headers),
    status: 404,
  },
]

interface Ids {
  readonly connection: string
  readonly job: string
  readonly event: string
}

const saidOf = ({ status, headers, text }: Said): unknown => [
  status,
  [...headers].filter(([name]) => !['date', 'transfer-encoding', 'content-length'].includes(name)),
  text,
]

describe('T50 one participant never reaches what is another’s', () => {
  test('by no route, with any cookie, id, job or event: the answer is the one for what does not exist', async () => {
    const portal = await town.openPortal()
    const ann = await settle(portal, await portal.connect())
    const bob = await portal.connect()
    const stray = portal.newPage()
    await stray.get(`/connect/${town.ehr.provider.id}`)
    const [[name, cookie] = ['', '']] = [...ann.page.browser.cookies]
    const [[, other] = ['', '']] = [...bob.browser.cookies]
    const forger = await createSessions([`${cookieSecret}!`], false)
    const forged = (await forger.write(await forger.open(new Request(portal.base)))).split(/[=;]/)[1] ?? ''
    const before = await stateOf(portal, ann)

    const nobody = fc
      .oneof(
        fc.constantFrom('', forged, `${cookie}x`, cookie.slice(1), cookie.split('.').reverse().join('.')),
        fc.constantFrom(`${cookie}; ${name}=${other}`, `${other}; ${name}=${cookie}`, `"${cookie}"`),
        fc.constant(cookie.split('.').slice(0, 3).join('.') + other.slice(other.lastIndexOf('.'))),
        fc
          .tuple(fc.nat(cookie.length - 2), fc.constantFrom('A', 'b', '9', '-'))
          .filter(([at, letter]) => cookie[at] !== letter)
          .map(([at, letter]) => cookie.slice(0, at) + letter + cookie.slice(at + 1)),
        fc.base64String({ maxLength: 300 }),
      )
      .map((value) => ({ who: 'nobody' as const, value }))
    const somebody = fc.constantFrom(
      { who: 'bob' as const, value: other },
      { who: 'stray' as const, value: '' },
    )

    let asked = 0
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...requests),
        fc.oneof(nobody, somebody),
        async (request, { who, value }) => {
          const page = who === 'bob' ? bob : who === 'stray' ? stray : portal.newPage()
          if (who === 'nobody') page.browser.cookies.set(name, value)
          const real = await request.send(page, ann, {})
          const made = await request.send(page, madeUp(ann), {})
          expect(saidOf(real)).toEqual(saidOf(made))
          for (const secret of [ann.connection, ann.job, ann.digest]) expect(real.text).not.toContain(secret)
          const free = who === 'nobody' && request.name === 'GET connections'
          expect(real.status).toBe(who === 'nobody' ? (free ? 200 : 401) : request.status)
          if (free) expect(real.text).toBe('[]')
          asked += 1
        },
      ),
      { numRuns: 300 },
    )
    expect(asked).toBe(300)
    // Neither does a whole withdrawal by another touch what is hers.
    expect((await bob.send('POST', '/withdraw')).body.access).toHaveLength(1)
    expect((await stray.send('POST', '/withdraw')).body.access).toEqual([])
    expect(await stateOf(portal, ann)).toEqual(before)
  })

  test('also where both have everything: each hears of their own connection, record, share and events alone', async () => {
    const portal = await town.openPortal({
      participant: async (request) => request.headers.get('x-user') ?? undefined,
    })
    // The app says who it is: the browser's cookie of ours, swapped or not, decides nothing.
    const [ann, bob] = [await enter(portal, 'ann'), await enter(portal, 'bob')]
    for (const [one, two] of [
      [ann, bob],
      [bob, ann],
    ] as const) {
      for (const [name, value] of one.page.browser.cookies) two.page.browser.cookies.set(name, value)
      const user = { 'x-user': two.user }
      for (const request of requests) {
        const real = await request.send(two.page, one, user)
        const made = await request.send(two.page, madeUp(one), user)
        expect([request.name, saidOf(real)]).toEqual([request.name, saidOf(made)])
        expect([request.name, real.status]).toEqual([request.name, request.own ?? request.status])
        for (const secret of [one.connection, one.job, one.digest]) expect(real.text).not.toContain(secret)
      }
      const { records, shared } = (await two.page.get('/records', user)).body
      expect(records.map(({ connection }: Ids) => connection)).toEqual([two.connection])
      expect(shared.map(({ digest }: Ann) => digest)).toEqual([two.digest])
    }
    expect(ann.digest).not.toBe(bob.digest)
  })

  test('a body that names another participant is about the one who sends it', async () => {
    const portal = await town.openPortal({
      participant: async (request) => request.headers.get('x-user') ?? undefined,
    })
    const [ann, bob] = [await enter(portal, 'anna'), await enter(portal, 'bobby')]
    const body = { signature: 'Eve', participant: 'anna', nameInStudy: 'anna', dataClasses: ['Patient'] }
    const { receipt } = (await bob.page.send('POST', '/share', body, { 'x-user': 'bobby' })).body
    expect(receipt.participant).toBe('bobby')
    await bob.page.send('POST', '/withdraw', { participant: 'anna' }, { 'x-user': 'bobby' })
    const { records, shared } = (await ann.page.get('/records', { 'x-user': 'anna' })).body
    expect([records.length, shared.length]).toEqual([1, 1])
    expect(await portal.smart.connections({ participant: 'anna' })).toHaveLength(1)
    expect(await portal.smart.connections({ participant: 'bobby' })).toEqual([])
  })

  test('no name of a participant is a way into what is kept beside', async () => {
    const names = ['ann', 'ann/', 'ann/share', '../ann', '__proto__', 'constructor', 'ANN', 'ann ', 'änn']
    let who = ''
    const portal = await town.openPortal({ participant: async () => who })
    who = 'ann'
    const ann = await settle(portal, await portal.connect())
    for (const name of names.slice(1)) {
      who = name
      const page = portal.newPage()
      expect((await page.get('/records')).body).toEqual({ records: [], shared: [] })
      expect((await page.get(`/collect/${ann.job}`)).status).toBe(404)
      expect((await page.get('/connections')).body).toEqual([])
    }
    for (const key of await portal.store.keys('custody/')) expect(key).not.toContain('ann')
  })
})

async function enter(portal: Portal, user: string): Promise<Ann & { readonly user: string }> {
  const page = portal.newPage()
  const headers = { 'x-user': user }
  const leaving = await page.get(`/connect/${town.ehr.provider.id}`, headers)
  const callback = await town.ehr.approve(leaving.headers.get('location') ?? '', { patient: 'camila' })
  await page.get(callback.slice(portal.base.length), headers)
  const { get, send } = page
  const signed: Page = {
    ...page,
    get: (path, more = {}) => get(path, { ...headers, ...more }),
    send: (method, path, body, more = {}) => send(method, path, body, { ...headers, ...more }),
    events: async () => {
      const { text } = await get('/events', headers)
      return [...text.matchAll(/^id: (.*)\nevent: (.*)$/gm)].map(([, id = '', type = '']) => ({
        id,
        type,
        data: {},
      }))
    },
  }
  return { ...(await settle(portal, signed)), user }
}

async function stateOf(portal: Portal, { page, job, digest }: Ann): Promise<unknown> {
  const stored = (await town.inbox.packages('sleep')).find((row) => row.digest === digest)
  return [
    (await page.get('/connections')).body,
    (await page.get('/records')).body,
    (await page.get(`/collect/${job}`)).body,
    (await page.get('/events')).text,
    stored?.status,
    (await portal.store.keys('custody/')).length,
  ]
}

/** Ids of the same form, that nobody has. */
function madeUp({ connection, job, event }: Ids): Ids {
  const turned = (text: string): string => [...text].reverse().join('')
  return { connection: turned(connection), job: turned(job), event: `${turned(event.split('.')[0] ?? '')}.1` }
}
