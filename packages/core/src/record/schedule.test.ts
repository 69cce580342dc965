import { expect, test } from 'vitest'
import { usCore } from '../plans/index.js'
import { schedule } from './schedule.js'

const plan = usCore.only('Patient', 'Laboratory', 'Tests and Imaging', 'Goals')
const typesFor = (...scopes: string[]): string[] => schedule(plan, scopes).queries.map((query) => query.type)

test.each([
  ['patient/*.read', 4],
  ['patient/*.rs', 4],
  ['user/*.*', 4],
  ['system/*.cruds', 4],
  ['patient/Goal.s', 1],
  ['patient/Goal.r', 1],
  ['patient/Observation.rs?category=http://x|laboratory', 2],
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
  const since = new Date(0)
  const [patient, ...searches] = schedule(plan, ['patient/*.rs'], since).queries
  expect(patient).toMatchObject({ kind: 'read', search: {} })
  for (const query of searches) expect(query.search._lastUpdated).toBe('gt1970-01-01T00:00:00.000Z')
})
