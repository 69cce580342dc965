import { createHash } from 'node:crypto'
import type { Resource } from '../../fhir/resource.js'
import { concept, hl7, rxnorm, snomed } from './codes.js'

/** When everything that has no date of its own was last changed. */
export const settled = '2020-01-01T00:00:00Z'

const meta = (profile: string): Record<string, unknown> => ({
  versionId: '1',
  lastUpdated: settled,
  profile: [`http://hl7.org/fhir/us/core/StructureDefinition/us-core-${profile}`],
})

const doctors = [
  { id: 'dr-adeyemi', given: 'Folake', family: 'Adeyemi', npi: '1234567893' },
  { id: 'dr-lund', given: 'Sigrid', family: 'Lund', npi: '1245319599' },
  { id: 'dr-tran', given: 'Minh', family: 'Tran', npi: '1679576722' },
] as const

/** The ids of the doctors, for who treats whom. */
export const doctorIds: readonly string[] = doctors.map(({ id }) => id)

/** What the records of all people refer to: the hospital, its places, its doctors and the medicines. */
export function* careGivers(): Iterable<Resource> {
  yield {
    resourceType: 'Organization',
    id: 'hospital',
    meta: meta('organization'),
    identifier: [{ system: 'http://hl7.org/fhir/sid/us-npi', value: '1999999992' }],
    active: true,
    name: 'Sandbox Hospital',
    telecom: [{ system: 'phone', value: '555-0100' }],
    address: [
      { line: ['1 Sand Street'], city: 'Springfield', state: 'MA', postalCode: '01101', country: 'US' },
    ],
  }
  yield {
    resourceType: 'Organization',
    id: 'insurer',
    meta: meta('organization'),
    active: true,
    name: 'Commonwealth Mutual Health',
  }
  yield {
    resourceType: 'Location',
    id: 'clinic',
    meta: meta('location'),
    status: 'active',
    name: 'Primary Care Clinic',
    address: { line: ['1 Sand Street'], city: 'Springfield', state: 'MA', postalCode: '01101' },
    managingOrganization: { reference: 'Organization/hospital' },
  }
  for (const { id, given, family, npi } of doctors) {
    yield {
      resourceType: 'Practitioner',
      id,
      meta: meta('practitioner'),
      identifier: [{ system: 'http://hl7.org/fhir/sid/us-npi', value: npi }],
      name: [{ family, given: [given], prefix: ['Dr.'] }],
    }
    yield {
      resourceType: 'PractitionerRole',
      id: `${id}-role`,
      meta: meta('practitionerrole'),
      practitioner: { reference: `Practitioner/${id}`, display: `Dr. ${given} ${family}` },
      organization: { reference: 'Organization/hospital' },
      location: [{ reference: 'Location/clinic' }],
      specialty: [
        concept({
          system: 'http://nucc.org/provider-taxonomy',
          code: '207Q00000X',
          display: 'Family Medicine Physician',
        }),
      ],
    }
  }
  for (const [code, display] of [
    ['860975', '24 HR metformin hydrochloride 500 MG Extended Release Oral Tablet'],
    ['314076', 'lisinopril 10 MG Oral Tablet'],
    ['617310', 'atorvastatin 20 MG Oral Tablet'],
  ] as const) {
    yield {
      resourceType: 'Medication',
      id: `rx-${code}`,
      meta: meta('medication'),
      code: concept(rxnorm(code, display)),
      status: 'active',
      form: concept(snomed('385055001', 'Tablet')),
    }
  }
}

/** A file as attachments describe it: base64, its size, and the SHA-1 that FHIR asks for. */
export function fileOf(bytes: Buffer): {
  readonly data: string
  readonly size: number
  readonly hash: string
} {
  return {
    data: bytes.toString('base64'),
    size: bytes.length,
    hash: createHash('sha1').update(bytes).digest('base64'),
  }
}

/** The participation of the doctor who was in charge. */
export const attending: ReturnType<typeof concept> = concept(hl7('v3-ParticipationType', 'ATND', 'attender'))
