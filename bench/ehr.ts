import { scriptedEhr, tokens } from '../packages/core/test-support/ehr.js'
import { json } from '../packages/core/test-support/server.js'
import { observation } from './observation.js'

// An EHR in a process of its own, so that it does not share an event loop with whoever is measured. It answers one
// search, from text that is ready before the first request.

const total = Number(process.argv[2])
const perPage = Number(process.argv[3])

const ehr = await scriptedEhr()
const base = ehr.provider.iss
const pages = Array.from({ length: Math.ceil(total / perPage) }, (_, page) => pageText(page))

ehr.answers.set('/token', (_, response) =>
  json(response, { ...tokens, scope: 'launch/patient patient/Patient.rs patient/Observation.rs' }),
)
ehr.answers.set('/fhir/Observation', (request, response) => {
  const page = Number(new URL(request.path, base).searchParams.get('page') ?? 0)
  json(response, pages[page] ?? '{}', pages[page] === undefined ? 410 : 200)
})
process.send?.({ provider: ehr.provider })

function pageText(page: number): string {
  const first = page * perPage
  const entry = Array.from({ length: Math.min(perPage, total - first) }, (_, index) => ({
    fullUrl: `${base}/Observation/o${first + index}`,
    resource: observation(`o${first + index}`, first + index),
    search: { mode: 'match' },
  }))
  const next =
    first + perPage < total ? [{ relation: 'next', url: `${base}/Observation?page=${page + 1}` }] : []
  return JSON.stringify({ resourceType: 'Bundle', type: 'searchset', total, link: next, entry })
}
