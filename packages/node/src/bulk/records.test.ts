import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  collect,
  createClient,
  createPackage,
  definePlan,
  defineStudy,
  type PatientRecord,
  recordConsent,
  usCore,
} from '@s4s/core'
import { type BackendService, createBackendService, privateKeyJwt } from '@s4s/core/confidential'
import { generateRecords, type Sandbox, startSandbox } from '@s4s/sandbox'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { nodePlatform } from '../platform.js'
import { type Child, startChild } from '../test-support/child.js'
import { type BulkOptions, type BulkProgress, bulkRecords } from './index.js'
import { hashOf } from './test-support/hash-of.js'

const key = randomBytes(32).toString('base64')
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's4s-bulk-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

function serviceAt(sandbox: Sandbox, more: { alg?: string; scope?: string } = {}): BackendService {
  const { alg = 'ES384', scope = 'system/*.rs' } = more
  const pair = sandbox.keys.find((one) => one.alg === alg) as Sandbox['keys'][number]
  const provider = {
    id: 'town',
    name: 'Town',
    iss: sandbox.iss,
    clientId: 's4s-backend',
    auth: privateKeyJwt(pair.privateKey, pair.kid),
  }
  return createBackendService({ platform: nodePlatform({ providers: [provider] }), provider, scope })
}

async function collectedOf(sandbox: Sandbox, patient: string, plan = usCore): Promise<PatientRecord> {
  const client = createClient({
    platform: nodePlatform(),
    redirectUri: 'http://127.0.0.1:9/callback',
    providers: [sandbox.provider],
    plan,
  })
  const { url } = await client.authorize(sandbox.provider.id)
  const connection = await client.callback(await sandbox.approve(url, { patient }))
  return collect(connection, { plan })
}

const linesIn = (record: PatientRecord): string[] =>
  Object.keys(record.types()).flatMap((type) => [...record.lines(type)].map((line) => `${type} ${line}`))
const rowsIn = (record: PatientRecord): string[] =>
  record.completeness.map(({ dataClass, status, count }) => `${dataClass} ${status} ${count}`)
const statusIn = (record: PatientRecord, dataClass: string): string | undefined =>
  record.completeness.find((row) => row.dataClass === dataClass)?.status

async function all(records: AsyncIterable<PatientRecord>): Promise<Map<string, PatientRecord>> {
  const found = new Map<string, PatientRecord>()
  for await (const record of records) found.set(record.patient, record)
  return found
}

async function filesIn(at: string): Promise<string[]> {
  const found = await readdir(at, { recursive: true, withFileTypes: true })
  return found.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name))
}

describe('of a sandbox with several people', () => {
  let sandbox: Sandbox
  let options: BulkOptions
  const collecteds = new Map<string, PatientRecord>()
  beforeAll(async () => {
    sandbox = await startSandbox({
      people: ['camila', 'leo', 'daniel', 'sam'],
      bulk: { linesPerFile: 100, pendingPolls: 0 },
    })
    const member = ['daniel', 'leo'].map((id) => ({ entity: { reference: `Patient/${id}` } }))
    sandbox.records.put({ resourceType: 'Group', id: 'sleep', type: 'person', actual: true, member })
    sandbox.records.put({
      resourceType: 'Group',
      id: 'child',
      type: 'person',
      actual: true,
      member: member.slice(1),
    })
    for (const one of ['daniel', 'leo', 'sam']) collecteds.set(one, await collectedOf(sandbox, one))
  })
  afterAll(() => sandbox.stop())
  beforeEach(() => {
    sandbox.clearRequests()
    options = { plan: usCore, folder, key }
  })
  afterEach(() => sandbox.faults.clear())
  const asked = (): string[] =>
    sandbox.requests.map(({ method, path }) => `${method} ${path.split('?')[0]?.replace(/[\w-]{22}/, 'id')}`)

  test.each([
    ['RS384', 'child', ['leo']],
    ['ES384', 'sleep', ['daniel', 'leo']],
  ])(
    'a service with a key for %s gets for each member of a group the record that the member would have collected',
    async (alg, group, members) => {
      const seen: BulkProgress[] = []
      const records = bulkRecords(serviceAt(sandbox, { alg }), {
        ...options,
        group,
        onProgress: (progress) => seen.push(progress),
      })
      const found = await all(records)
      expect([...found.keys()].sort()).toEqual(members)
      const requests = asked()
      for (const [patient, record] of found) {
        const collected = collecteds.get(patient) as PatientRecord
        expect(linesIn(record)).toEqual(linesIn(collected))
        expect(rowsIn(record)).toEqual(rowsIn(collected))
        const files = (of: PatientRecord): string[] =>
          of.attachments.map(({ source, status, sha256 }) => `${source} ${status} ${sha256}`).sort()
        expect(files(record)).toEqual(files(collected))
        expect(record.issues).toEqual(collected.issues)
      }
      expect(requests.filter((one) => one === `GET /fhir/Group/${group}/$export`).length).toBe(1)
      expect(requests.filter((one) => one === 'DELETE /fhir/$export-status/id').length).toBe(1)
      expect(requests.some((one) => /GET \/fhir\/(Observation|Patient)/.test(one))).toBe(false)
      expect(records.report()).toMatchObject({ patients: members.length, issues: [], removed: [] })
      expect(new Set(seen.map(({ phase }) => phase))).toEqual(new Set(['files', 'sorting', 'records']))
      expect(seen.at(-1)).toEqual({ phase: 'records', done: members.length, total: members.length })
      // Nothing of anybody is left.
      expect((await filesIn(folder)).filter((path) => !path.includes('/locks/'))).toEqual([])
    },
  )

  test('a record of an export is shared as any other', async () => {
    const plan = usCore.only('Patient', 'Immunizations')
    const study = defineStudy({
      id: 'sleep',
      title: 'Sleep',
      purpose: 'We study sleep.',
      plan,
      recipient: 'https://sleep.example/inbox',
      consent: { version: '1', text: 'I agree.' },
    })
    const records = [
      ...(await all(bulkRecords(serviceAt(sandbox), { ...options, plan, patients: ['leo'] }))).values(),
    ]
    const consent = recordConsent(study, {
      participant: 'p-1',
      signature: 'A parent',
      dataClasses: ['Immunizations'],
    })
    const made = await createPackage(records, { study, consent })
    expect(made.manifest.sources.map(({ patient, counts }) => [patient, Object.keys(counts)])).toEqual([
      ['leo', ['Immunization']],
    ])
  })

  test('T37 what lies on disk meanwhile cannot be read without the key', async () => {
    const records = bulkRecords(serviceAt(sandbox), { ...options, group: 'sleep' })[Symbol.asyncIterator]()
    const first = (await records.next()).value as PatientRecord
    const paths = await filesIn(folder)
    expect(paths.length).toBeGreaterThan(3)
    for (const path of paths) {
      const bytes = await readFile(path)
      expect(path).not.toMatch(/leo|daniel/)
      for (const secret of ['Patient/leo', 'daniel', 'resourceType', sandbox.iss])
        expect(bytes.includes(secret)).toBe(false)
    }
    await records.return?.()
    // Who stops between two records goes on with the one that was not finished.
    const rest = await all(bulkRecords(serviceAt(sandbox), { ...options, group: 'sleep' }))
    expect(rest.size).toBe(2)
    expect(rest.get(first.patient) && linesIn(rest.get(first.patient) as PatientRecord)).toEqual(
      linesIn(first),
    )
    expect(asked().filter((one) => one.endsWith('/$export')).length).toBe(1)
  })

  test('only the patients who were named are asked for, and the lines of others are in no record', async () => {
    const records = bulkRecords(serviceAt(sandbox), { ...options, patients: ['leo', 'sam'] })
    expect([...(await all(records)).keys()].sort()).toEqual(['leo', 'sam'])
    expect(asked()).toContain('POST /fhir/Patient/$export')
  })

  test('F35 it waits as long as it is told to, and is never told that it asks too soon', async () => {
    await using own = await startSandbox({ people: ['sam'], bulk: { pendingPolls: 2 } })
    const waited: number[] = []
    const onProgress = ({ phase, done }: BulkProgress): void => {
      if (phase === 'waiting') waited.push(done)
    }
    expect((await all(bulkRecords(serviceAt(own), { ...options, onProgress }))).size).toBe(1)
    expect(waited).toEqual([33, 67])
    const polls = own.requests.filter(({ path }) => path.includes('/$export-status')).slice(0, 3)
    const pauses = polls.slice(1).map(({ at }, index) => at.getTime() - (polls[index]?.at.getTime() ?? 0))
    expect(pauses.every((pause) => pause >= 990)).toBe(true)
  })

  test('T49 a service with fewer scopes is told which classes were not granted', async () => {
    const service = serviceAt(sandbox, { scope: 'system/Patient.rs system/Immunization.rs' })
    const record = (await all(bulkRecords(service, { ...options, patients: ['leo'] }))).get('leo')
    expect(record && statusIn(record, 'Immunizations')).toBe('received')
    expect(record && statusIn(record, 'Laboratory')).toBe('not-granted')
  })

  test('only what is new since the last export comes, and what was removed is said', async () => {
    await using own = await startSandbox({ people: ['leo', 'sam'], bulk: { pendingPolls: 0 } })
    const whole = bulkRecords(serviceAt(own), {
      ...options,
      plan: usCore.only('Patient', 'Vital Signs', 'Immunizations'),
    })
    const before = (await all(whole)).get('leo') as PatientRecord
    const since = whole.report()?.transactionTime as Date
    const [gone] = [...before.resources('Immunization')]
    const [vital] = [...before.resources('Vital Signs')]
    await new Promise((resolve) => setTimeout(resolve, 5))
    own.records.remove('Immunization', gone?.id as string)
    const { meta: _, ...told } = vital as unknown as { meta: unknown; resourceType: string }
    own.records.put({ ...told, id: 'new' })
    const later = bulkRecords(serviceAt(own), {
      ...options,
      plan: usCore.only('Patient', 'Vital Signs', 'Immunizations'),
      since,
    })
    const found = await all(later)
    expect([...found.keys()]).toEqual(['leo'])
    const record = found.get('leo') as PatientRecord
    expect([...record.resources('Vital Signs')].map(({ id }) => id)).toEqual(['new'])
    expect([...record.resources('Patient')].map(({ id }) => id)).toEqual(['leo'])
    expect(record.since).toEqual(since)
    expect(later.report()?.removed).toEqual([`Immunization/${gone?.id}`])
  })

  test('a class that was narrowed by a filter is not called whole', async () => {
    const records = bulkRecords(serviceAt(sandbox), {
      ...options,
      patients: ['leo'],
      plan: usCore.only('Patient', 'Vital Signs', 'Immunizations'),
      typeFilters: ['Observation?category=vital-signs'],
    })
    const record = (await all(records)).get('leo') as PatientRecord
    expect(rowsIn(record).map((row) => row.replace(/ \d+$/, ''))).toEqual([
      'Patient received',
      'Vital Signs truncated',
      'Immunizations received',
    ])
  })

  test('a type that the server does not have, and a filter that it does not know, are said', async () => {
    const plan = definePlan({
      id: 'own',
      title: 'Own',
      classes: [
        ...usCore.only('Patient', 'Immunizations').classes,
        { name: 'Measures', type: 'Measure', searches: [{}], says: '', spec: '' },
      ],
    })
    const records = bulkRecords(serviceAt(sandbox), {
      ...options,
      plan,
      patients: ['leo'],
      typeFilters: ['Immunization?no-such=1'],
    })
    const record = (await all(records)).get('leo') as PatientRecord
    expect(statusIn(record, 'Measures')).toBe('not-supported')
    expect(statusIn(record, 'Immunizations')).toBe('truncated')
    expect(records.report()?.issues).toEqual([
      { kind: 'server', type: 'Immunization', detail: 'not-supported', count: 1 },
    ])
  })

  test('F68 who aborts while files come leaves nothing behind, at the server or here', async () => {
    const stop = new AbortController()
    const reason = new Error('enough')
    const records = bulkRecords(serviceAt(sandbox), {
      ...options,
      signal: stop.signal,
      onProgress: ({ phase }) => {
        if (phase === 'files') stop.abort(reason)
      },
    })
    await expect(all(records)).rejects.toBe(reason)
    expect(asked().at(-1)).toBe('DELETE /fhir/$export-status/id')
    expect((await filesIn(folder)).filter((path) => !path.includes('/locks/'))).toEqual([])
  })

  test('F1 F3 F4 F61 a server that fails and slows down for a while costs time and nothing else', async () => {
    const is =
      (part: string) =>
      ({ path }: { path: string }) =>
        path.includes(part)
    const slow = (): Response => new Response('', { status: 429, headers: { 'retry-after': '0' } })
    sandbox.faults.add({ match: is('/$export?'), respond: slow, times: 1 })
    sandbox.faults.add({ match: is('/$export-status'), respond: () => 'drop', times: 1 })
    sandbox.faults.add({ match: is('/$export-status'), respond: slow, times: 2 })
    sandbox.faults.add({
      match: is('/$export-file'),
      respond: () => new Response('', { status: 503 }),
      times: 2,
    })
    sandbox.faults.add({ match: is('/$export-file'), respond: () => 'drop', times: 1 })
    const found = await all(bulkRecords(serviceAt(sandbox), { ...options, patients: ['sam'] }))
    expect(linesIn(found.get('sam') as PatientRecord)).toEqual(
      linesIn(collecteds.get('sam') as PatientRecord),
    )
  })

  test('F25 an export that has expired when its files are fetched is begun anew', async () => {
    const service = serviceAt(sandbox)
    let expired = false
    sandbox.faults.add({
      match: ({ path }) => path.includes('/$export-file') && !expired,
      respond: async () => {
        expired = true
        const status = sandbox.requests.find(({ path }) => path.includes('/$export-status'))?.url as string
        await service.request({ url: status, method: 'DELETE' })
        return undefined
      },
    })
    const found = await all(bulkRecords(service, { ...options, patients: ['sam'] }))
    expect(found.size).toBe(1)
    expect(asked().filter((one) => one === 'POST /fhir/Patient/$export').length).toBe(2)
  })
})

const nextOf = (child: Child): Promise<string | undefined> => child.line().catch(() => undefined)

test('PR-09 F88 an export whose process is killed again and again ends with the same records', async () => {
  await using sandbox = await startSandbox({
    people: ['camila', 'daniel', 'leo'],
    bulk: { linesPerFile: 40, pendingPolls: 0 },
  })
  const script = fileURLToPath(new URL('./test-support/exporter.ts', import.meta.url))
  const pair = sandbox.keys.find(({ alg }) => alg === 'ES384') as Sandbox['keys'][number]
  const jwk = JSON.stringify({ ...(await crypto.subtle.exportKey('jwk', pair.privateKey)), kid: pair.kid })
  const running = new Set<Child>()
  let watched: { child: Child; files: number } | undefined
  let fetched = 0
  sandbox.faults.add({
    match: ({ path }) => path.includes('$export-file'),
    respond: async () => {
      fetched++
      if (watched && --watched.files === 0) await watched.child.kill()
      return undefined
    },
  })
  /** What it says until it ends, or is killed while it fetches so many files or when it has said so much. */
  const run = async (at: string, files: number, records: number, phase = 'none'): Promise<string[]> => {
    const child = startChild(script, at, key, sandbox.iss, jwk, phase)
    running.add(child)
    watched = { child, files }
    const said: string[] = []
    for (let line = await nextOf(child); line !== undefined; line = await nextOf(child)) {
      said.push(line)
      if (said.length >= records) await child.kill()
      else child.say('go on')
    }
    return said
  }
  const never = Number.POSITIVE_INFINITY
  try {
    const here = async (at: string): Promise<string[]> => {
      const said: string[] = []
      for await (const record of bulkRecords(serviceAt(sandbox), { plan: usCore, folder: at, key }))
        said.push(hashOf(record))
      return said
    }
    const straight = await here(join(folder, 'straight'))
    expect(straight.length).toBe(3)
    const total = fetched
    fetched = 0
    sandbox.clearRequests()
    const at = join(folder, 'killed')
    expect(await run(at, 8, never)).toEqual([])
    expect(await run(at, never, never, 'sorting')).toEqual([])
    const first = await run(at, never, 2)
    const last = await here(at)
    // The record in hand when it is killed is given again, and none is left out.
    expect(first).toEqual(straight.slice(0, 2))
    expect(last).toEqual(straight.slice(1))
    // What was under way when it was killed is fetched again, and no more.
    expect(fetched).toBeLessThanOrEqual(total + 2)
    expect(sandbox.requests.filter(({ path }) => path.includes('/$export?')).length).toBe(1)
  } finally {
    await Promise.all([...running].map((child) => child.kill()))
  }
}, 60_000)

test('a record of twenty thousand vital signs comes whole, beside others', async () => {
  await using sandbox = await startSandbox({ people: ['priya', 'sam'], bulk: { pendingPolls: 0 } })
  const plan = usCore.only('Patient', 'Vital Signs')
  const records = bulkRecords(serviceAt(sandbox), { plan, folder, key })
  const counts = new Map<string, number>()
  let ids = new Set<string | undefined>()
  for await (const record of records) {
    counts.set(record.patient, record.count('Vital Signs'))
    if (record.patient === 'priya') ids = new Set([...record.resources('Vital Signs')].map(({ id }) => id))
    expect(record.completeness.every(({ status }) => status === 'received' || status === 'none')).toBe(true)
  }
  expect(counts.get('priya')).toBeGreaterThan(20_000)
  expect(records.report()?.files).toBeGreaterThan(4)
  const all: { resourceType: string; id?: string }[] = [...generateRecords({ only: ['priya'] })]
  const vitals = all.filter(
    (one) => one.resourceType === 'Observation' && JSON.stringify(one).includes('"vital-signs"'),
  )
  expect(ids).toEqual(new Set(vitals.map(({ id }) => id)))
}, 60_000)
