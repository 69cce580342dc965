import { createSecretKey, randomBytes } from 'node:crypto'
import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose'
import { afterEach, describe, expect, test } from 'vitest'
import { type ScriptedEhr, scriptedEhr, tokens } from '../test-support/ehr.js'
import { json } from '../test-support/server.js'
import { type Connection, type IdTokenOptions, idToken, isSmartError, readUser } from './index.js'

const opened: ScriptedEhr[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map(({ server }) => server.stop()))
})

type Algorithm = 'RS256' | 'RS384' | 'ES256' | 'ES384' | 'EdDSA' | 'PS256'
interface Signing {
  readonly one: ScriptedEhr
  readonly keys: JWK[]
  connect(claims?: JWTPayload, change?: Change): Promise<Connection>
}
interface Change {
  readonly alg?: Algorithm
  readonly kid?: string | undefined
  readonly key?: CryptoKey
  readonly mutate?: (jwt: string) => string | undefined
}

/** An EHR that signs id_tokens: whoever signs in is the patient. */
async function signing(
  options: Parameters<typeof scriptedEhr>[0] & { readonly idToken?: IdTokenOptions } = {},
): Promise<Signing> {
  const one = await scriptedEhr({ options: { identity: idToken(options.idToken) }, ...options })
  opened.push(one)
  const { answers, server } = one
  const keys: JWK[] = []
  const pairs = new Map<string, CryptoKey>()
  const keyOf = async (alg: Algorithm, kid: string | undefined): Promise<CryptoKey> => {
    const known = pairs.get(alg)
    if (known) return known
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
    keys.push({ ...(await exportJWK(publicKey)), ...(kid === undefined ? {} : { kid }) })
    pairs.set(alg, privateKey)
    return privateKey
  }
  answers.set('/.well-known/openid-configuration', (_, response) =>
    json(response, { issuer: server.url, jwks_uri: `${server.url}/jwks` }),
  )
  answers.set('/jwks', (_, response) => json(response, { keys }))
  return {
    one,
    keys,
    connect: async (claims = {}, change = {}) => {
      const { alg = 'RS256', kid = 'kid' in change ? undefined : 'k1', mutate } = change
      const nonce = {} as { nonce?: string }
      const { url } = await one.client.authorize('mercy')
      const sent = new URL(url).searchParams.get('nonce')
      if (sent !== null) nonce.nonce = sent
      const now = Math.floor(Date.now() / 1000)
      const payload = {
        iss: server.url,
        aud: 'my-app',
        sub: 'person-1',
        iat: now,
        exp: now + 300,
        fhirUser: 'Patient/p1',
        ...nonce,
        ...claims,
      }
      const jwt = await new SignJWT(JSON.parse(JSON.stringify(payload)) as JWTPayload)
        .setProtectedHeader({ alg, ...(kid === undefined ? {} : { kid }) })
        .sign(change.key ?? (await keyOf(alg, kid)))
      answers.set('/token', (_, response) =>
        json(response, { ...tokens, id_token: mutate ? mutate(jwt) : jwt }),
      )
      return one.client.callback(one.approve(url))
    },
  }
}

describe('an id_token that is right', () => {
  test.each(['RS256', 'RS384', 'ES256', 'ES384', 'PS256', 'EdDSA'] as const)(
    'P-02 P-03 P-05 signed with %s is believed',
    async (alg) => {
      const { one, connect } = await signing()
      const connection = await connect({}, { alg })
      expect(connection.identity).toEqual({
        status: 'verified',
        issuer: one.server.url,
        subject: 'person-1',
        fhirUser: `${one.provider.iss}/Patient/p1`,
      })
      expect(connection.isProxy).toBe(false)
    },
  )

  test('P-06 one key without an id is found', async () => {
    const { connect } = await signing()
    expect((await connect({}, { kid: undefined })).identity?.status).toBe('verified')
  })

  test('P-06 F50 keys that changed since the last sign-in are fetched anew', async () => {
    const { connect, keys } = await signing()
    await connect()
    keys.length = 0
    const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true })
    keys.push({ ...(await exportJWK(publicKey)), kid: 'k2' })
    expect((await connect({}, { key: privateKey, kid: 'k2' })).identity?.status).toBe('verified')
  })

  test('F50 a key server that fails once is asked again, and one that goes on failing costs identity only', async () => {
    const { one, connect } = await signing()
    const good = one.answers.get('/jwks')
    let failures = 1
    one.answers.set('/jwks', (request, response) =>
      failures-- > 0 ? json(response, {}, 500) : good?.(request, response),
    )
    expect((await connect()).identity?.status).toBe('verified')
    one.answers.set('/jwks', (_, response) => json(response, {}, 500))
    const connection = await connect()
    expect(connection.identity).toEqual({ status: 'unverified', problem: 'unreachable' })
    expect((await connection.read('Patient', 'p1')).id).toBe('p1')
  })

  test('F51 P-04 clocks may differ by what is tolerated', async () => {
    const now = Math.floor(Date.now() / 1000)
    const strict = await signing()
    expect((await strict.connect({ exp: now - 40 })).identity?.status).toBe('verified')
    expect((await strict.connect({ exp: now - 180 })).identity).toMatchObject({ problem: 'claims' })
    const lenient = await signing({ idToken: { clockTolerance: 300 } })
    expect((await lenient.connect({ exp: now - 180 })).identity?.status).toBe('verified')
  })

  test('A-23 P-04 a nonce that was sent must come back', async () => {
    const { connect } = await signing({ idToken: { nonce: true } })
    expect((await connect()).identity?.status).toBe('verified')
    expect((await connect({ nonce: 'other' })).identity).toMatchObject({ problem: 'claims' })
    expect((await connect({ nonce: undefined } as never)).identity).toMatchObject({ problem: 'claims' })
  })

  test('P-09 profile serves where there is no fhirUser', async () => {
    const { connect, one } = await signing()
    const connection = await connect({ fhirUser: undefined, profile: 'Practitioner/7' } as never)
    expect(connection.identity).toMatchObject({ fhirUser: `${one.provider.iss}/Practitioner/7` })
  })

  test('S-04 somebody who is not the patient is a proxy', async () => {
    const { connect } = await signing()
    expect((await connect({ fhirUser: 'RelatedPerson/mother' })).isProxy).toBe(true)
    expect((await connect({ fhirUser: 'Patient/other' })).isProxy).toBe(true)
  })

  test('D-06 D-14 a server that advertises no issuer is believed about its own', async () => {
    const { connect } = await signing({ wellKnown: () => ({ issuer: undefined }) })
    expect((await connect()).identity?.status).toBe('verified')
  })
})

describe('P-02 T41 an id_token that is wrong costs identity and no data', () => {
  const now = Math.floor(Date.now() / 1000)
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const reheaded =
    (header: unknown, signature = 'AAAA') =>
    (jwt: string): string =>
      `${part(header)}.${jwt.split('.')[1]}.${signature}`

  test.each<[string, JWTPayload, Change, string]>([
    ['another issuer', { iss: 'https://other.example' }, {}, 'issuer'],
    ['an issuer with a slash more', { iss: 'http://127.0.0.1/' }, {}, 'issuer'],
    ['no issuer', { iss: undefined } as never, {}, 'signature'],
    ['another audience', { aud: 'other-app' }, {}, 'claims'],
    ['an audience more', { aud: ['my-app', 'other-app'] }, {}, 'claims'],
    ['an audience more and another party', { aud: ['my-app', 'x'], azp: 'x' }, {}, 'claims'],
    ['no audience', { aud: undefined } as never, {}, 'claims'],
    ['another authorized party', { azp: 'x', aud: ['my-app', 'y'] }, {}, 'claims'],
    ['a past end', { exp: now - 3600 }, {}, 'claims'],
    ['no end', { exp: undefined } as never, {}, 'claims'],
    ['an end that is no number', { exp: 'soon' } as never, {}, 'claims'],
    ['no time of issue', { iat: undefined } as never, {}, 'claims'],
    ['a beginning to come', { nbf: now + 3600 }, {}, 'claims'],
    ['no subject', { sub: undefined } as never, {}, 'claims'],
    ['a subject of 256 characters', { sub: 'x'.repeat(256) }, {}, 'claims'],
    ['a nonce that nobody sent', { nonce: 'n' }, {}, 'claims'],
    ['no algorithm', {}, { mutate: reheaded({ alg: 'none' }, '') }, 'signature'],
    ['the algorithm None', {}, { mutate: reheaded({ alg: 'NONE' }) }, 'signature'],
    ['an algorithm of shared secrets', {}, { mutate: reheaded({ alg: 'HS256' }) }, 'signature'],
    ['an algorithm that is an object', {}, { mutate: reheaded({ alg: {} }) }, 'signature'],
    [
      'a header that nobody understands',
      {},
      { mutate: reheaded({ alg: 'RS256', crit: ['x'], x: 1 }) },
      'claims',
    ],
    ['a wrong signature', {}, { mutate: (jwt) => `${jwt.slice(0, -6)}AAAAAA` }, 'signature'],
    ['an empty signature', {}, { mutate: (jwt) => `${jwt.split('.').slice(0, 2).join('.')}.` }, 'signature'],
    [
      'a changed payload',
      {},
      {
        mutate: (jwt) =>
          jwt.replace(
            /\.(.*)\./,
            (_, text) => `.${part({ ...JSON.parse(Buffer.from(text, 'base64url').toString()), sub: 'x' })}.`,
          ),
      },
      'signature',
    ],
    ['an unknown key', {}, { kid: 'other' }, 'verified or signature'],
    ['five parts', {}, { mutate: (jwt) => `${jwt}.a.b` }, 'signature'],
    ['one part', {}, { mutate: () => 'x' }, 'signature'],
    ['a payload that is no JSON', {}, { mutate: (jwt) => jwt.replace(/\..*\./, '.eHh4.') }, 'signature'],
    ['no id_token', {}, { mutate: () => undefined }, 'missing'],
    ['an empty one', {}, { mutate: () => '' }, 'missing'],
  ])('P-04 P-05 %s', async (name, claims, change, problem) => {
    const { connect } = await signing()
    if (name === 'an unknown key') {
      const { privateKey } = await generateKeyPair('RS256')
      await connect()
      expect((await connect({}, { kid: 'other', key: privateKey })).identity).toMatchObject({
        problem: 'signature',
      })
      return
    }
    const connection = await connect(claims, change)
    expect(connection.identity).toEqual({ status: 'unverified', problem })
    expect((await connection.read('Patient', 'p1')).id).toBe('p1')
  })

  test('P-05 a public key used as a shared secret signs nothing', async () => {
    const { connect, keys, one } = await signing()
    await connect()
    const secret = createSecretKey(Buffer.from(JSON.stringify(keys[0])))
    const payload = { iss: one.server.url, aud: 'my-app', sub: 'x', iat: now, exp: now + 300 }
    const forged = await new SignJWT(payload).setProtectedHeader({ alg: 'HS256', kid: 'k1' }).sign(secret)
    expect((await connect({}, { mutate: () => forged })).identity).toMatchObject({ problem: 'signature' })
  })

  test('T42 100 MB, an encrypted token and a bomb are refused without a request', async () => {
    const { connect, one } = await signing()
    for (const mutate of [
      () => `${'a'.repeat(500_000)}.${'b'.repeat(300_000)}.c`,
      () =>
        `${part({ alg: 'RSA-OAEP', enc: 'A256GCM', zip: 'DEF' })}.${randomBytes(99).toString('base64url')}.a.b.c`,
    ]) {
      expect((await connect({}, { mutate })).identity).toMatchObject({ problem: 'signature' })
      expect(one.server.heard.filter(({ path }) => /jwks|openid/.test(path))).toEqual([])
    }
  })

  test('D-14 P-03 metadata that names another issuer, or keys at a wrong address, are not used', async () => {
    const { connect, one } = await signing()
    for (const document of [
      { issuer: 'https://other.example', jwks_uri: `${one.server.url}/jwks` },
      { issuer: one.server.url, jwks_uri: 'http://keys.example/jwks' },
      { issuer: one.server.url, jwks_uri: 'javascript:alert(1)' },
      { issuer: one.server.url },
    ]) {
      one.answers.set('/.well-known/openid-configuration', (_, response) => json(response, document))
      expect((await connect()).identity).toEqual({ status: 'unverified', problem: 'issuer' })
    }
  })

  test('P-03 T2 an issuer that the launch does not trust is never contacted', async () => {
    const evil = await scriptedEhr()
    opened.push(evil)
    for (const wellKnown of [() => ({}), () => ({ issuer: undefined })]) {
      const { connect } = await signing({ wellKnown })
      expect((await connect({ iss: evil.server.url })).identity).toMatchObject({ problem: 'issuer' })
    }
    expect(evil.server.heard).toEqual([])
  })
})

describe('reading who signed in', () => {
  test.each(['Patient/p1', 'absolute'])(
    'P-07 %s is read at the own server, with the token',
    async (given) => {
      const { connect, one } = await signing()
      const connection = await connect({
        fhirUser: given === 'absolute' ? `${one.provider.iss}/Patient/p1` : given,
      })
      expect(await readUser(connection)).toMatchObject({ resourceType: 'Patient', id: 'p1' })
      expect(one.server.heard.at(-1)?.headers.authorization).toBe('Bearer access-1')
    },
  )

  test('P-07 a PractitionerRole is a user too', async () => {
    const { connect, one } = await signing()
    one.answers.set('/fhir/PractitionerRole/r', (_, response) =>
      json(response, { resourceType: 'PractitionerRole', id: 'r' }),
    )
    expect((await readUser(await connect({ fhirUser: 'PractitionerRole/r' }))).resourceType).toBe(
      'PractitionerRole',
    )
  })

  test('P-07 T28 a user at another server is told, and gets no token', async () => {
    const evil = await scriptedEhr()
    opened.push(evil)
    const { connect } = await signing()
    const connection = await connect({ fhirUser: `${evil.server.url}/fhir/Patient/p1` })
    const error = await readUser(connection).catch((caught: unknown) => caught)
    expect(isSmartError(error) && error.code).toBe('FHIR_FOREIGN_URL')
    expect(evil.server.heard).toEqual([])
  })

  test.each(['Organization/1', '../../admin', 'javascript:alert(1)', 5, ''])(
    'P-07 %j is nobody',
    async (fhirUser) => {
      const { connect } = await signing()
      const error = await connect({ fhirUser } as never)
        .then(readUser)
        .catch((caught: unknown) => caught)
      expect(isSmartError(error) && error.code).toBe('FHIR_NOT_FOUND')
    },
  )
})

test('F46 T47 a refresh for another person stops the connection', async () => {
  const { connect, one } = await signing()
  const connection = await connect()
  const payload = Buffer.from(JSON.stringify({ sub: 'person-2' })).toString('base64url')
  one.answers.set('/token', (_, response) =>
    json(response, { ...tokens, patient: undefined, id_token: `e30.${payload}.x` }),
  )
  const error = await connection.refresh().catch((caught: unknown) => caught)
  expect(isSmartError(error) && error.code).toBe('TOKEN_PATIENT_CHANGED')
  expect((await one.client.connections())[0]?.status).toBe('ended')
})
