import { defineVendor, type Vendor } from './vendor.js'

const searches = 'https://fhir.epic.com/Specifications'

/** Epic (MyChart). */
export const epic: Vendor = defineVendor({
  id: 'epic',
  name: 'Epic',
  bases: {
    value: { hosts: ['epic.com', 'epichosted.com'], path: '/api/FHIR/' },
    why: 'its sites have hosts of their own, and this path in common',
    source: 'https://open.epic.com/Endpoints/R4',
    seen: '2026-08',
  },
  software: {
    value: ['Epic'],
    why: 'a site behind a proxy is known by nothing else',
    source: 'https://fhir.epic.com/interconnect-fhir-oauth/api/FHIR/R4/metadata',
    seen: '2026-08',
  },
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
  moreSearches: {
    value: { Condition: [{ 'clinical-status': 'inactive,resolved' }] },
    why: 'a search by patient alone leaves out the problems that are over',
    source: searches,
    seen: '2026-08',
  },
  refusedValues: {
    value: { 'Observation.category': ['procedure', 'therapy', 'activity'] },
    why: 'a search by one of these categories is an error',
    source: 'https://github.com/smart-on-fhir/smart-fetch',
    seen: '2025-06',
  },
  lastUpdated: {
    value: 'ignored',
    why: 'the parameter is ignored with a remark and everything comes again',
    source: searches,
    seen: '2025-12',
  },
  heldBack: {
    value: ['59204'],
    why: 'resources that the app is not registered for are left out, with a remark among others that mean nothing',
    source: searches,
    seen: '2025-12',
  },
  totals: {
    value: false,
    why: 'total is the size of the page',
    source: searches,
    seen: '2025-12',
  },
})
