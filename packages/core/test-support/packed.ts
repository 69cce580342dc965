import {
  ambientClock,
  ambientCrypto,
  type ConsentRecord,
  collect,
  createPackage,
  defineStudy,
  type Package,
  type PatientRecord,
  type Resource,
  recordConsent,
  type Study,
  usCore,
} from '../src/index.js'
import { memoryReader, pageOf } from '../src/testing/index.js'

const plan = usCore.only('Patient', 'Laboratory', 'Problems', 'Documents')

export const testStudy = (
  recipient = 'https://intake.sleep.example/inbox',
  more: Partial<Study> = {},
): Study =>
  defineStudy({
    id: 'sleep',
    title: 'Sleep and Recovery',
    purpose: 'Rest',
    plan,
    recipient,
    consent: { version: '3', text: 'I agree.' },
    ...more,
  })

const at = (milliseconds: number) => ({
  crypto: ambientCrypto,
  clock: { ...ambientClock, now: () => Date.UTC(2026, 0, 1) + milliseconds },
})

export const testConsent = (
  study: Study,
  participant = 'p-0042',
  dataClasses: readonly string[] = ['Patient', 'Laboratory', 'Documents'],
): ConsentRecord =>
  recordConsent(study, { participant, signature: 'Ada Lovelace', dataClasses, platform: at(0) })

const subject = { reference: 'Patient/p1' }
const note = (id: string): Resource =>
  ({
    resourceType: 'DocumentReference',
    id,
    status: 'current',
    subject,
    content: [{ attachment: { url: 'Binary/note-1', contentType: 'application/pdf' } }],
  }) as Resource

/** A laboratory value as its server wrote it: what a number parser would make of it is another. */
export const decimal = '4.10'
const laboratory = (index: number): string =>
  `{"resourceType":"Observation","id":"lab-${index}","meta":{"versionId":"7","lastUpdated":"2025-01-01T00:00:00Z"},` +
  '"status":"final","code":{"text":"Potassium"},"category":[{"coding":[{"system":' +
  '"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}]}],' +
  `"subject":{"reference":"Patient/p1"},"performer":[{"reference":"Practitioner/9"}],` +
  `"valueQuantity":{"value":${decimal},"unit":"mmol/L"}}`

const asWritten = (text: string) => ({ resource: JSON.parse(text) as Resource, text, mode: 'match' as const })

export interface Packed {
  readonly study: Study
  readonly consent: ConsentRecord
  readonly record: PatientRecord
  readonly pack: Package
}

/** The record of one patient: laboratory values, a problem, a document with its file. */
export async function testRecord(
  options: {
    readonly labs?: number
    readonly provider?: string
    readonly iss?: string
    /** Further laboratory results, as a server might write them. */
    readonly more?: readonly string[]
  } = {},
): Promise<PatientRecord> {
  const { labs = 3, provider = 'mercy', iss = `https://${provider}.example/r4`, more = [] } = options
  return collect(
    memoryReader({
      patient: 'p1',
      id: `${provider}:p1`,
      provider: { id: provider, name: `${provider} hospital`, iss },
      files: new Map([
        [
          'Binary/note-1',
          { contentType: 'application/pdf', bytes: new Uint8Array([37, 80, 68, 70, 45, 49]) },
        ],
      ]),
      search: (type) => {
        if (type === 'Observation')
          return [
            pageOf([], {
              entries: [...Array.from({ length: labs }, (_, index) => laboratory(index)), ...more].map(
                asWritten,
              ),
            }),
          ]
        if (type === 'Condition')
          return [pageOf([{ resourceType: 'Condition', id: 'c1', subject } as Resource])]
        return type === 'DocumentReference' ? [pageOf([note('letter')])] : [pageOf([])]
      },
    }),
    { plan, platform: at(1000) },
  )
}

/** A package of it, under a consent to all but the problems. */
export async function testPackage(
  options: {
    readonly study?: Study
    readonly labs?: number
    readonly records?: readonly PatientRecord[]
  } = {},
): Promise<Packed> {
  const study = options.study ?? testStudy()
  const consent = testConsent(study)
  const record =
    options.records?.[0] ?? (await testRecord(options.labs === undefined ? {} : { labs: options.labs }))
  const pack = await createPackage(options.records ?? [record], { study, consent, platform: at(2000) })
  return { study, consent, record, pack }
}
