import type { ServerResponse } from 'node:http'
import { type Heard, json, startServer } from '../packages/core/test-support/server.js'
import { observation } from './observation.js'

// An EHR in a process of its own: one long search, a whole patient of many, and resources that point to others. What it
// sends is text that is ready before the first request, and it waits before each answer as long as it is told.

let latency = 0
/** What is on the pages of the search that is walked; they come over again until there are enough. */
let long: string[] = []
let longPages = 0
/** How many pages each type has. */
let lengths: Readonly<Record<string, number>> = {}
let includes = true

// Whoever began it is gone.
process.on('disconnect', () => process.exit())
process.on(
  'message',
  (wanted: {
    latency?: number
    total?: number
    perPage?: number
    lengths?: typeof lengths
    includes?: boolean
  }) => {
    latency = wanted.latency ?? latency
    lengths = wanted.lengths ?? lengths
    includes = wanted.includes ?? includes
    if (wanted.total !== undefined && wanted.perPage !== undefined) prepare(wanted.total, wanted.perPage)
    process.send?.('ready')
  },
)

/** Texts of more resources than this are sent again. */
const mostTexts = 50_000

function prepare(total: number, perPage: number): void {
  longPages = Math.ceil(total / perPage)
  long = Array.from({ length: Math.min(longPages, Math.ceil(mostTexts / perPage)) }, (_, page) =>
    Array.from({ length: perPage }, (_, index) => {
      const id = `o${page * perPage + index}`
      return entryText('Observation', id, JSON.stringify(observation(id, index)))
    }).join(','),
  )
}

const entryText = (type: string, id: string, text: string, mode = 'match'): string =>
  `{"fullUrl":"${base}/${type}/${id}","resource":${text},"search":{"mode":"${mode}"}}`

function pageText(type: string, entries: readonly string[], next?: number): string {
  const link = next === undefined ? [] : [{ relation: 'next', url: `${base}/${type}?page=${next}` }]
  return `{"resourceType":"Bundle","type":"searchset","link":${JSON.stringify(link)},"entry":[${entries.join(',')}]}`
}

const perPage = 50
const medications = 150
const requests = 2000
const requestsPerPage = 100

function bodyOf(request: Heard): unknown {
  const url = new URL(request.path, server.url)
  if (url.pathname === '/fhir/.well-known/smart-configuration')
    return {
      authorization_endpoint: `${server.url}/authorize`,
      token_endpoint: `${server.url}/token`,
      capabilities: ['permission-v2'],
    }
  if (url.pathname === '/token')
    return {
      access_token: 'access',
      token_type: 'Bearer',
      expires_in: 36_000,
      scope: 'patient/*.rs',
      patient: 'p1',
    }
  const [type = '', id] = url.pathname.slice('/fhir/'.length).split('/')
  const page = Number(url.searchParams.get('page') ?? 0)
  if (id !== undefined) return { resourceType: type, id }
  const ids = url.searchParams.get('_id')
  if (ids !== null)
    return pageText(
      type,
      ids.split(',').map((one) => entryText(type, one, `{"resourceType":"${type}","id":"${one}"}`)),
    )
  const pages = lengths[type]
  if (pages === undefined && type === 'Observation')
    return pageText(type, [long[page % long.length] ?? ''], page + 1 < longPages ? page + 1 : undefined)
  if (pages === undefined) return type === 'MedicationRequest' ? requestPage(page, url) : pageText(type, [])
  return datedPage(type, pages * perPage, page, url.searchParams)
}

const day = 86_400_000
const today = Date.now()

/** A page of a search that may be by date, of resources that are three days apart. */
function datedPage(type: string, total: number, page: number, asked: URLSearchParams): string {
  const bounds = asked.getAll('date').map((bound) => [bound.slice(0, 2), Date.parse(bound.slice(2))] as const)
  const found =
    asked.get('date:missing') === 'true'
      ? []
      : Array.from({ length: total }, (_, index) => index).filter((index) =>
          bounds.every(([sign, edge]) => {
            const date = today - (index + 1) * 3 * day
            return sign === 'ge' ? date >= edge : date < edge
          }),
        )
  const counted = `{"resourceType":"Bundle","type":"searchset","total":${found.length}`
  if (asked.get('_summary') === 'count') return `${counted}}`
  const entries = found.slice(page * perPage, (page + 1) * perPage).map((index) => {
    const own = `${type}-${index}`
    const resource = { ...(observation(own, index) as object), encounter: undefined, resourceType: type }
    return entryText(type, own, JSON.stringify(resource))
  })
  const more = new URLSearchParams(asked)
  more.set('page', String(page + 1))
  const link =
    (page + 1) * perPage < found.length ? [{ relation: 'next', url: `${base}/${type}?${more}` }] : []
  return `${counted},"link":${JSON.stringify(link)},"entry":[${entries.join(',')}]}`
}

const respond = (request: Heard, response: ServerResponse): void => {
  const body = bodyOf(request)
  if (latency === 0 || !request.path.startsWith('/fhir/')) json(response, body)
  else setTimeout(() => json(response, body), latency)
}
const server = await startServer(respond)
const base = `${server.url}/fhir`

function requestPage(page: number, url: URL): string {
  const first = page * requestsPerPage
  const ids = Array.from({ length: requestsPerPage }, (_, index) => first + index)
  const entries = ids.map((at) =>
    entryText(
      'MedicationRequest',
      `r${at}`,
      JSON.stringify({
        resourceType: 'MedicationRequest',
        id: `r${at}`,
        status: 'active',
        intent: 'order',
        medicationReference: { reference: `Medication/m${at % medications}` },
        subject: { reference: 'Patient/p1' },
      }),
    ),
  )
  const included = url.searchParams.has('_include') || url.searchParams.get('inc') === '1'
  if (included && includes)
    for (const at of new Set(ids.map((one) => one % medications)))
      entries.push(
        entryText('Medication', `m${at}`, `{"resourceType":"Medication","id":"m${at}"}`, 'include'),
      )
  const next =
    first + requestsPerPage < requests
      ? `${base}/MedicationRequest?page=${page + 1}${included ? '&inc=1' : ''}`
      : undefined
  const link = next === undefined ? [] : [{ relation: 'next', url: next }]
  return `{"resourceType":"Bundle","type":"searchset","link":${JSON.stringify(link)},"entry":[${entries.join(',')}]}`
}

process.send?.({ provider: { id: 'mercy', name: 'Mercy', iss: base, clientId: 'bench' } })
