import { describe, expect, test } from 'vitest'
import { generateRecords } from '../data/index.js'
import { createRepository, type Repository } from './repository.js'
import type { Access } from './server.js'
import { type Asker, asker } from './test-support/ask.js'

const repository: Repository = createRepository(generateRecords({ only: ['daniel', 'camila', 'leo'] }))
const withScopes = (...scopes: string[]): Asker => asker(repository, { scopes, patient: 'daniel' })
const count = async (asked: Asker, path: string): Promise<number | undefined> =>
  (await asked.bundle(`${path}${path.includes('?') ? '&' : '?'}_summary=count`)).total
const system = 'http://terminology.hl7.org/CodeSystem/observation-category'

describe('scopes', () => {
  test.each([
    'patient/Observation.read',
    'patient/*.read',
    'patient/Observation.rs',
    'patient/*.cruds',
    'patient/Observation.*',
  ])('N-09 %s opens observations to read and to search', async (scope) => {
    const asked = withScopes(scope)
    expect((await asked.request('Observation/daniel-observation-1')).status).toBe(200)
    expect(await count(asked, 'Observation')).toBe([...repository.of('daniel', 'Observation')].length)
  })

  test.each([
    ['patient/Observation.r', 200, 403],
    ['patient/Observation.s', 403, 200],
    ['patient/Observation.cud', 403, 403],
    ['patient/Observation.write', 403, 403],
    ['patient/Observation.sr', 403, 403],
    ['patient/Observation.', 403, 403],
    ['patient/Condition.rs', 403, 403],
    ['Observation.rs', 403, 403],
    ['openid', 403, 403],
    ['http://smarthealthit.org/fhir/scopes/patient/Observation.rs', 200, 200],
  ])('N-01 %s reads with %i and searches with %i', async (scope, read, search) => {
    const asked = withScopes(scope)
    expect((await asked.request('Observation/daniel-observation-1')).status).toBe(read)
    expect((await asked.request('Observation?patient=daniel')).status).toBe(search)
  })

  test('L-07 a 403 for want of a scope says which', async () => {
    const response = await withScopes('patient/Condition.rs').request('Observation?patient=daniel')
    expect(response.headers.get('www-authenticate')).toBe(
      'Bearer error="insufficient_scope", scope="patient/Observation.s"',
    )
  })

  test('L-09 patient/ opens one record: neither search, read, $everything nor compartment opens another', async () => {
    const asked = withScopes('patient/*.rs')
    for (const path of [
      'Observation?patient=camila',
      'Observation?patient=Patient/camila',
      'Observation?subject=Patient/camila',
      'Patient/camila/Observation',
    ]) {
      expect([path, (await asked.request(path)).status]).toEqual([path, 403])
    }
    for (const path of ['Patient/camila', 'Observation/camila-observation-1', 'Patient/camila/$everything']) {
      expect([path, (await asked.request(path)).status]).toEqual([path, 404])
    }
    for (const path of [
      'Observation',
      'Observation?_id=camila-observation-1,daniel-observation-1',
      'Observation?patient=camila,daniel',
      'Condition?_include=*&_revinclude=*',
      'Encounter?_revinclude=Observation:encounter',
      'Practitioner?_revinclude:iterate=*',
      'Provenance?_include:iterate=*',
    ]) {
      const { entry = [] } = await asked.bundle(path)
      const strangers = entry.filter(({ resource }) => /^(camila|leo)/.test(resource?.id ?? ''))
      expect([path, entry.length > 0, strangers]).toEqual([path, true, []])
    }
  })

  test('L-09 no search tells of another record by what it finds', async () => {
    const asked = withScopes('patient/*.rs')
    // Grace Adeyemi sees Daniel and Camila; only Camila is pregnant.
    expect(await count(asked, 'Practitioner?_id=grace-adeyemi')).toBe(1)
    expect(
      await count(asked, 'Practitioner?_id=grace-adeyemi&_has:Patient:general-practitioner:_id=daniel'),
    ).toBe(1)
    expect(
      await count(asked, 'Practitioner?_id=grace-adeyemi&_has:Patient:general-practitioner:_id=camila'),
    ).toBe(0)
    expect(
      await count(
        withScopes('user/*.rs'),
        'Practitioner?_id=grace-adeyemi&_has:Patient:general-practitioner:_id=camila',
      ),
    ).toBe(1)
    expect(await count(withScopes('patient/Observation.rs'), 'Observation?encounter.class=AMB')).toBe(0)
  })

  test('L-09 what records share is seen only where the record leads to it', async () => {
    const asked = withScopes('patient/*.rs')
    const practitioners = await asked.ids('Practitioner')
    expect(practitioners).toContain('tomas-lindqvist')
    expect(practitioners).not.toContain('hana-sato')
    expect((await asked.request('Practitioner/hana-sato')).status).toBe(404)
    expect((await asked.request('Medication/atorvastatin')).status).toBe(200)
    expect((await asked.request('Medication/glargine')).status).toBe(404)
    expect(await asked.ids('PractitionerRole?practitioner=tomas-lindqvist')).toEqual(['tomas-lindqvist-role'])
    expect((await asked.request('Binary/daniel-binary-1')).status).toBe(200)
    expect((await asked.request('Binary/camila-binary-1')).status).toBe(404)
  })

  test('a patient/ scope without a launch patient opens nothing', async () => {
    const asked = asker(repository, { scopes: ['patient/*.rs'] })
    expect((await asked.request('Observation')).status).toBe(403)
    expect((await asked.request('Patient/daniel')).status).toBe(403)
  })

  test.each(['user/Observation.rs', 'system/*.read'])('%s opens every record', async (scope) => {
    expect(await count(withScopes(scope), 'Observation?patient=camila')).toBeGreaterThan(50)
  })

  test('N-06 N-14 a granular scope filters without a word', async () => {
    const asked = withScopes(
      `patient/Observation.rs?category=${system}|laboratory`,
      `patient/Observation.rs?category=${system}|social-history`,
    )
    const everything = withScopes('patient/*.rs')
    const laboratory = await count(everything, 'Observation?category=laboratory')
    const social = await count(everything, 'Observation?category=social-history')
    expect(await count(asked, 'Observation')).toBe((laboratory ?? 0) + (social ?? 0))
    expect(await count(asked, 'Observation?category=vital-signs')).toBe(0)
    expect((await asked.request('Observation/daniel-observation-1')).status).toBe(404)
  })

  test.each([
    'patient/Observation.rs?nonsense=1',
    'patient/Observation.rs?category:in=x',
    'patient/Observation.rs?date=nonsense',
    'patient/Observation.rs?',
    'patient/Observation.rs?&',
    `patient/Observation.rs?category=${system}|laboratory&nonsense=1`,
  ])('N-07 a constraint that is not understood, as in %s, opens nothing', async (scope) => {
    const response = await withScopes(scope).request('Observation')
    const { total } = (await response.json()) as { total?: number }
    expect(response.status === 403 || total === 0).toBe(true)
  })

  test('an include needs a scope of its own type, else it is left out', async () => {
    const path =
      'MedicationRequest?_include=MedicationRequest:medication&_include=MedicationRequest:requester'
    const modes = async (...scopes: string[]): Promise<string[]> =>
      (await withScopes('patient/MedicationRequest.rs', ...scopes).entries(path)).filter((one) =>
        one.startsWith('include'),
      )
    expect(await modes()).toEqual([])
    expect(await modes('patient/Medication.r')).toEqual(['include Medication/atorvastatin'])
    expect(await modes('patient/Practitioner.rs')).toEqual(['include Practitioner/grace-adeyemi'])
  })

  test('a page chain of another token shows only what the token that asks for it opens', async () => {
    let access: Access = { scopes: ['system/*.rs'] }
    const asked = asker(repository, access, { authorize: async () => access })
    const first = await asked.bundle('Observation?patient=camila&_count=10')
    const next = first.link?.find(({ relation }) => relation === 'next')?.url ?? ''
    access = { scopes: ['patient/*.rs'], patient: 'daniel' }
    const stolen = await asked.bundle(next)
    expect(stolen.entry ?? []).toEqual([])
  })
})
