import { type Sandbox, startSandbox } from '@s4s/sandbox'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  batch,
  type Connection,
  capabilities,
  createClient,
  history,
  isSmartError,
  operation,
  uncheckedParams,
  usCore,
  vread,
} from './index.js'
import { testPlatform } from './testing/index.js'

let sandbox: Sandbox
let connection: Connection
beforeAll(async () => {
  sandbox = await startSandbox({ people: ['leo', 'daniel'] })
  const client = createClient({
    platform: testPlatform(),
    redirectUri: 'http://127.0.0.1:9/callback',
    providers: [sandbox.provider],
    plan: usCore,
  })
  const { url } = await client.authorize(sandbox.provider.id)
  connection = await client.callback(await sandbox.approve(url, { patient: 'leo' }))
})
afterAll(() => sandbox.stop())
beforeEach(() => {
  sandbox.faults.clear()
  sandbox.clearRequests()
})

const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'fulfilled',
    (error: unknown) => (isSmartError(error) ? error.code : error),
  )
const answer = (path: string, body: unknown, status = 200): void => {
  sandbox.faults.add({
    match: (request) => request.path.startsWith(`/fhir${path}`),
    respond: () =>
      new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/fhir+json' } }),
    times: 1,
  })
}
const all = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

describe('the verbs of FHIR beside read and search', () => {
  test('vread gets one version, and nothing else in its place', async () => {
    answer('/Patient/leo/_history/2', { resourceType: 'Patient', id: 'leo', meta: { versionId: '2' } })
    expect((await vread(connection, 'Patient', 'leo', '2')).meta?.versionId).toBe('2')
    answer('/Patient/leo/_history/2', { resourceType: 'Patient', id: 'daniel' })
    expect(await codeOf(vread(connection, 'Patient', 'leo', '2'))).toBe('FHIR_RESPONSE_INVALID')
    expect(await codeOf(vread(connection, 'Patient', 'leo', '../../x'))).toBe('CONFIG_INVALID')
    answer('/Patient/leo/_history/3', {}, 410)
    expect(await codeOf(vread(connection, 'Patient', 'leo', '3'))).toBe('FHIR_GONE')
  })

  test('history yields the versions of all pages, and no deletion or other resource', async () => {
    const version = (n: number, id = 'leo') => ({
      resource: { resourceType: 'Patient', id, meta: { versionId: String(n) } },
      request: { method: 'PUT', url: 'Patient/leo' },
    })
    const next = `${sandbox.iss}/Patient/leo/_history?page=2`
    answer('/Patient/leo/_history?page=2', { resourceType: 'Bundle', type: 'history', entry: [version(1)] })
    answer('/Patient/leo/_history', {
      resourceType: 'Bundle',
      type: 'history',
      link: [{ relation: 'next', url: next }],
      entry: [version(3), version(2, 'daniel'), { request: { method: 'DELETE', url: 'Patient/leo' } }],
    })
    const versions = await all(history(connection, 'Patient', 'leo'))
    expect(versions.map(({ meta }) => meta?.versionId)).toEqual(['3', '1'])
    answer('/Patient/leo/_history', {
      resourceType: 'Bundle',
      link: [{ relation: 'next', url: 'https://evil.example/fhir' }],
    })
    expect(await codeOf(all(history(connection, 'Patient', 'leo')))).toBe('FHIR_FOREIGN_URL')
  })

  test('an operation is called at the server, a type or a resource; one with input is sent once', async () => {
    const everything = await operation(connection, '$everything', {
      type: 'Patient',
      id: 'leo',
      params: { _count: 5 },
    })
    expect(everything.resourceType).toBe('Bundle')
    answer('/DocumentReference/$docref', { resourceType: 'Bundle', type: 'searchset' })
    const input = { resourceType: 'Parameters', parameter: [{ name: 'patient', valueId: 'leo' }] }
    await operation(connection, '$docref', { type: 'DocumentReference', input })
    expect(sandbox.requests.at(-1)).toMatchObject({ method: 'POST', path: '/fhir/DocumentReference/$docref' })
    sandbox.clearRequests()
    answer('/$x', {}, 503)
    expect(await codeOf(operation(connection, '$x', { input }))).toBe('FHIR_SERVER_ERROR')
    expect(sandbox.requests.length).toBe(1)
    expect(await codeOf(operation(connection, '$../x'))).toBe('CONFIG_INVALID')
  })

  test('L-08 a batch has an answer for each of its reads', async () => {
    const answers = await batch(connection, [
      'Patient/leo',
      'Patient/daniel',
      'Observation?patient=leo&_count=1',
    ])
    expect(answers.map(({ status, resource }) => [status, resource?.resourceType])).toEqual([
      [200, 'Patient'],
      [expect.toSatisfy((status: number) => status === 403 || status === 404), undefined],
      [200, 'Bundle'],
    ])
    expect(answers[1]?.outcomes.length).toBe(1)
    expect(await batch(connection, [])).toEqual([])
    for (const path of ['https://evil.example/Patient/1', '//evil.example', '/Patient/1', 'Patient 1', ''])
      expect(await codeOf(batch(connection, [path]))).toBe('CONFIG_INVALID')
    answer('', { resourceType: 'Bundle', type: 'batch-response', entry: [] })
    expect(await codeOf(batch(connection, ['Patient/leo']))).toBe('FHIR_RESPONSE_INVALID')
  })

  test('capabilities are a CapabilityStatement or an error', async () => {
    expect((await capabilities(connection)).rest?.length).toBe(1)
    answer('/metadata', { resourceType: 'Patient' })
    expect(await codeOf(capabilities(connection))).toBe('FHIR_RESPONSE_INVALID')
  })
})

describe('what compiles', () => {
  // Called by nobody: the compiler is the judge, in `npm run types`.
  const written = (): unknown[] => [
    connection.search('Observation', { patient: 'p', category: 'laboratory', date: ['ge2020', new Date(0)] }),
    connection.search('Observation', {
      'code:in': 'x',
      'subject.name': 'y',
      'subject:Patient.birthdate': 'z',
    }),
    connection.search('Observation', {
      'value-quantity': 5,
      _count: 50,
      _sort: '-date',
      '_has:Provenance:target:agent': 'x',
    }),
    connection.search('MedicationRequest', { intent: 'order', _include: 'MedicationRequest:medication' }),
    connection.search('Patient', {
      birthdate: 'ge2000',
      active: true,
      'name:exact': 'x',
      _revinclude: 'Provenance:target',
    }),
    connection.search('Observation', uncheckedParams({ 'x-own': 'y' })),
    connection.search('Observation'),
    // @ts-expect-error a typo
    connection.search('Observation', { categroy: 'laboratory' }),
    // @ts-expect-error a parameter of another type
    connection.search('Patient', { category: 'laboratory' }),
    // @ts-expect-error no such modifier
    connection.search('Observation', { 'date:exact': '2020' }),
    // @ts-expect-error a chain through what is no reference
    connection.search('Observation', { 'category.name': 'x' }),
    // @ts-expect-error an include that the type does not have
    connection.search('Observation', { _include: 'Observation:medication' }),
    // @ts-expect-error no such type
    connection.search('Observations', {}),
    // @ts-expect-error a count is a number
    connection.search('Observation', { _count: 'ten' }),
  ]

  test('what a search yields has the type that was asked for', async () => {
    expect(written).toBeTypeOf('function')
    for await (const one of connection.search('Condition', { patient: 'leo', _count: 1 })) {
      const codes: string | undefined = one.clinicalStatus?.coding?.[0]?.code
      expect(['string', 'undefined']).toContain(typeof codes)
      return
    }
  })
})
