import { ambientClock, ambientCrypto } from '../ambient.js'
import { isSmartError, SmartError } from '../errors.js'
import type { CryptoPort, Platform } from '../ports.js'
import type { PatientRecord } from '../record/record.js'
import { orAborted } from '../util/abort.js'
import { isObject, stringAt } from '../util/json.js'
import { parseUrl } from '../util/url.js'
import { allowedBy, type ConsentRecord, parseConsent } from './consent.js'
import type { Delivery, DeliveryProgress } from './delivery.js'
import type { Outbox } from './outbox.js'
import { createPackage, type Package } from './package.js'
import { checkReceipt, type Receipt, readReceipt } from './receipt.js'
import { seal } from './seal.js'
import { verifyReceipt } from './signature.js'
import type { Study } from './study.js'
import type { Withheld, WithheldReason } from './withheld.js'

export interface ShareOptions {
  readonly study: Study
  readonly consent: ConsentRecord
  readonly deliver: Delivery
  /** Keys of items of a `review` that the participant leaves out. */
  readonly leaveOut?: readonly string[]
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: DeliveryProgress) => void
  /** Where withdrawals are kept, an outbox: nothing is shared under a consent that was withdrawn there. */
  readonly outbox?: Pick<Outbox, 'isWithdrawn'>
  readonly platform?: Pick<Platform, 'crypto' | 'clock'>
}

/** What one provider's record gave to a package. */
export interface SharedSource {
  readonly provider: { readonly id: string; readonly name: string }
  /** The id of the connection it was read through. */
  readonly connection: string
  readonly collectedAt: string
  /** Resources that were shared, by data class; one that is of two classes counts in both. */
  readonly counts: readonly { readonly dataClass: string; readonly count: number }[]
}

/** What was shared, with whom, and by which consent. Plain JSON, to be stored: `withdraw` needs it. */
export interface Share {
  /** The package's digest. */
  readonly id: string
  readonly digest: string
  readonly study: { readonly id: string; readonly title: string }
  readonly participant: string
  readonly receipt: Receipt
  /** What was kept back, with every reason. The study hears of `not-agreed`, `period` and `undated` only. */
  readonly withheld: readonly Withheld[]
  /** Where it came from; absent in what an older version stored. */
  readonly sources?: readonly SharedSource[]
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
  const { study, consent, leaveOut = [], signal } = options
  const platform = checkedRoad(options)
  signal?.throwIfAborted()
  await needsToStand(options)
  const pack = await orAborted(signal, () => createPackage(records, { study, consent, leaveOut, platform }))
  return deliverPackage(pack, options, platform)
}

/**
 * Shares a package that `createPackage` has made: for what keeps the package until the study has it, so that a delivery
 * which was cut off brings the very same one.
 *
 * @throws SmartError `SHARE_*`; the signal's reason when aborted
 */
export async function sharePackage(pack: Package, options: Omit<ShareOptions, 'leaveOut'>): Promise<Share> {
  const { study, consent } = options
  const platform = checkedRoad(options)
  allowedBy(consent, study, platform.clock.now())
  const { manifest } = pack
  if (manifest.study.id !== study.id || manifest.consent.id !== consent.id)
    throw new SmartError('SHARE_CONSENT_INVALID', 'the package was made under another consent', {
      subject: study.id,
    })
  return deliverPackage(pack, options, platform)
}

async function deliverPackage(
  pack: Package,
  options: ShareOptions,
  platform: Pick<Platform, 'crypto' | 'clock'>,
): Promise<Share> {
  const { study, consent, signal } = options
  // Packing takes its time, and the participant may be in another tab.
  await needsToStand(options)
  const sealed = await orAborted(signal, () => sealedFor(study, pack, consent, platform.crypto))
  const receipt = checkReceipt(await send(sealed, options), sealed)
  if (study.receiptKeys) await verifyReceipt(receipt, study.receiptKeys)
  return Object.freeze({
    id: pack.digest,
    digest: pack.digest,
    study: Object.freeze({ id: study.id, title: study.title }),
    participant: consent.participant,
    receipt,
    withheld: Object.freeze(withheldOf(pack)),
    sources: Object.freeze(sourcesOf(pack)),
    sharedAt: new Date(platform.clock.now()).toISOString(),
    recipient: study.recipient,
    consent,
  })
}

function checkedRoad({ study, deliver, platform }: ShareOptions): Pick<Platform, 'crypto' | 'clock'> {
  if (typeof deliver?.deliver !== 'function') throw new TypeError('share needs a delivery')
  if (deliver.recipient !== undefined && !sameUrl(deliver.recipient, study.recipient)) {
    throw new SmartError('CONFIG_INVALID', 'the delivery leads elsewhere than the study says', {
      subject: study.id,
    })
  }
  if (study.receiptKeys && deliver.issuer !== undefined) {
    throw new SmartError('CONFIG_INVALID', 'the study signs its receipts, and nobody signs on this road', {
      subject: study.id,
    })
  }
  return platform ?? { crypto: ambientCrypto, clock: ambientClock }
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
    ...(stored.sources === undefined ? {} : { sources: Object.freeze(readSources(stored.sources)) }),
    sharedAt: text('sharedAt'),
    recipient: text('recipient'),
    consent: Object.freeze(consent),
  })
}

const sealedFor = async (
  { sealTo }: Study,
  pack: Package,
  consent: ConsentRecord,
  crypto: CryptoPort,
): Promise<Package> => (sealTo && !pack.sealed ? seal(pack, { to: sealTo, consent, crypto }) : pack)

async function needsToStand({ consent, study, outbox }: ShareOptions): Promise<void> {
  if (!outbox || !(await outbox.isWithdrawn(consent?.id))) return
  throw new SmartError('SHARE_WITHDRAWN', 'the participant has withdrawn this consent', { subject: study.id })
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
  const rows = new Map<string, Withheld>()
  for (const row of (pack.given ?? []).flatMap((one) => one.withheld)) {
    const key = `${row.reason} ${row.dataClass}`
    rows.set(key, Object.freeze({ ...row, count: row.count + (rows.get(key)?.count ?? 0) }))
  }
  return [...rows.values()]
}

function sourcesOf(pack: Package): SharedSource[] {
  return pack.manifest.sources.map(({ provider, connection, collectedAt }, index) => {
    const counts = Object.entries(pack.given?.[index]?.shared ?? {}).map(([dataClass, count]) =>
      Object.freeze({ dataClass, count }),
    )
    return Object.freeze({
      provider: Object.freeze({ id: provider.id, name: provider.name }),
      ...{ connection, collectedAt },
      counts: Object.freeze(counts.filter(({ count }) => count > 0)),
    })
  })
}

function readSources(value: unknown): SharedSource[] {
  const text = (from: unknown, key: string): string => {
    const found = stringAt(from, key)
    if (found === undefined) throw invalid('sources')
    return found
  }
  if (!Array.isArray(value)) throw invalid('sources')
  return value.map((one: unknown) => {
    const { provider, counts } = isObject(one) ? one : {}
    if (!Array.isArray(counts)) throw invalid('sources')
    const rows = counts.map((row: unknown) => {
      const count = isObject(row) ? row.count : undefined
      if (typeof count !== 'number') throw invalid('sources')
      return Object.freeze({ dataClass: text(row, 'dataClass'), count })
    })
    return Object.freeze({
      provider: Object.freeze({ id: text(provider, 'id'), name: text(provider, 'name') }),
      connection: text(one, 'connection'),
      collectedAt: text(one, 'collectedAt'),
      counts: Object.freeze(rows),
    })
  })
}

function readWithheld(value: unknown): Withheld[] {
  if (!Array.isArray(value)) throw invalid('withheld')
  return value.map((row: unknown) => {
    const [dataClass, reason] = [stringAt(row, 'dataClass'), stringAt(row, 'reason')]
    const count = isObject(row) ? row.count : undefined
    if (dataClass === undefined || reason === undefined || typeof count !== 'number')
      throw invalid('withheld')
    return Object.freeze({ dataClass, count, reason: reason as WithheldReason })
  })
}

function sameUrl(a: string, b: string): boolean {
  const href = (text: string): string | undefined => parseUrl(text)?.href.replace(/\/$/, '')
  return href(a) !== undefined && href(a) === href(b)
}

const invalid = (key: string): SmartError =>
  new SmartError('SHARE_RECEIPT_INVALID', `the stored share is damaged in ${key}`)
