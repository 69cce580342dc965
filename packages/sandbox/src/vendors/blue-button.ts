import { type Behavior, outcome } from './behavior.js'

const types = ['Patient', 'Coverage', 'ExplanationOfBenefit']
const scopes = ['openid', 'profile', 'launch/patient', ...types.map((type) => `patient/${type}.read`)]

export const blueButton: Behavior = {
  software: 'Blue Button 2.0',
  auth: {
    scopes: (asked) => (asked.every((scope) => scopes.includes(scope)) ? asked : undefined),
    withholds: ['patient'],
  },
  fhir:
    () =>
    async ({ path, serve }) =>
      ['metadata', ...types].includes(path[0] ?? '') ? serve() : outcome(404, { code: 'not-supported' }),
}
