import { SmartError } from '../errors.js'
import { isObject, stringAt } from '../util/json.js'
import type { Package } from './package.js'

/**
 * Who put a receipt together when the study did not: the delivery, from what a FHIR server or a storage answered to each
 * piece. It says that those answers were good, not that anyone has looked at the whole; it is never signed.
 */
export type ReceiptIssuer = 'fhir-server' | 'storage'

/** The study's word that it holds a package, whole; with an `issuer`, that of where it was put. */
export interface Receipt {
  readonly id: string
  /** The study's id. */
  readonly study: string
  readonly participant: string
  /** The package's digest. */
  readonly digest: string
  readonly receivedAt: string
  /** Parts of the manifest. */
  readonly parts: number
  /** Resources of all parts. */
  readonly resources: number
  /** Bytes of all parts, without the manifest. */
  readonly bytes: number
  /** Set when it is not the study's own word. */
  readonly issuer?: ReceiptIssuer
  /** What the study signed, as a compact JWS. @see https://www.rfc-editor.org/rfc/rfc7515 */
  readonly signature?: string
}

/** What a receipt for the package must say. */
export function expectedReceipt(pack: Package): Omit<Receipt, 'id' | 'receivedAt' | 'issuer' | 'signature'> {
  const { study, participant, parts } = pack.manifest
  return {
    study: study.id,
    participant,
    digest: pack.digest,
    parts: pack.parts.length,
    resources: parts.reduce((sum, part) => sum + (part.resources ?? 0), 0),
    bytes: pack.parts.reduce((sum, part) => sum + part.size, 0),
  }
}

/**
 * Reads a receipt.
 *
 * @throws SmartError `SHARE_RECEIPT_INVALID`
 */
export function readReceipt(value: unknown): Receipt {
  const text = (key: string): string => {
    const found = stringAt(value, key)
    if (found === undefined || found.length > 1000) throw invalid(key)
    return found
  }
  const count = (key: string): number => {
    const found = isObject(value) ? value[key] : undefined
    if (!Number.isSafeInteger(found) || (found as number) < 0) throw invalid(key)
    return found as number
  }
  const receipt = {
    id: text('id'),
    study: text('study'),
    participant: text('participant'),
    digest: text('digest'),
    receivedAt: text('receivedAt'),
    parts: count('parts'),
    resources: count('resources'),
    bytes: count('bytes'),
    ...(isObject(value) && value.issuer !== undefined ? { issuer: issuerIn(value.issuer) } : {}),
    ...(stringAt(value, 'signature') === undefined ? {} : { signature: text('signature') }),
  }
  if (Number.isNaN(Date.parse(receipt.receivedAt))) throw invalid('receivedAt')
  return Object.freeze(receipt)
}

function issuerIn(value: unknown): ReceiptIssuer {
  if (value !== 'fhir-server' && value !== 'storage') throw invalid('issuer')
  return value
}

/**
 * Reads a receipt and makes sure that it is for this package.
 *
 * @throws SmartError `SHARE_RECEIPT_INVALID`
 */
export function checkReceipt(value: unknown, pack: Package): Receipt {
  const receipt = readReceipt(value)
  for (const [key, expected] of Object.entries(expectedReceipt(pack))) {
    if (receipt[key as keyof Receipt] !== expected) throw invalid(key)
  }
  return receipt
}

const invalid = (key: string): SmartError =>
  new SmartError('SHARE_RECEIPT_INVALID', `the receipt does not match the package in ${key}`)
