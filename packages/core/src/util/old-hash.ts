import { md5, sha1 } from '@noble/hashes/legacy.js'
import { base64 } from './bytes.js'

// Both find a slip, not a forger; whatever has to withstand one is SHA-256.

/**
 * SHA-1 as base64, at once: the form in which FHIR R4 states the hash of an attachment.
 *
 * @see https://hl7.org/fhir/R4/datatypes.html#Attachment
 */
export function sha1Base64(bytes: Uint8Array): string {
  return base64(sha1(bytes))
}

/**
 * MD5 as base64: what storages have always compared with the header `Content-MD5`. Web Crypto does not know it.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
 */
export function md5Base64(bytes: Uint8Array): string {
  return base64(md5(bytes))
}
