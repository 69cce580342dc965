import type { ResourceType, SearchParams } from '../fhir/types.js'

/** Searches to ask in place of one that was refused: all of a rung; the next rung when each of it is refused too. */
export type Ladder = readonly (readonly SearchParams[])[]

// Every code that the status of a type can have: a list of all of them leaves nothing out.
const statuses: Partial<Record<ResourceType, string>> = {
  CarePlan: 'draft,active,on-hold,revoked,completed,entered-in-error,unknown',
  Coverage: 'active,cancelled,draft,entered-in-error',
  Device: 'active,inactive,entered-in-error,unknown',
  DiagnosticReport:
    'registered,partial,preliminary,final,amended,corrected,appended,cancelled,entered-in-error,unknown',
  DocumentReference: 'current,superseded,entered-in-error',
  Encounter: 'planned,arrived,triaged,in-progress,onleave,finished,cancelled,entered-in-error,unknown',
  Immunization: 'completed,entered-in-error,not-done',
  MedicationDispense:
    'preparation,in-progress,cancelled,on-hold,completed,entered-in-error,stopped,declined,unknown',
  MedicationRequest: 'active,on-hold,cancelled,completed,entered-in-error,stopped,draft,unknown',
  Observation: 'registered,preliminary,final,amended,corrected,cancelled,entered-in-error,unknown',
  Procedure: 'preparation,in-progress,not-done,on-hold,stopped,completed,entered-in-error,unknown',
  QuestionnaireResponse: 'in-progress,completed,amended,entered-in-error,stopped',
  ServiceRequest: 'draft,active,on-hold,revoked,completed,entered-in-error,unknown',
}

const conditionCategories = [
  'http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item',
  'http://terminology.hl7.org/CodeSystem/condition-category|encounter-diagnosis',
  'http://hl7.org/fhir/us/core/CodeSystem/condition-category|health-concern',
]
const reportCategories = [
  'http://terminology.hl7.org/CodeSystem/v2-0074|LAB',
  'http://loinc.org|LP29684-5',
  'http://loinc.org|LP29708-2',
  'http://loinc.org|LP7839-6',
]
const planCategories = ['http://snomed.info/sct|734163000', 'http://snomed.info/sct|38717003']

const by = (name: string, values: readonly string[], search: SearchParams = {}): SearchParams[] =>
  values.map((value) => ({ ...search, [name]: value }))

// What servers ask for instead of a patient alone. `{patient}` is the id of the patient.
const others: Partial<Record<ResourceType, (search: SearchParams) => Ladder>> = {
  Condition: () => [by('category', conditionCategories)],
  DiagnosticReport: () => [by('category', reportCategories)],
  DocumentReference: () => [
    by('category', [
      'http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category|clinical-note',
    ]),
  ],
  CarePlan: () => [by('category', planCategories), [{}]],
  CareTeam: (search) => [by('status', listed(search.status)), [{}]],
  MedicationRequest: (search) => [by('intent', listed(search.intent), search), [{}]],
  Coverage: () => [[{ patient: undefined, beneficiary: '{patient}' }]],
  Observation: (search) => [
    ...(['category', 'code'] as const).flatMap((name) => {
      const [, code] = String(search[name] ?? '').split('|')
      return code === undefined ? [] : [[{ ...search, [name]: code }]]
    }),
  ],
}

/**
 * What to ask when a server refuses a search that US Core has it answer: with every status, then in the other forms
 * that servers are known to want.
 *
 * @see https://hl7.org/fhir/us/core/general-guidance.html#searching-using-status
 */
export function ladderOf(type: ResourceType, search: SearchParams, why: 'invalid' | 'forbidden'): Ladder {
  // Forbidden is not a matter of form; what may be had by category alone is the exception.
  if (why === 'forbidden') return type === 'Observation' ? [] : (others[type]?.(search) ?? [])
  const { [type]: status } = statuses
  const first = status === undefined || search.status !== undefined ? [] : [[{ ...search, status }]]
  return [...first, ...(others[type]?.(search) ?? [])]
}

const listed = (value: unknown): string[] => {
  const values = String(value ?? '').split(',')
  return values.length > 1 ? values : []
}
