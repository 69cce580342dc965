import { ambientClock, ambientCrypto } from '../ambient.js'
import { SmartError } from '../errors.js'
import type { Platform } from '../ports.js'
import { randomToken } from '../util/bytes.js'
import { isObject, stringAt, stringsAt } from '../util/json.js'
import { sha256Now } from '../util/sha256.js'
import type { Study } from './study.js'

/** What a participant agreed to, as it travels with every package: `consent.json`. */
export interface ConsentDocument {
  readonly format: 's4s-consent/1'
  readonly id: string
  readonly study: { readonly id: string; readonly title: string }
  readonly participant: string
  readonly version: string
  /** The very text that the participant saw. */
  readonly text: string
  /** Names of the data classes that may be shared, in the order of the study's plan. */
  readonly dataClasses: readonly string[]
  readonly signature: string
  readonly givenAt: string
  readonly expiresAt?: string
  /** SHA-256 of the withdrawal key: whoever holds the key can prove that the consent was theirs. */
  readonly withdrawalCommitment: string
  /** SHA-256 of this document's JSON without this member. */
  readonly digest: string
}

declare const earned: unique symbol

/**
 * A consent that `recordConsent` made or `readConsent` found good; nothing else can be shared with. Plain JSON, to be
 * stored where the app keeps what belongs to the participant: the withdrawal key in it never goes to the study,
 * except in the notice of withdrawal.
 */
export interface ConsentRecord extends ConsentDocument {
  readonly withdrawalKey: string
  readonly [earned]: true
}

const good = new WeakSet<object>()

export interface ConsentGiven {
  /** The study's own name for the participant; best one that says nothing about the person. */
  readonly participant: string
  /** What the participant typed or did to agree. */
  readonly signature: string
  /** What they agreed to share. Default: everything in the study's plan. */
  readonly dataClasses?: readonly string[]
  readonly expiresAt?: Date
  readonly platform?: Pick<Platform, 'crypto' | 'clock'>
}

/**
 * Records that a participant agrees to the study's consent text.
 *
 * @example const consent = recordConsent(study, { participant: 'p-0042', signature: 'Ada Lovelace' })
 */
export function recordConsent(study: Study, given: ConsentGiven): ConsentRecord {
  const { crypto, clock } = given.platform ?? { crypto: ambientCrypto, clock: ambientClock }
  const { participant, signature, expiresAt } = given
  if (!isParticipant(participant)) throw new TypeError('participant is not 1 to 200 printable characters')
  if (typeof signature !== 'string' || signature.trim() === '') throw new TypeError('signature is empty')
  const now = clock.now()
  if (expiresAt !== undefined && !(expiresAt.getTime() > now))
    throw new TypeError('expiresAt is not in the future')
  const planned = study.plan.classes.map((row): string => row.name)
  const wanted = new Set<string>(given.dataClasses ?? planned)
  const unknown = [...wanted].find((name) => !planned.includes(name))
  if (unknown !== undefined) throw new TypeError(`the study does not ask for ${unknown}`)
  if (wanted.size === 0) throw new TypeError('a consent covers at least one data class')
  const withdrawalKey = randomToken(crypto)
  const document = {
    format: 's4s-consent/1',
    id: `consent-${randomToken(crypto, 16)}`,
    study: { id: study.id, title: study.title },
    participant,
    version: study.consent.version,
    text: study.consent.text,
    dataClasses: planned.filter((name) => wanted.has(name)),
    signature,
    givenAt: new Date(now).toISOString(),
    ...(expiresAt === undefined ? {} : { expiresAt: expiresAt.toISOString() }),
    withdrawalCommitment: sha256Now(withdrawalKey),
  } as const
  return markGood({ ...document, digest: digestOf(document), withdrawalKey })
}

/**
 * Reads a consent from storage, and makes sure that it is unaltered and to this study's present text.
 * One that has expired is read; `share` refuses it.
 *
 * @throws SmartError `SHARE_CONSENT_INVALID`
 */
export function readConsent(value: unknown, study: Study): ConsentRecord {
  const consent = parseConsent(value)
  checkAgainst(consent, study)
  return markGood(consent)
}

/** The parts of a stored consent, unaltered as far as its digest can tell; not yet held against a study. */
export function parseConsent(value: unknown): Omit<ConsentRecord, typeof earned> {
  const study = isObject(value) ? value.study : undefined
  const text = (key: string, from: unknown = value): string => {
    const found = stringAt(from, key)
    if (found === undefined) throw invalid('is incomplete')
    return found
  }
  const document = {
    format: text('format') as 's4s-consent/1',
    id: text('id'),
    study: { id: text('id', study), title: text('title', study) },
    participant: text('participant'),
    version: text('version'),
    text: text('text'),
    dataClasses: stringsAt(value, 'dataClasses'),
    signature: text('signature'),
    givenAt: text('givenAt'),
    ...(isObject(value) && value.expiresAt !== undefined ? { expiresAt: text('expiresAt') } : {}),
    withdrawalCommitment: text('withdrawalCommitment'),
  }
  if (document.format !== 's4s-consent/1') throw invalid('is of an unknown format')
  const consent = { ...document, digest: text('digest'), withdrawalKey: text('withdrawalKey') }
  checkUnaltered(consent)
  return consent
}

/**
 * What a consent allows at this moment: the names of the data classes.
 *
 * @throws SmartError `SHARE_CONSENT_INVALID`
 */
export function allowedClasses(consent: ConsentRecord, study: Study, now: number): ReadonlySet<string> {
  if (!isObject(consent) || !good.has(consent)) {
    throw invalid('was made neither by recordConsent nor by readConsent')
  }
  checkUnaltered(consent)
  checkAgainst(consent, study)
  if (consent.expiresAt !== undefined && !(Date.parse(consent.expiresAt) > now)) {
    throw new SmartError('SHARE_CONSENT_INVALID', 'the consent has expired', { reason: 'expired' })
  }
  return new Set(consent.dataClasses)
}

/** The bytes of `consent.json`: all but the withdrawal key. */
export function consentBytes(consent: ConsentRecord): Uint8Array<ArrayBuffer> {
  const document: ConsentDocument = { ...documentOf(consent), digest: consent.digest }
  return new TextEncoder().encode(JSON.stringify(document))
}

type Stored = Omit<ConsentRecord, typeof earned>

function checkUnaltered(consent: Stored): void {
  if (digestOf(documentOf(consent)) !== consent.digest) throw invalid('was altered')
  if (sha256Now(consent.withdrawalKey) !== consent.withdrawalCommitment) throw invalid('was altered')
  if (!isParticipant(consent.participant)) throw invalid('names no participant')
  if (consent.expiresAt !== undefined && Number.isNaN(Date.parse(consent.expiresAt))) {
    throw invalid('has no readable end')
  }
}

function checkAgainst(consent: Stored, study: Study): void {
  if (consent.study.id !== study.id) throw invalid('is for another study')
  if (consent.version !== study.consent.version) throw invalid('is to another version of the text')
  if (consent.text !== study.consent.text) throw invalid('is to another text')
  const planned = new Set(study.plan.classes.map((row) => row.name))
  if (consent.dataClasses.length === 0 || !consent.dataClasses.every((name) => planned.has(name))) {
    throw invalid('covers what the study does not ask for')
  }
}

// The order of the members is fixed here, and with it what the digest is of.
function documentOf(consent: Stored): Omit<ConsentDocument, 'digest'> {
  return {
    format: consent.format,
    id: consent.id,
    study: { id: consent.study.id, title: consent.study.title },
    participant: consent.participant,
    version: consent.version,
    text: consent.text,
    dataClasses: [...consent.dataClasses],
    signature: consent.signature,
    givenAt: consent.givenAt,
    ...(consent.expiresAt === undefined ? {} : { expiresAt: consent.expiresAt }),
    withdrawalCommitment: consent.withdrawalCommitment,
  }
}

const digestOf = (document: Omit<ConsentDocument, 'digest'>): string => sha256Now(JSON.stringify(document))

function markGood(consent: Stored): ConsentRecord {
  Object.freeze(consent.study)
  Object.freeze(consent.dataClasses)
  good.add(Object.freeze(consent))
  return consent as ConsentRecord
}

function isParticipant(value: unknown): value is string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
  return typeof value === 'string' && /^[^\u0000-\u001f\u007f]{1,200}$/.test(value) && value.trim() !== ''
}

const invalid = (what: string): SmartError => new SmartError('SHARE_CONSENT_INVALID', `the consent ${what}`)
