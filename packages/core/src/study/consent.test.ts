import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ambientClock, ambientCrypto } from '../ambient.js'
import { usCore } from '../plans/index.js'
import { sha256Now } from '../util/sha256.js'
import { allowedBy, type ConsentRecord, consentBytes, readConsent, recordConsent } from './consent.js'
import { defineStudy } from './study.js'

const study = defineStudy({
  id: 'sleep',
  title: 'Sleep',
  purpose: 'Rest',
  plan: usCore.only('Patient', 'Laboratory', 'Goals'),
  recipient: 'https://intake.sleep.example/inbox',
  consent: { version: '3', text: 'I agree.' },
})
const now = Date.UTC(2026, 0, 1)
const platform = { crypto: ambientCrypto, clock: { ...ambientClock, now: () => now } }
const given = { participant: 'p-1', signature: 'Ada', platform }
const stored = (consent: unknown): Record<string, unknown> => JSON.parse(JSON.stringify(consent))
const refusal = (what: string) =>
  expect.objectContaining({ code: 'SHARE_CONSENT_INVALID', message: `the consent ${what}` })

test('F5 a consent holds the text itself, what it covers, and when it ends', () => {
  const expiresAt = new Date(now + 1000)
  const consent = recordConsent(study, { ...given, dataClasses: ['Goals', 'Patient'], expiresAt })
  expect(consent).toMatchObject({
    study: { id: 'sleep', title: 'Sleep' },
    participant: 'p-1',
    version: '3',
    text: 'I agree.',
    dataClasses: ['Patient', 'Goals'],
    signature: 'Ada',
    givenAt: '2026-01-01T00:00:00.000Z',
    expiresAt: '2026-01-01T00:00:01.000Z',
  })
  expect(recordConsent(study, given).dataClasses).toEqual(['Patient', 'Laboratory', 'Goals'])
})

test('two consents share neither id nor withdrawal key', () => {
  const [a, b] = [recordConsent(study, given), recordConsent(study, given)]
  expect(a.id).not.toBe(b.id)
  expect(a.withdrawalKey).not.toBe(b.withdrawalKey)
  expect(a.withdrawalKey.length).toBe(43)
})

test('the withdrawal key is not in consent.json, but its digest is', () => {
  const consent = recordConsent(study, given)
  const text = new TextDecoder().decode(consentBytes(consent))
  expect(text).not.toContain(consent.withdrawalKey)
  const { digest, ...document } = JSON.parse(text)
  expect(document.withdrawalCommitment).toBe(sha256Now(consent.withdrawalKey))
  expect(digest).toBe(sha256Now(JSON.stringify(document)))
})

test('a consent comes back from storage as it went, and may be shared with again', () => {
  const consent = recordConsent(study, { ...given, expiresAt: new Date(now + 1000) })
  const read = readConsent(stored(consent), study)
  expect(read).toEqual(consent)
  expect(allowedBy(read, study, now).dataClasses).toEqual(['Patient', 'Laboratory', 'Goals'])
})

test('T71 a consent that neither recordConsent nor readConsent made is worth nothing', () => {
  const consent = recordConsent(study, given)
  const forged = [
    { ...consent },
    stored(consent),
    structuredClone(consent),
    Object.create(consent),
    null,
    undefined,
    'yes',
  ]
  for (const one of forged) {
    expect(() => allowedBy(one as ConsentRecord, study, now)).toThrow(
      refusal('was made neither by recordConsent nor by readConsent'),
    )
  }
})

test('T71 an expired consent is worth nothing', () => {
  const consent = recordConsent(study, { ...given, expiresAt: new Date(now + 1000) })
  expect(allowedBy(consent, study, now + 999).dataClasses).toHaveLength(3)
  expect(() => allowedBy(consent, study, now + 1000)).toThrow(refusal('has expired'))
})

test('a consent is to one study, one version and one text', () => {
  const consent = recordConsent(study, given)
  const others: [string, object][] = [
    ['is for another study', { id: 'other' }],
    ['is to another version of the text', { consent: { version: '4', text: 'I agree.' } }],
    ['is to another text', { consent: { version: '3', text: 'I agree to all.' } }],
    ['covers what the study does not ask for', { plan: usCore.only('Patient') }],
  ]
  for (const [what, change] of others) {
    const other = defineStudy({ ...study, ...change })
    expect(() => readConsent(stored(consent), other)).toThrow(refusal(what))
    expect(() => allowedBy(consent, other, now)).toThrow(refusal(what))
  }
})

test('a stored consent in which anything was changed, added to or removed is noticed', () => {
  const consent = recordConsent(study, { ...given, expiresAt: new Date(now + 1000) })
  const keys = Object.keys(stored(consent))
  fc.assert(
    fc.property(fc.constantFrom(...keys), fc.jsonValue(), (key, value) => {
      const changed = stored(consent)
      fc.pre(JSON.stringify(changed[key]) !== JSON.stringify(value))
      changed[key] = value
      expect(() => readConsent(changed, study)).toThrow(
        expect.objectContaining({ code: 'SHARE_CONSENT_INVALID' }),
      )
    }),
    { numRuns: 500 },
  )
  for (const key of keys) {
    const { [key]: _, ...rest } = stored(consent)
    expect(() => readConsent(rest, study)).toThrow(expect.objectContaining({ code: 'SHARE_CONSENT_INVALID' }))
  }
  const wider = { ...stored(consent), dataClasses: ['Patient', 'Laboratory', 'Goals', 'Goals'] }
  expect(() => readConsent(wider, study)).toThrow(refusal('was altered'))
})

test('anything at all read as a consent is a consent or SHARE_CONSENT_INVALID', () => {
  fc.assert(
    fc.property(fc.anything(), (value) => {
      expect(() => readConsent(value, study)).toThrow(
        expect.objectContaining({ code: 'SHARE_CONSENT_INVALID' }),
      )
    }),
    { numRuns: 500 },
  )
})

test('a consent cannot be changed after it was given', () => {
  const consent = recordConsent(study, given)
  expect(() => (consent.dataClasses as string[]).push('Goals')).toThrow(TypeError)
  expect(() => Object.assign(consent, { expiresAt: undefined })).toThrow(TypeError)
  expect(() => Object.assign(consent.study, { id: 'other' })).toThrow(TypeError)
})

test.each<[string, object]>([
  ['no participant', { participant: '' }],
  ['a participant of control characters', { participant: 'a\nb' }],
  ['a participant of 201 characters', { participant: 'a'.repeat(201) }],
  ['no signature', { signature: ' ' }],
  ['a class the study does not ask for', { dataClasses: ['Documents'] }],
  ['no class', { dataClasses: [] }],
  ['an end in the past', { expiresAt: new Date(now) }],
  ['an end that is no date', { expiresAt: new Date('never') }],
])('a consent with %s is a TypeError', (_, change) => {
  expect(() => recordConsent(study, { ...given, ...change })).toThrow(TypeError)
})
