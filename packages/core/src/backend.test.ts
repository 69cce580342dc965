import { type Sandbox, startSandbox } from '@s4s/sandbox'
import { jwtVerify } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { json, startServer, type TestServer } from '../test-support/server.js'
import { type BackendOptions, clientSecret, createBackendService, privateKeyJwt } from './confidential.js'
import { isSmartError } from './index.js'
import { manualClock, testPlatform } from './testing/index.js'

let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await startSandbox({ people: ['leo'] })
})
afterAll(() => sandbox.stop())
const servers: TestServer[] = []
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()))
})

const pair = (): Promise<CryptoKeyPair> =>
  globalThis.crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-384' }, false, [
    'sign',
    'verify',
  ]) as Promise<CryptoKeyPair>

describe('at a real authorization server', () => {
  test.each(['RS384', 'ES384'] as const)(
    'K-01 to K-12 a service with a key for %s reads by system scopes',
    async (alg) => {
      const key = sandbox.keys.find((one) => one.alg === alg) as (typeof sandbox.keys)[number]
      sandbox.clearRequests()
      const service = createBackendService({
        platform: testPlatform(),
        provider: {
          id: 'town',
          name: 'Town',
          iss: sandbox.iss,
          clientId: 's4s-backend',
          auth: privateKeyJwt(key.privateKey, key.kid),
        },
        scope: 'system/Patient.rs system/Observation.rs',
      })
      expect((await service.read('Patient', 'leo')).id).toBe('leo')
      expect(service.scopes()).toEqual(expect.arrayContaining(['system/Patient.rs']))
      const asked = sandbox.requests.map(({ method, path }) => `${method} ${path}`)
      expect(asked).toEqual([
        'GET /fhir/.well-known/smart-configuration',
        'POST /token',
        'GET /fhir/Patient/leo',
      ])
    },
  )
})

async function scripted(more: Record<string, unknown> = {}): Promise<{
  readonly server: TestServer
  readonly options: BackendOptions
  readonly keys: CryptoKeyPair
  readonly clock: ReturnType<typeof manualClock>
}> {
  let number = 0
  const server = await startServer(({ path }, response) => {
    if (path.endsWith('smart-configuration')) return json(response, { token_endpoint: `${server.url}/token` })
    if (path === '/token')
      return json(response, { access_token: `t${++number}`, token_type: 'bearer', expires_in: 300, ...more })
    return json(response, { resourceType: 'Patient', id: 'p1' })
  })
  servers.push(server)
  const keys = await pair()
  const clock = manualClock()
  const provider = {
    id: 'a',
    name: 'A',
    iss: `${server.url}/fhir`,
    clientId: 'svc',
    auth: privateKeyJwt(keys.privateKey, 'k'),
  }
  return {
    server,
    keys,
    clock,
    options: { platform: testPlatform({ clock }), provider, scope: 'system/*.rs' },
  }
}

describe('tokens of a service', () => {
  test('K-05 K-06 K-07 K-08 K-09 K-12 the request is a form with scopes, grant type and an assertion of its own', async () => {
    const { server, keys, clock, options } = await scripted()
    const service = createBackendService(options)
    await service.read('Patient', 'p1')
    await clock.advance(300_000)
    await service.read('Patient', 'p1')
    const calls = server.heard.filter(({ path }) => path === '/token')
    const ids = new Set<unknown>()
    for (const { method, headers, body } of calls) {
      expect(method).toBe('POST')
      expect(headers['content-type']).toBe('application/x-www-form-urlencoded')
      const form = new URLSearchParams(body)
      expect([form.get('grant_type'), form.get('scope')]).toEqual(['client_credentials', 'system/*.rs'])
      expect(form.get('client_assertion_type')).toBe('urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
      const { payload } = await jwtVerify(form.get('client_assertion') ?? '', keys.publicKey, {
        audience: `${server.url}/token`,
        issuer: 'svc',
      })
      ids.add(payload.jti)
    }
    expect([calls.length, ids.size]).toEqual([2, 2])
    expect(server.heard.at(-1)?.headers.authorization).toBe('Bearer t2')
  })

  test('K-11 a token is used until shortly before it ends, by many requests at once, and a refresh token never', async () => {
    const { server, clock, options } = await scripted({ refresh_token: 'canary-refresh' })
    const service = createBackendService(options)
    await Promise.all(Array.from({ length: 20 }, () => service.read('Patient', 'p1')))
    await clock.advance(269_000)
    await service.read('Patient', 'p1')
    expect(server.heard.filter(({ path }) => path === '/token').length).toBe(1)
    await clock.advance(2000)
    await service.read('Patient', 'p1')
    const calls = server.heard.filter(({ path }) => path === '/token')
    expect(calls.length).toBe(2)
    expect(calls.some(({ body }) => body.includes('refresh'))).toBe(false)
  })

  test('K-13 K-04 U-01 the token goes to no other server, and no plain http is used', async () => {
    const { options } = await scripted()
    const other = await startServer((_, response) => json(response, {}))
    servers.push(other)
    const error = await createBackendService(options)
      .attachment(`${other.url}/fhir/Binary/1`)
      .catch((caught: unknown) => caught)
    expect(isSmartError(error) && error.code).toBe('FHIR_FOREIGN_URL')
    expect(other.heard).toEqual([])
    expect(() =>
      createBackendService({ ...options, provider: { ...options.provider, iss: 'http://ehr.example/fhir' } }),
    ).toThrow(/https/)
  })

  test('T30 T29 a request beside the reads has the token at the FHIR base and at listed origins, and nowhere else', async () => {
    const { server, options } = await scripted()
    const other = await startServer((_, response) => json(response, {}, 404))
    servers.push(other)
    const service = createBackendService(options)
    expect((await service.request({ url: `${server.url}/fhir/Group/1/$export` })).error).toBeUndefined()
    for (const url of [`${server.url}/fhirx`, `${other.url}/fhir/x`, 'http://ehr.example/x'])
      await expect(service.request({ url })).rejects.toMatchObject({ name: 'SmartError' })
    expect(other.heard).toEqual([])
    const listed = await service.request({ url: `${other.url}/files/1`, origins: [other.url] })
    expect([listed.status, listed.error?.code]).toEqual([404, 'FHIR_NOT_FOUND'])
    expect(other.heard[0]?.headers.authorization).toBe('Bearer t1')
  })

  test('K-03 I-04 K-10 a service without a key, with a secret or without scopes is not made', async () => {
    const { options } = await scripted()
    const { auth: _auth, ...open } = options.provider
    for (const provider of [open, { ...open, auth: clientSecret('s') }])
      expect(() => createBackendService({ ...options, provider })).toThrow(/privateKeyJwt/)
    expect(() => createBackendService({ ...options, scope: ' ' })).toThrow(/scope/)
  })
})
