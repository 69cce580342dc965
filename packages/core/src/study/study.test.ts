import { expect, test } from 'vitest'
import { usCore } from '../plans/index.js'
import { defineStudy, type Study } from './study.js'

const good: Study = {
  id: 'sleep-2026',
  title: 'Sleep',
  purpose: 'How sleep shapes recovery',
  plan: usCore.only('Patient', 'Laboratory'),
  recipient: 'https://intake.sleep.example/inbox',
  consent: { version: '3', text: 'I agree.' },
}

test('F1 a study is what was described, and no longer changes', () => {
  const study = defineStudy({ ...good, sponsor: 'A university', contact: 'study@sleep.example' })
  expect(study).toMatchObject(good)
  expect(Object.isFrozen(study) && Object.isFrozen(study.consent)).toBe(true)
  expect(defineStudy({ ...good, recipient: 'http://127.0.0.1:5000/inbox' }).recipient).toContain('127.0.0.1')
})

test.each<[string, object, string]>([
  ['study.id', { id: '../x' }, 'CONFIG_INVALID'],
  ['study.id', { id: '' }, 'CONFIG_INVALID'],
  ['study.title', { title: ' ' }, 'CONFIG_INVALID'],
  ['study.purpose', { purpose: undefined }, 'CONFIG_INVALID'],
  ['study.consent', { consent: undefined }, 'CONFIG_INVALID'],
  ['study.consent.version', { consent: { text: 'x' } }, 'CONFIG_INVALID'],
  ['study.consent.text', { consent: { version: '1', text: '' } }, 'CONFIG_INVALID'],
  ['study.plan', { plan: {} }, 'CONFIG_INVALID'],
  ['study.contact', { contact: 5 }, 'CONFIG_INVALID'],
  ['study.recipient', { recipient: 'ftp://x' }, 'CONFIG_INVALID'],
  ['study.recipient', { recipient: 'https://user:pass@x.example' }, 'CONFIG_INVALID'],
  ['study.recipient', { recipient: 'http://intake.sleep.example' }, 'CONFIG_INSECURE_URL'],
])('F1 a study that is wrong in %s (%j) is refused by name', (path, change, code) => {
  const define = (): Study => defineStudy({ ...good, ...change } as Study)
  expect(define).toThrow(expect.objectContaining({ code, message: expect.stringContaining(`${path} `) }))
})
