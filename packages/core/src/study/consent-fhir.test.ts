import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { faultsOf, unknownCodesIn } from '../../test-support/validator.js'
import { ambientClock, ambientCrypto } from '../ambient.js'
import { usCore } from '../plans/index.js'
import { type ConsentGiven, type ConsentRecord, recordConsent } from './consent.js'
import { consentFromFhir, consentToFhir } from './consent-fhir.js'
import { defineStudy } from './study.js'

const study = defineStudy({
  id: 'sleep',
  title: 'Sleep & Recovery',
  purpose: 'Rest',
  plan: usCore.only('Patient', 'Laboratory', 'Vital Signs', 'Problems'),
  recipient: 'https://intake.sleep.example/inbox',
  consent: { version: '3', text: 'I share “my data” – ganz.\n\nSigned below.' },
  recipients: [{ name: 'University of Example', role: 'analyses it' }, { name: 'Example Trust' }],
  languages: ['en', 'de-CH'],
  sharing: 'ongoing',
  until: '2027-12-31',
})
const platform = { crypto: ambientCrypto, clock: { ...ambientClock, now: () => Date.UTC(2026, 0, 1) } }
const consentOf = (given: Partial<ConsentGiven> = {}): ConsentRecord =>
  recordConsent(study, { participant: 'p-1', signature: 'Ada', platform, ...given })
const documentOf = ({ withdrawalKey: _, sealingKey: __, ...document }: ConsentRecord) => document
const stored = (value: unknown): Record<string, unknown> => JSON.parse(JSON.stringify(value))

const full = (): ConsentRecord =>
  consentOf({
    dataClasses: ['Patient', 'Vital Signs'],
    recipients: ['University of Example'],
    givenBy: { name: 'Bea Example', relationship: 'mother' },
    language: 'de-CH',
    period: { start: '2020-01-01', end: '2025-12-31' },
    withhold: ['hiv', 'mental-health'],
    replaces: consentOf(),
  })

test('a consent as FHIR says in the words of FHIR who agreed to what, for whom and until when', () => {
  const resource = consentToFhir(full(), { study })
  expect(resource).toMatchObject({
    status: 'active',
    scope: { coding: [{ code: 'research' }] },
    patient: { identifier: { value: 'p-1' } },
    dateTime: '2026-01-01T00:00:00.000Z',
    performer: [{ display: 'Bea Example', extension: [{ valueString: 'mother' }] }],
    organization: [{ identifier: { value: 'sleep' }, display: 'Sleep & Recovery' }],
    policyRule: { coding: [{ version: '3', code: 'sleep' }] },
    sourceAttachment: {
      language: 'de-CH',
      hash: createHash('sha1').update(study.consent.text).digest('base64'),
    },
    provision: {
      type: 'permit',
      period: { start: '2026-01-01T00:00:00.000Z', end: '2027-12-31T23:59:59.999Z' },
      purpose: [{ code: 'HRESCH' }],
      class: [{ code: 'Observation' }, { code: 'Patient' }],
      code: [{ text: 'Patient' }, { text: 'Vital Signs' }],
      actor: [{ role: { text: 'analyses it' }, reference: { display: 'University of Example' } }],
      dataPeriod: { start: '2020-01-01', end: '2025-12-31' },
      provision: [
        { type: 'deny', code: [{ text: 'Problems' }, { text: 'Laboratory' }] },
        {
          type: 'deny',
          securityLabel: [{ code: 'mental-health', display: 'Mental health' }, { code: 'hiv' }],
        },
      ],
    },
  })
})

test('F12 the FHIR Consent validates against R4', () => {
  expect(faultsOf(consentToFhir(full(), { study }))).toEqual([])
  expect(faultsOf(consentToFhir(consentOf()))).toEqual([])
  expect(faultsOf({ ...consentToFhir(consentOf()), scope: undefined })).not.toEqual([])
})

test('every code of the FHIR Consent is one that its system publishes, by its name there', () => {
  const resource = consentToFhir(full(), { study })
  expect(unknownCodesIn(resource)).toEqual([])
  expect(
    unknownCodesIn({ ...resource, scope: { coding: [{ ...resource.scope.coding?.[0], code: 'x' }] } }),
  ).toHaveLength(1)
})

test('a consent comes back from FHIR as it was, whatever was agreed and typed', () => {
  const text = fc.string({ minLength: 1, unit: 'grapheme' }).filter((one) => one.trim() !== '')
  const participant = fc.stringMatching(/^[!-~]{1,40}$/)
  const classes = fc.subarray(['Patient', 'Laboratory', 'Vital Signs', 'Problems'], { minLength: 1 })
  const given = fc.record(
    {
      participant,
      signature: text,
      dataClasses: classes,
      recipients: fc.subarray(['University of Example', 'Example Trust'], { minLength: 1 }),
      givenBy: fc.record({ name: text, relationship: text }),
      language: fc.constantFrom('en', 'de-CH'),
      sharing: fc.constantFrom('once' as const, 'ongoing' as const),
      period: fc.constantFrom(
        { start: '2020-01-01' },
        { end: '2025-12-31' },
        { start: '2020-01-01', end: '2020-01-01' },
      ),
      withhold: fc.subarray(['hiv', 'violence', 'genetic']),
    },
    { requiredKeys: ['participant', 'signature'] },
  )
  fc.assert(
    fc.property(given, fc.boolean(), (one, withStudy) => {
      const consent = consentOf(one)
      const resource = stored(consentToFhir(consent, withStudy ? { study } : {}))
      const back = consentFromFhir({ ...resource, id: 'c1', meta: { versionId: '2' } }, study)
      expect(back).toEqual(documentOf(consent))
      expect(JSON.stringify(back)).toBe(JSON.stringify(documentOf(consent)))
    }),
    { numRuns: 200 },
  )
})

test('the secrets of a consent are nowhere in its FHIR form', () => {
  const consent = full()
  const text = JSON.stringify(consentToFhir(consent, { study }))
  expect(text).not.toContain(consent.withdrawalKey)
  expect(text).not.toContain(consent.sealingKey)
  expect(text).toContain(consent.withdrawalCommitment)
})

/** Every place of a JSON value that holds a text. */
function placesIn(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value === 'string') return [path]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, one]) => placesIn(one, [...path, key]))
}

test('T71 a FHIR Consent that was altered anywhere is refused', () => {
  const resource = consentToFhir(full(), { study })
  for (const path of placesIn(resource)) {
    const copy = stored(resource)
    let at: Record<string, unknown> = copy
    for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>
    const key = path.at(-1) as string
    at[key] = `${at[key]}x`
    expect(() => consentFromFhir(copy, study), path.join('.')).toThrow(
      expect.objectContaining({ code: 'SHARE_CONSENT_INVALID' }),
    )
  }
  const more = {
    ...stored(resource),
    modifierExtension: [{ url: 'https://x.example/not', valueBoolean: true }],
  }
  expect(() => consentFromFhir(more, study)).toThrow('altered')
  const wider = stored(resource) as unknown as { provision: { provision?: unknown } }
  wider.provision.provision = undefined
  expect(() => consentFromFhir(wider, study)).toThrow('altered')
})

test('a FHIR Consent for another study, another text or no longer active is refused', () => {
  const resource = consentToFhir(consentOf())
  const code = (resourceGiven: unknown, of = study): string => {
    try {
      consentFromFhir(resourceGiven, of)
      return 'none'
    } catch (error) {
      return (error as { code: string }).code
    }
  }
  expect(code(resource)).toBe('none')
  expect(code(resource, defineStudy({ ...study, id: 'other' }))).toBe('SHARE_CONSENT_INVALID')
  expect(code(resource, defineStudy({ ...study, consent: { version: '4', text: 'x' } }))).toBe(
    'SHARE_CONSENT_INVALID',
  )
  expect(code({ ...resource, status: 'inactive' })).toBe('SHARE_WITHDRAWN')
})

test('whatever a server sends for a Consent ends in a typed error', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), fc.jsonValue(), (a, b, c) => {
      for (const value of [
        a,
        { resourceType: 'Consent', extension: a, provision: b, performer: c, patient: b },
      ])
        expect(() => consentFromFhir(value, study)).toThrow(
          expect.objectContaining({ code: 'SHARE_CONSENT_INVALID' }),
        )
    }),
  )
})
