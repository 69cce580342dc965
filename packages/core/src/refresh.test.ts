import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { type ScriptedEhr, scriptedEhr, tokens } from '../test-support/ehr.js'
import { passing } from '../test-support/passing.js'
import { json } from '../test-support/server.js'
import { createClient, isSmartError, type Platform, usCore } from './index.js'
import { type ManualClock, manualClock, memoryStore, processLock, testPlatform } from './testing/index.js'

const opened: ScriptedEhr[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map(({ server }) => server.stop()))
})
const codeOf = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.then(
    () => undefined,
    (caught: unknown) => caught,
  )
  return isSmartError(error) ? error.code : `no SmartError: ${String(error)}`
}

/** What a token endpoint does with one request: as it should, or cut at a step, or an error. */
type Step = 'serve' | 'cut-before' | 'cut-after' | 'half' | number

/** A server that rotates refresh tokens, and revokes all of a grant when a used one comes again. */
async function rotating(options: { readonly grace?: boolean } & Partial<Platform> = {}): Promise<
  ScriptedEhr & {
    readonly clock: ManualClock
    readonly steps: Step[]
    refreshes(): number
    revoked(): boolean
  }
> {
  const { grace = false, ...parts } = options
  const clock = manualClock()
  const one = await scriptedEhr({ platform: { clock, ...parts } })
  opened.push(one)
  const steps: Step[] = []
  let [current, before, number, refreshes, revoked] = ['refresh-1', '', 1, 0, false]
  one.answers.set('/token', ({ body }, response) => {
    const form = new URLSearchParams(body)
    if (form.get('grant_type') === 'authorization_code') return json(response, tokens)
    const step = steps.shift() ?? 'serve'
    if (step === 'cut-before') return void response.destroy()
    if (typeof step === 'number') return json(response, {}, step)
    const sent = form.get('refresh_token')
    if (revoked || (sent !== current && !(grace && sent === before))) {
      revoked = true
      return json(response, { error: 'invalid_grant' }, 400)
    }
    refreshes++
    number++
    before = current
    current = `refresh-${number}`
    const answer = JSON.stringify({ ...tokens, access_token: `access-${number}`, refresh_token: current })
    if (step === 'cut-after') return void response.destroy()
    if (step === 'half') {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length })
      response.write(answer.slice(0, answer.length / 2))
      return void setImmediate(() => response.destroy())
    }
    response.writeHead(200, { 'content-type': 'application/json' }).end(answer)
  })
  one.answers.set('/fhir/Patient/p1', ({ headers }, response) =>
    headers.authorization === `Bearer access-${number}` && !revoked
      ? json(response, { resourceType: 'Patient', id: 'p1' })
      : json(response, {}, 401),
  )
  return { ...one, clock, steps, refreshes: () => refreshes, revoked: () => revoked }
}

/** Clients that share a store and a lock, as tabs and processes do, each with its own connection. */
async function contexts(one: ScriptedEhr, count: number): Promise<{ read(): Promise<unknown> }[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const client = createClient({
        platform: { ...one.platform, store: { ...one.platform.store } },
        redirectUri: 'https://app.example/callback',
        providers: [one.provider],
        plan: usCore.only('Patient'),
      })
      const [connection] = await client.connections()
      return { read: async () => connection?.read('Patient', 'p1') }
    }),
  )
}

describe('at the moment of expiry', () => {
  test.each<[string, Step[]]>([
    ['nothing goes wrong', []],
    ['the connection is cut before the server has seen it', ['cut-before']],
    ['it is cut twice', ['cut-before', 'cut-before']],
    ['the server is down for a moment', [503]],
  ])(
    'M-08 T38 F39 F82 KF-05 G7 200 requests in 8 contexts refresh once and none fails: %s',
    async (_, steps) => {
      const one = await rotating()
      await one.connect()
      await one.clock.advance(3_600_000)
      one.steps.push(...steps)
      const all = await contexts(one, 8)
      const work = all.flatMap((context) => Array.from({ length: 25 }, () => context.read()))
      await passing(one.clock, Promise.all(work))
      expect([one.refreshes(), one.revoked()]).toEqual([1, false])
    },
  )

  test.each<[string, Step]>([
    ['lost', 'cut-after'],
    ['cut off in the middle', 'half'],
  ])(
    'F43 M-07 an answer that is %s after the server has rotated: a server that gives grace loses nobody',
    async (_, step) => {
      const one = await rotating({ grace: true })
      await one.connect()
      await one.clock.advance(3_600_000)
      one.steps.push(step)
      const all = await contexts(one, 8)
      await passing(one.clock, Promise.all(all.flatMap((context) => [context.read(), context.read()])))
      expect(one.revoked()).toBe(false)
    },
  )

  test('F43 T40 one that gives none ends the connection, and the error says why, once and for all', async () => {
    const one = await rotating()
    const connection = await one.connect()
    await one.clock.advance(3_600_000)
    one.steps.push('cut-after', 503, 503)
    expect(await codeOf(passing(one.clock, connection.read('Patient', 'p1')))).toBe('TOKEN_UNREACHABLE')
    const error = await passing(one.clock, connection.read('Patient', 'p1')).catch(
      (caught: unknown) => caught,
    )
    expect(error).toMatchObject({ code: 'TOKEN_ENDED', remedy: 'reconnect' })
    expect(String(error)).toContain('cut off')
    const before = one.server.heard.length
    expect(await codeOf(connection.read('Patient', 'p1'))).toBe('TOKEN_ENDED')
    expect(one.server.heard.length).toBe(before)
  })

  test('M-07 an early refresh whose answer is lost costs no request while the old token lives', async () => {
    const one = await rotating({ grace: true })
    const connection = await one.connect()
    await one.clock.advance(3_550_000)
    one.answers.set('/fhir/Patient/p1', (_, response) =>
      json(response, { resourceType: 'Patient', id: 'p1' }),
    )
    one.steps.push('cut-after')
    expect((await connection.read('Patient', 'p1')).id).toBe('p1')
    await connection.read('Patient', 'p1')
    // The second request did not try again at once.
    expect(one.tokenRequests().length).toBe(2)
  })
})

describe('clocks', () => {
  test('F51 J-18 F91 a clock that jumps a day ahead refreshes once, one that falls back relies on the 401', async () => {
    const one = await rotating()
    const connection = await one.connect()
    await one.clock.advance(86_400_000)
    await connection.read('Patient', 'p1')
    await connection.read('Patient', 'p1')
    expect(one.refreshes()).toBe(1)
    await one.clock.advance(-2 * 86_400_000)
    await connection.read('Patient', 'p1')
    expect(one.refreshes()).toBe(1)
    one.answers.set('/fhir/Patient/p1', ({ headers }, response) =>
      headers.authorization === 'Bearer access-3'
        ? json(response, { resourceType: 'Patient', id: 'p1' })
        : json(response, {}, 401),
    )
    await connection.read('Patient', 'p1')
    expect(one.refreshes()).toBe(2)
  })

  test('M-13 access that rested for eleven weeks is refreshed when it is needed', async () => {
    const one = await rotating()
    const connection = await one.connect()
    await one.clock.advance(77 * 86_400_000)
    expect((await connection.read('Patient', 'p1')).id).toBe('p1')
    expect(one.refreshes()).toBe(1)
  })

  test('M-14 V-04 access that ended with the session at the provider ends here as a normal thing', async () => {
    const one = await rotating()
    const connection = await one.connect()
    one.answers.set('/token', (_, response) => json(response, { error: 'invalid_grant' }, 400))
    await one.clock.advance(3_600_000)
    const error = await connection.read('Patient', 'p1').catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'TOKEN_ENDED', remedy: 'reconnect' })
  })
})

describe('G11 schedules of failure', () => {
  const failures: readonly (readonly [string, () => Response | Promise<Response>])[] = [
    ...[
      400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 413, 415, 421, 422, 423, 425, 426, 428, 429, 431, 451,
    ].map((status) => [`${status}`, () => new Response('{}', { status })] as const),
    ...[500, 501, 502, 503, 504, 505, 507, 508, 511, 520, 522, 525].map(
      (status) => [`${status} html`, () => new Response('<html>', { status })] as const,
    ),
    ['network', () => Promise.reject(new TypeError('fetch failed'))],
    ['captive portal', () => new Response('<html>Log in to the Wi-Fi</html>')],
    ['empty', () => new Response('')],
    ['null', () => new Response('null')],
    ['redirect', () => new Response(null, { status: 302, headers: { location: 'https://portal.example' } })],
    ['invalid_client', () => Response.json({ error: 'invalid_client' }, { status: 401 })],
    ['invalid_request', () => Response.json({ error: 'invalid_request' }, { status: 400 })],
    ['temporarily_unavailable', () => Response.json({ error: 'temporarily_unavailable' }, { status: 400 })],
  ]

  /** A connection whose token endpoint answers as it is told, without a server in between: there are 10,000 of them. */
  async function simulated(): Promise<{
    answer: { now: () => Response | Promise<Response> }
    clock: ManualClock
    client: ReturnType<typeof createClient>
  }> {
    const clock = manualClock()
    const answer = { now: (): Response | Promise<Response> => Response.json(tokens) }
    const fetch: Platform['fetch'] = async (input) =>
      String(input).endsWith('/token')
        ? answer.now()
        : String(input).includes('smart-configuration')
          ? Response.json({
              authorization_endpoint: 'https://ehr.example/a',
              token_endpoint: 'https://ehr.example/token',
            })
          : Response.json({ resourceType: 'Patient', id: 'p1' })
    const platform = testPlatform({
      clock: { ...clock, sleep: async (_, signal) => (signal ? clock.sleep(1, signal) : undefined) },
      fetch,
      store: memoryStore(),
      lock: processLock(),
    })
    const client = createClient({
      platform,
      redirectUri: 'https://app.example/callback',
      providers: [{ id: 'mercy', name: 'Mercy', iss: 'https://ehr.example/fhir', clientId: 'my-app' }],
      plan: usCore.only('Patient'),
    })
    const { state } = await client.authorize('mercy')
    await client.callback(`https://app.example/callback?code=c&state=${state}`)
    return { answer, clock, client }
  }

  test.each(failures)('T39 M-11 T53 KF-04 %s keeps the refresh token', async (_, fail) => {
    const { answer, clock, client } = await simulated()
    await clock.advance(3_600_000)
    answer.now = fail
    const [connection] = await client.connections()
    expect(await codeOf(connection?.read('Patient', 'p1') as Promise<unknown>)).toMatch(/^TOKEN_(?!ENDED)/)
    expect((await client.connections())[0]).toMatchObject({ access: 'ongoing', status: 'active' })
  })

  test('T39 M-11 in 10,000 random schedules no access is lost that the server did not end, and all that it did', async () => {
    expect(failures.length).toBeGreaterThanOrEqual(40)
    const { answer, clock, client } = await simulated()
    let lost = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: failures.length - 1 }), { maxLength: 4 }),
        async (schedule) => {
          const [connection] = await client.connections()
          for (const index of schedule) {
            await clock.advance(3_600_000)
            answer.now = failures[index]?.[1] ?? answer.now
            await connection?.read('Patient', 'p1').catch(() => {})
          }
          answer.now = () => Response.json({ ...tokens, refresh_token: `r${Math.floor(clock.now())}` })
          await clock.advance(3_600_000)
          await connection?.read('Patient', 'p1').catch(() => lost++)
        },
      ),
      { numRuns: 10_000 },
    )
    expect(lost).toBe(0)
    answer.now = () => Response.json({ error: 'invalid_grant' }, { status: 400 })
    await clock.advance(3_600_000)
    const [connection] = await client.connections()
    expect(await codeOf(connection?.read('Patient', 'p1') as Promise<unknown>)).toBe('TOKEN_ENDED')
  }, 60_000)
})
