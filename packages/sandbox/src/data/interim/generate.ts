import type { Resource } from '../../fhir/resource.js'
import { attending, careGivers, doctorIds, fileOf } from './care-givers.js'
import {
  bloodCount,
  type Code,
  categories,
  concept,
  heartRate,
  hemoglobinA1c,
  hl7,
  lipidPanel,
  loinc,
  type Measure,
  metabolicPanel,
  snomed,
  usCore,
  vitalSigns,
} from './codes.js'
import { problemConcept, type Story, stories } from './people.js'
import { createRandom, type Random } from './random.js'

export interface GenerateOptions {
  /** Another seed, other values for the same people. Default 1. */
  readonly seed?: number
  /** Ids of the people wanted; all unless given. */
  readonly only?: readonly string[]
}

/** The day on which the records end. Fixed, so that the same seed gives the same bytes on any day. */
const today = Date.UTC(2026, 5, 1)
const day = 86_400_000

/**
 * The records of the built-in people, as a stream: who is not asked for costs nothing.
 * The same seed gives the same resources in the same order.
 */
export function* generateRecords(options: GenerateOptions = {}): Iterable<Resource> {
  const wanted = options.only === undefined ? stories : stories.filter(({ id }) => options.only?.includes(id))
  if (wanted.length > 0) yield* careGivers()
  for (const story of wanted) yield* recordOf(story, createRandom(story.id, options.seed ?? 1))
}

function* recordOf(story: Story, random: Random): Iterable<Resource> {
  const chart = createChart(story, random)
  yield chart.patient()
  yield* chart.visits()
  if (!story.rich) return
  yield* chart.problems()
  yield* chart.medicines()
  yield* chart.allergies()
  yield* chart.vaccines()
  yield* chart.procedures()
  yield* chart.plans()
  yield* chart.answers()
  yield* chart.monitor()
}

interface Visit {
  readonly number: number
  readonly at: number
  readonly encounter: string
  readonly doctor: string
}

interface Chart {
  patient(): Resource
  visits(): Iterable<Resource>
  problems(): Iterable<Resource>
  medicines(): Iterable<Resource>
  allergies(): Iterable<Resource>
  vaccines(): Iterable<Resource>
  procedures(): Iterable<Resource>
  plans(): Iterable<Resource>
  answers(): Iterable<Resource>
  monitor(): Iterable<Resource>
}

function createChart(story: Story, random: Random): Chart {
  const subject = { reference: `Patient/${story.id}`, display: story.name }
  const doctor = doctorIds[random.whole(0, doctorIds.length - 1)] as string
  const practitioner = { reference: `Practitioner/${doctor}` }

  const make = (
    resourceType: string,
    id: string,
    profile: string,
    at: number,
    body: Record<string, unknown>,
  ): Resource => ({
    resourceType,
    id: `${story.id}-${id}`,
    meta: {
      versionId: '1',
      lastUpdated: instant(at),
      profile: [
        profile.startsWith('http')
          ? profile
          : `http://hl7.org/fhir/us/core/StructureDefinition/us-core-${profile}`,
      ],
    },
    ...body,
  })

  const observation = (
    id: string,
    profile: string,
    category: Code,
    code: Code,
    at: number,
    body: Record<string, unknown>,
    visit?: Visit,
  ): Resource =>
    make('Observation', id, profile, at, {
      status: 'final',
      category: [concept(category)],
      code: concept(code),
      subject,
      ...(visit ? { encounter: { reference: `Encounter/${visit.encounter}` } } : {}),
      effectiveDateTime: instant(at),
      issued: instant(at + 3_600_000),
      performer: [practitioner],
      ...body,
    })

  const measured = (
    id: string,
    profile: string,
    category: Code,
    what: Measure,
    visit: Visit,
    value: number,
  ): Resource =>
    observation(
      id,
      profile,
      category,
      what.code,
      visit.at,
      {
        valueQuantity: quantity(value, what),
        ...(what.low === undefined && what.high === undefined
          ? {}
          : {
              referenceRange: [
                {
                  ...(what.low === undefined ? {} : { low: quantity(what.low, what) }),
                  ...(what.high === undefined ? {} : { high: quantity(what.high, what) }),
                },
              ],
              interpretation: [concept(hl7('v3-ObservationInterpretation', ...interpretation(value, what)))],
            }),
      },
      visit,
    )

  const provenance = (id: string, targets: readonly string[], at: number): Resource =>
    make('Provenance', `prov-${id}`, 'provenance', at, {
      target: targets.map((reference) => ({ reference })),
      recorded: instant(at),
      agent: [
        {
          type: concept(hl7('provenance-participant-type', 'author', 'Author')),
          who: practitioner,
          onBehalfOf: { reference: 'Organization/hospital' },
        },
      ],
    })

  function* vitals(visit: Visit): Iterable<Resource> {
    const prefix = `vs-${visit.number}`
    const [systolic, diastolic] = story.pressure
    yield observation(
      `${prefix}-bp`,
      'blood-pressure',
      categories.vitalSigns,
      loinc('85354-9', 'Blood pressure panel with all children optional'),
      visit.at,
      {
        component: [
          pressure(loinc('8480-6', 'Systolic blood pressure'), random.near(systolic, 8, 0)),
          pressure(loinc('8462-4', 'Diastolic blood pressure'), random.near(diastolic, 6, 0)),
        ],
      },
      visit,
    )
    for (const what of vitalSigns) {
      const value =
        what.ucum === '%'
          ? Math.min(100, random.near(what.mean, what.spread, 0))
          : random.near(what.mean, what.spread, what.digits)
      yield measured(`${prefix}-${what.code.code}`, 'vital-signs', categories.vitalSigns, what, visit, value)
    }
    const years = (today - visit.at) / (365.25 * day)
    const height = story.parent === undefined ? story.height : Number((story.height - 6 * years).toFixed(1))
    const weight = random.near(story.parent === undefined ? story.weight : story.weight - 2.6 * years, 1.2, 1)
    const body = (code: Code, unit: string, ucum: string): Measure => ({
      code,
      unit,
      ucum,
      mean: 0,
      spread: 0,
      digits: 1,
    })
    yield measured(
      `${prefix}-height`,
      'body-height',
      categories.vitalSigns,
      body(loinc('8302-2', 'Body height'), 'cm', 'cm'),
      visit,
      height,
    )
    yield measured(
      `${prefix}-weight`,
      'body-weight',
      categories.vitalSigns,
      body(loinc('29463-7', 'Body weight'), 'kg', 'kg'),
      visit,
      weight,
    )
    const index = Number((weight / (height / 100) ** 2).toFixed(1))
    yield measured(
      `${prefix}-bmi`,
      'bmi',
      categories.vitalSigns,
      body(loinc('39156-5', 'Body mass index (BMI) [Ratio]'), 'kg/m2', 'kg/m2'),
      visit,
      index,
    )
  }

  function* laboratory(visit: Visit): Iterable<Resource> {
    const specimen = `sp-${visit.number}`
    yield make('Specimen', specimen, 'specimen', visit.at, {
      identifier: [{ system: 'urn:sandbox:accession', value: `${story.id}-${visit.number}` }],
      type: concept(snomed('122555007', 'Venous blood specimen')),
      subject,
      collection: { collectedDateTime: instant(visit.at) },
    })
    const panels: readonly (readonly [string, Code, readonly Measure[]])[] = [
      [
        'cmp',
        loinc('24323-8', 'Comprehensive metabolic 2000 panel - Serum or Plasma'),
        story.diabetic ? metabolicPanel.map(raisedGlucose) : metabolicPanel,
      ],
      ['lipid', loinc('57698-3', 'Lipid panel with direct LDL - Serum or Plasma'), lipidPanel],
      ['cbc', loinc('58410-2', 'CBC panel - Blood by Automated count'), bloodCount],
      ...(story.diabetic
        ? ([['a1c', loinc('4548-4', 'Hemoglobin A1c/Hemoglobin.total in Blood'), [hemoglobinA1c]]] as const)
        : []),
    ]
    for (const [name, code, measures] of panels) {
      const results: string[] = []
      for (const what of measures) {
        const id = `lab-${visit.number}-${what.code.code}`
        results.push(`Observation/${story.id}-${id}`)
        yield {
          ...measured(
            id,
            'observation-lab',
            categories.laboratory,
            what,
            visit,
            random.near(what.mean, what.spread, what.digits),
          ),
          specimen: { reference: `Specimen/${story.id}-${specimen}` },
        }
      }
      yield make('DiagnosticReport', `dr-${visit.number}-${name}`, 'diagnosticreport-lab', visit.at, {
        status: 'final',
        category: [concept(hl7('v2-0074', 'LAB', 'Laboratory'))],
        code: concept(code),
        subject,
        encounter: { reference: `Encounter/${visit.encounter}` },
        effectiveDateTime: instant(visit.at),
        issued: instant(visit.at + 4 * 3_600_000),
        performer: [{ reference: 'Organization/hospital' }],
        specimen: [{ reference: `Specimen/${story.id}-${specimen}` }],
        result: results.map((reference) => ({ reference })),
      })
    }
  }

  // Each visit leaves one note; they come in the four ways in which real ones do.
  function* note(visit: Visit): Iterable<Resource> {
    const text = `Progress note\n\n${story.name}, seen on ${instant(visit.at).slice(0, 10)}.\nNo new complaints. Plan unchanged.\n`
    const kinds = ['plain', 'html', 'pdf', 'inline'] as const
    const kind = kinds[visit.number % kinds.length] as (typeof kinds)[number]
    const [contentType, bytes] =
      kind === 'pdf'
        ? ['application/pdf', pdfOf(`Progress note ${visit.number}`)]
        : kind === 'html'
          ? ['text/html', Buffer.from(`<!doctype html><title>Progress note</title><pre>${text}</pre>`)]
          : ['text/plain', Buffer.from(text)]
    const { data, size, hash } = fileOf(bytes as Buffer)
    const binary = `${story.id}-note-${visit.number}-file`
    if (kind !== 'inline')
      yield {
        resourceType: 'Binary',
        id: binary,
        meta: { versionId: '1', lastUpdated: instant(visit.at) },
        contentType,
        securityContext: subject,
        data,
      }
    const attachment = {
      contentType,
      size,
      hash,
      title: 'Progress note',
      creation: instant(visit.at),
      ...(kind === 'inline' ? { data } : { url: `Binary/${binary}` }),
    }
    yield make('DocumentReference', `note-${visit.number}`, 'documentreference', visit.at, {
      identifier: [{ system: 'urn:ietf:rfc:3986', value: `urn:sandbox:${story.id}:note:${visit.number}` }],
      status: 'current',
      type: concept(
        visit.number % 3 === 0 ? loinc('11488-4', 'Consult note') : loinc('11506-3', 'Progress note'),
      ),
      category: [concept(usCore('us-core-documentreference-category', 'clinical-note', 'Clinical Note'))],
      subject,
      date: instant(visit.at),
      author: [practitioner],
      custodian: { reference: 'Organization/hospital' },
      content: [
        {
          attachment,
          format: {
            system: 'http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode',
            code: 'urn:ihe:iti:xds:2017:mimeTypeSufficient',
            display: 'mimeType Sufficient',
          },
        },
      ],
      context: {
        encounter: [{ reference: `Encounter/${visit.encounter}` }],
        period: { start: instant(visit.at), end: instant(visit.at + 1_800_000) },
      },
    })
    if (visit.number % 5 === 0) {
      yield make('DiagnosticReport', `note-report-${visit.number}`, 'diagnosticreport-note', visit.at, {
        status: 'final',
        category: [concept(loinc('LP29684-5', 'Radiology'))],
        code: concept(loinc('36643-5', 'XR Chest 2 Views')),
        subject,
        encounter: { reference: `Encounter/${visit.encounter}` },
        effectiveDateTime: instant(visit.at),
        issued: instant(visit.at + 2 * 3_600_000),
        performer: [practitioner],
        presentedForm: [attachment],
      })
    }
  }

  function* visits(): Iterable<Resource> {
    let number = 0
    for (let year = story.since; year <= 2026; year++) {
      for (let turn = 0; turn < story.visitsPerYear; turn++) {
        const at = Date.UTC(
          year,
          Math.floor((12 / story.visitsPerYear) * turn) + random.whole(0, 1),
          random.whole(1, 27),
          random.whole(13, 21),
          random.pick([0, 15, 30, 45]),
        )
        if (at > today) continue
        number++
        const visit: Visit = { number, at, encounter: `${story.id}-enc-${number}`, doctor }
        yield make('Encounter', `enc-${number}`, 'encounter', at, {
          identifier: [{ system: 'urn:sandbox:visit', value: visit.encounter }],
          status: 'finished',
          class: hl7('v3-ActCode', 'AMB', 'ambulatory'),
          type: [concept(snomed('185349003', 'Encounter for check up'))],
          subject,
          participant: [{ type: [attending], period: { start: instant(at) }, individual: practitioner }],
          period: { start: instant(at), end: instant(at + 1_800_000) },
          location: [{ location: { reference: 'Location/clinic' } }],
          serviceProvider: { reference: 'Organization/hospital' },
        })
        if (!story.rich) continue
        yield* vitals(visit)
        if (story.panelEvery > 0 && number % story.panelEvery === 0) yield* laboratory(visit)
        yield* note(visit)
        if (number % 4 === 1)
          yield provenance(
            `enc-${number}`,
            [`Encounter/${visit.encounter}`, `DocumentReference/${story.id}-note-${number}`],
            at,
          )
      }
    }
  }

  function* problems(): Iterable<Resource> {
    for (const [index, problem] of story.problems.entries()) {
      const since = Date.UTC(problem.since, 4, 12)
      const status = problem.resolved === undefined ? 'active' : 'resolved'
      const body = {
        clinicalStatus: concept(
          hl7('condition-clinical', status, status === 'active' ? 'Active' : 'Resolved'),
        ),
        verificationStatus: concept(hl7('condition-ver-status', 'confirmed', 'Confirmed')),
        code: problemConcept(problem),
        subject,
        onsetDateTime: instant(since).slice(0, 10),
        ...(problem.resolved === undefined ? {} : { abatementDateTime: String(problem.resolved) }),
        recordedDate: instant(since).slice(0, 10),
        recorder: practitioner,
      }
      yield make('Condition', `problem-${index}`, 'condition-problems-health-concerns', since, {
        category: [concept(hl7('condition-category', 'problem-list-item', 'Problem List Item'))],
        ...body,
      })
      yield make('Condition', `diagnosis-${index}`, 'condition-encounter-diagnosis', since, {
        category: [concept(hl7('condition-category', 'encounter-diagnosis', 'Encounter Diagnosis'))],
        ...body,
        encounter: { reference: `Encounter/${story.id}-enc-1` },
      })
      yield provenance(`problem-${index}`, [`Condition/${story.id}-problem-${index}`], since)
    }
    yield make('Condition', 'concern-0', 'condition-problems-health-concerns', today - 200 * day, {
      clinicalStatus: concept(hl7('condition-clinical', 'active', 'Active')),
      verificationStatus: concept(hl7('condition-ver-status', 'confirmed', 'Confirmed')),
      category: [concept(usCore('condition-category', 'health-concern', 'Health Concern'))],
      code: concept(snomed('160903007', 'Full-time employment')),
      subject,
      recordedDate: instant(today - 200 * day).slice(0, 10),
    })
  }

  function* medicines(): Iterable<Resource> {
    for (const [index, medicine] of story.medicines.entries()) {
      const named =
        medicine.as === 'reference'
          ? {
              medicationReference: {
                reference: `Medication/rx-${medicine.code.code}`,
                display: medicine.code.display,
              },
            }
          : medicine.as === 'contained'
            ? {
                contained: [{ resourceType: 'Medication', id: 'med', code: concept(medicine.code) }],
                medicationReference: { reference: '#med' },
              }
            : { medicationCodeableConcept: concept(medicine.code) }
      for (let year = Math.max(medicine.since, story.since); year <= 2026; year++) {
        const at = Date.UTC(year, 1, 3 + index)
        const current = year === 2026
        yield make('MedicationRequest', `rx-${index}-${year}`, 'medicationrequest', at, {
          ...named,
          status: current ? 'active' : 'completed',
          intent: 'order',
          category: [concept(hl7('medicationrequest-category', 'community', 'Community'))],
          subject,
          encounter: { reference: `Encounter/${story.id}-enc-1` },
          authoredOn: instant(at).slice(0, 10),
          requester: practitioner,
          dosageInstruction: [
            {
              text: medicine.dose,
              route: concept(snomed('26643006', 'Oral route')),
              timing: { repeat: { frequency: 1, period: 1, periodUnit: 'd' } },
            },
          ],
          dispenseRequest: { numberOfRepeatsAllowed: 3, quantity: { value: 90, unit: 'tablet' } },
        })
        yield make('MedicationDispense', `disp-${index}-${year}`, 'medicationdispense', at + 2 * day, {
          status: 'completed',
          medicationCodeableConcept: concept(medicine.code),
          subject,
          performer: [{ actor: { reference: 'Organization/hospital' } }],
          authorizingPrescription: [{ reference: `MedicationRequest/${story.id}-rx-${index}-${year}` }],
          type: concept(hl7('v3-ActCode', 'FF', 'First Fill')),
          quantity: { value: 90, unit: 'tablet' },
          whenHandedOver: instant(at + 2 * day),
          dosageInstruction: [{ text: medicine.dose }],
        })
      }
    }
  }

  function* allergies(): Iterable<Resource> {
    const none = story.allergies.length === 0
    const known = none ? [undefined] : story.allergies
    for (const [index, allergy] of known.entries()) {
      const at = Date.UTC(story.since, 2, 8)
      yield make('AllergyIntolerance', `allergy-${index}`, 'allergyintolerance', at, {
        clinicalStatus: concept(hl7('allergyintolerance-clinical', 'active', 'Active')),
        verificationStatus: concept(hl7('allergyintolerance-verification', 'confirmed', 'Confirmed')),
        code: concept(allergy?.code ?? snomed('716186003', 'No known allergy')),
        patient: subject,
        recordedDate: instant(at).slice(0, 10),
        recorder: practitioner,
        ...(allergy
          ? {
              type: 'allergy',
              category: [allergy.medicine ? 'medication' : 'food'],
              criticality: allergy.severe ? 'high' : 'low',
              reaction: [
                { manifestation: [concept(allergy.reaction)], severity: allergy.severe ? 'severe' : 'mild' },
              ],
            }
          : {}),
      })
      yield provenance(`allergy-${index}`, [`AllergyIntolerance/${story.id}-allergy-${index}`], at)
    }
  }

  function* vaccines(): Iterable<Resource> {
    for (const [index, code] of story.vaccines.entries()) {
      const yearly = code.code === '158'
      for (let year = story.since; year <= (yearly ? 2025 : story.since); year++) {
        const at = Date.UTC(year, 9, 4 + index)
        yield make('Immunization', `vaccine-${index}-${year}`, 'immunization', at, {
          status: 'completed',
          vaccineCode: concept(code),
          patient: subject,
          occurrenceDateTime: instant(at),
          primarySource: true,
          lotNumber: `L${random.whole(10_000, 99_999)}`,
          location: { reference: 'Location/clinic' },
          performer: [{ actor: practitioner }],
        })
      }
    }
  }

  function* procedures(): Iterable<Resource> {
    for (const [index, { code, year }] of story.procedures.entries()) {
      const at = Date.UTC(year, 3, 21, 15)
      yield make('Procedure', `proc-${index}`, 'procedure', at, {
        status: 'completed',
        code: concept(code),
        subject,
        performedPeriod: { start: instant(at), end: instant(at + 5_400_000) },
        performer: [{ actor: practitioner }],
        basedOn: [{ reference: `ServiceRequest/${story.id}-order-${index}` }],
      })
      yield make('ServiceRequest', `order-${index}`, 'servicerequest', at - 30 * day, {
        status: 'completed',
        intent: 'order',
        category: [concept(snomed('387713003', 'Surgical procedure'))],
        code: concept(code),
        subject,
        authoredOn: instant(at - 30 * day),
        occurrenceDateTime: instant(at),
        requester: practitioner,
      })
    }
    yield make('ServiceRequest', 'order-lab', 'servicerequest', today - 60 * day, {
      status: 'active',
      intent: 'order',
      category: [concept(snomed('108252007', 'Laboratory procedure'))],
      code: concept(loinc('24323-8', 'Comprehensive metabolic 2000 panel - Serum or Plasma')),
      subject,
      authoredOn: instant(today - 60 * day),
      requester: practitioner,
    })
    if (story.problems.some(({ code }) => code.code === '49436004')) {
      yield make('Device', 'device-0', 'implantable-device', Date.UTC(2019, 3, 21), {
        udiCarrier: [
          {
            deviceIdentifier: '09504000059118',
            carrierHRF: '(01)09504000059118(17)141120(10)7654321D(21)10987654d321',
          },
        ],
        status: 'active',
        distinctIdentifier: '10987654d321',
        manufactureDate: '2018-11-20',
        expirationDate: '2034-11-20',
        lotNumber: '7654321D',
        serialNumber: '10987654d321',
        type: concept(snomed('14106009', 'Cardiac pacemaker')),
        patient: subject,
      })
    }
  }

  function* plans(): Iterable<Resource> {
    const at = today - 150 * day
    const narrative = (text: string): Record<string, unknown> => ({
      text: { status: 'generated', div: `<div xmlns="http://www.w3.org/1999/xhtml">${text}</div>` },
    })
    yield make('CarePlan', 'plan-0', 'careplan', at, {
      ...narrative('Regular check-ups, exercise three times a week, a balanced diet.'),
      status: 'active',
      intent: 'plan',
      category: [concept(usCore('careplan-category', 'assess-plan', 'Assessment and Plan of Treatment'))],
      subject,
      period: { start: instant(at).slice(0, 10) },
      careTeam: [{ reference: `CareTeam/${story.id}-team-0` }],
      goal: [{ reference: `Goal/${story.id}-goal-0` }],
    })
    yield make('CareTeam', 'team-0', 'careteam', at, {
      status: 'active',
      subject,
      participant: [
        { role: [concept(snomed('17561000', 'Cardiologist'))], member: practitioner },
        { role: [concept(snomed('116154003', 'Patient'))], member: subject },
      ],
    })
    yield make('Goal', 'goal-0', 'goal', at, {
      lifecycleStatus: 'active',
      description: { text: story.diabetic ? 'Hemoglobin A1c below 7 %' : 'Walk for half an hour every day' },
      subject,
      startDate: instant(at).slice(0, 10),
      target: [{ dueDate: '2026-12-31' }],
    })
    yield make('Coverage', 'coverage-0', 'coverage', at, {
      identifier: [
        {
          type: concept(hl7('v2-0203', 'MB', 'Member Number')),
          system: 'urn:sandbox:member',
          value: `M-${story.id}`,
        },
      ],
      status: 'active',
      type: concept({
        system: 'https://nahdo.org/sopt',
        code: '512',
        display: 'Commercial Managed Care - PPO',
      }),
      subscriberId: `S-${story.id}`,
      beneficiary: subject,
      relationship: concept(hl7('subscriber-relationship', 'self', 'Self')),
      period: { start: '2026-01-01', end: '2026-12-31' },
      payor: [{ reference: 'Organization/insurer' }],
    })
    yield make(
      'FamilyMemberHistory',
      'family-0',
      'http://hl7.org/fhir/StructureDefinition/FamilyMemberHistory',
      at,
      {
        status: 'completed',
        patient: subject,
        relationship: concept(hl7('v3-RoleCode', 'FTH', 'father')),
        condition: [
          {
            code: concept(snomed('38341003', 'Hypertensive disorder')),
            onsetAge: { value: 52, unit: 'years', system: 'http://unitsofmeasure.org', code: 'a' },
          },
        ],
      },
    )
    if (story.parent !== undefined) {
      yield make('RelatedPerson', 'parent', 'relatedperson', at, {
        active: true,
        patient: subject,
        relationship: [concept(hl7('v3-RoleCode', 'MTH', 'mother'))],
        name: [{ family: 'Okafor', given: ['Elena'] }],
        identifier: [{ system: 'urn:sandbox:person', value: story.parent }],
      })
    }
  }

  function* answers(): Iterable<Resource> {
    const at = today - 90 * day
    yield observation(
      'smoking',
      'smokingstatus',
      categories.socialHistory,
      loinc('72166-2', 'Tobacco smoking status'),
      at,
      { valueCodeableConcept: concept(story.smoking) },
    )
    yield observation(
      'occupation',
      'observation-occupation',
      categories.socialHistory,
      loinc('11341-5', 'History of Occupation'),
      at,
      {
        valueCodeableConcept: { text: story.parent === undefined ? 'Teacher' : 'Pupil' },
      },
    )
    if (story.pregnant) {
      yield observation(
        'pregnancy',
        'observation-pregnancystatus',
        categories.socialHistory,
        loinc('82810-3', 'Pregnancy status'),
        at,
        { valueCodeableConcept: concept(snomed('77386006', 'Pregnant')) },
      )
    }
    yield observation(
      'phq2',
      'observation-screening-assessment',
      categories.survey,
      loinc('55758-7', 'Patient Health Questionnaire 2 item (PHQ-2) total score [Reported]'),
      at,
      {
        valueInteger: random.whole(0, 2),
        derivedFrom: [{ reference: `QuestionnaireResponse/${story.id}-phq2-answers` }],
      },
    )
    yield observation(
      'housing',
      'observation-screening-assessment',
      categories.sdoh,
      loinc('71802-3', 'Housing status'),
      at,
      {
        valueCodeableConcept: concept(loinc('LA30189-7', 'I have a steady place to live')),
      },
    )
    yield observation(
      'mobility',
      'simple-observation',
      categories.functional,
      loinc('54524-4', 'Mobility'),
      at,
      { valueCodeableConcept: { text: 'Walks without aid' } },
    )
    yield observation(
      'ecg',
      'observation-clinical-result',
      categories.exam,
      loinc('8601-7', 'EKG impression'),
      at,
      { valueString: 'Sinus rhythm' },
    )
    yield observation(
      'imaging',
      'observation-clinical-result',
      categories.imaging,
      loinc('18782-3', 'Radiology Study observation (narrative)'),
      at,
      { valueString: 'No acute finding' },
    )
    yield make('QuestionnaireResponse', 'phq2-answers', 'questionnaireresponse', at, {
      questionnaire: 'http://loinc.org/q/55757-9',
      status: 'completed',
      subject,
      authored: instant(at),
      author: subject,
      item: [
        {
          linkId: '44250-9',
          text: 'Little interest or pleasure in doing things',
          answer: [{ valueCoding: loinc('LA6568-5', 'Not at all') }],
        },
        {
          linkId: '44255-8',
          text: 'Feeling down, depressed, or hopeless',
          answer: [{ valueCoding: loinc('LA6568-5', 'Not at all') }],
        },
      ],
    })
  }

  function* monitor(): Iterable<Resource> {
    for (let reading = 1; reading <= (story.monitorReadings ?? 0); reading++) {
      const at = today - reading * 3_600_000
      yield observation(`hr-${reading}`, 'heart-rate', categories.vitalSigns, heartRate.code, at, {
        valueQuantity: quantity(random.near(70, 9, 0), heartRate),
      })
    }
  }

  const patient = (): Resource =>
    make('Patient', '', 'patient', Date.UTC(story.since, 0, 2), {
      id: story.id,
      extension: [
        ombExtension('race', story.race),
        ombExtension('ethnicity', story.ethnicity),
        {
          url: 'http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex',
          valueCode: story.gender === 'female' ? 'F' : 'M',
        },
      ],
      identifier: [
        {
          use: 'usual',
          type: concept(hl7('v2-0203', 'MR', 'Medical Record Number')),
          system: 'urn:sandbox:mrn',
          value: `MRN-${story.id}`,
        },
      ],
      active: true,
      name: [{ use: 'official', text: story.name, family: story.family, given: story.given }],
      telecom: [{ system: 'phone', value: '555-0142', use: 'home' }],
      gender: story.gender,
      birthDate: story.birthDate,
      address: [
        { line: ['12 Elm Street'], city: 'Springfield', state: 'MA', postalCode: '01101', country: 'US' },
      ],
      communication: [
        { language: concept({ system: 'urn:ietf:bcp:47', code: 'en', display: 'English' }), preferred: true },
      ],
      generalPractitioner: [practitioner],
      managingOrganization: { reference: 'Organization/hospital' },
    })

  return { patient, visits, problems, medicines, allergies, vaccines, procedures, plans, answers, monitor }
}

function ombExtension(name: 'race' | 'ethnicity', category: Code): Record<string, unknown> {
  return {
    url: `http://hl7.org/fhir/us/core/StructureDefinition/us-core-${name}`,
    extension: [
      { url: 'ombCategory', valueCoding: category },
      { url: 'text', valueString: category.display },
    ],
  }
}

function quantity(value: number, { unit, ucum }: Pick<Measure, 'unit' | 'ucum'>): Record<string, unknown> {
  return { value, unit, system: 'http://unitsofmeasure.org', code: ucum }
}

function pressure(code: Code, value: number): Record<string, unknown> {
  return { code: concept(code), valueQuantity: quantity(value, { unit: 'mmHg', ucum: 'mm[Hg]' }) }
}

function interpretation(value: number, { low, high }: Measure): [code: string, display: string] {
  if (low !== undefined && value < low) return ['L', 'Low']
  if (high !== undefined && value > high) return ['H', 'High']
  return ['N', 'Normal']
}

function raisedGlucose(what: Measure): Measure {
  return what.code.code === '2345-7' ? { ...what, mean: 148, spread: 22 } : what
}

function instant(at: number): string {
  return new Date(at).toISOString().replace('.000Z', 'Z')
}

// The smallest file that a PDF reader opens: one page, one line.
function pdfOf(line: string): Buffer {
  const stream = `BT /F1 18 Tf 72 720 Td (${line}) Tj ET`
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>',
    `<< /Length ${stream.length} >>\nstream\n${stream}\nendstream`,
    '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
  ]
  let body = '%PDF-1.4\n'
  const offsets = objects.map((object, index) => {
    const offset = body.length
    body += `${index + 1} 0 obj\n${object}\nendobj\n`
    return offset
  })
  const table = offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`).join('')
  return Buffer.from(
    `${body}xref\n0 6\n0000000000 65535 f \n${table}trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n${body.length}\n%%EOF\n`,
  )
}
