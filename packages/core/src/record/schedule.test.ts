import { expect, test } from 'vitest'
import { usCore } from '../plans/index.js'
import { longestFirst, schedule } from './schedule.js'

const plan = usCore.only('Patient', 'Laboratory', 'Tests and Imaging', 'Goals')
const typesFor = (...scopes: string[]): string[] => schedule(plan, scopes).queries.map((query) => query.type)

test.each([
  ['patient/*.read', 4],
  ['patient/*.rs', 4],
  ['user/*.*', 4],
  ['system/*.cruds', 4],
  ['patient/Goal.s', 1],
  ['patient/Goal.r', 1],
  ['patient/Observation.rs?category=http://x|laboratory', 1],
  ['patient/*.write', 0],
  ['patient/*.cud', 0],
  ['patient/Goals.read', 0],
  ['patient/.read', 0],
  ['patient/constructor.read', 0],
  ['launch/patient openid', 0],
  ['', 0],
])('PR-01 the scope %j grants %i of four classes', (scope, granted) => {
  expect(plan.classes.length - schedule(plan, [scope]).notGranted.length).toBe(granted)
})

test('PR-05 each category is a query of its own, in the order of the plan', () => {
  expect(typesFor('patient/*.rs')).toEqual(['Patient', ...Array(6).fill('Observation'), 'Goal'])
})

test('the patient is read by id whatever since says; searches ask for what is newer', () => {
  const since = new Date(7 * 86_400_000)
  const [patient, ...searches] = schedule(plan, ['patient/*.rs'], since).queries
  expect(patient).toMatchObject({ kind: 'read', search: {} })
  for (const query of searches) expect(query.search._lastUpdated).toBe('gt1970-01-01T00:00:00.000Z')
})

test('N-14 what was granted by category is asked for by category, and no wider', () => {
  const system = 'http://terminology.hl7.org/CodeSystem'
  const grants = [
    `patient/Condition.rs?category=${system}/condition-category|problem-list-item`,
    'patient/Condition.rs?category=encounter-diagnosis',
    // As US Core once wrote it.
    'patient/Observation.rs?category=http://terminology.hl7.org//CodeSystem-observation-category|social-history',
    'patient/Goal.rs?status=active',
  ]
  const all = usCore.only('Problems', 'Social History', 'Smoking Status', 'Laboratory', 'Goals')
  const { queries, notGranted, partlyGranted } = schedule(all, grants)
  expect(queries.map(({ type, search }) => [type, search])).toEqual([
    ['Condition', { category: `${system}/condition-category|problem-list-item` }],
    ['Condition', { category: 'encounter-diagnosis' }],
    [
      'Observation',
      {
        category: 'http://terminology.hl7.org//CodeSystem-observation-category|social-history',
        code: 'http://loinc.org|72166-2',
      },
    ],
    ['Observation', { category: `${system}/observation-category|social-history` }],
    ['Goal', { status: 'active' }],
  ])
  expect(notGranted.map(({ name }) => name)).toEqual(['Laboratory'])
  expect(partlyGranted.map(({ name }) => name)).toEqual(['Problems', 'Smoking Status', 'Goals'])
  expect(schedule(all, [...grants, 'patient/*.rs']).partlyGranted).toEqual([])
})

test('what comes along is asked for where US Core has it, and is no query of its own', () => {
  const { queries } = schedule(usCore.only('Patient', 'Goals', 'Specimens', 'Provenance', 'Clinicians'), [
    'patient/*.rs',
  ])
  expect(
    queries.map(({ kind, type, search, classes }) => [kind, type, search._revinclude, classes.length]),
  ).toEqual([
    ['read', 'Patient', undefined, 1],
    ['search', 'Goal', 'Provenance:target', 2],
    ['search', 'Specimen', undefined, 1],
    ['reference', 'Practitioner', undefined, 1],
  ])
})

test('after the patient, what is longest in most records begins first; the rest keeps the order of the plan', () => {
  const { queries } = schedule(
    usCore.only('Patient', 'Allergies', 'Vital Signs', 'Laboratory', 'Documents', 'Goals'),
    ['patient/*.rs'],
  )
  expect(longestFirst(queries, (query) => query).map(({ classes }) => classes[0]?.name)).toEqual([
    'Patient',
    'Laboratory',
    'Vital Signs',
    // Its searches and its operation.
    'Documents',
    'Documents',
    'Allergies',
    'Goals',
  ])
})
