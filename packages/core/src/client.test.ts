import { inspect } from 'node:util'
import { afterEach, describe, expect, test } from 'vitest'
import { type ScriptedEhr, scriptedEhr, tokens } from '../test-support/ehr.js'
import { passing } from '../test-support/passing.js'
import { json, startServer } from '../test-support/server.js'
import { createClient, isSmartError, type Platform, SmartError, usCore } from './index.js'
import { manualClock, memoryStore, testPlatform } from './testing/index.js'

const started: ScriptedEhr[] = []
const ehr = async (...args: Parameters<typeof scriptedEhr>): Promise<ScriptedEhr> => {
  const one = await scriptedEhr(...args)
  started.push(one)
  return one
}
afterEach(async () => {
  await Promise.all(started.splice(0).map(({ server }) => server.stop()))
})

const codeOf = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'no error',
    (error: unknown) => (isSmartError(error) ? error.code : `not ours: ${String(error)}`),
  )

describe('authorize', () => {
  test('A-01 to A-12 the request holds what SMART asks for, and keeps the endpoint’s own query', async () => {
    const { client, server } = await ehr()
    const { url, state, expiresAt } = await client.authorize('mercy')
    const asked = Object.fromEntries(new URL(url).searchParams)
    expect(asked).toMatchObject({
      tenant: '7',
      response_type: 'code',
      client_id: 'my-app',
      redirect_uri: 'https://app.example/callback',
      scope: 'launch/patient offline_access patient/Patient.rs',
      aud: `${server.url}/fhir`,
      code_challenge_method: 'S256',
      state,
    })
    expect(asked.code_challenge).toMatch(/^[A-Za-z0-9_-]{43}$/)
    expect(asked.launch).toBeUndefined()
    expect(expiresAt.getTime()).toBeGreaterThan(Date.now())
  })

  test('A-06 the state is 256 random bits, also when Math.random is not', async () => {
    const { client } = await ehr()
    const random = Math.random
    Math.random = () => 0.5
    try {
      const states = new Set<string>()
      for (let n = 0; n < 200; n++) states.add((await client.authorize('mercy')).state)
      expect(states.size).toBe(200)
      for (const state of states) expect(state).toMatch(/^[A-Za-z0-9_-]{43}$/)
    } finally {
      Math.random = random
    }
  })

  test.each([
    ['as-given', '/fhir/', '/fhir/'],
    ['no-trailing-slash', '/fhir/', '/fhir'],
    ['omit', '/fhir', undefined],
  ] as const)('A-08 aud by vendor row: %s', async (value, path, expected) => {
    const trait = { value, why: 'test', source: 'test', seen: '2026-11' }
    const { client, server } = await ehr({
      path,
      provider: { vendor: { id: 'v', name: 'V', audience: trait } },
    })
    const { url } = await client.authorize('mercy')
    expect(new URL(url).searchParams.get('aud')).toBe(expected === undefined ? null : server.url + expected)
  })

  test('T7 D-16 S256 is used whatever the metadata says about it', async () => {
    for (const methods of [undefined, [], ['plain'], 'S256', null]) {
      const { client, answers, server } = await ehr()
      answers.set('/fhir/.well-known/smart-configuration', (_, response) =>
        json(response, {
          authorization_endpoint: `${server.url}/a`,
          token_endpoint: `${server.url}/t`,
          code_challenge_methods_supported: methods,
        }),
      )
      expect(new URL((await client.authorize('mercy')).url).searchParams.get('code_challenge_method')).toBe(
        'S256',
      )
    }
  })

  test('an unknown provider is a configuration error', async () => {
    const { client } = await ehr()
    expect(await codeOf(client.authorize('nowhere'))).toBe('CONFIG_UNKNOWN_PROVIDER')
  })
})

describe('discovery', () => {
  test('F52 T9 a failure is not remembered, a success is', async () => {
    const { client, answers, server } = await ehr()
    const good = answers.get('/fhir/.well-known/smart-configuration')
    answers.set('/fhir/.well-known/smart-configuration', (_, response) => json(response, 'busy', 503))
    expect(await codeOf(client.authorize('mercy'))).toBe('DISCOVERY_UNREACHABLE')
    if (good) answers.set('/fhir/.well-known/smart-configuration', good)
    await client.authorize('mercy')
    await client.authorize('mercy')
    expect(server.heard.length).toBe(2)
  })

  test('D-12 without a well-known document the endpoints come from any rest of the CapabilityStatement', async () => {
    const { client, answers, server } = await ehr()
    answers.set('/fhir/.well-known/smart-configuration', (_, response) => json(response, '<html>', 404))
    const oauth = [
      { url: 'authorize', valueUri: `${server.url}/a` },
      { url: 'token', valueUri: '/t' },
    ]
    answers.set('/fhir/metadata', (_, response) =>
      json(response, {
        resourceType: 'CapabilityStatement',
        rest: [
          {},
          {
            security: {
              extension: [
                {
                  url: 'http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris',
                  extension: oauth,
                },
              ],
            },
          },
        ],
      }),
    )
    const { url } = await client.authorize('mercy')
    expect(url).toContain(`${server.url}/a?`)
    expect(new URL(url).searchParams.get('scope')).toContain('patient/Patient.read')
  })

  test.each([
    'javascript:alert(1)',
    'data:text/html,x',
    'http://fhir.example.org/authorize',
    'https://user:pw@ehr.example/a',
    5,
    null,
    '',
  ])('T3 T4 an authorization endpoint of %s is not one to navigate to', async (endpoint) => {
    const { client, answers, server } = await ehr()
    answers.set('/fhir/.well-known/smart-configuration', (_, response) =>
      json(response, { authorization_endpoint: endpoint, token_endpoint: `${server.url}/t` }),
    )
    expect(await codeOf(client.authorize('mercy'))).toBe('DISCOVERY_INVALID')
  })

  test('D-03 relative endpoints resolve below the FHIR base', async () => {
    const { client, answers, server } = await ehr()
    answers.set('/fhir/.well-known/smart-configuration', (_, response) =>
      json(response, { authorization_endpoint: 'auth/go', token_endpoint: '/token' }),
    )
    expect((await client.authorize('mercy')).url).toContain(`${server.url}/fhir/auth/go?`)
  })

  test.each(['', 'null', '[]', '5', '<html>', '{"authorization_endpoint":{}}', `${'['.repeat(500)}`])(
    'D-04 a configuration of %.30s is a typed error',
    async (body) => {
      const { client, answers } = await ehr()
      answers.set('/fhir/.well-known/smart-configuration', (_, response) => json(response, body))
      expect(await codeOf(client.authorize('mercy'))).toBe('DISCOVERY_INVALID')
    },
  )

  test('T14 a configuration without end is refused at the cap', async () => {
    const { client, answers } = await ehr()
    answers.set('/fhir/.well-known/smart-configuration', (_, response) => {
      response.writeHead(200)
      response.end('x'.repeat(3_000_000))
    })
    expect(await codeOf(client.authorize('mercy'))).toBe('DISCOVERY_INVALID')
  })
})

describe('EHR launch', () => {
  test('E-02 E-03 launch and iss go back as they came', async () => {
    const { client, server } = await ehr()
    const { url } = await client.launch(
      `https://app.example/launch?iss=${encodeURIComponent(`${server.url}/fhir/`)}&launch=a%20b%2Bc&patientId=evil&clientId=evil`,
    )
    const asked = new URL(url).searchParams
    expect(asked.get('aud')).toBe(`${server.url}/fhir/`)
    expect(asked.get('launch')).toBe('a b+c')
    expect(asked.get('scope')).toBe('launch offline_access patient/Patient.rs')
    expect(asked.get('client_id')).toBe('my-app')
    expect(url).not.toContain('evil')
  })

  test('T1 E-05 an unknown iss is never fetched', async () => {
    const { client, server } = await ehr()
    const canary = await startServer((_, response) => json(response, {}))
    const hosts = [
      canary.url,
      `${server.url}.evil/fhir`,
      `${server.url}/fhir/../admin`,
      `${server.url}/FHIR`,
      'http://169.254.169.254/',
      'http://2130706433/',
      'file:///etc/passwd',
      'javascript:alert(1)',
      ' ',
    ]
    for (const iss of hosts) {
      expect(
        await codeOf(client.launch(`https://app.example/launch?launch=x&iss=${encodeURIComponent(iss)}`)),
      ).toBe('LAUNCH_UNKNOWN_ISSUER')
    }
    expect(server.heard).toEqual([])
    expect(canary.heard).toEqual([])
    await canary.stop()
  })

  test.each([
    '?iss=x',
    '?launch=x',
    '',
    '?iss=a&iss=b&launch=x',
    '?iss=a&launch=x&launch=y',
    '?iss=&launch=x',
  ])('E-01 a launch URL of %s is invalid', async (query) => {
    const { client } = await ehr()
    expect(await codeOf(client.launch(`https://app.example/launch${query}`))).toBe('LAUNCH_INVALID')
  })
})

describe('callback', () => {
  test('G-01 to G-08 the code is exchanged with the verifier and the same redirect URI, as a public client', async () => {
    const { client, approve, tokenRequests, server } = await ehr()
    const { url } = await client.authorize('mercy')
    const connection = await client.callback(approve(url))
    expect(connection).toMatchObject({
      patient: 'p1',
      access: 'ongoing',
      status: 'active',
      scopes: ['launch/patient', 'offline_access', 'patient/Patient.rs'],
    })
    const [sent] = tokenRequests()
    expect(Object.fromEntries(sent ?? [])).toMatchObject({
      grant_type: 'authorization_code',
      code: 'code-1',
      redirect_uri: 'https://app.example/callback',
      client_id: 'my-app',
    })
    const digest = await crypto.subtle.digest(
      'SHA-256',
      new TextEncoder().encode(sent?.get('code_verifier') ?? ''),
    )
    expect(new URL(url).searchParams.get('code_challenge')).toBe(Buffer.from(digest).toString('base64url'))
    const token = server.heard.find(({ path }) => path === '/token')
    expect(token?.method).toBe('POST')
    expect(token?.headers.authorization).toBeUndefined()
    expect((await connection.read('Patient', connection.patient)).id).toBe('p1')
    expect(server.heard.at(-1)?.headers.authorization).toBe('Bearer access-1')
  })

  test('T15 C-01 no, empty, wrong or foreign state: no request leaves', async () => {
    const { client, server } = await ehr()
    await client.authorize('mercy')
    const other = await ehr()
    const foreign = (await other.client.authorize('mercy')).state
    const before = server.heard.length
    for (const query of [
      'code=x',
      'code=x&state=',
      'code=x&state=wrong',
      `code=x&state=${foreign}`,
      'code=x&state=../launch',
      'code=x&state=__proto__',
    ]) {
      expect(await codeOf(client.callback(`https://app.example/callback?${query}`))).toBe(
        'AUTHORIZATION_STATE_UNKNOWN',
      )
    }
    expect(server.heard.length).toBe(before)
  })

  test('T16 C-02 a state that another participant began is unknown to this one', async () => {
    const { client, approve, tokenRequests } = await ehr()
    const { url } = await client.authorize('mercy', { participant: 'ann' })
    for (const participant of ['bob', undefined]) {
      expect(
        await codeOf(client.callback(approve(url), participant === undefined ? {} : { participant })),
      ).toBe('AUTHORIZATION_STATE_UNKNOWN')
    }
    expect(tokenRequests()).toEqual([])
    expect((await client.callback(approve(url), { participant: 'ann' })).participant).toBe('ann')
  })

  test('F53 T18 a hundred parallel callbacks are one exchange, and a replay finds the connection', async () => {
    const { client, approve, tokenRequests } = await ehr()
    const callback = approve((await client.authorize('mercy')).url)
    const connections = await Promise.all(Array.from({ length: 100 }, () => client.callback(callback)))
    expect(new Set(connections.map(({ id }) => id)).size).toBe(1)
    expect((await client.callback(callback)).id).toBe(connections[0]?.id)
    expect(tokenRequests().length).toBe(1)
  })

  test.each([
    'code=a&code=b',
    'state=a&state=b&code=x',
    'error=a&error=b&state=x',
    'iss=a&iss=b&code=x&state=x',
  ])('C-07 T21 %s is refused', async (query) => {
    const { client } = await ehr()
    expect(await codeOf(client.callback(`https://app.example/callback?${query}`))).toBe(
      'AUTHORIZATION_RESPONSE_INVALID',
    )
  })

  test('C-08 T20 a wrong iss is refused before the code is used, and the launch goes on', async () => {
    const { client, approve, tokenRequests, server } = await ehr()
    const { url } = await client.authorize('mercy')
    for (const iss of ['https://evil.example', `${server.url}/`])
      expect(await codeOf(client.callback(approve(url, { iss })))).toBe('AUTHORIZATION_ISSUER_MISMATCH')
    expect(tokenRequests()).toEqual([])
    expect((await client.callback(approve(url, { iss: server.url }))).patient).toBe('p1')
  })

  test('C-08 an iss that was promised must come', async () => {
    const { client, answers, approve, server } = await ehr()
    answers.set('/fhir/.well-known/smart-configuration', (_, response) =>
      json(response, {
        issuer: server.url,
        authorization_endpoint: `${server.url}/a`,
        token_endpoint: `${server.url}/token`,
        authorization_response_iss_parameter_supported: true,
      }),
    )
    const { url } = await client.authorize('mercy')
    expect(await codeOf(client.callback(approve(url)))).toBe('AUTHORIZATION_ISSUER_MISMATCH')
  })

  test('C-05 F55 a no of the participant is told apart from a fault of the server', async () => {
    const { client, approve } = await ehr()
    const answer = async (error: string): Promise<string> =>
      codeOf(client.callback(approve((await client.authorize('mercy')).url, { error, code: '' })))
    expect(await answer('access_denied')).toBe('AUTHORIZATION_DENIED')
    for (const error of ['invalid_scope', 'server_error', '<script>alert(1)</script>'])
      expect(await answer(error)).toBe('AUTHORIZATION_FAILED')
  })

  test('C-06 a no without a state is a no, and consumes nothing', async () => {
    const { client, approve } = await ehr()
    const { url } = await client.authorize('mercy')
    expect(await codeOf(client.callback('https://app.example/callback?error=access_denied'))).toBe(
      'AUTHORIZATION_DENIED',
    )
    expect((await client.callback(approve(url))).patient).toBe('p1')
  })

  test('C-12 a return after the launch has expired says so', async () => {
    const clock = manualClock()
    const { client, approve, tokenRequests } = await ehr({ platform: { clock } })
    const { url } = await client.authorize('mercy')
    await clock.advance(11 * 60_000)
    expect(await codeOf(client.callback(approve(url)))).toBe('AUTHORIZATION_EXPIRED')
    expect(tokenRequests()).toEqual([])
  })

  test('C-09 a code whose answer was lost is not sent again', async () => {
    const { client, answers, approve, tokenRequests } = await ehr()
    const callback = approve((await client.authorize('mercy')).url)
    answers.set('/token', (_, response) => void response.destroy())
    expect(await codeOf(client.callback(callback))).toBe('TOKEN_UNREACHABLE')
    expect(await codeOf(client.callback(callback))).toBe('AUTHORIZATION_INTERRUPTED')
    expect(tokenRequests().length).toBe(1)
  })

  test('T26 a redirect of the token endpoint is not followed', async () => {
    const thief = await startServer((_, response) => json(response, tokens))
    for (const status of [301, 302, 307, 308]) {
      const { client, answers, approve } = await ehr()
      answers.set('/token', (_, response) =>
        response.writeHead(status, { location: `${thief.url}/token` }).end(),
      )
      expect(await codeOf(client.callback(approve((await client.authorize('mercy')).url)))).toBe(
        'TOKEN_RESPONSE_INVALID',
      )
    }
    expect(thief.heard).toEqual([])
    await thief.stop()
  })

  test('D-15 T6 the code goes to the endpoint that the launch began with, whatever discovery says later', async () => {
    const clock = manualClock()
    const { client, answers, approve, tokenRequests, server } = await ehr({ platform: { clock } })
    const thief = await startServer((_, response) => json(response, tokens))
    const { url } = await client.authorize('mercy')
    answers.set('/fhir/.well-known/smart-configuration', (_, response) =>
      json(response, { authorization_endpoint: `${server.url}/a`, token_endpoint: `${thief.url}/token` }),
    )
    await client.callback(approve(url))
    expect(tokenRequests().length).toBe(1)
    expect(thief.heard).toEqual([])
    await thief.stop()
  })
})

describe('token response', () => {
  test.each([
    ['H-02 Bearer in any case', { token_type: 'bEaReR' }],
    ['H-03 expires_in as a string', { expires_in: '3600' }],
    ['H-03 F47 expires_in as nonsense', { expires_in: 'soon' }],
    ['F47 expires_in below zero', { expires_in: -1 }],
    ['null members', { refresh_token: null, scope: null, id_token: null }],
    ['F48 no token type', { token_type: undefined }],
    ['H-05 members of other extensions', { __epic: { x: 1 }, 'https://x/y': [] }],
    ['an id_token of whichever issuer', { id_token: 'not.a.jwt' }],
    ['a patient as a reference', { patient: 'Patient/p1' }],
  ])('%s is accepted', async (_name, change) => {
    const { connect, answers } = await ehr()
    answers.set('/token', (_, response) => json(response, { ...tokens, ...change }, 201))
    expect((await connect()).patient).toBe('p1')
  })

  test.each([
    ['H-02 a token type that is not Bearer', { token_type: 'DPoP' }, 'TOKEN_RESPONSE_INVALID'],
    ['no access token', { access_token: undefined }, 'TOKEN_RESPONSE_INVALID'],
    ['an empty access token', { access_token: '' }, 'TOKEN_RESPONSE_INVALID'],
    ['an access token that is an object', { access_token: {} }, 'TOKEN_RESPONSE_INVALID'],
    ['E-07 no patient', { patient: undefined }, 'TOKEN_PATIENT_MISSING'],
    ['O-05 a patient that is a path', { patient: '../../admin' }, 'TOKEN_PATIENT_MISSING'],
  ])('%s is refused', async (_name, change, code) => {
    const { connect, answers } = await ehr()
    answers.set('/token', (_, response) => json(response, { ...tokens, ...change }))
    expect(await codeOf(connect())).toBe(code)
  })

  test.each([
    [400, '{"error":"invalid_client"}', 'TOKEN_CLIENT_REFUSED'],
    [400, '{"error":"invalid_grant"}', 'TOKEN_ENDED'],
    [400, '{"error":"invalid_request"}', 'TOKEN_REFUSED'],
    [401, '{"resourceType":"OperationOutcome"}', 'TOKEN_REFUSED'],
    [400, '', 'TOKEN_REFUSED'],
    [502, '<html>', 'TOKEN_UNREACHABLE'],
    [200, '<html>', 'TOKEN_RESPONSE_INVALID'],
    [200, 'null', 'TOKEN_RESPONSE_INVALID'],
    [204, '', 'TOKEN_RESPONSE_INVALID'],
  ])('G-14 status %i with body %s is %s', async (status, body, code) => {
    const { connect, answers } = await ehr()
    answers.set('/token', (_, response) => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(body)
    })
    expect(await codeOf(connect())).toBe(code)
  })

  test('T43 no token, code or verifier is in any error', async () => {
    const secrets = ['canary-access', 'canary-refresh', 'code-1']
    const bodies = [
      { ...tokens, token_type: 'mac' },
      { ...tokens, patient: undefined },
      { ...tokens, access_token: 5 },
      { error: 'canary-access' },
    ]
    for (const body of bodies) {
      for (const status of [200, 400, 500]) {
        const { connect, answers } = await ehr()
        answers.set('/token', (_, response) =>
          json(
            response,
            JSON.stringify(body)
              .replaceAll('access-1', 'canary-access')
              .replaceAll('refresh-1', 'canary-refresh'),
            status,
          ),
        )
        const error = await connect().catch((caught: unknown) => caught)
        expect(error).toBeInstanceOf(SmartError)
        const printed =
          inspect(error, { showHidden: true, depth: 20 }) +
          JSON.stringify(error) +
          String((error as Error).stack)
        for (const secret of secrets) expect(printed).not.toContain(secret)
      }
    }
  })
})

describe('refresh', () => {
  const expired = async (more: Partial<Platform> = {}) => {
    const clock = manualClock()
    const one = await ehr({ platform: { clock, ...more } })
    const connection = await one.connect()
    await clock.advance(3_600_000)
    let number = 1
    one.answers.set('/token', (_, response) => {
      number++
      json(response, { ...tokens, access_token: `access-${number}`, refresh_token: `refresh-${number}` })
    })
    return { ...one, clock, connection }
  }

  test('T38 M-08 fifty requests at expiry refresh once', async () => {
    const { connection, tokenRequests, server } = await expired()
    await Promise.all(Array.from({ length: 50 }, () => connection.read('Patient', 'p1')))
    const refreshes = tokenRequests().filter((sent) => sent.get('grant_type') === 'refresh_token')
    expect(refreshes.map((sent) => Object.fromEntries(sent))).toEqual([
      { grant_type: 'refresh_token', refresh_token: 'refresh-1', client_id: 'my-app' },
    ])
    expect(server.heard.at(-1)?.headers.authorization).toBe('Bearer access-2')
  })

  test('F82 ten clients that share a store and a lock refresh once', async () => {
    const { connection, platform, provider, tokenRequests } = await expired()
    const opened = await Promise.all(
      Array.from({ length: 10 }, async () => {
        // A platform object of its own, as another tab or process has.
        const client = createClient({
          platform: { ...platform, store: { ...platform.store } },
          redirectUri: 'https://app.example/callback',
          providers: [provider],
          plan: usCore.only('Patient'),
        })
        return (await client.connections())[0]
      }),
    )
    expect(opened.every((other) => other?.id === connection.id)).toBe(true)
    await Promise.all(opened.map((other) => other?.read('Patient', 'p1')))
    expect(tokenRequests().length).toBe(2)
  })

  test('L-07 F8 a 401 before expiry refreshes once and asks again', async () => {
    const { answers, connect, tokenRequests } = await ehr()
    const connection = await connect()
    answers.set('/token', (_, response) => json(response, { ...tokens, access_token: 'access-2' }))
    answers.set('/fhir/Patient/p1', ({ headers }, response) =>
      headers.authorization === 'Bearer access-2'
        ? json(response, { resourceType: 'Patient', id: 'p1' })
        : json(response, {}, 401),
    )
    expect((await connection.read('Patient', 'p1')).id).toBe('p1')
    expect(tokenRequests().length).toBe(2)
  })

  test('F9 a 401 that stays is an error after one refresh, and access is kept', async () => {
    const { answers, connect, tokenRequests, client } = await ehr()
    const connection = await connect()
    answers.set('/fhir/Patient/p1', (_, response) => json(response, {}, 401))
    expect(await codeOf(connection.read('Patient', 'p1'))).toBe('FHIR_UNAUTHORIZED')
    expect(tokenRequests().length).toBe(2)
    expect((await client.connections())[0]?.access).toBe('ongoing')
  })

  test.each([
    [503, '{}'],
    [500, '<html>'],
    [400, ''],
    [400, '{"error":"invalid_request"}'],
    [401, '{"error":"invalid_client"}'],
    [400, '{"error":"temporarily_unavailable"}'],
    [200, '<html>captive portal</html>'],
    [0, 'reset'],
  ])('T39 M-11 F39 F41 F42 KF-04 a refresh that fails with %i %s loses nothing', async (status, body) => {
    const { connection, answers, clock } = await expired()
    const good = answers.get('/token')
    answers.set('/token', (_, response) => {
      if (status === 0) return void response.destroy()
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(body)
    })
    expect(await codeOf(passing(clock, connection.read('Patient', 'p1')))).toMatch(/^TOKEN_(?!ENDED)/)
    if (good) answers.set('/token', good)
    expect((await connection.read('Patient', 'p1')).id).toBe('p1')
  })

  test('F40 V-04 invalid_grant ends the connection, and asks for a new sign-in', async () => {
    const { connection, answers, client, tokenRequests } = await expired()
    answers.set('/token', (_, response) => json(response, { error: 'invalid_grant' }, 400))
    const error = await connection.read('Patient', 'p1').catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'TOKEN_ENDED', remedy: 'reconnect' })
    expect((await client.connections())[0]?.status).toBe('ended')
    await codeOf(connection.read('Patient', 'p1'))
    expect(tokenRequests().length).toBe(2)
  })

  test('F44 M-07 without a new refresh token the old one stays', async () => {
    const { connection, answers, clock, tokenRequests } = await expired()
    answers.set('/token', (_, response) =>
      json(response, { ...tokens, access_token: 'access-2', refresh_token: undefined }),
    )
    await connection.read('Patient', 'p1')
    await clock.advance(3_600_000)
    await connection.read('Patient', 'p1')
    expect(tokenRequests().map((sent) => sent.get('refresh_token'))).toEqual([null, 'refresh-1', 'refresh-1'])
  })

  test('T40 a rotated refresh token in an answer that is otherwise unusable is kept', async () => {
    const { connection, answers, tokenRequests } = await expired()
    answers.set('/token', (_, response) =>
      json(response, { ...tokens, token_type: 'mac', refresh_token: 'refresh-2' }),
    )
    expect(await codeOf(connection.read('Patient', 'p1'))).toBe('TOKEN_RESPONSE_INVALID')
    answers.set('/token', (_, response) =>
      json(response, { ...tokens, access_token: 'access-3', refresh_token: 'refresh-3' }),
    )
    await connection.read('Patient', 'p1')
    expect(tokenRequests().at(-1)?.get('refresh_token')).toBe('refresh-2')
  })

  test('T47 M-09 F46 a refresh that answers for another patient stops the connection', async () => {
    const { connection, answers, client } = await expired()
    answers.set('/token', (_, response) => json(response, { ...tokens, patient: 'p2' }))
    expect(await codeOf(connection.read('Patient', 'p1'))).toBe('TOKEN_PATIENT_CHANGED')
    expect((await client.connections())[0]?.status).toBe('ended')
  })

  test('an early refresh that fails costs nothing while the old token works', async () => {
    const clock = manualClock()
    const { connect, answers, server } = await ehr({ platform: { clock } })
    const connection = await connect()
    await clock.advance(3_570_000)
    answers.set('/token', (_, response) => json(response, {}, 503))
    await connection.read('Patient', 'p1')
    expect(server.heard.at(-1)?.headers.authorization).toBe('Bearer access-1')
  })

  test('F68 an abort during a refresh does not lose the rotated token', async () => {
    const { connection, answers, tokenRequests } = await expired()
    const reason = new Error('closed')
    const controller = new AbortController()
    let release: () => void = () => {}
    const asked = new Promise<void>((resolve) => {
      answers.set('/token', (_, response) => {
        release = () => json(response, { ...tokens, access_token: 'access-2', refresh_token: 'refresh-2' })
        resolve()
      })
    })
    const work = connection.read('Patient', 'p1', { signal: controller.signal })
    await asked
    controller.abort(reason)
    await expect(work).rejects.toBe(reason)
    release()
    expect((await connection.read('Patient', 'p1')).id).toBe('p1')
    expect(tokenRequests().length).toBe(2)
  })

  test('M-12 one-time access says so, and ends with a request for a new sign-in', async () => {
    const clock = manualClock()
    const { connect, answers } = await ehr({ platform: { clock } })
    answers.set('/token', (_, response) => json(response, { ...tokens, refresh_token: undefined }))
    const connection = await connect()
    expect(connection.access).toBe('once')
    await clock.advance(3_600_000)
    expect(await codeOf(connection.read('Patient', 'p1'))).toBe('TOKEN_ENDED')
  })
})

describe('connections', () => {
  test('F3 connecting again replaces, and another patient is another connection', async () => {
    const { client, approve, answers, connect } = await ehr()
    const first = await connect()
    const again = await connect()
    expect(again.id).toBe(first.id)
    answers.set('/token', (_, response) => json(response, { ...tokens, patient: 'p2' }))
    const other = await client.callback(approve((await client.authorize('mercy')).url))
    expect(other.id).not.toBe(first.id)
    expect((await client.connections({ provider: 'mercy' })).length).toBe(2)
  })

  test('T34 participants see their own connections only, whatever they are called', async () => {
    const { client, approve } = await ehr()
    for (const participant of ['ann', 'ann/x', '', '__proto__', '../ann']) {
      await client.callback(approve((await client.authorize('mercy', { participant })).url), { participant })
    }
    for (const participant of ['ann', 'ann/x', '', '__proto__', '../ann']) {
      expect((await client.connections({ participant })).map((one) => one.participant)).toEqual([participant])
    }
    expect(await client.connections({ participant: 'a' })).toEqual([])
  })

  test('V-02 revoke tells the server about both tokens and wipes the store', async () => {
    const { connect, server, platform, client } = await ehr()
    const connection = await connect()
    expect(await connection.revoke()).toEqual({ server: 'revoked', local: 'wiped' })
    expect(server.heard.filter(({ path }) => path === '/revoke').map(({ body }) => body)).toEqual([
      'token=refresh-1&token_type_hint=refresh_token&client_id=my-app',
      'token=access-1&token_type_hint=access_token&client_id=my-app',
    ])
    expect(await client.connections()).toEqual([])
    expect(await platform.store.keys('connection/')).toEqual([])
    expect(await codeOf(connection.read('Patient', 'p1'))).toBe('TOKEN_ENDED')
  })

  test('V-02 F57 a server that cannot be told is told later; here the connection is gone at once', async () => {
    const { connect, answers, client, platform, server } = await ehr()
    const connection = await connect()
    answers.set('/revoke', (_, response) => json(response, {}, 503))
    expect(await connection.revoke()).toEqual({ server: 'queued', local: 'wiped' })
    expect(await client.connections()).toEqual([])
    expect(await client.finishRevocations()).toMatchObject([{ connection: connection.id, server: 'queued' }])
    answers.set('/revoke', (_, response) => json(response, {}))
    expect(await client.finishRevocations()).toMatchObject([{ connection: connection.id, server: 'revoked' }])
    expect(server.heard.at(-1)?.body).toBe('token=access-1&token_type_hint=access_token&client_id=my-app')
    expect(await platform.store.keys('revocation/')).toEqual([])
    expect(await client.finishRevocations()).toEqual([])
  })

  test('F57 a queued revocation is delivered when the next launch begins', async () => {
    const { connect, answers, client, platform } = await ehr()
    const connection = await connect()
    answers.set('/revoke', (_, response) => void response.destroy())
    expect(await connection.revoke()).toMatchObject({ server: 'queued' })
    answers.set('/revoke', (_, response) => json(response, {}))
    await client.authorize('mercy')
    await expect.poll(() => platform.store.keys('revocation/')).toEqual([])
  })

  test('V-02 a server that refuses to revoke is said to have refused, and the local copy is gone', async () => {
    const { connect, answers, client, platform } = await ehr()
    const connection = await connect()
    answers.set('/revoke', (_, response) => json(response, { error: 'invalid_client' }, 401))
    expect(await connection.revoke()).toMatchObject({ server: 'failed', local: 'wiped' })
    expect(await client.connections()).toEqual([])
    expect(await platform.store.keys('revocation/')).toEqual([])
  })

  test('V-02 a server that revokes no access tokens has done enough with the refresh token', async () => {
    const { connect, answers } = await ehr()
    const connection = await connect()
    answers.set('/revoke', ({ body }, response) =>
      body.includes('hint=access')
        ? json(response, { error: 'unsupported_token_type' }, 400)
        : json(response, {}),
    )
    expect(await connection.revoke()).toEqual({ server: 'revoked', local: 'wiped' })
  })

  test('V-03 without a revocation endpoint the participant learns where to finish', async () => {
    const { connect, answers, server } = await ehr()
    answers.set('/fhir/.well-known/smart-configuration', (_, response) =>
      json(response, {
        authorization_endpoint: `${server.url}/a`,
        token_endpoint: `${server.url}/token`,
        management_endpoint: `${server.url}/manage`,
      }),
    )
    expect(await (await connect()).revoke()).toEqual({
      server: 'not-offered',
      local: 'wiped',
      manageUrl: `${server.url}/manage`,
    })
  })

  test('L-02 fetch reaches below the FHIR base and nowhere else', async () => {
    const { connect, server } = await ehr()
    const connection = await connect()
    expect(await (await connection.fetch('Patient/p1')).json()).toMatchObject({ id: 'p1' })
    const before = server.heard.length
    for (const path of [
      '../token',
      '/token',
      'https://evil.example/fhir',
      '//evil.example/fhir',
      `${server.url}/fhirx`,
    ])
      await expect(connection.fetch(path)).rejects.toThrow()
    expect(server.heard.length).toBe(before)
  })

  test('F76 a stored byte that is not a connection is no connection and no crash', async () => {
    const { client, connect, platform } = await ehr()
    await connect()
    for (const [index, junk] of [
      '',
      '{',
      'null',
      '[]',
      '{"format":1}',
      '{"format":2,"id":"x"}',
      '{"format":1,"id":5,"endpoints":{}}',
    ].entries()) {
      await platform.store.set(`connection//junk-${index}`, junk)
      await platform.store.set(`launch/junk-${index}`, junk)
    }
    expect((await client.connections()).length).toBe(1)
    await client.authorize('mercy')
    expect(await codeOf(client.callback('https://app.example/callback?code=x&state=junk-4'))).toBe(
      'AUTHORIZATION_STATE_UNKNOWN',
    )
  })

  test('a store that fails is a typed error', async () => {
    const { client } = await ehr({
      platform: { store: { ...memoryStore(), set: () => Promise.reject(new Error('QuotaExceededError')) } },
    })
    expect(await codeOf(client.authorize('mercy'))).toBe('CONFIG_STORAGE_FAILED')
  })
})

describe('options', () => {
  const good = { id: 'a', name: 'A', iss: 'https://a.example/fhir', clientId: 'c' }
  const make = (options: object): string => {
    try {
      createClient({
        platform: testPlatform(),
        redirectUri: 'https://app.example/cb',
        providers: [good],
        plan: usCore,
        ...options,
      } as never)
      return 'no error'
    } catch (error) {
      return (error as SmartError).code
    }
  }
  test.each([
    [{}, 'no error'],
    [{ redirectUri: 'http://app.example/cb' }, 'CONFIG_INSECURE_URL'],
    [{ redirectUri: '/cb' }, 'CONFIG_INVALID'],
    [{ redirectUri: 'https://app.example/cb#x' }, 'CONFIG_INVALID'],
    [{ providers: [good, good] }, 'CONFIG_INVALID'],
    [{ providers: [{ ...good, iss: 'http://a.example/fhir' }] }, 'CONFIG_INSECURE_URL'],
    [{ providers: [{ ...good, iss: undefined }] }, 'CONFIG_INVALID'],
    [{ providers: [{ ...good, id: 'a/b' }] }, 'CONFIG_INVALID'],
  ])('%o gives %s', (options, code) => {
    expect(make(options)).toBe(code)
  })
})
