import { scriptedEhr, tokens } from '../packages/core/test-support/ehr.js'
import { json } from '../packages/core/test-support/server.js'

// An EHR in a process of its own that knows dates: it searches by `date`, counts, and answers after a while.

const total = Number(process.argv[2])
const perPage = Number(process.argv[3])
const latency = Number(process.argv[4])

const ehr = await scriptedEhr()
const base = ehr.provider.iss
const day = 86_400_000
const now = Date.now()
// Ten years, the more the nearer: as records are.
const dates = Array.from(
  { length: total },
  (_, index) => now - Math.floor(3650 * day * (index / total) ** 2) - day,
)

ehr.answers.set('/token', (_, response) =>
  json(response, { ...tokens, scope: 'launch/patient patient/Patient.rs patient/Observation.rs' }),
)
ehr.answers.set('/fhir/Observation', (request, response) => {
  const asked = new URL(request.path, base).searchParams
  const bounds = asked.getAll('date').map((bound) => [bound.slice(0, 2), Date.parse(bound.slice(2))] as const)
  const missing = asked.get('date:missing') === 'true'
  const found = missing
    ? []
    : dates.flatMap((date, index) =>
        bounds.every(([sign, edge]) => (sign === 'ge' ? date >= edge : date < edge)) ? [index] : [],
      )
  const first = Number(asked.get('page') ?? 0) * perPage
  const bundle: Record<string, unknown> = { resourceType: 'Bundle', type: 'searchset', total: found.length }
  if (asked.get('_summary') !== 'count') {
    bundle.entry = found
      .slice(first, first + perPage)
      .map((index) => ({ resource: observation(index), search: { mode: 'match' } }))
    if (first + perPage < found.length) {
      asked.set('page', String(first / perPage + 1))
      bundle.link = [{ relation: 'next', url: `${base}/Observation?${asked}` }]
    }
  }
  setTimeout(() => json(response, bundle), latency)
})
process.send?.({ provider: ehr.provider })

function observation(index: number): unknown {
  return {
    resourceType: 'Observation',
    id: `o${index}`,
    status: 'final',
    code: { coding: [{ system: 'http://loinc.org', code: '718-7' }] },
    subject: { reference: 'Patient/p1' },
    effectiveDateTime: new Date(dates[index] ?? 0).toISOString(),
    valueQuantity: { value: 14.2, unit: 'g/dL' },
  }
}
