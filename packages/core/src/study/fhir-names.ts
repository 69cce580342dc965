import { sha256Now } from '../util/sha256.js'

/** Systems of identifiers and codes, and the URLs of our extensions. A name is not an address: nothing is fetched. */
export interface FhirNames {
  /** Extension of a Consent: what R4 has no element for. */
  readonly consent: string
  /** Extension of a performer: what they are to the participant. */
  readonly relationship: string
  /** Extension of a Consent that is inactive: what the participant asked for, `stop` or `delete`, and when. */
  readonly withdrawal: string
  /** Identifier: a consent's id. */
  readonly consentId: string
  /** Identifier: a study's id. */
  readonly study: string
  /** Identifier: a study's own name for a participant. */
  readonly participant: string
  /** Identifier: a package's digest. */
  readonly package: string
  /** Codes: the text that was agreed to, its code the study's id and its version that of the text. */
  readonly consentText: string
  /** Codes: names of data classes. */
  readonly dataClass: string
  /** Codes: sensitive categories. */
  readonly sensitive: string
}

export const names: FhirNames = {
  consent: 'https://syncfor.science/fhir/StructureDefinition/consent',
  relationship: 'https://syncfor.science/fhir/StructureDefinition/relationship',
  withdrawal: 'https://syncfor.science/fhir/StructureDefinition/withdrawal',
  consentId: 'https://syncfor.science/fhir/consent-id',
  study: 'https://syncfor.science/fhir/study',
  participant: 'https://syncfor.science/fhir/participant',
  package: 'https://syncfor.science/fhir/package',
  consentText: 'https://syncfor.science/fhir/consent-text',
  dataClass: 'https://syncfor.science/fhir/data-class',
  sensitive: 'https://syncfor.science/fhir/sensitive-category',
}

/** An id that a FHIR server takes, the same for the same text; not digits alone, which some servers keep for their own. */
export function idOf(...text: readonly string[]): string {
  return `s4s-${sha256Now(JSON.stringify(text)).slice(0, 40)}`
}

/** A URN that is the same for the same text. @see https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-8 */
export function uuidOf(...text: readonly string[]): string {
  const hash = sha256Now(JSON.stringify(text))
  const parts = [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `8${hash.slice(13, 16)}`,
    `a${hash.slice(17, 20)}`,
    hash.slice(20, 32),
  ]
  return `urn:uuid:${parts.join('-')}`
}
