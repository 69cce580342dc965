import { isObject } from '../util/json.js'

/** Days between which a participant agreed to share, each `YYYY-MM-DD` and itself included. */
export interface Period {
  readonly start?: string
  readonly end?: string
}

// The elements that say when something was; of a choice such as effective[x], the beginning of its name.
const dates: Readonly<Record<string, readonly string[]>> = {
  // R4 and DSTU2 do not spell the last occurrence alike.
  AllergyIntolerance: ['onset', 'recordedDate', 'assertedDate', 'lastOccurrence', 'lastOccurence'],
  Appointment: ['start', 'end'],
  CarePlan: ['period', 'created'],
  CareTeam: ['period'],
  Claim: ['billablePeriod', 'created'],
  ClinicalImpression: ['effective', 'date'],
  Communication: ['sent', 'received'],
  Composition: ['date'],
  Condition: ['onset', 'recordedDate', 'assertedDate', 'dateRecorded', 'abatement'],
  DiagnosticReport: ['effective', 'issued'],
  DocumentReference: ['date', 'created', 'indexed', 'context.period'],
  Encounter: ['period'],
  EpisodeOfCare: ['period'],
  ExplanationOfBenefit: ['billablePeriod', 'created'],
  FamilyMemberHistory: ['date'],
  Flag: ['period'],
  Goal: ['start', 'statusDate'],
  ImagingStudy: ['started'],
  Immunization: ['occurrence', 'date'],
  ImmunizationRecommendation: ['date'],
  Media: ['created'],
  MedicationAdministration: ['effective'],
  MedicationDispense: ['whenPrepared', 'whenHandedOver'],
  MedicationOrder: ['dateWritten', 'dateEnded'],
  MedicationRequest: ['authoredOn'],
  MedicationStatement: ['effective', 'dateAsserted'],
  NutritionOrder: ['dateTime'],
  Observation: ['effective', 'issued'],
  Procedure: ['performed'],
  ProcedureRequest: ['occurrence', 'authoredOn', 'scheduled'],
  QuestionnaireResponse: ['authored'],
  RiskAssessment: ['occurrence'],
  ServiceRequest: ['occurrence', 'authoredOn'],
  Specimen: ['collection.collected', 'receivedTime'],
}

// Who, what and where: such resources say nothing of a time.
const timeless: ReadonlySet<string> = new Set([
  ...['Patient', 'Practitioner', 'PractitionerRole', 'RelatedPerson', 'Organization', 'Location'],
  ...['Device', 'Medication', 'Substance', 'HealthcareService', 'Endpoint', 'Coverage'],
])

/**
 * Whether a resource is dated within a period: every one of its dates must be, and of a date that is known by its
 * month or year only, all of it. `undated` is one that should have a date and has none.
 */
export function datedWithin(resource: unknown, period: Period): 'inside' | 'outside' | 'undated' {
  if (!isObject(resource)) return 'undated'
  const type = String(resource.resourceType)
  const inner = Array.isArray(resource.contained) ? resource.contained : []
  if (inner.some((one: unknown) => datedWithin(one, period) === 'outside')) return 'outside'
  if (timeless.has(type)) return 'inside'
  const spans = (Object.hasOwn(dates, type) ? (dates[type] as readonly string[]) : []).flatMap((path) =>
    spansAt(resource, path),
  )
  if (spans.length === 0 || spans.includes(undefined)) return 'undated'
  const first = period.start === undefined ? Number.NEGATIVE_INFINITY : spanOf(period.start)?.[0]
  const last = period.end === undefined ? Number.POSITIVE_INFINITY : spanOf(period.end)?.[1]
  if (first === undefined || last === undefined) return 'outside'
  return (spans as Span[]).every(([from, to]) => from >= first && to <= last) ? 'inside' : 'outside'
}

/** The day of a resource, for a list; as precise as it is known. */
export function dayOf(resource: Record<string, unknown>): string | undefined {
  const type = String(resource.resourceType)
  for (const path of Object.hasOwn(dates, type) ? (dates[type] as readonly string[]) : [])
    for (const text of textsAt(resource, path)) if (spanOf(text)) return text.slice(0, 10)
  return undefined
}

// First and last moment, in milliseconds since 1970.
type Span = readonly [number, number]

const spansAt = (resource: Record<string, unknown>, path: string): (Span | undefined)[] =>
  textsAt(resource, path).map(spanOf)

function textsAt(resource: Record<string, unknown>, path: string): string[] {
  const [name, inner] = path.split('.') as [string, string | undefined]
  if (inner !== undefined) {
    const value = resource[name]
    return isObject(value) ? textsAt(value, inner) : []
  }
  return Object.entries(resource)
    .filter(([key]) => key === name || (key.startsWith(name) && choices.has(key.slice(name.length))))
    .flatMap(([, value]) => textsIn(value))
}

const choices: ReadonlySet<string> = new Set([
  'DateTime',
  'Date',
  'Period',
  'Instant',
  'Timing',
  'dDateTime',
  'dPeriod',
])

// Nested as deep as a Timing is: repeat.boundsPeriod.start.
function textsIn(value: unknown, depth = 4): string[] {
  if (typeof value === 'string') return [value]
  if (depth === 0) return []
  if (Array.isArray(value)) return value.flatMap((one) => textsIn(one, depth - 1))
  if (!isObject(value)) return []
  // Of what has only an end nobody knows when it began.
  if (value.start === undefined && typeof value.end === 'string') return ['', value.end]
  return ['start', 'end', 'event', 'repeat', 'boundsPeriod'].flatMap((key) => textsIn(value[key], depth - 1))
}

/** The first and the last moment of a FHIR date, dateTime or instant; undefined when it is none. */
function spanOf(text: string): Span | undefined {
  const match = /^(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?(T.+)?$/.exec(text.trim())
  if (!match) return undefined
  const [, year, month, day, time] = match
  if (day !== undefined && time !== undefined) {
    // The day as it was where it happened: the hour of a visit is no reason to count it to another day.
    return spanOf(`${year}-${month}-${day}`)
  }
  const [y, m, d] = [
    Number(year),
    month === undefined ? 1 : Number(month),
    day === undefined ? 1 : Number(day),
  ]
  const from = Date.UTC(y, m - 1, d)
  const shown = new Date(from).toISOString().slice(0, 10)
  if (shown !== `${year}-${month ?? '01'}-${day ?? '01'}`) return undefined
  const next =
    day !== undefined
      ? Date.UTC(y, m - 1, d + 1)
      : month !== undefined
        ? Date.UTC(y, m, 1)
        : Date.UTC(y + 1, 0, 1)
  return [from, next - 1]
}
