import { defineVendor, type Vendor } from './vendor.js'

const docs = 'https://developer.va.gov/explore/api/patient-health'

/** The U.S. Department of Veterans Affairs (Lighthouse). */
export const va: Vendor = defineVendor({
  id: 'va',
  name: 'Veterans Affairs',
  bases: {
    value: { hosts: ['api.va.gov', 'sandbox-api.va.gov'] },
    why: 'it has one base for each environment',
    source: docs,
    seen: '2026-08',
  },
  audience: {
    value: 'omit',
    why: 'authorization fails when aud is sent',
    source: 'https://github.com/cfu288/mere-medical',
    seen: '2026-08',
  },
  scopeDialect: {
    value: 'v1',
    why: 'a scope in the v2 syntax costs the whole request',
    source: docs,
    seen: '2026-08',
  },
  refreshScope: {
    value: true,
    why: 'a refresh that names no scope is refused',
    source: 'https://github.com/cfu288/mere-medical',
    seen: '2026-08',
  },
})
