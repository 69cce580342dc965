import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Served, serve } from '@s4s/node'
import { type Sandbox, startSandbox } from '@s4s/sandbox'
import type { Browser, Page } from 'playwright-core'
import { build } from 'vite'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { noChromium, openBrowser } from '../browser.js'

if (noChromium !== undefined) console.warn(`Skipped: ${noChromium}`)

const here = fileURLToPath(new URL('.', import.meta.url))

describe.skipIf(noChromium !== undefined)('connecting by the single steps, in a real browser', () => {
  const closing: (() => Promise<unknown>)[] = []
  let mercy: Sandbox
  let app: Served
  let browser: Browser
  let page: Page
  const complaints: string[] = []

  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 's4s-steps-'))
    closing.push(() => rm(folder, { recursive: true, force: true }))
    const built = join(folder, 'dist')
    await build({
      root: here,
      configFile: false,
      logLevel: 'warn',
      build: { outDir: built, emptyOutDir: true, target: 'es2022' },
      resolve: { conditions: ['@s4s/source', 'module', 'browser', 'production', 'import', 'default'] },
    })
    mercy = await startSandbox({ id: 'mercy', name: 'Mercy Hospital' })
    closing.push(() => mercy.stop())
    app = await serve(async (request) => {
      const { pathname } = new URL(request.url)
      if (pathname === '/provider.json') return Response.json(mercy.provider)
      const path = normalize(pathname === '/' ? '/index.html' : pathname)
      const bytes = await readFile(join(built, path)).catch(() => undefined)
      const type = { '.html': 'text/html', '.js': 'text/javascript' }[extname(path)]
      return bytes && type
        ? new Response(new Uint8Array(bytes), { headers: { 'content-type': type } })
        : new Response(null, { status: 404 })
    })
    closing.push(() => app.stop())
    browser = await openBrowser()
    closing.push(() => browser.close())
  }, 120_000)
  afterAll(async () => {
    for (const close of closing.reverse()) await close()
  })
  beforeEach(async () => {
    page = await (await browser.newContext()).newPage()
    complaints.length = 0
    page.on('pageerror', (error) => complaints.push(error.message))
    mercy.clearRequests()
    await page.goto(app.url)
  })
  afterEach(() => page.context().close())

  const tokenRequests = (): number =>
    mercy.requests.filter(({ method, path }) => method === 'POST' && path === '/token').length

  test('discovery, launch, callback, a read, and a refresh when access has ended', {
    timeout: 60_000,
  }, async () => {
    await page.getByRole('button', { name: 'Connect Mercy Hospital' }).click()
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('button', { name: 'Approve', exact: true }).click()
    await page.getByText(/, born \d{4}-\d{2}-\d{2}$/).waitFor()
    expect(page.url()).toBe(`${app.url}/`)
    expect(tokenRequests()).toBe(1)
    expect(await page.evaluate(() => sessionStorage.length)).toBe(0)

    const ended = mercy.faults.add({
      match: ({ method, path }) => method === 'GET' && path.startsWith('/fhir/Patient/'),
      times: 1,
      respond: () => new Response(null, { status: 401, headers: { 'access-control-allow-origin': '*' } }),
    })
    await page.getByRole('button', { name: 'Read again' }).click()
    await page
      .getByText(/, born /)
      .nth(1)
      .waitFor()
    ended()
    expect(tokenRequests()).toBe(2)
    expect(complaints).toEqual([])
  })

  test('a callback that did not begin here goes nowhere', async () => {
    await page.goto(`${app.url}/?code=stolen&state=made-up`)
    await page.getByText('That sign-in did not begin here.').waitFor()
    expect(tokenRequests()).toBe(0)
  })
})
