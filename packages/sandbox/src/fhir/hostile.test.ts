import { describe, expect, test } from 'vitest'
import { generateRecords } from '../data/index.js'
import { createRandom } from '../data/random.js'
import { knownTypes, parametersOf } from './parameters.js'
import { createRepository } from './repository.js'
import { asker } from './test-support/ask.js'

const asked = asker(createRepository(generateRecords({ only: ['leo'] })), {
  scopes: ['patient/*.rs'],
  patient: 'leo',
})
const nasty: readonly [string, ...string[]] = [
  '',
  ' ',
  '%',
  '%00',
  '%ff%fe',
  '|',
  '||',
  ',',
  ',,,',
  '\\',
  '\\,',
  '$',
  '*',
  '..',
  '../..',
  'null',
  'undefined',
  'NaN',
  '__proto__',
  'constructor',
  'toString',
  'Patient/',
  'Patient/leo',
  '/leo',
  'Patient/leo/_history/1',
  '#x',
  'urn:uuid:x',
  'http://',
  'http://[',
  'ge',
  'gt2020',
  'ge9999-12-31',
  '0000',
  '-1',
  '1e99',
  '2020-01-01T25:00:00Z',
  'true',
  'false',
  '😀',
  '\u0000',
  '\ud800',
  'a'.repeat(5000),
  ','.repeat(3000),
  '|'.repeat(3000),
  '\\'.repeat(3001),
  '('.repeat(50),
  '[a-z]+$',
]
const keys: readonly [string, ...string[]] = [
  '_id',
  '_lastUpdated',
  '_count',
  '_sort',
  '_summary',
  '_total',
  '_include',
  '_include:iterate',
  '_revinclude',
  '_has',
  '_has:Observation:patient:code',
  '_has:x:y:z:_has:a:b:c',
  '_page',
  '_format',
  '_tag',
  '_profile',
  '__proto__',
  'constructor',
  'patient',
  'patient:missing',
  'patient:Patient',
  'patient.name',
  'subject:Patient.name',
  'subject.subject.subject',
  'code',
  'code:not',
  'code:text',
  'code:above',
  'date',
  'date:missing',
  'category',
  ':',
  '::',
  '.',
  '..',
  'a.b.c',
  '',
  '%',
]

describe('nothing that an address says makes the server fail', () => {
  test('random queries are answered, and with FHIR', async () => {
    const random = createRandom(7, 'hostile')
    const types = [
      'Patient',
      'Observation',
      'Nonsense',
      '__proto__',
      'constructor',
      'Observation/_search',
      'Patient/leo/Observation',
      'Patient/leo/$everything',
      '',
      'Binary',
      'DocumentReference/$docref',
    ] as const
    const failed: string[] = []
    for (let round = 0; round < 3000; round++) {
      const pairs = Array.from({ length: random.between(1, 4) }, () => {
        const [key, value] = [random.pick(keys), random.pick(nasty)]
        return random.chance(0.5)
          ? `${key}=${value}`
          : `${encodeURIComponent(key)}=${encodeURIComponent(value.replace(/\p{Surrogate}/gu, ''))}`
      })
      const path = `${random.pick(types)}?${pairs.join('&')}`
      const response = await asked.request(path)
      const { resourceType } = (await response.json()) as { resourceType?: string }
      if (response.status >= 500 || !['Bundle', 'OperationOutcome'].includes(resourceType ?? ''))
        failed.push(path)
    }
    expect(failed).toEqual([])
  })

  test('every parameter of every type takes every value', async () => {
    const failed: string[] = []
    for (const type of knownTypes) {
      for (const name of parametersOf(type).keys()) {
        for (const value of ['x', '|', 'ge2020', 'Patient/leo', ',,', '__proto__', 'a|b|c']) {
          const path = `${type}?${name}=${encodeURIComponent(value)}`
          const { status } = await asked.request(path)
          if (status !== 200 && status !== 400) failed.push(`${status} ${path}`)
        }
      }
    }
    // A patient that is not the launch patient is refused, whatever its name.
    expect(failed.filter((line) => !/^403 .*(patient|subject|beneficiary)=/.test(line))).toEqual([])
  })

  test.each([
    'Patient/__proto__',
    'constructor/constructor',
    'Patient/leo/../../x',
    'Patient//leo',
    '//',
    'Patient/%00',
    'Patient/leo%2f$everything',
    `Patient/${'x'.repeat(10_000)}`,
    'Patient/leo/__proto__',
    '%5f_proto__/x',
  ])('%s is an error of the client', async (path) => {
    const response = await asked.request(path)
    expect(response.status).toBeGreaterThanOrEqual(400)
    expect(response.status).toBeLessThan(500)
    expect(((await response.json()) as { resourceType: string }).resourceType).toBe('OperationOutcome')
  })

  test('resources of strange shapes are stored, found and served', async () => {
    const repository = createRepository([
      { resourceType: 'Patient', id: 'p', name: 'not a list', birthDate: 7, identifier: [null, 'x', {}] },
      {
        resourceType: 'Observation',
        id: 'a',
        subject: null,
        code: [],
        effectiveDateTime: {},
        category: [[[]]],
      },
      {
        resourceType: 'Observation',
        id: 'b',
        subject: 'Patient/p',
        code: { coding: 'x' },
        performer: { reference: 5 },
      },
      {
        resourceType: 'Observation',
        id: 'c',
        subject: [{ reference: 'Patient/p' }],
        effectivePeriod: { start: 'x' },
      },
      { resourceType: 'Provenance', id: 'd', target: 'Observation/c' },
      { resourceType: 'Binary', id: 'e', data: 5, contentType: {} },
    ])
    const open = asker(repository)
    for (const type of ['Patient', 'Observation', 'Provenance', 'Binary']) {
      for (const name of parametersOf(type).keys()) {
        const { status } = await open.request(`${type}?${name}=2020`)
        expect([type, name, status === 200 || status === 400]).toEqual([type, name, true])
      }
    }
    expect((await open.request('Binary/e')).status).toBe(200)
    expect((await open.request('Observation?_include=*&_revinclude=*')).status).toBe(200)
  })

  test('what has no type or no proper id is not stored', () => {
    const repository = createRepository()
    for (const resource of [
      { resourceType: 'Patient' },
      { resourceType: 'Patient', id: '../x' },
      { resourceType: 'x', id: '1' },
      { id: '1' },
    ]) {
      expect(() => repository.put(resource as never)).toThrow(TypeError)
    }
  })
})
