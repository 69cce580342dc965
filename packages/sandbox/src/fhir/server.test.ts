import { expect, test } from 'vitest'
import { createRepository } from './repository.js'
import type { Resource } from './resource.js'
import { createFhirServer } from './server.js'

const base = 'http://ehr.test/fhir'

test('a search by patient answers with a searchset of what is theirs', async () => {
  const records: Resource[] = [
    { resourceType: 'Patient', id: 'ada' },
    { resourceType: 'Observation', id: 'one', subject: { reference: 'Patient/ada' } },
    { resourceType: 'Observation', id: 'two', subject: { reference: 'Patient/bob' } },
  ]
  const repository = createRepository(records)
  const serve = createFhirServer({ base, repository, authorize: async () => ({ scopes: ['system/*.rs'] }) })
  const response = await serve(new Request(`${base}/Observation?patient=ada`))
  const bundle = (await response.json()) as { entry: { resource: Resource }[] }
  expect(bundle.entry.map(({ resource }) => resource.id)).toEqual(['one'])
})
