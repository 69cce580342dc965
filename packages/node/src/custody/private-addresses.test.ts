import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  createNodeClient,
  memoryStore,
  type NodeClient,
  type NodeClientOptions,
  type Provider,
  type Served,
  serve,
  usCore,
} from '../index.js'
import { newBrowser } from '../test-support/browser.js'
import { spellings } from '../test-support/spellings.js'

// Whoever opens a connection to it has been led there: on every address of this machine, IPv4 and IPv6.
let hits = 0
const canary = createTcpServer((socket) => {
  hits++
  socket.destroy()
})
let port = 0
let ehr: Served
let hostile: (path: string) => Response
beforeAll(async () => {
  await new Promise<void>((resolve) => canary.listen(0, '::', resolve))
  port = (canary.address() as AddressInfo).port
  ehr = await serve(async (request) => hostile(new URL(request.url).pathname))
})
afterAll(async () => {
  await ehr.stop()
  await new Promise((resolve) => canary.close(resolve))
})

async function openPortal(
  options: Pick<NodeClientOptions, 'providers'>,
): Promise<{ base: string; stop(): Promise<void> }> {
  let smart: NodeClient | undefined
  const server = await serve(async (request) => (smart as NodeClient).handler(request))
  smart = createNodeClient({
    baseUrl: `${server.url}/smart`,
    plan: usCore.only('Patient'),
    store: memoryStore(),
    afterConnect: '/done',
    cookieSecret: 'a secret for tests, long enough to be one',
    ...options,
  })
  return { base: `${server.url}/smart`, stop: server.stop }
}

// What a provider on loopback may name is loopback, where it is developed; every other spelling is somebody's network.
const elsewhere = (): string[] =>
  spellings(port)
    .filter((url) => url.startsWith('https:'))
    .filter((url) => !URL.canParse(url) || !/^(localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(url).hostname))

test('T2 G17 an address that a launch, a connect or a callback names is not asked, in whatever spelling', async () => {
  const portal = await openPortal({ providers: [provider('mercy', ehr.url)] })
  hostile = () => new Response(null, { status: 404 })
  hits = 0
  try {
    const urls = spellings(port)
    expect(urls.length).toBeGreaterThanOrEqual(120)
    for (const url of urls) {
      const named = encodeURIComponent(url)
      for (const path of [
        `/launch?launch=x&iss=${named}`,
        `/connect/${named}`,
        `/connect/mercy?iss=${named}&aud=${named}&configuration=${named}&returnTo=${named}`,
        `/callback?code=x&state=x&iss=${named}`,
      ]) {
        const answer = await newBrowser().go(portal.base + path)
        expect([302, 400, 404]).toContain(answer.status)
        const to = answer.headers.get('location')
        if (to !== null) expect(to.startsWith(portal.base.replace('/smart', '/done'))).toBe(true)
      }
    }
    expect(hits).toBe(0)
  } finally {
    await portal.stop()
  }
})

test('T2 G17 a code is not taken where a hospital’s metadata leads inside, in whatever spelling', async () => {
  const urls = elsewhere()
  expect(urls.length).toBeGreaterThan(40)
  const portal = await openPortal({ providers: urls.map((_, n) => provider(`town${n}`, `${ehr.url}/${n}`)) })
  hostile = (path) => {
    const [, n = ''] = /^\/(\d+)\//.exec(path) ?? []
    return Response.json({
      authorization_endpoint: `${ehr.url}/authorize`,
      token_endpoint: `${urls[Number(n)]}token`,
      capabilities: ['launch-standalone', 'client-public'],
      code_challenge_methods_supported: ['S256'],
    })
  }
  hits = 0
  const codes = new Map<string, number>()
  try {
    for (const n of urls.keys()) {
      const browser = newBrowser()
      const leaving = await browser.go(`${portal.base}/connect/town${n}`)
      const state = new URL(leaving.headers.get('location') ?? '').searchParams.get('state')
      const back =
        state === null ? leaving : await browser.go(`${portal.base}/callback?code=x&state=${state}`)
      const code = new URL(back.headers.get('location') ?? '').searchParams.get('s4s') ?? 'none'
      codes.set(code, (codes.get(code) ?? 0) + 1)
    }
    expect(hits).toBe(0)
    expect(codes.get('none')).toBeUndefined()
    expect(codes.get('CONFIG_PRIVATE_ADDRESS')).toBeGreaterThan(40)
  } finally {
    await portal.stop()
  }
}, 30_000)

test('T2 G17 a provider that is listed there is asked', async () => {
  const listed = await openPortal({ providers: [provider('inside', `https://[::ffff:127.0.0.1]:${port}`)] })
  hits = 0
  try {
    const answer = await newBrowser().go(`${listed.base}/connect/inside`)
    expect(answer.headers.get('location')).toContain('s4s=DISCOVERY_UNREACHABLE')
    expect(hits).toBeGreaterThan(0)
  } finally {
    await listed.stop()
  }
})

const provider = (id: string, iss: string): Provider => ({ id, name: id, iss: `${iss}/fhir`, clientId: 'x' })
