import { inspect } from 'node:util'
import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { type ScriptedEhr, scriptedEhr, tokens } from '../test-support/ehr.js'
import { passing } from '../test-support/passing.js'
import { json, startServer, type TestServer } from '../test-support/server.js'
import { clientSecret } from './confidential.js'
import { createClient, idToken, introspect, isSmartError, type Platform, usCore, withdraw } from './index.js'
import { manualClock, memoryStore, testPlatform } from './testing/index.js'

const opened: (ScriptedEhr | TestServer)[] = []
const ehr = async (options: Parameters<typeof scriptedEhr>[0] = {}): Promise<ScriptedEhr> => {
  const one = await scriptedEhr(options)
  opened.push(one)
  return one
}
afterEach(async () => {
  vi.restoreAllMocks()
  await Promise.all(opened.splice(0).map((one) => ('server' in one ? one.server.stop() : one.stop())))
})

describe('callbacks', () => {
  test('C-01 C-07 T15 T18 T19 T21 KF-02 10,000 that are forged, replayed, mixed up or mutated: no token request, no other error', async () => {
    const one = await ehr()
    const other = await ehr()
    const { url } = await one.client.authorize('mercy')
    const good = one.approve(url)
    const foreign = other.approve((await other.client.authorize('mercy')).url)
    const state = new URL(good).searchParams.get('state') ?? ''
    const mutated = fc.oneof(
      fc.webUrl({ withQueryParameters: true }),
      fc.string({ unit: 'binary' }),
      fc.constant(foreign),
      fc
        .string({ maxLength: 60 })
        .map((text) => `https://app.example/callback?code=c&state=${encodeURIComponent(text)}`),
      // One character of the state is another.
      fc
        .tuple(fc.nat(state.length - 1), fc.constantFrom(...'abcXYZ019-_%'))
        .map(([at, one_]) =>
          good.replace(state, state.slice(0, at) + (state[at] === one_ ? '~' : one_) + state.slice(at + 1)),
        ),
      fc.constantFrom(
        good.replace(/state=[^&]*/, ''),
        good.replace(/state=[^&]*/, 'state='),
        `${good}&state=${state}`,
        `${good}&code=other`,
        `${good}&iss=${encodeURIComponent('https://evil.example')}`,
        `${good}&iss=a&iss=b`,
        `${good}&error=access_denied&error=server_error`,
        good.replace('?', '#'),
        good.replace(state, state.toUpperCase()),
        good.replace(state, `${state}%00`),
        good.replace(state, `__proto__`),
        good.replace(state, `../connection/x`),
      ),
    )
    const codes = new Set<string>()
    await fc.assert(
      fc.asyncProperty(mutated, async (callback) => {
        const error = await one.client.callback(callback).then(
          () => 'accepted',
          (caught: unknown) => caught,
        )
        if (!isSmartError(error)) throw new Error(`not a SmartError: ${String(error)} for ${callback}`)
        codes.add(error.code)
      }),
      { numRuns: 10_000 },
    )
    expect(one.tokenRequests()).toEqual([])
    expect(other.tokenRequests()).toEqual([])
    expect([...codes].every((code) => code.startsWith('AUTHORIZATION_'))).toBe(true)
    // None of them used the launch up.
    expect((await one.client.callback(good)).status).toBe('active')
    for (let n = 0; n < 20; n++) await one.client.callback(good)
    expect(one.tokenRequests().length).toBe(1)
  }, 60_000)

  test('C-12 T19 the code of one launch in the callback of another reaches the server with the verifier of its own', async () => {
    const one = await ehr()
    const [first, second] = [await one.client.authorize('mercy'), await one.client.authorize('mercy')]
    await one.client.callback(one.approve(first.url, { code: 'code-of-the-second' }))
    const [sent] = one.tokenRequests()
    expect(sent?.get('code')).toBe('code-of-the-second')
    // The server holds the challenge of the second launch, and refuses.
    expect(sent?.get('code_verifier')).not.toBe('')
    expect(second.state).not.toBe(first.state)
  })

  test.each([
    '<script>alert(1)</script>',
    '"><img src=x onerror=alert(1)>',
    'a\r\nSet-Cookie: x=1',
    '\u001b[31mred',
    'javascript:alert(1)',
    'x'.repeat(10_000),
  ])('T22 C-03 W-02 W-04 %.30s in an error of the server is in no message', async (text) => {
    const one = await ehr()
    const { url } = await one.client.authorize('mercy')
    const error = await one.client
      .callback(one.approve(url, { error: text, error_description: text, error_uri: text }))
      .catch((caught: unknown) => caught)
    const shown = inspect(error, { showHidden: true, depth: 9 }) + JSON.stringify(error)
    expect(shown).not.toContain(text.slice(0, 20))
    expect(isSmartError(error) && error.code).toBe('AUTHORIZATION_FAILED')
  })
})

describe('G2 where tokens go', () => {
  const carriers = ['next', 'attachment', 'fetch', 'redirect', 'token redirect', 'location'] as const

  test('T27 T28 T29 T30 T31 T32 T33 L-02 L-03 L-04 KF-06 10,000 URLs in six carriers: no token leaves the base', async () => {
    const sent: { url: string; secret: boolean; channel: string }[] = []
    let reply: (url: string) => Response = () => Response.json({})
    const fetch: Platform['fetch'] = async (input, init) => {
      const url = String(input)
      const secret =
        new Headers(init?.headers).has('authorization') || String(init?.body ?? '').includes('refresh-1')
      sent.push({ url, secret, channel: init?.method ?? 'GET' })
      if (url.includes('smart-configuration'))
        return Response.json({
          authorization_endpoint: `${base}/../a`,
          token_endpoint: 'https://ehr.example/token',
        })
      return reply(url)
    }
    const base = 'https://ehr.example/fhir'
    const client = createClient({
      platform: testPlatform({ fetch, store: memoryStore() }),
      redirectUri: 'https://app.example/callback',
      providers: [{ id: 'mercy', name: 'Mercy', iss: base, clientId: 'my-app' }],
      plan: usCore.only('Patient'),
    })
    reply = () => Response.json(tokens)
    const { state } = await client.authorize('mercy')
    const connection = await client.callback(`https://app.example/callback?code=c&state=${state}`)

    const host = fc.oneof(
      fc.constantFrom(
        ...[
          'ehr.example',
          'ehr.example.evil.example',
          'evil.example',
          'ehr.example:8443',
          'EHR.example',
          'ehr.example.',
        ],
        ...[
          'user@ehr.example',
          'ehr.example@evil.example',
          'ehr.example%2eevil.example',
          '127.0.0.1',
          '[::1]',
          'еhr.example',
        ],
      ),
      fc.domain(),
    )
    const path = fc.oneof(
      fc.constantFrom(
        ...[
          '/fhir/Patient',
          '/fhirx/Patient',
          '/fhir/../x',
          '/fhir/%2e%2e/x',
          '/fhir/..%2fx',
          '/fhir\\..\\x',
          '/',
          '',
          '/FHIR/x',
        ],
        ...[
          '/fhir/./Patient',
          '/fhir//Patient',
          '/fhir;a/Patient',
          '/fhir?x',
          '/fhir#x',
          '/fhir%00/x',
          '/fhir/%5c../x',
        ],
      ),
      fc.webPath(),
    )
    const prefix = fc.constantFrom(
      'https://',
      'http://',
      '//',
      '',
      'HTTPS://',
      'https:/\\',
      ' https://',
      'https:\t//',
      'ftp://',
      'javascript:',
      'data:,',
      'blob:https://',
      'file:///',
    )
    const urls = fc.tuple(prefix, host, path).map((parts) => parts.join(''))
    let leaks = 0
    await fc.assert(
      fc.asyncProperty(urls, fc.constantFrom(...carriers), async (url, carrier) => {
        sent.length = 0
        if (carrier === 'next') {
          reply = (asked) =>
            asked.endsWith('/fhir/Observation')
              ? Response.json({
                  resourceType: 'Bundle',
                  type: 'searchset',
                  link: [{ relation: 'next', url }],
                })
              : Response.json({ resourceType: 'Bundle', type: 'searchset' })
          const results = connection.search('Observation')
          await (async () => {
            for await (const _ of results) break
          })().catch(() => {})
        } else if (carrier === 'attachment') {
          reply = () => new Response('x')
          await connection.attachment(url).catch(() => {})
        } else if (carrier === 'fetch') {
          reply = () => new Response('x')
          await connection.fetch(url).catch(() => {})
        } else if (carrier === 'location') {
          reply = () =>
            new Response('{}', {
              status: 202,
              headers: {
                'content-location': url.replace(/[^\x21-\x7e]/g, ''),
                location: url.replace(/[^\x21-\x7e]/g, ''),
              },
            })
          await connection.fetch('Patient/p1').catch(() => {})
        } else {
          reply = () =>
            new Response(null, { status: 307, headers: { location: url.replace(/[^\x21-\x7e]/g, '') } })
          if (carrier === 'redirect') await connection.fetch('Patient/p1').catch(() => {})
          else await connection.refresh().catch(() => {})
        }
        for (const { url: asked, secret } of sent) {
          const { origin, pathname } = new URL(asked)
          const own =
            origin === 'https://ehr.example' && (pathname === '/token' || /^\/fhir(\/|$)/.test(pathname))
          if (secret && !own) leaks++
          if (!own) leaks++
        }
      }),
      { numRuns: 10_000 },
    )
    expect(leaks).toBe(0)
  }, 120_000)

  test('T34 twenty connections, calls shuffled: each server sees its own token only', async () => {
    const servers = await Promise.all(
      Array.from({ length: 20 }, async (_, n) => {
        const one = await ehr()
        one.answers.set('/token', (__, response) => json(response, { ...tokens, access_token: `token-${n}` }))
        return one
      }),
    )
    const client = createClient({
      platform: testPlatform(),
      redirectUri: 'https://app.example/callback',
      providers: servers.map((one, n) => ({ ...one.provider, id: `p${n}` })),
      plan: usCore.only('Patient'),
    })
    const connections = await Promise.all(
      servers.map(async (one, n) => client.callback(one.approve((await client.authorize(`p${n}`)).url))),
    )
    await Promise.all(Array.from({ length: 200 }, (_, n) => connections[(n * 7) % 20]?.read('Patient', 'p1')))
    servers.forEach((one, n) => {
      const seen = one.server.heard
        .map(({ headers }) => headers.authorization)
        .filter((value) => value !== undefined)
      expect(new Set(seen)).toEqual(new Set([`Bearer token-${n}`]))
    })
  })
})

describe('G9 secrets', () => {
  const canary = 'c4nary'
  const secrets = {
    ...tokens,
    access_token: `${canary}-access`,
    refresh_token: `${canary}-refresh`,
    id_token: `${canary}.${Buffer.from(`{"sub":"${canary}"}`).toString('base64url')}.${canary}`,
    SSN: canary,
  }
  const dump = (value: unknown): string =>
    [
      inspect(value, { showHidden: true, depth: 12, getters: true }),
      String(value),
      JSON.stringify(value) ?? '',
    ].join('\n') + (value instanceof Error ? `${value.stack}${dump(value.cause ?? '')}` : '')

  test('T36 T43 T44 W-04 KF-15 no connection, error or line of a log holds a token, code, verifier or secret', async () => {
    const lines: unknown[] = []
    for (const name of ['log', 'info', 'warn', 'error', 'debug', 'trace'] as const)
      vi.spyOn(console, name).mockImplementation((...args) => void lines.push(args))
    const one = await ehr({
      provider: { auth: clientSecret(`${canary}-secret`) },
      options: { identity: idToken() },
      wellKnown: (url) => ({ introspection_endpoint: `${url}/introspect` }),
    })
    one.answers.set('/token', (_, response) => json(response, secrets))
    const { url, ...authorization } = await one.client.authorize('mercy')
    const seen: unknown[] = [one.client, authorization, one.provider]
    const connection = await one.client.callback(one.approve(url, { code: `${canary}-code` }))
    seen.push(connection, structuredClone(connection.context), Object.values(connection))
    const attempts: (() => Promise<unknown>)[] = [
      () => connection.refresh(),
      () => connection.read('Patient', 'p1'),
      () => connection.fetch('Patient/p1'),
      () => introspect(connection),
      () => connection.revoke(),
      async () =>
        one.client.callback(one.approve((await one.client.authorize('mercy')).url, { code: canary })),
    ]
    const odd: [number, string][] = [
      [200, JSON.stringify({ ...secrets, token_type: canary })],
      [200, JSON.stringify({ ...secrets, access_token: `${canary}\n` })],
      [200, JSON.stringify({ ...secrets, expires_in: canary, patient: 'other' })],
      [200, `${canary}`],
      [400, JSON.stringify({ error: canary, error_description: canary, error_uri: canary })],
      [401, `<html>${canary}</html>`],
      [
        403,
        JSON.stringify({ resourceType: 'OperationOutcome', issue: [{ code: canary, diagnostics: canary }] }),
      ],
      [500, canary],
      [302, canary],
    ]
    for (const [status, body] of odd) {
      for (const path of ['/token', '/revoke', '/introspect', '/fhir/Patient/p1'])
        one.answers.set(
          path,
          (_, response) =>
            void response.writeHead(status, { location: `/${canary}`, 'www-authenticate': canary }).end(body),
        )
      for (const attempt of attempts) seen.push(await attempt().catch((error: unknown) => error))
    }
    for (const value of seen) {
      if (value instanceof Response) continue
      expect(dump(value)).not.toContain(canary)
    }
    expect(dump(lines)).not.toContain(canary)
    expect(seen.filter((value) => isSmartError(value)).length).toBeGreaterThan(20)
  })
})

describe('G18 black holes', () => {
  const holes: readonly (readonly [string, (response: import('node:http').ServerResponse) => void])[] = [
    ['never answers', () => {}],
    ['sends headers only', (response) => void response.writeHead(200).flushHeaders()],
    ['sends half a body', (response) => void response.writeHead(200, { 'content-length': '99' }).write('{')],
    [
      'drips',
      (response) => {
        response.writeHead(200)
        const drip = setInterval(() => response.write(' '), 5)
        response.on('close', () => clearInterval(drip))
      },
    ],
  ]
  const verbs = [
    'authorize',
    'callback',
    'read',
    'search',
    'attachment',
    'fetch',
    'refresh',
    'revoke',
    'introspect',
    'identity',
    'withdraw',
  ] as const

  test.each(holes.flatMap(([name, hole]) => verbs.map((verb) => [verb, name, hole] as const)))(
    'T14 F52 F57 F39 %s settles at a server that %s',
    async (verb, _, hole) => {
      const clock = manualClock()
      const one = await ehr({
        platform: { clock },
        wellKnown: (url) => ({ introspection_endpoint: `${url}/introspect` }),
        options: verb === 'identity' ? { identity: idToken() } : {},
      })
      if (verb === 'identity')
        one.answers.set('/token', (__, response) =>
          json(response, {
            ...tokens,
            id_token: `e30.${Buffer.from(JSON.stringify({ iss: one.server.url })).toString('base64url')}.x`,
          }),
        )
      const swallow = (...paths: string[]): void => {
        for (const path of paths) one.answers.set(path, (__, response) => hole(response))
      }
      const settled = (work: Promise<unknown>): Promise<unknown> =>
        passing(
          clock,
          work.then(
            () => 'done',
            (error: unknown) => error,
          ),
          1000,
        )
      if (verb === 'authorize') {
        swallow('/fhir/.well-known/smart-configuration')
        expect(await settled(one.client.authorize('mercy'))).toMatchObject({ code: 'DISCOVERY_UNREACHABLE' })
        return
      }
      if (verb === 'callback' || verb === 'identity') {
        const { url } = await one.client.authorize('mercy')
        swallow(verb === 'callback' ? '/token' : '/.well-known/openid-configuration')
        const result = await settled(one.client.callback(one.approve(url)))
        if (verb === 'callback') expect(result).toMatchObject({ code: 'TOKEN_UNREACHABLE' })
        else expect(result).toBe('done')
        return
      }
      const connection = await one.connect()
      swallow(
        '/token',
        '/revoke',
        '/introspect',
        '/fhir/Patient/p1',
        '/fhir/Observation',
        '/fhir/Binary/1',
        '/withdrawals',
      )
      const deliver = {
        withdraw: () => fetch(`${one.server.url}/withdrawals`).then(() => ({})),
        upload: async () => ({}),
      }
      const work: Record<string, () => Promise<unknown>> = {
        read: () => connection.read('Patient', 'p1'),
        search: async () => {
          for await (const one_ of connection.search('Observation')) return one_
        },
        attachment: () => connection.attachment('Binary/1'),
        fetch: () => connection.fetch('Patient/p1'),
        refresh: () => connection.refresh(),
        revoke: () => connection.revoke(),
        introspect: () => introspect(connection),
        withdraw: async () => {
          const signal = new AbortController()
          setTimeout(() => signal.abort(), 50)
          return withdraw({ consent: { withdrawalKey: 'k', id: 'c' }, study: { id: 's' } } as never, {
            deliver: deliver as never,
            connections: [connection],
            signal: signal.signal,
          })
        },
      }
      const result = await settled(work[verb]?.() as Promise<unknown>)
      if (verb === 'revoke' || verb === 'withdraw') expect(result).toBe('done')
      else expect(isSmartError(result) && result.remedy).toBe('retry')
    },
    30_000,
  )
})

test('T52 F57 what was revoked is gone from the store once the server has said so', async () => {
  const one = await ehr()
  const connection = await one.connect()
  await connection.revoke()
  const values = await Promise.all(
    (await one.platform.store.keys('')).map((key) => one.platform.store.get(key)),
  )
  expect(values.join()).not.toMatch(/access-1|refresh-1/)
})

test('T51 T9 KF-09 F52 a failed discovery is asked again, whoever asks', async () => {
  const server = await startServer((_, response) => json(response, {}, 503))
  opened.push(server)
  const one = await ehr()
  const usual = one.answers.get('/fhir/.well-known/smart-configuration')
  one.answers.set('/fhir/.well-known/smart-configuration', (_, response) => json(response, {}, 503))
  for (let n = 0; n < 3; n++) await one.client.authorize('mercy').catch(() => {})
  expect(one.server.heard.length).toBe(3)
  if (usual) one.answers.set('/fhir/.well-known/smart-configuration', usual)
  await one.client.authorize('mercy')
})

test('KF-07 KF-12 L-07 a search that meets a 401 refreshes and goes on, page by page', async () => {
  const one = await ehr()
  const connection = await one.connect()
  one.answers.set('/token', (_, response) => json(response, { ...tokens, access_token: 'access-2' }))
  one.answers.set('/fhir/Observation', ({ path, headers }, response) => {
    if (headers.authorization !== 'Bearer access-2') return json(response, {}, 401)
    const page = Number(new URL(path, 'http://x').searchParams.get('page') ?? 1)
    return json(response, {
      resourceType: 'Bundle',
      type: 'searchset',
      entry: [{ resource: { resourceType: 'Observation', id: `o${page}` } }],
      link: page < 3 ? [{ relation: 'next', url: `${one.provider.iss}/Observation?page=${page + 1}` }] : [],
    })
  })
  const ids: unknown[] = []
  for await (const { id } of connection.search('Observation')) ids.push(id)
  expect(ids).toEqual(['o1', 'o2', 'o3'])
  expect(one.tokenRequests().length).toBe(2)
})
