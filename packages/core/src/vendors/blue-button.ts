import { defineVendor, type Vendor } from './vendor.js'

const docs = 'https://bluebutton.cms.gov/developers/'

/** CMS Blue Button 2.0: Medicare’s claims. */
export const blueButton: Vendor = defineVendor({
  id: 'blue-button',
  name: 'Blue Button 2.0',
  bases: {
    value: { hosts: ['bluebutton.cms.gov'] },
    why: 'it has one base',
    source: docs,
    seen: '2026-08',
  },
  scopeDialect: {
    value: 'v1',
    why: 'a scope in the v2 syntax costs the whole request',
    source: docs,
    seen: '2026-08',
  },
  scopes: {
    value: [
      ...['openid', 'profile', 'launch/patient'],
      ...['Patient', 'Coverage', 'ExplanationOfBenefit'].map((type) => `patient/${type}.read`),
    ],
    why: 'one scope that it does not know costs the whole request',
    source: docs,
    seen: '2026-08',
  },
  patientFrom: {
    value: ['search'],
    why: 'the first token response may not name the patient',
    source: docs,
    seen: '2026-08',
  },
})
