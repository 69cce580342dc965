import { SmartError } from '../errors.js'
import type { Plan } from '../plans/plan.js'
import { isObject } from '../util/json.js'
import { isSecure, parseUrl } from '../util/url.js'
import { type Removal, removals } from './removals.js'

/** A public key as a JWK. @see https://www.rfc-editor.org/rfc/rfc7517 */
export type PublicKey = Readonly<Record<string, unknown>> & { readonly kty: string }

/** Someone who gets to see what is shared. */
export interface Recipient {
  readonly name: string
  /** What they do with it, in words for the participant. */
  readonly role?: string
}

/** A study: what it asks for, why, and where it receives it. */
export interface Study<Name extends string = string> {
  readonly id: string
  readonly title: string
  /** Why the study asks, in words for the participant. */
  readonly purpose: string
  readonly plan: Plan<Name>
  /** URL of the study's inbox; nothing is delivered anywhere else. */
  readonly recipient: string
  /** What the participant agrees to. A changed text needs a new version and a new consent. */
  readonly consent: { readonly version: string; readonly text: string }
  readonly sponsor?: string
  /** The board that approved it, and under which number. */
  readonly irb?: { readonly name: string; readonly id: string }
  /** Whom a participant can ask. */
  readonly contact?: string
  /** Where a participant can read more. */
  readonly infoUrl?: string
  /** Languages that the consent text is offered in, as BCP 47 tags. */
  readonly languages?: readonly string[]
  /** Who gets to see what is shared. Default: the sponsor, or the study itself. */
  readonly recipients?: readonly Recipient[]
  /** `once`: one package for each consent. `ongoing`: also what is new later. Default: as the consent says. */
  readonly sharing?: 'once' | 'ongoing'
  /** How many years back from the day of consent it looks; nothing older is shared. Default: as far as the record goes. */
  readonly lookBackYears?: number
  /** What its protocol keeps out of what it receives. */
  readonly removes?: readonly Removal[]
  /** The last day on which the study takes anything, `YYYY-MM-DD`. No consent lasts longer. */
  readonly until?: string
  /** With it every package is sealed, so that only who holds the private key can read it. @see https://www.rfc-editor.org/rfc/rfc7516 */
  readonly sealTo?: PublicKey
  /** The keys that its receipts are signed with; with them no other receipt is taken for one. */
  readonly receiptKeys?: readonly PublicKey[]
}

/**
 * Describes a study.
 *
 * @throws SmartError `CONFIG_INVALID` or `CONFIG_INSECURE_URL`, naming the path of what is wrong
 */
export function defineStudy<Name extends string>(study: Study<Name>): Study<Name> {
  if (!isObject(study)) throw invalid('study', 'is not an object')
  if (typeof study.id !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(study.id)) {
    throw invalid('study.id', 'is not 1 to 64 letters, digits, dots, dashes and underscores')
  }
  for (const key of ['title', 'purpose', 'recipient'] as const) needText(study[key], `study.${key}`)
  if (!isObject(study.consent)) throw invalid('study.consent', 'is missing')
  for (const key of ['version', 'text'] as const) needText(study.consent[key], `study.consent.${key}`)
  if (!isObject(study.plan) || !Array.isArray(study.plan.classes) || study.plan.classes.length === 0) {
    throw invalid('study.plan', 'is not a plan with data classes')
  }
  checkUrl(study.recipient, 'study.recipient')
  checkOptional(study)
  return frozen({ ...study }, new Set(['plan'])) as Study<Name>
}

function checkOptional(study: Study): void {
  const { irb, infoUrl, languages, recipients, sharing, until } = study
  for (const key of ['sponsor', 'contact'] as const) {
    if (study[key] !== undefined) needText(study[key], `study.${key}`)
  }
  if (irb !== undefined) for (const key of ['name', 'id'] as const) needText(irb?.[key], `study.irb.${key}`)
  if (infoUrl !== undefined) checkUrl(infoUrl, 'study.infoUrl')
  eachOf(languages, 'study.languages', (tag, path) => {
    if (typeof tag !== 'string' || !/^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$/.test(tag))
      throw invalid(path, 'is not a language tag')
  })
  eachOf(recipients, 'study.recipients', (one, path) => {
    needText(isObject(one) ? one.name : undefined, `${path}.name`)
    if (isObject(one) && one.role !== undefined) needText(one.role, `${path}.role`)
  })
  if (sharing !== undefined && sharing !== 'once' && sharing !== 'ongoing')
    throw invalid('study.sharing', 'is neither once nor ongoing')
  if (until !== undefined && !isDay(until)) throw invalid('study.until', 'is not a day such as 2027-12-31')
  const { lookBackYears } = study
  if (
    lookBackYears !== undefined &&
    !(Number.isInteger(lookBackYears) && lookBackYears > 0 && lookBackYears <= 200)
  )
    throw invalid('study.lookBackYears', 'is not a number of whole years')
  eachOf(study.removes, 'study.removes', (one, path) => {
    if (!removals.some(({ id }) => id === one))
      throw invalid(path, `is none of ${removals.map(({ id }) => id).join(', ')}`)
  })
  if (study.sealTo !== undefined) checkKey(study.sealTo, 'study.sealTo')
  eachOf(study.receiptKeys, 'study.receiptKeys', checkKey)
}

function eachOf(list: unknown, path: string, check: (one: unknown, path: string) => void): void {
  if (list === undefined) return
  if (!Array.isArray(list) || list.length === 0) throw invalid(path, 'is not a list of at least one')
  list.forEach((one, index) => {
    check(one, `${path}[${index}]`)
  })
}

// What a private key holds must never be in what every participant's browser reads.
const secretMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

function checkKey(key: unknown, path: string): void {
  if (!isObject(key) || (key.kty !== 'EC' && key.kty !== 'RSA' && key.kty !== 'OKP'))
    throw invalid(path, 'is not a public key as a JWK')
  if (secretMembers.some((name) => key[name] !== undefined)) throw invalid(path, 'is a private key')
}

function checkUrl(value: unknown, path: string): void {
  needText(value, path)
  const url = parseUrl(value as string)
  if (!url) throw invalid(path, 'is not an https URL without credentials')
  if (!isSecure(url))
    throw new SmartError('CONFIG_INSECURE_URL', `${path} is neither https nor on the loopback interface`)
}

/** True for a day of the calendar, `YYYY-MM-DD`. */
export function isDay(value: unknown): value is string {
  if (typeof value !== 'string' || !/^\d{4}-\d{2}-\d{2}$/.test(value)) return false
  const time = Date.parse(`${value}T00:00:00Z`)
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(value)
}

function frozen(value: unknown, but: ReadonlySet<string> = new Set()): unknown {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  if (Array.isArray(value)) return Object.freeze(value.map((one) => frozen(one)))
  const copy = Object.entries(value).map(([key, one]) => [key, but.has(key) ? one : frozen(one)])
  return Object.freeze(Object.fromEntries(copy))
}

function needText(value: unknown, path: string): void {
  if (typeof value !== 'string' || value.trim() === '') throw invalid(path, 'is not a text')
}

const invalid = (path: string, what: string): SmartError =>
  new SmartError('CONFIG_INVALID', `${path} ${what}`)
