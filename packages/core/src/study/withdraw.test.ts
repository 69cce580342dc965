import { expect, test } from 'vitest'
import { SmartError } from '../errors.js'
import { usCore } from '../plans/index.js'
import { collect } from '../record/collect.js'
import { memoryReader } from '../record/memory-reader.js'
import { recordConsent } from './consent.js'
import type { Delivery, WithdrawalNotice } from './delivery.js'
import { expectedReceipt } from './receipt.js'
import { readShare, type Share, share } from './share.js'
import { defineStudy } from './study.js'
import { type Revocable, withdraw } from './withdraw.js'

const study = defineStudy({
  id: 'sleep',
  title: 'Sleep',
  purpose: 'Rest',
  plan: usCore.only('Patient'),
  recipient: 'https://intake.sleep.example/inbox',
  consent: { version: '3', text: 'I agree.' },
})

/** A study in memory: it keeps what it was told. */
function inMemory(change: Partial<Delivery> = {}): Delivery & { readonly notices: WithdrawalNotice[] } {
  const notices: WithdrawalNotice[] = []
  return {
    notices,
    deliver: async (pack) => ({ ...expectedReceipt(pack), id: 'r-1', receivedAt: '2026-01-01T00:00:00Z' }),
    withdraw: async (notice) => {
      notices.push(notice)
      return { id: 'w-1', digest: notice.digest, at: notice.at, deleted: notice.ask === 'delete' }
    },
    ...change,
  }
}

async function shared(deliver: Delivery = inMemory()): Promise<Share> {
  const record = await collect(memoryReader({ patient: 'p1' }), { plan: study.plan })
  const consent = recordConsent(study, { participant: 'p-1', signature: 'Ada' })
  return share([record], { study, consent, deliver })
}

const provider = { id: 'mercy', name: 'Mercy' }
type Revocation = Awaited<ReturnType<Revocable['revoke']>>
const connection = (answer: Revocation | Error): Revocable => ({
  provider,
  revoke: async () => {
    if (answer instanceof Error) throw answer
    return answer
  },
})
const revoked = connection({ server: 'revoked', local: 'wiped' })

test('F17 withdrawing ends access, tells the study, and forgets what is here', async () => {
  const deliver = inMemory()
  const one = await shared(deliver)
  const record = await collect(memoryReader({ patient: 'p1' }), { plan: study.plan })
  const result = await withdraw(one, { deliver, connections: [revoked], records: [record] })
  expect(result).toEqual({
    access: [{ provider, server: 'revoked' }],
    study: {
      status: 'acknowledged',
      deleted: true,
      receipt: expect.objectContaining({ deleted: true }),
      shares: [
        {
          digest: one.digest,
          status: 'acknowledged',
          deleted: true,
          receipt: expect.objectContaining({ deleted: true }),
        },
      ],
    },
    local: { status: 'wiped' },
    complete: true,
  })
  expect(record.count()).toBe(0)
  expect(deliver.notices).toEqual([
    {
      format: 's4s-withdrawal/1',
      study: 'sleep',
      participant: 'p-1',
      digest: one.digest,
      consent: one.consent.id,
      ask: 'delete',
      at: expect.any(String),
      key: one.consent.withdrawalKey,
    },
  ])
})

test('a participant may ask the study only to stop', async () => {
  const deliver = inMemory()
  const result = await withdraw(await shared(), { deliver, ask: 'stop' })
  expect(result).toMatchObject({ study: { status: 'acknowledged', deleted: false }, complete: true })
  expect(deliver.notices[0]?.ask).toBe('stop')
})

test.each<[string, Revocable, object]>([
  [
    'the server offers no revocation',
    connection({ server: 'not-offered', local: 'wiped', manageUrl: 'https://mercy.example/apps' }),
    { server: 'not-offered', manageUrl: 'https://mercy.example/apps' },
  ],
  ['the server fails', connection({ server: 'failed', local: 'wiped' }), { server: 'failed' }],
  ['revoking throws', connection(new SmartError('CONFIG_STORAGE_FAILED', 'x')), { server: 'failed' }],
])('T72 when %s, that is said and the rest is done', async (_, broken, access) => {
  const deliver = inMemory()
  const result = await withdraw(await shared(), { deliver, connections: [broken, revoked] })
  expect(result.access).toEqual([
    { provider, ...access },
    { provider, server: 'revoked' },
  ])
  expect(result.study.status).toBe('acknowledged')
  expect(result.complete).toBe(false)
})

test('what could not be wiped here is said', async () => {
  const deliver = inMemory()
  const one = await shared()
  const stuck = connection({ server: 'revoked', local: 'failed' })
  expect(await withdraw(one, { deliver, connections: [stuck] })).toMatchObject({
    local: { status: 'failed' },
    complete: false,
  })
  const record = {
    wipe: () => {
      throw new Error('x')
    },
  }
  expect((await withdraw(one, { deliver, records: [record] })).local.status).toBe('failed')
})

test.each<[string, Delivery['withdraw'], string]>([
  ['refuses', () => Promise.reject(new SmartError('SHARE_KEY_REFUSED', 'x')), 'SHARE_KEY_REFUSED'],
  ['breaks', () => Promise.reject(new Error('x')), 'SHARE_UNREACHABLE'],
  ['answers nonsense', () => Promise.resolve(null as never), 'SHARE_RECEIPT_INVALID'],
  [
    'answers for another package',
    async () => ({ id: 'w', digest: 'other', at: 'now', deleted: true }),
    'SHARE_RECEIPT_INVALID',
  ],
])('T72 when the study %s, that is a row, and access is ended nevertheless', async (_, answer, error) => {
  const deliver = inMemory({ withdraw: answer })
  const result = await withdraw(await shared(), { deliver, connections: [revoked] })
  expect(result).toMatchObject({
    access: [{ server: 'revoked' }],
    study: { status: 'failed', deleted: false, error },
    complete: false,
  })
})

test('a study that acknowledges but keeps what was to be deleted leaves the withdrawal incomplete', async () => {
  const deliver = inMemory({
    withdraw: async ({ digest, at }) => ({ id: 'w', digest, at, deleted: false }),
  })
  expect(await withdraw(await shared(), { deliver })).toMatchObject({
    study: { status: 'acknowledged', deleted: false },
    complete: false,
  })
})

test('F68 an abort settles the withdrawal and says what is left to do', async () => {
  const controller = new AbortController()
  const deliver = inMemory({
    withdraw: () => {
      controller.abort()
      return new Promise(() => {})
    },
  })
  const hanging: Revocable = { provider, revoke: () => new Promise(() => {}) }
  const result = await withdraw(await shared(), {
    deliver,
    connections: [hanging],
    signal: controller.signal,
  })
  expect(result).toMatchObject({
    access: [{ server: 'failed' }],
    study: { status: 'failed' },
    complete: false,
  })
})

test('wrong arguments are TypeErrors', async () => {
  const one = await shared()
  await expect(withdraw(one, {} as never)).rejects.toThrow(TypeError)
  await expect(withdraw(one, { deliver: inMemory(), ask: 'forget' as never })).rejects.toThrow(TypeError)
  await expect(withdraw({} as never, { deliver: inMemory() })).rejects.toThrow(TypeError)
})

test('a share comes back from storage as it went', async () => {
  const one = await shared()
  const stored: unknown = JSON.parse(JSON.stringify(one))
  expect(readShare(stored)).toEqual(one)
  const deliver = inMemory()
  expect((await withdraw(readShare(stored), { deliver })).complete).toBe(true)
})

test('T71 the consent of a stored share does not serve to share again', async () => {
  const one = readShare(JSON.parse(JSON.stringify(await shared())))
  const record = await collect(memoryReader({ patient: 'p1' }), { plan: study.plan })
  const again = share([record], { study, consent: one.consent, deliver: inMemory() })
  await expect(again).rejects.toEqual(expect.objectContaining({ code: 'SHARE_CONSENT_INVALID' }))
})

test('a damaged share is refused', async () => {
  const stored = JSON.parse(JSON.stringify(await shared())) as Record<string, unknown>
  const changes: object[] = [
    { digest: 'x' },
    { id: 'f'.repeat(64) },
    { participant: 'p-2' },
    { study: { id: 'other', title: 'Other' } },
    { receipt: null },
    { withheld: [{}] },
    { consent: { ...(stored.consent as object), participant: 'p-2' } },
  ]
  for (const change of changes) {
    expect(() => readShare({ ...stored, ...change })).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^SHARE_(RECEIPT|CONSENT)_INVALID$/) }),
    )
  }
  for (const nothing of [null, undefined, 5, [], 'x']) expect(() => readShare(nothing)).toThrow(SmartError)
})

test('a delivery of the study’s own that fails is SHARE_UNREACHABLE; what it says is checked', async () => {
  const failing = inMemory({ deliver: () => Promise.reject(new Error('disk')) })
  await expect(shared(failing)).rejects.toEqual(expect.objectContaining({ code: 'SHARE_UNREACHABLE' }))
  const lying = inMemory({ deliver: async () => ({ digest: 'x' }) as never })
  await expect(shared(lying)).rejects.toEqual(expect.objectContaining({ code: 'SHARE_RECEIPT_INVALID' }))
})

test('a share without a delivery is a TypeError', async () => {
  await expect(shared({} as never)).rejects.toThrow(TypeError)
})
