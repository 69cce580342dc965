import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { answerWith } from '../node-http.js'
import { type Served, serve } from '../serve.js'
import { createEventLog, type EventLog } from './events.js'
import { eventsIn } from './test-support/town.js'

const servers: Served[] = []
afterEach(() => Promise.all(servers.splice(0).map((server) => server.stop())))

/** A log behind a socket, as the handler puts it. */
async function serveLog(log: EventLog): Promise<string> {
  const server = await serve(async (request) => {
    const stream = log.open(request.headers.get('last-event-id'), request.signal)
    return stream
      ? new Response(stream, { headers: { 'content-type': 'text/event-stream' } })
      : new Response(null, { status: 204 })
  })
  servers.push(server)
  return server.url
}

const read = async (url: string, after?: string): Promise<string> =>
  (await fetch(url, { headers: after === undefined ? {} : { 'last-event-id': after } })).text()

describe('what a page hears of a collection', () => {
  test('one that was away hears what it missed and nothing twice; one whose id is of another log hears everything', async () => {
    let open = true
    const log = createEventLog({ isOpen: () => open })
    const foreign = createEventLog({ isOpen: () => true })
    foreign.add('progress', { foreign: true })
    for (const n of [1, 2, 3]) log.add('step', { n })
    open = false
    const url = await serveLog(log)
    const all = eventsIn(await read(url))
    expect(all.map(({ data }) => data.n)).toEqual([1, 2, 3])
    const rest = eventsIn(await read(url, all[1]?.id))
    expect(rest.map(({ data }) => data.n)).toEqual([3])
    const theirs = eventsIn(await new Response(foreign.open(null, AbortSignal.abort())).text())[0]?.id
    for (const id of [theirs, 'x', '', all[0]?.id.replace(/\.1$/, '.x'), `${all[0]?.id.split('.')[0]}.-1`])
      expect(eventsIn(await read(url, id))).toHaveLength(3)
    expect((await fetch(url, { headers: { 'last-event-id': all[2]?.id ?? '' } })).status).toBe(204)
  })

  test('it ends when all is done, for every page at once', async () => {
    let open = true
    const log = createEventLog({ isOpen: () => open })
    const url = await serveLog(log)
    const pages = [1, 2, 3].map(() => read(url))
    await expect.poll(() => log.readers).toBe(3)
    log.add('collected', { n: 1 })
    open = false
    log.finish()
    for (const text of await Promise.all(pages)) expect(eventsIn(text)).toMatchObject([{ data: { n: 1 } }])
    expect(log.readers).toBe(0)
  })

  test('a log keeps the latest of what changes, and no more than so many events', async () => {
    const log = createEventLog({ isOpen: () => false })
    for (let n = 0; n < 1000; n++) log.add('progress', { n }, 'progress a')
    log.add('collected', { n: 1 })
    expect(eventsIn(await new Response(log.open(null)).text()).map(({ type }) => type)).toEqual([
      'progress',
      'collected',
    ])
    for (let n = 0; n < 1000; n++) log.add('other', { n })
    expect(eventsIn(await new Response(log.open(null)).text())).toHaveLength(256)
  })

  test('text of a server cannot end an event or begin another', async () => {
    const log = createEventLog({ isOpen: () => false })
    log.add('progress', { dataClass: 'x\n\nevent: done\ndata: {}\r\n\r\n' })
    const events = eventsIn(await new Response(log.open(null)).text())
    expect(events).toMatchObject([
      { type: 'progress', data: { dataClass: 'x\n\nevent: done\ndata: {}\r\n\r\n' } },
    ])
  })
})

describe('what a page costs', () => {
  test('one that is gone is forgotten at once', async () => {
    const log = createEventLog({ isOpen: () => true })
    const url = await serveLog(log)
    const gone = new AbortController()
    const page = fetch(url, { signal: gone.signal })
    await page
    expect(log.readers).toBe(1)
    gone.abort()
    await expect.poll(() => log.readers).toBe(0)
    log.add('step', {})
  })

  test('one that does not read is sent away; others hear everything, and little is held for it', async () => {
    let open = true
    const log = createEventLog({ isOpen: () => open })
    const url = await serveLog(log)
    const lazy = await new Promise<IncomingMessage>((resolve) => httpRequest(url, resolve).end())
    lazy.pause()
    const eager = read(url)
    await expect.poll(() => log.readers).toBe(2)
    const pad = 'x'.repeat(16_000)
    let sent = 0
    // Sockets hold some megabytes of their own.
    while (log.readers === 2 && sent < 3000) {
      log.add('step', { pad, n: sent++ }, 'step')
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(log.readers).toBe(1)
    log.add('step', { last: true })
    open = false
    log.finish()
    const heard = eventsIn(await eager)
    expect(heard.at(-1)?.data.last).toBe(true)
    expect(heard.length).toBe(sent + 1)
    // It is cut off, not told that it was all.
    lazy.resume()
    await once(lazy, 'error')
  })

  test('the seventh page of a participant takes the place of the first', async () => {
    const log = createEventLog({ isOpen: () => true })
    const url = await serveLog(log)
    const first = read(url)
    await expect.poll(() => log.readers).toBe(1)
    for (let n = 0; n < 6; n++) void fetch(url).catch(() => {})
    expect(eventsIn(await first)).toEqual([])
    await expect.poll(() => log.readers).toBe(6)
  })

  test('the way is kept open by comments, and after a while a page has to show again who it is', async () => {
    const log = createEventLog({ isOpen: () => true, keepAlive: 20, longest: 200 })
    const text = await read(await serveLog(log))
    expect(text).toMatch(/^retry: \d+\n\n(:\n\n){3,}/)
    expect(log.readers).toBe(0)
  })

  test('a server that is going ends what it told', async () => {
    const log = createEventLog({ isOpen: () => true })
    const server = createServer(
      (incoming, outgoing) =>
        void answerWith(
          async ({ signal }) => new Response(log.open(null, signal)),
          incoming,
          outgoing,
          'http://localhost',
        ),
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const page = fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`).then((answer) =>
      answer.text(),
    )
    await expect.poll(() => log.readers).toBe(1)
    server.closeAllConnections()
    await expect(page).rejects.toThrow()
    await expect.poll(() => log.readers).toBe(0)
    await new Promise((resolve) => server.close(resolve))
  })
})
