import { gunzipSync } from 'node:zlib'
import { beforeEach, expect, test } from 'vitest'
import { generateRecords } from '../data/index.js'
import { type Access, createFhirServer, createRepository, type Repository } from './index.js'

const base = 'http://127.0.0.1:4000/fhir'
const all: Access = { scopes: ['system/*.rs'] }
let repository: Repository
let serve: (request: Request) => Promise<Response>
let access: Access

beforeEach(() => {
  access = all
  repository = createRepository(generateRecords({ only: ['camila', 'leo'] }))
  serve = createFhirServer({
    base,
    repository,
    authorize: async () => access,
    bulk: { pendingPolls: 0, linesPerFile: 20 },
  })
})

interface Manifest {
  readonly request: string
  readonly transactionTime: string
  readonly requiresAccessToken: boolean
  readonly output: readonly { readonly type: string; readonly url: string; readonly count: number }[]
  readonly deleted?: readonly { readonly type: string; readonly url: string }[]
  readonly error: readonly { readonly type: string; readonly url: string }[]
}

const prefer = { prefer: 'respond-async' }
const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
  serve(new Request(`${base}/${path}`, { headers: prefer, ...init }))

async function manifestOf(kickOff: Response): Promise<Manifest> {
  expect(kickOff.status, await kickOff.clone().text()).toBe(202)
  const status = await serve(new Request(kickOff.headers.get('content-location') as string))
  expect(status.status).toBe(200)
  return (await status.json()) as Manifest
}

async function linesOf(url: string): Promise<{ resourceType: string; id: string }[]> {
  const answer = await serve(new Request(url))
  expect(answer.headers.get('content-type')).toBe('application/fhir+ndjson')
  return (await answer.text())
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
}

test('a kick-off, a poll, several files for a type, and every line is a resource of that type', async () => {
  const manifest = await manifestOf(await ask('Patient/$export'))
  expect(manifest).toMatchObject({ request: `${base}/Patient/$export`, requiresAccessToken: true, error: [] })
  const observations = manifest.output.filter(({ type }) => type === 'Observation')
  expect(observations.length).toBeGreaterThan(1)
  for (const { type, url, count } of manifest.output) {
    const lines = await linesOf(url)
    expect(lines.length).toBe(count)
    expect(lines.every(({ resourceType }) => resourceType === type)).toBe(true)
  }
  const patients = manifest.output.filter(({ type }) => type === 'Patient')
  expect((await linesOf(patients[0]?.url as string)).map(({ id }) => id).sort()).toEqual(['camila', 'leo'])
})

test('an export that is still being made says how far it is, and refuses who asks too soon', async () => {
  serve = createFhirServer({ base, repository, authorize: async () => access, bulk: { pendingPolls: 1 } })
  const location = (await ask('$export')).headers.get('content-location') as string
  const first = await serve(new Request(location))
  expect([first.status, first.headers.get('retry-after')]).toEqual([202, '1'])
  expect(first.headers.get('x-progress')).toBe('50% complete')
  const second = await serve(new Request(location))
  expect([second.status, second.headers.get('retry-after')]).toEqual([429, '1'])
  expect(await second.json()).toMatchObject({ resourceType: 'OperationOutcome' })
  await new Promise((resolve) => setTimeout(resolve, 1000))
  expect((await serve(new Request(location))).status).toBe(200)
})

test('a group is exported by its members, and posted parameters narrow it further', async () => {
  const member = ['leo', 'camila'].map((id) => ({ entity: { reference: `Patient/${id}` } }))
  repository.put({ resourceType: 'Group', id: 'both', type: 'person', actual: true, member })
  repository.put({ resourceType: 'Group', id: 'child', type: 'person', actual: true, member: [member[0]] })
  const people = async (answer: Response): Promise<string[]> => {
    const { output } = await manifestOf(answer)
    return (await linesOf(output.find(({ type }) => type === 'Patient')?.url as string)).map(({ id }) => id)
  }
  expect(await people(await ask('Group/child/$export?_type=Patient'))).toEqual(['leo'])
  expect((await ask('Group/nobody/$export')).status).toBe(404)
  const parameter = [
    { name: '_type', valueString: 'Patient' },
    { name: 'patient', valueReference: { reference: 'Patient/camila' } },
  ]
  const posted = {
    method: 'POST',
    headers: { ...prefer, 'content-type': 'application/fhir+json' },
    body: JSON.stringify({ resourceType: 'Parameters', parameter }),
  }
  expect(await people(await ask('Group/both/$export', posted))).toEqual(['camila'])
})

test('_since brings what is newer and says what was removed', async () => {
  const before = new Date().toISOString()
  await new Promise((resolve) => setTimeout(resolve, 5))
  repository.put({
    resourceType: 'Observation',
    id: 'new',
    status: 'final',
    subject: { reference: 'Patient/leo' },
  })
  const [gone] = repository.of('leo', 'Immunization')
  repository.remove('Immunization', gone?.id as string)
  const { output, deleted } = await manifestOf(await ask(`Patient/$export?_since=${before}`))
  expect(output.map(({ type }) => type)).toEqual(['Observation'])
  expect((await linesOf(output[0]?.url as string)).map(({ id }) => id)).toEqual(['new'])
  const [bundle] = (await linesOf(deleted?.[0]?.url as string)) as unknown as [{ entry: unknown }]
  expect(bundle?.entry).toEqual([{ request: { method: 'DELETE', url: gone?.key } }])
})

test('_typeFilter narrows a type and leaves the others whole', async () => {
  const filter = encodeURIComponent('Observation?category=vital-signs')
  const { output } = await manifestOf(
    await ask(`Patient/$export?_type=Observation,Patient&_typeFilter=${filter}`),
  )
  const total = output.filter(({ type }) => type === 'Observation').reduce((sum, { count }) => sum + count, 0)
  const vitals = [...repository.all('Observation')].filter(({ text }) => text.includes('"vital-signs"'))
  expect(total).toBe(vitals.length)
  expect(output.some(({ type }) => type === 'Patient')).toBe(true)
})

test('a token opens only what its system scopes reach; a patient’s own token exports nothing', async () => {
  access = { scopes: ['patient/*.rs'], patient: 'leo' }
  expect((await ask('Patient/$export')).status).toBe(403)
  access = { scopes: ['system/Patient.rs'] }
  expect((await ask('Patient/$export?_type=Patient,Observation')).status).toBe(403)
  const lenient = { headers: { prefer: 'respond-async, handling=lenient' } }
  const { output, error } = await manifestOf(await ask('Patient/$export?_type=Patient,Observation', lenient))
  expect(output.map(({ type }) => type)).toEqual(['Patient'])
  const [outcome] = (await linesOf(error[0]?.url as string)) as unknown as [{ issue: unknown[] }]
  expect(outcome?.issue[0]).toMatchObject({ code: 'forbidden', expression: ['Observation'] })
})

test('what an export does not know is an OperationOutcome and no file', async () => {
  for (const [path, status] of [
    ['$export?_outputFormat=text/csv', 400],
    ['$export?_since=yesterday', 400],
    ['$export?_typeFilter=Observation%3Fno-such%3D1', 400],
    ['$export?organizeOutputBy=Patient', 400],
    ['$export-status/none', 404],
    ['$export-file/none/1.ndjson', 404],
  ] as const) {
    const answer = await ask(path)
    expect([path, answer.status]).toEqual([path, status])
    expect(await answer.json()).toMatchObject({ resourceType: 'OperationOutcome' })
  }
  expect((await ask('Patient/$export', { headers: {} })).status).toBe(400)
  expect((await ask('Patient/$export', { method: 'PUT', headers: prefer })).status).toBe(405)
})

test('a file comes whole, in part or in fewer bytes, and not after the export was deleted', async () => {
  const kickOff = await ask('Patient/$export?_type=Patient')
  const { output } = await manifestOf(kickOff)
  const url = output[0]?.url as string
  const whole = await serve(new Request(url))
  const text = await whole.text()
  const etag = whole.headers.get('etag') as string
  const part = await serve(new Request(url, { headers: { range: 'bytes=10-', 'if-range': etag } }))
  expect([part.status, await part.text()]).toEqual([206, text.slice(10)])
  expect((await serve(new Request(url, { headers: { range: 'bytes=10-', 'if-range': '"x"' } }))).status).toBe(
    200,
  )
  expect((await serve(new Request(url, { headers: { range: 'bytes=9999999-' } }))).status).toBe(416)
  const zipped = await serve(new Request(url, { headers: { 'accept-encoding': 'gzip' } }))
  expect(gunzipSync(new Uint8Array(await zipped.arrayBuffer())).toString()).toBe(text)
  const location = kickOff.headers.get('content-location') as string
  expect((await serve(new Request(location, { method: 'DELETE' }))).status).toBe(202)
  expect((await serve(new Request(location))).status).toBe(404)
  expect((await serve(new Request(url))).status).toBe(404)
})
