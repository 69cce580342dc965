import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { generateRecords } from '../data/index.js'
import { createRepository } from './repository.js'
import { createFhirServer } from './server.js'
import { asker, type Bundle } from './test-support/ask.js'
import { type Served, serve } from './test-support/serve.js'

const repository = createRepository(generateRecords({ only: ['daniel', 'camila', 'leo', 'sam'] }))
const all = asker(repository)

describe('over a real socket', () => {
  let served: Served
  beforeAll(async () => {
    served = await serve((origin) =>
      createFhirServer({
        base: `${origin}/fhir`,
        repository,
        authorize: async (request) =>
          request.headers.get('authorization') === 'Bearer right'
            ? { scopes: ['patient/*.rs'], patient: 'daniel' }
            : undefined,
      }),
    )
  })
  afterAll(() => served.stop())
  const headers = { authorization: 'Bearer right' }

  test('a whole search is read by following the next links, every resource once', async () => {
    const seen: string[] = []
    let url: string | undefined = `${served.origin}/fhir/Observation?patient=daniel&_count=50`
    while (url) {
      expect(url.startsWith(`${served.origin}/fhir/Observation?`)).toBe(true)
      const bundle = (await (await fetch(url, { headers })).json()) as Bundle
      seen.push(...(bundle.entry ?? []).map(({ resource }) => resource?.id as string))
      url = bundle.link?.find(({ relation }) => relation === 'next')?.url
    }
    expect(seen.length).toBe([...repository.of('daniel', 'Observation')].length)
    expect(new Set(seen).size).toBe(seen.length)
  })

  test('L-01 without a token, or with a wrong one, the answer is 401 with a challenge', async () => {
    const none = await fetch(`${served.origin}/fhir/Patient/daniel`)
    expect(none.status).toBe(401)
    expect(none.headers.get('www-authenticate')).toMatch(/^Bearer realm=/)
    const wrong = await fetch(`${served.origin}/fhir/Patient/daniel`, {
      headers: { authorization: 'Bearer wrong' },
    })
    expect(wrong.headers.get('www-authenticate')).toContain('error="invalid_token"')
    expect(await wrong.json()).toMatchObject({ resourceType: 'OperationOutcome', issue: [{ code: 'login' }] })
  })

  test('a search by POST answers as one by GET', async () => {
    const body = new URLSearchParams({ patient: 'daniel', category: 'laboratory', _count: '7' })
    const posted = (await (
      await fetch(`${served.origin}/fhir/Observation/_search`, { method: 'POST', headers, body })
    ).json()) as Bundle
    const got = (await (
      await fetch(`${served.origin}/fhir/Observation?${body}`, { headers })
    ).json()) as Bundle
    expect(posted.entry?.length).toBe(7)
    expect(posted.entry).toEqual(got.entry)
    expect(posted.total).toBe(got.total)
  })
})

describe('the CapabilityStatement', () => {
  test('D-05 needs no token, and names types, parameters, includes and where to authorize', async () => {
    const open = asker(repository, undefined, {
      authorize: async () => undefined,
      smart: { authorize: 'http://ehr.test/authorize', token: 'http://ehr.test/token' },
    })
    const response = await open.request('metadata')
    expect(response.status).toBe(200)
    const statement = (await response.json()) as {
      fhirVersion: string
      rest: [
        {
          security: unknown
          resource: { type: string; searchParam: { name: string }[]; searchRevInclude?: string[] }[]
        },
      ]
    }
    expect(statement.fhirVersion).toBe('4.0.1')
    const [rest] = statement.rest
    expect(rest.security).toMatchObject({
      service: [{ coding: [{ code: 'SMART-on-FHIR' }] }],
      extension: [
        {
          url: 'http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris',
          extension: [
            { url: 'authorize', valueUri: 'http://ehr.test/authorize' },
            { url: 'token', valueUri: 'http://ehr.test/token' },
          ],
        },
      ],
    })
    const observation = rest.resource.find(({ type }) => type === 'Observation')
    expect(observation?.searchParam.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['_id', '_lastUpdated', 'patient', 'category', 'code', 'date', 'status']),
    )
    expect(observation?.searchRevInclude).toContain('Provenance:target')
  })
})

describe('a read', () => {
  test('answers the resource with its version and time', async () => {
    const response = await all.request('Patient/daniel')
    expect(response.headers.get('content-type')).toBe('application/fhir+json; charset=utf-8')
    expect(response.headers.get('etag')).toBe('W/"1"')
    expect(Date.parse(response.headers.get('last-modified') ?? '')).toBe(Date.parse('2018-02-05T14:50:00Z'))
    expect(await response.json()).toMatchObject({ resourceType: 'Patient', id: 'daniel' })
  })

  test('of the version that is kept succeeds, of another is 404', async () => {
    expect((await all.request('Patient/daniel/_history/1')).status).toBe(200)
    expect((await all.request('Patient/daniel/_history/2')).status).toBe(404)
  })

  test('of what has not changed is 304', async () => {
    const response = await all.request('Patient/daniel', { headers: { 'if-none-match': 'W/"1"' } })
    expect(response.status).toBe(304)
    expect(await response.text()).toBe('')
  })

  test('of what was removed is 410, and of what never was 404', async () => {
    const own = createRepository([{ resourceType: 'Patient', id: 'gone' }])
    own.remove('Patient', 'gone')
    const asked = asker(own)
    expect((await asked.request('Patient/gone')).status).toBe(410)
    expect((await asked.request('Patient/never')).status).toBe(404)
    expect((await asked.request('Nonsense/never')).status).toBe(404)
    own.put({ resourceType: 'Patient', id: 'gone' })
    expect((await asked.request('Patient/gone')).headers.get('etag')).toBe('W/"2"')
  })

  test('after a change has a new version and time, whatever meta the change carried', async () => {
    let time = Date.parse('2026-06-02T10:00:00Z')
    const own = createRepository(generateRecords({ only: ['sam'] }), { now: () => time })
    const before = own.get('Patient', 'sam')?.resource
    time += 60_000
    own.put({ ...before, resourceType: 'Patient', active: false })
    const after = own.get('Patient', 'sam')
    expect(after?.version).toBe('2')
    expect(after?.resource).toMatchObject({
      active: false,
      meta: { versionId: '2', lastUpdated: '2026-06-02T10:01:00.000Z' },
    })
    expect(await asker(own).ids('Patient?_lastUpdated=gt2026-06-01')).toEqual(['sam'])
  })
})

describe('a Binary', () => {
  const binary = 'Binary/daniel-binary-1'
  const note = repository.get('Binary', 'daniel-binary-1')?.resource

  test.each([
    ['its own type', 'text/plain'],
    ['anything', '*/*'],
    ['another type', 'application/pdf'],
  ])('asked for as %s comes as bytes', async (_, accept) => {
    const response = await all.request(binary, { headers: { accept } })
    expect(response.headers.get('content-type')).toBe('text/plain')
    expect(Buffer.from(await response.arrayBuffer()).toString('base64')).toBe(note?.data)
  })

  test('asked for as FHIR JSON comes as a resource', async () => {
    const response = await all.request(binary, { headers: { accept: 'application/fhir+json' } })
    expect(await response.json()).toMatchObject({
      resourceType: 'Binary',
      contentType: 'text/plain',
      data: note?.data,
    })
  })

  test('that is a web page cannot run as one', async () => {
    const own = createRepository([
      {
        resourceType: 'Binary',
        id: 'page',
        contentType: 'text/html',
        data: btoa('<script>alert(1)</script>'),
      },
      { resourceType: 'Binary', id: 'odd', contentType: 'text/html\r\nX-Evil: 1', data: '%%%' },
    ])
    const page = await asker(own).request('Binary/page')
    expect(page.headers.get('content-security-policy')).toContain('sandbox')
    expect(page.headers.get('x-content-type-options')).toBe('nosniff')
    const odd = await asker(own).request('Binary/odd')
    expect(odd.headers.get('content-type')).toBe('application/octet-stream')
    expect(odd.status).toBe(200)
  })
})

describe('what is refused', () => {
  test.each([
    ['PUT', 'Patient/daniel', 405],
    ['PATCH', 'Patient/daniel', 405],
    ['DELETE', 'Patient/daniel', 405],
    ['POST', 'Patient', 405],
    ['DELETE', 'Patient', 405],
    ['POST', 'metadata', 405],
    ['GET', '', 400],
    ['GET', '?_type=Patient', 400],
    ['GET', 'Patient/daniel/_history', 404],
    ['GET', 'Patient/$nonsense', 404],
    ['GET', 'Observation/$lastn', 404],
    ['GET', 'Patient/a/b/c/d/e', 404],
    ['GET', '%E0%A4%A', 400],
    ['GET', 'Patient/%E0%A4%A', 400],
    ['GET', 'Patient/%2e%2e%2fx', 404],
    ['GET', 'Patient?_format=xml', 406],
    ['POST', 'Patient/_search', 415],
    ['POST', '', 400],
  ])('%s %s is %i with an OperationOutcome', async (method, path, status) => {
    const init =
      method === 'POST' || method === 'PUT' || method === 'PATCH' ? { method, body: '{"x":1}' } : { method }
    const response = await all.request(path, init)
    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toContain('application/fhir+json')
    expect(await response.json()).toMatchObject({
      resourceType: 'OperationOutcome',
      issue: [{ severity: 'error' }],
    })
    if (status === 405) expect(response.headers.get('allow')).toContain('GET')
  })

  test('outside the base there is nothing', async () => {
    expect((await all.request('http://ehr.test/fhirx/Patient')).status).toBe(404)
    expect((await all.request('http://ehr.test/')).status).toBe(404)
  })

  test.each([
    ['application/fhir+xml', 406],
    ['text/html', 406],
    ['application/fhir+xml, application/json;q=0.1', 200],
    ['text/html,application/xhtml+xml,*/*;q=0.8', 200],
    ['application/fhir+json; fhirVersion=4.0', 200],
  ])('an Accept of %s is answered with %i', async (accept, status) => {
    expect((await all.request('Patient/daniel', { headers: { accept } })).status).toBe(status)
  })

  test('a body without end is 413, not a crash', async () => {
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(100_000).fill(97)),
    })
    const init = {
      method: 'POST',
      body,
      duplex: 'half',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    }
    expect((await all.request('Patient/_search', init as RequestInit)).status).toBe(413)
  })
})

describe('from a page in a browser', () => {
  test('U-03 a preflight is answered without a token, and answers can be read', async () => {
    const closed = asker(repository, undefined, { authorize: async () => undefined })
    const preflight = await closed.request('Patient/daniel', {
      method: 'OPTIONS',
      headers: {
        origin: 'https://app.example',
        'access-control-request-headers': 'authorization, x-own, bad header',
      },
    })
    expect(preflight.status).toBe(204)
    expect(preflight.headers.get('access-control-allow-origin')).toBe('*')
    expect(preflight.headers.get('access-control-allow-headers')).toMatch(/Authorization.*x-own/)
    expect(preflight.headers.get('access-control-allow-headers')).not.toContain('bad')
    const refused = await closed.request('Patient/daniel')
    expect(refused.headers.get('access-control-allow-origin')).toBe('*')
    expect(refused.headers.get('access-control-expose-headers')).toContain('WWW-Authenticate')
  })
})

describe('a batch', () => {
  const post = (bundle: unknown, asked = all): Promise<Response> =>
    asked.request('', { method: 'POST', body: JSON.stringify(bundle) })
  const get = (url: unknown): object => ({ request: { method: 'GET', url } })

  test('L-08 is judged entry by entry', async () => {
    const asked = asker(repository, {
      scopes: ['patient/Patient.rs', 'patient/Condition.rs'],
      patient: 'daniel',
    })
    const response = await post(
      {
        resourceType: 'Bundle',
        type: 'batch',
        entry: [
          get('Patient/daniel'),
          get('Condition?patient=daniel&_summary=count'),
          get('Observation?patient=daniel'),
          get('Patient/camila'),
          get('metadata'),
          get('http://elsewhere.example/fhir/Patient/daniel'),
          get('../secret'),
          get(7),
          null,
          { request: { method: 'DELETE', url: 'Patient/daniel' } },
        ],
      },
      asked,
    )
    const bundle = (await response.json()) as Bundle
    expect(bundle.type).toBe('batch-response')
    expect(bundle.entry?.map((entry) => entry.response?.status.slice(0, 3))).toEqual([
      '200',
      '200',
      '403',
      '404',
      '200',
      '400',
      '400',
      '400',
      '400',
      '405',
    ])
    expect(bundle.entry?.[0]).toMatchObject({ resource: { id: 'daniel' }, response: { etag: 'W/"1"' } })
    expect(bundle.entry?.[2]?.response?.outcome).toMatchObject({ resourceType: 'OperationOutcome' })
  })

  test('L-08 that is a transaction, too long or no Bundle is refused', async () => {
    expect((await post({ resourceType: 'Bundle', type: 'transaction' })).status).toBe(403)
    expect(
      (await post({ resourceType: 'Bundle', type: 'batch', entry: Array(501).fill(get('metadata')) })).status,
    ).toBe(400)
    expect((await post({ resourceType: 'Patient' })).status).toBe(400)
    expect((await post([])).status).toBe(400)
  })
})

describe('operations', () => {
  test('$everything pages through all that a patient has and refers to', async () => {
    const asked = asker(repository, { scopes: ['patient/*.rs'], patient: 'leo' })
    const seen: string[] = []
    let path: string | undefined = 'Patient/leo/$everything?_count=20'
    while (path) {
      const bundle: Bundle = await asked.bundle(path)
      seen.push(...(bundle.entry ?? []).map(({ resource }) => `${resource?.resourceType}/${resource?.id}`))
      path = bundle.link?.find(({ relation }) => relation === 'next')?.url
    }
    expect(seen[0]).toBe('Patient/leo')
    expect(seen).toContain('Practitioner/hana-sato')
    expect(seen.filter((key) => key.startsWith('Patient/'))).toEqual(['Patient/leo'])
    expect(new Set(seen).size).toBe(seen.length)
    const own = seen.filter((key) => /^\w+\/leo/.test(key) && !key.startsWith('Binary/'))
    expect(own.length).toBe([...repository.of('leo')].length)
    expect(seen).toContain('Binary/leo-binary-1')
    expect(await asked.ids('Patient/leo/$everything?_type=Condition,Coverage')).toHaveLength(2)
    expect((await asked.request('Patient/camila/$everything')).status).toBe(404)
  })

  test('$docref finds documents, by GET and by POST', async () => {
    const found = await all.ids('DocumentReference/$docref?patient=daniel&start=2024-01-01&end=2024-12-31')
    expect(found.length).toBe(2)
    const parameter = [
      { name: 'patient', valueId: 'daniel' },
      { name: 'type', valueCodeableConcept: { coding: [{ system: 'http://loinc.org', code: '34133-9' }] } },
    ]
    const body = JSON.stringify({ resourceType: 'Parameters', parameter })
    expect(await all.ids('DocumentReference/$docref', { method: 'POST', body })).toHaveLength(1)
    expect((await all.request('DocumentReference/$docref')).status).toBe(400)
  })
})
