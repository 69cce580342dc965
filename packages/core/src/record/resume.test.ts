import { type Sandbox, startSandbox } from '@s4s/sandbox'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  type CollectOptions,
  type Connection,
  checkpointOf,
  collect,
  createClient,
  type PatientRecord,
  type Platform,
  usCore,
} from '../index.js'
import { testPlatform } from '../testing/index.js'

let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await startSandbox({ people: ['leo', 'daniel'] })
})
afterAll(() => sandbox.stop())
beforeEach(() => {
  sandbox.faults.clear()
  sandbox.clearRequests()
})

/** A platform that can be stopped dead: from then on nothing is fetched, nothing kept, and nothing answers. */
function mortal(over: Platform): { platform: Platform; dieAfter(requests: number): Promise<void> } {
  let left = Number.POSITIVE_INFINITY
  let died = (): void => {}
  const gone = new Promise<never>(() => {})
  const alive = (): boolean => left > 0
  const platform: Platform = {
    ...over,
    fetch: async (input, init) => {
      if (!alive()) return gone
      const answer = await over.fetch(input, init)
      left--
      if (!alive()) died()
      return alive() ? answer : gone
    },
    store: {
      get: (key) => (alive() ? over.store.get(key) : gone),
      set: (key, value) => (alive() ? over.store.set(key, value) : gone),
      delete: (key) => (alive() ? over.store.delete(key) : gone),
      keys: (prefix) => (alive() ? over.store.keys(prefix) : gone),
    },
  }
  return {
    platform,
    dieAfter: (requests) =>
      new Promise((resolve) => {
        left = requests
        died = resolve
      }),
  }
}

const clientOn = (platform: Platform) =>
  createClient({
    platform,
    redirectUri: 'http://127.0.0.1:9/callback',
    providers: [sandbox.provider],
    plan: usCore,
  })
async function connect(platform: Platform, patient: string): Promise<Connection> {
  const client = clientOn(platform)
  const { url } = await client.authorize(sandbox.provider.id)
  return client.callback(await sandbox.approve(url, { patient }))
}
async function reopen(platform: Platform): Promise<Connection> {
  const [connection] = await clientOn(platform).connections()
  if (!connection) throw new Error('no connection')
  return connection
}
const at = (platform: Platform): CollectOptions['platform'] => ({
  crypto: platform.crypto,
  clock: { ...platform.clock, now: () => Date.UTC(2026, 0, 1) },
})
const whole = (record: PatientRecord): unknown => ({
  lines: Object.keys(record.types()).map((type) => [type, [...record.lines(type)]]),
  completeness: record.completeness,
  issues: record.issues.map((issue) => JSON.stringify(issue)).sort(),
  attachments: record.attachments.map(({ source, status, sha256 }) => [source, status, sha256].join()).sort(),
  times: [record.startedAt, record.collectedAt],
})
const fetched = (): string[] =>
  sandbox.requests
    .filter(({ path }) => path.startsWith('/fhir/') && !path.includes('well-known'))
    .map(({ path }) => path)

describe('PR-09 a collection that was cut off goes on where it was', () => {
  test('F76 G8 at 200 points, to the same record, and nothing but what was under way is fetched twice', async () => {
    const over = testPlatform()
    const connection = await connect(over, 'leo')
    sandbox.clearRequests()
    const straight = await collect(connection, { plan: usCore, platform: at(over) as never })
    const requests = fetched().length
    expect(requests).toBeGreaterThan(30)
    let twice = 0
    for (let point = 0; point < 200; point++) {
      sandbox.clearRequests()
      const { platform, dieAfter } = mortal(over)
      const first = await reopen(platform)
      const dead = dieAfter(1 + (point % requests))
      const cut = collect(first, {
        plan: usCore,
        checkpoint: checkpointOf(first),
        platform: at(platform) as never,
      })
      await Promise.race([dead, cut])
      const second = await reopen(over)
      const record = await collect(second, {
        plan: usCore,
        checkpoint: checkpointOf(second),
        platform: at(over) as never,
      })
      expect(whole(record)).toEqual(whole(straight))
      const seen = fetched()
      // Lost is what was under way: of four queries the page in hand and the one after it, and two for references.
      const again = seen.length - new Set(seen).size
      expect(again).toBeLessThanOrEqual(10)
      twice += again
      expect(await over.store.keys('checkpoint/')).toEqual([])
    }
    expect(twice / 200).toBeLessThan(5)
  }, 120_000)

  test('of a long search too, from the page that it had', async () => {
    const over = testPlatform()
    const connection = await connect(over, 'daniel')
    const plan = usCore.only('Laboratory')
    const straight = await collect(connection, { plan, platform: at(over) as never })
    sandbox.clearRequests()
    const { platform, dieAfter } = mortal(over)
    const first = await reopen(platform)
    const options = { plan, checkpoint: checkpointOf(first), platform: at(platform) as never }
    const dead = dieAfter(2)
    await Promise.race([dead, collect(first, options)])
    const before = fetched().length
    const second = await reopen(over)
    const record = await collect(second, {
      plan,
      checkpoint: checkpointOf(second),
      platform: at(over) as never,
    })
    expect(whole(record)).toEqual(whole(straight))
    expect(before).toBeGreaterThan(0)
    expect(new Set(fetched()).size).toBeGreaterThanOrEqual(fetched().length - 1)
  })

  test('a page that has expired meanwhile begins the search again, to the same record', async () => {
    const over = testPlatform()
    const connection = await connect(over, 'daniel')
    const plan = usCore.only('Laboratory')
    const straight = await collect(connection, { plan })
    const { platform, dieAfter } = mortal(over)
    const first = await reopen(platform)
    const dead = dieAfter(2)
    await Promise.race([dead, collect(first, { plan, checkpoint: checkpointOf(first) })])
    sandbox.faults.add({
      match: ({ path }) => path.includes('_page='),
      respond: () => new Response('{}', { status: 410 }),
      times: 1,
    })
    const second = await reopen(over)
    const record = await collect(second, { plan, checkpoint: checkpointOf(second) })
    expect([...record.lines('Observation')]).toEqual([...straight.lines('Observation')])
    expect(record.completeness[0]?.status).toBe('received')
  })

  test('what was kept of another plan, another grant or nonsense is not gone on with', async () => {
    const over = testPlatform()
    const connection = await connect(over, 'leo')
    const { platform, dieAfter } = mortal(over)
    const first = await reopen(platform)
    const dead = dieAfter(8)
    await Promise.race([dead, collect(first, { plan: usCore, checkpoint: checkpointOf(first) })])
    expect((await over.store.keys('checkpoint/')).length).toBeGreaterThan(2)
    const plan = usCore.only('Goals')
    const record = await collect(connection, { plan, checkpoint: checkpointOf(connection) })
    expect(record.completeness.length).toBe(1)
    for (const line of [
      '',
      'x',
      '{}',
      '[]',
      'null',
      '{"head":5}',
      '{"kind":"page","key":"","entries":[[1]]}',
    ]) {
      await over.store.set(`checkpoint/${connection.id}/000000000-x`, line)
      expect(
        whole(
          await collect(connection, {
            plan,
            checkpoint: checkpointOf(connection),
            platform: at(over) as never,
          }),
        ),
      ).toEqual(whole(await collect(connection, { plan, platform: at(over) as never })))
    }
  })

  test('T72 a connection that is revoked takes its checkpoint along', async () => {
    const over = testPlatform()
    await connect(over, 'leo')
    const { platform, dieAfter } = mortal(over)
    const first = await reopen(platform)
    const dead = dieAfter(8)
    await Promise.race([dead, collect(first, { plan: usCore, checkpoint: checkpointOf(first) })])
    expect((await over.store.keys('checkpoint/')).length).toBeGreaterThan(2)
    await (await reopen(over)).revoke()
    expect(await over.store.keys('checkpoint/')).toEqual([])
  })

  test('G20 T72 a collection that goes on while its connection is revoked leaves nothing behind', async () => {
    const over = testPlatform()
    const connection = await connect(over, 'leo')
    let revoked: Promise<unknown> | undefined
    const other = await reopen(over)
    await collect(connection, {
      plan: usCore,
      checkpoint: checkpointOf(connection),
      onProgress: () => {
        revoked ??= other.revoke()
      },
    }).catch(() => {})
    await revoked
    expect(await over.store.keys('checkpoint/')).toEqual([])
  })

  test('two tabs that collect at once both have the whole record', async () => {
    const over = testPlatform()
    await connect(over, 'leo')
    const [one, other] = [await reopen(over), await reopen(over)]
    const straight = await collect(one, { plan: usCore })
    const records = await Promise.all(
      [one, other].map((connection) =>
        collect(connection, { plan: usCore, checkpoint: checkpointOf(connection) }),
      ),
    )
    for (const record of records)
      for (const type of Object.keys(straight.types()))
        expect([...record.lines(type)]).toEqual([...straight.lines(type)])
  })

  test('what is older than a day is asked again', async () => {
    const over = testPlatform()
    await connect(over, 'leo')
    const { platform, dieAfter } = mortal(over)
    const first = await reopen(platform)
    const dead = dieAfter(12)
    await Promise.race([
      dead,
      collect(first, { plan: usCore, checkpoint: checkpointOf(first), platform: at(platform) as never }),
    ])
    sandbox.clearRequests()
    const second = await reopen(over)
    // The first began at the turn of the year, the second begins today.
    const record = await collect(second, {
      plan: usCore,
      checkpoint: checkpointOf(second),
      platform: { crypto: over.crypto, clock: { ...over.clock, now: () => Date.UTC(2026, 0, 3) } },
    })
    expect(record.startedAt).toEqual(new Date(Date.UTC(2026, 0, 3)))
    expect(fetched().filter((path) => path === '/fhir/Patient/leo').length).toBe(1)
  })

  test('L-04 a next page that was kept and leads elsewhere is not followed, and bad bytes stop nothing', async () => {
    const evil: string[] = []
    const over = testPlatform()
    const spying: Platform = {
      ...over,
      fetch: (input, init) => {
        if (String(input).includes('evil')) evil.push(String(input))
        return over.fetch(input, init)
      },
    }
    await connect(spying, 'daniel')
    const plan = usCore.only('Laboratory')
    const { platform, dieAfter } = mortal(spying)
    const first = await reopen(platform)
    const dead = dieAfter(2)
    await Promise.race([dead, collect(first, { plan, checkpoint: checkpointOf(first) })])
    const keys = await over.store.keys('checkpoint/')
    for (const key of keys) {
      const line = (await over.store.get(key)) ?? ''
      await over.store.set(
        key,
        line.replace(/"next":"[^"]*"/, '"next":"https://evil.example/fhir/Observation?_page=1"'),
      )
    }
    const last = keys.sort().at(-1) ?? ''
    await over.store.set(`${last}x`, '{"kind":"file","key":"x","data":"%%%"}')
    await over.store.set(`${last}y`, '{"kind":"page","key":"z","number":0,"search":{},"outcomes":[null]}')
    const second = await reopen(spying)
    const record = await collect(second, { plan, checkpoint: checkpointOf(second) })
    expect(evil).toEqual([])
    expect(record.completeness[0]?.status).toBe('truncated')
  })
})
