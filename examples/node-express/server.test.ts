import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { shareFromPage } from './custody.js'
import { openTown, type Town } from './town.js'

let town: Town
beforeAll(async () => {
  town = await openTown(fileURLToPath(new URL('./server.ts', import.meta.url)))
})
afterAll(() => town.stop())

test('a participant connects two hospitals, and shares what both hold in one package', async () => {
  const browser = town.newBrowser()
  expect(await (await browser.get('/')).text()).toContain('href="/smart/connect/mercy"')
  for (const hospital of [town.mercy, town.lakeside]) {
    const away = await browser.get(`/smart/connect/${hospital.provider.id}`)
    expect(away.status).toBe(302)
    const back = await hospital.approve(away.headers.get('location') as string)
    const home = await browser.get(back)
    expect(home.headers.get('location')).toBe(`${town.origin}/`)
  }
  expect(await (await browser.get('/')).text()).toContain('Mercy Hospital: connected')

  const answer = await browser.post('/share', { signature: 'Ada Example' })
  const text = await answer.text()
  expect(answer.status, text).toBe(200)
  const [stored] = await town.inbox.packages('sleep-2026')
  expect(text).toMatch(new RegExp(`^Shared ${stored?.resources} resources. Receipt receipt-`))
  expect(stored?.resources).toBeGreaterThan(10)
  expect(await town.inbox.verify(stored?.digest as string)).toEqual({ ok: true, faults: [] })
  expect(new Set(stored?.completeness.map(({ provider }) => provider))).toEqual(
    new Set(['Mercy Hospital', 'Lakeside Clinic']),
  )
})

test('a participant who says no at the hospital reads so, and nothing is connected', async () => {
  const browser = town.newBrowser()
  const away = await browser.get('/smart/connect/mercy')
  const back = await browser.get(await town.mercy.deny(away.headers.get('location') as string))
  expect(back.headers.get('location')).toBe(`${town.origin}/?s4s=AUTHORIZATION_DENIED`)
  const page = await (await browser.get(back.headers.get('location') as string)).text()
  expect(page).toContain('not connected (AUTHORIZATION_DENIED)')
  expect(page).not.toContain(': connected')
})

test('C-02 a callback that is opened in another browser connects nobody, and its code is not sent', async () => {
  const [attacker, victim] = [town.newBrowser(), town.newBrowser()]
  await victim.get('/smart/connect/lakeside')
  const away = await attacker.get('/smart/connect/mercy')
  const callback = await town.mercy.approve(away.headers.get('location') as string)
  town.mercy.clearRequests()
  const answer = await victim.get(callback)
  expect(answer.headers.get('location')).toContain('s4s=AUTHORIZATION_STATE_UNKNOWN')
  expect(town.mercy.requests).toEqual([])
  expect(await (await victim.get('/')).text()).not.toContain(': connected')
})

test('a participant who has connected nothing is told that there is nothing to share', async () => {
  const browser = town.newBrowser()
  await browser.get('/smart/connect/mercy')
  const answer = await browser.post('/share', { signature: 'Ada Example' })
  expect(answer.status).toBe(502)
  expect(await answer.text()).toContain('SHARE_NOTHING')
  expect((await town.newBrowser().post('/share', { signature: 'Nobody' })).headers.get('location')).toBe('/')
})

test('the script of a page collects, follows it, shares and withdraws, and is never given a token', () =>
  shareFromPage(town))
