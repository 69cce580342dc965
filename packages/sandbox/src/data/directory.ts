import type { Resource } from '../fhir/resource.js'
import { concept, medicines, snomed, systems, terminology } from './codes.js'
import { at, instantOf } from './time.js'

/** The clinicians of the synthetic clinic, by the id of their Practitioner. */
export type Clinician =
  | 'grace-adeyemi'
  | 'tomas-lindqvist'
  | 'hana-sato'
  | 'omar-haddad'
  | 'ruth-feldman'
  | 'ivy-chen'

/** The organizations, by id. */
export type OrganizationId =
  | 'riverside-clinic'
  | 'lakeview-hospital'
  | 'northside-laboratory'
  | 'corner-pharmacy'
  | 'prairie-health-plan'

interface ClinicianRow {
  readonly given: string
  readonly family: string
  readonly gender: string
  readonly specialty: readonly [string, string]
  readonly organization: OrganizationId
  readonly location: string
}

const clinicians: Readonly<Record<Clinician, ClinicianRow>> = {
  'grace-adeyemi': row(
    'Grace',
    'Adeyemi',
    'female',
    ['419772000', 'Family practice'],
    'riverside-clinic',
    'riverside-room',
  ),
  'tomas-lindqvist': row(
    'Tomas',
    'Lindqvist',
    'male',
    ['394583002', 'Endocrinology'],
    'riverside-clinic',
    'riverside-room',
  ),
  'hana-sato': row(
    'Hana',
    'Sato',
    'female',
    ['394537008', 'Pediatric specialty'],
    'riverside-clinic',
    'riverside-children',
  ),
  'omar-haddad': row(
    'Omar',
    'Haddad',
    'male',
    ['394579002', 'Cardiology'],
    'lakeview-hospital',
    'lakeview-ward',
  ),
  'ruth-feldman': row(
    'Ruth',
    'Feldman',
    'female',
    ['394586005', 'Gynecology'],
    'lakeview-hospital',
    'lakeview-maternity',
  ),
  'ivy-chen': row(
    'Ivy',
    'Chen',
    'female',
    ['773568002', 'Emergency medicine'],
    'lakeview-hospital',
    'lakeview-emergency',
  ),
}

/** The name of a clinician as a letter would have it. */
export function nameOf(clinician: Clinician): string {
  const { given, family } = clinicians[clinician]
  return `${given} ${family}, MD`
}

/** Where a clinician works. */
export function placeOf(clinician: Clinician): { readonly organization: string; readonly location: string } {
  const { organization, location } = clinicians[clinician]
  return { organization: `Organization/${organization}`, location: `Location/${location}` }
}

/** What the records share: organizations, places, clinicians and medicines. */
export function* sharedResources(): Iterable<Resource> {
  const meta = (profile?: string): NonNullable<Resource['meta']> => ({
    versionId: '1',
    lastUpdated: instantOf(at('2015-01-05')),
    ...(profile ? { profile: [`http://hl7.org/fhir/us/core/StructureDefinition/us-core-${profile}`] } : {}),
  })
  for (const [index, [id, name, code, display]] of organizations.entries()) {
    yield {
      resourceType: 'Organization',
      id,
      meta: meta('organization'),
      identifier: [{ system: systems.npi, value: npi(100 + index) }],
      active: true,
      type: [terminology('organization-type', code, display)],
      name,
      telecom: [{ system: 'phone', value: `312-555-01${10 + index}`, use: 'work' }],
      address: [address(`${100 + index * 40} Harbor Street`)],
    }
  }
  for (const [id, name, organization, code, display] of locations) {
    yield {
      resourceType: 'Location',
      id,
      meta: meta('location'),
      status: 'active',
      name,
      mode: 'instance',
      type: [concept({ system: systems.roleCode, code, display })],
      address: address('100 Harbor Street'),
      managingOrganization: { reference: `Organization/${organization}` },
    }
  }
  for (const [index, [id, { given, family, gender, specialty, organization, location }]] of Object.entries(
    clinicians,
  ).entries()) {
    yield {
      resourceType: 'Practitioner',
      id,
      meta: meta('practitioner'),
      identifier: [{ system: systems.npi, value: npi(index + 1) }],
      active: true,
      name: [{ use: 'official', family, given: [given], prefix: ['Dr.'], suffix: ['MD'] }],
      telecom: [
        { system: 'email', value: `${given}.${family}@riverside.example`.toLowerCase(), use: 'work' },
      ],
      gender,
    }
    yield {
      resourceType: 'PractitionerRole',
      id: `${id}-role`,
      meta: meta('practitionerrole'),
      active: true,
      practitioner: { reference: `Practitioner/${id}`, display: `Dr. ${given} ${family}` },
      organization: { reference: `Organization/${organization}` },
      code: [concept(snomed('309343006', 'Physician'))],
      specialty: [concept(snomed(...specialty))],
      location: [{ reference: `Location/${location}` }],
      telecom: [{ system: 'phone', value: `312-555-02${10 + index}`, use: 'work' }],
    }
  }
  for (const name of ['atorvastatin', 'glargine', 'apixaban'] as const) {
    yield {
      resourceType: 'Medication',
      id: name,
      meta: meta('medication'),
      code: medicines[name],
      status: 'active',
    }
  }
}

const organizations: readonly (readonly [OrganizationId, string, string, string])[] = [
  ['riverside-clinic', 'Riverside Family Clinic', 'prov', 'Healthcare Provider'],
  ['lakeview-hospital', 'Lakeview Hospital', 'prov', 'Healthcare Provider'],
  ['northside-laboratory', 'Northside Laboratory', 'prov', 'Healthcare Provider'],
  ['corner-pharmacy', 'Corner Pharmacy', 'prov', 'Healthcare Provider'],
  ['prairie-health-plan', 'Prairie Health Plan', 'pay', 'Payer'],
]

const locations: readonly (readonly [string, string, OrganizationId, string, string])[] = [
  ['riverside-room', 'Riverside Family Clinic, Suite 2', 'riverside-clinic', 'OF', 'Outpatient facility'],
  [
    'riverside-children',
    "Riverside Family Clinic, Children's Suite",
    'riverside-clinic',
    'PEDC',
    'Pediatrics clinic',
  ],
  [
    'lakeview-ward',
    'Lakeview Hospital, Cardiology',
    'lakeview-hospital',
    'CARD',
    'Ambulatory Health Care Facilities; Clinic/Center; Cardiology',
  ],
  ['lakeview-maternity', 'Lakeview Hospital, Maternity', 'lakeview-hospital', 'GYN', 'Gynecology clinic'],
  ['lakeview-emergency', 'Lakeview Hospital, Emergency', 'lakeview-hospital', 'ER', 'Emergency room'],
]

function row(
  given: string,
  family: string,
  gender: string,
  specialty: readonly [string, string],
  organization: OrganizationId,
  location: string,
): ClinicianRow {
  return { given, family, gender, specialty, organization, location }
}

function address(line: string): object {
  return { line: [line], city: 'Chicago', state: 'IL', postalCode: '60601', country: 'US' }
}

// A National Provider Identifier ends in a Luhn digit over 80840 and the number; these begin with 99, which is given to no one.
function npi(serial: number): string {
  const digits = `99${String(serial).padStart(7, '0')}`
  let sum = 0
  for (const [index, digit] of [...`80840${digits}`].reverse().entries()) {
    const value = Number(digit) * (index % 2 === 0 ? 2 : 1)
    sum += value > 9 ? value - 9 : value
  }
  return `${digits}${(10 - (sum % 10)) % 10}`
}
