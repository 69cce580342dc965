import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { createRepository, type Resource } from '../fhir/index.js'
import { generateRecords, people, proxies } from './index.js'

const light = people.map(({ id }) => id).filter((id) => id !== 'priya')
const of = (...only: string[]): Resource[] => [...generateRecords({ only })]
const own = (id: string): Resource[] =>
  of(id).filter((resource) => resource.id === id || resource.id?.startsWith(`${id}-`))
const references = (resource: unknown): string[] =>
  [...JSON.stringify(resource).matchAll(/"(?:reference|url)":"([A-Z][A-Za-z]+\/[^"]+)"/g)].map(
    ([, key]) => key as string,
  )

describe('the built-in people', () => {
  test('between them have every type of US Core', () => {
    const types = new Set(of(...light).map(({ resourceType }) => resourceType))
    expect([...types].sort()).toEqual(
      `AllergyIntolerance Binary CarePlan CareTeam Condition Coverage Device DiagnosticReport DocumentReference
      Encounter FamilyMemberHistory Goal Immunization Location Medication MedicationDispense MedicationRequest
      Observation Organization Patient Practitioner PractitionerRole Procedure Provenance QuestionnaireResponse
      RelatedPerson ServiceRequest Specimen`.split(/\s+/),
    )
  })

  test.each([
    ['sam', 1, 5],
    ['leo', 50, 75],
    ['camila', 100, 180],
    ['daniel', 350, 500],
    ['eleanor', 2200, 2600],
  ])('%s has a record of %i to %i resources', (id, least, most) => {
    const { length } = own(id)
    expect(length).toBeGreaterThanOrEqual(least)
    expect(length).toBeLessThanOrEqual(most)
  })

  test('priya has more than 20,000 vital signs, and is made one after the other', () => {
    const iterator = generateRecords({ only: ['priya'] })[Symbol.iterator]()
    expect(iterator.next().done).toBe(false)
    const vital = own('priya').filter(
      (resource) =>
        resource.resourceType === 'Observation' && JSON.stringify(resource.category).includes('vital-signs'),
    )
    expect(vital.length).toBeGreaterThan(20_000)
  })

  test('are the same to the byte for a seed, alone or with others, and others for another seed', () => {
    const bytes = (options: Parameters<typeof generateRecords>[0]): string =>
      JSON.stringify([...generateRecords(options)].filter(({ id }) => id?.startsWith('eleanor')))
    const once = bytes({ only: ['eleanor'] })
    expect(bytes({ only: ['eleanor'] })).toBe(once)
    expect(bytes({ only: light })).toBe(once)
    expect(bytes({ only: ['eleanor'], seed: 2 })).not.toBe(once)
  })

  test('refer to nothing that is not there, have ids of their own and nothing later than the epoch', () => {
    for (const id of light) {
      const resources = of(id)
      const keys = new Set(resources.map((resource) => `${resource.resourceType}/${resource.id}`))
      expect(keys.size).toBe(resources.length)
      expect(resources.flatMap(references).filter((key) => !keys.has(key))).toEqual([])
      expect(
        resources.filter(({ meta }) => String(meta?.lastUpdated) > '2026-06-01T05').map((one) => one.id),
      ).toEqual([])
    }
  })

  test('FHIR has no null and no empty list, and neither have they', () => {
    const text = JSON.stringify(of(...light))
    expect(/:null|:\[\]|:\{\}|:""/.exec(text)?.[0]).toBeUndefined()
  })

  test('documents are as long as they say and have the hash that they say', () => {
    const resources = of(...light)
    const binaries = new Map(resources.map((resource) => [`Binary/${resource.id}`, resource.data as string]))
    const kinds = new Set<string>()
    for (const { content } of resources.filter(({ resourceType }) => resourceType === 'DocumentReference')) {
      for (const { attachment } of content as { attachment: Record<string, string | number> }[]) {
        const data = Buffer.from(String(attachment.data ?? binaries.get(String(attachment.url))), 'base64')
        kinds.add(attachment.data === undefined ? String(attachment.contentType) : 'inline')
        expect(data.byteLength).toBe(attachment.size)
        expect(createHash('sha1').update(data).digest('base64')).toBe(attachment.hash)
      }
    }
    expect([...kinds].sort()).toEqual(['application/pdf', 'inline', 'text/html', 'text/plain'])
  })

  test('medicines are named in all three ways', () => {
    const requests = of('daniel').filter(({ resourceType }) => resourceType === 'MedicationRequest')
    const kinds = requests.map(({ contained, medicationReference }) =>
      contained ? 'contained' : medicationReference ? 'reference' : 'inline',
    )
    expect(new Set(kinds)).toEqual(new Set(['contained', 'reference', 'inline']))
  })

  test('NPIs have the check digit that they need', () => {
    const digits = of('sam').flatMap(({ identifier }) =>
      ((identifier ?? []) as { system: string; value: string }[])
        .filter(({ system }) => system.endsWith('us-npi'))
        .map(({ value }) => `80840${value}`),
    )
    const luhn = (text: string): number =>
      [...text].reverse().reduce((sum, digit, index) => {
        const value = Number(digit) * (index % 2 === 0 ? 1 : 2)
        return sum + (value > 9 ? value - 9 : value)
      }, 0) % 10
    expect(digits.length).toBe(11)
    expect(digits.filter((text) => luhn(text) !== 0)).toEqual([])
  })

  test('the list of people says what their records say, and who acts for whom', () => {
    const repository = createRepository(of(...light))
    for (const { id, name, birthDate, gender } of people.filter((person) => light.includes(person.id))) {
      const [given, family] = name.split(' ')
      expect(repository.get('Patient', id)?.resource).toMatchObject({
        birthDate,
        gender,
        name: [{ given: expect.arrayContaining([given]), family }],
      })
    }
    for (const { patient, relatedPerson } of proxies) {
      const [type = '', id = ''] = relatedPerson.split('/')
      expect(repository.get(type, id)?.owners).toEqual(new Set([patient]))
    }
  })

  test('a person who is not there is a TypeError at once', () => {
    expect(() => generateRecords({ only: ['nobody'] })).toThrow(TypeError)
  })
})
