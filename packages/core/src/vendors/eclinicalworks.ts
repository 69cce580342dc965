import { defineVendor, type Vendor } from './vendor.js'

const docs = 'https://fhir.eclinicalworks.com/ecwopendev'

/** eClinicalWorks (healow). */
export const eClinicalWorks: Vendor = defineVendor({
  id: 'eclinicalworks',
  name: 'eClinicalWorks',
  bases: {
    value: { hosts: ['healow.com', 'eclinicalworks.com'] },
    why: 'its practices share these hosts',
    source: `${docs}/external/practiceList`,
    seen: '2026-08',
  },
  software: {
    value: ['eCW', 'eClinicalWorks'],
    why: 'a site with a host of its own is known by nothing else',
    source: docs,
    seen: '2026-08',
  },
  audience: {
    value: 'no-trailing-slash',
    why: 'an aud that ends in a slash is not recognised as the practice’s FHIR base',
    source: docs,
    seen: '2026-08',
  },
  publicRefresh: {
    value: false,
    why: 'a public client is given one-time access only',
    source: 'https://github.com/cfu288/mere-medical',
    seen: '2026-08',
  },
  refreshIdleHours: {
    value: 90 * 24,
    why: 'a refresh token is good for 90 days',
    source: docs,
    seen: '2026-08',
  },
  patientFrom: {
    value: ['id-token'],
    why: 'the token response may name the patient only as the person who signed in',
    source: 'https://github.com/cfu288/mere-medical',
    seen: '2026-08',
  },
  requestsPerMinute: {
    value: 250,
    why: 'beyond it a practice is blocked until the next minute of the clock, without a word on how long',
    source: docs,
    seen: '2025-10',
  },
  totals: {
    value: false,
    why: 'an empty answer has the page size for its total',
    source: docs,
    seen: '2024-11',
  },
  linkOrigins: {
    value: ['http://fhir4.eclinicalworks.com', 'https://fhir4.eclinicalworks.com', 'http://fhir4.healow.com'],
    why: 'links name the host behind the one that apps reach, over http',
    source: docs,
    seen: '2024-11',
  },
})
