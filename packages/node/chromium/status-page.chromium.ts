import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { noChromium, openBrowser } from '../../../examples/browser.js'
import { type Desk, desks, teamKey } from '../src/inbox/test-support/desk.js'
import { makePackage } from '../src/inbox/test-support/make-package.js'

if (noChromium !== undefined) console.warn(`Skipped: ${noChromium}`)

describe.skipIf(noChromium !== undefined)('the status page, in a real browser', { timeout: 60_000 }, () => {
  const open = desks()
  let browser: Browser
  let page: Page
  let complaints: string[]
  let desk: Desk
  beforeAll(async () => {
    browser = await openBrowser()
  })
  afterAll(() => browser.close())
  beforeEach(async () => {
    desk = await open()
    for (const provider of ['Mercy', 'Lakeside Clinic with a long name, of the county'])
      for (const participant of ['p-1', 'p-2', '<b>p-3</b>'])
        await desk.deliver(
          makePackage({ provider, participant, consent: { id: `consent-${provider}-${participant}` } }),
        )
    await desk.withdraw(makePackage({ provider: 'Mercy', consent: { id: 'consent-Mercy-p-1' } }))
    await desk.deliver(makePackage({ consent: { id: 'narrow', dataClasses: ['Patient'] } }))
    complaints = []
    page = await browser.newPage()
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text())
    })
    page.on('pageerror', (error) => complaints.push(error.message))
  })
  afterEach(() => page.close())

  const signIn = async (key: string): Promise<void> => {
    await page.goto(desk.url)
    await page.getByLabel('Team key').fill(key)
    await page.getByRole('button', { name: 'Show packages' }).click()
  }

  test('F19 a study team signs in with its key and reads the pictures by their names, and axe finds no fault, light or dark', async () => {
    await signIn('not-the-team-key')
    await page.getByRole('alert').waitFor()
    // The browser itself remarks on the status of the answer.
    complaints = []
    await signIn(teamKey)
    await page.getByRole('heading', { name: 'Inbox of sleep' }).waitFor()
    await page.getByRole('img', { name: 'Problems: 5 received' }).waitFor()
    await page.getByRole('img', { name: 'Mercy: 4 received' }).waitFor()
    await page.getByRole('img', { name: '6 packages in one week, at most 6 in one' }).waitFor()
    expect(await page.getByRole('row', { name: /p-1 .* deleted/ }).count()).toBe(2)
    await page.getByText('the consent does not cover a data class').waitFor()
    await page.getByText('<b>p-3</b>').first().waitFor()
    const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      await page.evaluate(axe)
      const found = await page.evaluate(async () => {
        const { violations } = await (globalThis as unknown as Axe).axe.run(document)
        return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)
      })
      expect(found, colorScheme).toEqual([])
    }
    expect(complaints).toEqual([])
  })

  test('F19 on a screen of 320 pixels the page itself does not scroll sideways, only its wide tables do', async () => {
    await page.setViewportSize({ width: 320, height: 640 })
    await signIn(teamKey)
    await page.getByRole('heading', { name: 'Packages', exact: true }).waitFor()
    const wide = await page.evaluate(() => document.documentElement.scrollWidth)
    expect(wide).toBeLessThanOrEqual(320)
  })
})

interface Axe {
  readonly axe: { run(root: Document): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> }
}
