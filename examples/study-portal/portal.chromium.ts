import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createInbox } from '@s4s/node/inbox'
import { unzipSync } from 'fflate'
import type { Browser, BrowserContext, Page, Request } from 'playwright-core'
import { build } from 'vite'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Child, startChild } from '../../packages/node/src/test-support/child.js'
import { noChromium, openBrowser } from '../browser.js'
import { type RunningPortal, startPortal } from './serve.js'

if (noChromium !== undefined) console.warn(`Skipped: ${noChromium}`)

const here = fileURLToPath(new URL('.', import.meta.url))

describe.skipIf(noChromium !== undefined)('the study portal, in a real browser', { timeout: 90_000 }, () => {
  const closing: (() => Promise<unknown>)[] = []
  let folder: string
  let dist: string
  let portal: RunningPortal
  let browser: Browser
  let context: BrowserContext
  let page: Page
  let sent: Request[]
  let complaints: string[]

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 's4s-portal-'))
    closing.push(() => rm(folder, { recursive: true, force: true }))
    dist = join(folder, 'dist')
    await build({
      root: here,
      logLevel: 'warn',
      build: { outDir: dist, emptyOutDir: true },
      resolve: { conditions: ['@s4s/source', 'module', 'browser', 'production', 'import', 'default'] },
    })
    browser = await openBrowser()
    closing.push(() => browser.close())
  }, 120_000)
  afterAll(async () => {
    for (const close of closing.reverse()) await close()
  })

  // Its own hospitals and inbox for every test: none sees what another did.
  beforeEach(async ({ task }) => {
    portal = await startPortal({ dist, folder: join(folder, task.id) })
    context = await browser.newContext()
    page = await context.newPage()
    page.setDefaultTimeout(20_000)
    sent = []
    complaints = []
    page.on('request', (request) => sent.push(request))
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    await page.goto(portal.url)
  })
  afterEach(async () => {
    await context?.close()
    await portal?.stop()
  })

  const press = (name: string | RegExp): Promise<void> =>
    page.getByRole('button', typeof name === 'string' ? { name, exact: true } : { name }).click()
  const at = (name: string | RegExp): Promise<void> => page.getByRole('heading', { level: 1, name }).waitFor()

  const signIn = async (hospital: string): Promise<void> => {
    await press(`Connect ${hospital}`)
    await page.waitForURL(/\/interaction\//)
    await press('Sign in')
    await page.getByRole('button', { name: 'Approve', exact: true }).waitFor()
  }
  const connected = (hospital: string): Promise<void> =>
    page.getByRole('listitem').filter({ hasText: hospital }).getByText('Connected', { exact: true }).waitFor()
  const connect = async (hospital: string, person: string): Promise<void> => {
    await signIn(hospital)
    await page.getByRole('radio', { name: person }).check()
    await press('Approve')
    await connected(hospital)
  }
  const connectBoth = async (): Promise<void> => {
    await connect('Mercy Hospital', 'Camila Rivera born')
    await connect('Lakeside Clinic', 'Sam')
  }
  const review = async (): Promise<void> => {
    await press('Continue')
    await press('See what was found')
    await at('This is what was found')
  }
  const agree = async (): Promise<void> => {
    await page.getByLabel('Your full name').fill('Camila Rivera')
    await press('I agree: share now')
  }
  const share = async (): Promise<void> => {
    await press('Continue')
    await at('Do you agree?')
    await agree()
    await at(/^Thank you/)
  }
  const withdraw = async (): Promise<void> => {
    await press('Withdraw')
    await press('Withdraw …')
    await press('Yes, withdraw')
    await at(/^You have withdrawn/)
  }
  const classItem = (name: string) =>
    page.getByRole('listitem').filter({ has: page.getByRole('checkbox', { name }) })
  /** What the study's team sees. */
  const seen = async (): Promise<{ status: string; participant: string; resources: number }[]> => {
    const { inboxUrl, study } = portal
    const answer = await fetch(`${inboxUrl}/studies/${study.id}/packages`, {
      headers: { authorization: `Bearer ${study.teamKey}` },
    })
    const body = await answer.json()
    return Array.isArray(body) ? body : body.packages
  }
  const looksRight = async (name: string): Promise<void> => {
    // With PORTAL_SHOTS=folder, for a person to look at.
    const shots = process.env.PORTAL_SHOTS
    if (shots) await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true })
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    expect(wider, `${name} scrolls sideways`).toBeLessThanOrEqual(0)
  }

  test('two hospitals, a no and a yes, reloads, a share, and a withdrawal', async () => {
    await signIn('Mercy Hospital')
    await press('Do not approve')
    await page.getByRole('heading', { name: 'You did not connect' }).waitFor()
    expect(await page.getByRole('alert').textContent()).toContain('You said no at Mercy Hospital')
    await page.reload()
    await at('Where have you been treated?')
    expect(await page.getByRole('heading', { name: 'You did not connect' }).count()).toBe(0)

    await connectBoth()
    await page.reload()
    await connected('Mercy Hospital')
    await connected('Lakeside Clinic')

    await press('Continue')
    await at('Collecting your record')
    await page.reload()
    await press('See what was found')
    await page.getByRole('checkbox', { name: 'Allergies' }).uncheck()
    await page.getByText('9 kinds of 10 ticked').waitFor()
    await page.reload()
    await at('This is what was found')
    expect(await page.getByRole('checkbox', { name: 'Allergies' }).isChecked()).toBe(false)
    await classItem('Problems').getByText('Mercy Hospital').click()
    await classItem('Problems').locator('.items li').first().waitFor()

    await press('Continue')
    await at('Do you agree?')
    await page.reload()
    await at('Do you agree?')
    expect(await page.getByText('You leave out: Allergies.').count()).toBe(1)
    await press('I agree: share now')
    await page.getByText('Please type your full name to sign.').waitFor()
    expect(await seen()).toEqual([])
    await agree()
    await at(/^Thank you/)

    const [stored] = await seen()
    expect(stored).toMatchObject({ status: 'stored' })
    await page.reload()
    await at(/^Thank you/)
    expect(await page.getByRole('main').textContent()).toContain(`${stored?.resources} items`)
    const saving = page.waitForEvent('download')
    await press('Save a copy')
    const saved = await readFile(await (await saving).path(), 'utf8')
    expect(JSON.parse(saved)).toMatchObject([
      { consent: { signature: 'Camila Rivera' }, participant: stored?.participant },
    ])
    expect(saved).not.toContain('withdrawalKey')

    await withdraw()
    await page.getByText('Everything was done.').waitFor()
    expect(await page.locator('.outcomes > .done').count()).toBe(4)
    expect(await seen()).toMatchObject([{ status: 'withdrawn', deleted: true }])
    await page.reload()
    await at(/^You have withdrawn/)
    await press('Forget everything and start over')
    await at('Where have you been treated?')
    expect(await page.getByRole('button', { name: 'Connect Mercy Hospital' }).count()).toBe(1)
    expect(complaints).toEqual([])
  })

  test('T23 T35 a token goes to its own hospital only, a code to none but the token endpoint, nothing elsewhere', async () => {
    await connectBoth()
    await review()
    await share()
    await withdraw()
    const [mercy, lakeside] = portal.sandboxes
    const known = [portal.url, mercy.url, lakeside.url, new URL(portal.inboxUrl).origin]
    const requests = await Promise.all(
      sent.map(async (request) => ({
        url: new URL(request.url()),
        headers: await request.allHeaders().catch((): Record<string, string> => ({})),
        body: request.postData() ?? '',
      })),
    )
    for (const { url } of requests) if (url.protocol !== 'blob:') expect(known).toContain(url.origin)

    for (const hospital of portal.sandboxes) {
      const bearers = new Set(
        requests
          .filter(({ url }) => url.href.startsWith(`${hospital.iss}/`))
          .map(({ headers }) => headers.authorization?.replace('Bearer ', ''))
          .filter((bearer) => bearer !== undefined),
      )
      expect(bearers.size).toBe(1)
      const [token = ''] = bearers
      for (const { url, headers, body } of requests) {
        const holds =
          url.href.includes(token) || body.includes(token) || JSON.stringify(headers).includes(token)
        if (holds) expect(url.origin).toBe(hospital.url)
      }
    }
    const codes = requests
      .filter(({ url }) => url.origin === portal.url)
      .map(({ url }) => url.searchParams.get('code'))
      .filter((code) => code !== null)
    expect(codes).toHaveLength(2)
    for (const code of codes) {
      const holders = requests.filter(
        ({ headers, body }) => body.includes(code) || headers.referer?.includes(code),
      )
      expect(holders.map(({ url }) => url.pathname)).toEqual(['/token'])
    }
    expect(complaints).toEqual([])
  })

  test('F75 a reload while the code is on its way asks to connect again, and then it works', async () => {
    let lost = 0
    const [mercy] = portal.sandboxes
    await page.route(`${mercy.url}/token`, async (route) => {
      if (lost++ > 0) return route.continue()
      await route.fetch()
      void page.reload()
    })
    await signIn('Mercy Hospital')
    await press('Approve')
    await page.getByRole('heading', { name: 'The connection was interrupted' }).waitFor()
    await press('Try Mercy Hospital again')
    await page.waitForURL(/\/interaction\//)
    if (await page.getByRole('button', { name: 'Sign in' }).isVisible()) await press('Sign in')
    await press('Approve')
    await connected('Mercy Hospital')
    expect(mercy.requests.filter(({ path }) => path === '/token').length).toBe(2)
  })

  test('what a hospital kept back is told in plain words, and the participant can go on', async () => {
    await signIn('Lakeside Clinic')
    await page
      .getByRole('checkbox', { name: /lab results/i })
      .first()
      .uncheck()
    await press('Approve')
    await connected('Lakeside Clinic')
    await review()
    expect(await classItem('Laboratory').textContent()).toContain(
      'You chose not to let us read this at Lakeside Clinic.',
    )
    await share()
    expect(await seen()).toMatchObject([{ status: 'stored' }])
  })

  test('markup that a hospital sends is shown as text', async () => {
    const [mercy] = portal.sandboxes
    const hostile = '<img src=x onerror="document.title=1"><script>alert(1)</script>'
    await page.route(`${mercy.iss}/AllergyIntolerance?**`, async (route) => {
      const response = await route.fetch()
      const bundle = await response.json()
      for (const { resource } of bundle.entry) resource.code = { text: hostile }
      await route.fulfill({ response, json: bundle })
    })
    await connect('Mercy Hospital', 'Camila Rivera born')
    await review()
    await classItem('Allergies').getByText('Mercy Hospital').click()
    await page.getByText(hostile).first().waitFor()
    expect(await page.locator('main img, main script').count()).toBe(0)
  })

  test('a study whose answer is lost gets the package once, however often the participant tries', async () => {
    await connect('Mercy Hospital', 'Camila Rivera born')
    await review()
    await press('Continue')
    await page.route('**/complete', async (route) => {
      await route.fetch()
      await route.abort()
    })
    await agree()
    await page.getByRole('heading', { name: 'The study did not answer' }).waitFor()
    await page.unroute('**/complete')
    await press('I agree: share now')
    await at(/^Thank you/)
    expect(await seen()).toMatchObject([{ status: 'stored' }])
  })

  test.each([
    ['before the study had it all', '**/uploads/*'],
    ['when the study had it all', '**/complete'],
  ])('sharing that a reload cuts off, %s, is taken back and told', async (_, cut) => {
    await connect('Mercy Hospital', 'Camila Rivera born')
    await review()
    await press('Continue')
    let reloaded = false
    await page.route(cut, async (route) => {
      if (reloaded) return route.continue()
      reloaded = true
      if (cut.endsWith('complete')) await route.fetch()
      void page.reload()
    })
    await agree()
    await page.getByRole('heading', { name: 'Sharing was cut off' }).waitFor()
    expect((await seen()).filter(({ status }) => status === 'stored')).toEqual([])
    await agree()
    await at(/^Thank you/)
    expect((await seen()).filter(({ status }) => status === 'stored')).toHaveLength(1)
  })

  test('F13 what the participant keeps to themselves stays, item by item, by date and by what it is about', async () => {
    await connect('Mercy Hospital', 'Camila Rivera born')
    await review()
    await classItem('Problems').getByText('Mercy Hospital').click()
    const first = classItem('Problems').locator('.items li').first()
    const title = await first.locator('strong').textContent()
    await first.getByRole('button', { name: /Leave out/ }).click()
    await first.getByText('stays with you').waitFor()
    await page.getByLabel('Sexual and reproductive health').check()
    await page.getByText('2 items of them left out').waitFor()
    await page.reload()
    await at('This is what was found')
    expect(await page.getByLabel('Sexual and reproductive health').isChecked()).toBe(true)
    await page.getByLabel('Share', { exact: true }).selectOption('1')
    await page.getByText(/\d\d items of them left out/).waitFor()
    await looksRight('review-choices')
    await press('Continue')
    await page.getByText('about what you chose to keep to yourself').waitFor()
    await agree()
    await at(/^Thank you/)
    await looksRight('receipt-choices')
    expect(await page.getByRole('main').textContent()).toContain('Yes, and the signature was checked')
    const downloaded = async (name: string): Promise<Buffer> => {
      const saving = page.waitForEvent('download')
      await press(name)
      return readFile(await (await saving).path())
    }
    const paper = (await downloaded('Save the consent')).toString('utf8')
    expect(paper).toContain('Sexual and reproductive health')
    const zip = await downloaded('Save what you shared')
    const files = unzipSync(new Uint8Array(zip))
    expect(Object.keys(files)).toContain('manifest.json')
    for (const bytes of Object.values(files)) expect(new TextDecoder().decode(bytes)).not.toMatch(/pregnan/i)

    const { inbox, study } = portal
    let text = ''
    for await (const pack of inbox.stored(study.id))
      for (const { path } of pack.manifest.parts)
        for await (const chunk of pack.read(path)) text += Buffer.from(chunk).toString('utf8')
    expect(text).toContain('"resourceType":"Observation"')
    expect(text).not.toMatch(/pregnan/i)
    expect(
      text
        .split('\n')
        .filter((line) => line.startsWith('{"resourceType":"Condition"') && line.includes(String(title))),
    ).toEqual([])
    const days = [...text.matchAll(/"effectiveDateTime":"(\d{4}-\d{2}-\d{2})/g)].map(([, day]) => day)
    const aYearAgo = new Date()
    aYearAgo.setUTCFullYear(aYearAgo.getUTCFullYear() - 1)
    expect(days.sort()[0]?.localeCompare(aYearAgo.toISOString().slice(0, 10))).toBeGreaterThanOrEqual(0)
  })

  test('F14 F89 a sealed upload goes on when the inbox is killed in the middle and started again', async () => {
    const { keys, key, teamKey } = portal.study
    const [port, inboxPort] = [await freePort(), await freePort()]
    const inboxFolder = join(folder, `inbox-${port}`)
    const start = async (): Promise<Child> => {
      const given = {
        folder: inboxFolder,
        port: inboxPort,
        origin: `http://127.0.0.1:${port}`,
        keys: keys.inbox,
        key,
        teamKey,
      }
      const child = startChild(join(here, 'inbox-alone.ts'), JSON.stringify(given))
      await child.line()
      return child
    }
    let inbox = await start()
    const keyFolder = join(folder, `keys-${port}`)
    await mkdir(keyFolder)
    await writeFile(join(keyFolder, 'study-keys.json'), JSON.stringify(keys))
    const inboxUrl = `http://127.0.0.1:${inboxPort}`
    const other = await startPortal({ dist, port, folder: keyFolder, inboxUrl })
    try {
      await page.goto(other.url)
      await connect('Mercy Hospital', 'Camila Rivera born')
      await review()
      await press('Continue')
      let pieces = 0
      let killed: Promise<void> | undefined
      await page.route('**/uploads/**', async (route) => {
        if (route.request().method() === 'PATCH' && ++pieces === 3) {
          killed = inbox.kill()
          await killed
        }
        await route.continue()
      })
      await agree()
      await expect.poll(() => killed !== undefined, { timeout: 20_000 }).toBe(true)
      await killed
      inbox = await start()
      await at(/^Thank you/)
      const answer = await fetch(`${inboxUrl}/studies/sleep-2026/packages`, {
        headers: { authorization: `Bearer ${teamKey}` },
      })
      const listed = await answer.json()
      expect(Array.isArray(listed) ? listed : listed.packages).toMatchObject([{ status: 'stored' }])
      expect(await page.getByRole('main').textContent()).toContain('Yes, and the signature was checked')
      await inbox.kill()
      // Nothing that anyone can read without the study's key lies there, nor ever lay in a request.
      const open = createInbox({ folder: inboxFolder, studies: [{ id: 'sleep-2026', key, teamKey }] })
      const counts: number[] = []
      for await (const pack of open.stored('sleep-2026', keys.inbox.openKeys))
        counts.push(pack.manifest.parts.reduce((sum, part) => sum + (part.resources ?? 0), 0))
      expect(counts).toEqual([expect.any(Number)])
      for (const request of sent.filter((one) => one.url().startsWith(inboxUrl)))
        expect(request.postDataBuffer()?.toString('latin1') ?? '').not.toMatch(/Rivera|resourceType/)
    } finally {
      await inbox.kill()
      await other.stop()
    }
  })

  test('a withdrawal that cannot reach everyone says so, and goes on later', async () => {
    await connectBoth()
    await review()
    await share()
    const [, lakeside] = portal.sandboxes
    await page.route(`${lakeside.url}/token/revocation`, (route) => route.abort())
    await page.route('**/withdrawals', (route) => route.abort())
    await withdraw()
    const main = page.getByRole('main')
    expect(await main.textContent()).toContain('Mercy Hospital ended our access')
    expect(await main.textContent()).toContain(
      'Lakeside Clinic did not answer when we asked it to end our access',
    )
    expect(await main.textContent()).toContain('It may still hold what you shared')
    expect(await seen()).toMatchObject([{ status: 'stored' }])
    await page.unroute('**/withdrawals')
    await page.reload()
    await press('Tell the study again')
    await page.getByText('deleted what you shared').waitFor()
    expect(await main.textContent()).toContain('Lakeside Clinic did not answer')
    expect(await seen()).toMatchObject([{ status: 'withdrawn' }])
  })

  test('F71 a browser that keeps nothing says so, and still serves for one place in one go', async () => {
    await page.addInitScript(() => Object.defineProperty(globalThis, 'indexedDB', { value: undefined }))
    await page.goto(portal.url)
    await page.getByText('This browser does not let us keep anything').waitFor()
    await connect('Mercy Hospital', 'Camila Rivera born')
    await review()
    await share()
    expect(await seen()).toMatchObject([{ status: 'stored' }])
    await withdraw()
    expect(await seen()).toMatchObject([{ status: 'withdrawn' }])
  })

  test('F85 a second tab takes part in the same visit', async () => {
    await connect('Mercy Hospital', 'Camila Rivera born')
    const other = await context.newPage()
    await other.goto(`${portal.url}/#review`)
    await other.getByRole('heading', { name: 'This is what was found' }).waitFor()
    await other.getByRole('checkbox', { name: 'Allergies' }).uncheck()
    await other.getByText('9 kinds').waitFor()
    await review()
    await share()
    // The tab that has not seen the share changes something; the share stays.
    await other.getByRole('checkbox', { name: 'Problems' }).uncheck()
    await other.getByText('8 kinds').waitFor()
    await page.reload()
    await at(/^Thank you/)
  })

  test('the whole road by keyboard alone, on a screen of 320 pixels', async () => {
    await page.setViewportSize({ width: 320, height: 640 })
    /** Moves the focus on with Tab until it is on the control of that name, and presses a key there. */
    const reach = async (name: RegExp, key = 'Enter'): Promise<void> => {
      for (let steps = 0; steps < 80; steps++) {
        await page.keyboard.press('Tab')
        const focused = page.locator(':focus')
        if ((await focused.count()) === 0) continue
        const label = await focused.evaluate((element) => {
          const labels = 'labels' in element ? (element.labels as NodeListOf<HTMLElement> | null) : null
          return element.getAttribute('aria-label') ?? labels?.[0]?.textContent ?? element.textContent ?? ''
        })
        if (!name.test(label)) continue
        const outline = await focused.evaluate((element) => getComputedStyle(element).outlineStyle)
        expect(outline, `${label} shows its focus`).not.toBe('none')
        await page.keyboard.press(key)
        return
      }
      throw new Error(`Tab does not lead to ${name}`)
    }
    const arrived = async (title: RegExp, name: string): Promise<void> => {
      await at(title)
      await expect.poll(() => page.locator(':focus').textContent()).toMatch(title)
      expect(await page.title()).toMatch(title)
      await looksRight(`320-${name}`)
    }

    await arrived(/Where have you been treated/, 'connect')
    await reach(/Connect Mercy/)
    await page.waitForURL(/\/interaction\//)
    await reach(/Sign in/)
    await page.getByRole('radio').first().waitFor()
    await reach(/^Approve$/)
    await connected('Mercy Hospital')
    await arrived(/Where have you been treated/, 'connected')
    await reach(/^Continue$/)
    await at('Collecting your record')
    await page.getByRole('button', { name: 'See what was found' }).waitFor()
    await looksRight('320-collected')
    await reach(/See what was found/)
    await arrived(/This is what was found/, 'review')
    await reach(/Allergies/, 'Space')
    await page.getByText('9 kinds of 10 ticked').waitFor()
    await reach(/^Continue$/)
    await arrived(/Do you agree/, 'agree')
    await reach(/Your full name/, 'C')
    await page.keyboard.type('amila')
    await page.keyboard.press('Enter')
    await arrived(/Thank you/, 'receipt')
    await reach(/^Withdraw$/)
    await arrived(/You can change your mind/, 'withdraw')
    await reach(/^Withdraw …$/)
    await page.keyboard.press('Escape')
    expect(await page.getByRole('dialog').isVisible()).toBe(false)
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    await looksRight('320-sure')
    await reach(/Yes, withdraw/)
    await arrived(/You have withdrawn/, 'withdrawn')
    expect(complaints).toEqual([])
  })

  test('no step has a fault that axe finds: names, roles, contrast, headings, landmarks', async () => {
    const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
    const check = async (name: string): Promise<void> => {
      await looksRight(name)
      await page.evaluate(axe)
      const found = await page.evaluate(async () => {
        const { violations } = await (globalThis as unknown as Axe).axe.run(document)
        return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)
      })
      expect(found, name).toEqual([])
    }
    await at('Where have you been treated?')
    await check('connect')
    await signIn('Mercy Hospital')
    await press('Do not approve')
    await page.getByRole('heading', { name: 'You did not connect' }).waitFor()
    await check('denied')
    await connect('Mercy Hospital', 'Eleanor')
    await signIn('Lakeside Clinic')
    await page
      .getByRole('checkbox', { name: /lab results/i })
      .first()
      .uncheck()
    await press('Approve')
    await connected('Lakeside Clinic')
    await check('connected')
    await press('Continue')
    await page.getByRole('button', { name: 'See what was found' }).waitFor()
    await check('collected')
    await press('See what was found')
    await classItem('Problems').getByText('Mercy Hospital').click()
    await classItem('Problems').locator('.items li').first().waitFor()
    await check('review')
    await press('Continue')
    await press('I agree: share now')
    await page.getByText('Please type your full name').waitFor()
    await check('agree')
    await agree()
    await at(/^Thank you/)
    await check('receipt')
    await press('Withdraw')
    await press('Withdraw …')
    await page.getByRole('dialog').waitFor()
    await check('sure')
    await page.route('**/withdrawals', (route) => route.abort())
    await press('Yes, withdraw')
    await at(/^You have withdrawn/)
    await check('withdrawn-in-part')
  })
})

interface Axe {
  readonly axe: { run(root: Document): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
