import { type Sandbox, startSandbox } from '@s4s/sandbox'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { fhirKit } from '../fhir-kit.js'
import { type Connection, collect, createClient, type PatientRecord, usCore } from '../index.js'
import { testPlatform } from '../testing/index.js'

let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await startSandbox({ id: 'mercy', name: 'Mercy Hospital' })
})
afterAll(() => sandbox.stop())
beforeEach(() => {
  sandbox.faults.clear()
  sandbox.clearRequests()
})

async function connect(patient: string, scope?: string): Promise<Connection> {
  const client = createClient({
    platform: testPlatform(),
    redirectUri: 'http://127.0.0.1:9/callback',
    providers: [{ ...sandbox.provider, ...(scope === undefined ? {} : { scope }) }],
    plan: usCore,
  })
  const { url } = await client.authorize('mercy')
  const connection = await client.callback(await sandbox.approve(url, { patient }))
  sandbox.clearRequests()
  return connection
}

const keysOf = (record: PatientRecord): string[] =>
  [...record.resources()].map(({ resourceType, id }) => `${resourceType}/${id}`).sort()
const row = (record: PatientRecord, dataClass: string) =>
  record.completeness.find((one) => one.dataClass === dataClass)
const asked = (): string[] => sandbox.requests.map(({ path }) => decodeURIComponent(path))
const refuse = (match: (path: string) => boolean, status = 400): (() => void) =>
  sandbox.faults.add({
    match: ({ path }) => path.startsWith('/fhir/') && match(decodeURIComponent(path)),
    respond: () =>
      new Response(
        JSON.stringify({ resourceType: 'OperationOutcome', issue: [{ severity: 'error', code: 'invalid' }] }),
        { status, headers: { 'content-type': 'application/fhir+json' } },
      ),
  })

/** All that the server says it holds for the patient, and what that refers to. */
async function everything(connection: Connection): Promise<string[]> {
  const kit = fhirKit(connection)
  const keys: string[] = []
  let path: string | undefined = `Patient/${connection.patient}/$everything?_count=200`
  while (path !== undefined) {
    const bundle = (await kit.request(path)) as {
      entry?: { resource: { resourceType: string; id: string } }[]
      link?: { relation: string; url: string }[]
    }
    keys.push(...(bundle.entry ?? []).map(({ resource }) => `${resource.resourceType}/${resource.id}`))
    path = bundle.link?.find(({ relation }) => relation === 'next')?.url
  }
  return keys.sort()
}

describe('a whole record', () => {
  test.each(['leo', 'camila', 'eleanor', 'daniel'])(
    'PR-01 the record of %s is the set that the server holds, with what it refers to, each once',
    async (patient) => {
      const connection = await connect(patient)
      const record = await collect(connection, { plan: usCore })
      const types = new Set<string>(usCore.classes.flatMap((one) => [one.type, ...(one.includes ?? [])]))
      const held = (await everything(connection)).filter(
        (key) => types.has(key.split('/')[0] ?? '') && !/^Binary\//.test(key),
      )
      expect(keysOf(record)).toEqual(held)
      expect(new Set(keysOf(record)).size).toBe(held.length)
    },
  )

  test('clinicians and facilities are fetched many at a time', async () => {
    const record = await collect(await connect('eleanor'), { plan: usCore })
    expect(row(record, 'Clinicians')).toMatchObject({ status: 'received' })
    expect(row(record, 'Facilities')).toMatchObject({ status: 'received' })
    const forReferences = asked().filter((path) => /fhir\/(Practitioner|Organization|Location)/.test(path))
    expect(record.count('Clinicians') + record.count('Facilities')).toBeGreaterThan(1)
    expect(forReferences.length).toBeLessThanOrEqual(6)
  })

  test.each([
    ['_id', (path: string) => /[?&]_id=/.test(path)],
    ['_include', (path: string) => path.includes('_include')],
    ['_revinclude', (path: string) => path.includes('_revinclude')],
  ])('a server that refuses %s loses nothing but what only that could bring', async (name, match) => {
    const connection = await connect('eleanor')
    const before = await collect(connection, { plan: usCore })
    refuse(match)
    const after = await collect(connection, { plan: usCore })
    const left = new Set(keysOf(after))
    const lost = keysOf(before).filter((key) => !left.has(key))
    if (name === '_revinclude') {
      expect(lost.every((key) => key.startsWith('Provenance/'))).toBe(true)
      expect(row(after, 'Provenance')).toMatchObject({ status: 'not-supported', reason: '_revinclude' })
      // Found out by the queries that were under way at once, and by no other.
      expect(asked().filter((path) => path.includes('_revinclude')).length).toBeLessThan(50)
    } else expect(lost).toEqual([])
    for (const one of after.completeness)
      if (one.dataClass !== 'Provenance')
        expect([one.dataClass, one.status]).toEqual([one.dataClass, row(before, one.dataClass)?.status])
  })

  test('a server that knows no _id and answers with others’ resources brings none of them into the record', async () => {
    const connection = await connect('eleanor')
    const whole = keysOf(await collect(connection, { plan: usCore }))
    sandbox.faults.add({
      match: ({ path }) => /[?&]_id=/.test(path),
      respond: ({ path }) => {
        const [, type = ''] = /fhir\/(\w+)/.exec(path) ?? []
        const entry = Array.from({ length: 30 }, (_, n) => ({
          resource: { resourceType: type, id: `other-${n}` },
        }))
        return Response.json({ resourceType: 'Bundle', type: 'searchset', entry })
      },
    })
    expect(keysOf(await collect(connection, { plan: usCore }))).toEqual(whole)
  })

  test('L-09 clinicians whom the scopes do not reach are reported, asked for a few times, and cost nothing else', async () => {
    const connection = await connect('eleanor')
    const before = await collect(connection, { plan: usCore })
    sandbox.clearRequests()
    refuse((path) => path.startsWith('/fhir/Practitioner'), 403)
    const after = await collect(connection, { plan: usCore })
    expect(row(after, 'Clinicians')).toMatchObject({ status: 'refused', count: 0, reason: 'invalid' })
    expect(after.issues.filter(({ kind }) => kind === 'reference').length).toBeGreaterThan(0)
    expect(keysOf(after)).toEqual(keysOf(before).filter((key) => !key.startsWith('Practitioner')))
    expect(asked().filter((path) => path.startsWith('/fhir/Practitioner')).length).toBeLessThanOrEqual(8)
  })
})

describe('PR-03 a search that is refused is asked in another form', () => {
  test.each<[string, (path: string) => boolean]>([
    ['MedicationRequest by many intents', (path) => /MedicationRequest\?.*intent=[^&]*,/.test(path)],
    ['MedicationRequest without a status', (path) => /MedicationRequest\?(?!.*status=)/.test(path)],
    ['CareTeam by many statuses', (path) => /CareTeam\?.*status=[^&]*,/.test(path)],
    ['CareTeam by status', (path) => /CareTeam\?.*status=/.test(path)],
    [
      'CarePlan by a category of US Core',
      (path) => /CarePlan\?.*category=http:\/\/hl7/.test(path) || /CarePlan\?.*snomed/.test(path),
    ],
    ['Condition without a category', (path) => /Condition\?(?!.*category=)/.test(path)],
    ['DiagnosticReport without a category', (path) => /DiagnosticReport\?(?!.*category=)/.test(path)],
    ['Observation by a category with its system', (path) => /Observation\?.*category=[^&]*\|/.test(path)],
    ['Coverage by patient', (path) => /Coverage\?.*patient=/.test(path)],
    ['Immunization without a status', (path) => /Immunization\?(?!.*status=)/.test(path)],
  ])('%s', async (_, match) => {
    const connection = await connect('eleanor')
    const before = await collect(connection, { plan: usCore })
    refuse(match)
    const after = await collect(connection, { plan: usCore })
    expect(keysOf(after)).toEqual(keysOf(before))
    expect(after.completeness.map(({ dataClass, status }) => [dataClass, status])).toEqual(
      before.completeness.map(({ dataClass, status }) => [dataClass, status]),
    )
    // What was refused is still told.
    expect(
      after.completeness.flatMap(({ queries }) => queries).some(({ status }) => status === 'refused'),
    ).toBe(true)
  })

  test('what every form of is refused is refused, and the rest is whole', async () => {
    const connection = await connect('eleanor')
    refuse((path) => path.startsWith('/fhir/CareTeam'))
    const record = await collect(connection, { plan: usCore })
    expect(row(record, 'Care Team')).toMatchObject({ status: 'refused', count: 0 })
    expect(row(record, 'Laboratory')?.status).toBe('received')
  })
})

describe('N-14 a grant of some categories', () => {
  test('is asked for by them, and the class is said to be granted in part', async () => {
    const category = 'http://terminology.hl7.org/CodeSystem/observation-category'
    const scope = [
      'launch/patient',
      'patient/Patient.rs',
      `patient/Observation.rs?category=${category}|laboratory`,
      `patient/Condition.rs?category=http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item`,
    ].join(' ')
    const connection = await connect('eleanor', scope)
    const plan = usCore.only('Patient', 'Laboratory', 'Vital Signs', 'Problems')
    const record = await collect(connection, { plan })
    expect(record.completeness.map(({ dataClass, status, reason }) => [dataClass, status, reason])).toEqual([
      ['Patient', 'received', undefined],
      ['Problems', 'truncated', 'partly-granted'],
      ['Laboratory', 'received', undefined],
      ['Vital Signs', 'not-granted', undefined],
    ])
    for (const path of asked().filter((one) => /Observation|Condition/.test(one)))
      expect(path).toMatch(/category=|_page=/)
  })
})
