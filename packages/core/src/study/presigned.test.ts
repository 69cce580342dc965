import { afterEach, expect, test } from 'vitest'
import { type Storage, startStorage, studyKey } from '../../test-support/object-storage.js'
import { testConsent, testPackage, testRecord, testStudy } from '../../test-support/packed.js'
import { json, startServer } from '../../test-support/server.js'
import { ambientClock, ambientCrypto, ambientFetch } from '../ambient.js'
import { sha256 } from '../util/bytes.js'
import type { DeliveryProgress } from './delivery.js'
import type { Package } from './package.js'
import { type PresignedDeliveryOptions, presignedDelivery, type UploadSigned } from './presigned.js'
import { seal } from './seal.js'
import { share } from './share.js'
import { withdraw } from './withdraw.js'

const running: { stop(): Promise<void> }[] = []
afterEach(async () => {
  for (const one of running.splice(0)) await one.stop()
})
async function open(): Promise<Storage> {
  const storage = await startStorage()
  running.push(storage)
  return storage
}
const deliveryTo = ({ url }: Storage, more: Partial<PresignedDeliveryOptions> = {}) =>
  presignedDelivery({ url, key: studyKey, ...more })
const puts = ({ heard }: Storage): string[] =>
  heard.filter(({ method }) => method === 'PUT').map(({ path }) => path.split('?')[0]?.slice(72) ?? '')

async function expectWhole(storage: Storage, pack: Package): Promise<void> {
  expect(await storage.object(pack.digest, 'manifest.json')).toEqual(new Uint8Array(pack.manifestBytes))
  for (const part of pack.parts) {
    const bytes = await storage.object(pack.digest, part.path)
    expect(await sha256(ambientCrypto, bytes as Uint8Array), part.path).toBe(part.sha256)
  }
}

test('F14 a study with nothing but a storage receives a package, whole when its manifest is there', async () => {
  const storage = await open()
  const study = testStudy(storage.url)
  const consent = testConsent(study)
  const record = await testRecord()
  const given = await share([record], { study, consent, deliver: deliveryTo(storage) })
  const { pack } = await testPackage({ study, records: [record] })
  expect(given.receipt).toMatchObject({ issuer: 'storage', digest: given.digest, parts: pack.parts.length })
  expect(Math.abs(Date.parse(given.receipt.receivedAt) - ambientClock.now())).toBeLessThan(60_000)
  expect(puts(storage).at(-1)).toBe('manifest.json')
  expect(puts(storage)).toHaveLength(pack.parts.length + 1)
})

test('every file lies in the storage byte for byte', async () => {
  const storage = await open()
  const { pack } = await testPackage({ labs: 200 })
  const progress: DeliveryProgress[] = []
  await deliveryTo(storage).deliver(pack, { onProgress: (one) => progress.push(one) })
  await expectWhole(storage, pack)
  const total = pack.parts.length
  expect(progress.map(({ done }) => done)).toEqual(Array.from({ length: total + 1 }, (_, index) => index))
})

test('a sealed package goes the same road, and its seal is what lies in the storage', async () => {
  const { generateKeyPair, exportJWK } = await import('jose')
  const { publicKey } = await generateKeyPair('ECDH-ES+A256KW', { extractable: true })
  const storage = await open()
  const { pack, consent } = await testPackage()
  const to = { ...(await exportJWK(publicKey)), alg: 'ECDH-ES+A256KW' } as never
  const sealed = await seal(pack, { to, consent })
  expect((await deliveryTo(storage).deliver(sealed)).parts).toBe(sealed.parts.length)
  await expectWhole(storage, sealed)
})

test('the study key goes to the study and never to the storage, nor does anything else that says who sends', async () => {
  const storage = await open()
  await deliveryTo(storage).deliver((await testPackage()).pack)
  expect(storage.heard.length).toBeGreaterThan(10)
  for (const { headers, path } of storage.heard) {
    expect(JSON.stringify([headers, path])).not.toContain(studyKey)
    for (const name of ['authorization', 'cookie', 'referer', 'origin']) expect(headers[name]).toBeUndefined()
  }
})

test('what is there is not sent again, wherever a delivery was cut off', async () => {
  const storage = await open()
  const { pack } = await testPackage()
  for (let left = pack.parts.length; ; left--) {
    let allowed = 1
    storage.before = ({ method }) => (method === 'PUT' && --allowed < 0 ? 404 : undefined)
    const outcome = await deliveryTo(storage)
      .deliver(pack)
      .catch((error: unknown) => error)
    if (!(outcome instanceof Error)) break
    expect(outcome).toMatchObject({ code: 'SHARE_REFUSED', status: 404 })
    expect(left).toBeGreaterThan(0)
  }
  storage.before = () => undefined
  await expectWhole(storage, pack)
  const before = puts(storage).length
  expect((await deliveryTo(storage).deliver(pack)).digest).toBe(pack.digest)
  expect(puts(storage)).toHaveLength(before)
})

test('an endpoint that knows itself what is there is believed', async () => {
  const storage = await open()
  const { pack } = await testPackage()
  const held = new Set(['consent.json'])
  const at = '2026-01-05T00:00:00.000Z'
  const sign: PresignedDeliveryOptions['sign'] = async (asked): Promise<UploadSigned> =>
    held.has(asked.path)
      ? { held: true, at }
      : { url: await storage.sign(asked, 'PUT'), headers: storage.headersFor(asked) }
  const deliver = deliveryTo(storage, { sign })
  await deliver.deliver(pack)
  expect(puts(storage)).toHaveLength(pack.parts.length)
  expect(puts(storage)).not.toContain('consent.json')
  held.add('manifest.json')
  expect((await deliver.deliver(pack)).receivedAt).toBe(at)
  expect(puts(storage)).toHaveLength(pack.parts.length)
})

test('bytes that were damaged on their way are found by their checksum, and sent again', async () => {
  const storage = await open()
  const { pack } = await testPackage()
  let damaged = 0
  const fetch: typeof ambientFetch = (input, init) => {
    if (init?.method !== 'PUT' || ++damaged > 2) return ambientFetch(input, init)
    const body = new Uint8Array(init.body as Uint8Array<ArrayBuffer>)
    body[0] = (body[0] as number) ^ 1
    return ambientFetch(input, { ...init, body })
  }
  const platform = { fetch, crypto: ambientCrypto, clock: ambientClock }
  await deliveryTo(storage, { platform }).deliver(pack)
  expect(damaged).toBe(pack.parts.length + 3)
  await expectWhole(storage, pack)
})

test('a signature that has run out is asked for anew', async () => {
  const storage = await open()
  const { pack } = await testPackage()
  const stale = new Set<string>()
  const sign: PresignedDeliveryOptions['sign'] = async (asked) => {
    const url = await storage.sign(asked, 'PUT')
    const isFirst = !stale.has(asked.path)
    stale.add(asked.path)
    // As the storage sees one whose time is over: what was signed is not what it reads.
    return {
      url: isFirst ? url.replace(/X-Amz-Date=\d{4}/, 'X-Amz-Date=2020') : url,
      headers: storage.headersFor(asked),
    }
  }
  await deliveryTo(storage, { sign }).deliver(pack)
  await expectWhole(storage, pack)
})

test('a storage that is busy is asked again, and one that stays away ends in an error that says retry', async () => {
  const storage = await open()
  const { pack } = await testPackage()
  const seen = new Set<string>()
  storage.before = ({ method, path }) => {
    const key = method + path
    const isFirst = !seen.has(key)
    seen.add(key)
    return isFirst ? 503 : undefined
  }
  await deliveryTo(storage).deliver(pack)
  storage.before = () => undefined
  await expectWhole(storage, pack)
  storage.before = () => 503
  const other = (await testPackage({ labs: 9 })).pack
  await expect(deliveryTo(storage).deliver(other)).rejects.toMatchObject({
    code: 'SHARE_UNREACHABLE',
    remedy: 'retry',
    status: 503,
  })
})

test('T76 a storage that redirects is not followed', async () => {
  const storage = await open()
  const { pack } = await testPackage()
  storage.before = ({ method }) => (method === 'PUT' ? 307 : undefined)
  await expect(deliveryTo(storage).deliver(pack)).rejects.toMatchObject({ code: 'SHARE_REFUSED' })
})

test('the endpoint says no in the words of an inbox', async () => {
  const { pack } = await testPackage()
  const answers = [
    [401, {}, 'SHARE_KEY_REFUSED'],
    [409, { error: 'withdrawn' }, 'SHARE_WITHDRAWN'],
    [507, { error: 'full' }, 'SHARE_INBOX_FULL'],
    [422, {}, 'SHARE_REFUSED'],
  ] as const
  for (const [status, body, code] of answers) {
    const server = await startServer((_, response) => json(response, body, status))
    running.push(server)
    await expect(presignedDelivery({ url: server.url, key: 'k' }).deliver(pack)).rejects.toMatchObject({
      code,
    })
  }
})

test('whatever the endpoint hands out, no secret and no text of its own goes on', async () => {
  const { pack } = await testPackage()
  const answers: unknown[] = [
    ...[
      '',
      'null',
      '[]',
      '<html>',
      {},
      { held: 'yes' },
      { url: 7 },
      { url: '' },
      { url: 'ftp://x.example/' },
    ],
    ...[{ url: 'http://storage.example/x' }, { url: 'https://user:word@storage.example/x' }],
    { url: 'https://storage.example/x', headers: { Authorization: 'Bearer x' } },
    { url: 'https://storage.example/x', headers: { cookie: 'a=b' } },
    { url: 'https://storage.example/x', headers: { 'x-a': 'b\r\nx-c: d' } },
    { url: 'https://storage.example/x', headers: { 'x-a': 7 } },
  ]
  for (const answer of answers) {
    const server = await startServer((_, response) => json(response, answer))
    running.push(server)
    const error = await presignedDelivery({ url: server.url, key: 'k' })
      .deliver(pack)
      .catch((one: unknown) => one)
    expect(error, JSON.stringify(answer)).toMatchObject({ code: 'SHARE_REFUSED' })
    expect(JSON.stringify(error)).not.toMatch(/word|Bearer|x-c/)
  }
})

test('a participant withdraws at the study’s endpoint, or as the app tells the study', async () => {
  const storage = await open()
  const study = testStudy(storage.url)
  const consent = testConsent(study)
  const deliver = deliveryTo(storage)
  const given = await share([await testRecord()], { study, consent, deliver })
  expect((await withdraw(given, { deliver })).study).toMatchObject({ status: 'acknowledged', deleted: true })
  const told: unknown[] = []
  const notify: PresignedDeliveryOptions['notify'] = async (notice) => {
    told.push(notice)
    return { id: 'w-2', digest: notice.digest, at: notice.at, deleted: false }
  }
  const own = await withdraw(given, { deliver: deliveryTo(storage, { notify }) })
  expect(own.study).toMatchObject({ status: 'acknowledged', deleted: false, receipt: { id: 'w-2' } })
  expect(told).toMatchObject([{ key: consent.withdrawalKey }])
  const wrong = deliveryTo(storage, { notify: async () => ({ id: 'w', digest: 'other' }) })
  expect((await withdraw(given, { deliver: wrong })).study).toMatchObject({
    status: 'failed',
    error: 'SHARE_RECEIPT_INVALID',
  })
})

test('a participant who leaves the page stops the delivery', async () => {
  const storage = await open()
  const abort = new AbortController()
  storage.before = ({ method }) => {
    if (method === 'PUT') abort.abort(new Error('left'))
    return undefined
  }
  const { pack } = await testPackage()
  await expect(deliveryTo(storage).deliver(pack, { signal: abort.signal })).rejects.toThrow('left')
  expect(await storage.object(pack.digest, 'manifest.json')).toBeUndefined()
})

test('a delivery that cannot work is refused when it is made', () => {
  const sign = async () => ({ held: true as const })
  const bad = [{ url: 'no' }, { url: 'https://x.example' }, { url: 'https://x.example', sign }]
  for (const options of bad)
    expect(() => presignedDelivery(options)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  expect(() => presignedDelivery({ url: 'https://x.example', key: 'a b' })).toThrow(
    expect.objectContaining({ code: 'CONFIG_INVALID' }),
  )
  expect(() => presignedDelivery({ url: 'http://x.example', key: 'k' })).toThrow(
    expect.objectContaining({ code: 'CONFIG_INSECURE_URL' }),
  )
})
