import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { shareFromPage } from '../node-express/custody.js'
import { openTown, type Town } from '../node-express/town.js'

let town: Town
beforeAll(async () => {
  town = await openTown(fileURLToPath(new URL('./server.ts', import.meta.url)))
})
afterAll(() => town.stop())

test('a participant finds the hospitals on the page', async () => {
  const page = await (await town.newBrowser().get('/')).text()
  expect(page).toContain('href="/smart/connect/mercy"')
  expect(page).toContain('Lakeside Clinic')
})

test('the script of a page collects, follows it, shares and withdraws, and is never given a token', () =>
  shareFromPage(town))

test('what a page sends that is no JSON is answered by the portal in its own words', async () => {
  const browser = town.newBrowser()
  await browser.get('/smart/connect/mercy')
  const form = await browser.post('/smart/share', { signature: 'Ada' })
  expect([form.status, await form.json()]).toEqual([403, { error: 'origin' }])
})
