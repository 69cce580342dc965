import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type Sandbox, startSandbox } from '@s4s/sandbox'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { json, startServer } from '../../test-support/server.js'
import { selfSigned } from '../../test-support/tls.js'
import { type Connection, collect, createClient, isSmartError, type PatientRecord, usCore } from '../index.js'
import { testPlatform } from '../testing/index.js'
import { vendors } from '../vendors/index.js'

let sandbox: Sandbox
let connection: Connection
let whole: readonly string[]
beforeAll(async () => {
  sandbox = await startSandbox({ people: ['camila'] })
  connection = await connect()
  whole = keysOf(await collect(connection, { plan: usCore }))
})
afterAll(() => sandbox.stop())
beforeEach(() => {
  sandbox.faults.clear()
  sandbox.clearRequests()
})

async function connect(): Promise<Connection> {
  const client = createClient({
    // Waits take no time: what is asked is whether it goes on, not when.
    platform: testPlatform(),
    redirectUri: 'http://127.0.0.1:9/callback',
    providers: [sandbox.provider],
    plan: usCore,
  })
  const { url } = await client.authorize(sandbox.provider.id)
  return client.callback(await sandbox.approve(url, { patient: 'camila' }))
}

const keysOf = (record: PatientRecord): string[] =>
  [...record.resources()].map(({ resourceType, id }) => `${resourceType}/${id}`).sort()
const rowOf = (record: PatientRecord, name: string) =>
  record.completeness.find(({ dataClass }) => dataClass === name)
const fhir = (body: string | Uint8Array<ArrayBuffer>, init: ResponseInit = {}): Response =>
  new Response(body, { ...init, headers: { 'content-type': 'application/fhir+json', ...init.headers } })

/** Every request for conditions is answered like this. */
function conditions(respond: () => Response | 'drop'): void {
  sandbox.faults.add({ match: ({ path }) => path.startsWith('/fhir/Condition'), respond })
}
const others = (): readonly string[] => whole.filter((key) => !/^(Condition|Provenance)\//.test(key))
const bundle = (...resources: object[]): string =>
  JSON.stringify({
    resourceType: 'Bundle',
    type: 'searchset',
    entry: resources.map((resource) => ({ resource, search: { mode: 'match' } })),
  })
const condition = (id: unknown, more: object = {}): object => ({
  resourceType: 'Condition',
  id,
  subject: { reference: 'Patient/camila' },
  ...more,
})

describe('4a what one search meets costs nothing but itself', () => {
  test.each([
    ['F6 403', () => fhir('{}', { status: 403 }), 'refused', 'FHIR_FORBIDDEN'],
    ['F7 404', () => fhir('{}', { status: 404 }), 'not-supported', 'FHIR_NOT_FOUND'],
    ['F7 501', () => fhir('{}', { status: 501 }), 'not-supported', 'FHIR_NOT_FOUND'],
    [
      'F12 F64 the page of a portal',
      () => new Response('<html>Sign in</html>', { headers: { 'content-type': 'text/html' } }),
      'failed',
      'FHIR_RESPONSE_INVALID',
    ],
    [
      'F64 a redirect to a portal',
      () => new Response(null, { status: 302, headers: { location: 'http://127.0.0.1:9/login' } }),
      'failed',
      'FHIR_REDIRECTED',
    ],
    ['F14 null', () => fhir('null'), 'failed', 'FHIR_RESPONSE_INVALID'],
    ['F14 nothing', () => fhir(''), 'failed', 'FHIR_RESPONSE_INVALID'],
    ['F15 half a page', () => fhir(bundle(condition('c1')).slice(0, -20)), 'failed', 'FHIR_RESPONSE_INVALID'],
    [
      'F15 bytes after the end',
      () => fhir(`${bundle(condition('c1'))}}}`),
      'failed',
      'FHIR_RESPONSE_INVALID',
    ],
    ['F16 another resource', () => fhir(JSON.stringify(condition('c1'))), 'failed', 'FHIR_RESPONSE_INVALID'],
    [
      'F29 T61 200,000 levels',
      () => fhir(`{"resourceType":"Bundle","entry":${'['.repeat(200_000)}${']'.repeat(200_000)}}`),
      'failed',
      'FHIR_RESPONSE_INVALID',
    ],
    [
      'F35 an answer that comes later',
      () => fhir('', { status: 202, headers: { 'content-location': '/fhir/async/1' } }),
      'failed',
      'FHIR_RESPONSE_INVALID',
    ],
  ] as const)('%s', async (_, respond, status, reason) => {
    conditions(respond)
    const record = await collect(connection, { plan: usCore })
    expect(rowOf(record, 'Problems')).toMatchObject({ status, reason, count: 0 })
    expect(keysOf(record).filter((key) => !key.startsWith('Provenance/'))).toEqual(others())
    // Nothing was asked of anybody else.
    expect(sandbox.requests.every(({ path }) => !path.includes('async'))).toBe(true)
  })

  test('F13 T64 JSON under another name, with a byte order mark, and text that is not UTF-8 are read', async () => {
    const text = bundle(condition('c1', { code: { text: 'x' } }))
    const bytes = new Uint8Array([0xef, 0xbb, 0xbf, ...new TextEncoder().encode(text)])
    bytes[bytes.lastIndexOf(0x78)] = 0xff
    conditions(() => new Response(bytes, { headers: { 'content-type': 'text/plain' } }))
    const record = await collect(connection, { plan: usCore.only('Problems') })
    expect(keysOf(record)).toEqual(['Condition/c1'])
  })

  test.each(['../../x', '..', '', 7, null, undefined, 'a/b', `x${'y'.repeat(200)}`])(
    'F33 T65 an id that is none (%j) is left out and counted',
    async (id) => {
      conditions(() => fhir(bundle(condition(id), condition('good'))))
      const record = await collect(connection, { plan: usCore.only('Problems') })
      expect(keysOf(record)).toEqual(['Condition/good'])
      expect(record.issues).toEqual([expect.objectContaining({ kind: 'invalid-id', count: 1 })])
    },
  )

  test('F33 T57 ids and keys that name the insides of objects are ids and keys', async () => {
    conditions(() =>
      fhir(
        bundle(
          condition('constructor'),
          condition('toString', JSON.parse('{"__proto__":{"polluted":true}}')),
        ),
      ),
    )
    const record = await collect(connection, { plan: usCore.only('Problems') })
    expect(keysOf(record)).toEqual(['Condition/constructor', 'Condition/toString'])
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })

  test('F26 a next link of 64 kB is an error, and its page is kept', async () => {
    const link = [{ relation: 'next', url: `${sandbox.iss}/Condition?page=${'x'.repeat(65_536)}` }]
    conditions(() => fhir(JSON.stringify({ ...JSON.parse(bundle(condition('c1'))), link })))
    const record = await collect(connection, { plan: usCore.only('Problems') })
    expect(rowOf(record, 'Problems')).toMatchObject({
      status: 'truncated',
      reason: 'FHIR_RESPONSE_INVALID',
      count: 1,
    })
  })

  test('F27 Q74 a page that is too large is asked for again in smaller pages', async () => {
    const record = await collectWith(({ path }) =>
      path.includes('_count=50')
        ? undefined
        : fhir(`{"resourceType":"Bundle","x":"${'y'.repeat(40_000_000)}"}`),
    )
    expect(rowOf(record, 'Problems')?.status).toBe('received')
    expect(rowOf(record, 'Problems')?.queries[0]?.search).toMatchObject({ _count: 50 })
  })

  test('F27 Q74 a search that takes the server too long is asked for in smaller pages', async () => {
    const record = await collectWith(({ path }) =>
      path.includes('_count=50') ? undefined : fhir('', { status: 504 }),
    )
    expect(rowOf(record, 'Problems')?.status).toBe('received')
  })

  async function collectWith(
    respond: (request: { path: string }) => Response | undefined,
  ): Promise<PatientRecord> {
    sandbox.faults.add({ match: ({ path }) => path.startsWith('/fhir/Condition'), respond })
    return collect(connection, { plan: usCore.only('Problems') })
  }

  test('Q62 Q63 a 500 that says what is wrong with the request is not asked again', async () => {
    conditions(() =>
      fhir(
        JSON.stringify({
          resourceType: 'OperationOutcome',
          issue: [{ severity: 'fatal', code: 'required' }],
        }),
        { status: 500 },
      ),
    )
    const record = await collect(connection, { plan: usCore.only('Patient', 'Problems') })
    expect(rowOf(record, 'Problems')).toMatchObject({ status: 'failed', reason: 'FHIR_SERVER_ERROR' })
    expect(sandbox.requests.filter(({ path }) => path.startsWith('/fhir/Condition'))).toHaveLength(1)
  })

  test('F31 a server that does not look at the category: each observation is in the class that it belongs to', async () => {
    sandbox.faults.add({
      match: ({ path }) => path.startsWith('/fhir/Observation?') && path.includes('category='),
      respond: async ({ path }) => {
        const url = new URL(path, sandbox.url)
        url.searchParams.delete('category')
        return sandbox.fetch(url, {
          headers: { authorization: sandbox.requests.at(-1)?.authorization ?? '' },
        })
      },
    })
    const classes = ['Laboratory', 'Vital Signs', 'Social History'] as const
    const ignoring = await collect(connection, { plan: usCore.only(...classes) })
    sandbox.faults.clear()
    const looking = await collect(connection, { plan: usCore.only(...classes) })
    for (const name of classes) {
      expect([...ignoring.resources(name)].map(({ id }) => id)).toEqual(
        [...looking.resources(name)].map(({ id }) => id),
      )
      expect(ignoring.count(name)).toBeGreaterThan(0)
    }
    expect(ignoring.issues.some(({ kind }) => kind === 'other-class')).toBe(true)
    const one = await collect(connection, { plan: usCore.only('Laboratory') })
    expect(one.issues).toEqual([])
  })

  test.each([
    ['500', () => fhir('', { status: 500 })],
    ['40 MB', () => fhir('x'.repeat(40_000_000))],
    ['nothing', () => 'drop' as const],
  ])('F36 a CapabilityStatement that is %s is not needed', async (_, respond) => {
    sandbox.faults.add({ match: ({ path }) => path === '/fhir/metadata', respond })
    const client = createClient({
      platform: testPlatform(),
      redirectUri: 'http://127.0.0.1:9/callback',
      providers: [sandbox.provider],
      plan: usCore,
      vendors,
    })
    const { url } = await client.authorize(sandbox.provider.id)
    const own = await client.callback(await sandbox.approve(url, { patient: 'camila' }))
    expect(keysOf(await collect(own, { plan: usCore }))).toEqual(whole)
  })
})

test('F1 what a server says to one request is meant for all of them', async () => {
  let until = 0
  let early = 0
  sandbox.faults.add({
    match: ({ path }) => path.startsWith('/fhir/'),
    respond: () => {
      if (until === 0) until = performance.now() + 1000
      else if (performance.now() < until - 20) early++
      return performance.now() < until - 20
        ? fhir('', { status: 429, headers: { 'retry-after': '1' } })
        : undefined
    },
  })
  const record = await collect(connection, { plan: usCore })
  expect(keysOf(record)).toEqual(whole)
  // Those that were under way when it was said.
  expect(early).toBeLessThanOrEqual(4)
})

describe('pages that move while they are read', () => {
  /** A server whose pages are cut anew for each request, and that loses or gains a resource on the way. */
  async function moving(change: (held: string[], request: number) => void): Promise<PatientRecord> {
    const held = Array.from({ length: 40 }, (_, at) => `c${String(at).padStart(2, '0')}`)
    let count = 0
    sandbox.faults.add({
      match: ({ path }) => path.startsWith('/fhir/Condition'),
      respond: ({ path }) => {
        change(held, count++)
        const from = Number(new URL(path, sandbox.url).searchParams.get('from') ?? 0)
        const ids = held.slice(from, from + 10)
        const link =
          from + 10 < held.length
            ? [{ relation: 'next', url: `${sandbox.iss}/Condition?from=${from + 10}` }]
            : []
        const page = JSON.parse(bundle(...ids.map((id) => condition(id))))
        return fhir(JSON.stringify({ ...page, total: held.length, link }))
      },
    })
    return collect(connection, { plan: usCore.only('Problems') })
  }

  test('F19 T63 one that is taken out at the front hides none of the others', async () => {
    const record = await moving((held, request) => void (request === 1 && held.shift()))
    expect(record.count('Problems')).toBe(40)
    expect(rowOf(record, 'Problems')?.status).toBe('received')
  })

  test('F19 T63 one that is put in at the front doubles none, and is there itself', async () => {
    const record = await moving((held, request) => void (request === 1 && held.unshift('new')))
    expect(record.count('Problems')).toBe(41)
  })

  test('F19 a server whose pages never rest is read twice and no more', async () => {
    let requests = 0
    const record = await moving((held, request) => {
      requests = request + 1
      held.unshift(`n${request}`)
    })
    expect(record.count('Problems')).toBeGreaterThanOrEqual(40)
    expect(requests).toBeLessThan(25)
  })

  test('F20 F30 a page size of one, and totals that are the size of the page, are read once', async () => {
    let requests = 0
    sandbox.faults.add({
      match: ({ path }) => path.startsWith('/fhir/Condition'),
      respond: ({ path }) => {
        requests++
        const from = Number(new URL(path, sandbox.url).searchParams.get('from') ?? 0)
        const link = from < 29 ? [{ relation: 'next', url: `${sandbox.iss}/Condition?from=${from + 1}` }] : []
        return fhir(JSON.stringify({ ...JSON.parse(bundle(condition(`c${from}`))), total: 1, link }))
      },
    })
    const record = await collect(connection, { plan: usCore.only('Problems') })
    expect(record.count('Problems')).toBe(30)
    expect(requests).toBe(30)
    expect(rowOf(record, 'Problems')?.warnings).toEqual([])
  })
})

describe('4c the network', () => {
  test('G4 F61 whichever request is cut, once, the record is the same', async () => {
    const plan = usCore.only('Patient', 'Laboratory', 'Problems', 'Documents', 'Clinicians')
    const expected = keysOf(await collect(connection, { plan }))
    sandbox.clearRequests()
    await collect(connection, { plan })
    const most = sandbox.requests.length
    for (let at = 0; at < most; at++) {
      let seen = 0
      sandbox.faults.clear()
      sandbox.faults.add({
        match: () => seen++ === at,
        respond: () => (at % 2 === 0 ? 'drop' : fhir('', { status: 503 })),
      })
      const record = await collect(connection, { plan })
      expect([at, keysOf(record)]).toEqual([at, expected])
      expect(record.attachments.every(({ status }) => status === 'received')).toBe(true)
    }
  })

  test('F61 a page that is cut at any byte is asked for again, and no half of it is kept', async () => {
    const text = bundle(...Array.from({ length: 30 }, (_, at) => condition(`c${at}`)))
    for (let cut = 0; cut < text.length; cut += 211) {
      let asked = 0
      const server = await startServer((request, response) => {
        if (!request.path.startsWith('/fhir/Condition')) return json(response, {}, 404)
        if (asked++ > 0) return json(response, text)
        response.writeHead(200, { 'content-type': 'application/fhir+json', 'content-length': text.length })
        response.write(text.slice(0, cut))
        setTimeout(() => response.destroy(), 1)
      })
      const reader = { ...connection, provider: { ...connection.provider, iss: `${server.url}/fhir` } }
      const { createReader } = await import('../fhir/reader.js')
      const { createTransport } = await import('../util/transport.js')
      const platform = testPlatform()
      const transport = createTransport(platform)
      const own = createReader(`${server.url}/fhir`, {
        send: ({ url, signal }) => transport({ url, ...(signal ? { signal } : {}) }),
        clock: { now: () => 0, sleep: async () => {} },
        crypto: platform.crypto,
        provider: reader.provider,
      })
      const record = await collect({ ...reader, ...own }, { plan: usCore.only('Problems') })
      expect([cut, record.count('Problems'), asked]).toEqual([cut, 30, 2])
      await server.stop()
    }
  })

  test('F37 a certificate that nobody vouches for is no connection, and says who', async () => {
    const server = createServer(selfSigned, (_, response) => response.end('{}'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const client = createClient({
      platform: testPlatform(),
      redirectUri: 'http://127.0.0.1:9/callback',
      providers: [{ id: 'tls', name: 'TLS', iss: `https://localhost:${port}/fhir`, clientId: 'x' }],
      plan: usCore,
    })
    const error = await client.authorize('tls').catch((caught: unknown) => caught)
    expect(isSmartError(error) && error.code).toBe('DISCOVERY_UNREACHABLE')
    await new Promise((resolve) => server.close(resolve))
  })

  test('F63 a machine that slept for hours in the middle of a request asks again, with access renewed', async () => {
    let slept = 0
    let asleep = false
    const platform = testPlatform()
    const clock = {
      now: () => Date.now() + slept,
      // What was waited for while it slept is over when it wakes.
      sleep: async (wait: number, signal?: AbortSignal) => {
        const end = Date.now() + slept + wait
        while (Date.now() + slept < end) await platform.clock.sleep(Math.min(20, wait), signal)
      },
    }
    const client = createClient({
      platform: {
        ...platform,
        clock,
        fetch: (input, init) => {
          if (asleep || !String(input).includes('/fhir/Condition')) return platform.fetch(input, init)
          asleep = true
          slept = 8 * 3_600_000
          // The line is dead, and nobody says so.
          return new Promise(() => {})
        },
      },
      redirectUri: 'http://127.0.0.1:9/callback',
      providers: [sandbox.provider],
      plan: usCore,
    })
    const { url } = await client.authorize(sandbox.provider.id)
    const own = await client.callback(await sandbox.approve(url, { patient: 'camila' }))
    sandbox.clearRequests()
    expect(keysOf(await collect(own, { plan: usCore }))).toEqual(whole)
    expect(asleep).toBe(true)
    expect(sandbox.requests.filter(({ method, path }) => method === 'POST' && path === '/token').length).toBe(
      1,
    )
  })

  test('F62 a network that is away for a while: what could not be had is said, and the next collection has it all', async () => {
    let away = true
    const platform = testPlatform({
      fetch: (input, init) => (away ? Promise.reject(new TypeError('fetch failed')) : fetch(input, init)),
    })
    const client = createClient({
      platform: {
        ...platform,
        clock: {
          now: Date.now,
          // Pauses between tries go by fast; deadlines stay what they are.
          sleep: (wait, signal) => platform.clock.sleep(wait < 30_000 ? wait / 500 : wait, signal),
        },
      },
      redirectUri: 'http://127.0.0.1:9/callback',
      providers: [sandbox.provider],
      plan: usCore,
    })
    away = false
    const { url } = await client.authorize(sandbox.provider.id)
    const own = await client.callback(await sandbox.approve(url, { patient: 'camila' }))
    away = true
    await expect(collect(own, { plan: usCore })).rejects.toMatchObject({
      code: 'FHIR_UNREACHABLE',
      remedy: 'retry',
    })
    expect(own.status).toBe('active')
    away = false
    expect(keysOf(await collect(own, { plan: usCore }))).toEqual(whole)
  })
})
