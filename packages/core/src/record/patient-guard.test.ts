import { expect, test } from 'vitest'
import { isAboutAnother, namesOfPatients } from './patient-guard.js'

const about = (reference: unknown, element = 'subject', resourceType = 'Observation'): boolean =>
  isAboutAnother({ resourceType, [element]: reference }, 'p1')

test.each([
  'Patient/p2',
  'https://ehr.example/r4/Patient/p2',
  'https://elsewhere.example/Patient/p2/_history/1',
  'Patient/p2?x=Patient/p1',
  'Patient/p2#Patient/p1',
  ' Patient/p2 ',
  'Patient/p1x',
  'Patient/P1',
  'Patient/p1%20',
  'Patient/',
  'Patient/p1/Patient/p2',
])('PR-13 %j names another patient', (reference) => {
  expect(about({ reference })).toBe(true)
})

test.each([
  'Patient/p1',
  'https://ehr.example/r4/Patient/p1',
  'Patient/p1/_history/7',
  '#p2',
  'urn:uuid:0b0f2cf4-9a4c-4a5c-8f0b-0a4e1f0a0a0a',
  'Group/p2',
  'Device/p2',
  '',
])('PR-13 %j does not name another patient', (reference) => {
  expect(about({ reference })).toBe(false)
})

test.each([
  undefined,
  null,
  5,
  'Patient/p2',
  [],
  {},
  { reference: null },
  { reference: 5 },
  { display: 'x' },
])('PR-13 %j says nothing', (reference) => {
  expect(about(reference)).toBe(false)
})

test('PR-13 each element that binds a resource to a patient counts', () => {
  const other = { reference: 'Patient/p2' }
  for (const element of ['subject', 'patient', 'beneficiary']) expect(about(other, element)).toBe(true)
  expect(about(other, 'for', 'Task')).toBe(true)
  expect(about(other, 'candidate', 'EnrollmentRequest')).toBe(true)
  expect(about(other, 'individual', 'ResearchSubject')).toBe(true)
  expect(about(other, 'policyHolder', 'Coverage')).toBe(false)
  expect(about([other, { reference: 'Patient/p1' }], 'subject', 'Account')).toBe(false)
  expect(about([other], 'subject', 'Account')).toBe(true)
  expect(
    isAboutAnother(
      { resourceType: 'Coverage', subject: { reference: 'Patient/p1' }, beneficiary: other },
      'p1',
    ),
  ).toBe(true)
})

test('T48 a Patient is about whom its id says', () => {
  expect(isAboutAnother({ resourceType: 'Patient', id: 'p1' }, 'p1')).toBe(false)
  expect(isAboutAnother({ resourceType: 'Patient', id: 'p2' }, 'p1')).toBe(true)
  expect(isAboutAnother({ resourceType: 'Patient' }, 'p1')).toBe(true)
})

test.each<[string, object, readonly string[] | undefined]>([
  ['one who is named', { subject: { reference: 'Patient/p1' } }, ['p1']],
  [
    'one who is named at this server',
    { subject: { reference: 'https://ehr.example/r4/Patient/p1' } },
    ['p1'],
  ],
  [
    'all whom one element names',
    { subject: [{ reference: 'Patient/p1' }, { reference: 'Patient/p2' }] },
    ['p1', 'p2'],
  ],
  [
    'only who is named by every element',
    {
      subject: [{ reference: 'Patient/p1' }, { reference: 'Patient/p2' }],
      patient: { reference: 'Patient/p2' },
    },
    ['p2'],
  ],
  [
    'nobody when elements disagree',
    { subject: { reference: 'Patient/p1' }, patient: { reference: 'Patient/p2' } },
    undefined,
  ],
  [
    'nobody when it is of another server',
    { subject: { reference: 'https://other.example/r4/Patient/p1' } },
    undefined,
  ],
  [
    'nobody when it only looks like this server',
    { subject: { reference: 'https://ehr.example/r4x/Patient/p1' } },
    undefined,
  ],
  ['everybody when it names no patient', { subject: { reference: 'Group/g1' } }, []],
])('T48 a resource without a record yet belongs to %s', (_, elements, expected) => {
  expect(namesOfPatients({ resourceType: 'Observation', ...elements }, 'https://ehr.example/r4/')).toEqual(
    expected,
  )
  expect(
    namesOfPatients({ resourceType: 'Patient', id: 'p1', ...elements }, 'https://ehr.example/r4'),
  ).toEqual(['p1'])
  expect(namesOfPatients('x', 'https://ehr.example/r4')).toBeUndefined()
})
