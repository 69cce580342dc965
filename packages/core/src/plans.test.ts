import { type Sandbox, startSandbox } from '@s4s/sandbox'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { scriptedEhr } from '../test-support/ehr.js'
import { json } from '../test-support/server.js'
import { type Connection, collect, createClient, type Plan, usCore } from './index.js'
import { argonaut, carin, stu3, uscdiV1, uscdiV3, uscdiV4, wholeRecord } from './plans/index.js'
import { testPlatform } from './testing/index.js'

let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await startSandbox({ people: ['daniel'] })
})
afterAll(() => sandbox.stop())
beforeEach(() => {
  sandbox.faults.clear()
  sandbox.clearRequests()
})

async function connect(plan: Plan): Promise<Connection> {
  const client = createClient({
    platform: testPlatform(),
    redirectUri: 'http://127.0.0.1:9/callback',
    providers: [sandbox.provider],
    plan,
  })
  const { url } = await client.authorize(sandbox.provider.id)
  return client.callback(await sandbox.approve(url, { patient: 'daniel' }))
}

describe('plans of US Core', () => {
  test('4.1 each USCDI asks for what the one before asks for, and more; all of it is of US Core', () => {
    const names = [uscdiV1, uscdiV3, uscdiV4, usCore].map((plan: Plan) =>
      plan.classes.map(({ name }) => name),
    )
    for (const [at, some] of names.slice(0, -1).entries()) {
      expect(names[at + 1]).toEqual(expect.arrayContaining(some))
      expect(names[at + 1]?.length).toBeGreaterThan(some.length)
    }
  })

  test.each([uscdiV1, uscdiV3, uscdiV4, wholeRecord] as readonly Plan[])(
    '4.2 $id is collected whole, and what a server does not offer is said',
    async (plan) => {
      const record = await collect(await connect(plan), { plan })
      expect(record.completeness).toHaveLength(plan.classes.length)
      for (const { dataClass, status } of record.completeness)
        expect([dataClass, status]).toEqual([
          dataClass,
          expect.stringMatching(/^(received|none|not-supported)$/),
        ])
      expect(record.count('Laboratory')).toBeGreaterThan(0)
    },
  )

  test('4.2 row 31 claims, with what they point to', async () => {
    const claim = {
      resourceType: 'ExplanationOfBenefit',
      id: 'claim-1',
      status: 'active',
      patient: { reference: 'Patient/daniel' },
      insurer: { reference: 'Organization/prairie-health-plan' },
    }
    sandbox.records.put(claim)
    const record = await collect(await connect(carin), { plan: carin })
    expect(record.completeness.map(({ dataClass, status }) => [dataClass, status])).toEqual([
      ['Patient', 'received'],
      ['Claims', 'received'],
      ['Insurance', expect.stringMatching(/received|none/)],
    ])
    expect(record.count('Organization')).toBeGreaterThan(0)
  })
})

describe('operations', () => {
  const documents = usCore.only('Documents')
  const found = (record: Awaited<ReturnType<typeof collect>>) => record.completeness[0]

  test('4.2 row 9 $docref is asked beside the searches, and what both bring is held once', async () => {
    const record = await collect(await connect(documents), { plan: documents })
    expect(sandbox.requests.some(({ path }) => path.includes('/$docref?patient=daniel'))).toBe(true)
    const [search, operation] = found(record)?.queries ?? []
    expect(operation?.count).toBe(search?.count)
    expect(record.count('Documents')).toBe(search?.count)
  })

  test('4.2 row 9 a document that only $docref brings is in the record', async () => {
    sandbox.faults.add({
      match: ({ path }) => path.startsWith('/fhir/DocumentReference?'),
      respond: () =>
        new Response('{"resourceType":"Bundle","type":"searchset"}', {
          headers: { 'content-type': 'application/fhir+json' },
        }),
    })
    const record = await collect(await connect(documents), { plan: documents })
    expect(record.count('Documents')).toBeGreaterThan(0)
    expect(found(record)?.status).toBe('received')
  })

  test.each([400, 403, 404, 500, 501])(
    'a server without $docref (%i) lacks nothing, and it is reported',
    async (status) => {
      sandbox.faults.add({
        match: ({ path }) => path.includes('$docref'),
        respond: () => new Response('', { status }),
      })
      const record = await collect(await connect(documents), { plan: documents })
      expect(found(record)?.status).toBe('received')
      expect(found(record)?.queries[1]?.status).not.toBe('received')
    },
  )
})

test('4.2 row 29 the roles of clinicians are found by their clinicians; a server without them loses nothing', async () => {
  const plan = usCore.only('Procedures', 'Encounters', 'Clinicians')
  const record = await collect(await connect(plan), { plan })
  expect(record.count('PractitionerRole')).toBeGreaterThan(0)
  for (const role of record.resources('PractitionerRole'))
    expect([...record.lines('Practitioner')].join()).toContain(
      (role as { practitioner?: { reference?: string } }).practitioner?.reference?.split('/')[1],
    )
  sandbox.faults.add({
    match: ({ path }) => path.startsWith('/fhir/PractitionerRole'),
    respond: () => new Response('', { status: 403 }),
  })
  const without = await collect(await connect(plan), { plan })
  expect(without.completeness).toEqual(
    expect.arrayContaining([expect.objectContaining({ dataClass: 'Clinicians', status: 'received' })]),
  )
})

test('2 a search as NDJSON is each resource as the server wrote it, one a line', async () => {
  const connection = await connect(usCore)
  const record = await collect(connection, { plan: usCore.only('Laboratory') })
  const search = { patient: 'daniel', category: 'laboratory', _count: 7 } as const
  let text = ''
  for await (const bytes of connection.search('Observation', search).ndjson())
    text += new TextDecoder().decode(bytes)
  expect(text.trimEnd().split('\n').sort()).toEqual([...record.lines('Observation')].sort())
})

describe('servers of before R4', () => {
  const stops: (() => Promise<void>)[] = []
  afterEach(async () => {
    await Promise.all(stops.splice(0).map((stop) => stop()))
  })

  test.each([
    ['DSTU2', argonaut, 'MedicationOrder'],
    ['STU3', stu3, 'MedicationRequest'],
  ] as const)(
    '4.8 %s: its own types under the names that the participant knows',
    async (fhirVersion, plan, medication) => {
      const ehr = await scriptedEhr({ provider: { fhirVersion, plan } })
      stops.push(() => ehr.server.stop())
      const granted = plan.classes.map(({ type }) => `patient/${type}.read`)
      ehr.answers.set('/token', (_, response) =>
        json(response, {
          ...{ access_token: 'a', token_type: 'Bearer', patient: 'p1' },
          scope: ['launch/patient', 'patient/Medication.read', ...granted].join(' '),
        }),
      )
      const asked: string[] = []
      const serve = (type: string, resources: readonly object[]): void => {
        ehr.answers.set(`/fhir/${type}`, (request, response) => {
          asked.push(request.path)
          if (fhirVersion === 'DSTU2' && !request.headers.accept?.includes('application/json+fhir'))
            return json(response, {}, 406)
          json(response, {
            resourceType: 'Bundle',
            type: 'searchset',
            entry: resources.map((resource) => ({ resource: { resourceType: type, ...resource } })),
          })
        })
      }
      ehr.answers.set('/fhir/Patient/p1', (_, response) =>
        json(response, { resourceType: 'Patient', id: 'p1' }),
      )
      for (const { type } of plan.classes) if (type !== 'Patient') serve(type, [])
      const patient = { reference: 'Patient/p1' }
      serve(medication, [{ id: 'm1', patient, medicationReference: { reference: 'Medication/x' } }])
      ehr.answers.set('/fhir/Medication/x', (_, response) =>
        json(response, { resourceType: 'Medication', id: 'x' }),
      )
      serve('CarePlan', [{ id: 'team', subject: patient }])
      serve('CareTeam', [{ id: 'team', subject: patient }])
      // Somebody else's, of a type that R4 does not have.
      serve('MedicationStatement', [{ id: 's1', patient: { reference: 'Patient/other' } }])

      const connection = await ehr.connect()
      expect(connection.requestedScopes).toContain(`patient/${medication}.rs`)
      const record = await collect(connection, { plan })
      expect(record.count('Medications')).toBe(1)
      expect(record.count('Medication')).toBe(1)
      expect(record.count('Care Team')).toBe(1)
      expect(record.issues).toEqual([expect.objectContaining({ kind: 'other-patient' })])
      expect(record.completeness.every(({ status }) => /received|none/.test(status))).toBe(true)
      if (fhirVersion === 'DSTU2') expect(asked.some((path) => path.includes('category=careteam'))).toBe(true)
    },
  )
})
