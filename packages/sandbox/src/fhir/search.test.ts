import { describe, expect, test } from 'vitest'
import { generateRecords } from '../data/index.js'
import { rememberText } from './json-text.js'
import { createRepository } from './repository.js'
import type { Resource } from './resource.js'
import { asker, base } from './test-support/ask.js'

const coding = (system: string | undefined, code: string, display?: string): object => ({
  coding: [{ ...(system ? { system } : {}), code, ...(display ? { display } : {}) }],
})
const subject = { reference: 'Patient/ada' }
const small: Resource[] = [
  {
    resourceType: 'Patient',
    id: 'ada',
    name: [{ family: 'Nuñez', given: ['Ada', 'Lovelace'] }],
    birthDate: '1990-05-06',
    gender: 'female',
    identifier: [{ system: 'urn:mrn', value: '77' }],
    meta: { lastUpdated: '2024-01-01T00:00:00Z' },
  },
  {
    resourceType: 'Patient',
    id: 'bob',
    name: [{ family: 'Bo,b' }],
    active: false,
    meta: { lastUpdated: '2025-01-01T00:00:00Z' },
  },
  {
    resourceType: 'Practitioner',
    id: 'doc',
    name: [{ family: 'Who' }],
    identifier: [{ system: 'urn:npi', value: '1' }],
  },
  {
    resourceType: 'Encounter',
    id: 'visit',
    subject,
    period: { start: '2024-03-01T09:00:00Z', end: '2024-03-03T09:00:00Z' },
  },
  { resourceType: 'Encounter', id: 'open', subject, period: { start: '2025-01-01' } },
  {
    resourceType: 'Observation',
    id: 'day',
    subject,
    status: 'final',
    code: coding('http://loinc.org', '1-1', 'Sodium level'),
    effectiveDateTime: '2024-03-05',
    performer: [{ reference: 'Practitioner/doc/_history/3' }],
    encounter: { reference: 'Encounter/visit' },
  },
  {
    resourceType: 'Observation',
    id: 'instant',
    subject,
    status: 'amended',
    code: coding('http://snomed.info/sct', '1-1'),
    effectiveDateTime: '2024-03-05T10:30:00+02:00',
  },
  { resourceType: 'Observation', id: 'bare', subject, code: coding(undefined, '1-1') },
  {
    resourceType: 'Observation',
    id: 'other',
    subject: { reference: 'Patient/bob' },
    status: 'final',
    code: { text: 'Pain score' },
  },
  {
    resourceType: 'Provenance',
    id: 'who',
    target: [{ reference: 'Observation/day' }],
    recorded: '2024-03-05T00:00:00Z',
  },
  { resourceType: 'Claim', id: 'bill', patient: subject, status: 'active' },
  { resourceType: 'Basic', id: 'custom', subject, code: coding('urn:x', 'referral') },
]
const all = asker(createRepository(small))

describe('search parameters', () => {
  test.each([
    // token
    ['Observation?code=1-1', 'day instant bare'],
    ['Observation?code=http://loinc.org|1-1', 'day'],
    ['Observation?code=http://loinc.org|', 'day'],
    ['Observation?code=|1-1', 'bare'],
    ['Observation?code=http://loinc.org|1-1,http://snomed.info/sct|1-1', 'day instant'],
    ['Observation?code:not=http://loinc.org|1-1', 'instant bare other'],
    ['Observation?code:text=sodium', 'day'],
    ['Observation?code:text=pain', 'other'],
    ['Observation?status=final', 'day other'],
    ['Observation?status=final&patient=ada', 'day'],
    ['Observation?status=final,amended', 'day instant other'],
    ['Observation?status:missing=true', 'bare'],
    ['Observation?status:missing=false', 'day instant other'],
    ['Patient?active=false', 'bob'],
    ['Patient?identifier=urn:mrn|77', 'ada'],
    ['Patient?identifier=77', 'ada'],
    // reference
    ['Observation?patient=ada', 'day instant bare'],
    ['Observation?patient=Patient/ada', 'day instant bare'],
    [`Observation?patient=${base}/Patient/ada`, 'day instant bare'],
    ['Observation?subject=Patient/bob', 'other'],
    ['Observation?subject:Patient=bob', 'other'],
    ['Observation?subject:Group=bob', ''],
    ['Observation?performer=Practitioner/doc', 'day'],
    ['Observation?performer=doc', 'day'],
    ['Observation?encounter=visit', 'day'],
    ['Observation?patient=ada,bob', 'day instant bare other'],
    ['Observation?patient=nobody', ''],
    // date
    ['Observation?date=2024-03-05', 'day instant'],
    ['Observation?date=2024', 'day instant'],
    ['Observation?date=2024-03-05T08:30:00Z', 'instant'],
    ['Observation?date=ge2024-03-05T10:30:00%2B02:00', 'day instant'],
    ['Observation?date=gt2024-03-05', ''],
    ['Observation?date=ge2024-03-05', 'day instant'],
    ['Observation?date=lt2024-03-05', ''],
    ['Observation?date=le2024-03-05', 'day instant'],
    ['Observation?date=ne2024-03-05', ''],
    ['Observation?date=ge2024-03-05T09:00:00Z&date=lt2024-03-06', 'day'],
    ['Observation?date=sa2024-03-04,eb2024-03-01', 'day instant'],
    ['Observation?date:missing=true', 'bare other'],
    ['Encounter?date=2024-03', 'visit'],
    ['Encounter?date=ge2024-03-02', 'visit open'],
    ['Encounter?date=ge2030', 'open'],
    ['Encounter?date=lt2024-03-02', 'visit'],
    ['Patient?birthdate=1990-05', 'ada'],
    ['Patient?_lastUpdated=lt2024-06', 'ada'],
    ['Patient?_lastUpdated=ge2024-06-01T00:00:00Z', 'bob'],
    // string
    ['Patient?name=nun', 'ada'],
    ['Patient?name=ADA', 'ada'],
    ['Patient?given=love', 'ada'],
    ['Patient?family:exact=Nuñez', 'ada'],
    ['Patient?family:exact=nuñez', ''],
    ['Patient?family:contains=ñe', 'ada'],
    ['Patient?family=bo\\,b', 'bob'],
    ['Patient?birthdate=1990-05-06&name=ada', 'ada'],
    // id, chains and reverse chains
    ['Observation?_id=day,other', 'day other'],
    ['Observation?_id=day&_id=other', ''],
    ['Observation?patient.name=ada', 'day instant bare'],
    ['Observation?subject:Patient.birthdate=1990-05-06', 'day instant bare'],
    ['Observation?performer:Practitioner.identifier=urn:npi|1', 'day'],
    ['Patient?_has:Observation:patient:code=http://loinc.org|1-1', 'ada'],
    ['Provenance?target=Observation/day', 'who'],
    ['Provenance?patient=ada', 'who'],
    // beyond US Core
    ['Claim?patient=ada&status=active', 'bill'],
    ['Basic?patient=ada', 'custom'],
    ['Patient/ada/Observation?status=final', 'day'],
    ['Observation?_format=json&_pretty=true&status=', 'day instant bare other'],
  ])('%s', async (path, ids) => {
    expect((await all.ids(path)).join(' ')).toBe(ids)
  })

  test.each([
    'Observation?date=nonsense',
    'Observation?date=2024-13',
    'Observation?date=2024-02-30',
    'Observation?date=ge2024-03-05T10:30:00+02:00',
    'Observation?_lastUpdated=soon',
    'Observation?code:in=x',
    'Observation?status:missing=perhaps',
    'Observation?date:exact=2024',
    'Observation?_count=-1',
    'Observation?_count=many',
    'Observation?_id:not=1',
    'Observation?_include:nonsense=Observation:subject',
    'Observation?patient.link.link.link.link.link.name=x',
  ])('%s is 400', async (path) => {
    expect((await all.request(path)).status).toBe(400)
  })

  test.each([
    'Observation?nonsense=1',
    'Observation?_sort=nonsense',
    'Observation?_include=Observation:nonsense',
    'Observation?_elements=id',
    'Observation?nonsense.x=1',
    'Observation?_has:Nope=1',
  ])('%s is told of and ignored, or refused when handling is strict', async (path) => {
    const bundle = await all.bundle(path)
    expect(bundle.entry?.filter(({ search }) => search?.mode === 'match').length).toBe(4)
    expect(bundle.entry?.at(-1)).toMatchObject({
      search: { mode: 'outcome' },
      resource: { resourceType: 'OperationOutcome', issue: [{ severity: 'warning' }] },
    })
    expect(bundle.link?.find(({ relation }) => relation === 'self')?.url).toBe(`${base}/Observation`)
    const strict = await all.request(path, { headers: { prefer: 'handling=strict' } })
    expect(strict.status).toBe(400)
  })
})

describe('the form of an answer', () => {
  test('_sort orders by dates, downwards with a hyphen', async () => {
    expect(await all.ids('Patient?_sort=-_lastUpdated')).toEqual(['bob', 'ada'])
    expect(await all.ids('Patient?_sort=_lastUpdated')).toEqual(['ada', 'bob'])
    expect(await all.ids('Encounter?_sort=-date')).toEqual(['open', 'visit'])
    expect(await all.ids('Observation?_sort=_id')).toEqual(['bare', 'day', 'instant', 'other'])
  })

  test('_summary=count and _count=0 count only; _total=none leaves the count out', async () => {
    for (const path of ['Observation?_summary=count', 'Observation?_count=0']) {
      const bundle = await all.bundle(path)
      expect([path, bundle.total, bundle.entry]).toEqual([path, 4, undefined])
    }
    expect((await all.bundle('Observation?_total=none')).total).toBeUndefined()
  })

  test('_include and _revinclude mark what they bring', async () => {
    expect(
      await all.entries('Observation?_id=day&_include=Observation:performer&_revinclude=Provenance:target'),
    ).toEqual(['match Observation/day', 'include Practitioner/doc', 'include Provenance/who'])
    expect(await all.entries('Observation?_id=day&_include=Observation:subject:Group')).toEqual([
      'match Observation/day',
    ])
    expect(await all.entries('Observation?_id=day&_include=*')).toHaveLength(4)
    expect(await all.entries('Patient?_id=bob&_revinclude=Observation:patient')).toEqual([
      'match Patient/bob',
      'include Observation/other',
    ])
    expect(
      await all.entries('Provenance?_include=Provenance:target&_include:iterate=Observation:encounter'),
    ).toEqual(['match Provenance/who', 'include Observation/day', 'include Encounter/visit'])
  })

  test('PR-06 a next link is opaque, lasts, and is 410 once it is unknown', async () => {
    const first = await all.bundle('Observation?_count=3&_revinclude=Provenance:target')
    const next = first.link?.find(({ relation }) => relation === 'next')?.url ?? ''
    expect(new URL(next).searchParams.get('_page')).toBeTruthy()
    for (let again = 0; again < 2; again++) {
      const second = await all.bundle(next)
      expect(second.entry?.map(({ resource }) => resource?.id)).toEqual(['other'])
      expect(second.link?.some(({ relation }) => relation === 'next')).toBe(false)
    }
    for (const cursor of [
      'nonsense',
      '',
      `${crypto.randomUUID()}.3`,
      next.replace(/\.3$/, '.9').split('=')[1],
    ]) {
      const response = await all.request(`Observation?_page=${cursor}`)
      expect([cursor, response.status]).toEqual([cursor, 410])
      expect(await response.json()).toMatchObject({ issue: [{ code: 'expired' }] })
    }
  })

  test('PR-11 a decimal keeps its zeros', async () => {
    const text =
      '{"resourceType":"Observation","id":"x","subject":{"reference":"Patient/ada"},"valueQuantity":{"value":1.00}}'
    const asked = asker(createRepository([rememberText(JSON.parse(text) as Resource, text)]))
    for (const path of ['Observation?patient=ada', 'Observation/x', 'Patient/ada/Observation']) {
      expect(await (await asked.request(path)).text()).toContain('"value":1.00}')
    }
  })

  test('what changed while paging is shown as it is now, and what was removed is left out', async () => {
    const repository = createRepository(small)
    const asked = asker(repository)
    const next =
      (await asked.bundle('Observation?_count=2')).link?.find(({ relation }) => relation === 'next')?.url ??
      ''
    repository.remove('Observation', 'bare')
    repository.put({ resourceType: 'Observation', id: 'other', status: 'corrected' })
    const { entry = [] } = await asked.bundle(next)
    expect(entry.map(({ resource }) => [resource?.id, resource?.status])).toEqual([['other', 'corrected']])
  })
})

describe('a record of more than 20,000 observations', () => {
  test('is paged through whole, by 1,000 at most', async () => {
    const repository = createRepository(generateRecords({ only: ['priya', 'sam'] }))
    const asked = asker(repository, { scopes: ['patient/*.rs'], patient: 'priya' })
    const ids = new Set<string>()
    let pages = 0
    let path: string | undefined = 'Observation?patient=priya&_count=5000&_revinclude=Provenance:target'
    while (path) {
      const bundle: Awaited<ReturnType<typeof asked.bundle>> = await asked.bundle(path)
      for (const { resource, search } of bundle.entry ?? [])
        if (search?.mode === 'match') ids.add(resource?.id as string)
      path = bundle.link?.find(({ relation }) => relation === 'next')?.url
      pages++
    }
    expect(ids.size).toBe([...repository.of('priya', 'Observation')].length)
    expect(ids.size).toBeGreaterThan(20_000)
    expect(pages).toBe(Math.ceil(ids.size / 1000))
  })
})
