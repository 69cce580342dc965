import { expect, test } from 'vitest'
import { ambientClock, ambientCrypto } from '../ambient.js'
import { SmartError } from '../errors.js'
import type { AttachmentBytes, Reader, Resource } from '../fhir/types.js'
import { usCore } from '../plans/index.js'
import { base64, hex, sha256 } from '../util/bytes.js'
import { fetchAttachments } from './attachments.js'
import { collect } from './collect.js'
import { memoryReader, pageOf } from './memory-reader.js'
import type { PatientRecord } from './record.js'
import { createShelf } from './shelf.js'

const bytesOf = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text)
const sha1 = async (bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> =>
  new Uint8Array(await crypto.subtle.digest('SHA-1', bytes))
const note = bytesOf('a note')
const text: AttachmentBytes = { contentType: 'text/plain', bytes: note }
const document = (id: string, ...attachments: object[]): Resource =>
  ({
    resourceType: 'DocumentReference',
    id,
    subject: { reference: 'Patient/p1' },
    content: attachments.map((attachment) => ({ attachment })),
  }) as Resource
const report = (id: string, ...presentedForm: object[]): Resource =>
  ({ resourceType: 'DiagnosticReport', id, presentedForm }) as Resource

interface Setup {
  readonly documents?: readonly Resource[]
  readonly reports?: readonly Resource[]
  readonly files?: Record<string, AttachmentBytes | Error>
  readonly fetched?: { url: string; accept: string | undefined }[]
  readonly maxAttachmentBytes?: number
  readonly signal?: AbortSignal
  readonly attachment?: Reader['attachment']
}

function collected(setup: Setup): Promise<PatientRecord> {
  const { documents = [], reports = [], files = {}, fetched = [], maxAttachmentBytes, signal } = setup
  const reader = memoryReader({
    patient: 'p1',
    files: new Map(Object.entries(files)),
    search: (type) => [pageOf(type === 'DocumentReference' ? documents : reports)],
  })
  return collect(
    {
      ...reader,
      attachment: (url, options) => {
        fetched.push({ url, accept: options?.accept })
        return (setup.attachment ?? reader.attachment)(url, options)
      },
    },
    {
      plan: usCore.only('Documents', 'Laboratory Reports'),
      ...(maxAttachmentBytes === undefined ? {} : { maxAttachmentBytes }),
      ...(signal ? { signal } : {}),
    },
  )
}

test('F11 files behind a URL and in place are in the record with their digests', async () => {
  const fetched: { url: string; accept: string | undefined }[] = []
  const record = await collected({
    documents: [document('d', { url: 'Binary/1', contentType: 'text/plain; charset=utf-8' })],
    reports: [report('r', { data: base64(note), contentType: 'application/PDF' })],
    files: { 'Binary/1': text },
    fetched,
  })
  const digest = await sha256(ambientCrypto, note)
  expect(record.attachments).toMatchObject([
    {
      status: 'received',
      source: 'DiagnosticReport/r',
      contentType: 'application/pdf',
      size: 6,
      sha256: digest,
    },
    {
      status: 'received',
      source: 'DocumentReference/d',
      contentType: 'text/plain',
      size: 6,
      sha256: digest,
      dataClass: 'Documents',
    },
  ])
  expect(record.attachments.map((one) => one.bytes())).toEqual([note, note])
  expect(record.issues).toEqual([])
  expect(fetched).toEqual([{ url: 'Binary/1', accept: 'text/plain' }])
})

test('a note that a report and a document share is fetched once', async () => {
  const fetched: { url: string; accept: string | undefined }[] = []
  const record = await collected({
    documents: [document('d', { url: 'Binary/1' }), document('e', { url: 'Binary/1' })],
    reports: [report('r', { url: 'Binary/1' })],
    files: { 'Binary/1': text },
    fetched,
  })
  expect(fetched.length).toBe(1)
  expect(record.attachments.map(({ source, dataClasses }) => [source, dataClasses])).toEqual([
    ['DiagnosticReport/r', ['Laboratory Reports']],
    ['DocumentReference/d', ['Documents']],
    ['DocumentReference/e', ['Documents']],
  ])
})

test('what a caller does to the bytes does not change the record', async () => {
  const record = await collected({
    documents: [document('d', { url: 'Binary/1' })],
    files: { 'Binary/1': { contentType: 'text/plain', bytes: note.slice() } },
  })
  record.attachments[0]?.bytes().fill(0)
  expect(record.attachments[0]?.bytes()).toEqual(note)
})

test('files together stay within a limit, whichever of them are met first', async () => {
  const shelf = createShelf()
  for (const id of ['a', 'b', 'c']) {
    const resource = document(id, { url: `Binary/${id}` })
    shelf.put({ type: 'DocumentReference', id }, JSON.stringify(resource), ['Documents'])
  }
  const { attachments } = await fetchAttachments(shelf.all(), {
    reader: { ...memoryReader({ patient: 'p1' }), attachment: async () => text },
    crypto: ambientCrypto,
    concurrency: 3,
    maxBytes: 100,
    maxTotalBytes: 2 * note.length,
    dataClasses: ['Documents'],
    isOver: () => undefined,
    over: () => {},
    onReceived: () => {},
  })
  expect(attachments.map((one) => one.status).sort()).toEqual(['received', 'received', 'too-large'])
})

const fault = (
  code: 'FHIR_NOT_FOUND' | 'FHIR_GONE' | 'FHIR_FOREIGN_URL' | 'FHIR_RESPONSE_TOO_LARGE' | 'FHIR_SERVER_ERROR',
) => new SmartError(code, 'a fault')

test.each([
  ['404', fault('FHIR_NOT_FOUND'), 'missing', 'missing:FHIR_NOT_FOUND'],
  ['410', fault('FHIR_GONE'), 'missing', 'missing:FHIR_GONE'],
  ['another host', fault('FHIR_FOREIGN_URL'), 'foreign', 'foreign:FHIR_FOREIGN_URL'],
  ['too many bytes', fault('FHIR_RESPONSE_TOO_LARGE'), 'too-large', 'too-large:FHIR_RESPONSE_TOO_LARGE'],
  ['500', fault('FHIR_SERVER_ERROR'), 'failed', 'failed:FHIR_SERVER_ERROR'],
  ['a fault of the reader', new Error('x'), 'failed', 'failed'],
])('F34 %s: the resource is kept, the file is an issue', async (_, error, status, detail) => {
  const record = await collected({
    documents: [document('d', { url: 'Binary/1' }, { url: 'Binary/2' })],
    files: { 'Binary/1': error, 'Binary/2': text },
  })
  expect(record.count('Documents')).toBe(1)
  expect(record.attachments.map((one) => one.status).sort()).toEqual([status, 'received'].sort())
  expect(record.issues).toEqual([
    { kind: 'attachment', dataClass: 'Documents', resource: 'DocumentReference/d', detail, count: 1 },
  ])
  const lost = record.attachments.find((one) => one.status !== 'received')
  expect(() => lost?.bytes()).toThrow(TypeError)
})

test('F34 a file that is not the one the resource states is not kept', async () => {
  const right = base64(await sha1(note))
  const record = await collected({
    documents: [
      document('a-size', { url: 'Binary/1', size: 7 }),
      document('b-hash', { url: 'Binary/1', hash: base64(await sha1(bytesOf('another'))) }),
      document('c-inline', { data: base64(note), hash: 'nonsense' }),
      document('d-right', { url: 'Binary/1', size: 6, hash: right }),
      document('e-hex', { url: 'Binary/1', hash: hex(await sha1(note)) }),
      document('f-hash-beats-size', { url: 'Binary/1', size: 7, hash: right }),
    ],
    files: { 'Binary/1': text },
  })
  expect(
    record.attachments.map(({ source, status, reason }) => [source.split('/')[1], status, reason]),
  ).toEqual([
    ['a-size', 'mismatch', 'size'],
    ['b-hash', 'mismatch', 'hash'],
    ['c-inline', 'mismatch', 'hash'],
    ['d-right', 'received', undefined],
    ['e-hex', 'received', undefined],
    ['f-hash-beats-size', 'received', undefined],
  ])
})

test('a file beyond the limit is not kept, and not fetched when its size is stated', async () => {
  const fetched: { url: string; accept: string | undefined }[] = []
  const record = await collected({
    documents: [
      document('a', { url: 'Binary/1', size: 6 }),
      document('b', { url: 'Binary/2' }),
      document('c', { data: base64(note) }),
    ],
    files: { 'Binary/2': text },
    maxAttachmentBytes: 5,
    fetched,
  })
  expect(record.attachments.map((one) => one.status)).toEqual(['too-large', 'too-large', 'too-large'])
  expect(fetched.map((one) => one.url)).toEqual(['Binary/2'])
})

test('a broken attachment element is no fault of the record', async () => {
  const broken = [
    { ...document('a'), content: 'x' },
    { ...document('b'), content: [null, 5, { attachment: null }, { attachment: [] }, { attachment: {} }] },
    document('c', { data: '*' }, { url: 5, data: 7 }),
  ] as Resource[]
  const record = await collected({ documents: broken })
  expect(record.attachments.map(({ source, status, reason }) => [source, status, reason])).toEqual([
    ['DocumentReference/c', 'failed', 'base64'],
  ])
})

test.each(['text/html\r\nx-evil: 1', 'text', '', '../../etc', 'text/plain\u0000', 5])(
  'T67 the content type %j becomes neither a header nor a part of the record',
  async (contentType) => {
    const fetched: { url: string; accept: string | undefined }[] = []
    const record = await collected({
      documents: [document('d', { url: 'Binary/1', contentType })],
      files: { 'Binary/1': { contentType: 'nonsense', bytes: note } },
      fetched,
    })
    expect(fetched).toEqual([{ url: 'Binary/1', accept: undefined }])
    expect(record.attachments[0]?.contentType).toBe('application/octet-stream')
  },
)

test('F40 when access ends between two files, the rest is failed and the record stands', async () => {
  const record = await collected({
    documents: [document('a', { url: '1' }), document('b', { url: '2' }), document('c', { url: '3' })],
    attachment: async () => {
      throw new SmartError('TOKEN_ENDED', 'over')
    },
  })
  expect(record.attachments.map(({ status, reason }) => [status, reason])).toEqual(
    Array.from({ length: 3 }, () => ['failed', 'TOKEN_ENDED']),
  )
  expect(record.count()).toBe(3)
})

test('F68 an abort while a file hangs rejects with its reason', async () => {
  const controller = new AbortController()
  const reason = new Error('enough')
  const stopped = collected({
    documents: [document('d', { url: 'Binary/1' })],
    signal: controller.signal,
    attachment: () => {
      controller.abort(reason)
      return new Promise(() => {})
    },
  })
  await expect(stopped).rejects.toBe(reason)
})

test('files of a class that does not ask for them are left where they are', async () => {
  const fetched: string[] = []
  const reader = memoryReader({
    patient: 'p1',
    search: () => [pageOf([document('d', { url: 'Binary/1' })])],
  })
  const [documents] = usCore.only('Documents').classes
  const { attachments: _, ...without } = documents as NonNullable<typeof documents>
  const record = await collect(
    {
      ...reader,
      attachment: async (url) => {
        fetched.push(url)
        return text
      },
    },
    {
      plan: { ...usCore.only('Documents'), classes: [without] },
      platform: { clock: ambientClock, crypto: ambientCrypto },
    },
  )
  expect([record.count(), record.attachments, fetched]).toEqual([1, [], []])
})

/** A shelf in memory that says what it holds, and can fail. */
function memoryShelf() {
  const held = new Map<string, Uint8Array<ArrayBuffer>>()
  const shelf = {
    held,
    fails: false,
    put: async (digest: string, bytes: Uint8Array<ArrayBuffer>) => {
      if (shelf.fails) throw new DOMException('full', 'QuotaExceededError')
      held.set(digest, bytes.slice())
    },
    get: async (digest: string) => held.get(digest)?.slice(),
    delete: async (digest: string) => void held.delete(digest),
  }
  return shelf
}

const onShelf = (files: ReturnType<typeof memoryShelf>) =>
  collect(
    memoryReader({
      patient: 'p1',
      files: new Map([
        ['Binary/1', text],
        ['Binary/2', text],
      ]),
      search: (type) =>
        type === 'DocumentReference'
          ? [pageOf([document('d1', { url: 'Binary/1' }, { url: 'Binary/2' })])]
          : [],
    }),
    { plan: usCore.only('Documents'), files },
  )

test('files go to a shelf, each once, and are read from there', async () => {
  const shelf = memoryShelf()
  const record = await onShelf(shelf)
  expect(record.attachments.map(({ status }) => status)).toEqual(['received', 'received'])
  expect([...shelf.held.keys()]).toEqual([await sha256(ambientCrypto, note)])
  const [first] = record.attachments
  expect(await first?.open()).toEqual(note)
  expect(() => first?.bytes()).toThrow('open() reads it')
  await record.wipe()
  expect(shelf.held.size).toBe(0)
  await expect(first?.open()).rejects.toThrow(TypeError)
})

test('F76 a file that was changed on its shelf is an error, never another file', async () => {
  const shelf = memoryShelf()
  const record = await onShelf(shelf)
  for (const digest of shelf.held.keys()) shelf.held.set(digest, bytesOf('another note'))
  await expect(record.attachments[0]?.open()).rejects.toMatchObject({ code: 'CONFIG_STORAGE_FAILED' })
  shelf.held.clear()
  await expect(record.attachments[0]?.open()).rejects.toMatchObject({ code: 'CONFIG_STORAGE_FAILED' })
})

test('F70 a shelf that is full costs its files, with the reason, and nothing else', async () => {
  const shelf = memoryShelf()
  shelf.fails = true
  const record = await onShelf(shelf)
  expect(record.count('Documents')).toBe(1)
  expect(record.attachments.map(({ status, reason }) => [status, reason])).toEqual([
    ['failed', 'CONFIG_STORAGE_FAILED'],
    ['failed', 'CONFIG_STORAGE_FAILED'],
  ])
})
