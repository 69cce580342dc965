import { afterEach, describe, expect, test } from 'vitest'
import { type ScriptedEhr, scriptedEhr } from '../test-support/ehr.js'
import { json, startServer, type TestServer } from '../test-support/server.js'
import { createClient, defineProviders, isSmartError, outlookOf, usCore } from './index.js'
import { capabilitySets, supports } from './smart/index.js'
import { manualClock, testPlatform } from './testing/index.js'
import { epic } from './vendors/index.js'

const opened: (ScriptedEhr | TestServer)[] = []
const ehr = async (options: Parameters<typeof scriptedEhr>[0] = {}): Promise<ScriptedEhr> => {
  const one = await scriptedEhr(options)
  opened.push(one)
  return one
}
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => ('server' in one ? one.server.stop() : one.stop())))
})
const codeOf = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.then(
    () => undefined,
    (caught: unknown) => caught,
  )
  return isSmartError(error) ? error.code : `no SmartError: ${String(error)}`
}
const wellKnown = '/fhir/.well-known/smart-configuration'

describe('the configuration', () => {
  test.each(['/fhir', '/fhir/', '/v/r4/sim/abc/fhir'])(
    'D-01 D-02 at %s the document is below the base',
    async (path) => {
      const { client, server } = await ehr({ path })
      await client.authorize('mercy')
      const [asked] = server.heard
      expect(asked?.path).toBe(`${path.replace(/\/$/, '')}/.well-known/smart-configuration`)
      expect(asked?.headers.accept).toBe('application/json')
      // Nothing that a browser would ask the server's leave for.
      expect(Object.keys(asked?.headers ?? {})).not.toContain('authorization')
      expect(Object.keys(asked?.headers ?? {})).not.toContain('content-type')
    },
  )

  test.each([
    ['text/html', '<html>Sign in</html>'],
    ['application/json', '<!doctype html>'],
  ])('D-04 status 200 with %s that is no JSON is a typed error', async (type, body) => {
    const { client, answers } = await ehr()
    answers.set(wellKnown, (_, response) => response.writeHead(200, { 'content-type': type }).end(body))
    expect(await codeOf(client.authorize('mercy'))).toBe('DISCOVERY_INVALID')
  })

  test('D-04 D-13 JSON of another type is JSON', async () => {
    const { client, answers, server } = await ehr()
    answers.set(wellKnown, (_, response) =>
      response
        .writeHead(200, { 'CONTENT-TYPE': 'text/plain' })
        .end(
          JSON.stringify({ authorization_endpoint: `${server.url}/a`, token_endpoint: `${server.url}/t` }),
        ),
    )
    expect((await client.authorize('mercy')).url).toContain(`${server.url}/a?`)
  })

  test('D-05 D-06 D-07 D-10 D-11 what is there is typed, what is missing is named, what is not needed may be absent', async () => {
    const { client, server } = await ehr({
      wellKnown: (url) => ({
        issuer: undefined,
        scopes_supported: ['openid'],
        response_types_supported: ['code'],
        management_endpoint: `${url}/manage`,
        introspection_endpoint: `${url}/introspect`,
        registration_endpoint: `${url}/register`,
        user_access_brand_bundle: `${url}/brands.json`,
        user_access_brand_identifier: 'urn:x',
        token_endpoint_auth_methods_supported: ['private_key_jwt'],
        token_endpoint_auth_signing_alg_values_supported: ['RS384', 'ES384'],
        associated_endpoints: [
          { url: 'state', capabilities: ['smart-app-state'] },
          5,
          { url: 'javascript:1' },
        ],
      }),
    })
    const found = await client.configuration('mercy')
    expect(found).toMatchObject({
      managementEndpoint: `${server.url}/manage`,
      introspectionEndpoint: `${server.url}/introspect`,
      registrationEndpoint: `${server.url}/register`,
      revocationEndpoint: `${server.url}/revoke`,
      brandBundle: `${server.url}/brands.json`,
      brandIdentifier: 'urn:x',
      responseTypes: ['code'],
      authMethods: ['private_key_jwt'],
      signingAlgorithms: ['RS384', 'ES384'],
      associatedEndpoints: [{ url: `${server.url}/fhir/state`, capabilities: ['smart-app-state'] }],
      missing: ['grant_types_supported', 'code_challenge_methods_supported'],
      source: 'well-known',
    })
    expect('issuer' in found).toBe(false)
    expect('jwksUri' in found).toBe(false)
    // Asked for although the list of supported scopes does not have it.
    expect(decodeURIComponent((await client.authorize('mercy')).url)).toContain('patient/Patient.rs')
  })

  test('D-05 D-06 a server without an authorization endpoint is an error only for a launch', async () => {
    const { client } = await ehr({ wellKnown: () => ({ authorization_endpoint: undefined }) })
    expect((await client.configuration('mercy')).tokenEndpoint).toContain('/token')
    expect(await codeOf(client.authorize('mercy'))).toBe('DISCOVERY_INVALID')
  })

  test('D-08 D-09 capabilities are kept, old names are today’s, and a capability set says what it lacks', async () => {
    const { client } = await ehr({
      wellKnown: () => ({
        capabilities: [
          ...['launch-standalone', 'client-public', 'context-standalone-patient', 'permission-patient'],
          ...['context-passthrough-banner', 'https://ehr.example/own'],
        ],
      }),
    })
    const configuration = await client.configuration('mercy')
    expect(supports(configuration, 'https://ehr.example/own')).toBe(true)
    expect(supports(configuration, 'context-banner')).toBe(true)
    const sets = capabilitySets(configuration)
    expect(sets['Patient Access for Standalone Apps']).toEqual([])
    expect(sets['Patient Access for EHR Launch']).toEqual(['launch-ehr', 'context-ehr-patient'])
  })

  test('T8 D-12 a slow well-known document wins over a fast CapabilityStatement', async () => {
    const { client, answers, server } = await ehr()
    const usual = answers.get(wellKnown)
    answers.set(wellKnown, (request, response) => void setTimeout(() => usual?.(request, response), 30))
    answers.set('/fhir/metadata', (_, response) => json(response, { resourceType: 'CapabilityStatement' }))
    expect((await client.authorize('mercy')).url).toContain(`${server.url}/authorize`)
    expect(server.heard.map(({ path }) => path)).not.toContain('/fhir/metadata')
  })

  test('D-12 L-10 the Conformance statement of a DSTU2 server is asked for by its own media type too', async () => {
    const { client, answers, server } = await ehr()
    answers.delete(wellKnown)
    answers.set('/fhir/metadata', ({ headers }, response) =>
      headers.accept?.includes('application/json+fhir')
        ? json(response, {
            resourceType: 'Conformance',
            rest: [
              {
                security: {
                  extension: [
                    {
                      url: 'http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris',
                      extension: [
                        { url: 'authorize', valueUri: `${server.url}/a` },
                        { url: 'token', valueUri: `${server.url}/t` },
                        { url: 'manage', valueUri: `${server.url}/m` },
                      ],
                    },
                  ],
                },
              },
            ],
          })
        : json(response, {}, 406),
    )
    expect(await client.configuration('mercy')).toMatchObject({
      tokenEndpoint: `${server.url}/t`,
      managementEndpoint: `${server.url}/m`,
      source: 'capability-statement',
    })
  })

  test('what is configured for a provider stands in place of what it publishes, and may spare the question', async () => {
    const { client } = await ehr({
      provider: { configuration: { scopesSupported: ['openid'], issuer: 'https://x.example' } },
    })
    expect(await client.configuration('mercy')).toMatchObject({
      issuer: 'https://x.example',
      scopesSupported: ['openid'],
    })
    const given = await ehr({
      provider: {
        configuration: {
          authorizationEndpoint: 'https://auth.example/authorize',
          tokenEndpoint: 'https://auth.example/token',
          capabilities: ['permission-v2'],
        },
      },
    })
    expect((await given.client.authorize('mercy')).url).toMatch(/^https:\/\/auth\.example\/authorize\?/)
    expect(given.server.heard).toEqual([])
  })

  test('T4 an endpoint that is configured must be https', () => {
    for (const url of ['http://auth.example/token', 'javascript:alert(1)', 'nonsense'])
      expect(() =>
        defineProviders([
          {
            id: 'a',
            name: 'A',
            iss: 'https://a.example',
            clientId: 'x',
            configuration: { tokenEndpoint: url },
          },
        ]),
      ).toThrow(/https/)
  })
})

describe('the origin of the token endpoint', () => {
  test('T5 one that changes after the first use gets nothing, until it is listed', async () => {
    const other = await startServer((_, response) => json(response, {}))
    opened.push(other)
    const clock = manualClock()
    let moved = false
    const one = await ehr({
      platform: { clock },
      wellKnown: () => (moved ? { token_endpoint: `${other.url}/token` } : {}),
    })
    await one.connect()
    moved = true
    await clock.advance(11 * 60_000)
    expect(await codeOf(one.client.authorize('mercy'))).toBe('DISCOVERY_TOKEN_ORIGIN')
    expect(other.heard).toEqual([])
    const listed = createClient({
      platform: one.platform,
      redirectUri: 'https://app.example/callback',
      providers: [{ ...one.provider, tokenOrigins: [one.server.url, other.url] }],
      plan: usCore.only('Patient'),
    })
    await listed.authorize('mercy')
  })

  test('T5 T9 an endpoint that moves within its origin is used after ten minutes', async () => {
    const clock = manualClock()
    let path = '/token'
    const one = await ehr({ platform: { clock }, wellKnown: (url) => ({ token_endpoint: url + path }) })
    await one.connect()
    path = '/token/v2'
    one.answers.set('/token/v2', (request, response) => one.answers.get('/token')?.(request, response))
    await clock.advance(11 * 60_000)
    await one.connect()
    expect(one.server.heard.map((request) => request.path)).toContain('/token/v2')
  })

  test('T10 a provider that names the token endpoint of another is refused', async () => {
    const victim = await ehr()
    const evil = await ehr({ wellKnown: () => ({ token_endpoint: `${victim.server.url}/token` }) })
    const client = createClient({
      platform: testPlatform(),
      redirectUri: 'https://app.example/callback',
      providers: [
        { ...victim.provider, id: 'victim' },
        { ...evil.provider, id: 'evil' },
      ],
      plan: usCore.only('Patient'),
    })
    expect(await codeOf(client.authorize('evil'))).toBe('DISCOVERY_TOKEN_ORIGIN')
    expect(victim.server.heard).toEqual([])
  })
})

test('M-12 D-09 before a launch it can be told how long access will last, and why', async () => {
  const once = await ehr({ provider: { vendor: epic } })
  expect(await outlookOf(once.client, 'mercy')).toMatchObject({
    access: 'once',
    accessReason: 'public-client',
    scopes: ['launch/patient', 'offline_access', 'patient/Patient.rs'],
    warnings: ['incomplete-metadata', 'no-standalone-launch'],
  })
  const ongoing = await ehr({ wellKnown: () => ({ code_challenge_methods_supported: ['plain'] }) })
  const outlook = await outlookOf(ongoing.client, 'mercy')
  expect(outlook).toMatchObject({ access: 'ongoing', accessReason: 'refresh-token' })
  expect(outlook.warnings).toEqual(['incomplete-metadata', 'plain-pkce', 'no-standalone-launch'])
  expect(await codeOf(outlookOf(ongoing.client, 'nobody'))).toBe('CONFIG_UNKNOWN_PROVIDER')
})
