import type { ServerResponse } from 'node:http'
import { afterEach, expect, test } from 'vitest'
import { type Heard, json, startServer, type TestServer } from '../../test-support/server.js'
import { ambientClock, ambientCrypto, ambientFetch } from '../ambient.js'
import { isSmartError } from '../errors.js'
import { createTransport } from '../util/transport.js'
import { createReader, type FhirReader } from './reader.js'
import type { Page } from './types.js'

const servers: TestServer[] = []
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()))
})

/** A FHIR server of scripted answers by path, and a reader of it whose waits take no time. */
async function ehr(
  answer: (request: Heard, response: ServerResponse, base: string) => void,
): Promise<{ reader: FhirReader; server: TestServer; base: string; waits: number[] }> {
  const server = await startServer((request, response) => answer(request, response, `${server.url}/fhir`))
  servers.push(server)
  const base = `${server.url}/fhir`
  const transport = createTransport({ fetch: ambientFetch, clock: ambientClock })
  const waits: number[] = []
  const reader = createReader(base, {
    send: (wanted) =>
      transport({
        url: wanted.url,
        method: wanted.method ?? 'GET',
        within: [base],
        headers: {
          accept: wanted.accept ?? '',
          ...(wanted.contentType ? { 'content-type': wanted.contentType } : {}),
        },
        ...(wanted.body === undefined ? {} : { body: wanted.body }),
        ...(wanted.signal ? { signal: wanted.signal } : {}),
      }),
    clock: { now: () => Date.UTC(2026, 0, 1), sleep: async (wait) => void waits.push(wait) },
    crypto: ambientCrypto,
    provider: { id: 'mercy', name: 'Mercy' },
  })
  return { reader, server, base, waits }
}

const page = (ids: readonly string[], next?: string, more: Record<string, unknown> = {}): unknown => ({
  resourceType: 'Bundle',
  type: 'searchset',
  ...(next === undefined ? {} : { link: [{ relation: 'next', url: next }] }),
  entry: ids.map((id) => ({ resource: { resourceType: 'Observation', id }, search: { mode: 'match' } })),
  ...more,
})

async function read(reader: FhirReader): Promise<{ ids: string[]; code: string | undefined }> {
  const ids: string[] = []
  try {
    for await (const found of reader.search('Observation', { patient: 'p' }).pages()) {
      ids.push(...found.entries.map((entry) => entry.resource.id ?? ''))
    }
    return { ids, code: undefined }
  } catch (error) {
    return { ids, code: isSmartError(error) ? error.code : String(error) }
  }
}

test('PR-06 next links are followed as they are: absolute, relative to the page, or a query alone', async () => {
  const { reader, server } = await ehr(({ path }, response, base) => {
    if (path === '/fhir/Observation?patient=p') return json(response, page(['1'], `${base}?_getpages=a`))
    if (path === '/fhir?_getpages=a') return json(response, page(['2'], '/fhir/Observation?cursor=%3D'))
    if (path === '/fhir/Observation?cursor=%3D') return json(response, page(['3'], '?page=4'))
    return json(response, page(['4']))
  })
  expect(await read(reader)).toEqual({ ids: ['1', '2', '3', '4'], code: undefined })
  expect(server.heard.at(-1)?.path).toBe('/fhir/Observation?page=4')
})

test('T27 F24 a next link to another host or path ends the search with an error, after its own page', async () => {
  const other = await startServer((_, response) => json(response, page(['x'])))
  servers.push(other)
  for (const next of [
    `${other.url}/fhir/Observation?page=2`,
    '/other',
    'javascript:alert(1)',
    'https://ehr.example/fhir',
    '//evil/fhir',
  ]) {
    const { reader, server } = await ehr((_, response) => json(response, page(['1'], next)))
    const result = await read(reader)
    expect(result.ids).toEqual(['1'])
    expect(['FHIR_FOREIGN_URL', 'FHIR_RESPONSE_INVALID']).toContain(result.code)
    expect(server.heard.length).toBe(1)
  }
  expect(other.heard).toEqual([])
})

test('F21 F22 pages that lead back to a page already read end with an error and keep what they held', async () => {
  const self = await ehr((_, response) => json(response, page(['1'], '/fhir/Observation?patient=p')))
  expect(await read(self.reader)).toEqual({ ids: ['1'], code: 'FHIR_RESPONSE_INVALID' })
  const cycle = await ehr(({ path }, response) =>
    json(
      response,
      path.endsWith('=a') ? page(['2'], '/fhir/Observation?patient=p') : page(['1'], '/fhir/Observation?c=a'),
    ),
  )
  expect(await read(cycle.reader)).toEqual({ ids: ['1', '2'], code: 'FHIR_RESPONSE_INVALID' })
})

test('F23 empty pages with ever new links end', async () => {
  let number = 0
  const { reader, server } = await ehr((_, response) =>
    json(response, page([], `/fhir/Observation?n=${++number}`)),
  )
  expect(await read(reader)).toEqual({ ids: [], code: 'FHIR_RESPONSE_INVALID' })
  expect(server.heard.length).toBeLessThan(6)
})

test.each([
  [
    'F10 an OperationOutcome',
    { resourceType: 'OperationOutcome', issue: [{ severity: 'error', code: 'too-costly' }] },
  ],
  ['F12 an HTML page', '<html>Sign in</html>'],
  ['F15 half of a Bundle', '{"resourceType":"Bundle","entry":[{"resour'],
  ['F14 nothing', ''],
  ['F14 null', 'null'],
])('%s on page 2 is an error and not the end of the data', async (_name, body) => {
  const { reader } = await ehr(({ path }, response) =>
    json(response, path.includes('page=2') ? body : page(['1'], '/fhir/Observation?page=2')),
  )
  expect(await read(reader)).toEqual({ ids: ['1'], code: 'FHIR_RESPONSE_INVALID' })
})

test.each([
  [401, 'FHIR_UNAUTHORIZED'],
  [403, 'FHIR_FORBIDDEN'],
  [404, 'FHIR_NOT_FOUND'],
  [410, 'FHIR_GONE'],
  [400, 'FHIR_BAD_REQUEST'],
])('PR-08 status %i is %s at once', async (status, code) => {
  const { reader, server } = await ehr((_, response) =>
    json(
      response,
      {
        resourceType: 'OperationOutcome',
        issue: [{ severity: 'error', code: 'required', diagnostics: 'Jane' }],
      },
      status,
    ),
  )
  expect(await read(reader)).toEqual({ ids: [], code })
  expect(server.heard.length).toBe(1)
})

test('F1 429 is waited for as long as the server asks, then asked again', async () => {
  let asked = 0
  const { reader, waits } = await ehr((_, response) =>
    ++asked === 1 ? json(response, {}, 429, { 'retry-after': '3' }) : json(response, page(['1'])),
  )
  expect(await read(reader)).toEqual({ ids: ['1'], code: undefined })
  expect(waits).toEqual([3000])
})

test('F2 a wait of a year is not waited for', async () => {
  const { reader, waits } = await ehr((_, response) =>
    json(response, {}, 503, { 'retry-after': 'Fri, 01 Jan 2027 00:00:00 GMT' }),
  )
  expect((await read(reader)).code).toBe('FHIR_SERVER_ERROR')
  expect(waits).toEqual([])
})

test.each([
  ['RateLimit-Reset: 1', { 'ratelimit-reset': '1' }, 1000],
  ['X-RateLimit-Reset of seconds', { 'x-ratelimit-reset': '7' }, 7000],
  [
    'X-RateLimit-Reset of a moment since 1970',
    { 'x-ratelimit-reset': String(Date.UTC(2026, 0, 1) / 1000 + 9) },
    9000,
  ],
  ['X-RateLimit-Reset of a date', { 'x-ratelimit-reset': 'Thu, 01 Jan 2026 00:00:05 GMT' }, 5000],
  ['Retry-After before the others', { 'retry-after': '2', 'ratelimit-reset': '50' }, 2000],
] as const)('Q87 %s is waited for', async (_, headers, wait) => {
  let asked = 0
  const { reader, waits } = await ehr((_, response) =>
    ++asked === 1 ? json(response, {}, 429, headers) : json(response, page(['1'])),
  )
  expect((await read(reader)).ids).toEqual(['1'])
  expect(waits).toEqual([wait])
})

test('F1 G19 two hundred askings to wait are each waited for, and those of more than a minute are handed on', async () => {
  const now = Date.UTC(2026, 0, 1)
  let header = ''
  let asked = 0
  const { reader, waits } = await ehr((_, response) =>
    ++asked % 2 === 1 ? json(response, {}, 429, { 'retry-after': header }) : json(response, page(['1'])),
  )
  for (let at = 0; at < 200; at++) {
    const seconds = at % 4 === 3 ? at * 10 : at % 60
    header = at % 2 === 0 ? String(seconds) : new Date(now + seconds * 1000).toUTCString()
    waits.length = 0
    asked = 0
    const { code } = await read(reader)
    expect([header, seconds <= 60 ? [code, ...waits] : [code, waits.length]]).toEqual([
      header,
      seconds <= 60 ? [undefined, seconds * 1000] : ['FHIR_RATE_LIMITED', 0],
    ])
  }
})

test('F4 a server error and a cut connection are tried again; F5 for ever is an error', async () => {
  let asked = 0
  const passing = await ehr((_, response) => {
    asked++
    if (asked === 1) return json(response, 'busy', 502)
    if (asked === 2) return void response.destroy()
    json(response, page(['1']))
  })
  expect(await read(passing.reader)).toEqual({ ids: ['1'], code: undefined })
  const never = await ehr((_, response) => json(response, {}, 500))
  expect((await read(never.reader)).code).toBe('FHIR_SERVER_ERROR')
  expect(never.server.heard.length).toBe(4)
})

test('F68 an abort between pages rejects with its reason and asks for no more', async () => {
  const { reader } = await ehr(({ path }, response) => {
    if (path.includes('page')) return // never answered
    json(response, page(['1'], '/fhir/Observation?page=2'))
  })
  const controller = new AbortController()
  const reason = new Error('closed')
  const pages: Page[] = []
  const work = (async () => {
    for await (const found of reader.search('Observation', {}, { signal: controller.signal }).pages()) {
      pages.push(found)
      controller.abort(reason)
    }
  })()
  await expect(work).rejects.toBe(reason)
  expect(pages.length).toBe(1)
})

test('iterating over a search gives the matches, not what was included', async () => {
  const { reader } = await ehr((_, response) =>
    json(
      response,
      page(['1'], undefined, {
        entry: [
          { resource: { resourceType: 'Observation', id: 'a' } },
          { resource: { resourceType: 'Observation', id: 'b' }, search: { mode: 'include' } },
          { resource: { resourceType: 'Provenance', id: 'c' }, search: { mode: 'include' } },
        ],
      }),
    ),
  )
  const ids: (string | undefined)[] = []
  for await (const observation of reader.search('Observation')) ids.push(observation.id)
  expect(ids).toEqual(['a'])
})

test('PR-04 PR-14 parameters are encoded, undefined ones left out, repeated ones repeated; a long search goes as POST', async () => {
  const { reader, server } = await ehr((_, response) => json(response, page([])))
  const drain = async (params: Record<string, string | undefined | readonly string[]>): Promise<void> => {
    for await (const _ of reader.search('Observation', params).pages());
  }
  await drain({
    date: ['ge2020-01-01T00:00:00+01:00', 'lt2021'],
    code: 'http://loinc.org|1',
    subject: undefined,
  })
  expect(server.heard[0]?.path).toBe(
    '/fhir/Observation?date=ge2020-01-01T00%3A00%3A00%2B01%3A00&date=lt2021&code=http%3A%2F%2Floinc.org%7C1',
  )
  await drain({ code: 'x'.repeat(3000) })
  expect(server.heard[1]).toMatchObject({
    method: 'POST',
    path: '/fhir/Observation/_search',
    body: `code=${'x'.repeat(3000)}`,
  })
  expect(server.heard[1]?.headers['content-type']).toContain('application/x-www-form-urlencoded')
})

test('T48 a read that answers with another resource is refused', async () => {
  const { reader } = await ehr((_, response) => json(response, { resourceType: 'Patient', id: 'other' }))
  await expect(reader.read('Patient', 'p')).rejects.toMatchObject({ code: 'FHIR_RESPONSE_INVALID' })
})

test.each(['../../admin', 'a/b', '', '..', 'a?x=1', 'a%2fb'])(
  'an id such as "%s" never becomes part of a URL',
  async (id) => {
    const { reader, server } = await ehr((_, response) => json(response, {}))
    await expect(reader.read('Patient', id)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    expect(server.heard).toEqual([])
  },
)

test('F11 an attachment comes as bytes or as a Binary in JSON, relative or absolute', async () => {
  const { reader, base } = await ehr(({ path, headers }, response) => {
    if (path === '/fhir/Binary/json')
      return json(response, { resourceType: 'Binary', contentType: 'text/plain', data: 'aGk=' })
    response.writeHead(200, { 'content-type': String(headers.accept) })
    response.end('hi')
  })
  for (const url of ['Binary/json', 'Binary/raw', `${base}/Binary/raw`]) {
    const { contentType, bytes } = await reader.attachment(url, { accept: 'text/plain' })
    expect([contentType, new TextDecoder().decode(bytes)]).toEqual(['text/plain', 'hi'])
  }
})

test('T28 an attachment elsewhere is not fetched', async () => {
  const { reader, server } = await ehr((_, response) => json(response, {}))
  for (const url of [
    'https://files.example/1',
    '../admin',
    '/etc',
    'data:text/plain,x',
    `${server.url}/fhir.evil/x`,
  ]) {
    await expect(reader.attachment(url)).rejects.toMatchObject({ code: 'FHIR_FOREIGN_URL' })
  }
  expect(server.heard).toEqual([])
})

test('PR-11 T62 a resource that is read keeps the digits of its numbers, on one line', async () => {
  const { reader } = await ehr((_, response) =>
    json(response, '{\n "resourceType":"Patient",\n "id":"p", "multipleBirthInteger":1.00 }\n'),
  )
  expect((await reader.readEntry('Patient', 'p')).text).toBe(
    '{"resourceType":"Patient","id":"p", "multipleBirthInteger":1.00 }',
  )
})
