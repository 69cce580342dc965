import { ambientClock, ambientCrypto, ambientFetch } from '../ambient.js'
import { isSmartError, SmartError } from '../errors.js'
import type { Platform } from '../ports.js'
import { isObject, stringAt } from '../util/json.js'
import { tell } from '../util/tell.js'
import { consentIn } from './bundle.js'
import { consentToFhir } from './consent-fhir.js'
import {
  checkWithdrawalReceipt,
  type Delivery,
  type DeliveryOptions,
  type DeliveryProgress,
  type WithdrawalNotice,
  type WithdrawalReceipt,
} from './delivery.js'
import { idOf, names } from './fhir-names.js'
import { erase, put, read, type Server, type Stored, serverAt } from './fhir-server.js'
import { type Entry, jsonEntry, packageEntries, packageNames, transactionsOf } from './fhir-transactions.js'
import type { Package } from './package.js'
import { checkReceipt, expectedReceipt, type Receipt } from './receipt.js'
import type { Study } from './study.js'

export interface FhirDeliveryOptions {
  /** The FHIR base. */
  readonly url: string
  /** The access token of a request, asked for before each. It goes to the FHIR base only. */
  readonly authorize?: (options: { readonly signal?: AbortSignal }) => string | Promise<string>
  /** Sent with every request, such as an API key. */
  readonly headers?: Readonly<Record<string, string>>
  /** Most resources of one transaction. Default 48, as some servers take no more than 50. */
  readonly batchSize?: number
  /** Adds to the Consent of what types the data classes are, and what was withheld. */
  readonly study?: Study
  readonly platform?: Pick<Platform, 'fetch' | 'crypto' | 'clock'>
}

/**
 * Delivers to a FHIR R4 server, in transactions that may be repeated: the Consent, then every resource, every file as
 * Binary with a DocumentReference, and a Provenance of each transaction. The server has to let ids be assigned by `PUT`.
 * What stands for the package is a DocumentReference whose `docStatus` becomes `final` when the server has all of it; a
 * delivery that was interrupted looks for the Provenance of each transaction and goes on where it was.
 *
 * References among what is sent lead to what is sent; all others become absolute, which the server has to allow. What
 * would act on a server rather than be data, such as a Subscription, is sent as a Binary. The receipt has `issuer: 'fhir-server'`: it is made from
 * the server's answers, and no one has looked at the whole. A sealed package is refused, as a FHIR server could not
 * read it.
 *
 * Withdrawing makes the Consent `inactive`, with the extension `…/StructureDefinition/withdrawal` of what was asked and
 * when, after which nothing is delivered under it; with `delete` every resource of
 * the package is deleted, also those that a later package brought again, by FHIR's `delete`, of which a server may keep
 * earlier versions. The withdrawal key is not sent.
 *
 * @example fhirDelivery({ url: study.recipient, authorize: () => tokenOfTheStudy() })
 * @throws SmartError `CONFIG_INVALID`, `CONFIG_INSECURE_URL`
 * @see https://hl7.org/fhir/R4/http.html#transaction
 */
export function fhirDelivery(options: FhirDeliveryOptions): Delivery {
  const { url, authorize, headers = {}, batchSize = 48, study } = options
  if (!Number.isSafeInteger(batchSize) || batchSize < 1)
    throw new SmartError('CONFIG_INVALID', 'batchSize is not a whole number of at least 1')
  const platform = options.platform ?? { fetch: ambientFetch, crypto: ambientCrypto, clock: ambientClock }
  const server = serverAt({ url, authorize, headers, platform })
  return Object.freeze({
    recipient: url,
    issuer: 'fhir-server' as const,
    deliver: (pack: Package, { signal, onProgress }: DeliveryOptions = {}) =>
      deliver(server, pack, { batchSize, study }, signal, (progress) => tell(onProgress, progress)),
    withdraw: (notice: WithdrawalNotice, { signal }: DeliveryOptions = {}) =>
      withdrawn(server, notice, signal),
  })
}

async function deliver(
  server: Server,
  pack: Package,
  { batchSize, study }: { readonly batchSize: number; readonly study: Study | undefined },
  signal: AbortSignal | undefined,
  report: (progress: DeliveryProgress) => void,
): Promise<Receipt> {
  if (pack.sealed) throw new SmartError('CONFIG_INVALID', 'a FHIR server cannot read a sealed package')
  const { crypto, clock } = server.platform
  const total = pack.parts.length
  const found = await packageOn(server, pack.digest, signal)
  const consent = await consentIn(pack, crypto)
  const consentName = `Consent/${idOf('consent', consent.id)}`
  const known = await read(server, consentName, signal)
  if (known && known.status !== 'active')
    throw new SmartError('SHARE_WITHDRAWN', 'the participant has withdrawn this consent', {
      subject: consent.study.id,
    })
  if (found?.docStatus === 'final') {
    report({ done: total, total })
    return receiptOf(found, pack)
  }
  const markers: string[] = []
  const own = (final: boolean): Entry[] => {
    const at = new Date(clock.now()).toISOString()
    return packageEntries(pack, { final, consent: consentName, markers, at })
  }
  if (!found) {
    const resource = consentToFhir(consent, study ? { study } : {})
    await put(server, [jsonEntry(consentName, resource), ...own(false)], signal)
  }
  let done = 1
  report({ done, total })
  for await (const step of transactionsOf(pack, { batchSize, crypto })) {
    signal?.throwIfAborted()
    if (!found || !(await read(server, step.marker, signal))) await put(server, await step.entries(), signal)
    markers.push(step.marker)
    done += step.finishes
    report({ done, total })
  }
  await put(server, own(true), signal)
  const stored = await packageOn(server, pack.digest, signal)
  if (stored?.docStatus !== 'final')
    throw new SmartError('SHARE_RECEIPT_INVALID', 'the FHIR server does not hold what it said it stored')
  report({ done: total, total })
  return receiptOf(stored, pack)
}

/** What stands for the package, if the server has it. */
async function packageOn(
  server: Server,
  digest: string,
  signal: AbortSignal | undefined,
): Promise<Stored | undefined> {
  const found = await read(server, packageNames(digest).document, signal)
  if (!found) return undefined
  const { masterIdentifier } = found
  if (
    stringAt(masterIdentifier, 'system') !== names.package ||
    stringAt(masterIdentifier, 'value') !== digest
  )
    throw new SmartError(
      'SHARE_RECEIPT_INVALID',
      'the FHIR server holds another package in the place of this one',
    )
  return found
}

function receiptOf(stored: Stored, pack: Package): Receipt {
  const receivedAt = stringAt(stored.meta, 'lastUpdated') ?? stored.date
  const receipt = { id: versionOf(stored), receivedAt, ...expectedReceipt(pack), issuer: 'fhir-server' }
  return checkReceipt(receipt, pack)
}

function versionOf(stored: Stored): string {
  const version = stringAt(stored.meta, 'versionId')
  return `${stored.resourceType}/${stored.id}${version === undefined ? '' : `/_history/${version}`}`
}

async function withdrawn(
  server: Server,
  notice: WithdrawalNotice,
  signal: AbortSignal | undefined,
): Promise<WithdrawalReceipt> {
  const document = await packageOn(server, notice.digest, signal)
  const consentName = `Consent/${idOf('consent', notice.consent)}`
  const consent = await read(server, consentName, signal)
  if (!consent)
    throw new SmartError('SHARE_REFUSED', 'the FHIR server knows nothing of this consent', {
      reason: 'not-found',
    })
  // First that nothing more comes, and what was asked; what is held goes after that.
  if (consent.status !== 'inactive' || (notice.ask === 'delete' && !hasAsked(consent, 'delete')))
    await put(server, [jsonEntry(consentName, withdrawnConsent(consent, notice))], signal)
  const deleted = notice.ask === 'delete' && (!document || (await removed(server, document, signal)))
  const stored = (await read(server, consentName, signal)) ?? consent
  const at = stringAt(stored.meta, 'lastUpdated') ?? notice.at
  return checkWithdrawalReceipt({ id: versionOf(stored), digest: notice.digest, at, deleted }, notice)
}

function withdrawnConsent(consent: Stored, { ask, at }: WithdrawalNotice): Stored {
  const asked = [
    { url: 'ask', valueCode: ask },
    { url: 'at', valueDateTime: at },
  ]
  const kept = extensionsOf(consent).filter((one) => stringAt(one, 'url') !== names.withdrawal)
  return { ...consent, status: 'inactive', extension: [...kept, { url: names.withdrawal, extension: asked }] }
}

const hasAsked = (consent: Stored, ask: string): boolean =>
  extensionsOf(consent)
    .filter((one) => stringAt(one, 'url') === names.withdrawal)
    .flatMap(extensionsOf)
    .some((one) => stringAt(one, 'valueCode') === ask)

const extensionsOf = (value: unknown): unknown[] =>
  isObject(value) && Array.isArray(value.extension) ? value.extension : []

/** True when the server says of everything that came with the package that it is deleted; false when it does not let it. */
async function removed(server: Server, document: Stored, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    return await removedAll(server, document, signal)
  } catch (error) {
    if (isSmartError(error) && (error.code === 'SHARE_REFUSED' || error.code === 'SHARE_KEY_REFUSED'))
      return false
    throw error
  }
}

async function removedAll(
  server: Server,
  document: Stored,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const related = isObject(document.context) ? referencesIn(document.context.related) : []
  // The last first: what refers to others goes before them.
  for (const marker of related.filter((name) => name.startsWith('Provenance/')).reverse()) {
    const provenance = await read(server, marker, signal)
    if (!provenance) continue
    // The marker goes last, so that a deletion that was cut off finds what is left.
    if (!(await erase(server, referencesIn(provenance.target).reverse(), signal))) return false
    if (!(await erase(server, [marker], signal))) return false
  }
  const own = packageNames(stringAt(document.masterIdentifier, 'value') as string)
  return (await erase(server, [own.manifest], signal)) && (await erase(server, [own.document], signal))
}

// Whatever a server says belongs to a package: nothing is deleted that does not have an id of ours.
const referencesIn = (value: unknown): string[] =>
  (Array.isArray(value) ? value : [])
    .map((one) => stringAt(one, 'reference') ?? '')
    .filter((name) => /^[A-Z][A-Za-z]{0,63}\/s4s-[0-9a-f]{40}$/.test(name))
