import { createSign } from 'node:crypto'
import { usCore } from '@s4s/core'
import { type Sandbox, startSandbox } from '@s4s/sandbox'
import { calculateJwkThumbprint, importJWK, importPKCS8, jwtVerify, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createNodeClient } from './client.js'
import { generateKey, loadKey, privateKeyJwt } from './keys.js'

let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await startSandbox({ people: ['leo'] })
})
afterAll(() => sandbox.stop())
const clientWith = (auth: ReturnType<typeof privateKeyJwt>, more: object = {}) =>
  createNodeClient({
    baseUrl: 'https://portal.example/smart',
    providers: [{ ...sandbox.provider, auth }],
    plan: usCore.only('Patient'),
    afterConnect: '/',
    cookieSecret: 'c'.repeat(32),
    ...more,
  })
const ask = (client: ReturnType<typeof clientWith>, method = 'GET'): Promise<Response> =>
  client.handler(new Request('https://portal.example/smart/jwks.json', { method }))

describe.each(['ES384', 'RS384'] as const)('a key for %s', (alg) => {
  test('J-01 J-02 J-04 R-03 is made, named by its thumbprint, and its public half is there to register', async () => {
    const { privateKey, kid, publicJwk } = await generateKey(alg)
    expect(publicJwk).toMatchObject({ kid, alg, use: 'sig' })
    expect(await calculateJwkThumbprint(publicJwk)).toBe(kid)
    const jwt = await new SignJWT({}).setProtectedHeader({ alg }).sign(await importPKCS8(privateKey, alg))
    await jwtVerify(jwt, await importJWK(publicJwk, alg))
    expect((await loadKey(privateKey)).extractable).toBe(false)
  })

  test('J-05 J-06 J-07 J-08 R-03 is served to anyone, cachable, without its private half', async () => {
    const { privateKey, kid } = await generateKey(alg)
    const response = await ask(clientWith(privateKeyJwt(await loadKey(privateKey), kid), { jwksMaxAge: 60 }))
    expect(response.status).toBe(200)
    expect(response.headers.get('cache-control')).toBe('public, max-age=60')
    const { keys } = (await response.json()) as { keys: Record<string, unknown>[] }
    expect(keys.length).toBe(1)
    expect(Object.keys(keys[0] ?? {}).sort()).toEqual(
      alg === 'ES384'
        ? ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']
        : ['alg', 'e', 'kid', 'kty', 'n', 'use'],
    )
  })

  test('J-23 old and new keys are published side by side, and one that is not whole is refused', async () => {
    const [now, next] = [await generateKey(alg), await generateKey(alg)]
    const auth = privateKeyJwt(await loadKey(now.privateKey), now.kid)
    const { keys } = (await (
      await ask(clientWith(auth, { otherKeys: [{ ...next.publicJwk, d: 'private' }] }))
    ).json()) as { keys: Record<string, unknown>[] }
    expect(keys.map(({ kid }) => kid)).toEqual([now.kid, next.kid])
    expect(JSON.stringify(keys)).not.toContain('private')
    for (const otherKeys of [[{ ...next.publicJwk, kid: undefined }], [{ kty: 'EC', kid: 'x' }], [{}]])
      expect(() => clientWith(auth, { otherKeys })).toThrow(/lacks/)
  })

  test('J-03 G-10 a key that signs elsewhere is published when its public half is given', async () => {
    const { privateKey, kid, publicJwk } = await generateKey(alg)
    const signer = {
      alg,
      sign: async (data: Uint8Array) => createSign('SHA384').update(data).sign(privateKey),
    }
    const { keys } = (await (await ask(clientWith(privateKeyJwt(signer, kid, { publicJwk })))).json()) as {
      keys: unknown[]
    }
    expect(keys).toEqual([publicJwk])
  })
})

test('J-06 jwks.json takes no other method than reading', async () => {
  const { privateKey, kid } = await generateKey()
  const client = clientWith(privateKeyJwt(await loadKey(privateKey), kid))
  for (const method of ['POST', 'PUT', 'DELETE']) expect((await ask(client, method)).status).toBe(405)
})

describe('sessions', () => {
  const base = { baseUrl: 'https://portal.example/smart', plan: usCore.only('Patient'), afterConnect: '/' }
  const visit = (client: ReturnType<typeof createNodeClient>, cookie = ''): Promise<Response> =>
    client.handler(new Request(`${base.baseUrl}/connect/${sandbox.provider.id}`, { headers: { cookie } }))
  const cookieOf = (response: Response): string => response.headers.get('set-cookie') ?? ''

  test('T50 of several secrets the first seals and all open', async () => {
    const make = (cookieSecret: string | string[]) =>
      createNodeClient({ ...base, providers: [sandbox.provider], cookieSecret })
    const [old, fresh] = ['o'.repeat(32), 'n'.repeat(32)]
    const cookie = cookieOf(await visit(make(old))).split(';')[0] ?? ''
    const who = (client: ReturnType<typeof createNodeClient>) =>
      client.participantOf(new Request(base.baseUrl, { headers: { cookie } }))
    const id = await who(make(old))
    expect(id).toBeTypeOf('string')
    expect(await who(make([fresh, old]))).toBe(id)
    expect(await who(make(fresh))).toBeUndefined()
    expect(() => make([])).toThrow(/32/)
    expect(() => make([fresh, 'short'])).toThrow(/32/)
  })

  test('E-06 an app that EHRs frame has a cookie of that frame, over https only', async () => {
    const options = { ...base, providers: [sandbox.provider], cookieSecret: 'c'.repeat(32), framed: true }
    expect(cookieOf(await visit(createNodeClient(options)))).toMatch(
      /HttpOnly; SameSite=None; Secure; Partitioned$/,
    )
    expect(() => createNodeClient({ ...options, baseUrl: 'http://127.0.0.1:1/smart' })).toThrow(/https/)
  })

  test('L-05 U-05 T16 no cookie holds a token, code, state or verifier', async () => {
    const client = createNodeClient({
      ...base,
      baseUrl: 'http://127.0.0.1:9/smart',
      providers: [sandbox.provider],
      cookieSecret: 'c'.repeat(32),
    })
    const start = await client.handler(new Request(`http://127.0.0.1:9/smart/connect/${sandbox.provider.id}`))
    const cookie = cookieOf(start).split(';')[0] ?? ''
    const back = await sandbox.approve(start.headers.get('location') ?? '')
    const done = await client.handler(new Request(back, { headers: { cookie } }))
    expect(done.headers.get('location')).toBe('http://127.0.0.1:9/')
    const [connection] = await client.connections()
    expect(connection?.status).toBe('active')
    const parameters = new URL(start.headers.get('location') ?? '').searchParams
    const said = [cookieOf(start), cookieOf(done)].join()
    for (const secret of [parameters.get('state'), new URL(back).searchParams.get('code')])
      expect(said).not.toContain(secret)
    expect(said.length).toBeLessThan(600)
    // Sealed: its middle parts say nothing to whoever has no key.
    expect(cookie.split('.').length).toBe(5)
  })

  test('A-14 A-16 A-17 a long request is a page that posts a form', async () => {
    const scope = [
      'launch/patient',
      ...Array.from(
        { length: 60 },
        (_, n) => `patient/Observation.rs?category=http://example.org/c|${n}&x="><script>`,
      ),
    ].join(' ')
    const client = createNodeClient({
      ...base,
      providers: [{ ...sandbox.provider, scope }],
      cookieSecret: 'c'.repeat(32),
    })
    const response = await visit(client)
    expect(response.status).toBe(200)
    expect(cookieOf(response)).toContain('__Host-s4s=')
    const html = await response.text()
    expect(html).toContain(`action="${sandbox.url}/auth"`)
    expect(html.match(/<script/g)?.length).toBe(1)
    const nonce = /script-src 'nonce-([^']+)'/.exec(
      response.headers.get('content-security-policy') ?? '',
    )?.[1]
    expect(html).toContain(`<script nonce="${nonce}">`)
  })
})
