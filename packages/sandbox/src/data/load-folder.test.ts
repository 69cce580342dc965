import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createRepository, type Resource } from '../fhir/index.js'
import { loadFolder, RecordFileError } from './index.js'

const transaction = `{
  "resourceType": "Bundle",
  "type": "transaction",
  "entry": [
    { "fullUrl": "urn:uuid:11111111-0000-0000-0000-000000000001",
      "resource": { "resourceType": "Patient", "id": "11111111-0000-0000-0000-000000000001",
        "name": [{ "family": "Quo\\"ted \\\\", "given": ["urn:uuid:11111111-0000-0000-0000-000000000001"] }] },
      "request": { "method": "POST", "url": "Patient" } },
    { "fullUrl": "urn:uuid:11111111-0000-0000-0000-000000000002",
      "resource": { "resourceType": "Practitioner",
        "identifier": [{ "system": "http://hl7.org/fhir/sid/us-npi", "value": "9999912345" }] },
      "request": { "method": "POST", "url": "Practitioner" } },
    { "fullUrl": "urn:uuid:11111111-0000-0000-0000-000000000003",
      "resource": { "resourceType": "Observation", "id": "11111111-0000-0000-0000-000000000003",
        "status": "final",
        "subject": { "reference": "urn:uuid:11111111-0000-0000-0000-000000000001" },
        "encounter": { "reference" : "urn:uuid:99999999-0000-0000-0000-000000000009" },
        "performer": [
          { "reference": "Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|9999912345" },
          { "reference": "Organization?identifier=https://example.org|nowhere" }
        ],
        "valueQuantity": { "value": 1.00, "unit": "mg/dL" } } }
  ]
}`

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'records-'))
})
afterEach(() => rm(folder, { recursive: true }))

const byType = (resources: readonly Resource[], type: string): Resource | undefined =>
  resources.find(({ resourceType }) => resourceType === type)

describe('a folder of records', () => {
  test('a transaction Bundle comes with its references resolved and its digits kept', async () => {
    await writeFile(join(folder, 'bundle.json'), transaction)
    const resources = await loadFolder(folder)
    const practitioner = byType(resources, 'Practitioner')
    expect(practitioner?.id).toBe('11111111-0000-0000-0000-000000000002')
    expect(byType(resources, 'Observation')).toMatchObject({
      subject: { reference: 'Patient/11111111-0000-0000-0000-000000000001' },
      encounter: { reference: 'urn:uuid:99999999-0000-0000-0000-000000000009' },
      performer: [
        { reference: `Practitioner/${practitioner?.id}` },
        { reference: 'Organization?identifier=https://example.org|nowhere' },
      ],
    })
    expect(byType(resources, 'Patient')).toMatchObject({
      name: [{ family: 'Quo"ted \\', given: ['urn:uuid:11111111-0000-0000-0000-000000000001'] }],
    })
    const served = createRepository(resources).get('Observation', '11111111-0000-0000-0000-000000000003')
    expect(served?.text).toContain('"value":1.00,')
    expect(served?.owners).toEqual(new Set(['11111111-0000-0000-0000-000000000001']))
  })

  test('a reference by identifier is resolved across files', async () => {
    await writeFile(
      join(folder, 'a.ndjson'),
      '{"resourceType":"Encounter","id":"e","serviceProvider":{"reference":"Organization?identifier=urn:x|7"}}\n',
    )
    await mkdir(join(folder, 'more'))
    await writeFile(
      join(folder, 'more', 'b.json'),
      '{"resourceType":"Organization","id":"o","identifier":[{"system":"urn:x","value":"7"}]}',
    )
    expect(byType(await loadFolder(folder), 'Encounter')).toMatchObject({
      serviceProvider: { reference: 'Organization/o' },
    })
  })

  test('PR-11 NDJSON is kept to the digit, and of two with one id the last counts', async () => {
    const line = '{"resourceType":"Observation","id":"o","valueQuantity":{"value":7.10,"unit":"%"}}'
    await writeFile(join(folder, 'a.ndjson'), `{"resourceType":"Observation","id":"o"}\n\n${line}\r\n`)
    const resources = await loadFolder(folder)
    expect(resources.length).toBe(1)
    expect(createRepository(resources).get('Observation', 'o')?.text).toContain('"value":7.10,')
  })

  test('what was changed after it was loaded is served as it was changed', async () => {
    await writeFile(join(folder, 'a.json'), '{"resourceType":"Observation","id":"o","valueInteger":1}')
    const [loaded] = await loadFolder(folder)
    Object.assign(loaded as object, { valueInteger: 2 })
    const served = createRepository([loaded as Resource]).get('Observation', 'o')
    expect(served?.resource.valueInteger).toBe(2)
  })

  test.each([
    ['a.json', '{"resourceType":"Patient"', /is no JSON/],
    ['a.json', '[]', /no JSON object/],
    ['a.json', 'null', /no JSON object/],
    ['a.json', '{"id":"x"}', /no resourceType/],
    ['a.json', '{"resourceType":"Patient"}', /has no id/],
    ['a.json', '{"resourceType":"Patient","id":"../x"}', /has no id/],
    ['a.json', '{"resourceType":"Bundle","entry":{}}', /no list/],
    ['a.json', '{"resourceType":"Bundle","entry":[1]}', /entry 1/],
    ['a.json', '{"resourceType":"Bundle","entry":[{"resource":{"id":"x"}}]}', /entry 1 has no resourceType/],
    ['a.ndjson', '{"resourceType":"Patient","id":"p"}\nnonsense', /line 2 is no JSON/],
    ['note.txt', 'nothing to read', /no \.json or \.ndjson/],
  ])('%s with %s is an error that names the file and the reason', async (name, text, reason) => {
    await writeFile(join(folder, name), text)
    const failure = await loadFolder(folder).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(RecordFileError)
    expect(String(failure)).toMatch(reason)
    expect((failure as RecordFileError).file).toContain(folder)
  })

  test('a folder that is not there is an error that names it', async () => {
    await expect(loadFolder(join(folder, 'nowhere'))).rejects.toThrow(/nowhere: there is no such folder/)
  })
})

// Four megabytes that this repository does not carry: run where they lie beside it. The shapes are in the tests above.
const synthea = join(import.meta.dirname, '../../../../../shared/data/synthea')
if (existsSync(synthea)) {
  test('three patients of Synthea load, with no urn:uuid left and every Observation about one of them', async () => {
    const resources = await loadFolder(synthea)
    const repository = createRepository(resources)
    const patients = new Set(repository.patients().map(({ id }) => id as string))
    expect(patients.size).toBe(3)
    expect(resources.length).toBe(1130)
    expect(JSON.stringify(resources)).not.toContain('"urn:uuid:')
    const observations = [...repository.all('Observation')]
    expect(observations.length).toBe(297 + 79 + 80)
    expect(observations.filter(({ owners }) => ![...owners].every((id) => patients.has(id)))).toEqual([])
  })
}
