import { createHash } from 'node:crypto'
import { afterEach, describe, expect, test } from 'vitest'
import { type ScriptedEhr, scriptedEhr, tokens } from '../test-support/ehr.js'
import { json } from '../test-support/server.js'
import { createClient, idToken, isSmartError, usCore } from './index.js'
import { testPlatform } from './testing/index.js'
import { epic } from './vendors/index.js'

const opened: ScriptedEhr[] = []
const ehr = async (options: Parameters<typeof scriptedEhr>[0] = {}): Promise<ScriptedEhr> => {
  const one = await scriptedEhr(options)
  opened.push(one)
  return one
}
afterEach(async () => {
  await Promise.all(opened.splice(0).map(({ server }) => server.stop()))
})
const asked = (url: string): URLSearchParams => new URL(url).searchParams
const scopesAsked = async (one: ScriptedEhr, more = {}): Promise<string[]> =>
  (asked((await one.client.authorize('mercy', more)).url).get('scope') ?? '').split(' ')

describe('the request', () => {
  test('S-01 S-02 S-03 A-15 a standalone launch asks for the patient, and sends no launch', async () => {
    const { client } = await ehr()
    const parameters = asked((await client.authorize('mercy')).url)
    expect(parameters.has('launch')).toBe(false)
    expect(parameters.get('scope')?.split(' ')).toContain('launch/patient')
  })

  test.each(['/fhir', '/fhir/', '/Fhir/R4/'])(
    'A-08 E-03 aud is the base %s as it is configured',
    async (path) => {
      const { client, server } = await ehr({ path })
      const parameters = asked((await client.authorize('mercy')).url)
      expect(parameters.get('aud')).toBe(server.url + path)
      const launch = await client.launch(`https://app.example/launch?iss=${server.url}${path}&launch=1`)
      expect(asked(launch.url).get('aud')).toBe(server.url + path)
    },
  )

  test('A-13 A-11 the verifier has 43 unreserved characters, is new each time, and its digest is the challenge', async () => {
    const { client, approve, tokenRequests } = await ehr()
    const verifiers = new Set<string>()
    for (let n = 0; n < 20; n++) {
      const { url } = await client.authorize('mercy')
      await client.callback(approve(url))
      const verifier = tokenRequests().at(-1)?.get('code_verifier') ?? ''
      expect(verifier).toMatch(/^[A-Za-z0-9._~-]{43}$/)
      expect(asked(url).get('code_challenge')).toBe(createHash('sha256').update(verifier).digest('base64url'))
      verifiers.add(verifier)
    }
    expect(verifiers.size).toBe(20)
  })

  test('A-06 T17 KF-03 C-11 ten thousand states are 256 bits each, none twice, in characters that survive', async () => {
    const crypto = globalThis.crypto
    let drawn = 0
    const one = await ehr({
      platform: {
        crypto: {
          subtle: crypto.subtle,
          getRandomValues: (array) => {
            drawn++
            return crypto.getRandomValues(array as never)
          },
        },
        store: {
          get: async () => undefined,
          set: async () => {},
          delete: async () => {},
          keys: async () => [],
        },
      },
    })
    const states = new Set<string>()
    for (let n = 0; n < 10_000; n++) states.add((await one.client.authorize('mercy')).state)
    expect(states.size).toBe(10_000)
    expect([...states].every((state) => /^[A-Za-z0-9_-]{43}$/.test(state))).toBe(true)
    expect(drawn).toBeGreaterThanOrEqual(20_000)
  })

  test('A-20 P-08 neither max_age nor a claim is asked for', async () => {
    const { client } = await ehr({ options: { identity: idToken() } })
    const parameters = asked((await client.authorize('mercy')).url)
    for (const name of ['max_age', 'claims', 'acr_values', 'prompt']) expect(parameters.has(name)).toBe(false)
  })

  test('A-19 A-23 P-01 identity is asked for by both scopes, a nonce only when the app wants one', async () => {
    const plain = await ehr({ options: { identity: idToken() } })
    expect(await scopesAsked(plain)).toEqual(expect.arrayContaining(['openid', 'fhirUser']))
    expect(asked((await plain.client.authorize('mercy')).url).has('nonce')).toBe(false)
    const nonce = await ehr({ options: { identity: idToken({ nonce: true }) } })
    const [one, other] = [await nonce.client.authorize('mercy'), await nonce.client.authorize('mercy')]
    expect(asked(one.url).get('nonce')).toMatch(/^[A-Za-z0-9_-]{43}$/)
    expect(asked(one.url).get('nonce')).not.toBe(asked(other.url).get('nonce'))
    expect(await scopesAsked(await ehr())).not.toContain('openid')
  })

  test('A-09 resource goes along where a provider wants it', async () => {
    const { client, provider } = await ehr({ provider: { sendResource: true } })
    const parameters = asked((await client.authorize('mercy')).url)
    expect([parameters.get('resource'), parameters.get('aud')]).toEqual([provider.iss, provider.iss])
  })

  test('A-21 a query of the endpoint stays, and what it has in common is replaced', async () => {
    const { client } = await ehr({
      wellKnown: (url) => ({ authorization_endpoint: `${url}/authorize?tenant=7&state=x&client_id=y` }),
    })
    const parameters = asked((await client.authorize('mercy')).url)
    expect(parameters.get('tenant')).toBe('7')
    expect([parameters.getAll('state').length, parameters.getAll('client_id')]).toEqual([1, ['my-app']])
  })

  test('A-18 M-01 access is asked for as long as the app wants it', async () => {
    const one = await ehr({ options: { access: 'once' } })
    expect(await scopesAsked(one)).not.toContain('offline_access')
    expect(await scopesAsked(one, { access: 'online' })).toContain('online_access')
    expect(await scopesAsked(one, { access: 'ongoing' })).toContain('offline_access')
  })

  test('E-04 O-02 scopes beside the plan’s: hints of context, and what a provider is configured with', async () => {
    const one = await ehr({ provider: { moreScopes: ['patient/Basic.cuds?code=https://app.example|state'] } })
    const scopes = await scopesAsked(one, { context: ['encounter'] })
    expect(scopes).toContain('launch/encounter')
    expect(scopes).toContain('patient/Basic.cuds?code=https://app.example|state')
  })

  test('A-14 A-16 A-17 a long request goes as a form where the server takes one, and only there', async () => {
    const long = Array.from(
      { length: 80 },
      (_, n) => `patient/Observation.rs?category=http://example.org/codes|${n}`,
    )
    const provider = { scope: ['launch/patient', ...long].join(' ') }
    const takes = await ehr({
      provider,
      wellKnown: () => ({ capabilities: ['permission-v2', 'authorize-post'] }),
    })
    const { form, url, state } = await takes.client.authorize('mercy')
    expect(form?.action).toBe(`${takes.server.url}/authorize?tenant=7`)
    expect(form?.fields).toMatchObject({
      state,
      scope: provider.scope,
      code_challenge_method: 'S256',
      aud: takes.provider.iss,
    })
    expect(Object.entries(form?.fields ?? {}).every(([name, value]) => asked(url).get(name) === value)).toBe(
      true,
    )
    expect((await (await ehr({ provider })).client.authorize('mercy')).form).toBeUndefined()
    const short = await ehr({ wellKnown: () => ({ capabilities: ['authorize-post'] }) })
    expect((await short.client.authorize('mercy')).form).toBeUndefined()
  })

  test('R-01 R-08 E-01 each server is told the client id that it gave', async () => {
    const [north, south] = [await ehr(), await ehr()]
    const client = createClient({
      platform: testPlatform(),
      redirectUri: 'https://app.example/callback',
      providers: [
        { ...north.provider, id: 'north', clientId: 'app-in-the-north' },
        { ...south.provider, id: 'south', clientId: 'app-in-the-south' },
      ],
      plan: usCore.only('Patient'),
    })
    const launch = await client.launch(`https://app.example/launch?iss=${south.provider.iss}&launch=1`)
    expect(asked(launch.url).get('client_id')).toBe('app-in-the-south')
    await client.callback(north.approve((await client.authorize('north')).url))
    expect(north.tokenRequests()[0]?.get('client_id')).toBe('app-in-the-north')
  })

  test('E-08 E-09 T11 KF-11 what else a launch URL says changes nothing', async () => {
    const { client, provider } = await ehr()
    const url = `https://app.example/launch?iss=${provider.iss}&launch=1&clientId=x&scope=y&patientId=z&fhirServiceUrl=https://evil.example&intent=w&aud=v`
    const parameters = asked((await client.launch(url)).url)
    expect(parameters.get('client_id')).toBe('my-app')
    expect(parameters.get('aud')).toBe(provider.iss)
    expect(parameters.get('scope')).toBe('launch offline_access patient/Patient.rs')
  })
})

describe('what came of it', () => {
  test.each([
    ['a refresh token', {}, {}, 'ongoing', 'refresh-token'],
    ['a refresh token that no scope names', { scope: 'patient/Patient.rs' }, {}, 'ongoing', 'refresh-token'],
    ['none, though asked for', { refresh_token: undefined }, {}, 'once', 'not-granted'],
    [
      'none from a provider that gives public apps none',
      { refresh_token: undefined },
      { vendor: epic },
      'once',
      'public-client',
    ],
  ])('M-10 M-12 KF-10 %s', async (_, answer, provider, access, accessReason) => {
    const { answers, connect } = await ehr({ provider })
    answers.set('/token', (__, response) => json(response, { ...tokens, ...answer }))
    expect(await connect()).toMatchObject({ access, accessReason })
  })

  test('M-12 M-14 access that was asked for once, or while signed in, says so', async () => {
    const once = await ehr({ options: { access: 'once' } })
    once.answers.set('/token', (_, response) => json(response, { ...tokens, refresh_token: undefined }))
    expect(await once.connect()).toMatchObject({ access: 'once', accessReason: 'not-requested' })
    const online = await ehr({ options: { access: 'online' } })
    expect(await online.connect()).toMatchObject({ access: 'ongoing', accessReason: 'signed-in' })
  })

  test('E-07 access without a patient is an error that says whom to ask', async () => {
    const { answers, connect } = await ehr()
    answers.set('/token', (_, response) => json(response, { ...tokens, patient: undefined }))
    const error = await connect().catch((caught: unknown) => caught)
    expect(isSmartError(error) && [error.code, error.remedy]).toEqual([
      'TOKEN_PATIENT_MISSING',
      'contact-provider',
    ])
  })
})
