import { createHash } from 'node:crypto'
import { Window } from 'happy-dom'
import { expect, test } from 'vitest'
import { ambientClock, ambientCrypto } from '../ambient.js'
import { usCore } from '../plans/index.js'
import { recordConsent } from './consent.js'
import { consentPage } from './consent-page.js'
import { defineStudy } from './study.js'

const attack = `<script>alert(1)</script>"'><img src=x onerror=alert(1)>&amp;`
const platform = { crypto: ambientCrypto, clock: { ...ambientClock, now: () => Date.UTC(2026, 0, 1, 9, 30) } }
const studyWith = (hostile: string) =>
  defineStudy({
    id: 'sleep',
    title: `Sleep${hostile}`,
    purpose: `Rest${hostile}`,
    plan: usCore.only('Patient', 'Laboratory'),
    recipient: 'https://intake.sleep.example/inbox',
    consent: { version: `3${hostile}`, text: `I agree.\n${hostile}` },
    sponsor: `University of Example${hostile}`,
    irb: { name: `Example IRB${hostile}`, id: '2026-17' },
    contact: 'help@sleep.example',
    infoUrl: 'https://sleep.example/about',
    recipients: [{ name: `Example Lab${hostile}`, role: `analyses it${hostile}` }],
    sharing: 'ongoing',
    until: '2027-12-31',
  })
const consentTo = (study: ReturnType<typeof studyWith>, hostile = '') =>
  recordConsent(study, {
    participant: `p-1${hostile}`,
    signature: `Ada${hostile}`,
    dataClasses: ['Laboratory'],
    givenBy: { name: `Bea${hostile}`, relationship: `mother${hostile}` },
    platform,
  })
const read = (html: string) => {
  const window = new Window({ settings: { disableJavaScriptEvaluation: true } })
  window.document.write(html)
  return window.document
}

test('a board finds in the page of a consent who agreed, to what, for whom and until when', () => {
  const study = studyWith('')
  const consent = consentTo(study)
  const page = read(consentPage(consent, { study }))
  const text = page.querySelector('main')?.textContent ?? ''
  for (const found of [
    ...['Sleep', 'Rest', 'University of Example', 'Example IRB', '2026-17', 'help@sleep.example'],
    ...[
      'p-1',
      'Ada',
      'Bea',
      'mother',
      '2026-01-01 09:30 UTC',
      '2027-12-31 23:59 UTC',
      'also what is new later',
    ],
    ...['Example Lab', 'analyses it', 'I agree.', consent.id, consent.digest, consent.withdrawalCommitment],
  ])
    expect(text).toContain(found)
  const lists = [...page.querySelectorAll('section')].map((one) => [
    one.querySelector('h2')?.textContent,
    [...one.querySelectorAll('li')].map((item) => item.textContent),
  ])
  expect(lists).toContainEqual(['What is shared', ['Laboratory']])
  expect(lists).toContainEqual(['What is not shared', ['Patient']])
  expect(text).not.toContain(consent.withdrawalKey)
  expect(text).not.toContain(consent.sealingKey)
})

test('T54 nothing that a study or a participant wrote becomes markup', () => {
  const study = studyWith(attack)
  const html = consentPage(consentTo(study, attack), { study, words: { title: attack, shared: attack } })
  const page = read(html)
  expect(html).not.toMatch(/<(script|img)/i)
  expect(page.querySelectorAll('script, img, iframe, a, form, link')).toHaveLength(0)
  expect(
    [...page.querySelectorAll('*')]
      .flatMap((one) => one.getAttributeNames())
      .filter((name) => /^on|src/.test(name)),
  ).toEqual([])
  expect(page.querySelector('blockquote')?.textContent).toBe(`I agree.\n${attack}`)
  expect(page.querySelector('h1')?.textContent).toBe(attack)
})

test('the page loads and runs nothing, and its own style is the only one let in', () => {
  const html = consentPage(consentTo(studyWith('')))
  const style = /<style>([\s\S]*)<\/style>/.exec(html)?.[1] ?? ''
  const hash = createHash('sha256').update(style).digest('base64')
  const csp = read(html).querySelector('meta[http-equiv="Content-Security-Policy"]')?.getAttribute('content')
  expect(csp).toBe(`default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`)
  expect(style).toContain('@media print')
})

test('the page is in the participant’s language, and the text in the one it was read in', () => {
  const study = defineStudy({ ...studyWith(''), languages: ['de'] })
  const consent = recordConsent(study, { participant: 'p', signature: 'Ada', language: 'de', platform })
  const page = read(consentPage(consent, { language: 'ar', words: { title: 'موافقة' } }))
  expect(page.documentElement.getAttribute('lang')).toBe('ar')
  expect(page.documentElement.getAttribute('dir')).toBe('rtl')
  expect(page.querySelector('h1')?.textContent).toBe('موافقة')
  expect(page.querySelector('blockquote')?.getAttribute('lang')).toBe('de')
  expect(() => consentPage(consent, { language: 'en" onload="x' })).toThrow(TypeError)
})

test('the same consent gives the same page', () => {
  const study = studyWith('')
  const consent = consentTo(study)
  expect(consentPage(consent, { study })).toBe(consentPage(consent, { study }))
})

test('F5 the page says from when, and what was kept back, in words', () => {
  const study = studyWith('')
  const consent = recordConsent(study, {
    participant: 'p-1',
    signature: 'Ada',
    period: { start: '2021-06-01' },
    withhold: ['violence'],
    platform,
  })
  const text = read(consentPage(consent, { study })).body.textContent
  expect(text).toContain('Only what is datedfrom 2021-06-01')
  expect(text).toContain('Nothing aboutViolence and abuse')
})
