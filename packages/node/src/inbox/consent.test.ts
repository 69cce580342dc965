import { type ConsentRecord, seal } from '@s4s/core'
import { expect, test } from 'vitest'
import { createStudyKeys } from './index.js'
import { desks } from './test-support/desk.js'
import { type Made, makePackage } from './test-support/make-package.js'

const open = desks()
const path = 'records/01/Condition-0001.ndjson'
const other = '{"resourceType":"Condition","id":"c2"}\n'
const withIcd = '{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"B20"}],"text":"Canary"}'
const hiv = `{"resourceType":"Condition","id":"c1","code":${withIcd}}\n${other}`
const withhold = ['hiv']

test.each<[string, string]>([
  ['by its code', hiv],
  ['by its name', `{"resourceType":"Condition","id":"c1","code":{"text":"HIV positive"}}\n${other}`],
  ['by an escaped name', `{"resourceType":"Condition","code":{"text":"\\u0048IV"}}\n${other}`],
  ['in its last line', `${other}{"resourceType":"Condition","note":[{"text":"AIDS-related"}]}`],
  [
    'or nested too deep to say',
    `{"resourceType":"Condition","x":${'['.repeat(2e5)}${']'.repeat(2e5)}}\n${other}`,
  ],
])(
  'F4 F5 a package with something of a category that its consent withholds, found %s, is not taken',
  async (_, text) => {
    const desk = await open()
    const made = makePackage({ consent: { withhold }, parts: { [path]: text } })
    expect(await desk.deliver(made)).toMatchObject({ status: 422, body: { error: 'consent', part: path } })
    expect(await desk.inbox.quarantined('sleep')).toMatchObject([{ reason: 'consent-narrow', part: path }])
    expect(await desk.list('packages', 'sleep')).toEqual([])
    expect(await desk.disk()).not.toContain('Canary"}')
  },
)

test('F4 what a consent withholds keeps nothing else out, and without it the same package is taken', async () => {
  const desk = await open()
  const within = makePackage({ consent: { withhold: ['mental-health', 'genetic'] }, parts: { [path]: hiv } })
  expect((await desk.deliver(within)).status).toBe(201)
  expect(
    (await desk.deliver(makePackage({ consent: { id: 'consent-2' }, parts: { [path]: hiv } }))).status,
  ).toBe(201)
  // The name of the provider is no part of the record.
  const provenance = '{"resourceType":"Provenance","entity":[{"what":{"display":"HIV Center"}}]}\n'
  const clinic = makePackage({
    consent: { id: 'consent-3', withhold },
    parts: { 'records/01/provenance.ndjson': provenance },
  })
  expect((await desk.deliver(clinic)).status).toBe(201)
  expect((await desk.inbox.verify(clinic.digest)).ok).toBe(true)
})

test('F5 where anything is withheld no file is taken, since nobody looks into it, and the list of files is looked through', async () => {
  const desk = await open()
  const made = makePackage({ consent: { withhold }, attachment: 'a file' })
  const file = made.manifest.parts.find((part) => part.path.includes('/attachments/'))?.path
  expect(await desk.deliver(made)).toMatchObject({ status: 422, body: { error: 'consent', part: file } })
  expect(await desk.inbox.quarantined('sleep')).toMatchObject([{ reason: 'consent-narrow', part: file }])
  const index = 'records/01/attachments.ndjson'
  const listed = makePackage({
    consent: { id: 'consent-2', withhold },
    parts: { [index]: '{"source":"DocumentReference/HIV-test","status":"missing"}\n' },
  })
  expect(await desk.deliver(listed)).toMatchObject({ status: 422, body: { error: 'consent', part: index } })
})

test('F5 F18 what a consent withholds is found in a sealed package too, when the study can open it', async () => {
  const keys = await createStudyKeys()
  const desk = await open({ study: keys.inbox })
  const attempts: [Made, number][] = [
    [makePackage({ consent: { withhold }, parts: { [path]: hiv } }), 422],
    [makePackage({ consent: { id: 'consent-2', withhold }, attachment: 'a file' }), 422],
    [makePackage({ consent: { id: 'consent-3', sharing: 'forever' } }), 422],
    [makePackage({ consent: { id: 'consent-4', withhold } }), 201],
  ]
  for (const [made, status] of attempts) {
    const bytes = new TextEncoder().encode(made.bytes)
    const sealed = await seal(
      {
        digest: made.digest,
        manifest: made.manifest,
        manifestBytes: bytes,
        parts: made.manifest.parts.map((part) => ({
          ...part,
          open: () => new TextEncoder().encode(made.parts.get(part.path) ?? ''),
        })),
      },
      { to: keys.study.sealTo, consent: { sealingKey: 'k'.repeat(43) } as ConsentRecord },
    )
    const parts = new Map(
      await Promise.all(
        sealed.parts.map(
          async (part) => [part.path, Buffer.from(await part.open()).toString('latin1')] as const,
        ),
      ),
    )
    const sent = { ...made, bytes: Buffer.from(sealed.manifestBytes).toString('utf8'), parts }
    expect((await desk.deliver(sent)).status).toBe(status)
  }
})

test.each<[string, Record<string, unknown>]>([
  ['withholds a word', { withhold: 'hiv' }],
  ['withholds nothing at all', { withhold: [] }],
  ['withholds what nobody knows', { withhold: ['hiv', 'colour-of-hair'] }],
  ['withholds a number', { withhold: [7] }],
  ['shares forever', { sharing: 'forever' }],
  ['shares an object', { sharing: { once: true } }],
  ['shares null', { sharing: null }],
  ['goes to a number', { recipients: 5 }],
  ['goes to nobody', { recipients: [] }],
  ['goes to somebody without a name', { recipients: [{ role: 'sponsor' }] }],
  ['goes to somebody whose role is a number', { recipients: [{ name: 'Sleep', role: 1 }] }],
  ['covers a period that is a word', { period: 'always' }],
  ['covers a period without days', { period: {} }],
  ['covers a period of days that there are not', { period: { start: '2020-02-31' } }],
  ['covers a period that ends before it begins', { period: { start: '2020-02-01', end: '2020-01-01' } }],
  ['ends on a day that is none', { expiresAt: 'tomorrow' }],
  ['was given by a word', { givenBy: 'mother' }],
  ['was given by somebody without a name', { givenBy: { relationship: 'mother' } }],
  ['is in a language that is a number', { language: 7 }],
  ['takes the place of a number', { replaces: 7 }],
])('F5 a consent that %s is refused as soon as it arrives', async (_, consent) => {
  const desk = await open()
  expect(await desk.deliver(makePackage({ consent }))).toMatchObject({
    status: 422,
    body: { error: 'consent', part: 'consent.json' },
  })
  expect(await desk.inbox.packages('sleep')).toEqual([])
})

test('F5 a consent with everything that a consent may say is taken', async () => {
  const desk = await open()
  const consent = {
    language: 'en',
    period: { start: '2000-01-01', end: '2026-12-31' },
    withhold: ['hiv', 'gender'],
    recipients: [{ name: 'Sleep' }, { name: 'Lab', role: 'Measures' }],
    sharing: 'ongoing',
    givenBy: { name: 'Byron', relationship: 'father' },
    expiresAt: '2999-01-01T00:00:00.000Z',
    replaces: 'a'.repeat(64),
  }
  const dated = '{"resourceType":"Condition","recordedDate":"2020-01-02"}\n'
  expect((await desk.deliver(makePackage({ consent, parts: { [path]: dated + dated } }))).status).toBe(201)
})
