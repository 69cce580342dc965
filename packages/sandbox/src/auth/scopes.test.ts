import { describe, expect, test } from 'vitest'
import { describeScope, isSmartScope } from './scopes.js'

describe('which scopes can be granted', () => {
  test.each([
    'openid',
    'launch/patient',
    'patient/*.read',
    'patient/*.*',
    'user/Practitioner.rs',
    'system/Observation.cruds',
    'patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory',
    'patient/Observation.rs?category=laboratory&status=final',
  ])('N-03 %s', (scope) => {
    expect(isSmartScope(scope)).toBe(true)
  })

  test.each([
    '',
    'constructor',
    'patient/Observation',
    'patient/Observation.',
    'patient/Observation.sr',
    'patient/Observation.rs?',
    'patient/Observation.rs ?a',
    'practitioner/Observation.rs',
    `patient/${'A'.repeat(65)}.rs`,
  ])('N-03 not "%s"', (scope) => {
    expect(isSmartScope(scope)).toBe(false)
  })
})

describe('scopes in words', () => {
  test.each([
    ['patient/Immunization.rs', 'Read vaccinations in this record'],
    ['patient/*.read', 'Read everything in this record'],
    ['patient/Goal.cruds', 'Read and change goals in this record'],
    ['user/CarePlan.r', 'Read care plans in the records you may see'],
    [
      'patient/Observation.rs?category=http%3A%2F%2Fx%7Cvital-signs',
      'Read lab results, vital signs and other findings in this record, only vital signs',
    ],
    ['patient/Goal.rs?category=dietary&status=active', 'Read goals in this record, only dietary and active'],
    [
      'patient/Observation.rs?category=%zz',
      'Read lab results, vital signs and other findings in this record, only %zz',
    ],
  ])('%s', (scope, words) => {
    expect(describeScope(scope)).toBe(words)
  })
})
