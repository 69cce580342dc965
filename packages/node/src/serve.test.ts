import { request } from 'node:http'
import { connect } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { type Served, serve } from './serve.js'

const servers: Served[] = []
afterEach(() => Promise.all(servers.splice(0).map((server) => server.stop())))
const start = async (handler: (request: Request) => Promise<Response>): Promise<string> => {
  const served = await serve(handler)
  servers.push(served)
  return served.url
}

test('a handler gets method, path, query, headers and body, and its answer comes back whole', async () => {
  const url = await start(async (request) => {
    const headers = new Headers({ 'x-method': request.method, 'x-path': new URL(request.url).pathname })
    headers.append('set-cookie', 'a=1')
    headers.append('set-cookie', 'b=2')
    return new Response(
      `${new URL(request.url).search} ${request.headers.get('x-in')} ${await request.text()}`,
      {
        status: 207,
        headers,
      },
    )
  })
  expect(new URL(url).hostname).toBe('127.0.0.1')
  const answer = await fetch(`${url}/a/b?c=d`, { method: 'POST', headers: { 'x-in': 'in' }, body: 'body ✓' })
  expect(answer.status).toBe(207)
  expect(await answer.text()).toBe('?c=d in body ✓')
  expect(answer.headers.get('x-method')).toBe('POST')
  expect(answer.headers.get('x-path')).toBe('/a/b')
  expect(answer.headers.getSetCookie()).toEqual(['a=1', 'b=2'])
})

test('T13 the URL of a request is the server’s own, whatever the request line and the Host header say', async () => {
  const seen: string[] = []
  const url = await start(async (request) => {
    seen.push(request.url)
    return new Response()
  })
  const raw = (line: string): Promise<void> =>
    new Promise((resolve) => {
      const socket = connect(Number(new URL(url).port), '127.0.0.1', () =>
        socket.write(
          `${line}\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\nConnection: close\r\n\r\n`,
        ),
      )
      socket.on('close', () => resolve())
      socket.resume()
    })
  for (const line of [
    'GET /x HTTP/1.1',
    'GET //evil.example/x HTTP/1.1',
    'GET http://evil.example/x HTTP/1.1',
    'OPTIONS * HTTP/1.1',
  ]) {
    await raw(line)
  }
  expect(seen).toEqual([`${url}/x`, `${url}//evil.example/x`, `${url}/`, `${url}/`])
})

test('a handler that throws is answered with a 500 that says nothing, and the next request works', async () => {
  let first = true
  const url = await start(async () => {
    if (!first) return new Response('fine')
    first = false
    throw new Error('canary')
  })
  const failed = await fetch(url)
  expect(failed.status).toBe(500)
  expect(await failed.text()).toBe('')
  expect(await (await fetch(url)).text()).toBe('fine')
})

test('a body that breaks off, on either side, leaves the server up', async () => {
  let started = (): void => {}
  const reading = new Promise<void>((resolve) => (started = resolve))
  let failed: unknown
  const url = await start(async (request) => {
    if (request.method === 'GET') {
      return new Response(
        new ReadableStream({
          pull(controller) {
            controller.enqueue(new TextEncoder().encode('half'))
            controller.error(new Error('broken'))
          },
        }),
      )
    }
    started()
    await request.arrayBuffer().catch((error) => (failed = error))
    return new Response('read')
  })
  await expect(fetch(url).then((answer) => answer.text())).rejects.toThrow()
  const sending = request(url, { method: 'POST', headers: { 'content-length': 1000 } })
  sending.on('error', () => {})
  sending.write('half')
  await reading
  sending.destroy()
  await new Promise((resolve) => sending.once('close', resolve))
  expect(await (await fetch(url, { method: 'POST', body: 'whole' })).text()).toBe('read')
  expect(failed).toBeDefined()
})

test('an answer that comes before the body was read reaches who sends it', async () => {
  const url = await start(async () => new Response('no', { status: 413 }))
  for (let round = 0; round < 5; round++) {
    const answer = await fetch(url, { method: 'POST', body: new Uint8Array(8 * 1024 * 1024) })
    expect(answer.status).toBe(413)
    expect(await answer.text()).toBe('no')
  }
})

test('stop ends also what is still being answered, and may be called twice', async () => {
  let asked = (): void => {}
  const arrived = new Promise<void>((resolve) => (asked = resolve))
  const url = await start((request) => {
    asked()
    return new Promise((resolve) => request.signal.addEventListener('abort', () => resolve(new Response())))
  })
  const pending = fetch(url)
  await arrived
  const [server] = servers as [Served]
  await Promise.all([server.stop(), server.stop(), expect(pending).rejects.toThrow()])
})

test('a port that is taken is an error', async () => {
  const url = await start(async () => new Response())
  await expect(serve(async () => new Response(), { port: Number(new URL(url).port) })).rejects.toMatchObject({
    code: 'EADDRINUSE',
  })
})
