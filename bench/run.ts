import { fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import {
  type Connection,
  collect,
  createClient,
  definePlan,
  type Plan,
  type Provider,
  type ResourceType,
  usCore,
} from '@s4s/core'
import { testPlatform } from '@s4s/core/testing'
import { nodePlatform } from '@s4s/node'
import { collectGarbage, median } from './patient.js'

// The SDK beside other clients, in one run on one machine, turn about. `npm run bench` installs the others, prints the
// tables and writes them into README.md; `-- quick` goes through everything once and writes nothing.

const quick = process.argv.includes('quick')
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
if (!existsSync(here('peers/node_modules'))) throw new Error('npm run bench installs what it compares with')

type Walk = (type: ResourceType, search: Record<string, string>) => AsyncIterable<unknown>
const { peers, resolvers } = (await import(here('peers/peers.mjs'))) as {
  peers: Record<string, (base: string) => Walk>
  resolvers: Record<
    string,
    (base: string) => (type: ResourceType, search: Record<string, string>, paths: string[]) => Promise<void>
  >
}

const hospital = fork(here('hospital.ts'), { execArgv: process.execArgv })
const [{ provider }] = (await once(hospital, 'message')) as [{ provider: Provider }]
const tell = async (wanted: object): Promise<void> => {
  hospital.send(wanted)
  await once(hospital, 'message')
}
const connect = async (fetch?: typeof globalThis.fetch): Promise<Connection> => {
  const client = createClient({
    platform: testPlatform(fetch ? { fetch: fetch as never } : {}),
    redirectUri: 'http://127.0.0.1/callback',
    providers: [provider],
    plan: usCore,
  })
  const { state } = await client.authorize(provider.id)
  return client.callback(`http://127.0.0.1/callback?code=c&state=${state}`)
}
const connection = await connect()
const guarded = await connect(nodePlatform({ providers: [provider] }).fetch as never)
const walks: Record<string, Walk> = {
  ...Object.fromEntries(Object.entries(peers).map(([name, make]) => [name, make(provider.iss)])),
  s4s: (type, search) => connection.search(type as 'Observation', search as never),
  's4s, @s4s/node': (type, search) => guarded.search(type as 'Observation', search as never),
}

type Table = Record<string, Record<string, string>>
const tables: [title: string, table: Table][] = []
const show = (title: string, table: Table): void => {
  tables.push([title, table])
  process.stdout.write(`\n${title}\n`)
  console.table(table)
}

try {
  await paging()
  await wholePatient()
  await references()
  await memory()
  if (!quick) write()
} finally {
  hospital.kill()
}

async function paging(): Promise<void> {
  await tell({ lengths: {}, latency: 0 })
  const table: Table = Object.fromEntries(Object.keys(walks).map((name) => [name, {}]))
  for (const latency of [0, 20, 100])
    for (const perPage of [50, 100, 1000]) {
      const pages = latency === 0 ? 20_000 / perPage : 10
      await tell({ latency, total: pages * perPage, perPage })
      const rounds = quick ? 1 : latency === 0 ? 9 : 1
      const took: Record<string, { ms: number[]; cpu: number[]; first: number[] }> = {}
      for (let round = 0; round <= rounds; round++)
        for (const [name, walk] of Object.entries(walks)) {
          const cpu = process.cpuUsage()
          const started = performance.now()
          let first = 0
          let count = 0
          for await (const _ of walk('Observation', { patient: 'p1' }))
            if (count++ === 0) first = performance.now() - started
          const ms = performance.now() - started
          const { user, system } = process.cpuUsage(cpu)
          if (count !== pages * perPage) throw new Error(`${name} brought ${count}`)
          // The first round warms up.
          if (round === 0 && rounds > 1) continue
          took[name] ??= { ms: [], cpu: [], first: [] }
          took[name]?.ms.push(ms)
          took[name]?.cpu.push(user + system)
          took[name]?.first.push(first)
        }
      const raw = took['raw fetch']
      if (!raw) continue
      for (const [name, one] of Object.entries(took)) {
        const row = table[name] as Record<string, string>
        row[`${perPage} a page, ${latency} ms`] = (median(raw.ms) / median(one.ms)).toFixed(2)
        if (latency === 0 && perPage === 100) {
          row['CPU × raw'] = (median(one.cpu) / median(raw.cpu)).toFixed(2)
          row['first resource × raw'] = (median(one.first) / median(raw.first)).toFixed(2)
        }
      }
    }
  show('Paging observations of 1 kB: times as fast as a loop of fetch', table)
}

/** 25 searches, 96 requests; the longest chain is the critical path. */
async function wholePatient(): Promise<void> {
  const latency = 50
  const lengths: Record<string, number> = {
    ...{ Observation: 20, DocumentReference: 10, DiagnosticReport: 8, Encounter: 8, MedicationRequest: 6 },
    ...{ Procedure: 6, Condition: 4, ServiceRequest: 4 },
  }
  const others =
    'AllergyIntolerance CarePlan CareTeam Coverage Device Goal Immunization MedicationDispense Specimen RelatedPerson FamilyMemberHistory QuestionnaireResponse Appointment'
  for (const type of others.split(' ')) lengths[type] = 2
  for (const type of ['EpisodeOfCare', 'ImagingStudy', 'NutritionOrder', 'Flag']) lengths[type] = 1
  await tell({ latency, lengths })
  const types = Object.keys(lengths) as ResourceType[]
  const expected = Object.values(lengths).reduce((sum, pages) => sum + pages, 0) * 50
  const plan: Plan = definePlan({
    id: 'bench',
    title: 'Bench',
    classes: types.map((type) => ({
      name: type,
      type,
      searches: [type === 'Observation' ? { category: 'laboratory' } : {}],
      says: type,
      spec: '',
    })),
  })
  const drain = async (walk: Walk, type: ResourceType): Promise<number> => {
    let count = 0
    for await (const _ of walk(type, { patient: 'p1' })) count++
    return count
  }
  const oneByOne = (walk: Walk) => async (): Promise<number> => {
    let count = 0
    for (const type of types) count += await drain(walk, type)
    return count
  }
  const contestants: Record<string, () => Promise<number>> = {
    ...Object.fromEntries(
      ['raw fetch', 'fhir-kit-client', 'fhirclient', '@medplum/core'].map((name) => [
        `${name}, one search after the other`,
        oneByOne(walks[name] as Walk),
      ]),
    ),
    'raw fetch, all searches at once': async () =>
      (await Promise.all(types.map((type) => drain(walks['raw fetch'] as Walk, type)))).reduce(
        (sum, count) => sum + count,
        0,
      ),
    's4s collect, 4 at a time, undivided': async () =>
      (await collect(connection, { plan, split: false })).count(),
    's4s collect, 6 at a time, undivided': async () =>
      (await collect(connection, { plan, concurrency: 6, split: false })).count(),
    's4s collect, 6 at a time': async () => (await collect(connection, { plan, concurrency: 6 })).count(),
    's4s collect, 8 at a time': async () => (await collect(connection, { plan, concurrency: 8 })).count(),
  }
  const took: Record<string, number[]> = {}
  for (let round = 0; round < (quick ? 1 : 3); round++)
    for (const [name, run] of Object.entries(contestants)) {
      const started = performance.now()
      const count = await run()
      if (count !== expected) throw new Error(`${name} brought ${count} of ${expected}`)
      took[name] = [...(took[name] ?? []), performance.now() - started]
    }
  const critical = (lengths.Observation ?? 0) * latency
  const kit = median(took['fhir-kit-client, one search after the other'] ?? [])
  show(
    `A whole patient: 25 searches, 96 requests of ${latency} ms; the critical path is ${critical} ms`,
    Object.fromEntries(
      Object.entries(took).map(([name, all]) => [
        name,
        {
          ms: median(all).toFixed(0),
          '× critical path': (median(all) / critical).toFixed(2),
          'times as fast as fhir-kit-client': (kit / median(all)).toFixed(1),
        },
      ]),
    ),
  )
}

async function references(): Promise<void> {
  const plan = definePlan({
    id: 'bench',
    title: 'Bench',
    classes: usCore.only('Medications').classes,
  })
  const collected = async (includes: boolean): Promise<void> => {
    await tell({ latency: 20, lengths: {}, includes })
    const record = await collect(connection, { plan })
    if (record.count('Medication') !== 150) throw new Error(`${record.count('Medication')} medications`)
  }
  const contestants: Record<string, () => Promise<void>> = {
    's4s collect, by _include': () => collected(true),
    's4s collect, by _id, as the server ignores _include': () => collected(false),
    ...Object.fromEntries(
      Object.entries(resolvers).map(([name, make]) => [
        `${name}, each reference`,
        () => make(provider.iss)('MedicationRequest', { patient: 'p1' }, ['medicationReference']),
      ]),
    ),
  }
  const took: Record<string, number[]> = {}
  for (let round = 0; round < (quick ? 1 : 3); round++)
    for (const [name, run] of Object.entries(contestants)) {
      const started = performance.now()
      await run()
      took[name] = [...(took[name] ?? []), performance.now() - started]
    }
  const included = median(took['s4s collect, by _include'] ?? [])
  show(
    'References: 2,000 prescriptions that point to 150 medications, 20 ms a request',
    Object.fromEntries(
      Object.entries(took).map(([name, all]) => [
        name,
        { ms: median(all).toFixed(0), '× _include': (median(all) / included).toFixed(2) },
      ]),
    ),
  )
}

async function memory(): Promise<void> {
  const total = quick ? 100_000 : 1_000_000
  await tell({ latency: 0, lengths: {}, total, perPage: 1000 })
  const table: Table = {}
  let count = 0
  let most = 0
  const heap = (): number => {
    collectGarbage()
    return process.memoryUsage().heapUsed / 1_000_000
  }
  const before = heap()
  for await (const _ of connection.search('Observation', { patient: 'p1' })) {
    count++
    if (count === 10_000 || count % (total / 5) === 0) {
      const grown = heap() - before
      most = Math.max(most, grown)
      table[`after ${count.toLocaleString('en')}`] = { 'live heap, MB above the start': grown.toFixed(1) }
    }
  }
  if (count !== total) throw new Error(`${count} resources`)
  show(`Memory: one search of ${total.toLocaleString('en')} resources, streamed`, table)
}

function write(): void {
  const path = here('README.md')
  const text = readFileSync(path, 'utf8')
  const [before = '', after = ''] = text.split(/<!-- figures -->[\s\S]*<!-- end of figures -->/)
  const date = new Date().toISOString().slice(0, 10)
  const [cpu] = cpus()
  const versions = JSON.parse(readFileSync(here('peers/package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  const figures = [
    `Measured on ${date} by \`npm run bench\`: ${cpus().length} × ${cpu?.model.trim() ?? 'unknown'}, Node ${process.versions.node}, loopback, beside ${Object.entries(
      versions.dependencies,
    )
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}.`,
    ...tables.map(([title, table]) => `### ${title}\n\n${markdown(table)}`),
  ]
  writeFileSync(
    path,
    `${before}<!-- figures -->\n\n${figures.join('\n\n')}\n\n<!-- end of figures -->${after}`,
  )
}

function markdown(table: Table): string {
  const heads = [...new Set(Object.values(table).flatMap((row) => Object.keys(row)))]
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [
    line(['', ...heads]),
    `|${'---|'.repeat(heads.length + 1)}`,
    ...Object.entries(table).map(([name, row]) => line([name, ...heads.map((head) => row[head] ?? '')])),
  ].join('\n')
}
