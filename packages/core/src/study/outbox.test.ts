import { expect, test } from 'vitest'
import { seeded } from '../../test-support/seeded.js'
import { ambientClock, ambientCrypto } from '../ambient.js'
import { SmartError } from '../errors.js'
import { usCore } from '../plans/index.js'
import type { Fetch, Platform } from '../ports.js'
import { collect } from '../record/collect.js'
import { memoryReader } from '../record/memory-reader.js'
import { memoryStore, processLock } from '../testing/index.js'
import { sha256 } from '../util/bytes.js'
import { type ConsentRecord, recordConsent } from './consent.js'
import { type Delivery, httpDelivery, type WithdrawalNotice } from './delivery.js'
import { createOutbox, type Outbox } from './outbox.js'
import { expectedReceipt } from './receipt.js'
import { type Share, share } from './share.js'
import { defineStudy } from './study.js'
import { withdraw } from './withdraw.js'

const url = 'https://intake.sleep.example/inbox'
const study = defineStudy({
  id: 'sleep',
  title: 'Sleep',
  purpose: 'Rest',
  plan: usCore.only('Patient'),
  recipient: url,
  consent: { version: '3', text: 'I agree.' },
})

const receives: Delivery = {
  deliver: async (pack) => ({ ...expectedReceipt(pack), id: 'r-1', receivedAt: '2026-01-01T00:00:00Z' }),
  withdraw: async ({ digest, at, ask }) => ({ id: 'w-1', digest, at, deleted: ask === 'delete' }),
}
const refuses = (error: unknown): Delivery => ({ ...receives, withdraw: () => Promise.reject(error) })
const away = refuses(new SmartError('SHARE_UNREACHABLE', 'x'))

const consentOf = (participant = 'p-1'): ConsentRecord =>
  recordConsent(study, { participant, signature: 'Ada' })

async function shared(patient = 'p1', consent = consentOf()): Promise<Share> {
  const record = await collect(memoryReader({ patient }), { plan: study.plan })
  return share([record], { study, consent, deliver: receives })
}

const world = (): Pick<Platform, 'store' | 'lock'> => ({ store: memoryStore(), lock: processLock() })

test('F17 T72 a study that cannot be told is told later, once', async () => {
  const platform = world()
  const one = await shared()
  const first = await withdraw(one, { deliver: away, outbox: createOutbox(platform) })
  expect(first).toMatchObject({
    study: { status: 'queued', deleted: false, error: 'SHARE_UNREACHABLE' },
    complete: false,
  })
  // As after a restart.
  const outbox = createOutbox(platform)
  expect(await outbox.pending()).toMatchObject([
    { state: 'queued', study: 'sleep', digest: one.digest, tries: 1 },
  ])
  const heard: WithdrawalNotice[] = []
  const deliver: Delivery = {
    ...receives,
    withdraw: async (notice) => {
      heard.push(notice)
      return receives.withdraw(notice)
    },
  }
  const flushed = await outbox.flush(({ study: id }) => (id === 'sleep' ? deliver : undefined))
  expect(flushed).toMatchObject([{ state: 'acknowledged', receipt: { deleted: true } }])
  expect(heard).toMatchObject([{ key: one.consent.withdrawalKey, digest: one.digest, ask: 'delete' }])
  expect([await outbox.pending(), await outbox.flush(() => deliver)]).toEqual([[], []])
  // Said again, it is known to be done.
  expect(await withdraw(one, { deliver, outbox })).toMatchObject({
    study: { status: 'acknowledged', deleted: true },
    complete: true,
  })
  expect(heard.length).toBe(1)
})

test('T51 what is kept of a notice holds its key only until the study has heard, and is shown to nobody', async () => {
  const platform = world()
  const outbox = createOutbox(platform)
  const one = await shared()
  await withdraw(one, { deliver: away, outbox })
  const stored = async (): Promise<string> => {
    const values = (await platform.store.keys('outbox/')).map((key) => platform.store.get(key))
    return (await Promise.all(values)).join()
  }
  expect(await stored()).toContain(one.consent.withdrawalKey)
  expect(JSON.stringify(await outbox.pending())).not.toContain(one.consent.withdrawalKey)
  await outbox.flush(() => receives)
  expect(await stored()).not.toContain(one.consent.withdrawalKey)
})

test('T71 nothing is shared under a consent that was withdrawn, whether or not the study has heard', async () => {
  const outbox = createOutbox(world())
  const [consent, other] = [consentOf(), consentOf()]
  const one = await shared('p1', consent)
  const record = await collect(memoryReader({ patient: 'p1' }), { plan: study.plan })
  for (const [ask, deliver] of [
    ['stop', away],
    ['delete', receives],
  ] as const) {
    await withdraw(one, { deliver, outbox, ask })
    const again = share([record], { study, consent, deliver: receives, outbox })
    await expect(again).rejects.toMatchObject({ code: 'SHARE_WITHDRAWN' })
  }
  expect(await outbox.isWithdrawn(other.id)).toBe(false)
  await share([record], { study, consent: other, deliver: receives, outbox })
})

test('T71 a withdrawal in another tab stops a sharing that is being packed', async () => {
  const platform = world()
  const consent = consentOf()
  const one = await shared('p1', consent)
  const record = await collect(memoryReader({ patient: 'p2' }), { plan: study.plan })
  let asked = 0
  const outbox: Pick<Outbox, 'isWithdrawn'> = {
    isWithdrawn: async (id) => {
      if (asked++ === 1) await withdraw(one, { deliver: away, outbox: createOutbox(platform) })
      return createOutbox(platform).isWithdrawn(id)
    },
  }
  const late = share([record], { study, consent, deliver: receives, outbox })
  await expect(late).rejects.toMatchObject({ code: 'SHARE_WITHDRAWN' })
})

test.each([
  ['knows no such package', 404, 'unknown'],
  ['does not accept the key', 403, 'withdrawal-key'],
])(
  'a study that %s refuses for good: reported, kept until dismissed, and not sent again',
  async (_, status, error) => {
    let requests = 0
    const fetch: Fetch = async () => {
      requests++
      return Response.json({ error }, { status })
    }
    const deliver = httpDelivery({
      url,
      key: 'k',
      platform: { fetch, crypto: ambientCrypto, clock: hurried },
    })
    const outbox = createOutbox(world())
    const one = await shared()
    expect((await withdraw(one, { deliver, outbox })).study).toMatchObject({
      status: 'failed',
      error: 'SHARE_REFUSED',
    })
    expect(await outbox.flush(() => deliver)).toEqual([])
    expect(requests).toBe(1)
    const [refused] = await outbox.pending()
    expect(refused).toMatchObject({ state: 'refused', error: 'SHARE_REFUSED' })
    await outbox.dismiss(refused?.id ?? '')
    expect(await outbox.pending()).toEqual([])
    expect(await outbox.isWithdrawn(one.consent.id)).toBe(true)
  },
)

test.each([
  [new SmartError('SHARE_KEY_REFUSED', 'x'), 'SHARE_KEY_REFUSED'],
  [new SmartError('SHARE_REFUSED', 'x', { status: 404 }), 'SHARE_REFUSED'],
  [new Error('x'), 'SHARE_UNREACHABLE'],
])(
  'T72 what a log-in page or a wrong study key answers leaves the notice queued: %s',
  async (error, code) => {
    const outbox = createOutbox(world())
    await withdraw(await shared(), { deliver: refuses(error), outbox })
    expect(await outbox.pending()).toMatchObject([{ state: 'queued', error: code }])
    expect(await outbox.flush(() => receives)).toMatchObject([{ state: 'acknowledged' }])
  },
)

test('an answer that is for another notice is no acknowledgement', async () => {
  const outbox = createOutbox(world())
  const deliver: Delivery = {
    ...receives,
    withdraw: async ({ at }) => ({ id: 'w', digest: 'x', at, deleted: true }),
  }
  await withdraw(await shared(), { deliver, outbox })
  expect(await outbox.pending()).toMatchObject([{ state: 'queued', error: 'SHARE_RECEIPT_INVALID' }])
})

test('asking to delete after asking to stop is sent; asking to stop afterwards takes nothing back', async () => {
  const outbox = createOutbox(world())
  const one = await shared()
  const asked: string[] = []
  const deliver: Delivery = {
    ...receives,
    withdraw: async (notice) => {
      asked.push(notice.ask)
      return receives.withdraw(notice)
    },
  }
  await withdraw(one, { deliver: away, outbox, ask: 'stop' })
  await withdraw(one, { deliver: away, outbox, ask: 'delete' })
  await withdraw(one, { deliver: away, outbox, ask: 'stop' })
  await outbox.flush(() => deliver)
  expect(await withdraw(one, { deliver, outbox, ask: 'stop' })).toMatchObject({ study: { deleted: true } })
  expect(asked).toEqual(['delete'])
})

test('asking to delete while the wish to stop is on its way is not lost behind its answer', async () => {
  const outbox = createOutbox(world())
  const one = await shared()
  let answer = (): void => {}
  const held = new Promise<void>((resolve) => {
    answer = resolve
  })
  const asked: string[] = []
  const deliver: Delivery = {
    ...receives,
    withdraw: async (notice) => {
      asked.push(notice.ask)
      if (notice.ask === 'stop') await held
      return receives.withdraw(notice)
    },
  }
  const stop = withdraw(one, { deliver, outbox, ask: 'stop' })
  await expect.poll(() => asked).toEqual(['stop'])
  const remove = withdraw(one, { deliver, outbox, ask: 'delete' })
  await expect.poll(async () => (await outbox.pending())[0]?.ask).toBe('delete')
  answer()
  await stop
  expect((await remove).study).toMatchObject({ status: 'acknowledged', deleted: true })
  expect(asked).toEqual(['stop', 'delete'])
})

test('F17 several packages of one consent are withdrawn together, each with its answer', async () => {
  const outbox = createOutbox(world())
  const consent = consentOf()
  const shares = [await shared('p1', consent), await shared('p2', consent)]
  const [first, second] = shares as [Share, Share]
  const deliver: Delivery = {
    ...receives,
    withdraw: (notice) => (notice.digest === second.digest ? away : receives).withdraw(notice),
  }
  const result = await withdraw([...shares, first], { deliver, outbox })
  expect(result.study).toMatchObject({
    status: 'queued',
    deleted: false,
    error: 'SHARE_UNREACHABLE',
    shares: [
      { digest: first.digest, status: 'acknowledged', deleted: true },
      { digest: second.digest, status: 'queued', deleted: false },
    ],
  })
  expect(await outbox.flush(() => receives)).toMatchObject([{ digest: second.digest, state: 'acknowledged' }])
  expect((await withdraw(shares, { deliver: receives })).complete).toBe(true)
})

test('shares of several participants, and none, are TypeErrors', async () => {
  const shares = [await shared(), await shared('p1', consentOf('p-2'))]
  await expect(withdraw(shares, { deliver: receives })).rejects.toThrow(TypeError)
  await expect(withdraw([], { deliver: receives })).rejects.toThrow(TypeError)
})

test('a store that keeps nothing keeps nobody from withdrawing now', async () => {
  const store = { ...memoryStore(), set: () => Promise.reject(new Error('disk')) }
  const outbox = createOutbox({ store, lock: processLock() })
  const one = await shared()
  expect((await withdraw(one, { deliver: receives, outbox })).complete).toBe(true)
  expect((await withdraw(one, { deliver: away, outbox })).study).toMatchObject({
    status: 'failed',
    error: 'SHARE_UNREACHABLE',
  })
})

test('F68 an abort leaves the notice queued', async () => {
  const outbox = createOutbox(world())
  const stop = new AbortController()
  const deliver: Delivery = { ...receives, withdraw: () => new Promise(() => {}) }
  const going = withdraw(await shared(), { deliver, outbox, signal: stop.signal })
  await expect.poll(async () => (await outbox.pending()).length).toBe(1)
  stop.abort()
  expect((await going).study.status).toBe('queued')
})

test('what is not an entry in the store is passed over, and its consent stays withdrawn', async () => {
  const platform = world()
  const outbox = createOutbox(platform)
  const one = await shared()
  await withdraw(one, { deliver: away, outbox })
  const [key = ''] = await platform.store.keys('outbox/')
  for (const bad of ['', 'x', '[]', '{"format":2}', '{"format":1,"state":"queued","digest":5}']) {
    await platform.store.set(key, bad)
    expect([await outbox.pending(), await outbox.flush(() => receives)]).toEqual([[], []])
    expect(await outbox.isWithdrawn(one.consent.id)).toBe(true)
  }
  expect((await withdraw(one, { deliver: receives, outbox })).complete).toBe(true)
})

test('two tabs that flush at once send each notice once', async () => {
  const platform = world()
  const shares = await Promise.all(['p1', 'p2', 'p3'].map((patient) => shared(patient)))
  for (const one of shares) await withdraw(one, { deliver: away, outbox: createOutbox(platform) })
  const heard: string[] = []
  const deliver: Delivery = {
    ...receives,
    withdraw: async (notice) => {
      heard.push(notice.digest)
      await new Promise((resolve) => setTimeout(resolve, 1))
      return receives.withdraw(notice)
    },
  }
  const flushed = await Promise.all(
    Array.from({ length: 5 }, () => createOutbox(platform).flush(() => deliver)),
  )
  expect(heard.sort()).toEqual(shares.map(({ digest }) => digest).sort())
  expect(new Set(flushed.flat().map(({ state }) => state))).toEqual(new Set(['acknowledged']))
})

// An hour goes by in a third of a second or so: deadlines and waits run, and nobody waits for them.
const hurried: Platform['clock'] = {
  now: ambientClock.now,
  sleep: (milliseconds, signal) => ambientClock.sleep(milliseconds / 1000, signal),
}

test('G20 T72 through an unreliable inbox, and an app that is killed in between, 100 of 100 notices arrive', async () => {
  const one = await shared()
  let [killed, tries] = [0, 0]
  for (let run = 1; run <= 100; run++) {
    const random = seeded(run)
    const store = memoryStore()
    const receipts = new Map<string, object>()
    let acknowledged = 0
    /** One life of the app, on the same store, with a lock that dies with it. */
    const live = async (work: (outbox: Outbox, deliver: Delivery) => Promise<unknown>): Promise<void> => {
      let alive = true
      let kill = (): void => {}
      const death = new Promise<void>((resolve) => {
        kill = () => {
          alive = false
          killed++
          resolve()
        }
      })
      const never = new Promise<never>(() => {})
      const whileAlive = <A extends unknown[], T>(act: (...given: A) => Promise<T>) => {
        return (...given: A): Promise<T> => (alive ? act(...given) : never)
      }
      const inbox: Fetch = async (_, init) => {
        tries++
        const fault = random()
        if (fault < 0.15) throw new TypeError('fetch failed')
        if (fault < 0.3) return Response.json({}, { status: 500 + Math.floor(random() * 5) })
        if (fault < 0.35) return new Response('<html>log in', { status: 404 })
        if (fault < 0.4) return never
        if (fault < 0.5) {
          kill()
          return never
        }
        const notice = JSON.parse(new TextDecoder().decode(init?.body as Uint8Array)) as WithdrawalNotice
        if ((await sha256(ambientCrypto, notice.key)) !== one.consent.withdrawalCommitment)
          return Response.json({ error: 'withdrawal-key' }, { status: 403 })
        const { digest, at } = notice
        const receipt = receipts.get(digest) ?? { id: `w-${receipts.size}`, digest, at, deleted: true }
        receipts.set(digest, receipt)
        const then = random()
        if (then < 0.2) throw new TypeError('fetch failed')
        if (then < 0.4) {
          kill()
          return never
        }
        acknowledged++
        return Response.json(receipt)
      }
      const outbox = createOutbox({
        store: {
          get: whileAlive(store.get),
          set: whileAlive(store.set),
          delete: whileAlive(store.delete),
          keys: whileAlive(store.keys),
        },
        lock: processLock(),
      })
      const platform = { fetch: whileAlive(inbox), crypto: ambientCrypto, clock: hurried }
      await Promise.race([work(outbox, httpDelivery({ url, key: 'k', platform })), death])
    }
    await live((outbox, deliver) => withdraw(one, { deliver, outbox }))
    const left = createOutbox({ store, lock: processLock() })
    for (let start = 0; start < 100 && (await left.pending()).length > 0; start++)
      await live((outbox, deliver) => outbox.flush(() => deliver))
    const [entry] = await left.entries()
    expect([run, entry?.state, acknowledged, [...receipts.values()]]).toEqual([
      run,
      'acknowledged',
      1,
      [entry?.receipt],
    ])
  }
  // The network was as bad as it was meant to be.
  expect([killed > 20, tries > 200]).toEqual([true, true])
}, 60_000)
