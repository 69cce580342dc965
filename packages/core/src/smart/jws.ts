import { SmartError } from '../errors.js'
import type { CryptoPort } from '../ports.js'
import { base64url } from '../util/bytes.js'
import { isObject } from '../util/json.js'

/** The two algorithms that every SMART server knows. */
export type SigningAlgorithm = 'RS384' | 'ES384'

/**
 * A key that signs where it is kept, such as in a key management service.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html#authenticating-to-the-token-endpoint
 */
export interface Signer {
  readonly alg: SigningAlgorithm
  /**
   * Signs bytes: RSASSA-PKCS1-v1_5 or ECDSA on P-384, each with SHA-384 (which the signer computes).
   * An ECDSA signature may be the plain 96 bytes or DER.
   */
  sign(data: Uint8Array<ArrayBuffer>): Promise<Uint8Array>
}

/**
 * Checks a key and says which algorithm it signs with.
 *
 * @throws SmartError `CONFIG_INVALID` for a key that cannot sign RS384 or ES384
 */
export function algorithmOf(key: CryptoKey | Signer): SigningAlgorithm {
  if ('sign' in key) {
    if (key.alg === 'RS384' || key.alg === 'ES384') return key.alg
    throw new SmartError('CONFIG_INVALID', 'the signer’s alg is neither RS384 nor ES384')
  }
  if (key.type !== 'private' || !key.usages.includes('sign'))
    throw new SmartError('CONFIG_INVALID', 'the key is not a private key that may sign')
  const { name, hash, namedCurve } = key.algorithm as RsaHashedKeyAlgorithm & EcKeyAlgorithm
  if (name === 'RSASSA-PKCS1-v1_5' && hash.name === 'SHA-384') return 'RS384'
  if (name === 'ECDSA' && namedCurve === 'P-384') return 'ES384'
  throw new SmartError('CONFIG_INVALID', 'the key is neither for RS384 (RSA, SHA-384) nor for ES384 (P-384)')
}

/**
 * A signed JWT in compact form.
 *
 * @see https://www.rfc-editor.org/rfc/rfc7515#section-7.1
 */
export async function signJwt(
  crypto: CryptoPort,
  key: CryptoKey | Signer,
  header: Readonly<Record<string, unknown>>,
  payload: Readonly<Record<string, unknown>>,
): Promise<string> {
  const alg = algorithmOf(key)
  const part = (value: unknown): string => base64url(new TextEncoder().encode(JSON.stringify(value)))
  const input = `${part({ alg, typ: 'JWT', ...header })}.${part(payload)}`
  const data = new TextEncoder().encode(input)
  const signature =
    'sign' in key
      ? plainSignature(alg, await key.sign(data))
      : new Uint8Array(await crypto.subtle.sign({ name: key.algorithm.name, hash: 'SHA-384' }, key, data))
  return `${input}.${base64url(signature)}`
}

const coordinate = 48

// Key management services answer with DER; a JWS holds r and s side by side (RFC 7518 §3.4).
function plainSignature(alg: SigningAlgorithm, given: unknown): Uint8Array {
  if (!(given instanceof Uint8Array) || given.length === 0)
    throw new SmartError('CONFIG_INVALID', 'the signer gave no signature')
  if (alg === 'RS384' || given.length === 2 * coordinate) return given
  const plain = new Uint8Array(2 * coordinate)
  let at = given[1] === 0x81 ? 3 : 2
  for (const half of [1, 2]) {
    const length = given[at + 1] ?? 0
    const number = given.subarray(at + 2, at + 2 + length)
    const digits = number.subarray(Math.max(0, number.length - coordinate))
    if (given[0] !== 0x30 || given[at] !== 0x02 || number.length !== length || length > coordinate + 1)
      throw new SmartError('CONFIG_INVALID', 'the signer’s signature is neither 96 bytes nor DER')
    plain.set(digits, half * coordinate - digits.length)
    at += 2 + length
  }
  return plain
}

/** The payload of a JWT, unchecked; undefined when there is none. */
export function peekJwt(jwt: string): Record<string, unknown> | undefined {
  const payload = jwt.split('.')[1]
  if (payload === undefined) return undefined
  try {
    const bytes = Uint8Array.from(atob(payload.replaceAll('-', '+').replaceAll('_', '/')), (one) =>
      one.charCodeAt(0),
    )
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes))
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
