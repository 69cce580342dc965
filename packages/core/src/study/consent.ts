import { ambientClock, ambientCrypto } from '../ambient.js'
import { SmartError } from '../errors.js'
import type { Platform } from '../ports.js'
import { randomToken } from '../util/bytes.js'
import { isObject, stringAt, stringsAt } from '../util/json.js'
import { sha256Now } from '../util/sha256.js'
import { type Choices, chosenCategories, chosenClasses, chosenPeriod, isPeriod } from './choices.js'
import type { Period } from './dated.js'
import type { Recipient, Study } from './study.js'

/** What a participant agreed to, as it travels with every package: `consent.json`. */
export interface ConsentDocument {
  readonly format: 's4s-consent/1'
  readonly id: string
  readonly study: { readonly id: string; readonly title: string }
  readonly participant: string
  readonly version: string
  /** The very text that the participant saw. */
  readonly text: string
  /** The language of the text, as a BCP 47 tag. */
  readonly language?: string
  /** Names of the data classes that may be shared, in the order of the study's plan. */
  readonly dataClasses: readonly string[]
  /** Only what is dated within these days may be shared. */
  readonly period?: Period
  /** Ids of the sensitive categories that may not be shared. */
  readonly withhold?: readonly string[]
  /** Who gets to see it. */
  readonly recipients?: readonly Recipient[]
  /** `once`: one package. `ongoing`: also what is new later. */
  readonly sharing?: 'once' | 'ongoing'
  readonly signature: string
  /** Who agreed for the participant, when it was not the participant. */
  readonly givenBy?: Proxy
  readonly givenAt: string
  readonly expiresAt?: string
  /** The digest of the consent that this one takes the place of. */
  readonly replaces?: string
  /** SHA-256 of the withdrawal key: whoever holds the key can prove that the consent was theirs. */
  readonly withdrawalCommitment: string
  /** SHA-256 of this document's JSON without this member. */
  readonly digest: string
}

/** A person who may decide for the participant. */
export interface Proxy {
  readonly name: string
  /** Such as `mother` or `legal guardian`. */
  readonly relationship: string
}

declare const earned: unique symbol

/**
 * A consent that `recordConsent` made or `readConsent` found good; nothing else can be shared with. Plain JSON, to be
 * stored where the app keeps what belongs to the participant: the withdrawal key in it never goes to the study,
 * except in the notice of withdrawal.
 */
export interface ConsentRecord extends ConsentDocument {
  readonly withdrawalKey: string
  /** What the seals of packages under this consent are made from. It goes to nobody. */
  readonly sealingKey: string
  readonly [earned]: true
}

const good = new WeakSet<object>()

export interface ConsentGiven extends Choices {
  /** The study's own name for the participant; best one that says nothing about the person. */
  readonly participant: string
  /** What the participant typed or did to agree. */
  readonly signature: string
  /** Those of the study's recipients that they agreed to. Default: all. */
  readonly recipients?: readonly string[]
  /** Default: as the study says. */
  readonly sharing?: 'once' | 'ongoing'
  /** Who agreed for them, such as a parent. */
  readonly givenBy?: Proxy
  /** The language that they read the text in. */
  readonly language?: string
  /** Default: the end of the study, if it has one. */
  readonly expiresAt?: Date
  /** The consent that this one takes the place of. */
  readonly replaces?: ConsentDocument
  readonly platform?: Pick<Platform, 'crypto' | 'clock'>
}

/**
 * Records that a participant agrees to the study's consent text.
 *
 * @example const consent = recordConsent(study, { participant: 'p-0042', signature: 'Ada Lovelace' })
 */
export function recordConsent(study: Study, given: ConsentGiven): ConsentRecord {
  const { crypto, clock } = given.platform ?? { crypto: ambientCrypto, clock: ambientClock }
  const { participant, signature, givenBy, language, replaces } = given
  if (!isParticipant(participant)) throw new TypeError('participant is not 1 to 200 printable characters')
  if (typeof signature !== 'string' || signature.trim() === '') throw new TypeError('signature is empty')
  if (givenBy !== undefined && !isProxy(givenBy))
    throw new TypeError('givenBy needs a name and a relationship')
  if (language !== undefined && study.languages && !study.languages.includes(language))
    throw new TypeError('the study does not offer its text in that language')
  const now = clock.now()
  const dataClasses = chosenClasses(study, given.dataClasses)
  const period = chosenPeriod(study, given.period, now)
  const withhold = chosenCategories(given.withhold)
  const sharing = given.sharing ?? study.sharing
  if (study.sharing === 'once' && sharing === 'ongoing') throw new TypeError('the study shares once')
  const expiresAt = endOf(study, given.expiresAt, now)
  const withdrawalKey = randomToken(crypto)
  const document = documentOf({
    format: 's4s-consent/1',
    id: `consent-${randomToken(crypto, 16)}`,
    study: { id: study.id, title: study.title },
    participant,
    version: study.consent.version,
    text: study.consent.text,
    ...(language === undefined ? {} : { language }),
    dataClasses,
    ...(period === undefined ? {} : { period }),
    ...(withhold === undefined ? {} : { withhold }),
    recipients: recipientsOf(study, given.recipients),
    ...(sharing === undefined ? {} : { sharing }),
    signature,
    ...(givenBy === undefined ? {} : { givenBy }),
    givenAt: new Date(now).toISOString(),
    ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt).toISOString() }),
    ...(replaces === undefined ? {} : { replaces: replaces.digest }),
    withdrawalCommitment: sha256Now(withdrawalKey),
  })
  return markGood({ ...document, digest: digestOf(document), withdrawalKey, sealingKey: randomToken(crypto) })
}

function endOf(study: Study, wanted: Date | undefined, now: number): number | undefined {
  const last = study.until === undefined ? undefined : Date.parse(`${study.until}T23:59:59.999Z`)
  if (last !== undefined && !(last > now)) throw new TypeError('the study has ended')
  if (wanted === undefined) return last
  if (!(wanted.getTime() > now)) throw new TypeError('expiresAt is not in the future')
  return last === undefined ? wanted.getTime() : Math.min(last, wanted.getTime())
}

function recipientsOf(study: Study, wanted: readonly string[] | undefined): Recipient[] {
  const all = study.recipients ?? [{ name: study.sponsor ?? study.title }]
  const unknown = wanted?.find((name) => !all.some((one) => one.name === name))
  if (unknown !== undefined) throw new TypeError(`the study names no recipient ${unknown}`)
  const agreed = all.filter(({ name }) => wanted?.includes(name) ?? true)
  if (agreed.length === 0) throw new TypeError('a consent covers at least one recipient')
  return agreed.map(({ name, role }) => ({ name, ...(role === undefined ? {} : { role }) }))
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
  const key = (name: 'withdrawalKey' | 'sealingKey'): string => {
    const found = stringAt(value, name)
    if (found === undefined) throw invalid('is incomplete')
    return found
  }
  const keys = { withdrawalKey: key('withdrawalKey'), sealingKey: key('sealingKey') }
  const consent = { ...parseDocument(value), ...keys }
  checkUnaltered(consent)
  return consent
}

/**
 * The consent that travels with a package, unaltered as far as its digest can tell; not yet held against a study.
 *
 * @throws SmartError `SHARE_CONSENT_INVALID`
 */
export function parseDocument(value: unknown): ConsentDocument {
  const study = isObject(value) ? value.study : undefined
  const text = (key: string, from: unknown = value): string => {
    const found = stringAt(from, key)
    if (found === undefined) throw invalid('is incomplete')
    return found
  }
  const document = documentOf({
    format: text('format') as 's4s-consent/1',
    id: text('id'),
    study: { id: text('id', study), title: text('title', study) },
    participant: text('participant'),
    version: text('version'),
    text: text('text'),
    dataClasses: stringsAt(value, 'dataClasses'),
    signature: text('signature'),
    givenAt: text('givenAt'),
    withdrawalCommitment: text('withdrawalCommitment'),
    ...optionalOf(value),
  })
  if (document.format !== 's4s-consent/1') throw invalid('is of an unknown format')
  const whole = { ...document, digest: text('digest') }
  checkDocument(whole)
  return whole
}

// A member that is there must be what it should: dropped as unreadable, it would widen what was agreed to.
function optionalOf(value: unknown): Partial<ConsentDocument> {
  const found: Record<string, unknown> = {}
  for (const [key, isGood] of Object.entries(optional)) {
    const one = isObject(value) ? value[key] : undefined
    if (one === undefined) continue
    if (!isGood(one)) throw invalid('was altered')
    found[key] = structuredClone(one)
  }
  return found as Partial<ConsentDocument>
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''
const optional: Readonly<Record<string, (value: unknown) => boolean>> = {
  language: isText,
  recipients: (value) =>
    Array.isArray(value) && value.length > 0 && value.every((one) => stringAt(one, 'name')),
  sharing: (value) => value === 'once' || value === 'ongoing',
  givenBy: (value) => isProxy(value),
  expiresAt: isText,
  replaces: isText,
  period: isPeriod,
  withhold: (value) => Array.isArray(value) && value.length > 0 && value.every((one) => isText(one)),
}

const isProxy = (value: unknown): value is Proxy =>
  stringAt(value, 'name') !== undefined && stringAt(value, 'relationship') !== undefined

/**
 * What a consent allows at this moment.
 *
 * @throws SmartError `SHARE_CONSENT_INVALID`
 */
export function allowedBy(
  consent: ConsentRecord,
  study: Study,
  now: number,
): Required<Pick<ConsentDocument, 'dataClasses'>> & Choices {
  if (!isObject(consent) || !good.has(consent)) {
    throw invalid('was made neither by recordConsent nor by readConsent')
  }
  checkUnaltered(consent)
  checkAgainst(consent, study)
  if (consent.expiresAt !== undefined && !(Date.parse(consent.expiresAt) > now)) {
    throw new SmartError('SHARE_CONSENT_INVALID', 'the consent has expired', { reason: 'expired' })
  }
  const { dataClasses, period, withhold } = consent
  return {
    dataClasses,
    ...(period === undefined ? {} : { period }),
    ...(withhold === undefined ? {} : { withhold }),
  }
}

/** The bytes of `consent.json`: all but the withdrawal key. */
export function consentBytes(consent: ConsentRecord): Uint8Array<ArrayBuffer> {
  const document: ConsentDocument = { ...documentOf(consent), digest: consent.digest }
  return new TextEncoder().encode(JSON.stringify(document))
}

type Stored = Omit<ConsentRecord, typeof earned>

function checkUnaltered(consent: Stored): void {
  checkDocument(consent)
  if (sha256Now(consent.withdrawalKey) !== consent.withdrawalCommitment) throw invalid('was altered')
  if (consent.sealingKey.length < 43) throw invalid('was altered')
}

function checkDocument(consent: ConsentDocument): void {
  if (digestOf(documentOf(consent)) !== consent.digest) throw invalid('was altered')
  if (!isParticipant(consent.participant)) throw invalid('names no participant')
  if (consent.expiresAt !== undefined && Number.isNaN(Date.parse(consent.expiresAt))) {
    throw invalid('has no readable end')
  }
}

/** Makes sure that a consent is to this study's present text. */
export function checkAgainst(consent: ConsentDocument, study: Study): void {
  if (consent.study.id !== study.id) throw invalid('is for another study')
  if (consent.version !== study.consent.version) throw invalid('is to another version of the text')
  if (consent.text !== study.consent.text) throw invalid('is to another text')
  const planned = new Set(study.plan.classes.map((row) => row.name))
  if (consent.dataClasses.length === 0 || !consent.dataClasses.every((name) => planned.has(name))) {
    throw invalid('covers what the study does not ask for')
  }
  // One that was recorded elsewhere may name a category that is not known here: shared, it would be in the package.
  try {
    chosenCategories(consent.withhold)
  } catch (cause) {
    throw new SmartError('SHARE_CONSENT_INVALID', 'the consent withholds a category that is not known', {
      cause,
    })
  }
}

const members = [
  ...['format', 'id', 'study', 'participant', 'version', 'text', 'language', 'dataClasses'],
  ...[
    'period',
    'withhold',
    'recipients',
    'sharing',
    'signature',
    'givenBy',
    'givenAt',
    'expiresAt',
    'replaces',
  ],
  'withdrawalCommitment',
] as const
const inside = {
  study: ['id', 'title'],
  period: ['start', 'end'],
  givenBy: ['name', 'relationship'],
} as const

// The order of the members is fixed here, and with it what the digest is of.
function documentOf(consent: Omit<ConsentDocument, 'digest'>): Omit<ConsentDocument, 'digest'> {
  const document = pick(consent, members)
  for (const [key, names] of Object.entries(inside))
    if (document[key] !== undefined) document[key] = Object.freeze(pick(document[key] as object, names))
  document.dataClasses = Object.freeze([...consent.dataClasses])
  if (consent.withhold) document.withhold = Object.freeze([...consent.withhold])
  if (consent.recipients)
    document.recipients = Object.freeze(
      consent.recipients.map((one) => Object.freeze(pick(one, ['name', 'role']))),
    )
  return document as unknown as Omit<ConsentDocument, 'digest'>
}

function pick(value: object, names: readonly string[]): Record<string, unknown> {
  const entries = Object.entries(value)
  return Object.fromEntries(
    names.flatMap((name) => entries.filter(([key, one]) => key === name && one !== undefined)),
  )
}

const digestOf = (document: Omit<ConsentDocument, 'digest'>): string => sha256Now(JSON.stringify(document))

function markGood(consent: Stored): ConsentRecord {
  good.add(Object.freeze(consent))
  return consent as ConsentRecord
}

function isParticipant(value: unknown): value is string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
  return typeof value === 'string' && /^[^\u0000-\u001f\u007f]{1,200}$/.test(value) && value.trim() !== ''
}

const invalid = (what: string): SmartError => new SmartError('SHARE_CONSENT_INVALID', `the consent ${what}`)
