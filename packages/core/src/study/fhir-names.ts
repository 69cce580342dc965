import { sha256Now } from '../util/sha256.js'

/** What the names that we give in FHIR begin with. */
const canonical = 'https://syncfor.science/fhir'

/** Systems of identifiers and codes, and the URLs of our extensions. A name is not an address: nothing is fetched. */
export const names = {
  /** Extension of a Consent: what R4 has no element for. */
  consent: `${canonical}/StructureDefinition/consent`,
  /** Extension of a performer: what they are to the participant. */
  relationship: `${canonical}/StructureDefinition/relationship`,
  /** Identifier: a consent's id. */
  consentId: `${canonical}/consent-id`,
  /** Identifier: a study's id. */
  study: `${canonical}/study`,
  /** Identifier: a study's own name for a participant. */
  participant: `${canonical}/participant`,
  /** Identifier: a package's digest. */
  package: `${canonical}/package`,
  /** Codes: the text that was agreed to, its code the study's id and its version that of the text. */
  consentText: `${canonical}/consent-text`,
  /** Codes: names of data classes. */
  dataClass: `${canonical}/data-class`,
} as const

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
