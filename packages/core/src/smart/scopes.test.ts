import { expect, test } from 'vitest'
import { s4sPilot, usCore } from '../plans/index.js'
import { allows, parseScope, scopesOf, splitScopes } from './scopes.js'

test('N-03 resource scopes of both syntaxes are read, with their constraint', () => {
  expect(parseScope('patient/Observation.rs?category=http://x|laboratory')).toEqual({
    level: 'patient',
    type: 'Observation',
    actions: 'rs',
    query: 'category=http://x|laboratory',
  })
  expect(parseScope('user/*.read')).toEqual({ level: 'user', type: '*', actions: 'rs' })
})

test.each([
  'openid',
  'launch/patient',
  'patient/Observation.sr',
  'patient/Observation.',
  'patient/.rs',
  'patient/Observation.constructor',
  'x'.repeat(100_000),
])('N-02 %.40s is not a resource scope', (text) => {
  expect(parseScope(text)).toBeUndefined()
})

test('N-09 a v1 grant allows what a v2 plan needs', () => {
  expect(allows(['patient/*.read'], 'Observation', 's')).toBe(true)
  expect(allows(['patient/Observation.r'], 'Observation', 's')).toBe(false)
})

test('A-18 the scopes of a plan are those of its types and no wildcard', () => {
  const scopes = scopesOf(usCore.only('Patient', 'Laboratory'), { dialect: 'v2', launch: 'launch/patient' })
  expect(scopes).toEqual(['launch/patient', 'offline_access', 'patient/Observation.rs', 'patient/Patient.rs'])
  expect(scopesOf(s4sPilot, { dialect: 'v1', launch: 'launch' }).join(' ')).not.toContain('*')
})

test('scopes are split at any white space, each once', () => {
  expect(splitScopes(' a  b\na ')).toEqual(['a', 'b'])
})
