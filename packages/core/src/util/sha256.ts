import { sha256 } from '@noble/hashes/sha2.js'
import { hex } from './bytes.js'

/**
 * SHA-256 as lower-case hexadecimal, at once: Web Crypto has it as a promise only, and a consent is given in one
 * synchronous step. For short texts; files go through `sha256` of bytes.ts, which is native.
 */
export function sha256Now(text: string): string {
  return hex(sha256(new TextEncoder().encode(text)))
}
