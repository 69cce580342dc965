// The same reading with other clients, each as its own documentation has it written.
import { MedplumClient } from '@medplum/core'
import { Client } from 'fhir-kit-client'
import FHIR from 'fhirclient'
import { request } from 'undici'

const accept = { accept: 'application/fhir+json' }
const nextOf = (bundle) => bundle.link?.find(({ relation }) => relation === 'next')?.url
const queryOf = (search) => new URLSearchParams(search).toString()

async function* walk(url, load) {
  for (let next = url; next !== undefined; ) {
    const bundle = await load(next)
    for (const { resource } of bundle.entry ?? []) yield resource
    next = nextOf(bundle)
  }
}

/** Contestants: each makes, of a FHIR base, a function from a type and a search to its resources, page by page. */
export const peers = {
  'raw fetch': (base) => (type, search) =>
    walk(`${base}/${type}?${queryOf(search)}`, async (url) => (await fetch(url, { headers: accept })).json()),

  'undici.request': (base) => (type, search) =>
    walk(`${base}/${type}?${queryOf(search)}`, async (url) =>
      (await request(url, { headers: accept })).body.json(),
    ),

  'fhir-kit-client': (base) => {
    const client = new Client({ baseUrl: base })
    return async function* (resourceType, searchParams) {
      let bundle = await client.search({ resourceType, searchParams })
      while (bundle) {
        for (const { resource } of bundle.entry ?? []) yield resource
        bundle = await client.nextPage({ bundle })
      }
    }
  },

  fhirclient: (base) => {
    const client = new FHIR.FhirClient(base)
    return async function* (type, search) {
      for await (const bundle of client.pages(`${type}?${queryOf(search)}`))
        for (const { resource } of bundle.entry ?? []) yield resource
    }
  },

  '@medplum/core': (base) => {
    const url = new URL(base)
    const client = new MedplumClient({
      baseUrl: `${url.origin}/`,
      fhirUrlPath: url.pathname.slice(1),
      fetch: globalThis.fetch,
      cacheTime: 0,
    })
    return async function* (type, search) {
      for await (const page of client.searchResourcePages(type, queryOf(search))) yield* page
    }
  },
}

/** What a user of each writes to have what the resources point to. Undefined where it offers nothing for it. */
export const resolvers = {
  fhirclient: (base) => {
    const client = new FHIR.FhirClient(base)
    return async (type, search, paths) => {
      for await (const bundle of client.pages(`${type}?${queryOf(search)}`))
        for (const { resource } of bundle.entry ?? []) await client.resolveReferences(resource, paths)
    }
  },
}
