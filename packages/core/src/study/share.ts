import { ambientClock, ambientCrypto } from '../ambient.js'
import { isSmartError, SmartError } from '../errors.js'
import type { Platform } from '../ports.js'
import type { PatientRecord } from '../record/record.js'
import { orAborted } from '../util/abort.js'
import { isObject, stringAt } from '../util/json.js'
import { parseUrl } from '../util/url.js'
import { type ConsentRecord, parseConsent } from './consent.js'
import type { Delivery, DeliveryProgress } from './delivery.js'
import { createPackage, type Package, type Withheld } from './package.js'
import { checkReceipt, type Receipt, readReceipt } from './receipt.js'
import type { Study } from './study.js'

export interface ShareOptions {
  readonly study: Study
  readonly consent: ConsentRecord
  readonly deliver: Delivery
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: DeliveryProgress) => void
  readonly platform?: Pick<Platform, 'crypto' | 'clock'>
}

/** What was shared, with whom, and by which consent. Plain JSON, to be stored: `withdraw` needs it. */
export interface Share {
  /** The package's digest. */
  readonly id: string
  readonly digest: string
  readonly study: { readonly id: string; readonly title: string }
  readonly participant: string
  readonly receipt: Receipt
  /** What the consent kept back. */
  readonly withheld: readonly Withheld[]
  readonly sharedAt: string
  /** Where it went. */
  readonly recipient: string
  readonly consent: ConsentRecord
}

/**
 * Shares records with a study: what the consent covers, once, with a receipt.
 *
 * @example const { receipt } = await share([record], { study, consent, deliver: httpDelivery({ url: study.recipient, key }) })
 * @throws SmartError `SHARE_*`; the signal's reason when aborted
 */
export async function share(records: readonly PatientRecord[], options: ShareOptions): Promise<Share> {
  const { study, consent, deliver, signal } = options
  if (typeof deliver?.deliver !== 'function') throw new TypeError('share needs a delivery')
  if (deliver.recipient !== undefined && !sameUrl(deliver.recipient, study.recipient)) {
    throw new SmartError('CONFIG_INVALID', 'the delivery leads elsewhere than the study says', {
      subject: study.id,
    })
  }
  const platform = options.platform ?? { crypto: ambientCrypto, clock: ambientClock }
  signal?.throwIfAborted()
  const pack = await orAborted(signal, () => createPackage(records, { study, consent, platform }))
  const receipt = checkReceipt(await send(pack, options), pack)
  return Object.freeze({
    id: pack.digest,
    digest: pack.digest,
    study: Object.freeze({ id: study.id, title: study.title }),
    participant: consent.participant,
    receipt,
    withheld: Object.freeze(withheldOf(pack)),
    sharedAt: new Date(platform.clock.now()).toISOString(),
    recipient: study.recipient,
    consent,
  })
}

/**
 * Reads a share from storage. The consent in it serves to withdraw; to share again, read it with `readConsent`.
 *
 * @throws SmartError `SHARE_RECEIPT_INVALID`, `SHARE_CONSENT_INVALID`
 */
export function readShare(value: unknown): Share {
  const text = (key: string, from: unknown = value): string => {
    const found = stringAt(from, key)
    if (found === undefined) throw invalid(key)
    return found
  }
  const stored = isObject(value) ? value : {}
  const consent = parseConsent(stored.consent) as ConsentRecord
  const receipt = readReceipt(stored.receipt)
  const digest = text('digest')
  const participant = text('participant')
  const study = { id: text('id', stored.study), title: text('title', stored.study) }
  if (!/^[0-9a-f]{64}$/.test(digest) || text('id') !== digest || receipt.digest !== digest)
    throw invalid('digest')
  if (consent.participant !== participant || receipt.participant !== participant) throw invalid('participant')
  if (consent.study.id !== study.id || receipt.study !== study.id) throw invalid('study')
  return Object.freeze({
    id: digest,
    digest,
    study: Object.freeze(study),
    participant,
    receipt,
    withheld: Object.freeze(readWithheld(stored.withheld)),
    sharedAt: text('sharedAt'),
    recipient: text('recipient'),
    consent: Object.freeze(consent),
  })
}

async function send(pack: Package, options: ShareOptions): Promise<Receipt> {
  const { deliver, signal, onProgress } = options
  try {
    return await orAborted(signal, () =>
      deliver.deliver(pack, { ...(signal ? { signal } : {}), ...(onProgress ? { onProgress } : {}) }),
    )
  } catch (error) {
    if (signal?.aborted) throw signal.reason
    if (isSmartError(error)) throw error
    throw new SmartError('SHARE_UNREACHABLE', 'the delivery failed; the same call delivers once', {
      cause: error,
    })
  }
}

function withheldOf(pack: Package): Withheld[] {
  const counts = new Map<string, number>()
  for (const { dataClass, count } of pack.manifest.sources.flatMap((source) => source.withheld)) {
    counts.set(dataClass, (counts.get(dataClass) ?? 0) + count)
  }
  return [...counts].map(([dataClass, count]) => Object.freeze({ dataClass, count }))
}

function readWithheld(value: unknown): Withheld[] {
  if (!Array.isArray(value)) throw invalid('withheld')
  return value.map((row: unknown) => {
    const dataClass = stringAt(row, 'dataClass')
    const count = isObject(row) ? row.count : undefined
    if (dataClass === undefined || typeof count !== 'number') throw invalid('withheld')
    return Object.freeze({ dataClass, count })
  })
}

function sameUrl(a: string, b: string): boolean {
  const href = (text: string): string | undefined => parseUrl(text)?.href.replace(/\/$/, '')
  return href(a) !== undefined && href(a) === href(b)
}

const invalid = (key: string): SmartError =>
  new SmartError('SHARE_RECEIPT_INVALID', `the stored share is damaged in ${key}`)
