import { createHash } from 'node:crypto'
import type { Chart, Elements, Visit } from './chart.js'
import {
  type Coding,
  type Concept,
  concept,
  loinc,
  type Measure,
  snomed,
  systems,
  terminology,
  vitals,
} from './codes.js'
import { type Clinician, nameOf } from './directory.js'
import { round } from './random.js'
import { dateOf, dateTimeOf, dayLength, epoch, instantOf } from './time.js'

// The entries that clinicians make in a chart, one function each.

/** A problem on the problem list, a diagnosis of a visit, or a concern about a person's life. */
export function addCondition(
  chart: Chart,
  visit: Visit,
  code: Concept,
  options: {
    readonly category?: 'problem-list-item' | 'encounter-diagnosis' | 'health-concern'
    readonly onset?: number
    readonly resolved?: number
  } = {},
): string {
  const { category = 'problem-list-item', onset = visit.time, resolved } = options
  const isDiagnosis = category === 'encounter-diagnosis'
  const categories =
    category === 'health-concern'
      ? concept({
          system: 'http://hl7.org/fhir/us/core/CodeSystem/condition-category',
          code: category,
          display: 'Health Concern',
        })
      : terminology('condition-category', category, isDiagnosis ? 'Encounter Diagnosis' : 'Problem List Item')
  const [state, shown] = resolved === undefined ? ['active', 'Active'] : ['resolved', 'Resolved']
  return chart.add(
    'Condition',
    resolved ?? visit.time,
    {
      extension: [
        {
          url: 'http://hl7.org/fhir/StructureDefinition/condition-assertedDate',
          valueDateTime: dateOf(visit.time),
        },
      ],
      clinicalStatus: terminology('condition-clinical', state as string, shown as string),
      verificationStatus: terminology('condition-ver-status', 'confirmed', 'Confirmed'),
      category: [categories],
      code,
      subject: chart.patient,
      encounter: { reference: visit.encounter },
      onsetDateTime: dateOf(onset),
      ...(resolved === undefined ? {} : { abatementDateTime: dateOf(resolved) }),
      recordedDate: dateTimeOf(visit.time),
      recorder: practitioner(visit.clinician),
    },
    { profile: isDiagnosis ? 'condition-encounter-diagnosis' : 'condition-problems-health-concerns' },
  )
}

/** An allergy, or the statement that there is none. */
export function addAllergy(
  chart: Chart,
  visit: Visit,
  code: Concept,
  reaction?: {
    readonly manifestation: Coding
    readonly severity: 'mild' | 'moderate' | 'severe'
    readonly category: 'food' | 'medication' | 'environment'
  },
): string {
  return chart.add(
    'AllergyIntolerance',
    visit.time,
    {
      clinicalStatus: terminology('allergyintolerance-clinical', 'active', 'Active'),
      verificationStatus: terminology('allergyintolerance-verification', 'confirmed', 'Confirmed'),
      ...(reaction
        ? {
            type: 'allergy',
            category: [reaction.category],
            criticality: reaction.severity === 'severe' ? 'high' : 'low',
          }
        : {}),
      code,
      patient: chart.patient,
      recordedDate: dateTimeOf(visit.time),
      recorder: practitioner(visit.clinician),
      ...(reaction
        ? { reaction: [{ manifestation: [concept(reaction.manifestation)], severity: reaction.severity }] }
        : {}),
    },
    { profile: 'allergyintolerance' },
  )
}

/** An observation of any kind. */
export function addObservation(
  chart: Chart,
  visit: Visit,
  options: {
    readonly category: string
    readonly code: Coding
    readonly value: Elements
    readonly profile?: string
    readonly system?: string
    readonly time?: number
  },
): string {
  const { category, code, value, profile, system = systems.observationCategory, time = visit.time } = options
  return chart.add(
    'Observation',
    time,
    {
      status: 'final',
      category: categoriesOf(category, system),
      code: concept(code),
      subject: chart.patient,
      encounter: { reference: visit.encounter },
      effectiveDateTime: dateTimeOf(time),
      issued: instantOf(Math.min(time + 1_800_000, epoch)),
      performer: [practitioner(visit.clinician)],
      ...value,
    },
    profile === undefined ? {} : { profile },
  )
}

/** A measurement with its unit, range and interpretation. */
export function measured(measure: Measure, value: number): Elements {
  const shown = round(value, measure.decimals)
  const { low, high, unit, ucum } = measure
  const bound = (limit: number): object => ({ value: limit, unit, system: systems.ucum, code: ucum })
  const high1 = high !== undefined && shown > high
  const low1 = low !== undefined && shown < low
  return {
    valueQuantity: { value: shown, unit, system: systems.ucum, code: ucum },
    ...(low === undefined && high === undefined
      ? {}
      : {
          interpretation: [
            terminology(
              'v3-ObservationInterpretation',
              high1 ? 'H' : low1 ? 'L' : 'N',
              high1 ? 'High' : low1 ? 'Low' : 'Normal',
            ),
          ],
          referenceRange: [
            {
              ...(low === undefined ? {} : { low: bound(low) }),
              ...(high === undefined ? {} : { high: bound(high) }),
            },
          ],
        }),
  }
}

/** A coded answer. */
export function coded(value: Coding): Elements {
  return { valueCodeableConcept: concept(value) }
}

/** The vital signs of a visit; what is left out was not taken. */
export function addVitals(
  chart: Chart,
  visit: Visit,
  taken: {
    readonly pressure?: readonly [systolic: number, diastolic: number]
    readonly heartRate?: number
    readonly respiratoryRate?: number
    readonly temperature?: number
    readonly oxygen?: number
    readonly height?: number
    readonly weight?: number
    readonly bmiPercentile?: number
    readonly headCircumference?: number
    /** A child's normal values are others than those of the ranges. */
    readonly child?: boolean
  },
): void {
  const add = (measure: Measure, value: number | undefined, profile: string): void => {
    if (value === undefined) return
    const { code, unit, ucum, decimals } = measure
    const plain = taken.child ? { code, unit, ucum, decimals } : measure
    addObservation(chart, visit, { category: 'vital-signs', code, value: measured(plain, value), profile })
  }
  if (taken.pressure) {
    const component = (
      [
        [vitals.systolic, taken.pressure[0]],
        [vitals.diastolic, taken.pressure[1]],
      ] as const
    ).map(([{ code, unit, ucum }, value]) => ({
      code: concept(code),
      valueQuantity: { value, unit, system: systems.ucum, code: ucum },
    }))
    addObservation(chart, visit, {
      category: 'vital-signs',
      code: loinc('85354-9', 'Blood pressure panel with all children optional'),
      value: { component },
      profile: 'blood-pressure',
    })
  }
  add(vitals.heartRate, taken.heartRate, 'heart-rate')
  add(vitals.respiratoryRate, taken.respiratoryRate, 'respiratory-rate')
  add(vitals.temperature, taken.temperature, 'body-temperature')
  add(vitals.oxygen, taken.oxygen, 'pulse-oximetry')
  add(vitals.height, taken.height, 'body-height')
  add(vitals.weight, taken.weight, 'body-weight')
  if (taken.height !== undefined && taken.weight !== undefined) {
    add(vitals.bmi, taken.weight / (taken.height / 100) ** 2, 'bmi')
  }
  add(vitals.bmiPercentile, taken.bmiPercentile, 'pediatric-bmi-for-age')
  add(vitals.headCircumference, taken.headCircumference, 'head-circumference')
}

/** An order to the laboratory, its specimen, its results and its report. */
export function addPanel(
  chart: Chart,
  visit: Visit,
  panel: Coding,
  results: readonly (readonly [Measure, number])[],
  specimen: 'blood' | 'urine' = 'blood',
): string {
  const order = addOrder(chart, visit, panel, snomed('108252007', 'Laboratory procedure'))
  const kind =
    specimen === 'blood' ? snomed('119297000', 'Blood specimen') : snomed('122575003', 'Urine specimen')
  const sample = chart.add(
    'Specimen',
    visit.time,
    {
      identifier: [{ system: 'urn:oid:2.16.840.1.113883.19.6', value: order.split('/')[1] }],
      status: 'available',
      type: concept(kind),
      subject: chart.patient,
      collection: { collectedDateTime: dateTimeOf(visit.time) },
    },
    { profile: 'specimen' },
  )
  const reported = visit.time + 6 * 3_600_000
  const laboratory = [{ reference: 'Organization/northside-laboratory', display: 'Northside Laboratory' }]
  const result = results.map(([measure, value]) => ({
    reference: addObservation(chart, visit, {
      category: 'laboratory',
      code: measure.code,
      profile: 'observation-lab',
      value: {
        issued: instantOf(Math.min(reported, epoch)),
        performer: laboratory,
        ...measured(measure, value),
        specimen: { reference: sample },
        basedOn: [{ reference: order }],
      },
    }),
    display: measure.code.display,
  }))
  return chart.add(
    'DiagnosticReport',
    reported,
    {
      basedOn: [{ reference: order }],
      status: 'final',
      category: [terminology('v2-0074', 'LAB', 'Laboratory')],
      code: concept(panel),
      subject: chart.patient,
      encounter: { reference: visit.encounter },
      effectiveDateTime: dateTimeOf(visit.time),
      issued: instantOf(Math.min(reported, epoch)),
      performer: laboratory,
      specimen: [{ reference: sample }],
      result,
    },
    { profile: 'diagnosticreport-lab' },
  )
}

/** An order for something to be done. */
export function addOrder(chart: Chart, visit: Visit, code: Coding, category: Coding): string {
  return chart.add(
    'ServiceRequest',
    visit.time,
    {
      status: 'completed',
      intent: 'order',
      category: [concept(category)],
      code: concept(code),
      subject: chart.patient,
      encounter: { reference: visit.encounter },
      occurrenceDateTime: dateTimeOf(visit.time),
      authoredOn: dateTimeOf(visit.time),
      requester: practitioner(visit.clinician),
    },
    { profile: 'servicerequest' },
  )
}

/** How a prescription names its medicine: in line, by a reference, or as a contained resource. */
export type MedicineForm =
  | { readonly inline: Concept }
  | { readonly reference: string }
  | { readonly contained: Concept }

/** A prescription. */
export function addPrescription(
  chart: Chart,
  visit: Visit,
  medicine: MedicineForm,
  options: {
    readonly dose: string
    readonly daily: number
    readonly status?: 'active' | 'completed' | 'stopped'
    readonly intent?: 'order' | 'plan'
    readonly reported?: boolean
    readonly reason?: string
    readonly dispenses?: number
    readonly refillDays?: number
    /** What is counted when the medicine is handed out. */
    readonly unit?: 'tablet' | 'mL'
    readonly route?: Coding
    /** How many of the unit are used in a day. */
    readonly used?: number
  },
): string {
  const { dose, daily, status = 'active', intent = 'order', refillDays = 90 } = options
  const { unit = 'tablet', route = snomed('26643006', 'Oral route'), used = daily } = options
  const { contained, ...medication } = medicationOf(medicine)
  const dosage = {
    text: dose,
    timing: { repeat: { frequency: daily, period: 1, periodUnit: 'd' } },
    route: concept(route),
  }
  const request = chart.add(
    'MedicationRequest',
    visit.time,
    {
      ...(contained ? { contained } : {}),
      status,
      intent,
      category: [terminology('medicationrequest-category', 'community', 'Community')],
      ...(options.reported ? { reportedBoolean: true } : {}),
      ...medication,
      subject: chart.patient,
      encounter: { reference: visit.encounter },
      authoredOn: dateTimeOf(visit.time),
      requester: practitioner(visit.clinician),
      ...(options.reason ? { reasonReference: [{ reference: options.reason }] } : {}),
      dosageInstruction: [dosage],
      dispenseRequest: {
        numberOfRepeatsAllowed: 3,
        quantity: { value: round(refillDays * used, 1), unit },
        expectedSupplyDuration: { value: refillDays, unit: 'days', system: systems.ucum, code: 'd' },
      },
    },
    { profile: 'medicationrequest' },
  )
  for (let fill = 0; fill < (options.dispenses ?? 0); fill++) {
    const handed = visit.time + (1 + fill * refillDays) * dayLength
    if (handed > epoch) break
    chart.add(
      'MedicationDispense',
      handed,
      {
        ...(contained ? { contained } : {}),
        status: 'completed',
        ...medication,
        subject: chart.patient,
        performer: [{ actor: { reference: 'Organization/corner-pharmacy', display: 'Corner Pharmacy' } }],
        authorizingPrescription: [{ reference: request }],
        type: terminology('v3-ActCode', fill === 0 ? 'FF' : 'RF', fill === 0 ? 'First Fill' : 'Refill'),
        quantity: { value: round(refillDays * used, 1), unit },
        daysSupply: { value: refillDays, unit: 'days', system: systems.ucum, code: 'd' },
        whenHandedOver: dateTimeOf(handed),
        dosageInstruction: [dosage],
      },
      { profile: 'medicationdispense' },
    )
  }
  return request
}

/** A vaccination. */
export function addImmunization(chart: Chart, visit: Visit, vaccine: Concept): string {
  return chart.add(
    'Immunization',
    visit.time,
    {
      status: 'completed',
      vaccineCode: vaccine,
      patient: chart.patient,
      encounter: { reference: visit.encounter },
      occurrenceDateTime: dateTimeOf(visit.time),
      primarySource: true,
      lotNumber: `L${chart.random.between(10_000, 99_999)}`,
      performer: [{ actor: practitioner(visit.clinician) }],
    },
    { profile: 'immunization' },
  )
}

/** A procedure that was done at a visit. */
export function addProcedure(chart: Chart, visit: Visit, code: Coding, reason?: string): string {
  return chart.add(
    'Procedure',
    visit.time,
    {
      status: 'completed',
      code: concept(code),
      subject: chart.patient,
      encounter: { reference: visit.encounter },
      performedPeriod: { start: dateTimeOf(visit.time), end: dateTimeOf(visit.time + 900_000) },
      performer: [{ actor: practitioner(visit.clinician) }],
      ...(reason ? { reasonReference: [{ reference: reason }] } : {}),
    },
    { profile: 'procedure' },
  )
}

type NoteTypeName = 'progress' | 'consult' | 'discharge' | 'history' | 'imaging' | 'summary' | 'emergency'

/** The kinds of notes, by what they hold. */
export const noteTypes: Readonly<Record<NoteTypeName, Coding>> = {
  progress: loinc('11506-3', 'Progress note'),
  consult: loinc('11488-4', 'Consult note'),
  discharge: loinc('18842-5', 'Discharge summary'),
  history: loinc('34117-2', 'History and physical note'),
  imaging: loinc('18748-4', 'Diagnostic imaging study'),
  summary: loinc('34133-9', 'Summary of episode note'),
  emergency: loinc('34111-5', 'Emergency department Note'),
}

/** A clinical note, its bytes in a Binary or in line. */
export function addNote(
  chart: Chart,
  visit: Visit,
  type: Coding,
  content: { readonly contentType: string; readonly bytes: Uint8Array },
  options: { readonly inline?: boolean; readonly report?: Coding; readonly category?: Coding } = {},
): string {
  const data = Buffer.from(content.bytes).toString('base64')
  const place = options.inline
    ? { data }
    : { url: chart.add('Binary', visit.time, { contentType: content.contentType, data }) }
  const attachment = {
    contentType: content.contentType,
    ...place,
    size: content.bytes.byteLength,
    // FHIR R4 fixes SHA-1 for this element.
    hash: createHash('sha1').update(content.bytes).digest('base64'),
    title: type.display,
    creation: dateTimeOf(visit.time),
  }
  const category = options.category
    ? concept(options.category)
    : concept({
        system: 'http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category',
        code: 'clinical-note',
        display: 'Clinical Note',
      })
  const note = chart.add(
    'DocumentReference',
    visit.time,
    {
      identifier: [
        { system: 'urn:oid:2.16.840.1.113883.19.7', value: `${visit.encounter.split('/')[1]}-${type.code}` },
      ],
      status: 'current',
      docStatus: 'final',
      type: concept(type),
      category: [category],
      subject: chart.patient,
      date: instantOf(visit.time),
      author: [practitioner(visit.clinician)],
      custodian: { reference: 'Organization/riverside-clinic' },
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
        encounter: [{ reference: visit.encounter }],
        period: { start: dateTimeOf(visit.time), end: dateTimeOf(visit.time + 1_200_000) },
      },
    },
    { profile: 'documentreference' },
  )
  if (options.report) {
    chart.add(
      'DiagnosticReport',
      visit.time,
      {
        status: 'final',
        category: [concept(options.report)],
        code: concept(type),
        subject: chart.patient,
        encounter: { reference: visit.encounter },
        effectiveDateTime: dateTimeOf(visit.time),
        issued: instantOf(visit.time),
        performer: [practitioner(visit.clinician)],
        presentedForm: [attachment],
      },
      { profile: 'diagnosticreport-note' },
    )
  }
  return note
}

/** What a note says, as plain text. */
export function plainNote(
  chart: Chart,
  visit: Visit,
  title: string,
  lines: readonly string[],
): { contentType: string; bytes: Uint8Array } {
  const text = [
    title.toUpperCase(),
    `Patient: ${chart.patient.display}    Born: ${chart.person.birthDate}`,
    `Date: ${dateOf(visit.time)}    Author: ${nameOf(visit.clinician)}`,
    '',
    ...lines,
    '',
    'Synthetic record; this person does not exist.',
    '',
  ].join('\n')
  return { contentType: 'text/plain', bytes: new TextEncoder().encode(text) }
}

/** What a note says, as a web page. */
export function htmlNote(
  chart: Chart,
  visit: Visit,
  title: string,
  lines: readonly string[],
): { contentType: string; bytes: Uint8Array } {
  const paragraphs = lines.map((line) => `<p>${line}</p>`).join('\n')
  const html = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>${title}</title></head>
<body>
<h1>${title}</h1>
<p>${chart.patient.display}, born ${chart.person.birthDate}. ${dateOf(visit.time)}, ${nameOf(visit.clinician)}.</p>
${paragraphs}
<p><em>Synthetic record; this person does not exist.</em></p>
</body>
</html>
`
  return { contentType: 'text/html', bytes: new TextEncoder().encode(html) }
}

/** What a note says, as a PDF of one page. */
export function pdfNote(title: string, lines: readonly string[]): { contentType: string; bytes: Uint8Array } {
  const text = [title, ...lines, 'Synthetic record; this person does not exist.']
    .map((line) => `(${line.replace(/[^\x20-\x7e]/g, '?').replace(/[\\()]/g, '\\$&')}) Tj T*`)
    .join('\n')
  const stream = `BT /F1 11 Tf 14 TL 72 720 Td\n${text}\nET`
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>',
    `<< /Length ${stream.length} >>\nstream\n${stream}\nendstream`,
    '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
  ]
  let pdf = '%PDF-1.4\n'
  const offsets = objects.map((object, index) => {
    const offset = pdf.length
    pdf += `${index + 1} 0 obj\n${object}\nendobj\n`
    return offset
  })
  const table = offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`).join('')
  const start = pdf.length
  pdf += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${table}`
  pdf += `trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${start}\n%%EOF\n`
  return { contentType: 'application/pdf', bytes: new TextEncoder().encode(pdf) }
}

/** A reference to a clinician. */
export function practitioner(clinician: Clinician): { reference: string; display: string } {
  return { reference: `Practitioner/${clinician}`, display: nameOf(clinician) }
}

/** The Coverage of a person. */
export function addCoverage(
  chart: Chart,
  time: number,
  member: string,
  plan: readonly [string, string],
): string {
  return chart.add(
    'Coverage',
    time,
    {
      identifier: [
        {
          type: concept({
            system: 'http://terminology.hl7.org/CodeSystem/v2-0203',
            code: 'MB',
            display: 'Member Number',
          }),
          system: 'https://prairie-health-plan.example/members',
          value: member,
        },
      ],
      status: 'active',
      type: concept({ system: 'https://nahdo.org/sopt', code: plan[0], display: plan[1] }),
      subscriberId: member,
      beneficiary: chart.patient,
      relationship: terminology('subscriber-relationship', 'self', 'Self'),
      period: { start: dateOf(time) },
      payor: [{ reference: 'Organization/prairie-health-plan', display: 'Prairie Health Plan' }],
    },
    { profile: 'coverage' },
  )
}

/** The CareTeam of a person. */
export function addCareTeam(
  chart: Chart,
  time: number,
  members: readonly Clinician[],
  extra: readonly Elements[] = [],
): string {
  return chart.add(
    'CareTeam',
    time,
    {
      status: 'active',
      name: `Care team of ${chart.patient.display}`,
      subject: chart.patient,
      participant: [
        ...members.map((member, index) => ({
          role: [
            concept(
              index === 0 ? snomed('446050000', 'Primary care physician') : snomed('309343006', 'Physician'),
            ),
          ],
          member: practitioner(member),
        })),
        ...extra,
      ],
      managingOrganization: [{ reference: 'Organization/riverside-clinic' }],
    },
    { profile: 'careteam' },
  )
}

/** An assessment and plan, which says what it says in its narrative. */
export function addCarePlan(
  chart: Chart,
  visit: Visit,
  plan: string,
  addresses: readonly string[],
  goals: readonly string[] = [],
): string {
  return chart.add(
    'CarePlan',
    visit.time,
    {
      text: { status: 'additional', div: `<div xmlns="http://www.w3.org/1999/xhtml"><p>${plan}</p></div>` },
      status: 'active',
      intent: 'plan',
      category: [
        concept({
          system: 'http://hl7.org/fhir/us/core/CodeSystem/careplan-category',
          code: 'assess-plan',
          display: 'Assessment and Plan of Treatment',
        }),
      ],
      subject: chart.patient,
      period: { start: dateOf(visit.time) },
      encounter: { reference: visit.encounter },
      author: practitioner(visit.clinician),
      ...(addresses.length > 0 ? { addresses: addresses.map((reference) => ({ reference })) } : {}),
      ...(goals.length > 0 ? { goal: goals.map((reference) => ({ reference })) } : {}),
    },
    { profile: 'careplan' },
  )
}

/** A goal with a date by which it is to be reached. */
export function addGoal(
  chart: Chart,
  visit: Visit,
  text: string,
  due: string,
  target?: readonly [Measure, number],
): string {
  return chart.add(
    'Goal',
    visit.time,
    {
      lifecycleStatus: 'active',
      achievementStatus: terminology('goal-achievement', 'in-progress', 'In Progress'),
      description: { text },
      subject: chart.patient,
      startDate: dateOf(visit.time),
      target: [
        {
          ...(target
            ? {
                measure: concept(target[0].code),
                detailQuantity: {
                  value: target[1],
                  comparator: '<=',
                  unit: target[0].unit,
                  system: systems.ucum,
                  code: target[0].ucum,
                },
              }
            : {}),
          dueDate: due,
        },
      ],
      expressedBy: practitioner(visit.clinician),
    },
    { profile: 'goal' },
  )
}

/** An illness in the family. */
export function addFamilyHistory(
  chart: Chart,
  visit: Visit,
  relation: readonly [code: string, display: string],
  illness: Concept,
  age: number,
): string {
  return chart.add(
    'FamilyMemberHistory',
    visit.time,
    {
      status: 'completed',
      patient: chart.patient,
      date: dateOf(visit.time),
      relationship: concept({ system: systems.roleCode, code: relation[0], display: relation[1] }),
      condition: [
        { code: illness, onsetAge: { value: age, unit: 'years', system: systems.ucum, code: 'a' } },
      ],
    },
    { profile: 'familymemberhistory' },
  )
}

/** A device in or on a person. */
export function addDevice(
  chart: Chart,
  time: number,
  type: Coding,
  identifier: string,
  name: string,
): string {
  return chart.add(
    'Device',
    time,
    {
      udiCarrier: [
        {
          deviceIdentifier: identifier,
          issuer: 'http://hl7.org/fhir/NamingSystem/gs1-di',
          carrierHRF: `(01)${identifier}(17)300101(10)A1B2`,
        },
      ],
      status: 'active',
      manufacturer: 'Example Devices',
      manufactureDate: dateOf(time - 200 * dayLength),
      lotNumber: 'A1B2',
      deviceName: [{ name, type: 'user-friendly-name' }],
      type: concept(type),
      patient: chart.patient,
    },
    { profile: 'implantable-device' },
  )
}

/** Whether, and how, a person smokes. */
export function addSmoking(chart: Chart, visit: Visit, answer: 'never' | 'former' | 'daily'): void {
  const answers = {
    never: snomed('266919005', 'Never smoked tobacco'),
    former: snomed('8517006', 'Ex-smoker'),
    daily: snomed('449868002', 'Smokes tobacco daily'),
  }
  addObservation(chart, visit, {
    category: 'social-history',
    code: loinc('72166-2', 'Tobacco smoking status'),
    value: coded(answers[answer]),
    profile: 'smokingstatus',
  })
}

/** The PHQ-2: its answers as a QuestionnaireResponse and its score as an observation. */
export function addDepressionScreening(chart: Chart, visit: Visit, answers: readonly [number, number]): void {
  const choices = [
    loinc('LA6568-5', 'Not at all'),
    loinc('LA6569-3', 'Several days'),
    loinc('LA6570-1', 'More than half the days'),
    loinc('LA6571-9', 'Nearly every day'),
  ] as const
  const questions = [
    ['/44250-9', 'Little interest or pleasure in doing things'],
    ['/44255-8', 'Feeling down, depressed, or hopeless'],
  ] as const
  const response = chart.add(
    'QuestionnaireResponse',
    visit.time,
    {
      questionnaire: 'http://loinc.org/q/55757-9',
      status: 'completed',
      subject: chart.patient,
      encounter: { reference: visit.encounter },
      authored: dateTimeOf(visit.time),
      author: chart.patient,
      item: questions.map(([linkId, text], index) => ({
        linkId,
        text,
        answer: [{ valueCoding: choices[answers[index] as 0 | 1 | 2 | 3] }],
      })),
    },
    { profile: 'questionnaireresponse' },
  )
  addObservation(chart, visit, {
    category: 'survey',
    code: loinc('55758-7', 'Patient Health Questionnaire 2 item (PHQ-2) total score [Reported]'),
    value: {
      valueQuantity: {
        value: answers[0] + answers[1],
        unit: '{score}',
        system: systems.ucum,
        code: '{score}',
      },
      derivedFrom: [{ reference: response }],
    },
    profile: 'observation-screening-assessment',
  })
}

/** The two questions about food of the Hunger Vital Sign, of which this is the first. */
export function addFoodScreening(chart: Chart, visit: Visit, worried: boolean): void {
  const worry = worried ? loinc('LA6729-3', 'Sometimes true') : loinc('LA28398-0', 'Never true')
  addObservation(chart, visit, {
    category: 'sdoh',
    system: systems.usCoreCategory,
    code: loinc(
      '88122-7',
      'Within the past 12 months we worried whether our food would run out before we got money to buy more [U.S. FSS]',
    ),
    value: coded(worry),
    profile: 'observation-screening-assessment',
  })
}

function categoriesOf(category: string, system: string): Concept[] {
  const own = concept({ system, code: category, display: category })
  // US Core files what a screening about living finds under survey as well.
  return system === systems.usCoreCategory && category === 'sdoh'
    ? [terminology('observation-category', 'survey', 'Survey'), own]
    : [own]
}

function medicationOf(medicine: MedicineForm): Elements {
  if ('inline' in medicine) return { medicationCodeableConcept: medicine.inline }
  if ('reference' in medicine) return { medicationReference: { reference: medicine.reference } }
  return {
    contained: [{ resourceType: 'Medication', id: 'medicine', code: medicine.contained }],
    medicationReference: { reference: '#medicine' },
  }
}
