import { defineVendor, type Vendor } from './vendor.js'

/** Veradigm (Allscripts). */
export const veradigm: Vendor = defineVendor({
  id: 'veradigm',
  name: 'Veradigm',
  bases: {
    value: { hosts: ['open.allscripts.com', 'platform.veradigm.com'] },
    why: 'its practices share these hosts',
    source: 'https://open.platform.veradigm.com/fhirendpoints',
    seen: '2026-08',
  },
  software: {
    value: ['Veradigm', 'Allscripts'],
    why: 'a site with a host of its own is known by nothing else',
    source: 'https://developer.veradigm.com/',
    seen: '2026-08',
  },
  scopeDialect: {
    value: 'v1',
    why: 'v1 and v2 scopes must not be mixed and v1 is what works in practice',
    source: 'https://developer.veradigm.com/',
    seen: '2026-08',
  },
  patientFrom: {
    value: ['claim:local_patient_id', 'id-token'],
    why: 'the token response may leave the patient to a claim of the access token',
    source: 'https://github.com/cfu288/mere-medical',
    seen: '2026-08',
  },
})
