import { expect, test } from 'vitest'
import { desks } from './test-support/desk.js'
import { makePackage } from './test-support/make-package.js'

const open = desks()
const loinc = (code: string) => ({ coding: [{ system: 'http://loinc.org', code }] })
const weight = (id: string, value: number, day: string, more = {}) => ({
  ...{ resourceType: 'Observation', id, code: loinc('29463-7') },
  ...{ effectiveDateTime: day, valueQuantity: { value, unit: 'kg', code: 'kg' }, ...more },
})
const shot = (id: string, day: string, code = '208') => ({
  ...{ resourceType: 'Immunization', id, occurrenceDateTime: day },
  vaccineCode: { coding: [{ system: 'http://hl7.org/fhir/sid/cvx', code }] },
})
const named = (id: string, value: string) => ({
  ...{ resourceType: 'Condition', id, identifier: [{ system: 'urn:oid:1.2.3', value }] },
})

test('F19 resources that look the same at two providers are hinted at by ids and counts, and nothing else is said', async () => {
  const desk = await open()
  const made = makePackage({
    more: {
      north: [
        weight('w1', 71.5, '2026-03-01T08:00:00+02:00'),
        weight('w2', 70, '2026-03-02'),
        shot('i1', '2021-05-04'),
        named('c1', 'canary-4711'),
      ],
      south: [
        weight('x1', 71.5, '2026-03-01'),
        weight('x2', 70.5, '2026-03-02'),
        shot('j1', '2021-05-04T09:00:00Z'),
        shot('j2', '2021-05-05'),
        named('d1', 'canary-4711'),
        named('d2', 'canary-4712'),
      ],
    },
  })
  expect((await desk.deliver(made)).status).toBe(201)
  const { digest } = made
  const found = await desk.inbox.duplicates('sleep')
  const pair = (north: string, south: string) => [
    { provider: 'north', reference: north, digest },
    { provider: 'south', reference: south, digest },
  ]
  expect(found).toEqual({
    hints: [
      {
        ...{ participant: 'p-1', type: 'Condition', by: ['identifier'] },
        resources: pair('Condition/c1', 'Condition/d1'),
      },
      {
        ...{ participant: 'p-1', type: 'Immunization', by: ['content'] },
        resources: pair('Immunization/i1', 'Immunization/j1'),
      },
      {
        ...{ participant: 'p-1', type: 'Observation', by: ['content'] },
        resources: pair('Observation/w1', 'Observation/x1'),
      },
    ],
    counts: { Condition: 1, Immunization: 1, Observation: 1 },
    unread: [],
  })
  for (const said of ['71.5', '29463', '2026-03', 'canary']) expect(JSON.stringify(found)).not.toContain(said)
  // Nothing went because of it.
  expect((await desk.inbox.verify(digest)).ok).toBe(true)
  expect((await desk.inbox.packages('sleep'))[0]?.resources).toBe(13)
})

test('F19 what looks the same at one provider, or of two participants, is no duplicate', async () => {
  const desk = await open()
  const same = weight('w1', 70, '2026-03-01')
  for (const [participant, more] of [
    ['p-1', { north: [same, weight('w2', 70, '2026-03-01')] }],
    ['p-2', { south: [same] }],
  ] as const)
    await desk.deliver(makePackage({ participant, consent: { id: `consent-${participant}` }, more }))
  expect((await desk.inbox.duplicates('sleep')).hints).toEqual([])
})

test('F19 providers that came in two packages are compared too, and a record that came twice is one', async () => {
  const desk = await open()
  const north = [weight('w1', 70, '2026-03-01')]
  const first = makePackage({ more: { north } })
  const second = makePackage({ more: { north, south: [weight('x1', 70, '2026-03-01')] } })
  for (const made of [first, second]) expect((await desk.deliver(made)).status).toBe(201)
  const { hints } = await desk.inbox.duplicates('sleep')
  expect(hints).toMatchObject([
    {
      resources: [
        { provider: 'north', reference: 'Observation/w1', digest: second.digest },
        { provider: 'south', reference: 'Observation/x1' },
      ],
    },
  ])
  await desk.withdraw(first)
  expect((await desk.inbox.duplicates('sleep')).hints).toEqual([])
})

test('F19 one that shares a code with a second and an identifier with a third makes one hint of three', async () => {
  const desk = await open()
  const own = { identifier: [{ system: 'urn:lab', value: '9' }] }
  await desk.deliver(
    makePackage({
      more: {
        east: [weight('a', 70, '2026-03-01')],
        north: [weight('b', 70, '2026-03-01', own)],
        south: [{ resourceType: 'Observation', id: 'c', ...own } as never],
      },
    }),
  )
  expect((await desk.inbox.duplicates('sleep')).hints).toMatchObject([
    {
      by: ['content', 'identifier'],
      resources: [{ provider: 'east' }, { provider: 'north' }, { provider: 'south' }],
    },
  ])
})

test('F19 what a record holds in odd shapes is like nothing, and hinders nothing', async () => {
  const desk = await open()
  const odd = [
    { identifier: 'x', code: 7, effectiveDateTime: {} },
    { identifier: [null, 1, { system: 's' }], code: { coding: 'x' }, effectiveDateTime: '2026-03-01' },
    { code: { coding: [null] }, component: [null, { code: null }], effectivePeriod: [] },
    { code: { text: '   ' }, valueQuantity: { value: '70' }, effectiveDateTime: 'yesterday' },
    { ...JSON.parse('{"__proto__":{"id":"x"}}'), code: loinc('1'), effectiveDateTime: '2026-03-01' },
  ].map((one, at) => ({ resourceType: 'Observation', id: `o${at}`, ...one }))
  await desk.deliver(makePackage({ more: { north: odd, south: odd } }))
  expect(await desk.inbox.duplicates('sleep')).toMatchObject({ hints: [], unread: [] })
  expect(await desk.inbox.duplicates('heart')).toEqual({ hints: [], counts: {}, unread: [] })
})
