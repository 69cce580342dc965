import { sha1 } from '@noble/hashes/legacy.js'
import { base64 } from './bytes.js'

/**
 * SHA-1 as base64, at once: the form in which FHIR R4 states the hash of an attachment. It finds a slip, not a forger;
 * whatever has to withstand one is SHA-256.
 *
 * @see https://hl7.org/fhir/R4/datatypes.html#Attachment
 */
export function sha1Base64(bytes: Uint8Array): string {
  return base64(sha1(bytes))
}
