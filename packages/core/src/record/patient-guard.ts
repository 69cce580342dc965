import { isObject } from '../util/json.js'

/**
 * True when the resource says that it is about another patient than `patient`. One that names no patient, or names
 * one only logically or as contained, says nothing against it.
 *
 * @see https://hl7.org/fhir/R4/compartmentdefinition-patient.html
 */
export function isAboutAnother(resource: unknown, patient: string): boolean {
  if (!isObject(resource)) return false
  const type = resource.resourceType
  if (type === 'Patient') return resource.id !== patient
  const elements = typeof type === 'string' && own.has(type) ? [...common, own.get(type) as string] : common
  return elements.some((element) => {
    const named = patientsOf(resource[element])
    return named.length > 0 && !named.includes(patient)
  })
}

const common = ['subject', 'patient', 'beneficiary']
const own = new Map([
  ['Task', 'for'],
  ['EnrollmentRequest', 'candidate'],
  ['ResearchSubject', 'individual'],
])

// An element may be one reference or a list of them, as in Account.subject.
function patientsOf(value: unknown): string[] {
  const references = Array.isArray(value) ? value : [value]
  return references.flatMap((reference) => {
    const text = isObject(reference) ? reference.reference : undefined
    const id = typeof text === 'string' ? patientIn(text) : undefined
    return id === undefined ? [] : [id]
  })
}

// `Patient/1`, `https://ehr.example/r4/Patient/1` and `Patient/1/_history/2` all name patient 1.
function patientIn(reference: string): string | undefined {
  const segments = reference.trim().split(/[?#]/, 1)[0]?.split('/') ?? []
  const at = segments.lastIndexOf('Patient')
  return at < 0 ? undefined : segments[at + 1]
}
