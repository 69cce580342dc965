import { createHash } from 'node:crypto'
import type { ConsentDocument, Manifest } from '@s4s/core'
import { isObject, parseJsonBytes } from '../json.js'
import { type Finding, Refusal } from './refusal.js'

/** Most bytes of a consent with its text. */
export const maxConsentBytes: number = 4 * 1024 * 1024

/**
 * Holds the consent of a package against its manifest: it must be for this study and this participant, unaltered,
 * running, and cover every data class of every source.
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
  return consent
}

// A participant's clock may be ahead of the study's.
const clockSkew = 24 * 3_600_000

function isDocument(value: Record<string, unknown>): value is Record<string, unknown> & ConsentDocument {
  const texts = [
    'id',
    'participant',
    'version',
    'text',
    'signature',
    'givenAt',
    'withdrawalCommitment',
    'digest',
  ]
  return (
    value.format === 's4s-consent/1' &&
    texts.every((key) => typeof value[key] === 'string' && value[key] !== '') &&
    isObject(value.study) &&
    (value.expiresAt === undefined || typeof value.expiresAt === 'string') &&
    Array.isArray(value.dataClasses) &&
    value.dataClasses.length > 0 &&
    value.dataClasses.every((name) => typeof name === 'string')
  )
}

const refused = (finding: Finding): Refusal => new Refusal('consent', { part: 'consent.json', finding })
