import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { shareFromPage } from '../node-express/custody.js'
import { openTown, type Town } from '../node-express/town.js'

let town: Town
beforeAll(async () => {
  town = await openTown(fileURLToPath(new URL('./server.ts', import.meta.url)))
})
afterAll(() => town.stop())

test('a participant connects a hospital and shares what it holds', async () => {
  const browser = town.newBrowser()
  expect(await (await browser.get('/')).text()).toContain('href="/smart/connect/mercy"')
  const away = await browser.get('/smart/connect/mercy')
  const back = await browser.get(await town.mercy.approve(away.headers.get('location') as string))
  expect(back.headers.get('location')).toBe(`${town.origin}/`)
  expect(await (await browser.get('/')).text()).toContain('Mercy Hospital: connected')

  const answer = await browser.post('/share', { signature: 'Ada Example' })
  const text = await answer.text()
  const [stored] = await town.inbox.packages('sleep-2026')
  expect(text).toMatch(new RegExp(`^Shared ${stored?.resources} resources. Receipt receipt-`))
  expect(stored?.resources).toBeGreaterThan(5)
  expect(await town.inbox.verify(stored?.digest as string)).toEqual({ ok: true, faults: [] })
})

test('a participant who says no at the hospital reads so, as text', async () => {
  const browser = town.newBrowser()
  const away = await browser.get('/smart/connect/lakeside')
  const back = await browser.get(await town.lakeside.deny(away.headers.get('location') as string))
  expect(back.headers.get('location')).toBe(`${town.origin}/?s4s=AUTHORIZATION_DENIED`)
  expect(await (await browser.get('/?s4s=%3Cscript%3E')).text()).toContain('(&lt;script&gt;)')
})

test('a participant who has connected nothing is told that there is nothing to share', async () => {
  const browser = town.newBrowser()
  expect((await browser.post('/share', { signature: 'Nobody' })).headers.get('location')).toBe('/')
  await browser.get('/smart/connect/mercy')
  const answer = await browser.post('/share', { signature: 'Ada Example' })
  expect(answer.status).toBe(502)
  expect(await answer.text()).toContain('SHARE_NOTHING')
})

test('the script of a page collects, follows it, shares and withdraws, and is never given a token', () =>
  shareFromPage(town))
