import { createHash } from 'node:crypto'
import {
  type ConsentDocument,
  datedWithin,
  type Manifest,
  sensitiveCategories,
  sensitivityOf,
} from '@s4s/core'
import { isObject, parseJsonBytes } from '../json.js'
import { kindOf } from './manifest.js'
import { type Finding, Refusal } from './refusal.js'

/** Most bytes of a consent with its text. */
export const maxConsentBytes: number = 4 * 1024 * 1024

/**
 * Holds the consent of a package against its manifest: it must be for this study and this participant, unaltered,
 * running, and cover every data class of every source. Where it withholds anything there may be no files.
 *
 * @throws Refusal `consent`
 */
export function checkConsent(bytes: Uint8Array, manifest: Manifest, now: number): ConsentDocument {
  const consent = parseJsonBytes(bytes)
  if (!isObject(consent) || !isDocument(consent)) throw refused('consent-altered')
  const { digest, ...signed } = consent
  if (createHash('sha256').update(JSON.stringify(signed)).digest('hex') !== digest)
    throw refused('consent-altered')
  const right =
    consent.id === manifest.consent.id &&
    consent.version === manifest.consent.version &&
    consent.study.id === manifest.study.id &&
    consent.study.title === manifest.study.title &&
    consent.participant === manifest.participant &&
    consent.withdrawalCommitment === manifest.withdrawalCommitment
  if (!right) throw refused('consent-other')
  if (!(Date.parse(consent.givenAt) <= now + clockSkew)) throw refused('consent-not-yet')
  if (consent.expiresAt !== undefined && !(Date.parse(consent.expiresAt) > now))
    throw refused('consent-expired')
  const agreed = new Set(consent.dataClasses)
  const claimed = manifest.sources.flatMap(({ plan, completeness }) => [
    ...plan.classes,
    ...completeness.map((row) => row.dataClass),
  ])
  if (!claimed.every((name) => agreed.has(name))) throw refused('consent-narrow')
  const file = consent.withhold && manifest.parts.find((part) => kindOf(part).kind === 'attachment')
  // Nobody looks into a file, and it may hold anything.
  if (file) throw new Refusal('consent', { part: file.path, finding: 'consent-narrow' })
  return consent
}

/** Says of a line of a package, as its JSON text and parsed, whether a consent lets it be here. */
export interface Limits {
  covers(text: () => string, line: Record<string, unknown>, kind: 'resources' | 'index'): boolean
}

/** What a consent allows beyond its data classes: what is dated within its period, and of no category it withholds. */
export function limitsOf({ period, withhold = [] }: ConsentDocument): Limits {
  const isWithheld = sensitivityOf(sensitiveCategories.filter(({ id }) => withhold.includes(id)))
  return Object.freeze({
    covers(text: () => string, line: Record<string, unknown>, kind: 'resources' | 'index'): boolean {
      if (kind === 'resources' && period !== undefined && datedWithin(line, period) !== 'inside') return false
      if (withhold.length === 0) return true
      try {
        return !isWithheld(text(), line)
      } catch {
        // Nested deeper than can be looked through.
        return false
      }
    },
  } satisfies Limits)
}

// A participant's clock may be ahead of the study's.
const clockSkew = 24 * 3_600_000

function isDocument(value: Record<string, unknown>): value is Record<string, unknown> & ConsentDocument {
  const texts = ['id', 'participant', 'version', 'text', 'signature', 'givenAt', 'withdrawalCommitment']
  return (
    value.format === 's4s-consent/1' &&
    [...texts, 'digest'].every((key) => isText(value[key])) &&
    isObject(value.study) &&
    isListOf(value.dataClasses, isText) &&
    Object.entries(optional).every(([key, isGood]) => value[key] === undefined || isGood(value[key]))
  )
}

// A limit that cannot be read, or that is not known here, cannot be kept.
const optional: Readonly<Record<string, (value: unknown) => boolean>> = {
  language: (value) => isText(value),
  period: (value) =>
    isObject(value) &&
    (value.start !== undefined || value.end !== undefined) &&
    [value.start, value.end].every((day) => day === undefined || isDay(day)) &&
    !(isDay(value.start) && isDay(value.end) && value.start > value.end),
  withhold: (value) => isListOf(value, (one) => sensitiveCategories.some(({ id }) => id === one)),
  recipients: (value) =>
    isListOf(
      value,
      (one) => isObject(one) && isText(one.name) && (one.role === undefined || isText(one.role)),
    ),
  sharing: (value) => value === 'once' || value === 'ongoing',
  givenBy: (value) => isObject(value) && isText(value.name) && isText(value.relationship),
  expiresAt: (value) => isText(value) && !Number.isNaN(Date.parse(value)),
  replaces: (value) => isText(value),
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''
const isListOf = (value: unknown, isGood: (one: unknown) => boolean): boolean =>
  Array.isArray(value) && value.length > 0 && value.every(isGood)
const isDay = (value: unknown): value is string => {
  if (typeof value !== 'string' || !/^\d{4}-\d{2}-\d{2}$/.test(value)) return false
  const at = Date.parse(value)
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(value)
}

const refused = (finding: Finding): Refusal => new Refusal('consent', { part: 'consent.json', finding })
