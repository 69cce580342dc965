import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createRepository, type Resource } from '../fhir/index.js'
import { textOf } from '../fhir/json-text.js'
import { generateRecords, loadFolder, people } from './index.js'

const countsOf = (resources: Iterable<Resource>): Map<string, number> => {
  const counts = new Map<string, number>()
  for (const { resourceType } of resources) counts.set(resourceType, (counts.get(resourceType) ?? 0) + 1)
  return counts
}

const light = people.map(({ id }) => id).filter((id) => id !== 'omar')

describe('the built-in people', () => {
  test('F22 cover every type of US Core', () => {
    const types = countsOf(generateRecords({ only: light }))
    const expected = `AllergyIntolerance Binary CarePlan CareTeam Condition Coverage Device DiagnosticReport DocumentReference Encounter
      FamilyMemberHistory Goal Immunization Location Medication MedicationDispense MedicationRequest Observation Organization Patient
      Practitioner PractitionerRole Procedure Provenance QuestionnaireResponse RelatedPerson ServiceRequest Specimen`
    expect([...types.keys()].sort()).toEqual(expected.split(/\s+/))
  })

  test('reach from next to nothing over a child of about 60 resources to 20,000 observations', () => {
    const own = (id: string): number =>
      [...generateRecords({ only: [id] })].filter((resource) => String(resource.id).startsWith(id)).length
    expect(own('noor')).toBeLessThan(5)
    expect(own('mia')).toBeGreaterThan(50)
    expect(own('mia')).toBeLessThan(90)
    expect(own('walter')).toBeGreaterThan(2000)
    expect(countsOf(generateRecords({ only: ['omar'] })).get('Observation')).toBeGreaterThanOrEqual(20_000)
  })

  test('are the same for the same seed and others for another', () => {
    const bytes = (seed: number): string => JSON.stringify([...generateRecords({ seed, only: ['camila'] })])
    expect(bytes(1)).toBe(bytes(1))
    expect(bytes(1)).not.toBe(bytes(2))
  })

  test('have ids of their own, and no reference that leads nowhere', () => {
    const repository = createRepository()
    const ids = new Set<string>()
    const references: string[] = []
    for (const resource of generateRecords({ only: light })) {
      const key = `${resource.resourceType}/${String(resource.id)}`
      expect(ids.has(key)).toBe(false)
      ids.add(key)
      repository.put(resource)
      for (const [, reference = ''] of JSON.stringify(resource).matchAll(/"reference":"([A-Z][^"]+)"/g))
        references.push(reference)
      for (const [, url = ''] of JSON.stringify(resource).matchAll(/"url":"(Binary\/[^"]+)"/g))
        references.push(url)
    }
    expect(references.filter((reference) => !ids.has(reference))).toEqual([])
  })
})

describe('a folder', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 's4s-data-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  const bundle = `{ "resourceType": "Bundle", "type": "transaction", "entry": [
    { "fullUrl": "urn:uuid:1", "resource": { "resourceType": "Patient", "id": "p" } },
    { "fullUrl": "urn:uuid:2", "resource": { "resourceType": "Practitioner", "id": "d", "identifier": [{ "system": "http://hl7.org/fhir/sid/us-npi", "value": "9" }] } },
    { "resource": { "resourceType": "Observation", "id": "o", "subject": { "reference": "urn:uuid:1" }, "valueQuantity": { "value": 1.00 },
      "performer": [{ "reference": "Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|9" }, { "reference": "Organization?identifier=x|y" }] } }
  ] }`

  test('of Bundles is served with its references resolved and its digits kept', async () => {
    await writeFile(join(folder, 'a.json'), bundle)
    const observation = (await loadFolder(folder)).find(({ id }) => id === 'o')
    expect(observation).toMatchObject({
      subject: { reference: 'Patient/p' },
      performer: [{ reference: 'Practitioner/d' }, { reference: 'Organization?identifier=x|y' }],
    })
    expect(textOf(observation as Resource)).toContain('"value":1.00')
  })

  test('may hold NDJSON and single resources too; the last of one id counts', async () => {
    await writeFile(
      join(folder, 'b.ndjson'),
      '{"resourceType":"Patient","id":"p","active":true}\n\n{"resourceType":"Patient","id":"q"}\n',
    )
    await writeFile(join(folder, 'c.json'), '\uFEFF{"resourceType":"Patient","id":"r"}')
    const patients = (await loadFolder(folder)).filter(({ resourceType }) => resourceType === 'Patient')
    expect(patients).toEqual([
      { resourceType: 'Patient', id: 'p', active: true },
      expect.objectContaining({ id: 'q' }),
      expect.objectContaining({ id: 'r' }),
    ])
  })

  test.each([
    ['{', 'not JSON'],
    ['5', 'not a FHIR resource'],
    ['{"id":"x"}', 'not a FHIR resource'],
    ['{"resourceType":"Patient"}', 'has no id'],
    ['{"resourceType":"Bundle","entry":{}}', 'not a list'],
  ])('with a file of %s is refused by name', async (text, reason) => {
    const bad = await mkdtemp(join(tmpdir(), 's4s-data-'))
    await writeFile(join(bad, 'bad.json'), text)
    await expect(loadFolder(bad)).rejects.toThrow(new RegExp(`bad.json.*${reason}`))
    await rm(bad, { recursive: true })
  })

  test('that is not there, or empty, is refused', async () => {
    await expect(loadFolder(join(folder, 'nowhere'))).rejects.toThrow('no such folder')
    const empty = await mkdtemp(join(tmpdir(), 's4s-data-'))
    await expect(loadFolder(empty)).rejects.toThrow('no FHIR')
    await rm(empty, { recursive: true })
  })

  const synthea = join(import.meta.dirname, '../../../../../shared/data/synthea')
  test.skipIf(!existsSync(synthea))(
    'of Synthea loads unchanged, every reference inside it resolved',
    async () => {
      const resources = await loadFolder(synthea)
      expect(resources.filter(({ resourceType }) => resourceType === 'Patient').length).toBe(3)
      const all = resources.map(textOf).join('\n')
      expect(all).not.toContain('urn:uuid:')
    },
  )
})
