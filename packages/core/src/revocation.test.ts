import { type Sandbox, startSandbox } from '@s4s/sandbox'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { seeded } from '../test-support/seeded.js'
import { ambientClock } from './ambient.js'
import { type Client, type Connection, createClient, type Store, usCore } from './index.js'
import type { Fetch, Platform } from './ports.js'
import { manualClock, memoryStore, processLock, testPlatform } from './testing/index.js'

let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await startSandbox({ id: 'mercy', name: 'Mercy Hospital', people: ['leo'] })
})
afterAll(() => sandbox.stop())

const clientOf = (parts: Partial<Platform>): Client =>
  createClient({
    platform: testPlatform(parts),
    redirectUri: 'http://127.0.0.1:9/callback',
    providers: [sandbox.provider],
    plan: usCore.only('Patient'),
  })

async function connect(client: Client): Promise<Connection> {
  const { url } = await client.authorize('mercy')
  return client.callback(await sandbox.approve(url))
}

// Deadlines of half a minute are over in a third of a second; nobody waits for a silent server.
const hurried: Platform['clock'] = {
  now: ambientClock.now,
  sleep: (milliseconds, signal) => ambientClock.sleep(milliseconds / 100, signal),
}

const never = new Promise<never>(() => {})

test('G20 T72 through an unreliable network, and an app that is killed in between, 100 of 100 revocations arrive', async () => {
  const store = memoryStore()
  let [killed, cut, finishedAtOnce] = [0, 0, 0]
  for (let run = 1; run <= 100; run++) {
    const random = seeded(run)
    /** How often the app heard that a token is revoked, by kind of token. */
    const confirmed = new Map<string, Set<string>>()
    let heard = 0
    /** One life of the app, with a lock that dies with it. */
    const live = async (work: (client: Client) => Promise<unknown>): Promise<void> => {
      let alive = true
      let kill = (): void => {}
      const death = new Promise<void>((resolve) => {
        kill = () => {
          alive = false
          killed++
          resolve()
        }
      })
      const fetch: Fetch = async (input, init) => {
        if (!alive) return never
        if (!String(input).endsWith('/revocation')) return sandbox.fetch(input, init)
        const before = random()
        if (before < 0.5) cut++
        if (before < 0.15) throw new TypeError('fetch failed')
        if (before < 0.3) return Response.json({}, { status: 500 + Math.floor(random() * 5) })
        if (before < 0.33) return Response.json({}, { status: 429 })
        if (before < 0.37) return never
        if (before < 0.5) {
          kill()
          return never
        }
        const answer = await sandbox.fetch(input, init)
        const after = random()
        if (after < 0.2) throw new TypeError('fetch failed')
        if (after < 0.3) {
          kill()
          return never
        }
        const form = new URLSearchParams(String(init?.body))
        const kind = form.get('token_type_hint') ?? ''
        heard++
        confirmed.set(kind, (confirmed.get(kind) ?? new Set()).add(form.get('token') ?? ''))
        return answer
      }
      const whileAlive = <A extends unknown[], T>(act: (...given: A) => Promise<T>) => {
        return (...given: A): Promise<T> => (alive ? act(...given) : never)
      }
      const mine: Store = {
        get: whileAlive(store.get),
        set: whileAlive(store.set),
        delete: whileAlive(store.delete),
        keys: whileAlive(store.keys),
      }
      await Promise.race([work(clientOf({ fetch, store: mine, lock: processLock(), clock: hurried })), death])
    }
    const connection = await connect(clientOf({ fetch: sandbox.fetch, store }))
    const [stored] = await store.keys('connection/')
    const { accessToken, refreshToken } = JSON.parse((await store.get(stored ?? '')) ?? '{}')
    await live(async (client) => (await client.connections())[0]?.revoke())
    // Whatever happened to the message, nothing is left here but the note.
    expect([run, await store.keys('connection/')]).toEqual([run, []])
    if ((await store.keys('revocation/')).length === 0) finishedAtOnce++
    for (let start = 0; start < 200 && (await store.keys('revocation/')).length > 0; start++)
      await live((client) => client.finishRevocations())
    expect([run, await store.keys('revocation/')]).toEqual([run, []])
    // Each was confirmed once: what the app has heard, it never asks again.
    expect([run, heard, [...confirmed].flatMap(([kind, tokens]) => [kind, ...tokens])]).toEqual([
      run,
      2,
      ['refresh_token', refreshToken, 'access_token', accessToken],
    ])
    const read = await sandbox.fetch(`${sandbox.iss}/Patient/${connection.patient}`, {
      headers: { authorization: `Bearer ${accessToken}` },
    })
    expect([run, read.status]).toEqual([run, 401])
  }
  // The network was as bad as it was meant to be.
  expect([killed > 30, cut > 100, finishedAtOnce < 80]).toEqual([true, true, true])
}, 120_000)

test('V-02 a connection that is made anew while the last one waits to be revoked takes nothing from it', async () => {
  const clock = manualClock()
  const platform = { fetch: sandbox.fetch, store: memoryStore(), lock: processLock(), clock }
  const client = clientOf(platform)
  const refuse = sandbox.faults.add({
    match: ({ path }) => path.endsWith('/revocation'),
    respond: () => Response.json({}, { status: 503 }),
  })
  expect(await (await connect(client)).revoke()).toMatchObject({ server: 'queued' })
  await clock.advance(60_000)
  expect(await (await connect(client)).revoke()).toMatchObject({ server: 'queued' })
  refuse()
  expect(await client.finishRevocations()).toMatchObject([{ server: 'revoked' }, { server: 'revoked' }])
})

test('V-02 a revocation under way and one who finishes revocations tell the server once', async () => {
  const platform = { store: memoryStore(), lock: processLock() }
  let go = (): void => {}
  const held = new Promise<void>((resolve) => {
    go = resolve
  })
  const told: string[] = []
  const fetch: Fetch = async (input, init) => {
    if (String(input).endsWith('/revocation')) {
      told.push(new URLSearchParams(String(init?.body)).get('token_type_hint') ?? '')
      await held
    }
    return sandbox.fetch(input, init)
  }
  const [client, other] = [clientOf({ ...platform, fetch }), clientOf({ ...platform, fetch })]
  const ending = (await connect(client)).revoke()
  await expect.poll(() => told.length).toBe(1)
  const finishing = other.finishRevocations()
  go()
  expect(await ending).toMatchObject({ server: 'revoked' })
  expect(await finishing).toEqual([])
  expect(told).toEqual(['refresh_token', 'access_token'])
})
