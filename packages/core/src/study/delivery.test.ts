import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { afterEach, expect, test } from 'vitest'
import { ambientClock, ambientCrypto, ambientFetch } from '../ambient.js'
import type { Resource } from '../fhir/types.js'
import { usCore } from '../plans/index.js'
import type { Platform } from '../ports.js'
import { collect } from '../record/collect.js'
import { memoryReader, pageOf } from '../record/memory-reader.js'
import type { PatientRecord } from '../record/record.js'
import { sha256 } from '../util/bytes.js'
import { type ConsentRecord, recordConsent } from './consent.js'
import {
  checkWithdrawalReceipt,
  type DeliveryProgress,
  httpDelivery,
  type WithdrawalNotice,
} from './delivery.js'
import { createPackage, type Manifest } from './package.js'
import { type Share, share, sharePackage } from './share.js'
import { defineStudy, type Study } from './study.js'
import { withdraw } from './withdraw.js'

const key = 'study-key-1'

/** What goes wrong, at which request: true or an answer ends it there. */
type Fault = (path: string, response: ServerResponse, request: IncomingMessage) => boolean

interface TestInbox {
  readonly url: string
  readonly requests: string[]
  /** Called when a request has arrived whole, before it is acted on. */
  before: Fault
  /** Called when it was acted on, before the answer. */
  after: Fault
  /** Changes a receipt on its way. */
  receipt: (receipt: Record<string, unknown>) => unknown
  /** Forgets every open upload. */
  forget(): void
  readonly stored: Map<string, { manifest: Manifest; parts: Map<string, Buffer>; receivedAt: string }>
  readonly completed: string[]
}

const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

// The inbox's side of the protocol, as short as it can be while it still verifies what it is given.
async function openInbox(): Promise<TestInbox> {
  const open = new Map<string, { manifest: Manifest; parts: Map<string, Buffer> }>()
  const withdrawn = new Set<string>()
  const inbox: Omit<TestInbox, 'url'> = {
    requests: [],
    before: () => false,
    after: () => false,
    receipt: (receipt) => receipt,
    forget: () => open.clear(),
    stored: new Map(),
    completed: [],
  }
  const receiptOf = (digest: string): unknown => {
    const { manifest, receivedAt } = inbox.stored.get(digest) as NonNullable<
      ReturnType<typeof inbox.stored.get>
    >
    return inbox.receipt({
      id: `receipt-${digest.slice(0, 8)}`,
      study: manifest.study.id,
      participant: manifest.participant,
      digest,
      receivedAt,
      parts: manifest.parts.length,
      resources: manifest.parts.reduce((sum, part) => sum + (part.resources ?? 0), 0),
      bytes: manifest.parts.reduce((sum, part) => sum + part.size, 0),
    })
  }
  const act = async (
    path: string,
    authorization: string | undefined,
    body: Buffer,
  ): Promise<[number, unknown?]> => {
    if (authorization !== `Bearer ${key}`) return [401, { error: 'key' }]
    const digest = /packages\/([0-9a-f]{64})/.exec(path)?.[1] ?? ''
    if (path === '/inbox/packages') {
      const named = await sha256(ambientCrypto, new Uint8Array(body))
      if (withdrawn.has(named)) return [409, { error: 'withdrawn' }]
      if (inbox.stored.has(named)) return [200, { receipt: receiptOf(named) }]
      const upload = open.get(named) ?? {
        manifest: JSON.parse(body.toString()) as Manifest,
        parts: new Map(),
      }
      open.set(named, upload)
      const missing = upload.manifest.parts.map((part) => part.sha256).filter((one) => !upload.parts.has(one))
      return [201, { digest: named, missing: [...new Set(missing)] }]
    }
    if (path === '/inbox/withdrawals') {
      const notice = JSON.parse(body.toString())
      const manifest = inbox.stored.get(notice.digest)?.manifest
      if (!manifest && !withdrawn.has(notice.digest)) return [404, { error: 'unknown' }]
      if (manifest && (await sha256(ambientCrypto, notice.key)) !== manifest.withdrawalCommitment) {
        return [403, { error: 'withdrawal-key' }]
      }
      if (notice.ask === 'delete') inbox.stored.delete(notice.digest)
      withdrawn.add(notice.digest)
      return [200, { id: 'w-1', digest: notice.digest, at: notice.at, deleted: notice.ask === 'delete' }]
    }
    const upload = open.get(digest)
    if (path.endsWith('/complete')) {
      if (inbox.stored.has(digest)) return [200, { receipt: receiptOf(digest) }]
      if (!upload) return [404, { error: 'unknown' }]
      const missing = upload.manifest.parts.filter((part) => !upload.parts.has(part.sha256))
      if (missing.length > 0)
        return [409, { error: 'incomplete', missing: missing.map((part) => part.sha256) }]
      inbox.stored.set(digest, { ...upload, receivedAt: new Date().toISOString() })
      inbox.completed.push(digest)
      open.delete(digest)
      return [201, { receipt: receiptOf(digest) }]
    }
    if (!upload) return [404, { error: 'unknown' }]
    const part = path.split('/').at(-1) as string
    if (part !== (await sha256(ambientCrypto, new Uint8Array(body)))) return [422, { error: 'digest' }]
    upload.parts.set(part, body)
    return [204]
  }
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const path = request.url ?? ''
    inbox.requests.push(`${request.method} ${path}`)
    if (inbox.before(path, response, request)) return
    const [status, body] = await act(path, request.headers.authorization, Buffer.concat(chunks))
    if (inbox.after(path, response, request)) return
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(body === undefined ? undefined : JSON.stringify(body))
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(inbox, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/inbox` })
}

const answerOnce = (
  times: number,
  status: number,
  body: unknown = {},
  headers: Record<string, string> = {},
): Fault => {
  let left = times
  return (_path, response) => {
    if (left-- <= 0) return false
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(JSON.stringify(body))
    return true
  }
}

const waits: number[] = []
// Waiting takes no time here; the deadlines of the transport, half a minute and longer, stay real unless asked.
const platform = (deadline = false): Pick<Platform, 'fetch' | 'crypto' | 'clock'> => ({
  fetch: ambientFetch,
  crypto: ambientCrypto,
  clock: {
    now: ambientClock.now,
    sleep: (milliseconds, signal) => {
      if (milliseconds < 30_000) waits.push(milliseconds)
      return ambientClock.sleep(milliseconds < 30_000 ? 0 : deadline ? 50 : milliseconds, signal)
    },
  },
})

interface Stage {
  readonly inbox: TestInbox
  readonly study: Study
  readonly consent: ConsentRecord
  readonly records: readonly PatientRecord[]
  readonly send: (more?: Partial<Parameters<typeof share>[1]>) => Promise<Share>
}

async function stage(): Promise<Stage> {
  waits.length = 0
  const inbox = await openInbox()
  const plan = usCore.only('Patient', 'Problems', 'Goals')
  const study = defineStudy({
    id: 'sleep',
    title: 'Sleep',
    purpose: 'Rest',
    plan,
    recipient: inbox.url,
    consent: { version: '3', text: 'I agree.' },
  })
  const search = (type: string) => [pageOf([{ resourceType: type, id: 'x' } as Resource])]
  const records = [await collect(memoryReader({ patient: 'p1', search }), { plan })]
  const consent = recordConsent(study, {
    participant: 'p-1',
    signature: 'Ada',
    dataClasses: ['Patient', 'Problems'],
  })
  const deliver = httpDelivery({ url: inbox.url, key, platform: platform() })
  return {
    inbox,
    study,
    consent,
    records,
    send: (more) => share(records, { study, consent, deliver, ...more }),
  }
}

const failing = (code: string, more: object = {}) => expect.objectContaining({ code, ...more })

test('F14 a share ends with a receipt that matches what was sent', async () => {
  const { inbox, study, consent, records, send } = await stage()
  const progress: DeliveryProgress[] = []
  const shared = await send({ onProgress: (one) => progress.push(one) })
  const pack = await createPackage(records, { study, consent })
  expect(shared).toMatchObject({
    id: pack.digest,
    participant: 'p-1',
    receipt: { digest: pack.digest, parts: 4, resources: 2 },
    withheld: [{ dataClass: 'Goals', count: 1, reason: 'not-agreed' }],
    recipient: inbox.url,
  })
  expect(progress.map(({ done, total }) => [done, total])).toEqual([0, 1, 2, 3, 4].map((done) => [done, 4]))
  for (const part of pack.parts) {
    expect(
      inbox.stored
        .get(pack.digest)
        ?.parts.get(part.sha256)
        ?.equals(await part.open()),
    ).toBe(true)
  }
})

test('F65 a package that was made before arrives as the very share that it would have been, under its own consent only', async () => {
  const { inbox, study, consent, records, send } = await stage()
  const pack = await createPackage(records, { study, consent })
  const deliver = httpDelivery({ url: inbox.url, key, platform: platform() })
  const shared = await sharePackage(pack, { study, consent, deliver })
  const { sharedAt: _, ...again } = await send()
  expect(shared).toMatchObject(again)
  expect(inbox.completed.length).toBe(1)
  const other = recordConsent(study, { participant: 'p-1', signature: 'Ada' })
  const requests = inbox.requests.length
  for (const wrong of [other, { ...consent }, { ...other, id: consent.id }])
    await expect(
      sharePackage(pack, { study, consent: wrong as ConsentRecord, deliver }),
    ).rejects.toMatchObject({ code: 'SHARE_CONSENT_INVALID' })
  const soon = recordConsent(study, {
    participant: 'p-1',
    signature: 'Ada',
    expiresAt: new Date(Date.now() + 60_000),
  })
  const late = await createPackage(records, { study, consent: soon })
  const clock = { ...ambientClock, now: () => Date.now() + 120_000 }
  await expect(
    sharePackage(late, { study, consent: soon, deliver, platform: { ...platform(), clock } }),
  ).rejects.toMatchObject({ code: 'SHARE_CONSENT_INVALID', reason: 'expired' })
  expect(inbox.requests.length).toBe(requests)
})

test('F65 the same share again delivers nothing and gives the same receipt', async () => {
  const { inbox, send } = await stage()
  const first = await send()
  const before = inbox.requests.length
  const second = await send()
  expect(second.receipt).toEqual(first.receipt)
  expect(inbox.requests.slice(before)).toEqual(['POST /inbox/packages'])
  expect(inbox.completed.length).toBe(1)
})

test.each([1, 2, 3])(
  'F4 the inbox answers 503 %i times at any request, and the share arrives once',
  async (times) => {
    const whole = await stage()
    await whole.send()
    for (let at = 0; at < whole.inbox.requests.length; at++) {
      const { inbox, send } = await stage()
      let seen = 0
      let left = times
      inbox.before = (path, response, request) =>
        (seen++ >= at && left-- > 0 && answerOnce(1, 503)(path, response, request)) || false
      const shared = await send()
      expect(inbox.completed).toEqual([shared.digest])
      expect(left).toBeLessThanOrEqual(0)
    }
  },
)

test('F61 the connection breaks after any request was acted on, and the share arrives once', async () => {
  const whole = await stage()
  await whole.send()
  for (let at = 0; at < whole.inbox.requests.length; at++) {
    const { inbox, send } = await stage()
    let seen = 0
    inbox.after = (_path, response) => {
      if (seen++ !== at) return false
      response.destroy()
      return true
    }
    const shared = await send()
    expect(inbox.completed).toEqual([shared.digest])
  }
})

test('F38 an inbox that stays down is SHARE_UNREACHABLE; the same call later delivers once', async () => {
  const { inbox, send } = await stage()
  inbox.before = answerOnce(Number.POSITIVE_INFINITY, 502)
  await expect(send()).rejects.toEqual(failing('SHARE_UNREACHABLE', { remedy: 'retry', status: 502 }))
  expect(inbox.requests.length).toBe(4)
  expect(waits.length).toBe(3)
  inbox.before = (path, response) => {
    if (!path.endsWith('/complete')) return false
    response.destroy()
    return true
  }
  await expect(send()).rejects.toEqual(failing('SHARE_UNREACHABLE'))
  expect(inbox.completed).toEqual([])
  inbox.before = () => false
  const before = inbox.requests.length
  const shared = await send()
  expect(inbox.completed).toEqual([shared.digest])
  expect(inbox.requests.slice(before).map((one) => one.split('/').at(-1))).toEqual(['packages', 'complete'])
})

test('F58 where nothing listens, the share is SHARE_UNREACHABLE', async () => {
  const { study, consent, records } = await stage()
  const closed = createServer()
  await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(closed.address() as AddressInfo).port}/inbox`
  await new Promise((resolve) => closed.close(resolve))
  const elsewhere = defineStudy({ ...study, recipient: url })
  const deliver = httpDelivery({ url, key, platform: platform() })
  await expect(share(records, { study: elsewhere, consent, deliver })).rejects.toEqual(
    failing('SHARE_UNREACHABLE'),
  )
})

test('F59 an inbox that never answers is SHARE_UNREACHABLE at the deadline', async () => {
  const { inbox, send } = await stage()
  inbox.before = () => true
  const deliver = httpDelivery({ url: inbox.url, key, platform: platform(true) })
  await expect(send({ deliver })).rejects.toEqual(failing('SHARE_UNREACHABLE'))
  expect(inbox.requests.length).toBe(4)
})

test('F1 a Retry-After is waited for; one that is too long is handed on', async () => {
  const { inbox, send } = await stage()
  inbox.before = answerOnce(1, 503, {}, { 'retry-after': '7' })
  await send()
  expect(waits).toEqual([7000])
  const later = await stage()
  later.inbox.before = answerOnce(1, 429, {}, { 'retry-after': '3600' })
  await expect(later.send()).rejects.toEqual(failing('SHARE_UNREACHABLE', { retryAfter: 3600 }))
  expect(later.inbox.requests.length).toBe(1)
})

test.each<[number, unknown, string, string]>([
  [401, { error: 'key' }, 'SHARE_KEY_REFUSED', 'configure'],
  [403, {}, 'SHARE_KEY_REFUSED', 'configure'],
  [409, { error: 'withdrawn' }, 'SHARE_WITHDRAWN', 'ask-participant'],
  [507, { error: 'full' }, 'SHARE_INBOX_FULL', 'retry'],
  [413, {}, 'SHARE_REFUSED', 'contact-provider'],
  [422, { error: 'manifest' }, 'SHARE_REFUSED', 'contact-provider'],
  [422, { error: 'consent' }, 'SHARE_REFUSED', 'contact-provider'],
  [302, {}, 'SHARE_REFUSED', 'contact-provider'],
  [400, '<html>', 'SHARE_REFUSED', 'contact-provider'],
  [201, { digest: 'f'.repeat(64), missing: [] }, 'SHARE_RECEIPT_INVALID', 'contact-provider'],
  [201, null, 'SHARE_RECEIPT_INVALID', 'contact-provider'],
  [200, [], 'SHARE_RECEIPT_INVALID', 'contact-provider'],
])('an inbox that answers %i %j is %s at once', async (status, body, code, remedy) => {
  const { inbox, send } = await stage()
  inbox.before = answerOnce(1, status, body, { location: 'https://elsewhere.example/' })
  await expect(send()).rejects.toEqual(failing(code, { remedy }))
  expect(inbox.requests.length).toBe(1)
})

test.each(['study', 'participant', 'digest', 'parts', 'resources', 'bytes', 'id', 'receivedAt'])(
  'a receipt with another %s is none',
  async (member) => {
    const { inbox, send } = await stage()
    inbox.receipt = (receipt) => ({ ...receipt, [member]: typeof receipt[member] === 'number' ? 99 : '' })
    await expect(send()).rejects.toEqual(
      failing('SHARE_RECEIPT_INVALID', { message: `the receipt does not match the package in ${member}` }),
    )
  },
)

test('F70 an inbox that runs full half-way stored nothing in part; with room again, the rest is sent', async () => {
  const { inbox, send } = await stage()
  let puts = 0
  inbox.before = (path, response, request) =>
    path.includes('/parts/') && ++puts > 2
      ? answerOnce(1, 507, { error: 'full' })(path, response, request)
      : false
  await expect(send()).rejects.toEqual(failing('SHARE_INBOX_FULL'))
  expect(inbox.stored.size).toBe(0)
  inbox.before = () => false
  await send()
  const sent = inbox.requests.filter((one) => one.startsWith('PUT'))
  // Four parts: two went through the first time, at least one was turned away and came again.
  expect(new Set(sent).size).toBe(4)
  expect(inbox.completed.length).toBe(1)
})

test.each(['/complete', '/parts/'])(
  'F88 an inbox that loses its open uploads at %s is sent them again',
  async (at) => {
    const { inbox, send } = await stage()
    let lost = false
    inbox.before = (path) => {
      if (path.includes(at) && !lost) {
        lost = true
        inbox.forget()
      }
      return false
    }
    const shared = await send()
    expect(inbox.completed).toEqual([shared.digest])
  },
)

test('an inbox that never becomes complete is refused after three rounds', async () => {
  const { inbox, send } = await stage()
  inbox.before = (path, response, request) =>
    path.endsWith('/complete') &&
    answerOnce(1, 409, { error: 'incomplete', missing: [] })(path, response, request)
  await expect(send()).rejects.toEqual(failing('SHARE_REFUSED'))
  expect(inbox.requests.filter((one) => one.endsWith('/complete')).length).toBe(3)
})

test('F68 an abort at any request rejects with its reason, and a later call delivers once', async () => {
  for (let at = 0; at < 6; at++) {
    const { inbox, send } = await stage()
    const controller = new AbortController()
    const reason = new Error('enough')
    let seen = 0
    inbox.before = () => {
      if (seen++ !== at) return false
      controller.abort(reason)
      return true
    }
    await expect(send({ signal: controller.signal })).rejects.toBe(reason)
    inbox.before = () => false
    expect(inbox.completed).toEqual([])
    await send()
    expect(inbox.completed.length).toBe(1)
  }
})

test('T76 a delivery that leads elsewhere than the study says sends nothing', async () => {
  const { inbox, send } = await stage()
  const other = await openInbox()
  const deliver = httpDelivery({ url: other.url, key, platform: platform() })
  await expect(send({ deliver })).rejects.toEqual(failing('CONFIG_INVALID'))
  expect([inbox.requests, other.requests]).toEqual([[], []])
})

test('T71 without a valid consent nothing is sent', async () => {
  const { inbox, send, consent } = await stage()
  const forged = { ...consent } as ConsentRecord
  await expect(send({ consent: forged })).rejects.toEqual(failing('SHARE_CONSENT_INVALID'))
  expect(inbox.requests).toEqual([])
})

test('T43 T75 no error of a delivery holds the study key or what the inbox wrote', async () => {
  const secret = 'ssn-078-05-1120'
  const faults: Fault[] = [
    answerOnce(1, 422, { error: secret, part: secret }),
    answerOnce(1, 400, secret),
    answerOnce(9, 500, secret),
    answerOnce(1, 201, { digest: secret }),
    answerOnce(1, 200, { receipt: { id: secret, study: secret } }),
    answerOnce(1, 302, {}, { location: `https://x.example/${secret}` }),
    (_path, response) => response.destroy() !== undefined,
  ]
  for (const fault of faults) {
    const { inbox, send } = await stage()
    inbox.before = fault
    const error: unknown = await send().catch((thrown: unknown) => thrown)
    const printed = inspect(error, { depth: 10, showHidden: true }) + JSON.stringify(error)
    expect(error).toBeInstanceOf(Error)
    for (const hidden of [key, secret]) expect(printed).not.toContain(hidden)
  }
  expect(inspect(httpDelivery({ url: 'https://x.example', key }), { showHidden: true })).not.toContain(key)
})

test.each([
  [{ url: 'http://inbox.example' }, 'CONFIG_INSECURE_URL'],
  [{ url: 'inbox' }, 'CONFIG_INVALID'],
  [{ url: 'https://inbox.example/?x=1' }, 'CONFIG_INVALID'],
  [{ key: 'a\r\nb' }, 'CONFIG_INVALID'],
  [{ key: '' }, 'CONFIG_INVALID'],
])('a delivery with %j is refused when it is made', (change, code) => {
  expect(() => httpDelivery({ url: 'https://inbox.example', key, ...change })).toThrow(failing(code))
})

test('T72 a withdrawal deletes at the study, and the same package cannot come back', async () => {
  const { inbox, send } = await stage()
  const shared = await send()
  const deliver = httpDelivery({ url: inbox.url, key, platform: platform() })
  // A share that was stored and read again serves as well.
  const result = await withdraw(JSON.parse(JSON.stringify(shared)) as Share, { deliver })
  expect(result).toMatchObject({ study: { status: 'acknowledged', deleted: true }, complete: true })
  expect(inbox.stored.size).toBe(0)
  await expect(send()).rejects.toEqual(failing('SHARE_WITHDRAWN'))
  expect((await withdraw(shared, { deliver })).complete).toBe(true)
})

test('T72 a receipt says which packages were removed, and one that says so in another way is none', () => {
  const digest = 'd'.repeat(64)
  const notice = { digest } as WithdrawalNotice
  const removed = [{ digest, parts: 2, bytes: 10, partsDigest: 'e'.repeat(64) }]
  const receipt = { id: 'w', digest, at: '2026-01-02T03:04:05Z', deleted: true, removed }
  expect(checkWithdrawalReceipt(receipt, notice)).toEqual(receipt)
  const others = [{ parts: -1 }, { bytes: '10' }, { digest: 'x' }, { partsDigest: undefined }]
  for (const wrong of ['all', 7, {}, [null], ...others.map((change) => [{ ...removed[0], ...change }])])
    expect(() => checkWithdrawalReceipt({ ...receipt, removed: wrong }, notice)).toThrow(
      failing('SHARE_RECEIPT_INVALID'),
    )
})

test('T72 a notice is repeated until it is heard, and its failure is a row', async () => {
  const { inbox, send } = await stage()
  const shared = await send()
  const deliver = httpDelivery({ url: inbox.url, key, platform: platform() })
  let heard = 0
  inbox.after = (_path, response) => heard++ < 2 && response.destroy() !== undefined
  expect((await withdraw(shared, { deliver })).study.status).toBe('acknowledged')
  inbox.before = answerOnce(Number.POSITIVE_INFINITY, 503)
  const failed = await withdraw(shared, { deliver })
  expect(failed).toMatchObject({
    study: { status: 'failed', deleted: false, error: 'SHARE_UNREACHABLE' },
    complete: false,
  })
})

test('another participant’s key withdraws nothing', async () => {
  const { inbox, send } = await stage()
  const shared = await send()
  const deliver = httpDelivery({ url: inbox.url, key, platform: platform() })
  const stolen = { ...shared, consent: { ...shared.consent, withdrawalKey: 'guess' } }
  expect(await withdraw(stolen, { deliver })).toMatchObject({
    study: { status: 'failed', error: 'SHARE_REFUSED' },
  })
  expect(inbox.stored.size).toBe(1)
})
