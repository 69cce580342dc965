import { expect, test } from 'vitest'
import { ambientClock, ambientCrypto } from '../ambient.js'
import {
  type Choices,
  collect,
  createPackage,
  defineStudy,
  itemKey,
  type PatientRecord,
  type Removal,
  recordConsent,
  review,
  type Study,
  sensitiveCategories,
  usCore,
} from '../index.js'
import { memoryReader, pageOf } from '../record/memory-reader.js'
import { sensitivityOf } from './sensitive.js'
import { onceEach, strip } from './strip.js'

const now = Date.UTC(2026, 5, 1)
const platform = { crypto: ambientCrypto, clock: { ...ambientClock, now: () => now } }
const plan = usCore.only('Patient', 'Problems', 'Medications', 'Laboratory', 'Encounters')
const studyWith = (more: Partial<Study> = {}): Study =>
  defineStudy({
    ...{ id: 'sleep', title: 'Sleep', purpose: 'Rest', plan, recipient: 'https://sleep.example/inbox' },
    consent: { version: '1', text: 'I agree.' },
    ...more,
  })
const subject = { reference: 'Patient/p' }
type Json = Record<string, unknown>
const entry = (text: string) => ({ resource: JSON.parse(text), text, mode: 'match' as const })

/** A record of resources, or of the very texts that a server sent. */
function recordOf(resources: readonly (Json | string)[], provider = 'mercy'): Promise<PatientRecord> {
  const texts = resources.map((one) => (typeof one === 'string' ? one : JSON.stringify({ subject, ...one })))
  return collect(
    memoryReader({
      patient: 'p',
      id: `${provider}:p`,
      provider: { id: provider, name: `Hospital ${provider}`, iss: `https://${provider}.example/r4` },
      search: (type) => {
        const entries = texts.map(entry).filter(({ resource }) => resource.resourceType === type)
        return entries.length === 0 ? [pageOf([])] : [{ entries, outcomes: [], invalid: 0 }]
      },
    }),
    { plan, platform },
  )
}
const packed = async (
  records: PatientRecord[],
  choices: Choices & { leaveOut?: string[] },
  more: Partial<Study> = {},
) => {
  const { leaveOut = [], ...rest } = choices
  const study = studyWith(more)
  const consent = recordConsent(study, { participant: 'p-1', signature: 'Ada', platform, ...rest })
  const pack = await createPackage(records, { study, consent, leaveOut, platform })
  let text = ''
  for (const part of pack.parts)
    if (part.path !== 'consent.json') text += new TextDecoder().decode(await part.open())
  return { manifest: pack.manifest, text, given: pack.given }
}
const depression = { resourceType: 'Condition', id: 'c1', code: { text: 'Major depression' } }
const drug = {
  resourceType: 'MedicationRequest',
  id: 'm1',
  reasonReference: [{ reference: 'Condition/c1', display: 'a reason' }],
  medicationCodeableConcept: { text: 'A tablet' },
}

test('F13 what points to something withheld goes with it, also when that is of a class that is not shared', async () => {
  const record = await recordOf([depression, drug])
  const { text } = await packed([record], {
    dataClasses: ['Patient', 'Medications'],
    withhold: ['mental-health'],
  })
  expect(text).not.toContain('A tablet')
})

test('F13 what points to something withheld in another record of the same server goes with it', async () => {
  const [one, other] = [await recordOf([depression]), await recordOf([drug])]
  const { text } = await packed([one, other], { withhold: ['mental-health'] })
  expect(text).not.toMatch(/A tablet|depression/)
})

test('F13 what pointed to something withheld in an earlier record is known by it in a later one', async () => {
  const { reasonReference: _, ...later } = drug
  const [one, other] = [await recordOf([depression, drug]), await recordOf([later])]
  for (const records of [
    [one, other],
    [other, one],
  ]) {
    const { text } = await packed(records, { withhold: ['mental-health'] })
    expect(text).not.toContain('A tablet')
  }
})

test('F13 the answers of a questionnaire go with it, and the other results of a report stay', async () => {
  const panel = {
    ...{ resourceType: 'Observation', id: 'panel', category: [{ coding: [{ code: 'laboratory' }] }] },
    code: { coding: [{ system: 'http://loinc.org', code: '44249-1' }] },
    hasMember: [{ reference: 'Observation/item' }],
  }
  const item = { ...{ resourceType: 'Observation', id: 'item' }, code: { text: 'better off' } }
  const sugar = { ...{ resourceType: 'Observation', id: 'sugar' }, code: { text: 'Glucose' } }
  const { text } = await packed([await recordOf([panel, item, sugar])], { withhold: ['mental-health'] })
  expect(text).not.toContain('better off')
  expect(text).toContain('Glucose')
})

test('F13 nothing that is shared points to what was withheld or left out', async () => {
  const visit = {
    ...{ resourceType: 'Encounter', id: 'e1', class: { code: 'AMB' } },
    diagnosis: [{ condition: { reference: 'Condition/c2', display: 'Herniated disc' }, rank: 1 }],
  }
  const disc = { resourceType: 'Condition', id: 'c2', code: { text: 'Herniated disc' } }
  const record = await recordOf([visit, disc])
  const { text, manifest } = await packed([record], {
    leaveOut: [itemKey(record, { resourceType: 'Condition', id: 'c2' })],
  })
  expect(text).toContain('"e1"')
  expect(text).not.toMatch(/Condition\/c2|Herniated/)
  expect(JSON.stringify(manifest)).not.toContain('left-out')
})

test('F13 a provider of which everything was withheld is not named', async () => {
  const [general, clinic] = [
    await recordOf([{ resourceType: 'Condition', id: 'x', code: { text: 'Gout' } }]),
    await recordOf([depression], 'valley'),
  ]
  const choices = { dataClasses: ['Problems'], withhold: ['mental-health'] }
  const { manifest, given } = await packed([general, clinic], choices)
  expect(manifest.sources.map(({ provider, folder }) => [provider.id, folder])).toEqual([
    ['mercy', 'records/01'],
  ])
  expect(JSON.stringify(manifest)).not.toContain('valley')
  const silent = given?.flatMap(({ withheld }) => withheld).filter(({ reason }) => reason === 'sensitive')
  expect(silent).toEqual([{ dataClass: 'Problems', reason: 'sensitive', count: 1 }])
})

test('F13 the manifest is the same whether something was left out or had never been there', async () => {
  const gout = { resourceType: 'Condition', id: 'x', code: { text: 'Gout' } }
  const [with2, with1] = [await recordOf([gout, depression]), await recordOf([gout])]
  const told = async (record: PatientRecord, leaveOut: string[]) => {
    const { manifest } = await packed([record], { leaveOut })
    const [{ completeness, issues, withheld, counts } = {} as never] = manifest.sources
    return { completeness, issues, withheld, counts }
  }
  expect(await told(with2, [itemKey(with2, depression)])).toEqual(await told(with1, []))
})

test('F1 a study that began to look back less far after the consent gets nothing older', async () => {
  const old = { resourceType: 'Condition', id: 'old', onsetDateTime: '1999-01-01', code: { text: 'Gout' } }
  const record = await recordOf([old])
  const consent = recordConsent(studyWith(), { participant: 'p-1', signature: 'Ada', platform })
  const study = studyWith({ lookBackYears: 5 })
  const pack = await createPackage([record], { study, consent, platform })
  expect(pack.manifest.sources[0]?.counts).toEqual({ Patient: 1 })
  expect(pack.manifest.sources[0]?.withheld).toEqual([{ dataClass: 'Problems', reason: 'period', count: 1 }])
})

test.each<[string, Json]>([
  [
    'a contained resource of another time',
    { onsetDateTime: '2020-05-01', contained: [{ resourceType: 'Condition', onsetDateTime: '1999' }] },
  ],
  ['a period of which only the end is known', { onsetPeriod: { end: '2020-05-01' } }],
])('F4 what has %s cannot be shown to be of the period', async (_, more) => {
  const record = await recordOf([{ resourceType: 'Condition', id: 'c', code: { text: 'Gout' }, ...more }])
  const { text } = await packed([record], { period: { start: '2020-01-01', end: '2021-12-31' } })
  expect(text).not.toContain('Gout')
})

test('F13 of a name that stands twice in a resource, the first is neither shared nor the way past a withholding', async () => {
  const twice = `{"resourceType":"Condition","id":"c9","subject":{"reference":"Patient/p"},"code":{"text":"Schizophrenia"},"code":{"text":"Gout"},"severity":{"text":"1.00"}}`
  const record = await recordOf([twice])
  const { text } = await packed([record], { period: { end: '2030-01-01' }, withhold: ['hiv'] }).catch(() => ({
    text: '',
  }))
  expect(text).not.toContain('Schizophrenia')
  expect(onceEach(twice)).toBe(
    `{"resourceType":"Condition","id":"c9","subject":{"reference":"Patient/p"},"code":{"text":"Gout"},"severity":{"text":"1.00"}}`,
  )
  const once = '{ "a" : 1.0, "b":[ {"c":"d"} ] }'
  expect(onceEach(once)).toBe(once)
})

test('F13 a review says of every item that is not shared why, also of classes that were not ticked', async () => {
  const record = await recordOf([depression, drug])
  const [seen] = review([record], { study: studyWith(), choices: { dataClasses: ['Patient'] }, platform })
  const reasons = [...(seen?.items() ?? [])].map(({ type, withheld }) => [type, withheld])
  expect(reasons.sort()).toEqual([
    ['Condition', 'not-agreed'],
    ['MedicationRequest', 'not-agreed'],
    ['Patient', undefined],
  ])
})

test.each<[Removal[], Json, RegExp]>([
  [
    ['names'],
    { resourceType: 'Patient', text: { status: 'generated', div: '<div>Ada Lovelace</div>' } },
    /Lovelace/,
  ],
  [
    ['birth-day'],
    { resourceType: 'Patient', text: { div: '<div>1815-12-10</div>' }, birthDate: '1815-12-10' },
    /12-10/,
  ],
  [
    ['names'],
    {
      resourceType: 'Patient',
      extension: [
        { url: 'http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName', valueString: 'Byron' },
      ],
    },
    /Byron/,
  ],
  [
    ['contact-details'],
    {
      resourceType: 'Patient',
      extension: [
        {
          url: 'http://hl7.org/fhir/StructureDefinition/patient-birthPlace',
          valueAddress: { city: 'London' },
        },
      ],
    },
    /London/,
  ],
  [['names'], { resourceType: 'MedicationOrder', prescriber: { display: 'Dr. Who' } }, /Who/],
  [['names'], { resourceType: 'Encounter', participant: [{ individual: { display: 'Dr. Who' } }] }, /Who/],
  [['contact-details'], { resourceType: 'PractitionerRole', telecom: [{ value: '555' }] }, /555/],
  [['free-text'], { resourceType: 'Condition', notes: 'a secret' }, /secret/],
  [['free-text'], { resourceType: 'Encounter', reason: [{ text: 'a secret' }] }, /secret/],
  [
    ['identifiers'],
    { resourceType: 'Device', udiCarrier: [{ deviceIdentifier: '0847' }], serialNumber: '0847' },
    /0847/,
  ],
  [
    ['files'],
    {
      resourceType: 'Communication',
      payload: [{ contentAttachment: { contentType: 'text/plain', data: 'c2VjcmV0' } }],
    },
    /c2Vj/,
  ],
  [['files'], { resourceType: 'Binary', contentType: 'text/plain', data: 'c2VjcmV0' }, /c2Vj/],
])('F13 a protocol without %s gets none of %j', (wanted, resource, secret) => {
  const text = JSON.stringify(resource)
  expect(text).toMatch(secret)
  expect(strip(text, wanted).text).not.toMatch(secret)
})

test('F13 what was measured over time is no file', () => {
  const sampled = JSON.stringify({
    resourceType: 'Observation',
    valueSampledData: { origin: { value: 0 }, data: '1 2 3' },
  })
  expect(strip(sampled, ['files', 'free-text']).text).toBe(sampled)
})

const found = (id: string) => {
  const test = sensitivityOf(sensitiveCategories.filter((row) => row.id === id))
  return (resource: Json | string) => {
    const json = typeof resource === 'string' ? { code: { text: resource } } : resource
    return test(JSON.stringify(json), json)
  }
}

// Titles of ICD-10-CM blocks and names as they stand in records.
test.each<[string, readonly (Json | string)[]]>([
  [
    'mental-health',
    [
      ...['Panic disorder', 'Obsessive-compulsive disorder', 'Borderline personality disorder', 'Dysthymia'],
      ...['Attention deficit hyperactivity disorder', 'Depressed mood', 'Eating disorder', 'Mental disorder'],
      ...['Mental health counseling', 'Sertraline 50 MG Oral Tablet', 'Lithium carbonate 300 MG', 'Dementia'],
      { code: { coding: [{ code: 'F32.1' }] } },
      { code: { coding: [{ system: 'http://hl7.org/fhir/sid/icd-9-cm', code: '296.20' }] } },
      { meta: { security: [{ system: 'urn:oid:2.16.840.1.113883.5.4', code: 'PSY' }] } },
    ],
  ],
  [
    'substance-use',
    ['Cannabis abuse', 'Alcohol use disorder', 'Opioid withdrawal', 'Buprenorphine 8 MG', 'Drug screen'],
  ],
  [
    'hiv',
    [
      'HIV-1 RNA',
      'AIDS',
      { code: { coding: [{ system: 'urn:oid:2.16.840.1.113883.6.103', code: '042' }] } },
      'Biktarvy',
    ],
  ],
  [
    'sexual-health',
    [
      'Gestational diabetes mellitus',
      'Chlamydia trachomatis',
      'Normal pregnancy',
      'Tubal ligation',
      'Levonorgestrel',
    ],
  ],
  [
    'violence',
    ['Battered person', 'Victim of intimate partner abuse', 'Adult physical abuse', 'Sexual assault'],
  ],
  [
    'gender',
    [
      'Gender dysphoria',
      {
        extension: [
          {
            url: 'http://hl7.org/fhir/us/core/StructureDefinition/us-core-genderIdentity',
            valueCodeableConcept: { coding: [{ code: '446141000124107' }] },
          },
        ],
      },
      'Identifies as female gender',
    ],
  ],
  ['genetic', ['BRCA1 gene mutation', 'Genetic screening', 'Chromosome analysis']],
])('F13 %s is found as it stands in records', (category, texts) => {
  for (const one of texts) expect(found(category)(one), JSON.stringify(one)).toBe(true)
})

test('F13 what is everyday is of no category', () => {
  const everyday = [
    'Essential hypertension',
    'Glucose [Mass/volume] in Blood',
    'Hearing aids',
    'Fracture of radius',
    'Influenza vaccine',
    'Body weight',
    'Other',
    'Asthma',
  ]
  for (const { id } of sensitiveCategories)
    for (const one of [
      ...everyday,
      { code: { coding: [{ code: 'OTHER' }] } },
      { code: { coding: [{ system: 'http://hl7.org/fhir/sid/cvx', code: '300' }] } },
    ])
      expect(found(id)(one), `${id}: ${JSON.stringify(one)}`).toBe(false)
})
