import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Sandbox, startSandbox } from '@s4s/sandbox'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { build } from 'vite'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { noChromium, openBrowser } from '../../../examples/browser.js'

if (noChromium !== undefined) console.warn(`Skipped: ${noChromium}`)

const here = fileURLToPath(new URL('.', import.meta.url))
const html = `<!doctype html><html lang="en"><meta charset="utf-8"><title>App</title>
<p id="status"></p><p id="outcome"></p><button id="connect">Connect</button><button id="popup">In a window</button>
<script type="module" src="/page.js"></script></html>`

describe.skipIf(noChromium !== undefined)('in a real browser', () => {
  const closing: (() => unknown)[] = []
  let script = ''
  let sandbox: Sandbox
  let app: { readonly url: string; headers: Record<string, string>; config: Record<string, unknown> }
  let browser: Browser
  let context: BrowserContext
  let page: Page
  let complaints: string[]

  const listen = async (
    answer: (request: IncomingMessage, response: ServerResponse) => void,
  ): Promise<string> => {
    const server: Server = createServer(answer)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    closing.push(() => {
      server.closeAllConnections()
      server.close()
    })
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 's4s-browser-'))
    closing.push(() => rm(folder, { recursive: true, force: true }))
    await build({
      root: here,
      configFile: false,
      logLevel: 'error',
      resolve: { conditions: ['@s4s/source', 'module', 'browser', 'production', 'import', 'default'] },
      build: {
        outDir: folder,
        emptyOutDir: true,
        target: 'es2022',
        rolldownOptions: {
          input: join(here, 'page.ts'),
          output: { entryFileNames: 'page.js', codeSplitting: false },
        },
      },
    })
    script = await readFile(join(folder, 'page.js'), 'utf8')
    const served = { url: '', headers: {} as Record<string, string>, config: {} as Record<string, unknown> }
    served.url = await listen((request, response) => {
      const path = request.url?.split('?')[0]
      if (path === '/page.js')
        return void response.writeHead(200, { 'content-type': 'text/javascript' }).end(script)
      if (path === '/config.json') return void response.writeHead(200).end(JSON.stringify(served.config))
      if (path === '/favicon.ico') return void response.writeHead(204).end()
      response.writeHead(200, { 'content-type': 'text/html', ...served.headers }).end(html)
    })
    app = served
    sandbox = await startSandbox({ id: 'mercy', name: 'Mercy Hospital', people: ['leo'] })
    closing.push(() => sandbox.stop())
    browser = await openBrowser()
    closing.push(() => browser.close())
  }, 120_000)
  afterAll(async () => {
    for (const close of closing.reverse()) await close()
  })
  beforeEach(async () => {
    app.headers = {}
    app.config = { providers: [sandbox.provider] }
    complaints = []
    sandbox.faults.clear()
    sandbox.clearRequests()
    context = await browser.newContext()
    page = await open(context)
  })
  afterEach(() => context?.close())

  const open = async (where: BrowserContext, url = `${app.url}/`): Promise<Page> => {
    const opened = await where.newPage()
    opened.on('pageerror', (error) => complaints.push(error.message))
    await opened.goto(url)
    await ready(opened)
    return opened
  }
  const ready = (one: Page): Promise<unknown> =>
    one.waitForSelector('body[data-ready=yes]', { state: 'attached' })
  const status = (one: Page): Promise<string | null> => one.locator('#status').textContent()
  const answer = async (one: Page, name: string): Promise<void> => {
    await one.getByRole('button', { name: 'Sign in' }).click()
    await one.getByRole('button', { name, exact: true }).click()
  }
  const connect = async (one = page): Promise<void> => {
    await one.click('#connect')
    await answer(one, 'Approve')
    await one.waitForURL(`${app.url}/`)
    await ready(one)
  }
  const exchanges = (): number =>
    sandbox.requests.filter(({ method, path }) => method === 'POST' && path === '/token').length
  const inWindow = async (then: (popup: Page) => Promise<unknown>): Promise<string> => {
    const [popup] = await Promise.all([page.waitForEvent('popup'), page.click('#popup')])
    await then(popup)
    await expect.poll(() => page.locator('#outcome').textContent(), { timeout: 8000 }).not.toBe('')
    return (await page.locator('#outcome').textContent()) ?? ''
  }

  test('KF-01 C-09 C-10 F53 T18 a page that handles its callback twice exchanges once, and the address is clean', async () => {
    await connect()
    expect(await status(page)).toBe('connected leo and connected leo')
    expect(exchanges()).toBe(1)
    expect(page.url()).toBe(`${app.url}/`)
  })

  test('C-01 C-02 A-07 T16 KF-02 another profile that opens the callback is refused, and sends nothing', async () => {
    let callback = ''
    page.on('framenavigated', (frame) => {
      if (frame.url().includes('code=')) callback = frame.url()
    })
    await connect()
    sandbox.clearRequests()
    const other = await browser.newContext()
    const stolen = await open(other, callback)
    expect(await status(stolen)).toMatch(/^AUTHORIZATION_STATE_UNKNOWN and /)
    const without = await open(other, `${app.url}/?code=x`)
    expect(await status(without)).toBe('nothing and nothing')
    expect(exchanges()).toBe(0)
    await other.close()
  })

  test('C-03 C-04 T3 T22 G16 scripts in what a server says run nowhere, under a strict policy', async () => {
    app.headers = {
      'content-security-policy': `default-src 'none'; script-src 'self'; connect-src *; require-trusted-types-for 'script'; form-action *`,
    }
    const payloads = [
      ...[
        'javascript:window.hit=1',
        'JaVaScRiPt:window.hit=1',
        ' javascript:window.hit=1',
        'java\tscript:window.hit=1',
        'java\nscript:window.hit=1',
      ],
      ...[
        '\u0001javascript:window.hit=1',
        'javascript://%0awindow.hit=1',
        'data:text/html,<script>window.hit=1</script>',
        'blob:https://x/y',
      ],
      ...[
        'vbscript:x',
        'file:///etc/passwd',
        'about:blank',
        'view-source:https://x',
        'filesystem:https://x/y',
        'http://example.com/',
        'ftp://x',
      ],
      ...[
        'https://user:pass@example.com/',
        '//',
        'https:',
        'intent://x',
        'ws://x',
        'chrome://settings',
        'jar:https://x!/',
        'x'.repeat(20_000),
      ],
    ]
    for (const payload of payloads) {
      sandbox.faults.add({
        match: ({ path }) => path.endsWith('smart-configuration'),
        respond: () =>
          Response.json(
            { authorization_endpoint: payload, token_endpoint: `${sandbox.url}/token` },
            { headers: { 'access-control-allow-origin': '*' } },
          ),
        times: 1,
      })
      const result = await page.evaluate(() =>
        globalThis.s4s
          .createBrowserClient({
            redirectUri: `${location.origin}/`,
            providers: smart.providers,
            plan: smart.plan,
          })
          .connect('mercy')
          .then(
            () => 'gone',
            (error) => error.code,
          ),
      )
      // What resolves to a path below the provider's own base is a page of the provider.
      expect(result).toMatch(/^(DISCOVERY_INVALID|gone)$/)
      if (result === 'gone') await page.goto(`${app.url}/`).catch(() => page.goto(`${app.url}/`))
      await ready(page)
    }
    for (const text of ['<img src=x onerror="window.hit=1">', '"><script>window.hit=1</script>'])
      await open(
        context,
        `${app.url}/?state=x&error=${encodeURIComponent(text)}&error_description=${encodeURIComponent(text)}`,
      )
    for (const one of context.pages())
      expect(await one.evaluate(() => (globalThis as { hit?: number }).hit)).toBeUndefined()
  }, 60_000)

  test('M-08 T38 G6 KF-05 F82 200 requests in 8 tabs at the moment of expiry refresh once, and none fails', async () => {
    const brief = await startSandbox({ id: 'mercy', people: ['leo'], accessTokenSeconds: 8 })
    app.config = { providers: [brief.provider] }
    await page.goto(`${app.url}/`)
    await ready(page)
    await connect()
    const tabs = [page, ...(await Promise.all(Array.from({ length: 7 }, () => open(context))))]
    await new Promise((resolve) => setTimeout(resolve, 8500))
    brief.clearRequests()
    const results = await Promise.all(
      tabs.map((tab) =>
        tab.evaluate(async () => {
          const [connection] = await smart.connections()
          return Promise.all(
            Array.from({ length: 25 }, () =>
              connection?.read('Patient', connection.patient).then(
                () => 'ok',
                (error) => error.code,
              ),
            ),
          )
        }),
      ),
    )
    const refreshes = brief.requests.filter(
      ({ method, path }) => method === 'POST' && path === '/token',
    ).length
    await brief.stop()
    expect(new Set(results.flat())).toEqual(new Set(['ok']))
    expect([results.flat().length, refreshes]).toEqual([200, 1])
  }, 60_000)

  test('T39 KF-04 KF-12 F39 a refresh that the network cuts keeps the connection', async () => {
    await connect()
    const lift = sandbox.faults.add({
      match: ({ method, path }) => method === 'POST' && path === '/token',
      respond: () => 'drop',
    })
    const refresh = (): Promise<string> =>
      page.evaluate(async () => {
        const [connection] = await smart.connections()
        return (connection as NonNullable<typeof connection>).refresh().then(
          () => 'ok',
          (error) => error.code,
        )
      })
    expect(await refresh()).toBe('TOKEN_UNREACHABLE')
    lift()
    expect(await refresh()).toBe('ok')
  })

  test('T35 H-10 U-04 L-05 U-05 T51 no storage of the browser holds a readable token, and no cookie anything', async () => {
    const secrets: string[] = []
    await page.route(`${sandbox.url}/token`, async (route) => {
      const response = await route.fetch()
      const { access_token, refresh_token } = await response.json()
      secrets.push(access_token, refresh_token)
      await route.fulfill({ response })
    })
    await connect()
    const dump = await page.evaluate(async () => {
      const asked = <T>(request: IDBRequest<T>): Promise<T> =>
        new Promise((resolve, reject) => {
          request.onsuccess = () => resolve(request.result)
          request.onerror = () => reject(request.error)
        })
      const found = [
        document.cookie,
        JSON.stringify({ ...localStorage }),
        JSON.stringify({ ...sessionStorage }),
        (await caches.keys()).join(),
      ]
      for (const { name = '' } of await indexedDB.databases()) {
        const database = await asked(indexedDB.open(name))
        for (const store of database.objectStoreNames) {
          const values = await asked(database.transaction(store).objectStore(store).getAll())
          for (const value of values)
            for (const part of [value, ...Object.values(value as object)])
              found.push(
                part instanceof ArrayBuffer || ArrayBuffer.isView(part)
                  ? new TextDecoder('latin1').decode(part as ArrayBuffer)
                  : String(part),
              )
        }
      }
      return found.join('\n')
    })
    expect(secrets.length).toBe(2)
    for (const secret of secrets) expect(dump).not.toContain(secret)
    // Cookies know no ports: those here are the hospital's own.
    const own = (await context.cookies(app.url)).filter(({ name }) => !/^_(session|interaction)/.test(name))
    expect(own).toEqual([])
  })

  test('D-02 U-02 F67 discovery causes no preflight, and a server without CORS is an error that names it', async () => {
    const methods: string[] = []
    const bare = await listen((request, response) => {
      methods.push(request.method ?? '')
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    })
    app.config = { providers: [{ ...sandbox.provider, iss: `${bare}/fhir` }] }
    const one = await open(context)
    const error = await one.evaluate(() =>
      smart.connect('mercy').catch((caught) => `${caught.code} ${caught.message}`),
    )
    expect(error).toMatch(/^DISCOVERY_UNREACHABLE .*CORS/)
    expect(methods).toEqual(['GET'])
  })

  test('A-14 A-16 A-17 a long request goes as a form that the browser submits', async () => {
    const many = Array.from(
      { length: 60 },
      (_, n) =>
        `patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|c${n}`,
    )
    app.config = {
      providers: [
        {
          ...sandbox.provider,
          scope: ['launch/patient', 'patient/Patient.rs', 'offline_access', ...many].join(' '),
        },
      ],
    }
    await page.goto(`${app.url}/`)
    await ready(page)
    await connect()
    expect(await status(page)).toContain('connected leo')
    expect(sandbox.requests.some(({ method, path }) => method === 'POST' && path === '/auth')).toBe(true)
  })

  describe('F56 C-12 a sign-in in a window of its own', () => {
    test('comes back to the page that opened it, which exchanges once', async () => {
      let closed = false
      const outcome = await inWindow(async (popup) => {
        popup.on('close', () => {
          closed = true
        })
        await answer(popup, 'Approve')
      })
      expect(outcome).toBe('connected leo')
      expect(exchanges()).toBe(1)
      await expect.poll(() => closed).toBe(true)
      expect(page.url()).toBe(`${app.url}/`)
    })

    test('comes back also where a browser has no channels between pages', async () => {
      await context.addInitScript(() => {
        Object.defineProperty(globalThis, 'BroadcastChannel', { value: undefined })
      })
      await page.goto(`${app.url}/`)
      await ready(page)
      expect(await inWindow((popup) => answer(popup, 'Approve'))).toBe('connected leo')
      expect(exchanges()).toBe(1)
    })

    test('C-05 a no is a no', async () => {
      expect(await inWindow((popup) => answer(popup, 'Do not approve'))).toBe('AUTHORIZATION_DENIED')
    })

    test('a window that the person closes ends the wait', async () => {
      const outcome = await inWindow(async (popup) => {
        await popup.getByRole('button', { name: 'Sign in' }).waitFor()
        await page.waitForTimeout(400)
        await popup.close()
      })
      expect(outcome).toBe('AUTHORIZATION_POPUP_CLOSED')
    })

    test('a browser that opens no window goes there itself', async () => {
      await page.evaluate(() => {
        globalThis.open = () => null
      })
      await page.click('#popup')
      await answer(page, 'Approve')
      await page.waitForURL(`${app.url}/`)
      await ready(page)
      expect(await status(page)).toContain('connected leo')
    })

    test('a COOP header of the portal cuts the two apart, and the answer still comes', async () => {
      app.headers = { 'cross-origin-opener-policy': 'same-origin' }
      await page.goto(`${app.url}/`)
      await ready(page)
      expect(await inWindow((popup) => answer(popup, 'Approve'))).toBe('connected leo')
      expect(exchanges()).toBe(1)
    })

    test('T24 messages of other origins, other shapes or other launches are ignored', async () => {
      const evil = await listen(
        (_, response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<p>evil</p>'),
      )
      const outcome = await inWindow(async (popup) => {
        await popup.getByRole('button', { name: 'Sign in' }).waitFor()
        await page.evaluate((origin) => {
          const good = `${location.origin}/?code=x&state=`
          const hostile = [
            ...[
              null,
              5,
              'x',
              [],
              {},
              { s4s: 'callback' },
              { s4s: 'callback', url: 5 },
              { s4s: 'callback', url: '' },
            ],
            ...[
              'javascript:alert(1)',
              `${origin}/?code=x&state=y`,
              `${good}y`,
              good,
              'x',
              '//evil',
              `${good}${'y'.repeat(30_000)}`,
            ].map((url) => ({ s4s: 'callback', url })),
            ...[
              { s4s: 'taken', url: good },
              { s4s: 'callback', url: { toString: () => good } },
            ],
          ].map((one) =>
            typeof one === 'object' && one !== null && 'url' in one && typeof one.url === 'object'
              ? { s4s: 'callback', url: {} }
              : one,
          )
          const channel = new BroadcastChannel(`s4s ${location.origin}/`)
          for (const message of hostile) {
            globalThis.postMessage(message, '*')
            channel.postMessage(message)
          }
          const frame = document.createElement('iframe')
          frame.src = origin
          document.body.append(frame)
        }, evil)
        const frame = await expect
          .poll(() => page.frames().find((one) => one.url().startsWith(evil)))
          .toBeTruthy()
          .then(() => page.frames().find((one) => one.url().startsWith(evil)))
        await frame?.evaluate(
          (url) => parent.postMessage({ s4s: 'callback', url }, '*'),
          `${app.url}/?code=stolen&state=x`,
        )
        await page.waitForTimeout(300)
        expect(exchanges()).toBe(0)
        expect(await page.locator('#outcome').textContent()).toBe('')
        await answer(popup, 'Approve')
      })
      expect(outcome).toBe('connected leo')
    })

    test('a window that is closed before it goes anywhere ends the wait', async () => {
      sandbox.faults.add({
        match: ({ path }) => path.endsWith('smart-configuration'),
        respond: () => new Promise(() => {}),
        times: 1,
      })
      const outcome = await inWindow(async (popup) => {
        expect(popup.url()).toBe('about:blank')
        await popup.close()
        sandbox.faults.clear()
        // Clicked again, until the page has heard from the browser that the window is gone.
        await expect
          .poll(
            () =>
              page.evaluate(async () => {
                void smart.connectInPopup('mercy').catch(() => {})
                await new Promise((resolve) => setTimeout(resolve, 50))
                return document.getElementById('outcome')?.textContent
              }),
            { timeout: 8000 },
          )
          .not.toBe('')
      })
      expect(outcome).toBe('AUTHORIZATION_POPUP_CLOSED')
      expect(exchanges()).toBe(0)
    })

    test('a second click finds the window that is open', async () => {
      const outcome = await inWindow(async (popup) => {
        await popup.getByRole('button', { name: 'Sign in' }).waitFor()
        await page.click('#popup')
        await page.waitForTimeout(300)
        expect(context.pages().length).toBe(2)
        await answer(popup, 'Approve')
      })
      await expect.poll(() => page.locator('#outcome').textContent()).toBe('connected leoconnected leo')
      expect(outcome).toContain('connected leo')
      expect(exchanges()).toBe(1)
    })

    test('a COOP header of a later page of the provider cuts the two apart, and the answer still comes', async () => {
      await context.route(
        ({ pathname }) => pathname.startsWith('/interaction') || pathname.startsWith('/auth/'),
        async (route) => {
          const response = await route.fetch({ maxRedirects: 0 })
          const headers = { ...response.headers(), 'cross-origin-opener-policy': 'same-origin' }
          await route.fulfill({ response, headers })
        },
      )
      expect(await inWindow((popup) => answer(popup, 'Approve'))).toBe('connected leo')
      expect(exchanges()).toBe(1)
    })

    test('a window whose opener has gone finishes by itself', async () => {
      const [popup] = await Promise.all([page.waitForEvent('popup'), page.click('#popup')])
      await popup.getByRole('button', { name: 'Sign in' }).waitFor()
      await page.close()
      await answer(popup, 'Approve')
      await ready(popup)
      await expect.poll(() => status(popup)).toContain('connected leo')
      expect(exchanges()).toBe(1)
    })
  })

  test('C-09 a callback that is opened again after its connection was revoked is an ordinary visit', async () => {
    await page.click('#connect')
    await page.getByRole('button', { name: 'Sign in' }).click()
    const callbacks: string[] = []
    page.on('request', (request) => {
      if (request.url().startsWith(`${app.url}/?`)) callbacks.push(request.url())
    })
    await page.getByRole('button', { name: 'Approve', exact: true }).click()
    await page.waitForURL(`${app.url}/`)
    await ready(page)
    await page.evaluate(async () => {
      const [connection] = await smart.connections()
      await connection?.revoke()
    })
    await page.goto(callbacks[0] ?? 'none')
    await ready(page)
    expect(await status(page)).toBe('nothing and nothing')
    expect(exchanges()).toBe(1)
  })

  test('C-05 every client of a page is told the same no', async () => {
    await page.click('#connect')
    await page.getByRole('button', { name: 'Sign in' }).click()
    const denied: string[] = []
    page.on('request', (request) => {
      if (request.url().startsWith(`${app.url}/?`)) denied.push(request.url())
    })
    await page.getByRole('button', { name: 'Do not approve', exact: true }).click()
    await page.waitForURL(`${app.url}/`)
    await ready(page)
    expect(await status(page)).toBe('AUTHORIZATION_DENIED and AUTHORIZATION_DENIED')
    const told = await page.evaluate(
      ([url]) =>
        s4s
          .createBrowserClient({
            redirectUri: `${location.origin}/`,
            providers: smart.providers,
            plan: smart.plan,
          })
          .handleRedirect(url)
          .catch((error) => error.code),
      denied,
    )
    expect(told).toBe('AUTHORIZATION_DENIED')
    expect(exchanges()).toBe(0)
  })

  test('T35 storage is asked to stay once there is something to keep', async () => {
    await context.addInitScript(() => {
      const asked = { times: 0 }
      Object.assign(globalThis, { asked })
      navigator.storage.persist = async () => {
        asked.times++
        return true
      }
    })
    await page.goto(`${app.url}/`)
    await ready(page)
    const times = (): Promise<number> =>
      page.evaluate(() => (globalThis as unknown as { asked: { times: number } }).asked.times)
    expect(await times()).toBe(0)
    await connect()
    expect(await times()).toBe(1)
  })

  describe('frames', () => {
    const framing = async (src: string, host: string): Promise<import('playwright-core').Frame> => {
      const ehr = await listen(
        (_, response) =>
          void response.writeHead(200, { 'content-type': 'text/html' }).end(`<iframe src="${src}"></iframe>`),
      )
      await page.goto(ehr.replace('127.0.0.1', host))
      await expect.poll(() => page.frames().length).toBe(2)
      return page.frames()[1] as import('playwright-core').Frame
    }

    test('T25 a page that another site frames does not connect, unless it is meant to', async () => {
      const frame = await framing(`${app.url}/`, 'localhost')
      await frame.waitForSelector('body[data-ready=yes]', { state: 'attached' })
      expect(await frame.evaluate(() => smart.connect('mercy').catch((error) => error.code))).toBe(
        'LAUNCH_FRAMED',
      )
      expect(await frame.evaluate(() => smart.connectInPopup('mercy').catch((error) => error.code))).toBe(
        'LAUNCH_FRAMED',
      )
      expect(sandbox.requests).toEqual([])
    })

    test.each([
      ['127.0.0.1', 'launches it there', true],
      // Another site than the app's, for which this browser blocks storage.
      ['localhost', 'is told when the browser blocks its storage', 'CONFIG_STORAGE_FAILED'],
    ])('E-06 an EHR at %s that frames the app %s', async (host, _, outcome) => {
      const launch = new URL(sandbox.launch(`${app.url}/`, { patient: 'leo' }))
      const frame = await framing(launch.href, host)
      await frame.waitForSelector('body[data-ready=yes]', { state: 'attached' })
      expect(await frame.evaluate(() => smart.launch().catch((error) => error.code))).toBe(outcome)
      const launched = (): boolean => sandbox.requests.some(({ path }) => path.startsWith('/auth?'))
      if (outcome === true) await expect.poll(launched).toBe(true)
      else expect(launched()).toBe(false)
    })

    test('E-06 storage that the browser blocks is named before anybody signs in', async () => {
      const code = await page.evaluate(async () => {
        Object.defineProperty(globalThis, 'indexedDB', { get: () => undefined, configurable: true })
        Object.defineProperty(globalThis, 'sessionStorage', {
          get: () => {
            throw new DOMException('denied', 'SecurityError')
          },
          configurable: true,
        })
        const blocked = globalThis.s4s.createBrowserClient({
          redirectUri: `${location.origin}/`,
          providers: smart.providers,
          plan: smart.plan,
        })
        return blocked.connect('mercy').catch((error) => error.code)
      })
      expect(code).toBe('CONFIG_STORAGE_FAILED')
      expect(sandbox.requests).toEqual([])
    })
  })

  test('PR-09 F93 a collection whose tab is closed goes on in the next one, and what it kept is sealed', async () => {
    const hospital = await startSandbox({ id: 'mercy', name: 'Mercy Hospital', people: ['eleanor'] })
    try {
      app.config = {
        providers: [{ ...hospital.provider, scope: 'launch/patient offline_access patient/*.rs' }],
      }
      await page.goto(`${app.url}/`)
      await ready(page)
      await connect()
      const names = ['Patient', 'Laboratory', 'Vital Signs', 'Problems', 'Documents'] as const
      const collectAll = (one: Page): Promise<{ lines: string[]; files: number }> =>
        one.evaluate(async (wanted) => {
          const { collect, checkpointOf, usCore } = globalThis.s4s
          const [connection] = await smart.connections()
          if (!connection) throw new Error('no connection')
          const plan = usCore.only(...wanted)
          const record = await collect(connection, { plan, checkpoint: checkpointOf(connection) })
          return {
            lines: Object.keys(record.types()).flatMap((type) => [...record.lines(type)]),
            files: record.attachments.length,
          }
        }, names)
      hospital.clearRequests()
      const whole = await collectAll(page)
      const asked = hospital.requests.length
      expect(whole.lines.length).toBeGreaterThan(1000)

      // The EHR falls silent half-way, and the participant closes the tab.
      let answered = 0
      hospital.faults.add({
        match: ({ path }) => path.startsWith('/fhir/') && ++answered > asked / 2,
        respond: () => 'hang',
      })
      void collectAll(page).catch(() => {})
      await expect.poll(() => answered, { timeout: 15_000 }).toBeGreaterThan(asked / 2)
      const kept = await page.evaluate(async () => {
        const found: string[] = []
        for (const { name = '' } of await indexedDB.databases()) {
          const database = await new Promise<IDBDatabase>((resolve) => {
            const opening = indexedDB.open(name)
            opening.onsuccess = () => resolve(opening.result)
          })
          for (const store of database.objectStoreNames)
            found.push(
              await new Promise<string>((resolve) => {
                const all = database.transaction(store).objectStore(store).getAll()
                all.onsuccess = () =>
                  resolve(
                    JSON.stringify(all.result, (_, value) =>
                      ArrayBuffer.isView(value) ? new TextDecoder().decode(value) : value,
                    ),
                  )
              }),
            )
          database.close()
        }
        return found.join()
      })
      expect(kept).not.toContain('Observation')
      await page.close()
      hospital.faults.clear()
      hospital.clearRequests()
      page = await open(context)
      expect(await collectAll(page)).toEqual(whole)
      // What had come is not asked for again.
      expect(hospital.requests.length).toBeLessThan(asked * 0.7)
    } finally {
      await hospital.stop()
    }
  })

  test('G20 T73 with ten tabs open, a withdrawal in one leaves nothing to read in any within a second', async () => {
    const secrets: string[] = []
    await context.route(`${sandbox.url}/token`, async (route) => {
      const response = await route.fetch()
      const { access_token, refresh_token } = await response.json()
      secrets.push(access_token, refresh_token)
      await route.fulfill({ response })
    })
    await connect()
    const tabs = [page, ...(await Promise.all(Array.from({ length: 9 }, () => open(context))))]
    // Every tab holds the connection, its database and a checkpoint with something of the record in it.
    const canary = 'Leo-has-a-secret'
    const names = await Promise.all(
      tabs.map((tab) =>
        tab.evaluate(async (line) => {
          const [held] = await smart.connections()
          if (!held) throw new Error('no connection')
          Object.assign(globalThis, { held, checkpoint: globalThis.s4s.checkpointOf(held) })
          await held.read('Patient', held.patient)
          await globalThis.s4s.checkpointOf(held).append(line)
          return held.patient
        }, canary),
      ),
    )
    expect([secrets.length, names.length, new Set(names)]).toEqual([2, 10, new Set(['leo'])])

    /** What a tab can still read of the connection; looked at until it is nothing, or the second is over. */
    const readable = (tab: Page, until: number): Promise<string[]> =>
      tab.evaluate(
        async ([wanted, last]) => {
          const { held, checkpoint } = globalThis as unknown as {
            held: import('../src/index.js').Connection
            checkpoint: import('../src/index.js').Checkpoint
          }
          const asked = <T>(request: IDBRequest<T>): Promise<T> =>
            new Promise((resolve, reject) => {
              request.onsuccess = () => resolve(request.result)
              request.onerror = () => reject(request.error)
            })
          const refused = (work: Promise<unknown>): Promise<string> =>
            work.then(
              () => 'went through',
              (error) => error.code ?? String(error),
            )
          const look = async (): Promise<string[]> => {
            const texts = [
              document.cookie,
              JSON.stringify({ ...localStorage }),
              JSON.stringify({ ...sessionStorage }),
            ]
            for (const name of await caches.keys())
              for (const { url } of await (await caches.open(name)).keys()) texts.push(url)
            for (const { name = '' } of await indexedDB.databases()) {
              const database = await asked(indexedDB.open(name))
              for (const store of database.objectStoreNames) {
                const all = database.transaction(store).objectStore(store)
                texts.push(String(await asked(all.getAllKeys())))
                for (const value of await asked(database.transaction(store).objectStore(store).getAll()))
                  for (const part of [value, ...Object.values(value as object)])
                    texts.push(
                      part instanceof ArrayBuffer || ArrayBuffer.isView(part)
                        ? new TextDecoder('latin1').decode(part as ArrayBuffer)
                        : String(part),
                    )
              }
              database.close()
            }
            // What is sealed is opened, as any script of this origin could.
            const store = globalThis.s4s.browserStore()
            const keys = await store.keys('')
            for (const key of keys) texts.push((await store.get(key)) ?? '')
            const codes = [
              await refused(held.read('Patient', held.patient)),
              await refused(held.refresh()),
              await refused(held.fetch('metadata')),
            ]
            return [
              ...wanted.filter((one) => texts.some((text) => text.includes(one))),
              ...keys.filter((key) => /^(connection|checkpoint|revocation)/.test(key)),
              ...codes.filter((code) => code !== 'TOKEN_ENDED'),
              ...(await checkpoint.read()),
              ...(await smart.connections()).map(({ id }) => id),
            ]
          }
          for (;;) {
            const late = Date.now() > last
            const found = await look()
            if (found.length === 0 || late) return found
          }
        },
        [[...secrets, canary, '"leo"', 'Patient/leo'], until] as const,
      )
    // Before, all of it is found; looking refreshes, so the tokens are new afterwards.
    expect(await readable(page, 0)).toEqual(expect.arrayContaining([...secrets.slice(0, 2), canary]))
    for (const found of await Promise.all(tabs.map((tab) => readable(tab, 0))))
      expect(found).toEqual(expect.arrayContaining([canary, 'went through']))
    expect(secrets.length).toBeGreaterThan(2)

    const { complete, resolvedAt } = await page.evaluate(async () => {
      const { collect, createOutbox, defineStudy, recordConsent, share, withdraw } = globalThis.s4s
      const study = defineStudy({
        ...{ id: 'sleep', title: 'Sleep', purpose: 'Rest', plan: smart.plan, recipient: location.origin },
        consent: { version: '1', text: 'I agree.' },
      })
      const [connection] = await smart.connections()
      if (!connection) throw new Error('no connection')
      const record = await collect(connection, { plan: study.plan })
      const deliver: import('../src/index.js').Delivery = {
        deliver: async ({ digest, manifest: { study: of, participant, parts } }) => ({
          ...{ id: 'r', study: of.id, participant, digest, receivedAt: new Date().toISOString() },
          parts: parts.length,
          resources: parts.reduce((sum, part) => sum + (part.resources ?? 0), 0),
          bytes: parts.reduce((sum, part) => sum + part.size, 0),
        }),
        withdraw: async ({ digest, at }) => ({ id: 'w', digest, at, deleted: true }),
      }
      const consent = recordConsent(study, { participant: 'p-1', signature: 'Leo' })
      const shared = await share([record], { study, consent, deliver })
      const outbox = createOutbox(smart.client.platform)
      const done = await withdraw(shared, { deliver, connections: [connection], records: [record], outbox })
      return { complete: done.complete, resolvedAt: Date.now() }
    })
    expect(complete).toBe(true)
    const left = await Promise.all(tabs.map((tab) => readable(tab, resolvedAt + 1000)))
    expect(left).toEqual(tabs.map(() => []))
    const used = await fetch(`${sandbox.iss}/Patient/leo`, {
      headers: { authorization: `Bearer ${secrets.at(-2)}` },
    })
    expect(used.status).toBe(401)
  }, 60_000)

  test('R-04 R-06 T46 a page that is given a client secret refuses to start', async () => {
    const code = await page.evaluate(() => {
      const auth = { method: 'client_secret_basic' as const, authenticate: async () => {} }
      try {
        globalThis.s4s.createBrowserClient({
          redirectUri: `${location.origin}/`,
          plan: smart.plan,
          providers: smart.providers.map((one) => ({ ...one, auth })),
        })
        return 'started'
      } catch (error) {
        return (error as { code?: string }).code
      }
    })
    expect(code).toBe('CONFIG_INVALID')
  })
})
