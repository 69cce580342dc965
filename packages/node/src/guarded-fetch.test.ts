import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, LookupFunction } from 'node:net'
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { createClient, isSmartError, usCore } from '@s4s/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { guardedFetch, isPrivate } from './guarded-fetch.js'
import { nodePlatform } from './platform.js'
import { spellings } from './test-support/spellings.js'

let hits = 0
let answer: (request: IncomingMessage, response: ServerResponse) => void = (_, response) =>
  void response.end('canary')
const canary = createServer((request, response) => {
  hits++
  answer(request, response)
})
let port = 0
beforeAll(async () => {
  await new Promise<void>((resolve) => canary.listen(0, '127.0.0.1', resolve))
  port = (canary.address() as AddressInfo).port
})
afterAll(() => canary.close())

describe('T2 G17 addresses inside a private network', () => {
  test('120 spellings and more reach nobody', async () => {
    const all = spellings(port)
    expect(all.length).toBeGreaterThanOrEqual(120)
    const fetch = guardedFetch()
    hits = 0
    const codes = new Map<string, number>()
    for (const url of all) {
      const error = (await fetch(url, { signal: AbortSignal.timeout(3000) }).catch(
        (caught: unknown) => caught,
      )) as { code?: string; message?: string }
      expect(error).toBeInstanceOf(Error)
      codes.set(error.code ?? 'other', (codes.get(error.code ?? 'other') ?? 0) + 1)
    }
    expect(hits).toBe(0)
    // The others are no URL at all, or names that nobody knows.
    expect(codes.get('S4S_PRIVATE_ADDRESS')).toBeGreaterThan(110)
  })

  test('a name that means something else a moment later is held to what was checked', async () => {
    hits = 0
    let times = 0
    const rebinding: LookupFunction = ((_: string, __: unknown, callback: (...all: unknown[]) => void) => {
      times++
      callback(null, [{ address: times % 2 === 1 ? '203.0.114.1' : '127.0.0.1', family: 4 }])
    }) as never
    const fetch = guardedFetch({ lookup: rebinding })
    for (let n = 0; n < 4; n++)
      await fetch(`http://rebinding.example:${port}/`, { signal: AbortSignal.timeout(300) }).catch(() => {})
    expect(hits).toBe(0)
  })

  test('of several addresses one that is private is enough to refuse', async () => {
    hits = 0
    const mixed: LookupFunction = ((_: string, __: unknown, callback: (...all: unknown[]) => void) =>
      callback(null, [
        { address: '203.0.114.1', family: 4 },
        { address: '127.0.0.1', family: 4 },
      ])) as never
    await expect(guardedFetch({ lookup: mixed })(`http://mixed.example:${port}/`)).rejects.toMatchObject({
      code: 'S4S_PRIVATE_ADDRESS',
    })
    expect(hits).toBe(0)
  })

  test('a redirect is an answer and is not followed', async () => {
    hits = 0
    answer = (_, response) =>
      void response.writeHead(302, { location: `http://127.0.0.1:${port}/secret` }).end()
    const response = await guardedFetch({ reach: () => 'literal' })(`http://127.0.0.1:${port}/`)
    expect([response.status, hits]).toEqual([302, 1])
  })

  test('public addresses are public', () => {
    for (const address of [
      '8.8.8.8',
      '1.1.1.1',
      '172.32.0.1',
      '100.128.0.1',
      '2606:4700::1111',
      '2a00:1450:4001::1',
    ])
      expect(isPrivate(address)).toBe(false)
  })

  test('U-01 a provider whose metadata leads inside is a typed error, and one that is listed there is reached', async () => {
    hits = 0
    const inside = `http://127.0.0.1:${port}`
    answer = (_, response) =>
      void response
        .writeHead(200)
        .end(JSON.stringify({ authorization_endpoint: `${inside}/a`, token_endpoint: `${inside}/t` }))
    const providers = [{ id: 'town', name: 'Town', iss: `${inside}/fhir`, clientId: 'x' }]
    const options = { redirectUri: 'https://app.example/callback', providers, plan: usCore.only('Patient') }
    await createClient({ ...options, platform: nodePlatform({ providers }) }).authorize('town')
    expect(hits).toBe(1)
    const others = [{ id: 'other', name: 'Other', iss: 'https://ehr.example/fhir', clientId: 'x' }]
    const error = await createClient({ ...options, platform: nodePlatform({ providers: others }) })
      .authorize('town')
      .catch((caught: unknown) => caught)
    expect(isSmartError(error) && [error.code, error.remedy]).toEqual(['CONFIG_PRIVATE_ADDRESS', 'configure'])
    expect(hits).toBe(1)
  })
})

describe('T2 G17 a name that is listed', () => {
  const resolving = (address: string): LookupFunction =>
    ((_: string, __: unknown, callback: (...all: unknown[]) => void) =>
      callback(null, [{ address, family: address.includes(':') ? 6 : 4 }])) as never
  const codeOf = async (reach: 'private' | 'loopback', address: string): Promise<unknown> => {
    const fetch = guardedFetch({ reach: () => reach, lookup: resolving(address) })
    return fetch(`http://ehr.example:${port}/`, { signal: AbortSignal.timeout(200) }).then(
      () => 'reached',
      (error: { code?: unknown }) => error.code,
    )
  }

  test.each([
    ...['127.0.0.1', '127.8.8.8', '::1', '0.0.0.0', '::', '169.254.169.254', '100.100.100.200'],
    ...['fd00:ec2::254', 'fe80::1', '::ffff:127.0.0.1', '::ffff:10.0.0.1', '224.0.0.1', '192.0.2.1'],
  ])('is not reached at %s', async (address) => {
    hits = 0
    expect([await codeOf('private', address), hits]).toEqual(['S4S_PRIVATE_ADDRESS', 0])
  })

  test('is tried in a private network, and on this machine where a provider is developed', async () => {
    for (const address of ['10.255.255.1', '172.31.255.1', '192.168.255.1', 'fd12::1'])
      expect(await codeOf('private', address)).not.toBe('S4S_PRIVATE_ADDRESS')
    answer = (_, response) => void response.end('x')
    expect(await codeOf('loopback', '127.0.0.1')).toBe('reached')
    expect(await codeOf('loopback', '169.254.169.254')).toBe('S4S_PRIVATE_ADDRESS')
  })

  test('is the same in any spelling; what is no host is refused', async () => {
    hits = 0
    answer = (_, response) => void response.end('x')
    const listing = (host: string) =>
      nodePlatform({
        providers: [{ id: 'a', name: 'A', iss: 'https://a.example', clientId: 'x' }],
        allowPrivate: [host],
      })
    for (const host of ['127.0.0.1', '0x7f.1', '2130706433', `127.0.0.1:${port}`])
      await listing(host).fetch(`http://127.0.0.1:${port}/`)
    expect(hits).toBe(4)
    await expect(listing('10.0.0.1').fetch(`http://127.0.0.1:${port}/`)).rejects.toMatchObject({
      code: 'S4S_PRIVATE_ADDRESS',
    })
    for (const host of ['', 'https://a.example', 'a b', 'a/b', 'u@h'])
      expect(() => listing(host)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })
})

describe('it answers as fetch does', () => {
  const here = guardedFetch({ reach: () => 'literal' })
  const there = (): string => `http://127.0.0.1:${port}/x?y=1`

  test('status, headers, body, method and form', async () => {
    answer = (request, response) => {
      let body = ''
      request.on('data', (chunk) => {
        body += chunk
      })
      request.on('end', () =>
        response.writeHead(201, { 'x-a': ['1', '2'], etag: 'W/"1"' }).end(
          JSON.stringify({
            method: request.method,
            url: request.url,
            body,
            type: request.headers['content-type'],
          }),
        ),
      )
    }
    for (const fetch of [here, globalThis.fetch]) {
      const response = await fetch(there(), {
        method: 'POST',
        body: 'a=b',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      })
      expect([response.status, response.headers.get('x-a'), response.headers.get('etag')]).toEqual([
        201,
        '1, 2',
        'W/"1"',
      ])
      expect(await response.json()).toEqual({
        method: 'POST',
        url: '/x?y=1',
        body: 'a=b',
        type: 'application/x-www-form-urlencoded',
      })
    }
  })

  test('compressed bodies, none, and large ones as a stream', async () => {
    const large = 'x'.repeat(5_000_000)
    answer = (_, response) =>
      void response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(large))
    expect((await (await here(there())).text()).length).toBe(large.length)
    answer = (_, response) => void response.writeHead(204).end()
    expect((await here(there())).body).toBeNull()
    expect(await (await here(there(), { method: 'HEAD' })).text()).toBe('')
  })

  test.each([
    ['gzip', Buffer.alloc(0), ''],
    ['gzip', gzipSync('hello'), 'hello'],
    ['x-gzip', gzipSync('hello'), 'hello'],
    ['deflate', deflateSync('hello'), 'hello'],
    ['deflate', deflateRawSync('hello'), 'hello'],
    ['br', brotliCompressSync('hello'), 'hello'],
    ['gzip, br', brotliCompressSync(gzipSync('hello')), 'hello'],
    ['identity', Buffer.from('hello'), 'hello'],
  ])('F56 an answer encoded as %s is read', async (encoding, bytes, text) => {
    answer = (_, response) => void response.writeHead(200, { 'content-encoding': encoding }).end(bytes)
    expect(await (await here(there())).text()).toBe(text)
  })

  test('every kind of body arrives', async () => {
    const seen: [string | undefined, string][] = []
    answer = async (request, response) => {
      let text = ''
      for await (const chunk of request) text += chunk
      seen.push([request.headers['content-type']?.replace(/boundary=.*/, 'boundary'), text])
      response.end()
    }
    const form = new FormData()
    form.set('a', 'b')
    const bytes = new TextEncoder().encode('a=b')
    for (const body of [
      'a=b',
      bytes,
      bytes.buffer,
      new Blob(['a=b'], { type: 'text/x' }),
      new URLSearchParams({ a: 'b' }),
      new Response('a=b').body,
      form,
    ])
      await (await here(there(), { method: 'PUT', body: body as BodyInit })).text()
    await (await here(new Request(there(), { method: 'POST', body: 'a=b' }))).text()
    expect(seen.slice(0, 6).map(([, text]) => text)).toEqual(Array(6).fill('a=b'))
    expect(seen.map(([type]) => type)).toEqual([
      'text/plain;charset=UTF-8',
      undefined,
      undefined,
      'text/x',
      'application/x-www-form-urlencoded;charset=UTF-8',
      undefined,
      'multipart/form-data; boundary',
      'text/plain;charset=UTF-8',
    ])
    expect(seen[6]?.[1]).toContain('name="a"')
    expect(seen[7]?.[1]).toBe('a=b')
  })

  test('F58 a server that switches protocols unasked, says nothing or talks nonsense is a failed fetch', async () => {
    const { createServer: createTcp } = await import('node:net')
    for (const said of [
      'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n',
      'SSH-2.0-x\r\n',
      '',
    ]) {
      const server = createTcp((socket) => {
        socket.on('error', () => {})
        socket.once('data', () => (said === '' ? socket.destroy() : socket.write(said)))
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const { port: odd } = server.address() as AddressInfo
      await expect(here(`http://127.0.0.1:${odd}/`, { signal: AbortSignal.timeout(5000) })).rejects.toThrow(
        TypeError,
      )
      server.close()
    }
  })

  test('F61 a body that is cut off, compressed or not, is an error', async () => {
    for (const encoding of ['identity', 'gzip']) {
      answer = (_, response) => {
        const body = encoding === 'gzip' ? gzipSync('x'.repeat(1_000_000)) : Buffer.alloc(100_000)
        response.writeHead(200, { 'content-length': String(body.length), 'content-encoding': encoding })
        response.write(body.subarray(0, body.length / 2))
        setTimeout(() => response.destroy(), 20)
      }
      await expect(here(there()).then((response) => response.arrayBuffer())).rejects.toThrow()
    }
  })

  test('F68 an abort before and during the answer', async () => {
    answer = (_, response) => void response.writeHead(200).write('half')
    const reason = new Error('enough')
    await expect(here(there(), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const stop = new AbortController()
    const response = await here(there(), { signal: stop.signal })
    stop.abort(reason)
    await expect(response.text()).rejects.toThrow()
  })

  test('F66 G-05 a connection that rests and is closed costs a read nothing, and a form has one of its own', async () => {
    const here = guardedFetch({ reach: () => 'literal' })
    const sockets = new Set<unknown>()
    let close = false
    answer = (request, response) => {
      sockets.add(request.socket)
      response.end('x')
      // Closed as soon as it rests, without a word.
      if (close) setTimeout(() => request.socket.destroy(), 1)
    }
    for (let n = 0; n < 3; n++) {
      await (await here(there())).text()
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    expect(sockets.size).toBe(1)
    close = true
    for (let n = 0; n < 50; n++) expect(await (await here(there())).text()).toBe('x')
    close = false
    sockets.clear()
    for (let n = 0; n < 3; n++) await (await here(there(), { method: 'POST', body: 'a=b' })).text()
    expect(sockets.size).toBe(3)
  })

  test('J-11 K-04 U-01 TLS is 1.2 or newer', async () => {
    const { createServer: createTls } = await import('node:tls')
    const offered: (string | null)[] = []
    const old = createTls(
      { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'ALL:@SECLEVEL=0' },
      () => {},
    )
    old.on('tlsClientError', (error) => offered.push((error as { code?: string }).code ?? null))
    await new Promise<void>((resolve) => old.listen(0, '127.0.0.1', resolve))
    const { port: tls } = old.address() as AddressInfo
    await expect(here(`https://127.0.0.1:${tls}/`)).rejects.toThrow(TypeError)
    await expect.poll(() => offered.length).toBe(1)
    expect(offered[0]).toMatch(/UNSUPPORTED_PROTOCOL|NO_SHARED_CIPHER|VERSION/)
    old.close()
  })

  test('F58 a closed port is a failed fetch', async () => {
    await expect(here('http://127.0.0.1:1/')).rejects.toThrow(TypeError)
  })
})
