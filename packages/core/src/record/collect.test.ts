import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ambientClock, ambientCrypto } from '../ambient.js'
import { type ErrorCode, SmartError } from '../errors.js'
import { parsePage } from '../fhir/bundle.js'
import type { Page, Reader, Resource } from '../fhir/types.js'
import { usCore } from '../plans/index.js'
import { definePlan } from '../plans/plan.js'
import { type CollectOptions, collect, type Progress } from './collect.js'
import { explainRecord } from './explain.js'
import { type MemoryReaderOptions, memoryReader, pageOf } from './memory-reader.js'
import type { PatientRecord } from './record.js'

const patient = 'p1'
const subject = { reference: 'Patient/p1' }
const observation = (id: string, more: object = {}): Resource =>
  ({ resourceType: 'Observation', id, subject, ...more }) as Resource
const observations = (from: number, count: number): Resource[] =>
  Array.from({ length: count }, (_, index) => observation(`o${from + index}`))
const error = (code: ErrorCode, details: object = {}): SmartError => new SmartError(code, 'a fault', details)
const reader = (options: Partial<MemoryReaderOptions> = {}): Reader => memoryReader({ patient, ...options })
const labs = usCore.only('Laboratory')
const row = (record: PatientRecord, dataClass: string) =>
  record.completeness.find((one) => one.dataClass === dataClass)
const ids = (record: PatientRecord, of?: string): string[] =>
  [...record.resources(of)].map((resource) => resource.id ?? '')

test('PR-01 every data class of the plan has exactly one row, in the order of the plan', async () => {
  const record = await collect(reader(), { plan: usCore })
  expect(record.completeness.map((one) => one.dataClass)).toEqual(usCore.classes.map((one) => one.name))
  expect(row(record, 'Patient')).toMatchObject({ status: 'received', count: 1 })
  expect(row(record, 'Goals')).toMatchObject({ status: 'none', count: 0 })
})

test('PR-09 pages of many queries are followed to their end, at most four queries at a time', async () => {
  let running = 0
  let most = 0
  const record = await collect(
    reader({
      async *search(type) {
        running++
        most = Math.max(most, running)
        for (let page = 0; page < 3; page++) {
          await Promise.resolve()
          yield pageOf(
            Array.from({ length: 10 }, (_, index) => ({
              resourceType: type,
              id: `${type}-${page * 10 + index}`,
            })),
          )
        }
        running--
      },
    }),
    { plan: usCore },
  )
  expect(record.count('Goals')).toBe(30)
  expect(record.types().Observation).toBe(30)
  expect(row(record, 'Vital Signs')?.queries).toMatchObject([{ status: 'received', count: 30, pages: 3 }])
  expect(most).toBe(4)
})

test('T49 a class that was not granted is not asked for', async () => {
  const asked: string[] = []
  const record = await collect(
    reader({
      scopes: [
        'launch/patient',
        'patient/Condition.read',
        'patient/Observation.rs?category=laboratory',
        'patient/Goal.c',
      ],
      search: (type) => {
        asked.push(type)
        return [pageOf([])]
      },
    }),
    { plan: usCore.only('Patient', 'Problems', 'Laboratory', 'Goals', 'Procedures') },
  )
  expect(asked.sort()).toEqual(['Condition', 'Observation'])
  expect(record.completeness.map((one) => one.status)).toEqual([
    'not-granted',
    'none',
    'none',
    'not-granted',
    'not-granted',
  ])
})

test.each<[string, SmartError | Error, string, string | undefined]>([
  ['F6 403', error('FHIR_FORBIDDEN', { status: 403 }), 'refused', 'FHIR_FORBIDDEN'],
  ['F7 404', error('FHIR_NOT_FOUND', { status: 404 }), 'not-supported', 'FHIR_NOT_FOUND'],
  ['PR-08 400', error('FHIR_BAD_REQUEST', { reason: 'required' }), 'refused', 'required'],
  ['F5 500', error('FHIR_SERVER_ERROR', { status: 500 }), 'failed', 'FHIR_SERVER_ERROR'],
  ['F12 HTML', error('FHIR_RESPONSE_INVALID'), 'failed', 'FHIR_RESPONSE_INVALID'],
  ['a fault of the reader itself', new TypeError('x'), 'failed', undefined],
])('%s on one type leaves the others whole', async (_, fault, status, reason) => {
  const plan = usCore.only('Patient', 'Laboratory', 'Procedures')
  const record = await collect(
    reader({ search: (type) => (type === 'Procedure' ? [fault] : [pageOf(observations(0, 2))]) }),
    { plan },
  )
  expect(row(record, 'Procedures')).toMatchObject({ status, count: 0, ...(reason ? { reason } : {}) })
  expect(row(record, 'Laboratory')).toMatchObject({ status: 'received', count: 2 })
})

test('F10 an error on page 3 is not the end of the data: what came is kept and the class is truncated', async () => {
  const fault = error('FHIR_RESPONSE_INVALID')
  const record = await collect(
    reader({ search: () => [pageOf(observations(0, 5)), pageOf(observations(5, 5)), fault] }),
    { plan: labs },
  )
  expect(row(record, 'Laboratory')).toMatchObject({
    status: 'truncated',
    count: 10,
    reason: 'FHIR_RESPONSE_INVALID',
    queries: [{ status: 'truncated', pages: 2 }],
  })
})

test('F10 an OperationOutcome with an error among the results makes the class truncated', async () => {
  const outcomes: Page['outcomes'] = [{ severity: 'error', code: 'suppressed' }]
  const record = await collect(
    reader({ search: () => [pageOf(observations(0, 1), { outcomes }), pageOf(observations(1, 1))] }),
    { plan: labs },
  )
  expect(row(record, 'Laboratory')).toMatchObject({ status: 'truncated', count: 2, reason: 'suppressed' })
})

test('L-06 F11 warnings beside the data are in the row, each once', async () => {
  const outcomes: Page['outcomes'] = [{ severity: 'warning', code: 'suppressed', detail: '4119' }]
  const record = await collect(
    reader({
      search: () => [pageOf(observations(0, 1), { outcomes }), pageOf(observations(1, 1), { outcomes })],
    }),
    { plan: labs },
  )
  expect(row(record, 'Laboratory')).toMatchObject({ status: 'received', count: 2, warnings: outcomes })
})

test('F16 entries that are no resource are counted', async () => {
  const record = await collect(reader({ search: () => [pageOf(observations(0, 1), { invalid: 3 })] }), {
    plan: labs,
  })
  expect(record.issues).toEqual([{ kind: 'invalid-entry', dataClass: 'Laboratory', count: 3 }])
})

test('F17 PR-10 what comes twice is held once, and in both of its data classes', async () => {
  const smoking = observation('smoke')
  const record = await collect(reader({ search: () => [pageOf([smoking, smoking]), pageOf([smoking])] }), {
    plan: usCore.only('Smoking Status', 'Social History'),
  })
  expect(record.count()).toBe(1)
  expect(record.count('Smoking Status')).toBe(1)
  expect(record.count('Social History')).toBe(1)
  expect(record.issues).toEqual([])
})

test('F18 of two versions the newer is kept, in whichever order they come', async () => {
  const versions = [
    observation('o', { meta: { versionId: '9', lastUpdated: '2026-01-01T00:00:00Z' }, value: 'old' }),
    observation('o', { meta: { versionId: '10', lastUpdated: '2026-01-02T00:00:00Z' }, value: 'new' }),
  ]
  for (const order of [versions, versions.toReversed()]) {
    const record = await collect(reader({ search: () => [pageOf(order)] }), { plan: labs })
    expect([...record.resources()]).toMatchObject([{ value: 'new' }])
    expect(record.issues).toMatchObject([{ kind: 'two-versions', resource: 'Observation/o' }])
  }
})

test('F18 where only the version id tells, 10 is newer than 9', async () => {
  const versions = ['9', '10'].map((versionId) => observation('o', { meta: { versionId }, value: versionId }))
  for (const order of [versions, versions.toReversed()]) {
    const record = await collect(reader({ search: () => [pageOf(order)] }), { plan: labs })
    expect([...record.resources()]).toMatchObject([{ value: '10' }])
  }
})

test('L-09 a class of which one query was refused is truncated if others brought something, else refused', async () => {
  const plan = usCore.only('Tests and Imaging')
  const refusing = (found: Resource[]) => (_type: string, search: { category?: unknown }) =>
    String(search.category).endsWith('|therapy') ? [error('FHIR_FORBIDDEN')] : [pageOf(found)]
  const some = await collect(reader({ search: refusing(observations(0, 2)) }), { plan })
  expect(row(some, 'Tests and Imaging')).toMatchObject({
    status: 'truncated',
    count: 2,
    reason: 'FHIR_FORBIDDEN',
  })
  const none = await collect(reader({ search: refusing([]) }), { plan })
  expect(row(none, 'Tests and Imaging')).toMatchObject({ status: 'refused', count: 0 })
  expect(
    row(none, 'Tests and Imaging')
      ?.queries.map((one) => one.status)
      .sort(),
  ).toEqual([...Array(4).fill('none'), 'refused'])
})

test('a search that is left before its end is closed, so that the reader can tidy up', async () => {
  let closed = 0
  await collect(
    reader({
      *search() {
        try {
          for (;;) yield pageOf(observations(0, 5))
        } finally {
          closed++
        }
      },
    }),
    { plan: labs, maxResources: 12 },
  )
  expect(closed).toBe(1)
})

test('F25 a cursor that has expired is begun again once, without loss or doubles', async () => {
  let round = 0
  const record = await collect(
    reader({
      search: () =>
        round++ === 0
          ? [pageOf(observations(0, 5)), error('FHIR_GONE')]
          : [pageOf(observations(0, 5)), pageOf(observations(5, 5))],
    }),
    { plan: labs },
  )
  expect(row(record, 'Laboratory')).toMatchObject({ status: 'received', count: 10 })
  expect(round).toBe(2)
})

test('F25 a cursor that always expires ends as truncated', async () => {
  let round = 0
  const record = await collect(
    reader({
      search: () => {
        round++
        return [pageOf(observations(0, 5)), error('FHIR_GONE')]
      },
    }),
    { plan: labs },
  )
  expect(row(record, 'Laboratory')).toMatchObject({ status: 'truncated', count: 5, reason: 'FHIR_GONE' })
  expect(round).toBe(2)
})

test('PR-13 F32 T48 a resource of another patient is never in the record', async () => {
  const record = await collect(
    reader({
      search: () => [
        pageOf([
          observation('mine'),
          observation('other', { subject: { reference: 'Patient/p2' } }),
          observation('absolute', {
            subject: { reference: 'https://memory.example/r4/Patient/p2/_history/3' },
          }),
          observation('logical', { subject: { identifier: { value: 'x' } } }),
          observation('contained', { subject: { reference: '#p' } }),
        ]),
      ],
    }),
    { plan: labs },
  )
  expect(ids(record)).toEqual(['contained', 'logical', 'mine'])
  expect(record.issues).toEqual([
    { kind: 'other-patient', dataClass: 'Laboratory', resource: 'Observation/other', count: 1 },
    { kind: 'other-patient', dataClass: 'Laboratory', resource: 'Observation/absolute', count: 1 },
  ])
})

test('T48 a Patient with another id is not taken for the participant', async () => {
  const record = await collect(reader({ read: () => ({ resourceType: 'Patient', id: 'p2' }) }), {
    plan: usCore.only('Patient'),
  })
  expect(record.count()).toBe(0)
  expect(record.issues).toMatchObject([{ kind: 'other-patient', resource: 'Patient/p2' }])
})

test.each(['../../x', '..', '__proto__', '', 'a/b', 'a'.repeat(129), 'ä', 'x\n'])(
  'T65 F33 the id %j is quarantined',
  async (id) => {
    const record = await collect(reader({ search: () => [pageOf([observation(id), observation('ok')])] }), {
      plan: labs,
    })
    expect(ids(record)).toEqual(['ok'])
    expect(record.issues).toEqual([
      { kind: 'invalid-id', dataClass: 'Laboratory', detail: 'Observation', count: 1 },
    ])
  },
)

test('T57 T61 hostile members of a resource stop nothing', async () => {
  const hostile = [
    '{"resourceType":"Observation","id":"a","meta":{"lastUpdated":{"toString":1},"versionId":[]},"__proto__":{"x":1}}',
    '{"resourceType":"Observation","id":"a","meta":5,"subject":[null,5,{"reference":7}]}',
    '{"resourceType":"Observation","id":"constructor","subject":"Patient/p2"}',
    '{"resourceType":"Observation","id":{"a":1}}',
  ]
  const text = `{"resourceType":"Bundle","entry":[${hostile.map((one) => `{"resource":${one}}`).join(',')}]}`
  const record = await collect(reader({ search: () => [parsePage(() => text)?.page as Page] }), {
    plan: labs,
  })
  expect(ids(record)).toEqual(['a', 'constructor'])
  expect(({} as Record<string, unknown>).x).toBeUndefined()
})

test('T48 types that were not asked for are left out; those that come along are kept', async () => {
  const record = await collect(
    reader({
      search: () => [
        pageOf([
          { resourceType: 'MedicationRequest', id: 'm', subject } as Resource,
          { resourceType: 'Medication', id: 'drug' },
          { resourceType: 'Observation', id: 'o' },
          { resourceType: '../../etc', id: 'o' },
        ]),
      ],
    }),
    { plan: usCore.only('Medications') },
  )
  expect(record.types()).toEqual({ Medication: 1, MedicationRequest: 1 })
  expect(record.count('Medications')).toBe(1)
  expect(record.issues).toEqual([
    { kind: 'unexpected-type', dataClass: 'Medications', detail: 'Observation', count: 1 },
    { kind: 'unexpected-type', dataClass: 'Medications', count: 1 },
  ])
})

test('a million findings take the space of a thousand', async () => {
  const page = pageOf(Array.from({ length: 3000 }, () => observation('..')))
  const record = await collect(reader({ search: () => [page] }), { plan: labs })
  expect(record.issues.length).toBe(1001)
  expect(record.issues.reduce((sum, issue) => sum + issue.count, 0)).toBe(3000)
})

test('T62 PR-11 numbers keep their digits', async () => {
  const text =
    '{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Observation","id":"o",\n "valueQuantity":{"value":1.00,"big":12345678901234567890}}}]}'
  const record = await collect(reader({ search: () => [parsePage(() => text)?.page as Page] }), {
    plan: labs,
  })
  const [line] = record.lines('Observation')
  expect(line).toContain('"value":1.00,"big":12345678901234567890')
  expect(line).not.toContain('\n')
})

test('F23 T60 pages without end stop, and the row says so', async () => {
  function* endless() {
    for (;;) yield pageOf([])
  }
  const record = await collect(reader({ search: endless }), { plan: labs })
  expect(row(record, 'Laboratory')).toMatchObject({ status: 'truncated', reason: 'endless' })
})

test('a query stops at maxResources; one that just meets it is whole', async () => {
  const search = () => [pageOf(observations(0, 6)), pageOf(observations(6, 4))]
  const short = await collect(reader({ search }), { plan: labs, maxResources: 9 })
  expect(row(short, 'Laboratory')).toMatchObject({ status: 'truncated', count: 9, reason: 'limit' })
  const whole = await collect(reader({ search }), { plan: labs, maxResources: 10 })
  expect(row(whole, 'Laboratory')).toMatchObject({ status: 'received', count: 10 })
})

test('F40 when access ends half-way, what was read is kept and the rest is failed', async () => {
  const ended = error('TOKEN_ENDED')
  let asked = 0
  const record = await collect(
    reader({
      search: () => {
        asked++
        return asked === 1 ? [pageOf(observations(0, 3))] : [ended]
      },
    }),
    { plan: usCore.only('Patient', 'Laboratory', 'Procedures', 'Goals'), concurrency: 1 },
  )
  expect(record.completeness.map(({ status, reason }) => [status, reason])).toEqual([
    ['received', undefined],
    ['received', undefined],
    ['failed', 'TOKEN_ENDED'],
    ['failed', 'TOKEN_ENDED'],
  ])
  expect(asked).toBe(2)
})

test('when nothing at all could be read, collect throws what stood in the way', async () => {
  for (const code of ['TOKEN_ENDED', 'FHIR_UNREACHABLE'] as const) {
    const fault = error(code)
    const nothing = collect(reader({ read: () => fault, search: () => [fault] }), { plan: usCore })
    await expect(nothing).rejects.toBe(fault)
  }
})

test('4.7 since asks for what changed, and for everything where the server does not know how', async () => {
  const since = new Date('2026-01-02T03:04:05.000Z')
  const asked: unknown[] = []
  const record = await collect(
    reader({
      search: (type, search) => {
        asked.push([type, search._lastUpdated ?? search.date])
        return type !== 'Immunization' && search._lastUpdated !== undefined
          ? [error('FHIR_BAD_REQUEST', { reason: 'not-supported' })]
          : [pageOf([{ resourceType: type, id: '1' }])]
      },
    }),
    { plan: usCore.only('Patient', 'Immunizations', 'Procedures', 'Goals'), since, concurrency: 1 },
  )
  expect(asked).toEqual([
    ['Procedure', 'gt2025-12-26T03:04:05.000Z'],
    // By its clinical date, and what has none by nothing.
    ['Procedure', 'ge2025-12-26T03:04:05.000Z'],
    ['Immunization', 'ge2025-12-26T03:04:05.000Z'],
    ['Goal', undefined],
  ])
  expect(record.completeness.map((one) => one.status)).toEqual(Array(4).fill('received'))
  expect(record.since).toEqual(since)
})

test('progress comes after each page, and a progress bar that throws stops nothing', async () => {
  const seen: Progress[] = []
  const options: CollectOptions = {
    plan: usCore.only('Patient', 'Laboratory'),
    concurrency: 1,
    onProgress: (progress) => {
      seen.push(progress)
      throw new Error('the bar broke')
    },
  }
  const search = () => [pageOf(observations(0, 2)), pageOf(observations(2, 2))]
  const record = await collect(reader({ search }), options)
  expect(record.count()).toBe(5)
  expect(seen.map(({ done, total, resources, dataClass }) => [done, total, resources, dataClass])).toEqual([
    [1, 2, 1, 'Patient'],
    [1, 2, 3, 'Laboratory'],
    [1, 2, 5, 'Laboratory'],
    [2, 2, 5, 'Laboratory'],
  ])
  expect(seen[0]?.provider).toEqual({ id: 'memory', name: 'Memory' })
  const asynchronous = { ...options, onProgress: () => Promise.reject(new Error('later')) as never }
  expect((await collect(reader({ search }), asynchronous)).count()).toBe(5)
})

test('F68 an abort at any page rejects with its reason, also when the reader never answers', async () => {
  const pages = 12
  for (let stopAt = 0; stopAt <= pages; stopAt++) {
    const controller = new AbortController()
    const reason = new Error(`stopped at ${stopAt}`)
    let seen = 0
    const hanging = new Promise<never>(() => {})
    const promise = collect(
      reader({
        async *search() {
          for (let page = 0; page < 4; page++) {
            if (seen++ === stopAt) {
              controller.abort(reason)
              await hanging
            }
            yield pageOf(observations(seen, 1))
          }
        },
      }),
      { plan: usCore.only('Laboratory', 'Procedures', 'Goals'), signal: controller.signal },
    )
    if (stopAt < pages) await expect(promise).rejects.toBe(reason)
    else await expect(promise).resolves.toBeDefined()
  }
  await expect(collect(reader(), { plan: labs, signal: AbortSignal.abort('before') })).rejects.toBe('before')
})

test('the record is the same in whichever order the server answers', async () => {
  const all = [
    ...observations(0, 6),
    ...Array.from({ length: 3 }, (_, version) => observation('twice', { n: version })),
    observation('stranger', { subject: { reference: 'Patient/p9' } }),
  ]
  const linesOf = async (order: Resource[], size: number): Promise<string[]> => {
    const pages: Page[] = []
    for (let at = 0; at < order.length; at += size) pages.push(pageOf(order.slice(at, at + size)))
    return [...(await collect(reader({ search: () => pages }), { plan: labs })).lines('Observation')]
  }
  const expected = await linesOf(all, all.length)
  await fc.assert(
    fc.asyncProperty(
      fc.shuffledSubarray(all, { minLength: all.length }),
      fc.integer({ min: 1, max: 5 }),
      async (order, size) => {
        expect(await linesOf(order, size)).toEqual(expected)
      },
    ),
    { numRuns: 50 },
  )
})

test('a wiped record holds nothing, not for those who hold a piece of it either', async () => {
  const bytes = new TextEncoder().encode('note')
  const document = {
    resourceType: 'DocumentReference',
    id: 'd',
    content: [{ attachment: { url: 'Binary/1' } }, { attachment: { data: 'bm90ZQ==' } }],
  } as Resource
  const record = await collect(
    reader({
      search: () => [pageOf([document])],
      files: new Map([['Binary/1', { contentType: 'text/plain', bytes }]]),
    }),
    { plan: usCore.only('Documents') },
  )
  const kept = [...record.attachments]
  const walking = record.resources()[Symbol.iterator]()
  expect(kept.map((one) => one.bytes())).toEqual([bytes, bytes])
  record.wipe()
  expect([record.count(), record.types(), [...record.lines('DocumentReference')]]).toEqual([0, {}, []])
  expect([record.attachments, record.issues]).toEqual([[], []])
  expect(walking.next().done).toBe(true)
  for (const attachment of kept) expect(() => attachment.bytes()).toThrow(TypeError)
})

test('wrong arguments are TypeErrors at once', () => {
  expect(() => collect(reader(), {} as never)).toThrow(TypeError)
  expect(() => collect(reader(), { plan: labs, since: new Date('never') })).toThrow(TypeError)
  expect(() => collect(reader(), { plan: labs, concurrency: 0 })).toThrow(TypeError)
  expect(() => collect(reader(), { plan: labs, maxResources: Number.NaN })).toThrow(TypeError)
})

test('a search that two classes share is asked once', async () => {
  const [goals] = usCore.only('Goals').classes
  const plan = definePlan<string>({
    id: 'two',
    title: 'Two',
    classes: [goals as never, { ...(goals as object), name: 'Aims' } as never],
  })
  let asked = 0
  const record = await collect(
    reader({
      search: () => {
        asked++
        return [pageOf([{ resourceType: 'Goal', id: 'g' }])]
      },
    }),
    { plan },
  )
  expect(asked).toBe(1)
  expect(record.completeness.map(({ count }) => count)).toEqual([1, 1])
})

test('the times of a record come from the clock', async () => {
  let now = 1_000
  const clock = { ...ambientClock, now: () => now++ }
  const record = await collect(reader(), { plan: labs, platform: { clock, crypto: ambientCrypto } })
  expect([record.startedAt.getTime(), record.collectedAt.getTime()]).toEqual([1_000, 1_001])
})

test('each class is told in a sentence, whole or not', async () => {
  const plan = usCore.only(
    'Patient',
    'Laboratory',
    'Vital Signs',
    'Goals',
    'Procedures',
    'Devices',
    'Specimens',
    'Problems',
  )
  const record = await collect(
    reader({
      scopes: [
        'patient/Patient.rs',
        'patient/Observation.rs',
        'patient/Goal.rs',
        'patient/Procedure.rs',
        'patient/Device.rs',
        'patient/Specimen.rs',
        'patient/Condition.rs?category=problem-list-item',
      ],
      search: (type, search) => {
        if (type === 'Observation')
          return String(search.category).endsWith('laboratory')
            ? [pageOf(observations(0, 1))]
            : [pageOf(observations(10, 2)), error('FHIR_SERVER_ERROR')]
        if (type === 'Procedure') return [error('FHIR_FORBIDDEN')]
        if (type === 'Device') return [error('FHIR_NOT_FOUND')]
        if (type === 'Specimen') return [error('FHIR_TIMEOUT')]
        return [pageOf([])]
      },
    }),
    { plan: definePlan({ ...plan, classes: [...plan.classes, ...usCore.only('Encounters').classes] }) },
  )
  const told = explainRecord(record, usCore)
  expect(told.map(({ dataClass, whole, sentence }) => [dataClass, whole, sentence.split(': ')[1]])).toEqual([
    ['Patient', true, '1 entry from Memory.'],
    ['Problems', false, '0 entries from Memory; you gave access to a part of it.'],
    ['Laboratory', true, '1 entry from Memory.'],
    ['Vital Signs', false, '2 entries from Memory, and some could not be had.'],
    ['Procedures', false, 'Memory did not hand it out.'],
    ['Goals', true, 'Memory has none.'],
    ['Devices', false, 'Memory does not offer it to apps.'],
    ['Specimens', false, 'Memory could not be reached for it; it can be tried again later.'],
    ['Encounters', false, 'you did not give access to it.'],
  ])
  expect(told[0]?.sentence).toMatch(/^Your name/)
})
