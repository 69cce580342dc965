import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { collect, isSmartError, type Provider, type Store, s4sPilot } from '@s4s/core'
import { asymmetricClientId, type Sandbox, startSandbox } from '@s4s/sandbox'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { toExpress } from './adapters/express.js'
import { toNextRoute } from './adapters/next.js'
import { createNodeClient, type NodeClient, type NodeClientOptions } from './client.js'
import { createSessions } from './cookie.js'
import { fileStore } from './file-store.js'
import { generateKey, loadKey, privateKeyJwt } from './keys.js'
import { memoryStore } from './memory-store.js'
import { type Served, serve } from './serve.js'
import { type Browser, newBrowser } from './test-support/browser.js'

const cookieSecret = 'a secret for tests, long enough to be one'
const plan = s4sPilot.only('Patient', 'Laboratory')

let ehr: Sandbox
beforeAll(async () => {
  ehr = await startSandbox({ people: ['camila'] })
})
afterAll(() => ehr.stop())
beforeEach(() => {
  ehr.clearRequests()
  ehr.faults.clear()
})

const servers: Served[] = []
afterEach(() => Promise.all(servers.splice(0).map((server) => server.stop())))

interface Portal {
  readonly smart: NodeClient
  readonly origin: string
  readonly base: string
  readonly store: Store
}

async function startPortal(options: Partial<NodeClientOptions> = {}): Promise<Portal> {
  let smart: NodeClient | undefined
  const server = await serve(async (request) => (smart as NodeClient).handler(request))
  servers.push(server)
  const base = `${server.url}/smart`
  const store = options.store ?? memoryStore()
  smart = createNodeClient({
    baseUrl: base,
    providers: [ehr.provider],
    plan,
    store,
    afterConnect: '/done',
    cookieSecret,
    ...options,
  })
  return { smart, origin: server.url, base, store }
}

/** From the connect button to the callback, which is not opened yet. */
async function signIn({ base }: Portal, browser: Browser, query = ''): Promise<string> {
  const leaving = await browser.go(`${base}/connect/${ehr.provider.id}${query}`)
  expect(leaving.status).toBe(302)
  return ehr.approve(leaving.headers.get('location') ?? '', { patient: 'camila' })
}

const locationOf = (response: Response): string => response.headers.get('location') ?? ''
const tokenRequests = (): number =>
  ehr.requests.filter(({ method, path }) => method === 'POST' && path.startsWith('/token')).length
const connectionsIn = async ({ base }: Portal, browser: Browser): Promise<{ id: string }[]> =>
  (await browser.go(`${base}/connections`)).json()

describe('connecting', () => {
  test('U-03 connect goes to the EHR and comes back; the connection is listed and can be collected, and nothing of it needs CORS', async () => {
    const portal = await startPortal()
    const browser = newBrowser()
    const back = await browser.go(await signIn(portal, browser))
    expect(back.status).toBe(302)
    expect(locationOf(back)).toBe(`${portal.origin}/done`)

    const listed = await connectionsIn(portal, browser)
    expect(listed).toMatchObject([
      { provider: { id: ehr.provider.id }, patient: 'camila', status: 'active', access: 'ongoing' },
    ])
    const [connection] = await portal.smart.connections()
    expect(connection?.id).toBe(listed[0]?.id)
    if (!connection) throw new Error('no connection')
    expect((await collect(connection, { plan })).count('Laboratory')).toBeGreaterThan(0)
    expect(ehr.requests.length).toBeGreaterThan(5)
    expect(ehr.requests.filter(({ origin }) => origin !== undefined)).toEqual([])
  })

  test('T35 T43 no answer to the browser holds a token, a code or the verifier', async () => {
    const portal = await startPortal()
    const browser = newBrowser()
    const callback = await signIn(portal, browser)
    const answers = [
      await browser.go(callback),
      await browser.go(callback),
      await browser.go(`${portal.base}/connections`),
      await browser.go(`${portal.base}/connect/${ehr.provider.id}`),
    ]
    const secrets = [new URL(callback).searchParams.get('code') ?? 'no code']
    for (const key of await portal.store.keys('')) {
      const text = (await portal.store.get(key)) ?? ''
      for (const [, secret = ''] of text.matchAll(/"(?:accessToken|refreshToken|verifier)":"([^"]+)"/g))
        secrets.push(secret)
    }
    expect(secrets.length).toBeGreaterThanOrEqual(3)
    const said = await Promise.all(
      answers.map(async (answer) => `${[...answer.headers].join(' ')} ${await answer.text()}`),
    )
    const cookies = [...browser.cookies.values()].join(' ')
    for (const secret of secrets) expect(`${said.join(' ')} ${cookies}`).not.toContain(secret)
  })

  test('T18 a callback that comes ten times at once, and again later, sends its code once', async () => {
    const portal = await startPortal()
    const browser = newBrowser()
    const callback = await signIn(portal, browser)
    const answers = await Promise.all(Array.from({ length: 10 }, () => browser.go(callback)))
    answers.push(await browser.go(callback))
    for (const answer of answers) expect(locationOf(answer)).toBe(`${portal.origin}/done`)
    expect(tokenRequests()).toBe(1)
    expect((await connectionsIn(portal, browser)).length).toBe(1)
  })

  test('E-02 E-03 an EHR launch goes through to the patient whose record is open', async () => {
    const portal = await startPortal()
    const browser = newBrowser()
    const leaving = await browser.go(ehr.launch(`${portal.base}/launch`, { patient: 'camila' }))
    const asked = new URL(locationOf(leaving)).searchParams
    expect(asked.get('aud')).toBe(ehr.iss)
    expect(asked.get('launch')).toBeTruthy()
    const back = await browser.go(await ehr.approve(locationOf(leaving)))
    expect(locationOf(back)).toBe(`${portal.origin}/done`)
    expect(await connectionsIn(portal, browser)).toMatchObject([{ patient: 'camila' }])
  })

  test('an EHR that is not configured is refused, and nothing is sent anywhere', async () => {
    const portal = await startPortal()
    for (const query of ['?iss=https://evil.example/fhir&launch=x', '?launch=x', `?iss=${ehr.iss}`, '']) {
      const answer = await newBrowser().go(`${portal.base}/launch${query}`)
      expect(answer.status).toBe(400)
      expect(answer.headers.get('location')).toBeNull()
    }
    expect((await newBrowser().go(`${portal.base}/connect/nowhere`)).status).toBe(404)
    expect(ehr.requests).toEqual([])
  })

  test('a hospital that is down sends the participant back to the app with a code', async () => {
    const portal = await startPortal({
      providers: [{ ...ehr.provider, iss: 'http://127.0.0.1:9/fhir' }],
    })
    const answer = await newBrowser().go(`${portal.base}/connect/${ehr.provider.id}`)
    expect(locationOf(answer)).toBe(`${portal.origin}/done?s4s=DISCOVERY_UNREACHABLE`)
  })

  test('a no is told to the app as a code, and in none of the server’s words', async () => {
    const portal = await startPortal()
    const browser = newBrowser()
    const leaving = await browser.go(`${portal.base}/connect/${ehr.provider.id}?returnTo=/labs%3Ftab=2`)
    const denied = new URL(await ehr.deny(locationOf(leaving)))
    denied.searchParams.set('error_description', '<script>alert(1)</script>')
    const back = await browser.go(denied.href)
    expect(locationOf(back)).toBe(`${portal.origin}/labs?tab=2&s4s=AUTHORIZATION_DENIED`)
    expect(await connectionsIn(portal, browser)).toEqual([])
  })

  test('a no without state is understood, and ends no launch that is pending', async () => {
    const portal = await startPortal()
    const browser = newBrowser()
    const callback = await signIn(portal, browser)
    const forged = await browser.go(`${portal.base}/callback?error=access_denied`)
    expect(locationOf(forged)).toBe(`${portal.origin}/done?s4s=AUTHORIZATION_DENIED`)
    expect(locationOf(await browser.go(callback))).toBe(`${portal.origin}/done`)
  })
})

describe('who may come back', () => {
  test('C-02 T16 a callback in another browser is refused before any token request, and costs the right one nothing', async () => {
    const portal = await startPortal()
    const [mine, empty, other, tampered] = [newBrowser(), newBrowser(), newBrowser(), newBrowser()]
    const callback = await signIn(portal, mine)
    await signIn(portal, other)
    for (const [name, value] of mine.cookies) tampered.cookies.set(name, `${value.slice(0, -2)}AA`)
    for (const stranger of [empty, other, tampered]) {
      const answer = await stranger.go(callback)
      expect(locationOf(answer)).toBe(`${portal.origin}/done?s4s=AUTHORIZATION_STATE_UNKNOWN`)
      expect(await connectionsIn(portal, stranger)).toEqual([])
    }
    expect(tokenRequests()).toBe(0)
    expect(locationOf(await mine.go(callback))).toBe(`${portal.origin}/done`)
    // Neither does a spent callback open the connection to a stranger.
    await other.go(callback)
    expect(await connectionsIn(portal, other)).toEqual([])
  })

  test('C-02 it is refused in another browser of the same participant too', async () => {
    const portal = await startPortal({ participant: async () => 'camila' })
    const [mine, other] = [newBrowser(), newBrowser()]
    const callback = await signIn(portal, mine)
    await signIn(portal, other)
    expect(locationOf(await other.go(callback))).toContain('AUTHORIZATION_STATE_UNKNOWN')
    expect(tokenRequests()).toBe(0)
  })

  test('C-01 T15 a callback with no state, an empty, a foreign or a doubled one asks for no token', async () => {
    const portal = await startPortal()
    const browser = newBrowser()
    const callback = new URL(await signIn(portal, browser))
    const code = callback.searchParams.get('code') ?? ''
    const state = callback.searchParams.get('state') ?? ''
    for (const query of [
      `code=${code}`,
      `code=${code}&state=`,
      `code=${code}&state=${'x'.repeat(43)}`,
      `code=${code}&state=__proto__`,
      `code=${code}&state=${state}&state=${state}`,
      `code=${code}&code=other&state=${state}`,
      '',
    ]) {
      const answer = await browser.go(`${portal.base}/callback?${query}`)
      expect(locationOf(answer)).toMatch(/\/done\?s4s=AUTHORIZATION_(STATE_UNKNOWN|RESPONSE_INVALID)$/)
    }
    expect(tokenRequests()).toBe(0)
  })

  test('the participant must be the one who began, and be somebody', async () => {
    let who: string | undefined
    const portal = await startPortal({ participant: async () => who })
    const browser = newBrowser()
    expect((await browser.go(`${portal.base}/connect/${ehr.provider.id}`)).status).toBe(401)
    who = ''
    expect((await browser.go(`${portal.base}/connect/${ehr.provider.id}`)).status).toBe(401)
    expect(ehr.requests).toEqual([])
    who = 'camila'
    const callback = await signIn(portal, browser)
    for (const another of ['bob', undefined]) {
      who = another
      expect(locationOf(await browser.go(callback))).toContain('AUTHORIZATION_STATE_UNKNOWN')
    }
    expect(tokenRequests()).toBe(0)
    who = 'camila'
    expect(locationOf(await browser.go(callback))).toBe(`${portal.origin}/done`)
    expect((await portal.smart.connections({ participant: 'camila' })).length).toBe(1)
    expect((await portal.smart.connections({ participant: 'bob' })).length).toBe(0)
  })

  test('two browsers are two participants, and neither sees the other’s connections', async () => {
    const portal = await startPortal()
    const [one, two] = [newBrowser(), newBrowser()]
    for (const browser of [one, two]) await browser.go(await signIn(portal, browser))
    const [first] = await connectionsIn(portal, one)
    const [second] = await connectionsIn(portal, two)
    expect(first?.id).not.toBe(second?.id)
    const headers = { 'sec-fetch-site': 'same-origin', 'content-type': 'application/json' }
    const answer = await two.go(`${portal.base}/connections/${first?.id}`, { method: 'DELETE', headers })
    expect(answer.status).toBe(404)
    expect((await portal.smart.connections()).length).toBe(2)
    expect(await connectionsIn(portal, newBrowser())).toEqual([])
  })

  test('nobody has no connections, rather than everyone’s', async () => {
    const portal = await startPortal()
    const browser = newBrowser()
    await browser.go(await signIn(portal, browser))
    const nobody = await portal.smart.participantOf(new Request(portal.base))
    expect(nobody).toBeUndefined()
    expect(await portal.smart.connections({ participant: nobody })).toEqual([])
    expect((await portal.smart.connections()).length).toBe(1)
  })
})

describe('where a request can lead', () => {
  test('returnTo leads to a page of the app', async () => {
    const portal = await startPortal()
    const browser = newBrowser()
    const to = encodeURIComponent('/labs?since=2020#latest')
    expect(locationOf(await browser.go(await signIn(portal, browser, `?returnTo=${to}`)))).toBe(
      `${portal.origin}/labs?since=2020#latest`,
    )
  })

  const hostile = [
    'https://evil.example',
    'HTTPS://evil.example/',
    '//evil.example',
    '///evil.example',
    '/\\evil.example',
    '\\\\evil.example',
    '/\t/evil.example',
    '/\n/evil.example',
    '\t//evil.example',
    ' //evil.example',
    '/.//evil.example',
    '/..//evil.example',
    '/x/..//evil.example',
    '/%2e//evil.example',
    '/%5cevil.example',
    '/%2fevil.example',
    'javascript:alert(1)',
    'data:text/html,x',
    'evil.example',
    '@evil.example',
    '.evil.example',
    ':80@evil.example',
    '/\u0000/evil.example',
    '/\r\nLocation: https://evil.example',
    `/${'a'.repeat(3000)}`,
    '',
  ]
  const named = hostile.map((value) => [JSON.stringify(value).slice(0, 50), value] as const)
  test.each(named)('T12 returnTo=%s leads nowhere else', async (_, returnTo) => {
    const portal = await startPortal()
    const browser = newBrowser()
    const query = `?returnTo=${encodeURIComponent(returnTo)}`
    const location = locationOf(await browser.go(await signIn(portal, browser, query)))
    // As a browser reads it that is at any page of the app.
    expect(new URL(location, `${portal.origin}/some/page`).origin).toBe(portal.origin)
    expect(location.startsWith(`${portal.origin}/`)).toBe(true)
  })

  test('R-02 T13 neither Host nor a forwarded one changes the redirect URI or where the participant goes', async () => {
    const portal = await startPortal()
    const { port } = new URL(portal.origin)
    const answer = await new Promise<{ location: string }>((resolve, reject) => {
      const headers = {
        host: 'evil.example',
        'x-forwarded-host': 'evil.example',
        'x-forwarded-proto': 'https',
        'x-forwarded-port': '443',
        forwarded: 'host=evil.example;proto=https',
        'x-original-url': '/smart/callback',
      }
      httpRequest({ port, path: `/smart/connect/${ehr.provider.id}`, headers }, (response) => {
        response.resume()
        resolve({ location: response.headers.location ?? '' })
      })
        .on('error', reject)
        .end()
    })
    expect(new URL(answer.location).searchParams.get('redirect_uri')).toBe(`${portal.base}/callback`)
    expect(answer.location.startsWith(ehr.url)).toBe(true)
  })

  test.each(['launch', 'callback', 'connections', 'jwks.json'])(
    'T13 nor does it change what %s says',
    async (route) => {
      const portal = await startPortal()
      const browser = newBrowser()
      const callback = await signIn(portal, browser)
      const address =
        route === 'callback'
          ? callback
          : route === 'launch'
            ? ehr.launch(`${portal.base}/launch`, { patient: 'camila' })
            : `${portal.base}/${route}`
      const { port, pathname, search } = new URL(address)
      const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
      const said = await new Promise<string>((resolve, reject) => {
        const headers = {
          host: 'evil.example',
          'x-forwarded-host': 'evil.example',
          forwarded: 'host=evil.example',
          cookie,
        }
        httpRequest({ port, path: pathname + search, headers }, (response) => {
          let text = JSON.stringify(response.headers)
          response.on('data', (chunk) => {
            text += chunk
          })
          response.on('end', () => resolve(text))
        })
          .on('error', reject)
          .end()
      })
      expect(said).not.toContain('evil.example')
      if (route === 'callback') expect((await portal.smart.connections()).length).toBe(1)
    },
  )

  test('A-16 A-17 T25 a long request is posted by a page, which an EHR may frame only where the app is meant to be', async () => {
    const scope = [
      'launch/patient',
      ...Array.from({ length: 60 }, (_, n) => `patient/Observation.rs?category=urn:c|${n}`),
    ]
    const providers: Provider[] = [{ ...ehr.provider, scope: scope.join(' ') }]
    const portal = await startPortal({ providers })
    const browser = newBrowser()
    const page = await browser.go(`${portal.base}/connect/${ehr.provider.id}`)
    expect(page.headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
    const html = await page.text()
    const [, action = ''] = /action="([^"]+)"/.exec(html) ?? []
    const fields: Record<string, string> = {}
    for (const [, name = '', value = ''] of html.matchAll(/name="([^"]+)" value="([^"]*)"/g))
      fields[name] = value.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)))
    const back = await ehr.approve({ action, fields }, { patient: 'camila' })
    expect(locationOf(await browser.go(back))).toBe(`${portal.origin}/done`)
    expect(ehr.requests.some(({ method, path }) => method === 'POST' && path === '/auth')).toBe(true)

    const framed = createNodeClient({
      baseUrl: 'https://portal.example/smart',
      providers,
      plan,
      afterConnect: '/',
      cookieSecret,
      framed: true,
    })
    const shown = await framed.handler(new Request(`https://portal.example/smart/connect/${ehr.provider.id}`))
    expect(shown.headers.get('content-security-policy')).not.toContain('frame-ancestors')
    expect(shown.headers.get('content-security-policy')).toContain("default-src 'none'")
  })

  test('T11 other parameters of connect and launch change nothing of what is asked for', async () => {
    const portal = await startPortal()
    const query =
      'redirect_uri=https://evil.example&scope=system/*.*&client_id=x&aud=https://evil.example&patient=bob'
    const plainly = await newBrowser().go(`${portal.base}/connect/${ehr.provider.id}`)
    const cleverly = await newBrowser().go(`${portal.base}/connect/${ehr.provider.id}?${query}`)
    const asked = (answer: Response): Record<string, string> => {
      const {
        state: _,
        code_challenge: __,
        ...rest
      } = Object.fromEntries(new URL(locationOf(answer)).searchParams)
      return rest
    }
    expect(asked(cleverly)).toEqual(asked(plainly))
  })

  test('only the routes answer, each to its own method', async () => {
    const portal = await startPortal()
    const browser = newBrowser()
    for (const path of [
      '',
      '/',
      '/connect',
      '/connect/',
      '/callback/x',
      '/../smart',
      '/connections/x/revoke',
      '/collect',
      '/%2e%2e',
    ]) {
      expect((await browser.go(portal.base + path)).status).toBe(404)
    }
    expect((await browser.go(`${portal.origin}/smartcallback`)).status).toBe(404)
    for (const [method, path, allow] of [
      ['POST', '/callback', 'GET'],
      ['HEAD', '/callback', 'GET'],
      ['POST', '/jwks.json', 'GET, HEAD'],
      ['POST', '/connect/sandbox', 'GET'],
      ['GET', '/connections/x', 'DELETE'],
      ['DELETE', '/connections', 'GET'],
    ] as const) {
      const answer = await browser.go(portal.base + path, { method })
      expect([answer.status, answer.headers.get('allow')]).toEqual([405, allow])
    }
  })
})

describe('revoking', () => {
  const revoke = async (
    portal: Portal,
    browser: Browser,
    headers: Record<string, string>,
  ): Promise<Response> => {
    const [connection] = await connectionsIn(portal, browser)
    const sent = { 'content-type': 'application/json', ...headers }
    return browser.go(`${portal.base}/connections/${connection?.id}`, { method: 'DELETE', headers: sent })
  }

  test('T50 only a page of the same origin may revoke', async () => {
    const portal = await startPortal()
    const browser = newBrowser()
    await browser.go(await signIn(portal, browser))
    for (const headers of [
      {},
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: `${portal.origin}.evil.example` },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'none' },
      { origin: portal.origin, 'sec-fetch-site': 'cross-site' },
      { origin: 'https://evil.example', 'sec-fetch-site': 'same-origin' },
    ]) {
      expect((await revoke(portal, browser, headers as Record<string, string>)).status).toBe(403)
    }
    expect((await connectionsIn(portal, browser)).length).toBe(1)
  })

  test('T72 it ends access at the hospital and here', async () => {
    const portal = await startPortal()
    const browser = newBrowser()
    await browser.go(await signIn(portal, browser))
    const [connection] = await portal.smart.connections()
    const answer = await revoke(portal, browser, { origin: portal.origin })
    expect(await answer.json()).toMatchObject({ server: 'revoked', local: 'wiped' })
    expect(await connectionsIn(portal, browser)).toEqual([])
    await expect(connection?.read('Patient', 'camila')).rejects.toThrow()
  })
})

describe('the cookie', () => {
  test('it is HttpOnly, Lax and for the whole host; over https it has the __Host- prefix and is Secure', async () => {
    const session = await (await createSessions([cookieSecret], true)).open(
      new Request('https://portal.example'),
    )
    const line = await (await createSessions([cookieSecret], true)).write(session)
    expect(line).toMatch(/^__Host-s4s=[A-Za-z0-9_.-]+; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax; Secure$/)
    const plainLine = await (await createSessions([cookieSecret], false)).write(session)
    expect(plainLine).toMatch(/^s4s=[A-Za-z0-9_.-]+; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax$/)
    for (const text of [line, plainLine]) {
      expect(text).not.toContain(session.id)
      expect(text).not.toContain(Buffer.from(session.id).toString('base64url').slice(0, 20))
    }
  })

  test('it is read back under the same secret, and under no other', async () => {
    const sessions = await createSessions([cookieSecret], true)
    const session = await sessions.open(new Request('https://portal.example'))
    const [pair = ''] = (await sessions.write(session)).split(';')
    const sent = (cookie: string): Request => new Request('https://portal.example', { headers: { cookie } })
    expect(await sessions.read(sent(`theme=dark; ${pair}`))).toEqual(session)
    const others = await createSessions([`${cookieSecret} `], true)
    expect(await others.read(sent(pair))).toBeUndefined()
    for (const cookie of [
      '',
      '__Host-s4s=',
      '__Host-s4s=x',
      `__Host-s4s=${'x.'.repeat(4000)}`,
      `${pair}; ${pair}`,
      `s4s=${pair.slice('__Host-s4s='.length)}`,
      `x${pair}`,
      pair.replace('=e', '=f'),
    ]) {
      expect(await sessions.read(sent(cookie))).toBeUndefined()
    }
  })

  test('T50 T16 a session that somebody else planted is one of their own: what is connected in it is never another’s', async () => {
    const portal = await startPortal()
    const [thief, person] = [newBrowser(), newBrowser()]
    await thief.go(`${portal.base}/connect/${ehr.provider.id}`)
    const [[name, value] = ['', '']] = [...thief.cookies]
    // Made up, cut or changed, a cookie opens nothing: the browser gets a session that nobody knows.
    for (const planted of ['x', value.slice(0, -1), `${value}x`, `${value.slice(0, -8)}AAAAAAAA`]) {
      person.cookies.clear()
      person.cookies.set(name, planted)
      await person.go(`${portal.base}/connect/${ehr.provider.id}`)
      expect(person.cookies.get(name)).not.toBe(planted)
    }
    // Beside the person's own, neither is believed.
    const callback = await signIn(portal, person)
    const own = person.cookies.get(name)
    const both = await fetch(callback, {
      redirect: 'manual',
      headers: { cookie: `${name}=${value}; ${name}=${own}` },
    })
    expect(locationOf(both)).toContain('s4s=AUTHORIZATION_STATE_UNKNOWN')
    expect(await connectionsIn(portal, thief)).toEqual([])
    await person.go(callback)
    expect((await connectionsIn(portal, person)).length).toBe(1)
    expect(await connectionsIn(portal, thief)).toEqual([])
  })

  test('a browser that has one keeps its session over further connects', async () => {
    const portal = await startPortal()
    const browser = newBrowser()
    const who = async (): Promise<string | undefined> => {
      const cookie = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
      return portal.smart.participantOf({ headersDistinct: { cookie: [cookie] } })
    }
    await signIn(portal, browser)
    const first = await who()
    await signIn(portal, browser)
    expect(first).toMatch(/^[A-Za-z0-9_-]{43}$/)
    expect(await who()).toBe(first)
  })
})

describe('on disk', () => {
  test('connections outlive the process, for jobs without a browser', async () => {
    const folder = await mkdtemp(join(tmpdir(), 's4s-client-'))
    try {
      const open = (): Store => fileStore(folder, { key: 'k'.repeat(40) })
      const portal = await startPortal({ store: open(), participant: async () => 'p-0042' })
      const browser = newBrowser()
      await browser.go(await signIn(portal, browser))
      const later = await startPortal({ store: open() })
      const [connection] = await later.smart.connections()
      expect(connection?.participant).toBe('p-0042')
      expect((await connection?.read('Patient', 'camila'))?.id).toBe('camila')
      await connection?.refresh()
      expect((await connection?.read('Patient', 'camila'))?.id).toBe('camila')
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})

describe('keys', () => {
  test('a portal with a key connects, and publishes the public half only', async () => {
    const pair = ehr.keys.find(({ alg }) => alg === 'ES384')
    if (!pair) throw new Error('the sandbox has no such key')
    const jwk = JSON.stringify(await crypto.subtle.exportKey('jwk', pair.privateKey))
    const auth = privateKeyJwt(await loadKey(jwk), pair.kid)
    const provider: Provider = { ...ehr.provider, clientId: asymmetricClientId, auth }
    const portal = await startPortal({ providers: [provider] })
    const browser = newBrowser()
    expect(locationOf(await browser.go(await signIn(portal, browser)))).toBe(`${portal.origin}/done`)
    const { keys } = await (await browser.go(`${portal.base}/jwks.json`)).json()
    const { kty, crv, x, y } = pair.publicJwk
    expect(keys).toEqual([{ kty, crv, x, y, alg: 'ES384', use: 'sig', kid: pair.kid }])
  })

  test('R-03 J-16 jwks.json answers HEAD, and one name is one key', async () => {
    const { kid, publicJwk, privateKey } = await generateKey()
    const auth = privateKeyJwt(await loadKey(privateKey), kid)
    const providers: Provider[] = [{ ...ehr.provider, auth }]
    const portal = await startPortal({ providers, otherKeys: [publicJwk], jwksMaxAge: 60 })
    const head = await newBrowser().go(`${portal.base}/jwks.json`, { method: 'HEAD' })
    expect([head.status, head.headers.get('cache-control'), await head.text()]).toEqual([
      200,
      'public, max-age=60',
      '',
    ])
    expect((await (await newBrowser().go(`${portal.base}/jwks.json`)).json()).keys.length).toBe(1)
    const other = { ...(await generateKey()).publicJwk, kid }
    await expect(startPortal({ providers, otherKeys: [other] })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    })
  })

  test('PEM of RSA and of P-384 are read; the key in hand cannot be exported', async () => {
    for (const { privateKey } of [
      generateKeyPairSync('rsa', { modulusLength: 2048 }),
      generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    ]) {
      const key = await loadKey(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
      expect([key.type, key.extractable, key.usages]).toEqual(['private', false, ['sign']])
    }
  })

  test('anything else is no key', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    for (const text of [
      '',
      'secret',
      '{}',
      '{"kty":"oct","k":"AAAA"}',
      JSON.stringify(publicKey.export({ format: 'jwk' })),
      JSON.stringify(privateKey.export({ format: 'jwk' })),
    ]) {
      const error = await loadKey(text).catch((thrown: unknown) => thrown)
      expect(isSmartError(error) && error.code).toBe('CONFIG_INVALID')
      if (text !== '') expect(String(error)).not.toContain(text)
    }
  })
})

describe('options', () => {
  test.each([
    ['baseUrl', { baseUrl: '/smart' }],
    ['baseUrl', { baseUrl: 'https://portal.example/smart?x=1' }],
    ['baseUrl', { baseUrl: 'https://user:secret@portal.example/smart' }],
    ['redirectUri', { baseUrl: 'http://portal.example/smart' }],
    ['cookieSecret', { cookieSecret: 'short' }],
    ['afterConnect', { afterConnect: 'javascript:alert(1)' }],
    ['jwksMaxAge', { jwksMaxAge: -1 }],
    ['jwksMaxAge', { jwksMaxAge: Number.NaN }],
    ['allowPrivate', { allowPrivate: ['https://x.example/'] }],
  ])('%s that cannot work is refused at the start: %o', (name, wrong) => {
    let thrown: unknown
    try {
      createNodeClient({
        baseUrl: 'https://portal.example/smart',
        providers: [],
        plan,
        afterConnect: '/',
        cookieSecret,
        ...wrong,
      })
    } catch (error) {
      thrown = error
    }
    expect(isSmartError(thrown) && thrown.remedy).toBe('configure')
    expect((thrown as Error).message).toContain(name)
    expect((thrown as Error).message).not.toContain('secret@')
  })
})

describe('adapters', () => {
  test('toExpress sees the whole path where Express has cut off the mount', async () => {
    let listener: ReturnType<typeof toExpress> | undefined
    const server = createServer((request, response) => {
      Object.assign(request, { originalUrl: request.url, url: (request.url ?? '').replace('/smart', '') })
      listener?.(request, response)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    try {
      const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      const smart = createNodeClient({
        baseUrl: `${origin}/smart`,
        providers: [ehr.provider],
        plan,
        afterConnect: '/',
        cookieSecret,
      })
      for (const served of [smart, smart.handler]) {
        listener = toExpress(served)
        const browser = newBrowser()
        const leaving = await browser.go(`${origin}/smart/connect/${ehr.provider.id}`)
        const back = await browser.go(await ehr.approve(locationOf(leaving)))
        expect(locationOf(back)).toBe(`${origin}/`)
      }
    } finally {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  })

  test('toNextRoute hands a request on as it is', async () => {
    const portal = await startPortal()
    for (const served of [portal.smart, portal.smart.handler]) {
      const { GET, DELETE } = toNextRoute(served)
      const leaving = await GET(new Request(`${portal.base}/connect/${ehr.provider.id}`))
      expect(locationOf(leaving).startsWith(ehr.url)).toBe(true)
      expect((await DELETE(new Request(`${portal.base}/connections/x`, { method: 'DELETE' }))).status).toBe(
        403,
      )
    }
  })
})
