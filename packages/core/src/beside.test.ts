import { confidentialClientSecret, type Sandbox, startSandbox } from '@s4s/sandbox'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type ScriptedEhr, scriptedEhr, tokens } from '../test-support/ehr.js'
import { json } from '../test-support/server.js'
import { clientSecret } from './confidential.js'
import { fhirKit } from './fhir-kit.js'
import { type Connection, createClient, introspect, isSmartError, usCore } from './index.js'
import { renewByInstallation } from './installation.js'
import { createTransport, registerClient, Secret } from './smart/index.js'
import { testPlatform } from './testing/index.js'
import { epic } from './vendors/index.js'

let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await startSandbox({ people: ['leo'] })
})
afterAll(() => sandbox.stop())
const opened: ScriptedEhr[] = []
const ehr = async (options: Parameters<typeof scriptedEhr>[0] = {}): Promise<ScriptedEhr> => {
  const one = await scriptedEhr(options)
  opened.push(one)
  return one
}
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

describe('introspection', () => {
  const connect = async (provider = {}): Promise<Connection> => {
    const client = createClient({
      platform: testPlatform(),
      redirectUri: 'http://127.0.0.1:9/callback',
      providers: [{ ...sandbox.provider, ...provider }],
      plan: usCore.only('Patient'),
    })
    const { url } = await client.authorize(sandbox.provider.id)
    return client.callback(await sandbox.approve(url))
  }

  test.each([
    ['a public client', {}],
    [
      'a client with a secret',
      { clientId: 's4s-confidential', auth: clientSecret(confidentialClientSecret) },
    ],
  ])(
    'Q-01 Q-02 Q-03 V-01 V-04 at a real server, %s: active, then revoked and no longer',
    async (_, provider) => {
      const connection = await connect(provider)
      const before = await introspect(connection)
      expect(before).toMatchObject({
        state: 'active',
        clientId: { ...sandbox.provider, ...provider }.clientId,
      })
      expect(before.state === 'active' && before.scope).toContain('patient/Patient.rs')
      expect(before.state === 'active' && (before.expiresAt?.getTime() ?? 0)).toBeGreaterThan(Date.now())
      expect((await connection.revoke()).server).toBe('revoked')
      expect(await introspect(connection)).toEqual({ state: 'inactive' })
    },
  )

  test('Q-04 without an endpoint, or with an answer that says nothing, nobody knows', async () => {
    const one = await ehr()
    expect(await introspect(await one.connect())).toEqual({ state: 'unknown' })
    for (const body of ['', '[]', '{"active":"yes"}', '<html>']) {
      const other = await ehr({ wellKnown: (url) => ({ introspection_endpoint: `${url}/introspect` }) })
      other.answers.set('/introspect', (_, response) => void response.end(body))
      expect(await introspect(await other.connect())).toEqual({ state: 'unknown' })
    }
  })

  test('Q-02 Q-03 the token asks about itself; of an inactive one nothing else is told', async () => {
    const one = await ehr({ wellKnown: (url) => ({ introspection_endpoint: `${url}/introspect` }) })
    one.answers.set('/introspect', (_, response) =>
      json(response, { active: false, scope: 'patient/*.rs', patient: 'x' }),
    )
    expect(await introspect(await one.connect())).toEqual({ state: 'inactive' })
    expect(one.server.heard.at(-1)).toMatchObject({
      method: 'POST',
      headers: { authorization: 'Bearer access-1', accept: 'application/json' },
      body: 'token=access-1&token_type_hint=access_token&client_id=my-app',
    })
  })

  test('Q-02 a server that tells nobody is a typed error', async () => {
    const one = await ehr({ wellKnown: (url) => ({ introspection_endpoint: `${url}/introspect` }) })
    one.answers.set('/introspect', (_, response) => json(response, {}, 401))
    expect(await codeOf(introspect(await one.connect()))).toBe('TOKEN_CLIENT_REFUSED')
    one.answers.set('/introspect', (_, response) => json(response, {}, 503))
    expect(await codeOf(introspect(await one.connect()))).toBe('TOKEN_UNREACHABLE')
  })
})

describe('registration', () => {
  const transport = createTransport(testPlatform())

  test('R-07 an app registers itself and learns its client id; the secret prints as one', async () => {
    const one = await ehr()
    one.answers.set('/register', ({ body }, response) =>
      json(
        response,
        {
          ...JSON.parse(body),
          client_id: 'c1',
          client_secret: 'canary',
          registration_access_token: 'canary',
          grant_types: ['authorization_code'],
        },
        201,
      ),
    )
    const registered = await registerClient(
      transport,
      `${one.server.url}/register`,
      { client_name: 'Study', redirect_uris: ['https://app.example/callback'] },
      { bearer: new Secret('initial') },
    )
    expect(registered).toMatchObject({ clientId: 'c1', grantTypes: ['authorization_code'] })
    expect(registered.clientSecret?.reveal()).toBe('canary')
    expect(JSON.stringify(registered)).not.toContain('canary')
    expect(one.server.heard[0]).toMatchObject({
      method: 'POST',
      headers: { authorization: 'Bearer initial', 'content-type': 'application/json' },
    })
  })

  test.each([
    [400, { error: 'invalid_request' }, 'CONFIG_REGISTRATION_REFUSED'],
    [404, '<html>', 'CONFIG_REGISTRATION_REFUSED'],
    [201, {}, 'CONFIG_REGISTRATION_REFUSED'],
    [302, '', 'CONFIG_REGISTRATION_REFUSED'],
    [503, '', 'TOKEN_UNREACHABLE'],
  ])('R-07 %i %j is %s', async (status, body, code) => {
    const one = await ehr()
    one.answers.set('/register', (_, response) => json(response, body, status, { location: '/elsewhere' }))
    expect(await codeOf(registerClient(transport, `${one.server.url}/register`, {}))).toBe(code)
  })

  const keysOf = (): Promise<CryptoKeyPair> =>
    globalThis.crypto.subtle.generateKey(
      {
        name: 'RSASSA-PKCS1-v1_5',
        modulusLength: 2048,
        publicExponent: new Uint8Array([1, 0, 1]),
        hash: 'SHA-384',
      },
      false,
      ['sign', 'verify'],
    ) as Promise<CryptoKeyPair>

  test('U-07 R-07 J-22 one step gives a public app lasting access: a registered installation with its own key', async () => {
    const one = await ehr({ provider: { vendor: epic, moreScopes: ['system/DynamicClient.register'] } })
    one.answers.set('/token', (_, response) => json(response, { ...tokens, refresh_token: undefined }))
    const connection = await one.connect()
    expect(connection.accessReason).toBe('public-client')
    one.answers.set('/register', (_, response) => json(response, { client_id: 'installation-1' }, 201))
    one.answers.set('/token', (_, response) =>
      json(response, { access_token: 'access-2', token_type: 'bearer', expires_in: 3600 }),
    )
    const keys = await keysOf()
    const renewed = await renewByInstallation(connection, { keys })
    await renewed.read('Patient', 'p1')
    expect(one.server.heard.at(-1)?.headers.authorization).toBe('Bearer access-2')
    const registration = one.server.heard.find(({ path }) => path === '/register')
    expect(registration?.headers.authorization).toBe('Bearer access-1')
    expect(JSON.parse(registration?.body ?? '')).toMatchObject({
      software_id: 'my-app',
      jwks: { keys: [{ kty: 'RSA' }] },
    })
    expect(registration?.body).not.toContain('"d"')
    await renewByInstallation(renewed, { keys })
    const grants = one.tokenRequests().slice(1)
    expect(one.server.heard.filter(({ path }) => path === '/register').length).toBe(1)
    expect(new Set(grants.map((grant) => decodeJwt(grant.get('assertion') ?? '').jti)).size).toBe(2)
    const assertion = grants[0]?.get('assertion') ?? ''
    expect(grants[0]?.get('grant_type')).toBe('urn:ietf:params:oauth:grant-type:jwt-bearer')
    expect(decodeJwt(assertion)).toMatchObject({
      iss: 'installation-1',
      sub: 'installation-1',
      aud: `${one.server.url}/token`,
    })
    expect(decodeProtectedHeader(assertion).kid).toBe(JSON.parse(registration?.body ?? '').jwks.keys[0].kid)
  })

  test('U-07 where a provider does not offer it, one-time access is kept', async () => {
    const one = await ehr({ provider: { vendor: epic } })
    const connection = await one.connect()
    expect(await codeOf(renewByInstallation(connection, { keys: await keysOf() }))).toBe(
      'CONFIG_REGISTRATION_REFUSED',
    )
    expect((await connection.read('Patient', 'p1')).id).toBe('p1')
    const plain = await (await ehr()).connect()
    expect(await codeOf(renewByInstallation(plain, { keys: await keysOf() }))).toBe('CONFIG_INVALID')
  })
})

describe('a fhir-kit-client bound to a connection', () => {
  test('L-02 L-04 KF-06 reads with the token, below the base only, and follows nothing', async () => {
    const evil = await ehr()
    const one = await ehr()
    one.answers.set('/fhir/Observation', (_, response) =>
      json(response, {
        resourceType: 'Bundle',
        link: [{ relation: 'next', url: `${evil.server.url}/fhir/Observation?page=2` }],
      }),
    )
    const kit = fhirKit(await one.connect())
    expect(await kit.read({ resourceType: 'Patient', id: 'p1' })).toMatchObject({ id: 'p1' })
    expect(one.server.heard.at(-1)?.headers.authorization).toBe('Bearer access-1')
    const bundle = await kit.search({ resourceType: 'Observation', searchParams: { code: 'x' } })
    expect(await codeOf(kit.nextPage({ bundle: bundle as never }) as Promise<unknown>)).toBe(
      'FHIR_FOREIGN_URL',
    )
    expect(await codeOf(kit.request(`${evil.server.url}/fhir/Patient/1`))).toBe('FHIR_FOREIGN_URL')
    await expect(kit.resolve({ reference: 'Patient/1' } as never)).rejects.toThrow(TypeError)
    expect(evil.server.heard).toEqual([])
  })

  test('L-08 a batch goes as one request, and each of its entries has an answer of its own', async () => {
    const one = await ehr()
    one.answers.set('/fhir', (_, response) =>
      json(response, {
        resourceType: 'Bundle',
        type: 'batch-response',
        entry: [{ response: { status: '200 OK' } }, { response: { status: '403 Forbidden' } }],
      }),
    )
    const kit = fhirKit(await one.connect())
    const entry = ['Patient/p1', 'Patient/p2'].map((url) => ({ request: { method: 'GET', url } }))
    const body = { resourceType: 'Bundle', type: 'batch', entry }
    const answer = (await kit.batch({ body: body as never })) as unknown as {
      entry: { response: { status: string } }[]
    }
    expect(answer.entry.map(({ response }) => response.status)).toEqual(['200 OK', '403 Forbidden'])
    const sent = one.server.heard.at(-1)
    expect([sent?.method, JSON.parse(sent?.body ?? '')]).toEqual(['POST', body])
  })
})
