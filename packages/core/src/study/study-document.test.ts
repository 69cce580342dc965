import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, expect, test } from 'vitest'
import { defineStudy, loadStudy, readStudy, s4sPilot, studyDocument, usCore } from '../index.js'

const study = defineStudy({
  id: 'sleep-2026',
  title: 'Sleep and Recovery',
  purpose: 'How sleep shapes recovery',
  plan: usCore.only('Patient', 'Laboratory'),
  recipient: 'https://intake.sleep.example/inbox',
  consent: { version: '3', text: 'I agree.' },
  sponsor: 'A university',
  irb: { name: 'Board One', id: '2026-17' },
  contact: 'study@sleep.example',
  infoUrl: 'https://sleep.example/about',
  languages: ['en', 'es-US'],
  recipients: [{ name: 'A university', role: 'analyses it' }],
  sharing: 'ongoing',
  until: '2031-12-31',
  sealTo: { kty: 'EC', crv: 'P-256', x: 'a', y: 'b' },
  receiptKeys: [{ kty: 'OKP', crv: 'Ed25519', x: 'c' }],
})
const plans = [s4sPilot, usCore]
const written = (change: object = {}): unknown => ({
  ...JSON.parse(JSON.stringify(studyDocument(study))),
  ...change,
})

let answer: () => { status?: number; body: string; location?: string } = () => ({
  body: JSON.stringify(written()),
})
let asked = 0
const server = createServer((_, response) => {
  asked++
  const { status = 200, body, location } = answer()
  response.writeHead(status, location ? { location } : {}).end(body)
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
afterAll(() => server.close())
const here = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

test('F1 a study that was published is read as it was', () => {
  const read = readStudy(written(), { plans })
  expect(read.plan.classes.map((row) => row.name)).toEqual(['Patient', 'Laboratory'])
  expect(JSON.parse(JSON.stringify(studyDocument(read)))).toEqual(written())
})

test.each<[string, object]>([
  ['study.format', { format: 's4s-study/2' }],
  ['study.untill', { untill: '2030-01-01' }],
  ['study.plan.id', { plan: { id: 'everything', dataClasses: ['Patient'] } }],
  ['study.plan.dataClasses', { plan: { id: 'us-core' } }],
  ['study.plan.dataClasses[1]', { plan: { id: 'us-core', dataClasses: ['Patient', 'Labs'] } }],
  ['study.irb.id', { irb: { name: 'Board' } }],
  ['study.infoUrl', { infoUrl: 'javascript:alert(1)' }],
  ['study.languages[0]', { languages: ['english!'] }],
  ['study.recipients[0].name', { recipients: [{ role: 'x' }] }],
  ['study.recipients', { recipients: [] }],
  ['study.sharing', { sharing: 'always' }],
  ['study.until', { until: '2031-02-30' }],
  ['study.sealTo', { sealTo: { kty: 'oct', k: 'AAAA' } }],
  ['study.sealTo', { sealTo: { kty: 'EC', crv: 'P-256', x: 'a', y: 'b', d: 'private' } }],
  ['study.receiptKeys[0]', { receiptKeys: ['key'] }],
  ['study.consent.text', { consent: { version: '1' } }],
])('F1 a published study that is wrong in %s is refused by name', (path, change) => {
  expect(() => readStudy(written(change), { plans })).toThrow(
    expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(`${path} `) }),
  )
})

test.each([[null], ['text'], [[]], [5], [JSON.parse('{"__proto__":{"format":"s4s-study/1"}}')]])(
  'F1 %j is not a study',
  (value) => {
    expect(() => readStudy(value, { plans })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  },
)

test('F1 a study is loaded from an address that the portal allows', async () => {
  const read = await loadStudy(`${here}/studies/sleep.json`, { allow: [`${here}/studies/`], plans })
  expect(read.id).toBe('sleep-2026')
})

test.each([
  '/other/sleep.json',
  '/studies/%2e%2e/other.json',
  'https://evil.example/studies/sleep.json',
  'javascript:alert(1)',
  '//user:pw@127.0.0.1/studies/',
])('T76 a study at %s is not asked for when the portal allows others only', async (path) => {
  const before = asked
  const url = path.startsWith('/') && !path.startsWith('//') ? `${here}${path}` : path
  await expect(loadStudy(url, { allow: [`${here}/studies/`], plans })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  })
  expect(asked).toBe(before)
})

test('a study that is not there, leads elsewhere or is no study is a typed error', async () => {
  const load = () => loadStudy(`${here}/studies/x`, { allow: [here], plans })
  answer = () => ({ status: 404, body: '{}' })
  await expect(load()).rejects.toMatchObject({ code: 'SHARE_UNREACHABLE', status: 404 })
  answer = () => ({ status: 302, body: '', location: 'https://evil.example/' })
  await expect(load()).rejects.toMatchObject({ code: 'SHARE_UNREACHABLE' })
  answer = () => ({ body: '<html>' })
  await expect(load()).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  answer = () => ({ body: ' '.repeat(2 * 1024 * 1024) })
  await expect(load()).rejects.toMatchObject({ code: 'SHARE_UNREACHABLE' })
})
