import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  asymmetricClientId,
  backendClientId,
  confidentialClientId,
  confidentialClientSecret,
  publicClientId,
} from './auth/clients.js'
import { type Sandbox, startSandbox } from './sandbox.js'

const redirect = 'http://127.0.0.1:1/callback'
const scope = 'launch/patient offline_access patient/Patient.rs patient/Observation.rs'
const verifier = 'v'.repeat(43)
let sandbox: Sandbox
let who: string

beforeAll(async () => {
  sandbox = await startSandbox({ name: 'Mercy <script>alert(1)</script>', id: 'mercy' })
  who = sandbox.people.at(-1)?.id ?? ''
})
afterAll(() => sandbox.stop())

async function authorizeUrl(change: Record<string, string | undefined> = {}, at = sandbox): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))
  const url = new URL(`${at.url}/auth`)
  const parameters = {
    response_type: 'code',
    client_id: publicClientId,
    redirect_uri: redirect,
    scope,
    state: 'state-1',
    aud: at.iss,
    code_challenge: Buffer.from(digest).toString('base64url'),
    code_challenge_method: 'S256',
    ...change,
  }
  for (const [name, value] of Object.entries(parameters))
    if (value !== undefined) url.searchParams.set(name, value)
  return url.href
}

interface TokenAnswer {
  readonly status: number
  readonly body: Record<string, unknown>
}

async function token(
  form: Record<string, string>,
  headers: Record<string, string> = {},
  at = sandbox,
): Promise<TokenAnswer> {
  const response = await fetch(`${at.url}/token`, {
    method: 'POST',
    body: new URLSearchParams(form),
    headers,
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

async function granted(
  change: Record<string, string | undefined> = {},
  more: Record<string, string> = { client_id: publicClientId },
  headers = {},
): Promise<TokenAnswer> {
  const callback = new URL(await sandbox.approve(await authorizeUrl(change), { patient: who }))
  return token(
    {
      grant_type: 'authorization_code',
      code: callback.searchParams.get('code') ?? '',
      redirect_uri: redirect,
      code_verifier: verifier,
      ...more,
    },
    headers,
  )
}

const errorOf = async (change: Record<string, string | undefined>): Promise<string | null> =>
  new URL(await sandbox.approve(await authorizeUrl(change))).searchParams.get('error')

describe('authorization', () => {
  test('C-08 the callback carries code, state and iss', async () => {
    const callback = new URL(await sandbox.approve(await authorizeUrl()))
    expect(callback.href.startsWith(redirect)).toBe(true)
    expect(callback.searchParams.get('state')).toBe('state-1')
    expect(callback.searchParams.get('iss')).toBe(sandbox.url)
    expect(callback.searchParams.get('code')).toBeTruthy()
  })

  test.each([
    ['A-12 plain is refused', { code_challenge_method: 'plain' }],
    ['A-10 no PKCE is refused', { code_challenge: undefined, code_challenge_method: undefined }],
    ['A-08 no aud is refused', { aud: undefined }],
    ['A-08 another aud is refused', { aud: 'https://elsewhere.example/fhir' }],
    ['A-08 an aud that is not exact is refused', { aud: 'slash' }],
    ['E-02 an unknown launch is refused', { scope: 'launch patient/Patient.rs', launch: 'nonsense' }],
  ])('%s', async (_name, change) => {
    const exact: Record<string, string | undefined> = change
    expect(await errorOf(exact.aud === 'slash' ? { aud: `${sandbox.iss}/` } : exact)).toBe('invalid_request')
  })

  test('R-02 an unregistered redirect URI gets a page and no redirect', async () => {
    const response = await fetch(await authorizeUrl({ redirect_uri: 'https://evil.example/' }), {
      redirect: 'manual',
    })
    expect(response.status).toBe(400)
    expect(response.headers.get('location')).toBeNull()
  })

  test('C-05 a person who says no sends the app away with access_denied', async () => {
    for (const url of [await authorizeUrl(), await authorizeUrl({ scope: 'openid launch/patient' })]) {
      const callback = new URL(await sandbox.deny(url))
      expect(Object.fromEntries(callback.searchParams)).toMatchObject({
        error: 'access_denied',
        state: 'state-1',
        iss: sandbox.url,
      })
    }
  })

  test('A-16 the request may come as a form', async () => {
    const [address, body] = (await authorizeUrl()).split('?')
    const response = await fetch(address ?? '', {
      method: 'POST',
      body: new URLSearchParams(body),
      redirect: 'manual',
    })
    expect(response.headers.get('location')).toContain('/interaction/')
  })

  test('what a request says is escaped on the pages, which run no script', async () => {
    const first = await fetch(
      await authorizeUrl({
        scope: 'launch/patient patient/Observation.rs?category=<script>alert(2)</script>',
      }),
      { redirect: 'manual' },
    )
    const cookie = first.headers
      .getSetCookie()
      .map((line) => line.split(';')[0])
      .join('; ')
    const page = await fetch(new URL(first.headers.get('location') ?? '', sandbox.url), {
      headers: { cookie },
    })
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(await page.text()).not.toContain('<script>')
  })
})

describe('tokens', () => {
  test('H-01 H-07 the response holds the token, the scopes and whose record it is', async () => {
    const { status, body } = await granted()
    expect(status).toBe(200)
    expect(body).toMatchObject({
      token_type: 'Bearer',
      expires_in: 3600,
      scope,
      patient: who,
      fhirUser: `Patient/${who}`,
      need_patient_banner: true,
    })
    expect(body.access_token).toBeTypeOf('string')
    expect(body.refresh_token).toBeTypeOf('string')
    expect(body.id_token).toBeUndefined()
  })

  test('P-01 with openid comes an id_token that names the FHIR user', async () => {
    const { body } = await granted({ scope: `openid fhirUser ${scope}` })
    const claims = JSON.parse(Buffer.from(String(body.id_token).split('.')[1] ?? '', 'base64url').toString())
    expect(claims).toMatchObject({
      iss: sandbox.url,
      aud: publicClientId,
      fhirUser: `${sandbox.iss}/Patient/${who}`,
    })
  })

  test('H-04 a person who unticks a scope narrows the grant', async () => {
    const callback = new URL(
      await sandbox.approve(await authorizeUrl(), { scopes: ['launch/patient', 'patient/Patient.rs'] }),
    )
    const { body } = await token({
      grant_type: 'authorization_code',
      code: callback.searchParams.get('code') ?? '',
      redirect_uri: redirect,
      code_verifier: verifier,
      client_id: publicClientId,
    })
    expect(body.scope).toBe('launch/patient patient/Patient.rs')
  })

  test.each([
    'launch/patient patient/*.read',
    'launch/patient patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory',
    'launch/patient user/Practitioner.r',
  ])('N-03 N-06 N-09 the scopes %s are granted as asked', async (asked) => {
    expect((await granted({ scope: asked })).body.scope).toBe(asked)
  })

  test('M-12 without offline_access there is no refresh token', async () => {
    expect((await granted({ scope: 'launch/patient patient/Patient.rs' })).body.refresh_token).toBeUndefined()
  })

  test('a code works once, with its verifier and redirect URI', async () => {
    const code = async (): Promise<string> =>
      new URL(await sandbox.approve(await authorizeUrl())).searchParams.get('code') ?? ''
    const form = {
      grant_type: 'authorization_code',
      redirect_uri: redirect,
      code_verifier: verifier,
      client_id: publicClientId,
    }
    expect((await token({ ...form, code: await code(), code_verifier: 'w'.repeat(43) })).body.error).toBe(
      'invalid_grant',
    )
    expect(
      (await token({ ...form, code: await code(), redirect_uri: 'http://127.0.0.1:2/' })).body.error,
    ).toBe('invalid_grant')
    const once = await code()
    expect((await token({ ...form, code: once })).status).toBe(200)
    expect((await token({ ...form, code: once })).body.error).toBe('invalid_grant')
  })

  test('M-07 M-08 refresh tokens rotate, and a second use of one revokes the grant', async () => {
    const first = (await granted()).body
    const refresh = (value: unknown): Promise<TokenAnswer> =>
      token({ grant_type: 'refresh_token', refresh_token: String(value), client_id: publicClientId })
    const second = (await refresh(first.refresh_token)).body
    expect(second).toMatchObject({ patient: who, scope })
    expect(second.refresh_token).not.toBe(first.refresh_token)
    expect((await refresh(first.refresh_token)).body.error).toBe('invalid_grant')
    expect((await refresh(second.refresh_token)).body.error).toBe('invalid_grant')
    expect((await fhir(second.access_token)).status).toBe(401)
  })

  test('I-01 the symmetric client authenticates with Basic, and not without', async () => {
    const basic = { authorization: `Basic ${btoa(`${confidentialClientId}:${confidentialClientSecret}`)}` }
    expect((await granted({ client_id: confidentialClientId }, {}, basic)).status).toBe(200)
    expect(
      (await granted({ client_id: confidentialClientId }, { client_id: confidentialClientId })).status,
    ).toBe(401)
  })

  test('J-10 the asymmetric client authenticates with RS384 and with ES384', async () => {
    for (const key of sandbox.keys) {
      const assertion = (): Promise<string> =>
        new SignJWT({ jti: crypto.randomUUID() })
          .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'JWT' })
          .setIssuer(asymmetricClientId)
          .setSubject(asymmetricClientId)
          .setAudience(`${sandbox.url}/token`)
          .setExpirationTime('2m')
          .sign(key.privateKey)
      const proof = {
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        client_assertion: await assertion(),
      }
      expect((await granted({ client_id: asymmetricClientId }, proof)).status).toBe(200)
    }
  })

  test('K-08 a backend service gets a token for system scopes', async () => {
    const [key] = sandbox.keys
    if (!key) throw new Error('no key')
    const client_assertion = await new SignJWT({ jti: crypto.randomUUID() })
      .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'JWT' })
      .setIssuer(backendClientId)
      .setSubject(backendClientId)
      .setAudience(`${sandbox.url}/token`)
      .setExpirationTime('2m')
      .sign(key.privateKey)
    const { body } = await token({
      grant_type: 'client_credentials',
      scope: 'system/Patient.rs',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion,
    })
    expect(body).toMatchObject({ scope: 'system/Patient.rs', token_type: 'Bearer' })
    expect((await fhir(body.access_token, '/Patient')).status).toBe(200)
  })

  test('V-02 Q-03 revoking the refresh token ends all access, and introspection says so', async () => {
    const { body } = await granted()
    const introspect = async (): Promise<Record<string, unknown>> =>
      (await (
        await fetch(`${sandbox.url}/token/introspection`, {
          method: 'POST',
          body: new URLSearchParams({ token: String(body.access_token), client_id: publicClientId }),
        })
      ).json()) as Record<string, unknown>
    expect(await introspect()).toMatchObject({ active: true, scope, patient: who, client_id: publicClientId })
    const revoked = await fetch(`${sandbox.url}/token/revocation`, {
      method: 'POST',
      body: new URLSearchParams({ token: String(body.refresh_token), client_id: publicClientId }),
    })
    expect(revoked.status).toBe(200)
    expect(await introspect()).toEqual({ active: false })
    expect((await fhir(body.access_token)).status).toBe(401)
  })

  test('V-03 the person can end access on the management page', async () => {
    const { body } = await granted()
    const page = await (await fetch(`${sandbox.url}/manage`)).text()
    for (const [, id = ''] of page.matchAll(/name="revoke" value="([^"]+)"/g)) {
      await fetch(`${sandbox.url}/manage`, { method: 'POST', body: new URLSearchParams({ revoke: id }) })
    }
    expect((await fhir(body.access_token)).status).toBe(401)
    expect(
      (
        await token({
          grant_type: 'refresh_token',
          refresh_token: String(body.refresh_token),
          client_id: publicClientId,
        })
      ).body.error,
    ).toBe('invalid_grant')
  })
})

const fhir = (access: unknown, path = `/Patient/${who}`): Promise<Response> =>
  fetch(sandbox.iss + path, { headers: { authorization: `Bearer ${String(access)}` } })

describe('FHIR', () => {
  test('L-01 a token reads its patient, none or a wrong one reads nothing', async () => {
    const { body } = await granted()
    const answer = await fhir(body.access_token)
    expect(answer.status).toBe(200)
    expect(await answer.json()).toMatchObject({ resourceType: 'Patient', id: who })
    expect((await fhir('wrong')).status).toBe(401)
    expect((await fetch(`${sandbox.iss}/Patient/${who}`)).status).toBe(401)
  })

  test('D-01 the configuration and the CapabilityStatement name the same endpoints, to any origin', async () => {
    const wellKnown = await fetch(`${sandbox.iss}/.well-known/smart-configuration`)
    expect(wellKnown.headers.get('access-control-allow-origin')).toBe('*')
    const configuration = (await wellKnown.json()) as Record<string, unknown>
    const statement = JSON.stringify(await (await fetch(`${sandbox.iss}/metadata`)).json())
    for (const name of ['authorization_endpoint', 'token_endpoint', 'revocation_endpoint'])
      expect(statement).toContain(String(configuration[name]))
  })
})

describe('launch from the EHR', () => {
  test('E-02 the record that is open is the record, and a launch works once', async () => {
    const launch = new URL(sandbox.launch('https://app.example/launch', { patient: who, encounter: 'enc-1' }))
      .searchParams
    expect(launch.get('iss')).toBe(sandbox.iss)
    const change = { scope: 'launch offline_access patient/Patient.rs', launch: launch.get('launch') ?? '' }
    expect((await granted(change)).body).toMatchObject({ patient: who, encounter: 'enc-1' })
    expect(await errorOf(change)).toBe('invalid_request')
  })
})

describe('in process', () => {
  test('the whole launch works without a socket, and other hosts are out of reach', async () => {
    const { answerPages } = await import('./participant.js')
    const callback = new URL(
      await answerPages(sandbox.fetch, sandbox.url, await authorizeUrl(), { patient: who }),
    )
    const response = await sandbox.fetch(`${sandbox.url}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        code: callback.searchParams.get('code') ?? '',
        redirect_uri: redirect,
        code_verifier: verifier,
        client_id: publicClientId,
      }),
    })
    const body = (await response.json()) as Record<string, unknown>
    const patient = await sandbox.fetch(`${sandbox.iss}/Patient/${who}`, {
      headers: { authorization: `Bearer ${String(body.access_token)}` },
    })
    expect(await patient.json()).toMatchObject({ id: who })
    await expect(sandbox.fetch('https://elsewhere.example/')).rejects.toThrow(TypeError)
  })
})

describe('two hospitals', () => {
  test('know nothing of each other’s tokens', async () => {
    const other = await startSandbox()
    const { body } = await granted()
    const answer = await fetch(`${other.iss}/Patient/${who}`, {
      headers: { authorization: `Bearer ${String(body.access_token)}` },
    })
    expect(answer.status).toBe(401)
    await other.stop()
    await other.stop()
  })
})

describe('faults', () => {
  test('an armed fault hits as often as it was told to', async () => {
    const disarm = sandbox.faults.add({
      match: ({ path }) => path === '/fhir/metadata',
      respond: () => new Response('busy', { status: 503 }),
      times: 2,
    })
    const statuses = []
    for (let n = 0; n < 3; n++) statuses.push((await fetch(`${sandbox.iss}/metadata`)).status)
    expect(statuses).toEqual([503, 503, 200])
    disarm()
    sandbox.faults.add({ match: ({ path }) => path === '/fhir/metadata', respond: () => 'drop', times: 1 })
    await expect(fetch(`${sandbox.iss}/metadata`)).rejects.toThrow()
  })
})
