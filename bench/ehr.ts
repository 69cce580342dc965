import { scriptedEhr, tokens } from '../packages/core/test-support/ehr.js'
import { json } from '../packages/core/test-support/server.js'

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
    resource: observation(first + index),
    search: { mode: 'match' },
  }))
  const next =
    first + perPage < total ? [{ relation: 'next', url: `${base}/Observation?page=${page + 1}` }] : []
  return JSON.stringify({ resourceType: 'Bundle', type: 'searchset', total, link: next, entry })
}

/** About one kilobyte, as a laboratory result is. */
function observation(number: number): unknown {
  return {
    resourceType: 'Observation',
    id: `o${number}`,
    meta: {
      versionId: '1',
      lastUpdated: '2026-03-01T10:00:00.000Z',
      profile: ['http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab'],
    },
    status: 'final',
    category: [
      {
        coding: [
          {
            system: 'http://terminology.hl7.org/CodeSystem/observation-category',
            code: 'laboratory',
            display: 'Laboratory',
          },
        ],
        text: 'Laboratory',
      },
    ],
    code: {
      coding: [
        { system: 'http://loinc.org', code: '2345-7', display: 'Glucose [Mass/volume] in Serum or Plasma' },
      ],
      text: 'Glucose',
    },
    subject: { reference: 'Patient/p1', display: 'Somebody' },
    encounter: { reference: `Encounter/e${number % 40}` },
    effectiveDateTime: '2026-02-27T08:15:00-05:00',
    issued: '2026-02-27T11:15:00.000-05:00',
    performer: [{ reference: 'Organization/lab', display: 'The laboratory' }],
    valueQuantity: {
      value: 90 + (number % 50) / 10,
      unit: 'mg/dL',
      system: 'http://unitsofmeasure.org',
      code: 'mg/dL',
    },
    referenceRange: [
      { low: { value: 70, unit: 'mg/dL' }, high: { value: 99, unit: 'mg/dL' }, text: '70 to 99 mg/dL' },
    ],
  }
}
