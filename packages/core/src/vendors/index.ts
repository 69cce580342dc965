import { defineVendor, type Vendor } from './vendor.js'

export { defineVendor, type Trait, type Vendor } from './vendor.js'

/** Epic (MyChart). */
export const epic: Vendor = defineVendor({
  id: 'epic',
  name: 'Epic',
  publicRefresh: {
    value: false,
    why: 'a public standalone client is given one-time access only',
    source: 'https://fhir.epic.com/Documentation?docId=oauth2',
    seen: '2026-08',
  },
  installation: {
    value: { scope: 'system/DynamicClient.register', path: 'register' },
    why: 'access of a public app lasts only for an installation that registered a key of its own',
    source: 'https://fhir.epic.com/Documentation?docId=oauth2',
    seen: '2026-08',
  },
})

/** Oracle Health (Cerner Millennium). */
export const oracleHealth: Vendor = defineVendor({
  id: 'oracle-health',
  name: 'Oracle Health',
  scopeDialect: {
    value: 'v2',
    why: 'scopes in the v1 syntax are dropped silently for apps that are registered for v2',
    source: 'https://docs.oracle.com/en/industries/health/millennium-platform-apis/',
    seen: '2026-08',
  },
})

/** Veradigm (Allscripts). */
export const veradigm: Vendor = defineVendor({
  id: 'veradigm',
  name: 'Veradigm',
  scopeDialect: {
    value: 'v1',
    why: 'v1 and v2 scopes must not be mixed and v1 is what works in practice',
    source: 'https://developer.veradigm.com/',
    seen: '2026-08',
  },
})

/** eClinicalWorks (healow). */
export const eClinicalWorks: Vendor = defineVendor({
  id: 'eclinicalworks',
  name: 'eClinicalWorks',
  audience: {
    value: 'no-trailing-slash',
    why: 'an aud that ends in a slash is not recognised as the practice’s FHIR base',
    source: 'https://fhir.eclinicalworks.com/ecwopendev',
    seen: '2026-08',
  },
})

/** NextGen Enterprise. */
export const nextGen: Vendor = defineVendor({
  id: 'nextgen',
  name: 'NextGen',
  audience: {
    value: 'omit',
    why: 'authorization fails when aud is sent',
    source: 'https://www.nextgen.com/api',
    seen: '2026-03',
  },
})
