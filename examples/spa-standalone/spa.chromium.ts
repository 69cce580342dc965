import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Served, serve } from '@s4s/node'
import { createInbox, type Inbox } from '@s4s/node/inbox'
import { type Sandbox, startSandbox } from '@s4s/sandbox'
import type { Browser, BrowserContext, Page, Request } from 'playwright-core'
import { build } from 'vite'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { noChromium, openBrowser } from '../browser.js'

if (noChromium !== undefined) console.warn(`Skipped: ${noChromium}`)

const here = fileURLToPath(new URL('.', import.meta.url))
const study = { id: 'sleep-2026', key: 'study-key', teamKey: 'team-key' }

describe.skipIf(noChromium !== undefined)('the smallest app, in a real browser', () => {
  const closing: (() => Promise<unknown>)[] = []
  let mercy: Sandbox
  let inbox: Inbox
  let app: Served
  let browser: Browser
  let context: BrowserContext
  let page: Page
  let sent: Request[]
  let complaints: string[]

  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 's4s-spa-'))
    closing.push(() => rm(folder, { recursive: true, force: true }))
    const built = join(folder, 'dist')
    await build({
      root: here,
      configFile: false,
      logLevel: 'warn',
      build: { outDir: built, emptyOutDir: true },
      resolve: { conditions: ['@s4s/source', 'module', 'browser', 'production', 'import', 'default'] },
    })

    mercy = await startSandbox({ id: 'mercy', name: 'Mercy Hospital' })
    closing.push(() => mercy.stop())
    let config = ''
    app = await serve(async (request) => {
      const { pathname } = new URL(request.url)
      if (pathname === '/config.json') return Response.json(JSON.parse(config))
      const path = normalize(pathname === '/' ? '/index.html' : pathname)
      const bytes = await readFile(join(built, path)).catch(() => undefined)
      const type = { '.html': 'text/html', '.js': 'text/javascript' }[extname(path)]
      return bytes && type
        ? new Response(new Uint8Array(bytes), { headers: { 'content-type': type } })
        : new Response(null, { status: 404 })
    })
    closing.push(() => app.stop())
    inbox = createInbox({ folder: join(folder, 'inbox'), studies: [study], allowOrigins: [app.url] })
    const inboxServer = await serve(inbox.handler)
    closing.push(() => inboxServer.stop())
    config = JSON.stringify({ providers: [mercy.provider], inbox: { url: inboxServer.url, key: study.key } })

    browser = await openBrowser()
    closing.push(() => browser.close())
  }, 120_000)
  afterAll(async () => {
    for (const close of closing.reverse()) await close()
  })

  beforeEach(async () => {
    context = await browser.newContext()
    page = await context.newPage()
    sent = []
    complaints = []
    mercy.clearRequests()
    page.on('request', (request) => sent.push(request))
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    await page.goto(app.url)
  })
  afterEach(() => context?.close())

  const signIn = async (): Promise<void> => {
    await page.getByRole('button', { name: 'Connect Mercy Hospital' }).click()
    await page.getByRole('button', { name: 'Sign in' }).click()
  }
  const connect = async (): Promise<void> => {
    await signIn()
    await page.getByRole('button', { name: 'Approve', exact: true }).click()
    await page.waitForURL(`${app.url}/`)
  }
  const exchanged = (): Promise<unknown> =>
    expect
      .poll(() => mercy.requests.filter(({ method, path }) => method === 'POST' && path === '/token').length)
      .toBe(1)

  test('a participant connects a hospital and shares the record', { timeout: 60_000 }, async () => {
    await connect()
    await exchanged()
    await page.getByRole('button', { name: 'Share with the study' }).click()
    await page.getByText(/Shared \d+ resources\. Receipt /).waitFor()

    const [row] = await inbox.packages(study.id)
    expect(row).toMatchObject({ participant: 'p-0042', status: 'stored' })
    expect(await page.locator('body').textContent()).toContain(`Shared ${row?.resources} resources`)
    expect((await inbox.verify(row?.digest ?? '')).faults).toEqual([])
    expect(complaints).toEqual([])

    // The token went to the hospital, and what the study got carried its own key.
    const bearers = await Promise.all(
      sent.map(async (request) => ({
        url: request.url(),
        bearer: (await request.allHeaders()).authorization,
      })),
    )
    const [token] = bearers.flatMap(({ url, bearer }) => (url.startsWith(`${mercy.iss}/`) && bearer) || [])
    expect(token).toMatch(/^Bearer .{20}/)
    for (const { url, bearer } of bearers) if (bearer === token) expect(new URL(url).origin).toBe(mercy.url)
  })

  test('T23 the code is in no request but the token request, nor in the history', {
    timeout: 60_000,
  }, async () => {
    await connect()
    await exchanged()
    // The sandbox can be quicker than the browser's own account of what it sent.
    await expect.poll(() => sent.some((request) => request.url() === `${mercy.url}/token`)).toBe(true)
    const codes = sent
      .map((request) => new URL(request.url()).searchParams.get('code'))
      .filter((code): code is string => code !== null)
    expect(codes).toHaveLength(1)
    const [code = ''] = codes
    const holders = await Promise.all(
      sent.map(async (request) => {
        const { referer = '' } = await request.allHeaders()
        return { url: request.url(), body: request.postData() ?? '', referer }
      }),
    )
    expect(holders.filter(({ referer }) => referer.includes(code))).toEqual([])
    expect(holders.filter(({ body }) => body.includes(code)).map(({ url }) => url)).toEqual([
      `${mercy.url}/token`,
    ])
    expect(page.url()).toBe(`${app.url}/`)
    await page.goBack()
    expect(page.url()).not.toContain(code)
  })

  test('T35 what the browser stored holds no token, and its key cannot be taken out', {
    timeout: 60_000,
  }, async () => {
    let tokens: string[] = []
    await page.route(`${mercy.url}/token`, async (route) => {
      const response = await route.fetch()
      const { access_token, refresh_token } = await response.json()
      tokens = [access_token, refresh_token]
      await route.fulfill({ response })
    })
    await connect()
    await exchanged()
    await expect.poll(() => tokens.length).toBe(2)
    await page.waitForLoadState('networkidle')
    const dump = await page.evaluate(async () => {
      const asked = <T>(request: IDBRequest<T>): Promise<T> =>
        new Promise((resolve, reject) => {
          request.onsuccess = () => resolve(request.result)
          request.onerror = () => reject(request.error)
        })
      const found: string[] = [JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage })]
      let exported = 'no key'
      let records = 0
      for (const { name = '' } of await indexedDB.databases()) {
        const database = await asked(indexedDB.open(name))
        for (const store of database.objectStoreNames)
          for (const value of await asked(database.transaction(store).objectStore(store).getAll())) {
            if (value instanceof CryptoKey)
              exported = await crypto.subtle.exportKey('raw', value).then(
                () => 'exported',
                () => 'refused',
              )
            for (const part of Object.values(value as object)) {
              if (part instanceof ArrayBuffer || ArrayBuffer.isView(part)) {
                records++
                found.push(new TextDecoder().decode(part as ArrayBuffer))
              } else found.push(String(part))
            }
          }
      }
      return { text: found.join('\n'), exported, records }
    })
    expect(dump.exported).toBe('refused')
    expect(dump.records).toBeGreaterThanOrEqual(2)
    for (const token of tokens) {
      expect(token).toMatch(/.{20}/)
      expect(dump.text).not.toContain(token)
    }
  })

  test('C-12 two tabs that refresh or reload at once keep one connection', { timeout: 60_000 }, async () => {
    await connect()
    await exchanged()
    const other = await context.newPage()
    await Promise.all([page.reload(), other.goto(app.url)])
    for (const tab of [page, other]) {
      await tab.getByRole('button', { name: 'Share with the study' }).click()
      await tab.getByText(/Shared \d+ resources/).waitFor()
    }
    expect(complaints).toEqual([])
    await exchanged()
  })

  test('a participant who says no comes back to the app and may try again', { timeout: 60_000 }, async () => {
    await signIn()
    await page.getByRole('button', { name: 'Do not approve' }).click()
    await page.waitForURL(`${app.url}/`)
    await page.getByText('Not connected: AUTHORIZATION_DENIED').waitFor()
    expect(complaints).toEqual([])
    await connect()
    await exchanged()
  })
})
