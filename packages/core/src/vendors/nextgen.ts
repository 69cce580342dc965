import { defineVendor, type Vendor } from './vendor.js'

const docs = 'https://www.nextgen.com/api'

/** NextGen Enterprise. */
export const nextGen: Vendor = defineVendor({
  id: 'nextgen',
  name: 'NextGen',
  bases: {
    value: { hosts: ['fhir.nextgen.com'] },
    why: 'its practices share one base',
    source: docs,
    seen: '2026-08',
  },
  software: {
    value: ['NextGen'],
    why: 'a site with a host of its own is known by nothing else',
    source: docs,
    seen: '2026-08',
  },
  audience: {
    value: 'omit',
    why: 'authorization fails when aud is sent',
    source: docs,
    seen: '2026-03',
  },
  refreshIdleHours: {
    value: 48,
    why: 'a refresh token that is not used within two days is refused',
    source: docs,
    seen: '2026-08',
  },
  badQuery: {
    value: [404],
    why: 'a search that lacks a category is answered as if the type did not exist',
    source: docs,
    seen: '2024-11',
  },
  linksInAnyCase: {
    value: true,
    why: 'links write the path of the base in another case',
    source: docs,
    seen: '2024-11',
  },
  pageParameter: {
    value: 'page',
    why: 'the chain of links ends before the results do',
    source: docs,
    seen: '2024-11',
  },
})
