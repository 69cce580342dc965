import { createSign, generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto'
import { decodeProtectedHeader, jwtVerify } from 'jose'
import { afterEach, describe, expect, test } from 'vitest'
import { type ScriptedEhr, scriptedEhr, tokens } from '../test-support/ehr.js'
import { json } from '../test-support/server.js'
import { type ClientSecretOptions, clientSecret, privateKeyJwt, type Signer } from './confidential.js'
import { isSmartError } from './index.js'
import { manualClock } from './testing/index.js'

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
const tokenCalls = (one: ScriptedEhr) =>
  one.server.heard.filter(({ path, method }) => path === '/token' && method === 'POST')

describe('a client with a secret', () => {
  const connectWith = async (options: ClientSecretOptions, wellKnown = {}, clientId = 'my-app') => {
    const one = await ehr({
      provider: { clientId, auth: clientSecret('s:e/c r+et', options) },
      wellKnown: () => wellKnown,
    })
    const connection = await one.connect()
    return { ...one, connection, sent: tokenCalls(one)[0] }
  }
  const basic = (header: string | undefined): string =>
    Buffer.from(header?.split(' ')[1] ?? '', 'base64').toString()

  test('I-01 I-02 G-07 G-11 R-04 id and secret go as they are in the header, and the id not in the form', async () => {
    const { sent } = await connectWith({})
    expect(sent?.headers.authorization).toMatch(/^Basic /)
    expect(basic(sent?.headers.authorization)).toBe('my-app:s:e/c r+et')
    expect(sent?.body).not.toContain('client_id')
    expect(sent?.body).not.toContain('client_secret')
  })

  test('I-02 they are form-encoded first where a provider wants that', async () => {
    const { sent } = await connectWith({ encoding: 'rfc6749' }, {}, 'my app')
    expect(basic(sent?.headers.authorization)).toBe('my+app:s%3Ae%2Fc+r%2Bet')
  })

  test('I-03 G-12 they go in the form when the server lists nothing else, and never in both', async () => {
    const { sent } = await connectWith({}, { token_endpoint_auth_methods_supported: ['client_secret_post'] })
    expect(new URLSearchParams(sent?.body).get('client_secret')).toBe('s:e/c r+et')
    expect(sent?.headers.authorization).toBeUndefined()
    expect(sent?.path).toBe('/token')
    const both = await connectWith(
      {},
      { token_endpoint_auth_methods_supported: ['client_secret_post', 'client_secret_basic'] },
    )
    expect(both.sent?.body).not.toContain('client_secret')
  })

  test('G-07 the client id goes along in the form where a server is configured to want it', async () => {
    const { sent } = await connectWith({ clientIdInBody: true })
    expect(new URLSearchParams(sent?.body).get('client_id')).toBe('my-app')
  })

  test('M-05 I-01 a refresh and a revocation are authenticated in the same way', async () => {
    const { connection, server } = await connectWith({})
    await connection.refresh()
    await connection.revoke()
    const calls = server.heard.filter(({ path }) => path === '/token' || path === '/revoke')
    expect(calls.length).toBe(4)
    expect(calls.every(({ headers }) => basic(headers.authorization) === 'my-app:s:e/c r+et')).toBe(true)
  })

  test('F41 W-01 a secret that changed is an error of configuration that names the method, and access stays', async () => {
    const { connection, answers, client } = await connectWith({})
    answers.set('/token', (_, response) => json(response, { error: 'invalid_client' }, 401))
    const error = await connection.refresh().catch((caught: unknown) => caught)
    expect(error).toMatchObject({
      code: 'TOKEN_CLIENT_REFUSED',
      remedy: 'configure',
      reason: 'invalid_client',
    })
    expect(String(error)).toContain('client_secret_basic')
    expect((await client.connections())[0]?.access).toBe('ongoing')
  })

  test('G-09 R-05 an empty secret is refused when it is configured', () => {
    expect(() => clientSecret('')).toThrow(/secret/)
  })
})

const subtle = globalThis.crypto.subtle
const makeKey = (alg: 'RS384' | 'ES384'): Promise<CryptoKeyPair> =>
  (alg === 'ES384'
    ? subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-384' }, false, ['sign', 'verify'])
    : subtle.generateKey(
        {
          name: 'RSASSA-PKCS1-v1_5',
          modulusLength: 2048,
          publicExponent: new Uint8Array([1, 0, 1]),
          hash: 'SHA-384',
        },
        false,
        ['sign', 'verify'],
      )) as Promise<CryptoKeyPair>

describe.each(['RS384', 'ES384'] as const)('a client with a key for %s', (alg) => {
  const assertionOf = (body = ''): string => new URLSearchParams(body).get('client_assertion') ?? ''

  test('J-09 to J-17 J-19 to J-22 U-06 G-07 G-09 KF-08 code, refresh and revocation each carry a fresh assertion', async () => {
    const { privateKey, publicKey } = await makeKey(alg)
    const one = await ehr({ provider: { auth: privateKeyJwt(privateKey, 'k1') } })
    const connection = await one.connect()
    await connection.refresh()
    await connection.revoke()
    const calls = one.server.heard.filter(({ path }) => path === '/token' || path === '/revoke')
    expect(calls.length).toBe(4)
    const ids = new Set<unknown>()
    for (const { body } of calls) {
      const form = new URLSearchParams(body)
      expect(form.get('client_assertion_type')).toBe('urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
      expect(form.has('client_id')).toBe(false)
      expect(form.has('client_secret')).toBe(false)
      const { payload, protectedHeader } = await jwtVerify(assertionOf(body), publicKey, {
        audience: `${one.server.url}/token`,
        issuer: 'my-app',
        subject: 'my-app',
      })
      expect(protectedHeader).toEqual({ alg, typ: 'JWT', kid: 'k1' })
      ids.add(payload.jti)
    }
    expect(ids.size).toBe(4)
    expect(privateKey.extractable).toBe(false)
  })

  test('J-12 M-05 a refresh that is tried again is signed again', async () => {
    const { privateKey } = await makeKey(alg)
    const one = await ehr({ provider: { auth: privateKeyJwt(privateKey, 'k1') } })
    const connection = await one.connect()
    let times = 0
    one.answers.set('/token', (_, response) =>
      ++times < 3 ? json(response, {}, 503) : json(response, tokens),
    )
    await connection.refresh()
    const ids = tokenCalls(one).map(({ body }) => assertionOf(body))
    expect(new Set(ids).size).toBe(4)
  })

  test('J-18 it lives for less than five minutes by the server’s clock, also when ours is a day late', async () => {
    const { privateKey } = await makeKey(alg)
    const one = await ehr({
      platform: { clock: manualClock(Date.now() - 86_400_000) },
      provider: { auth: privateKeyJwt(privateKey, 'k1') },
    })
    await one.connect()
    const { exp = 0, iat = 0 } = JSON.parse(
      Buffer.from(assertionOf(tokenCalls(one)[0]?.body).split('.')[1] ?? '', 'base64url').toString(),
    ) as { exp?: number; iat?: number }
    expect(exp - Date.now() / 1000).toBeGreaterThan(200)
    expect(exp - Date.now() / 1000).toBeLessThan(300)
    expect(iat).toBeLessThanOrEqual(exp)
  })

  test('J-15 J-14 jku is sent when it is configured, and must be https', async () => {
    const { privateKey } = await makeKey(alg)
    const one = await ehr({
      provider: { auth: privateKeyJwt(privateKey, 'k1', { jku: 'https://app.example/jwks.json' }) },
    })
    await one.connect()
    expect(decodeProtectedHeader(assertionOf(tokenCalls(one)[0]?.body)).jku).toBe(
      'https://app.example/jwks.json',
    )
    expect(() => privateKeyJwt(privateKey, 'k1', { jku: 'http://app.example/jwks.json' })).toThrow(/https/)
  })

  test('J-03 J-10 J-13 a key that stays in a key management service signs there', async () => {
    const pair = (
      alg === 'ES384'
        ? generateKeyPairSync('ec', { namedCurve: 'P-384' })
        : generateKeyPairSync('rsa', { modulusLength: 2048 })
    ) as { privateKey: KeyObject; publicKey: KeyObject }
    const asked: number[] = []
    const signer: Signer = {
      alg,
      // As such services answer: ECDSA in DER.
      sign: async (data) => {
        asked.push(data.length)
        return createSign('SHA384').update(data).sign(pair.privateKey)
      },
    }
    const one = await ehr({ provider: { auth: privateKeyJwt(signer, randomUUID()) } })
    const connection = await one.connect()
    for (let n = 0; n < 10; n++) await connection.refresh()
    for (const { body } of tokenCalls(one)) await jwtVerify(assertionOf(body), pair.publicKey)
    expect(asked.length).toBe(11)
  })
})

describe('a key that cannot work', () => {
  test('G-09 J-10 is refused when it is configured', async () => {
    const { publicKey, privateKey } = await makeKey('ES384')
    const small = (await subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, [
      'sign',
    ])) as CryptoKeyPair
    expect(() => privateKeyJwt(publicKey, 'k1')).toThrow(/private/)
    expect(() => privateKeyJwt(small.privateKey, 'k1')).toThrow(/RS384|ES384/)
    expect(() => privateKeyJwt(privateKey, '')).toThrow(/kid/)
    expect(() => privateKeyJwt({ alg: 'HS256' as never, sign: async () => new Uint8Array() }, 'k')).toThrow(
      /alg/,
    )
  })

  test('G-09 a signer that fails or answers nonsense is a typed error, and nothing is sent', async () => {
    for (const sign of [
      async () => new Uint8Array(),
      async () => new Uint8Array(71),
      async () => 'x' as never,
    ]) {
      const one = await ehr({ provider: { auth: privateKeyJwt({ alg: 'ES384', sign }, 'k1') } })
      expect(await codeOf(one.connect())).toBe('CONFIG_INVALID')
      expect(tokenCalls(one)).toEqual([])
    }
  })
})

describe('a public client', () => {
  test('G-06 G-08 G-12 M-02 M-03 M-06 sends its client id and no credentials, at a refresh too', async () => {
    const one = await ehr()
    const connection = await one.connect()
    await connection.refresh()
    const [exchange, refresh] = tokenCalls(one)
    for (const { headers, body } of [exchange, refresh].map((call) => call as NonNullable<typeof call>)) {
      expect(headers.authorization).toBeUndefined()
      expect(new URLSearchParams(body).get('client_id')).toBe('my-app')
    }
    expect(Object.fromEntries(new URLSearchParams(refresh?.body))).toEqual({
      grant_type: 'refresh_token',
      refresh_token: 'refresh-1',
      client_id: 'my-app',
    })
  })

  test('M-04 a refresh sends no scope', async () => {
    const one = await ehr()
    await (await one.connect()).refresh()
    expect(tokenCalls(one)[1]?.body).not.toContain('scope')
  })
})

describe('the answer', () => {
  test.each([
    [3600, 3600],
    ['3600', 3600],
    [0, 0],
    [1e12, 315_360_000],
    [-1, undefined],
    [null, undefined],
    ['', undefined],
    ['soon', undefined],
    [undefined, undefined],
    [{}, undefined],
  ])('H-03 F47 a lifetime of %j is %j seconds', async (given, seconds) => {
    const clock = manualClock()
    const one = await ehr({ platform: { clock } })
    one.answers.set('/token', (_, response) => json(response, { ...tokens, expires_in: given }))
    const { expiresAt } = await one.connect()
    expect(expiresAt && (expiresAt.getTime() - clock.now()) / 1000).toBe(seconds)
  })

  test('H-03 without a lifetime the token is used until a 401', async () => {
    const clock = manualClock()
    const one = await ehr({ platform: { clock } })
    one.answers.set('/token', (_, response) => json(response, { ...tokens, expires_in: undefined }))
    const connection = await one.connect()
    await clock.advance(86_400_000)
    await connection.read('Patient', 'p1')
    expect(tokenCalls(one).length).toBe(1)
  })

  test.each(['Bearer', 'bearer', 'BEARER', undefined, null])(
    'H-02 F48 a token type of %j is bearer',
    async (type) => {
      const one = await ehr()
      one.answers.set('/token', (_, response) => json(response, { ...tokens, token_type: type }))
      expect((await one.connect()).status).toBe('active')
    },
  )

  test.each(['DPoP', 'mac', '', 5])('H-02 F48 a token type of %j is not used', async (type) => {
    const one = await ehr()
    one.answers.set('/token', (_, response) => json(response, { ...tokens, token_type: type }))
    expect(await codeOf(one.connect())).toBe('TOKEN_RESPONSE_INVALID')
    expect(one.server.heard.some(({ headers }) => headers.authorization !== undefined)).toBe(false)
  })

  test('H-05 H-07 H-01 unknown members are ignored, nulls are nothing, and status 201 is success', async () => {
    const one = await ehr()
    one.answers.set('/token', (_, response) =>
      json(
        response,
        { ...tokens, scope: null, refresh_token: null, x: [1], __vendor: { a: 1 }, __proto__: 5 },
        201,
      ),
    )
    const connection = await one.connect()
    expect(connection).toMatchObject({ scopesAssumed: true, access: 'once' })
    expect(connection.scopes).toEqual(connection.requestedScopes)
    expect(connection.context.extensions).toEqual({ __vendor: { a: 1 } })
  })

  test('H-04 M-04 scopes as an array are scopes', async () => {
    const one = await ehr()
    one.answers.set('/token', (_, response) =>
      json(response, { ...tokens, scope: ['patient/Patient.r', 'openid'] }),
    )
    expect((await one.connect()).scopes).toEqual(['patient/Patient.r', 'openid'])
  })

  test('H-06 F49 a token of 8 kB with dots in it is sent as it came, and never looked into', async () => {
    const long = `${'a.'.repeat(4000)}=`
    const one = await ehr()
    one.answers.set('/token', (_, response) => json(response, { ...tokens, access_token: long }))
    await (await one.connect()).read('Patient', 'p1')
    expect(one.server.heard.at(-1)?.headers.authorization).toBe(`Bearer ${long}`)
  })

  test('T45 of all bytes those that no header may hold are refused in a token, and none is quoted', async () => {
    const one = await ehr()
    for (let byte = 0; byte < 256; byte++) {
      const token = `canary${String.fromCharCode(byte)}token`
      one.answers.set('/token', (_, response) => json(response, { ...tokens, access_token: token }))
      const result = await one.connect().then(
        () => 'used',
        (error: unknown) => error,
      )
      if (/[A-Za-z0-9._~+/=-]/.test(token[6] ?? '')) expect(result).toBe('used')
      else expect(String(result)).not.toContain('canary')
    }
  })

  test('H-09 T51 every request asks not to be cached, carries no cookie and no referrer', async () => {
    const seen: RequestInit[] = []
    const one = await ehr({
      platform: {
        fetch: (input, init) => {
          seen.push(init ?? {})
          return fetch(input, init)
        },
      },
    })
    await (await one.connect()).read('Patient', 'p1')
    expect(seen.length).toBe(3)
    for (const init of seen)
      expect(init).toMatchObject({
        cache: 'no-store',
        credentials: 'omit',
        referrerPolicy: 'no-referrer',
        redirect: 'manual',
      })
  })

  test.each([
    [400, '<html>', 'TOKEN_REFUSED'],
    [400, '', 'TOKEN_REFUSED'],
    [401, '{"resourceType":"OperationOutcome"}', 'TOKEN_REFUSED'],
    [400, '{"error":"invalid_grant","error_description":null}', 'TOKEN_ENDED'],
    [403, '{"error":"invalid_grant"}', 'TOKEN_ENDED'],
    [200, '{"error":"invalid_grant"}', 'TOKEN_ENDED'],
    [400, '{"error":"unauthorized_client"}', 'TOKEN_CLIENT_REFUSED'],
    [429, '{}', 'TOKEN_UNREACHABLE'],
    [503, 'down', 'TOKEN_UNREACHABLE'],
    [200, 'null', 'TOKEN_RESPONSE_INVALID'],
    [200, '[]', 'TOKEN_RESPONSE_INVALID'],
    [200, '{"access_token":5}', 'TOKEN_RESPONSE_INVALID'],
  ])('G-14 W-01 W-02 F54 %i %s is %s', async (status, body, code) => {
    const one = await ehr()
    one.answers.set('/token', (_, response) => response.writeHead(status).end(body))
    expect(await codeOf(one.connect())).toBe(code)
  })

  test('G-13 T26 no redirect of the token or the revocation endpoint is followed', async () => {
    for (const status of [301, 302, 303, 307, 308]) {
      const one = await ehr()
      const other = await ehr()
      const connection = await one.connect()
      const away = (_: unknown, response: import('node:http').ServerResponse): void =>
        void response.writeHead(status, { location: `${other.server.url}/token` }).end()
      one.answers.set('/token', away)
      one.answers.set('/revoke', away)
      expect(await codeOf(connection.refresh())).toBe('TOKEN_RESPONSE_INVALID')
      expect((await connection.revoke()).server).toBe('failed')
      expect(other.server.heard).toEqual([])
    }
  })

  test('W-03 a wait that the token endpoint asks for is told, in seconds or as a date', async () => {
    const one = await ehr()
    for (const [header, seconds] of [
      ['120', 120],
      [new Date(Date.now() + 90_000).toUTCString(), 90],
    ] as const) {
      one.answers.set('/token', (_, response) => json(response, {}, 503, { 'retry-after': header }))
      const error = await one.connect().catch((caught: unknown) => caught)
      expect(isSmartError(error) && Math.abs((error.retryAfter ?? 0) - seconds) <= 2).toBe(true)
    }
  })
})
