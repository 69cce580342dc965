import { SmartError } from '../errors.js'
import { isObject, parseJson } from '../util/json.js'
import { loadJose } from './jose.js'
import type { PublicKey } from './study.js'

const algorithms = [
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
  'PS256',
  'PS384',
  'PS512',
  'RS256',
  'RS384',
  'RS512',
]

/**
 * Makes sure that a receipt, of a package or of a withdrawal, is the study's: signed with one of its keys, and saying
 * what was signed. It needs no network, so a participant can show years later what a study acknowledged.
 *
 * @example await verifyReceipt(share.receipt, study.receiptKeys)
 * @throws SmartError `SHARE_RECEIPT_INVALID`
 * @see https://www.rfc-editor.org/rfc/rfc7515
 */
export async function verifyReceipt(
  receipt: { readonly signature?: string },
  keys: readonly PublicKey[],
): Promise<void> {
  const { signature, ...claims } = receipt
  if (signature === undefined) throw invalid('is not signed')
  const signed = await payloadOf(signature, keys)
  if (signed === undefined) throw invalid('is signed with none of the study’s keys')
  for (const [key, value] of Object.entries(claims)) {
    if (JSON.stringify(signed[key]) !== JSON.stringify(value)) throw invalid(`was altered in ${key}`)
  }
}

async function payloadOf(
  signature: string,
  keys: readonly PublicKey[],
): Promise<Record<string, unknown> | undefined> {
  const { compactVerify, importJWK } = await loadJose()
  for (const jwk of keys) {
    try {
      const { payload } = await compactVerify(signature, ({ alg }) => importJWK(jwk, alg), { algorithms })
      const value = parseJson(new TextDecoder().decode(payload))
      return isObject(value) ? value : undefined
    } catch {
      // Another key may be the one.
    }
  }
  return undefined
}

const invalid = (what: string): SmartError => new SmartError('SHARE_RECEIPT_INVALID', `the receipt ${what}`)
