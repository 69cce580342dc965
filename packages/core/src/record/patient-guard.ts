import { isObject } from '../util/json.js'

/**
 * True when the resource says that it is about another patient than `patient`. One that names no patient, or names
 * one only logically or as contained, says nothing against it.
 *
 * @see https://hl7.org/fhir/R4/compartmentdefinition-patient.html
 */
export function isAboutAnother(resource: unknown, patient: string): boolean {
  if (!isObject(resource)) return false
  if (resource.resourceType === 'Patient') return resource.id !== patient
  return elementsOf(resource).some((element) => {
    const named = patientsOf(resource[element])
    return named.length > 0 && !named.includes(patient)
  })
}

/**
 * The ids of the patients whose record a resource belongs to by what it says itself: each of the elements that names
 * any names them. Empty for what belongs to nobody, such as a Practitioner; undefined when its elements contradict one
 * another or name a patient of another server, so that nobody may have it.
 *
 * @param base the FHIR base: an absolute reference counts only below it
 */
export function namesOfPatients(resource: unknown, base: string): readonly string[] | undefined {
  if (!isObject(resource)) return undefined
  if (resource.resourceType === 'Patient') return typeof resource.id === 'string' ? [resource.id] : undefined
  let all: string[] | undefined
  for (const element of elementsOf(resource)) {
    const references = [resource[element]].flat().filter(isObject)
    const texts = references.map(({ reference }) => (typeof reference === 'string' ? reference.trim() : ''))
    const named = patientsOf(resource[element])
    if (named.length === 0) continue
    if (texts.some((text) => patientIn(text) !== undefined && isForeign(text, base))) return undefined
    all = all ? all.filter((id) => named.includes(id)) : [...new Set(named)]
    if (all.length === 0) return undefined
  }
  return all ?? []
}

const isForeign = (reference: string, base: string): boolean =>
  !reference.startsWith('Patient/') && !reference.startsWith(`${base.replace(/\/$/, '')}/Patient/`)

function elementsOf({ resourceType: type }: Record<string, unknown>): readonly string[] {
  return typeof type === 'string' && own.has(type) ? [...common, own.get(type) as string] : common
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
