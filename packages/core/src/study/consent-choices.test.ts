import { expect, test } from 'vitest'
import { ambientClock, ambientCrypto } from '../ambient.js'
import { type ConsentGiven, defineStudy, readConsent, recordConsent, type Study, usCore } from '../index.js'
import { sha256Now } from '../util/sha256.js'

const now = Date.UTC(2026, 1, 28)
const platform = { crypto: ambientCrypto, clock: { ...ambientClock, now: () => now } }
const studyWith = (more: Partial<Study> = {}): Study =>
  defineStudy({
    id: 'sleep',
    title: 'Sleep',
    purpose: 'Rest',
    plan: usCore.only('Patient', 'Laboratory'),
    recipient: 'https://intake.sleep.example/inbox',
    consent: { version: '3', text: 'I agree.' },
    ...more,
  })
const consentTo = (study: Study, given: Partial<ConsentGiven> = {}) =>
  recordConsent(study, { participant: 'p-1', signature: 'Ada', platform, ...given })
const stored = (value: unknown) => JSON.parse(JSON.stringify(value))

test('F4 a consent says what was ticked: recipients, sharing, language, proxy', () => {
  const study = studyWith({
    recipients: [{ name: 'A university', role: 'analyses it' }, { name: 'A registry' }],
    languages: ['en', 'es'],
  })
  const given = {
    recipients: ['A university'],
    sharing: 'ongoing' as const,
    language: 'es',
    givenBy: { name: 'Eva', relationship: 'mother' },
  }
  const consent = consentTo(study, given)
  expect(consent).toMatchObject({
    ...given,
    recipients: [{ name: 'A university', role: 'analyses it' }],
  })
  expect(readConsent(stored(consent), study)).toEqual(consent)
})

test('F4 without a word about it, the recipient is the sponsor, and nothing is narrowed', () => {
  const consent = consentTo(studyWith({ sponsor: 'A university' }))
  expect(consent.recipients).toEqual([{ name: 'A university' }])
  for (const key of ['sharing', 'expiresAt', 'givenBy']) expect(consent).not.toHaveProperty(key)
})

test('F5 no consent lasts longer than the study', () => {
  const study = studyWith({ until: '2026-12-31' })
  expect(consentTo(study).expiresAt).toBe('2026-12-31T23:59:59.999Z')
  expect(consentTo(study, { expiresAt: new Date(Date.UTC(2030, 0, 1)) }).expiresAt).toBe(
    '2026-12-31T23:59:59.999Z',
  )
  expect(consentTo(study, { expiresAt: new Date(Date.UTC(2026, 5, 1)) }).expiresAt).toBe(
    '2026-06-01T00:00:00.000Z',
  )
  expect(() => consentTo(studyWith({ until: '2026-01-01' }))).toThrow('the study has ended')
})

test('F5 a consent that takes another’s place names it by its digest', () => {
  const study = studyWith()
  const first = consentTo(study)
  expect(consentTo(study, { replaces: first }).replaces).toBe(first.digest)
})

test.each<[string, Partial<ConsentGiven>, Partial<Study>]>([
  ['the study names no recipient Eve', { recipients: ['Eve'] }, {}],
  ['a consent covers at least one recipient', { recipients: [] }, {}],
  ['the study shares once', { sharing: 'ongoing' }, { sharing: 'once' }],
  ['givenBy needs a name and a relationship', { givenBy: { name: 'Eva', relationship: '' } }, {}],
  ['the study does not offer its text in that language', { language: 'fr' }, { languages: ['en'] }],
])('F4 %s', (message, given, more) => {
  expect(() => consentTo(studyWith(more), given)).toThrow(new TypeError(message))
})

// Whoever alters a stored consent may well compute its digest anew; what then stands in it must still be readable.
test.each<[string, object]>([
  ['recipients', { recipients: [] }],
  ['sharing', { sharing: 'both' }],
  ['givenBy', { givenBy: { name: 'Eva' } }],
])('F5 a stored consent whose %s cannot be read is refused, not widened (%j)', (_, change) => {
  const study = studyWith()
  const consent = consentTo(study, { sharing: 'once' })
  expect(() => readConsent({ ...stored(consent), ...change }, study)).toThrow(
    expect.objectContaining({ code: 'SHARE_CONSENT_INVALID', message: 'the consent was altered' }),
  )
})

test('F5 every member of a consent is under its digest', () => {
  const study = studyWith({ languages: ['en'], sharing: 'ongoing', until: '2026-12-31' })
  const consent = consentTo(study, {
    language: 'en',
    givenBy: { name: 'Eva', relationship: 'mother' },
    replaces: consentTo(study),
  })
  const { digest, withdrawalKey: _, sealingKey: __, ...document } = stored(consent)
  expect(Object.keys(document).length).toBe(16)
  expect(sha256Now(JSON.stringify(document))).toBe(digest)
  for (const key of Object.keys(document)) {
    const { [key]: gone, ...rest } = stored(consent)
    expect(gone).toBeDefined()
    expect(() => readConsent(rest, study), key).toThrow(
      expect.objectContaining({ code: 'SHARE_CONSENT_INVALID' }),
    )
  }
})
