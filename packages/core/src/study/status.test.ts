import { expect, test } from 'vitest'
import { SmartError } from '../errors.js'
import type { Resource } from '../fhir/types.js'
import { usCore } from '../plans/index.js'
import { collect } from '../record/collect.js'
import { memoryReader, pageOf } from '../record/memory-reader.js'
import type { PatientRecord } from '../record/record.js'
import { memoryStore, processLock } from '../testing/index.js'
import { recordConsent } from './consent.js'
import type { Delivery } from './delivery.js'
import { createOutbox } from './outbox.js'
import { expectedReceipt } from './receipt.js'
import { readShare, type Share, share } from './share.js'
import { type ConnectionState, type StatusOptions, statusOf } from './status.js'
import { defineStudy, type Study } from './study.js'
import { type Withdrawal, withdraw } from './withdraw.js'

const plan = usCore.only('Patient', 'Problems', 'Goals')
const study = defineStudy({
  id: 'sleep',
  title: 'Sleep',
  purpose: 'Rest',
  plan,
  recipient: 'https://intake.sleep.example/inbox',
  contact: 'team@sleep.example',
  consent: { version: '3', text: 'I agree.' },
  recipients: [{ name: 'Sleep Institute' }],
})
const now = new Date(Date.UTC(2026, 5, 1, 12))
const days = (count: number): Date => new Date(now.getTime() + count * 86_400_000)
const platform = {
  crypto: globalThis.crypto,
  clock: { now: () => now.getTime(), sleep: async () => {} },
}

const receives: Delivery = {
  deliver: async (pack) => ({ ...expectedReceipt(pack), id: 'r-1', receivedAt: now.toISOString() }),
  withdraw: async ({ digest, ask }) => ({
    id: 'w-1',
    digest,
    at: '2026-06-02T00:00:00Z',
    deleted: ask === 'delete',
  }),
}
const away: Delivery = {
  ...receives,
  withdraw: () => Promise.reject(new SmartError('SHARE_UNREACHABLE', 'x')),
}
const refusing: Delivery = {
  ...receives,
  withdraw: () => Promise.reject(new SmartError('SHARE_REFUSED', 'x', { reason: 'not-found' })),
}

const mercy = { id: 'mercy', name: 'Mercy Hospital' }
const condition = (id: string) => ({ resourceType: 'Condition', id }) as Resource
const recordOf = (): Promise<PatientRecord> =>
  collect(
    memoryReader({
      patient: 'p1',
      id: 'mercy-1',
      provider: { ...mercy, iss: 'https://mercy.example/r4' },
      search: (type) => [pageOf(type === 'Condition' ? [condition('a'), condition('b')] : [])],
    }),
    { plan },
  )

async function shared(expiresAt?: Date, of: Study = study): Promise<Share> {
  const consent = recordConsent(of, {
    participant: 'p-1',
    signature: 'Ada',
    dataClasses: ['Patient', 'Problems'],
    platform,
    ...(expiresAt ? { expiresAt } : {}),
  })
  return share([await recordOf()], { study: of, consent, deliver: receives, platform })
}

const connection = (change: Partial<ConnectionState> = {}): ConnectionState => ({
  id: 'mercy-1',
  provider: mercy,
  status: 'active',
  access: 'ongoing',
  accessReason: 'refresh-token',
  connectedAt: days(-40),
  manageUrl: 'https://mercy.example/apps',
  ...change,
})
const status = (options: Partial<StatusOptions> = {}) =>
  statusOf({ study, connections: [], shares: [], now, ...options })

test('F18 a status says what went where, when, from whom, how many of what, and until when', async () => {
  const one = await shared(days(400))
  // As it comes back from storage.
  const stored = readShare(JSON.parse(JSON.stringify(one)))
  const { shares, attention } = status({ shares: [stored] })
  expect(shares).toEqual([
    {
      digest: one.digest,
      receipt: 'r-1',
      sharedAt: now,
      recipients: ['Sleep Institute'],
      until: days(400),
      from: [
        {
          provider: mercy,
          collectedAt: expect.any(Date),
          classes: [
            { dataClass: 'Patient', says: expect.stringMatching(/\w+/), count: 1 },
            { dataClass: 'Problems', says: expect.stringMatching(/\w+/), count: 2 },
          ],
        },
      ],
      resources: 3,
      state: 'shared',
      sentence: '3 entries went to Sleep on 1 June 2026.',
      attention: [],
    },
  ])
  expect(attention).toEqual([])
})

test('F18 a provider’s row says since when, until when, what was collected last and how it went', async () => {
  const record = await recordOf()
  const { providers, attention } = status({ connections: [connection()], records: [record] })
  expect(providers).toMatchObject([
    {
      provider: mercy,
      connection: 'mercy-1',
      state: 'active',
      since: days(-40),
      lastCollected: record.collectedAt,
      duration: 'Access to Mercy Hospital lasts until it is ended, here or at Mercy Hospital.',
    },
  ])
  expect(providers[0]?.until).toBeUndefined()
  expect(providers[0]?.classes.map(({ dataClass, status: came }) => [dataClass, came])).toEqual([
    ['Patient', 'received'],
    ['Problems', 'received'],
    ['Goals', 'none'],
  ])
  expect(attention).toEqual([])
  // An app that keeps no records still knows when it last shared.
  const one = await shared()
  const [row] = status({ connections: [connection()], shares: [one] }).providers
  expect(row?.lastCollected?.toISOString()).toBe(one.sources?.[0]?.collectedAt)
})

test.each<[string, Partial<ConnectionState>, Partial<StatusOptions>, string[]]>([
  ['that works needs nothing', {}, {}, []],
  ['that has ended needs a sign-in', { status: 'ended' }, {}, ['reconnect']],
  [
    'that gave less than was asked for needs one when it is over',
    { status: 'expired', access: 'once', accessReason: 'public-client' },
    {},
    ['reconnect'],
  ],
  [
    'that was asked for once has done its part',
    { status: 'expired', access: 'once', accessReason: 'not-requested', expiresAt: days(-1) },
    {},
    [],
  ],
  ['whose approval ends in ten days says so', {}, { approvedUntil: () => days(10) }, ['approval-ends-soon']],
  ['whose approval ends in a year needs nothing', {}, { approvedUntil: () => days(365) }, []],
  ['whose approval is over needs a sign-in', {}, { approvedUntil: () => days(-1) }, ['reconnect']],
  ['for which ten days are not soon', {}, { approvedUntil: () => days(10), soonDays: 5 }, []],
])('F16 a connection %s', (_, change, options, kinds) => {
  const { providers, attention } = status({ connections: [connection(change)], ...options })
  expect(providers[0]?.attention.map(({ kind }) => kind)).toEqual(kinds)
  expect(attention).toEqual(providers[0]?.attention)
  for (const { sentence } of attention) expect(sentence).toContain('Mercy Hospital')
})

test('F16 one-time access says until when', () => {
  const once = connection({ access: 'once', accessReason: 'not-requested', expiresAt: days(1) })
  expect(status({ connections: [once] }).providers[0]).toMatchObject({ until: days(1), attention: [] })
  expect(status({ connections: [connection()], approvedUntil: () => days(90) }).providers[0]?.until).toEqual(
    days(90),
  )
})

test.each([
  [10, 'consent-ends-soon', 'Your consent to Sleep ends on 21 June 2026.'],
  [-1, 'consent-ended', 'Your consent to Sleep ended on 21 June 2026; nothing more is shared.'],
])('F16 a consent that ends in %i days', async (count, kind, sentence) => {
  const one = await shared(days(20))
  expect(status({ shares: [one], now: days(20 - count) }).attention).toEqual([{ kind, sentence }])
  expect(status({ shares: [one], soonDays: 5 }).attention).toEqual([])
})

test.each<[string, Delivery, 'stop' | 'delete', string, string, string[]]>([
  [
    'that the study has not heard of',
    away,
    'delete',
    'withdrawing',
    'has not answered',
    ['withdrawal-not-heard'],
  ],
  ['that the study refuses', refusing, 'delete', 'refused', 'did not accept', ['withdrawal-refused']],
  [
    'after which the study takes no more',
    receives,
    'stop',
    'stopped',
    'takes nothing more since 2 June 2026',
    [],
  ],
  ['after which the study has removed it', receives, 'delete', 'deleted', 'removed it on 2 June 2026', []],
])('F17 F18 a withdrawal %s', async (_, deliver, ask, state, words, kinds) => {
  const outbox = createOutbox({ store: memoryStore(), lock: processLock() })
  const one = await shared(days(5))
  const withdrawal = await withdraw(one, { deliver, ask, outbox })
  const told: Partial<StatusOptions>[] = [{ outbox: await outbox.entries() }]
  // Without an outbox, what the app kept of the withdrawal says the same, but for a refusal, which may pass.
  if (state !== 'refused') told.push({ withdrawals: [withdrawal] })
  for (const more of told) {
    const { shares, attention } = status({ shares: [one], ...more })
    expect(shares[0]).toMatchObject({ state, sentence: expect.stringContaining(words) })
    expect(attention.map(({ kind }) => kind)).toEqual(kinds)
  }
})

test('F18 the outbox, which goes on, has the last word; another package of the consent is stopped', async () => {
  const outbox = createOutbox({ store: memoryStore(), lock: processLock() })
  const one = await shared()
  const other = { ...one, digest: 'f'.repeat(64) }
  const withdrawal = await withdraw(one, { deliver: away, outbox })
  await outbox.flush(() => receives)
  const { shares } = status({
    shares: [one, other],
    withdrawals: [withdrawal],
    outbox: await outbox.entries(),
  })
  expect(shares.map(({ state }) => state)).toEqual(['deleted', 'stopped'])
})

test('F16 providers that were not told that access is to end are there until they are', () => {
  const ended = (server: Withdrawal['access'][number]['server'], manageUrl?: string): Withdrawal => ({
    access: [{ provider: mercy, server, ...(manageUrl === undefined ? {} : { manageUrl }) }],
    study: { status: 'acknowledged', deleted: true, shares: [] },
    local: { status: 'wiped' },
    complete: false,
  })
  const url = 'https://mercy.example/apps'
  const kinds = (options: Partial<StatusOptions>): unknown => status(options).attention
  expect(kinds({ withdrawals: [ended('queued', url)] })).toMatchObject([{ kind: 'revocation-queued', url }])
  expect(kinds({ withdrawals: [ended('not-offered', url)] })).toMatchObject([
    { kind: 'end-at-provider', url },
  ])
  expect(kinds({ withdrawals: [ended('failed')] })).toMatchObject([
    { sentence: expect.stringContaining('patient portal') },
  ])
  const queued = { withdrawals: [ended('queued')] }
  expect(kinds({ ...queued, revocations: [{ provider: 'mercy', server: 'queued' }] })).toMatchObject([
    { kind: 'revocation-queued' },
  ])
  expect(kinds({ ...queued, revocations: [{ provider: 'mercy', server: 'failed' }] })).toMatchObject([
    { kind: 'end-at-provider' },
  ])
  expect(kinds({ ...queued, revocations: [] })).toEqual([])
  expect(status({ withdrawals: [ended('revoked')] }).providers).toMatchObject([{ state: 'disconnected' }])
  // Connected anew, the provider is there once.
  expect(
    status({ withdrawals: [ended('revoked')], connections: [connection()] }).providers.map(
      ({ state }) => state,
    ),
  ).toEqual(['active'])
})

test('shares with other studies are passed over; what is stored without sources is told without them', async () => {
  const one = await shared()
  const { sources: _sources, ...old } = one
  const { shares } = status({ shares: [{ ...one, study: { id: 'other', title: 'Other' } }, old] })
  expect(shares).toMatchObject([{ from: [], resources: 3 }])
  for (const sources of [null, [{}], [{ counts: [{}] }], 'x'])
    expect(() => readShare({ ...JSON.parse(JSON.stringify(one)), sources })).toThrow(SmartError)
  expect(() => status({ now: new Date(Number.NaN) })).toThrow(TypeError)
})
