import { SmartError } from '../errors.js'
import { isObject, stringAt } from '../util/json.js'
import type { Package } from './package.js'

/** The study's word that it holds a package, whole. */
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
  /** What the study signed, as a compact JWS. @see https://www.rfc-editor.org/rfc/rfc7515 */
  readonly signature?: string
}

/** What a receipt for the package must say. */
export function expectedReceipt(pack: Package): Omit<Receipt, 'id' | 'receivedAt' | 'signature'> {
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
    ...(stringAt(value, 'signature') === undefined ? {} : { signature: text('signature') }),
  }
  if (Number.isNaN(Date.parse(receipt.receivedAt))) throw invalid('receivedAt')
  return Object.freeze(receipt)
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
