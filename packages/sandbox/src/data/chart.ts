import type { Resource } from '../fhir/resource.js'
import { type Coding, concept, snomed, systems, terminology } from './codes.js'
import { type Clinician, nameOf, placeOf } from './directory.js'
import type { Random } from './random.js'
import { dateTimeOf, epoch, instantOf } from './time.js'

/** The elements of a resource without its type, id and meta. */
export type Elements = Readonly<Record<string, unknown>>

/** A person as the chart of them begins. */
export interface Demographics {
  readonly id: string
  readonly given: readonly string[]
  readonly family: string
  readonly gender: 'female' | 'male'
  readonly birthDate: string
  readonly race: readonly [code: string, display: string]
  readonly ethnicity: readonly [code: string, display: string]
  readonly language: readonly [code: string, display: string]
  readonly clinician: Clinician
  /** When the clinic first saw them. */
  readonly since: number
  readonly phone?: string
  readonly extra?: Elements
}

/** A visit, to which the rest of what happens in it is linked. */
export interface Visit {
  readonly time: number
  readonly clinician: Clinician
  readonly encounter: string
}

/** A person's record in the making. */
export interface Chart {
  readonly person: Demographics
  readonly random: Random
  /** `{ reference: 'Patient/…' }` */
  readonly patient: { readonly reference: string; readonly display: string }
  /** Adds a resource and returns its `Type/id`. */
  add(type: string, time: number, elements: Elements, options?: { profile?: string; id?: string }): string
  visit(options: {
    readonly time: number
    readonly kind: { readonly coding: readonly Coding[]; readonly text: string }
    readonly setting?: 'AMB' | 'EMER' | 'IMP' | 'VR'
    readonly clinician?: Clinician
    readonly minutes?: number
    readonly reason?: Elements
  }): Visit
  /** The record, with a Provenance for what came with each visit. */
  finish(): Resource[]
}

/** Begins the chart of a person with their Patient resource. */
export function createChart(person: Demographics, random: Random): Chart {
  const resources: Resource[] = []
  const counts = new Map<string, number>()
  const made = new Map<number, { clinician: Clinician; targets: string[] }>()
  const name = `${person.given[0]} ${person.family}`
  const patient = { reference: `Patient/${person.id}`, display: name }
  let present = { clinician: person.clinician, targets: [] as string[] }
  made.set(person.since, present)

  const add: Chart['add'] = (type, time, elements, options = {}) => {
    const count = (counts.get(type) ?? 0) + 1
    counts.set(type, count)
    const id = options.id ?? `${person.id}-${type.toLowerCase()}-${count}`
    resources.push({
      resourceType: type,
      id,
      meta: {
        versionId: '1',
        // What a visit brings is signed within the hour.
        lastUpdated: instantOf(Math.min(time + 3_600_000, epoch)),
        ...(options.profile
          ? { profile: [`http://hl7.org/fhir/us/core/StructureDefinition/us-core-${options.profile}`] }
          : {}),
      },
      ...elements,
    })
    if (type !== 'Binary' && type !== 'Provenance' && type !== 'Specimen')
      present.targets.push(`${type}/${id}`)
    return `${type}/${id}`
  }

  add('Patient', person.since, patientElements(person), { id: person.id, profile: 'patient' })

  return {
    person,
    random,
    patient,
    add,
    visit: ({ time, kind, setting = 'AMB', clinician = person.clinician, minutes = 20, reason = {} }) => {
      present = { clinician, targets: [] }
      made.set(time, present)
      const { organization, location } = placeOf(clinician)
      const period = { start: dateTimeOf(time), end: dateTimeOf(time + minutes * 60_000) }
      const number = (counts.get('Encounter') ?? 0) + 1
      const encounter = add(
        'Encounter',
        time + minutes * 60_000,
        {
          identifier: [{ system: 'urn:oid:2.16.840.1.113883.19.5', value: `${person.id}-${number}` }],
          status: 'finished',
          class: { system: systems.actCode, code: setting, display: settings[setting] },
          type: [kind],
          subject: patient,
          participant: [
            {
              type: [terminology('v3-ParticipationType', 'PPRF', 'primary performer')],
              period,
              individual: { reference: `Practitioner/${clinician}`, display: nameOf(clinician) },
            },
          ],
          period,
          ...reason,
          ...(setting === 'IMP'
            ? {
                hospitalization: {
                  dischargeDisposition: terminology('discharge-disposition', 'home', 'Home'),
                },
              }
            : {}),
          location: [{ location: { reference: location } }],
          serviceProvider: { reference: organization },
        },
        { profile: 'encounter' },
      )
      return { time, clinician, encounter }
    },
    finish: () => {
      for (const [time, { clinician, targets }] of made) {
        if (targets.length === 0) continue
        add(
          'Provenance',
          time,
          {
            target: targets.map((reference) => ({ reference })),
            recorded: instantOf(Math.min(time + 3_600_000, epoch)),
            agent: [
              {
                type: concept({
                  system: 'http://terminology.hl7.org/CodeSystem/provenance-participant-type',
                  code: 'author',
                  display: 'Author',
                }),
                who: { reference: `Practitioner/${clinician}`, display: nameOf(clinician) },
                onBehalfOf: { reference: placeOf(clinician).organization },
              },
            ],
          },
          { profile: 'provenance' },
        )
      }
      return resources
    },
  }
}

const settings = { AMB: 'ambulatory', EMER: 'emergency', IMP: 'inpatient encounter', VR: 'virtual' } as const

const extensionBase = 'http://hl7.org/fhir/us/core/StructureDefinition/us-core-'

function patientElements(person: Demographics): Elements {
  const { race, ethnicity, gender, given, family, birthDate, language, phone, clinician, extra } = person
  const omb = (name: string, [code, display]: readonly [string, string]): object => ({
    url: `${extensionBase}${name}`,
    extension: [
      { url: 'ombCategory', valueCoding: { system: 'urn:oid:2.16.840.1.113883.6.238', code, display } },
      { url: 'text', valueString: display },
    ],
  })
  return {
    extension: [
      omb('race', race),
      omb('ethnicity', ethnicity),
      { url: `${extensionBase}birthsex`, valueCode: gender === 'female' ? 'F' : 'M' },
      {
        url: `${extensionBase}interpreter-needed`,
        valueCoding: snomed('373067005', 'No'),
      },
    ],
    identifier: [
      {
        use: 'usual',
        type: concept({
          system: 'http://terminology.hl7.org/CodeSystem/v2-0203',
          code: 'MR',
          display: 'Medical record number',
        }),
        system: 'urn:oid:2.16.840.1.113883.19.5.1',
        value: `MRN-${person.id.toUpperCase()}`,
      },
    ],
    active: true,
    name: [{ use: 'official', text: `${given.join(' ')} ${family}`, family, given }],
    telecom: [
      ...(phone ? [{ system: 'phone', value: phone, use: 'mobile' }] : []),
      { system: 'email', value: `${given[0]}.${family}@mail.example`.toLowerCase() },
    ],
    gender,
    birthDate,
    address: [
      {
        use: 'home',
        line: ['27 Linden Avenue'],
        city: 'Chicago',
        state: 'IL',
        postalCode: '60614',
        country: 'US',
      },
    ],
    communication: [
      {
        language: concept({ system: 'urn:ietf:bcp:47', code: language[0], display: language[1] }),
        preferred: true,
      },
    ],
    generalPractitioner: [{ reference: `Practitioner/${clinician}`, display: nameOf(clinician) }],
    managingOrganization: { reference: 'Organization/riverside-clinic', display: 'Riverside Family Clinic' },
    ...extra,
  }
}
