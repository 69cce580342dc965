import { expect } from 'vitest'
import type { Town } from './town.js'

/** What the script of a page does, from connecting to withdrawing, at a portal of any framework. */
export async function shareFromPage(town: Town): Promise<void> {
  const browser = town.newBrowser()
  const away = await browser.get('/smart/connect/mercy')
  await browser.get(await town.mercy.approve(away.headers.get('location') as string))

  const started = await browser.send('POST', '/smart/collect')
  expect(started.status).toBe(202)
  const events = await browser.get('/smart/events')
  expect(events.headers.get('content-type')).toBe('text/event-stream')
  const told = await events.text()
  expect(told).toMatch(/event: progress[\s\S]*event: collected[\s\S]*event: done/)

  const records = await (await browser.get('/smart/records')).text()
  expect(JSON.parse(records).records[0].classes.length).toBe(4)
  const shared = await browser.send('POST', '/smart/share', { signature: 'Ada', dataClasses: ['Laboratory'] })
  const receipt = await shared.text()
  expect(shared.status, receipt).toBe(201)
  const { digest } = JSON.parse(receipt)
  expect(await town.inbox.verify(digest)).toEqual({ ok: true, faults: [] })

  const stranger = town.newBrowser()
  await stranger.get('/smart/connect/mercy')
  expect((await stranger.send('POST', '/smart/collect', { connections: ['x'] })).status).toBe(404)
  expect(await (await stranger.get('/smart/records')).json()).toEqual({ records: [], shared: [] })

  const withdrawn = await (await browser.send('POST', '/smart/withdraw')).json()
  expect(withdrawn).toMatchObject({ complete: true, study: { deleted: true } })
  for (const text of [told, records, receipt]) expect(text).not.toMatch(/token|withdrawalKey|resourceType/i)
}
