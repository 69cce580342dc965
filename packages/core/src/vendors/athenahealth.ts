import { defineVendor, type Vendor } from './vendor.js'

const docs = 'https://docs.athenahealth.com/api/'

/** athenahealth (athenaOne). */
export const athenahealth: Vendor = defineVendor({
  id: 'athenahealth',
  name: 'athenahealth',
  bases: {
    value: { hosts: ['platform.athenahealth.com'] },
    why: 'all its practices share one base',
    source: 'https://service-base-urls.api.fhir.athena.io/athena-fhir-service-base-urls.json',
    seen: '2026-08',
  },
  software: {
    value: ['athena'],
    why: 'a site with a host of its own is known by nothing else',
    source: docs,
    seen: '2026-08',
  },
  refreshScope: {
    value: true,
    why: 'a refresh that names no scope is refused',
    source: 'https://github.com/cfu288/mere-medical',
    seen: '2026-08',
  },
  requestContext: {
    value: { claim: 'ah_practice', parameter: 'ah-practice' },
    why: 'one base serves every practice, and a request may have to say which',
    source: 'https://github.com/cfu288/mere-medical',
    seen: '2026-08',
  },
})
