import { gzipSync } from 'node:zlib'
import { afterEach, expect, test } from 'vitest'
import { startServer, type TestServer } from '../../test-support/server.js'
import { ambientClock, ambientFetch } from '../ambient.js'
import { Secret } from './secret.js'
import { createTransport, TransportError } from './transport.js'

const transport = createTransport({ fetch: ambientFetch, clock: ambientClock })
const servers: TestServer[] = []
const serve = async (...args: Parameters<typeof startServer>): Promise<TestServer> => {
  const server = await startServer(...args)
  servers.push(server)
  return server
}
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()))
})

const fault = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.then(
    () => undefined,
    (caught: unknown) => caught,
  )
  expect(error).toBeInstanceOf(TransportError)
  return (error as TransportError).fault
}

test('L-01 the token is sent as a Bearer header, without cookies or referrer', async () => {
  const server = await serve((_, response) => response.end('{}'))
  await transport({
    url: `${server.url}/fhir/Patient/1`,
    within: [`${server.url}/fhir`],
    bearer: new Secret('t0k.en'),
  })
  expect(server.heard[0]?.headers.authorization).toBe('Bearer t0k.en')
  expect(server.heard[0]?.headers.cookie).toBeUndefined()
  expect(server.heard[0]?.headers.referer).toBeUndefined()
})

test('L-02 no request leaves for a URL outside the base', async () => {
  const server = await serve((_, response) => response.end('{}'))
  const within = [`${server.url}/fhir`]
  for (const path of ['/fhirx', '/other', '/fhir/../other', '/fhir/%2e%2e/other']) {
    expect(await fault(transport({ url: server.url + path, within, bearer: new Secret('x') }))).toBe(
      'foreign',
    )
  }
  expect(server.heard).toEqual([])
})

test('T31 a redirect is not followed, to whichever host', async () => {
  const target = await serve((_, response) => response.end('{}'))
  for (const status of [301, 302, 303, 307, 308]) {
    const server = await serve((_, response) =>
      response.writeHead(status, { location: `${target.url}/steal` }).end(),
    )
    expect(
      await fault(transport({ url: `${server.url}/x`, within: [server.url], bearer: new Secret('x') })),
    ).toBe('redirected')
  }
  expect(target.heard).toEqual([])
})

test('T4 plain http off loopback is refused before anything is sent', async () => {
  expect(await fault(transport({ url: 'http://fhir.example.org/Patient/1' }))).toBe('insecure')
})

test('T45 a token that no header may hold is refused without being quoted', async () => {
  const error = await transport({
    url: 'https://ehr.example/x',
    within: ['https://ehr.example'],
    bearer: new Secret('abc\r\nx: y'),
  }).catch((caught: Error) => caught)
  expect((error as TransportError).fault).toBe('bad-header')
  expect(String(error)).not.toContain('abc')
})

test('F59 a server that never answers is a timeout', async () => {
  const server = await serve(() => {})
  expect(await fault(transport({ url: server.url, idleTimeout: 50 }))).toBe('timeout')
})

test('F60 a server that drips is cut at the total deadline', async () => {
  const server = await serve((_, response) => {
    response.writeHead(200)
    const drip = setInterval(() => response.write('x'), 10)
    response.on('close', () => clearInterval(drip))
  })
  expect(await fault(transport({ url: server.url, idleTimeout: 1000, totalTimeout: 100 }))).toBe('timeout')
})

test('F28 a small gzip that unfolds without end is refused at the cap', async () => {
  const bomb = gzipSync(new Uint8Array(50_000_000))
  const server = await serve((_, response) => {
    response.writeHead(200, { 'content-encoding': 'gzip' })
    response.end(bomb)
  })
  expect(await fault(transport({ url: server.url, maxBytes: 1_000_000 }))).toBe('too-large')
})

test('F61 a body that is cut off is no answer', async () => {
  const server = await serve((_, response) => {
    response.writeHead(200, { 'content-length': '1000' })
    response.write('half')
    setImmediate(() => response.destroy())
  })
  expect(await fault(transport({ url: server.url }))).toBe('unreachable')
})

test('F68 an abort rejects with its own reason, before and during the answer', async () => {
  const server = await serve(() => {})
  const reason = new Error('enough')
  await expect(transport({ url: server.url, signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  const controller = new AbortController()
  const work = transport({ url: server.url, signal: controller.signal })
  controller.abort(reason)
  await expect(work).rejects.toBe(reason)
})

test('F58 a closed port is unreachable, and the error names the host only', async () => {
  const server = await startServer(() => {})
  await server.stop()
  const error = (await transport({ url: `${server.url}/Patient?name=secret` }).catch(
    (caught: unknown) => caught,
  )) as TransportError
  expect(error.fault).toBe('unreachable')
  expect(error.message).not.toContain('secret')
})

test('a body that is taken piece by piece is not held, and what the taking fails with is not the network’s fault', async () => {
  const server = await serve((_, response) => response.end('x'.repeat(500_000)))
  let size = 0
  const answer = await transport({
    url: `${server.url}/big`,
    sink: ({ status, headers }) => {
      expect([status, headers.get('content-length')]).toEqual([200, '500000'])
      return async (piece) => {
        size += piece.length
      }
    },
  })
  expect([size, answer.bytes.length]).toEqual([500_000, 0])
  const full = new Error('the disk is full')
  await expect(transport({ url: `${server.url}/big`, sink: () => () => Promise.reject(full) })).rejects.toBe(
    full,
  )
  const capped = transport({ url: `${server.url}/big`, maxBytes: 1000, sink: () => async () => {} })
  expect(await fault(capped)).toBe('too-large')
  // Who does not want the body of an answer, such as of a refusal, has it as ever.
  const whole = await transport({ url: `${server.url}/big`, sink: () => undefined })
  expect(whole.bytes.length).toBe(500_000)
})
