import { defineVendor, type Vendor } from './vendor.js'

const docs = 'https://docs.oracle.com/en/industries/health/millennium-platform-apis/'

/** Oracle Health (Cerner Millennium). */
export const oracleHealth: Vendor = defineVendor({
  id: 'oracle-health',
  name: 'Oracle Health',
  bases: {
    value: { hosts: ['cerner.com'] },
    why: 'all its tenants share one host',
    source: 'https://github.com/oracle-samples/ignite-endpoints',
    seen: '2026-08',
  },
  software: {
    value: ['Cerner', 'Oracle Health'],
    why: 'a site with a host of its own is known by nothing else',
    source: docs,
    seen: '2026-08',
  },
  scopeDialect: {
    value: 'v2',
    why: 'scopes in the v1 syntax are dropped silently for apps that are registered for v2',
    source: docs,
    seen: '2026-08',
  },
  refreshIdleHours: {
    value: 90 * 24,
    why: 'a refresh token that is not used for three months is revoked',
    source: docs,
    seen: '2026-08',
  },
  patientFrom: {
    value: ['id-token'],
    why: 'a standalone launch may name the patient only as the person who signed in',
    source: 'https://github.com/cfu288/mere-medical',
    seen: '2026-08',
  },
})
