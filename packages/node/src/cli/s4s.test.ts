import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { fileURLToPath } from 'node:url'
import {
  collect,
  createClient,
  defineStudy,
  httpDelivery,
  type PatientRecord,
  recordConsent,
  type Share,
  share,
  usCore,
  withdraw,
} from '@s4s/core'
import { tables } from '@s4s/core/tables'
import { startSandbox } from '@s4s/sandbox'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createInbox, createStudyKeys, type Inbox } from '../inbox/index.js'
import { nodePlatform } from '../platform.js'
import { type Served, serve } from '../serve.js'
import { type Duck, openDuck } from '../test-support/duckdb.js'
import { run } from './run.js'

const program = fileURLToPath(new URL('./s4s.ts', import.meta.url))
const tsx = createRequire(import.meta.url).resolve('tsx')
const node = ['--conditions=@s4s/source', '--import', tsx, program]
const keys = await createStudyKeys()
const studies = [
  { id: 'open', key: 'study-key-open' },
  { id: 'sealed', key: 'study-key-sealed', signingKey: keys.inbox.signingKey },
  { id: 'later', key: 'study-key-later' },
]
const people = { 'p-1': 'camila', 'p-2': 'daniel' } as const

let top: string
let folder: string
let inbox: Inbox
let served: Served
let duck: Duck
const records = new Map<string, PatientRecord>()

interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}
const s4s = (...typed: string[]): Promise<Ended> =>
  new Promise((resolve) =>
    execFile(process.execPath, [...node, ...typed], { maxBuffer: 1 << 26 }, (error, out, err) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, out, err }),
    ),
  )
/** As `s4s`, in this process: what is asked is what it says, not whether it starts. */
const here = async (...words: string[]): Promise<Ended> => {
  const [out, err] = [new PassThrough(), new PassThrough()]
  const code = await run(words, { out, err })
  const text = (stream: PassThrough): string => stream.read()?.toString() ?? ''
  return { code, out: text(out), err: text(err) }
}
const from = (study: string): string[] => ['--folder', folder, '--study', study]
const exporting = (study: string, format: string, name: string): string[] => [
  'inbox',
  'export',
  ...from(study),
  '--format',
  format,
  '--out',
  join(top, name),
]
const exportTo = (study: string, format: string, name: string, ...more: string[]): Promise<Ended> =>
  here(...exporting(study, format, name), ...more)
const studyOf = (id: string, more: object = {}) =>
  defineStudy({
    id,
    title: 'Sleep',
    purpose: 'Rest',
    plan: usCore,
    recipient: served.url,
    consent: { version: '3', text: 'I agree.' },
    ...more,
  })
const give = (id: string, participant: keyof typeof people, more: object = {}): Promise<Share> => {
  const study = studyOf(id, more)
  const consent = recordConsent(study, { participant, signature: 'Any Name' })
  const deliver = httpDelivery({ url: served.url, key: `study-key-${id}` })
  return share([records.get(participant) as PatientRecord], { study, consent, deliver })
}

beforeAll(async () => {
  top = await mkdtemp(join(tmpdir(), 's4s-export-'))
  folder = join(top, 'inbox')
  duck = await openDuck()
  inbox = createInbox({ folder, studies })
  served = await serve(inbox.handler)
  const sandbox = await startSandbox({ people: Object.values(people) })
  const client = createClient({
    platform: nodePlatform(),
    redirectUri: 'http://127.0.0.1:9/callback',
    providers: [sandbox.provider],
    plan: usCore,
  })
  for (const [participant, patient] of Object.entries(people)) {
    const { url } = await client.authorize(sandbox.provider.id, { participant })
    const connection = await client.callback(await sandbox.approve(url, { patient }), { participant })
    records.set(participant, await collect(connection, { plan: usCore }))
  }
  await sandbox.stop()
  await give('open', 'p-1')
  await give('open', 'p-2')
  await give('sealed', 'p-1', keys.study)
}, 120_000)
afterAll(async () => {
  duck.close()
  await served.stop()
  await rm(top, { recursive: true, force: true })
})

/** The records' own counts of resources, by type. */
const typesOf = (): Record<string, number> => {
  const sum: Record<string, number> = {}
  for (const record of records.values())
    for (const [type, count] of Object.entries(record.types())) sum[type] = (sum[type] ?? 0) + count
  return sum
}
// What looks like a number is read as one, and loses its digits, unless it is said to be text.
const digitsOf = (table: string): string => {
  const columns = tables.find(({ name }) => name === table)?.columns ?? []
  const digits = columns.filter(({ type }) => type === 'decimal').map(({ name }) => `'${name}': 'VARCHAR'`)
  return `{${[`'package': 'VARCHAR'`, ...digits].join(', ')}}`
}
const observationClasses = usCore.classes.filter(({ type }) => type === 'Observation').map(({ name }) => name)

describe.each([
  ['parquet', (name: string) => `read_parquet('${join(top, 'parquet', `${name}.parquet`)}')`],
  [
    'csv',
    (name: string) =>
      `read_csv('${join(top, 'csv', `${name}.csv`)}', sample_size = -1, types = ${digitsOf(name)})`,
  ],
  [
    'ndjson',
    (name: string) => `read_json('${join(top, 'ndjson', `${name}.ndjson`)}', format = 'newline_delimited')`,
  ],
])('an export as %s, opened in DuckDB', (format, at) => {
  let ended: Ended
  beforeAll(async () => {
    ended = await s4s(...exporting('open', format, format), '--json')
  }, 60_000)

  test('F19 the command ends well, and says how much of what there is', () => {
    expect(ended.err).toBe('')
    expect(ended.code).toBe(0)
    expect(JSON.parse(ended.out)).toMatchObject({ packages: 2, types: typesOf(), format })
  })

  test('F19 there are as many resources of each type as the records have, in all and for each participant', async () => {
    expect(
      await duck.counts(`select resource_type as name, count(*) as count from ${at('resources')} group by 1`),
    ).toEqual(typesOf())
    for (const [participant, record] of records) {
      const where = `where participant = '${participant}'`
      expect(
        await duck.counts(
          `select resource_type as name, count(*) as count from ${at('resources')} ${where} group by 1`,
        ),
      ).toEqual(record.types())
    }
  })

  test('F19 each table has a row for each resource of its types, and its parts beside', async () => {
    const types = typesOf()
    for (const { name, types: of, columns } of tables) {
      const expected = of.reduce((sum, type) => sum + (types[type] ?? 0), 0)
      if (expected === 0) continue
      const part = columns.find(({ name }) => ['component', 'condition', 'answer'].includes(name))?.name
      const [row] = await duck.rows(
        `select count(*)::int as n from ${at(name)} ${part ? `where ${part} is null` : ''}`,
      )
      expect([name, row?.n]).toEqual([name, expected])
    }
    const [pressures] = await duck.rows(
      `select count(*)::int as n from ${at('observations')} where component is not null and code = '8480-6'`,
    )
    expect(pressures?.n).toBeGreaterThan(5)
  })

  test('F19 labs, vital signs, smoking and the other classes count what the records count', async () => {
    for (const [participant, record] of records) {
      for (const name of observationClasses) {
        const [row] = await duck.rows(
          `select count(*)::int as n from ${at('observations')} where component is null
           and participant = '${participant}' and list_contains(string_split(data_classes, '; '), '${name}')`,
        )
        expect([participant, name, row?.n]).toEqual([participant, name, record.count(name)])
      }
      expect(
        await duck.counts(
          `select data_class as name, count from ${at('completeness')} where participant = '${participant}'`,
        ),
      ).toEqual(Object.fromEntries(record.completeness.map(({ dataClass, count }) => [dataClass, count])))
    }
  })

  test('each column is there under its name, and its values are of its kind', async () => {
    const { resources } = JSON.parse(await readFile(join(top, format, 'datapackage.json'), 'utf8')) as {
      resources: { name: string; path: string; rows: number; schema: { fields: { name: string }[] } }[]
    }
    expect(resources.map(({ name }) => name)).toEqual(tables.map(({ name }) => name))
    for (const { name, rows, schema } of resources.filter(({ rows }) => rows > 0)) {
      const described = await duck.rows(`describe select * from ${at(name)}`)
      expect(described.map((one) => one.column_name)).toEqual(schema.fields.map((field) => field.name))
      const [counted] = await duck.rows(`select count(*)::int as n from ${at(name)}`)
      expect([name, counted?.n]).toEqual([name, rows])
    }
    const [row] = await duck.rows(
      `select value, value_digits::varchar as digits, effective, effective_date::varchar as day,
        effective_time::timestamptz::varchar as time
       from ${at('observations')} where resource_id = 'camila-observation-11'`,
    )
    expect(row).toMatchObject({ value: 84, digits: '84', day: '2025-06-12', time: '2025-06-12 15:15:00+00' })
  })
})

test('Parquet has the types that a researcher computes with', async () => {
  const described = await duck.rows(
    `describe select * from read_parquet('${join(top, 'parquet', 'observations.parquet')}')`,
  )
  const types = Object.fromEntries(described.map((one) => [one.column_name, one.column_type]))
  expect(types).toMatchObject({
    package: 'VARCHAR',
    component: 'INTEGER',
    effective: 'VARCHAR',
    effective_date: 'DATE',
    effective_time: 'TIMESTAMP WITH TIME ZONE',
    value: 'DOUBLE',
    value_digits: 'VARCHAR',
    value_boolean: 'BOOLEAN',
  })
  for (const { name } of tables) {
    const path = join(top, 'parquet', `${name}.parquet`)
    expect(await duck.rows(`select count(*)::int as n from read_parquet('${path}')`)).toHaveLength(1)
  }
})

test('the queries that docs/tables.md shows run, and find something', async () => {
  const page = await readFile(new URL('../../../../docs/tables.md', import.meta.url), 'utf8')
  const queries = [...page.matchAll(/```sql\n(.*?)```/gs)].map(([, query = '']) => query)
  expect(queries.length).toBeGreaterThanOrEqual(4)
  for (const query of queries) {
    const format = query.includes('.csv') ? 'csv' : 'parquet'
    const found = await duck.rows(query.replaceAll('sleep-2026/', `${join(top, format)}/`))
    expect([query, found.length > 0]).toEqual([query, true])
  }
})

test('PR-11 NDJSON has every resource as the hospital sent it, byte for byte', async () => {
  const fhir = join(top, 'ndjson', 'fhir')
  const types = typesOf()
  expect((await readdir(fhir)).sort()).toEqual(
    Object.keys(types)
      .map((type) => `${type}.ndjson`)
      .sort(),
  )
  for (const type of Object.keys(types)) {
    const sent = [...records.values()].flatMap((record) => [...record.lines(type)])
    expect(await readFile(join(fhir, `${type}.ndjson`), 'utf8')).toBe(
      sent.map((line) => `${line}\n`).join(''),
    )
  }
})

test('the letters and reports are beside the tables, each where its row says', async () => {
  const path = join(top, 'parquet', 'attachments.parquet')
  const rows = await duck.rows<Record<'resource' | 'file' | 'size', string>>(
    `select resource, file, size from read_parquet('${path}') where status = 'received'`,
  )
  const received = [...records.values()].flatMap(({ attachments }) =>
    attachments.filter(({ status }) => status === 'received'),
  )
  expect(rows).toHaveLength(received.length)
  expect(received.length).toBeGreaterThan(3)
  for (const { file, size } of rows) {
    const bytes = await readFile(join(top, 'parquet', file))
    expect(bytes.length).toBe(Number(size))
    expect(file).toContain(createHash('sha256').update(bytes).digest('hex'))
  }
})

test('nobody but whoever made an export can read it', async () => {
  expect((await stat(join(top, 'csv'))).mode & 0o077).toBe(0)
  for (const name of await readdir(join(top, 'ndjson'), { recursive: true }))
    expect((await stat(join(top, 'ndjson', name))).mode & 0o077).toBe(0)
})

describe('sealed packages', () => {
  test('F14 T76 are opened with the key that the study team keeps in a file, and in no other way', async () => {
    const [right, wrong, set] = ['right.jwk', 'wrong.jwk', 'set.json'].map((name) => join(top, name))
    const other = await createStudyKeys()
    await writeFile(right as string, JSON.stringify(keys.inbox.openKeys[0]))
    await writeFile(wrong as string, JSON.stringify(other.inbox.openKeys[0]))
    await writeFile(
      set as string,
      JSON.stringify({ keys: [...other.inbox.openKeys, ...keys.inbox.openKeys] }),
    )

    for (const given of [[], ['--open-key', wrong as string]]) {
      const { code, err, out } = await exportTo('sealed', 'parquet', 'sealed', ...given)
      expect([code, out]).toEqual([1, ''])
      expect(err).toBe('s4s: a package is sealed, and no key that was given with --open-key opens it\n')
    }
    expect((await readdir(top)).filter((name) => name.includes('sealed'))).toEqual([])

    for (const [name, ...given] of [
      ['sealed-1', '--open-key', wrong, '--open-key', right],
      ['sealed-2', `--open-key=${set}`],
    ] as string[][]) {
      expect((await exportTo('sealed', 'parquet', name as string, ...given)).code).toBe(0)
      const path = join(top, name as string, 'resources.parquet')
      expect(
        await duck.counts(
          `select resource_type as name, count(*) as count from read_parquet('${path}') group by 1`,
        ),
      ).toEqual(records.get('p-1')?.types())
    }
  }, 60_000)

  test('are listed and verified without the key as well', async () => {
    const [pack] = await inbox.packages('sealed')
    const listed = await s4s('inbox', 'packages', ...from('sealed'))
    expect(listed.out.split('\n')).toEqual([
      'digest\tparticipant\treceived\tresources\tbytes\tstatus',
      [pack?.digest, 'p-1', pack?.receivedAt, pack?.resources, pack?.bytes, 'stored'].join('\t'),
      '',
    ])
    expect(await s4s('inbox', 'verify', ...from('sealed'))).toEqual({
      code: 0,
      out: `${pack?.digest}\tok\n`,
      err: '',
    })
  })
})

test('F17 who has withdrawn is in no export that is made afterwards', async () => {
  const study = studyOf('later')
  const deliver = httpDelivery({ url: served.url, key: 'study-key-later' })
  await give('later', 'p-1')
  const shared = await give('later', 'p-2')
  expect((await exportTo('later', 'csv', 'before')).code).toBe(0)
  expect(await readFile(join(top, 'before', 'packages.csv'), 'utf8')).toContain(shared.digest)

  await withdraw(shared, { deliver })
  expect((await exportTo('later', 'csv', 'after')).code).toBe(0)
  for (const name of await readdir(join(top, 'after'))) {
    const text = await readFile(join(top, 'after', name), 'utf8').catch(() => '')
    expect(text).not.toContain(shared.digest)
    expect(text).not.toContain('daniel')
    expect(text).not.toContain('p-2')
  }
  expect(await readFile(join(top, 'after', 'packages.csv'), 'utf8')).toContain('p-1')
  expect((await here('inbox', 'packages', ...from(study.id))).out).toContain('deleted')
}, 60_000)

test('a package that the disk has changed is found by verify, and is in no export', async () => {
  const stored = join(folder, 'packages', 'later')
  const [digest] = await readdir(stored)
  const part = join(stored, digest as string, 'records', '01', 'Condition-0001.ndjson')
  const before = await readFile(part, 'utf8')
  await writeFile(part, before.replace('active', 'absent'))
  const verified = await s4s('inbox', 'verify', ...from('later'))
  expect([verified.code, verified.out]).toEqual([1, `${digest}\tdigest\trecords/01/Condition-0001.ndjson\n`])
  const verifiedJson = await here('inbox', 'verify', ...from('later'), '--json')
  expect(JSON.parse(verifiedJson.out)).toEqual([
    { digest, ok: false, faults: [{ path: 'records/01/Condition-0001.ndjson', fault: 'digest' }] },
  ])
  const { code, err } = await exportTo('later', 'parquet', 'changed')
  expect([code, err]).toEqual([
    1,
    's4s: a stored package is no longer what was sent; s4s inbox verify says which\n',
  ])
  expect((await readdir(top)).filter((name) => name.includes('changed'))).toEqual([])
  await writeFile(part, before)
}, 60_000)

describe('a study team that types it wrong', () => {
  const good = (): string[] => [
    'inbox',
    'export',
    ...from('open'),
    '--format',
    'csv',
    '--out',
    join(top, 'misspelt'),
  ]
  const cases: [string, () => string[], RegExp][] = [
    ['no command', () => [], /^s4s: which command\?\nTry: s4s --help\n$/],
    [
      'an unknown command',
      () => ['inbox', 'toString'],
      /^s4s: there is no command toString\nTry: s4s inbox --help\n$/,
    ],
    ['no folder', () => ['inbox', 'packages', '--study', 'open'], /Missing required argument: --folder/],
    [
      'a folder that is none',
      () => ['inbox', 'packages', '--folder', top, '--study', 'open'],
      /there is no inbox in/,
    ],
    [
      'a study that is none',
      () => ['inbox', 'packages', '--folder', folder, '--study', '../x'],
      /not the id of a study/,
    ],
    ['another format', () => [...good(), '--format', 'xlsx'], /--format is ndjson, csv or parquet/],
    [
      'an unknown option',
      () => [...good(), '--formt', 'csv'],
      /there is no option --formt|csv is not understood/,
    ],
    ['an option without a value', () => [...good(), '--open-key'], /--open-key needs a value/],
    [
      'a key that is no key',
      () => [...good(), '--open-key', join(folder, 'audit.ndjson')],
      /holds no private key/,
    ],
    ['a key that is not there', () => [...good(), '--open-key', join(top, 'none')], /cannot be read/],
    ['the inbox itself', () => [...good(), '--out', join(folder, 'packages')], /--out is inside the inbox/],
  ]
  test.each(cases)('%s: one sentence, exit code 2, nothing written', async (_, typed, sentence) => {
    const { code, out, err } = await here(...typed())
    expect(err).toMatch(sentence)
    expect(err.trimEnd().split('\n')).toHaveLength(2)
    expect([code, out]).toEqual([2, ''])
    expect((await readdir(top)).filter((name) => name.includes('misspelt'))).toEqual([])
  })

  test('the process ends with the same code and the same sentence', async () => {
    const wrong = ['inbox', 'packages', '--folder', top, '--study', 'open']
    expect(await s4s(...wrong)).toEqual(await here(...wrong))
    expect((await s4s(...wrong)).code).toBe(2)
  })

  test('a folder with something in it is left as it is', async () => {
    await mkdir(join(top, 'taken'))
    await writeFile(join(top, 'taken', 'thesis.txt'), 'x')
    const { code, err } = await exportTo('open', 'csv', 'taken')
    expect([code, err]).toEqual([1, 's4s: there is something in the folder already\n'])
    expect(await readdir(join(top, 'taken'))).toEqual(['thesis.txt'])
  })

  test('a study that the inbox does not know is told of', async () => {
    const { code, err } = await exportTo('opne', 'csv', 'unknown')
    expect([code, err]).toEqual([1, 's4s: the inbox has never had a package of the study opne\n'])
  })

  test('help says what each command takes', async () => {
    for (const typed of [['--help'], ['inbox', '--help'], ['inbox', 'export', '--help']]) {
      const { code, out, err } = await here(...typed)
      expect([code, err]).toEqual([0, ''])
      expect(out).toContain('USAGE')
      expect(out).not.toContain('\u001b')
    }
    expect((await here('inbox', 'export', '-h')).out).toMatch(/--open-key=<FILE>/)
    expect((await here('--version')).out).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})

test('whoever waits at a terminal sees how far it is, and a line that is cleared when it is done', async () => {
  const [out, err] = [new PassThrough(), Object.assign(new PassThrough(), { isTTY: true })]
  expect(await run(exporting('open', 'csv', 'watched'), { out, err })).toBe(0)
  const clear = '\r\u001b[K'
  const said = err.read()?.toString() ?? ''
  expect([said.slice(0, clear.length), said.slice(-clear.length)]).toEqual([clear, clear])
  expect(said).toMatch(/1 packages, \d+ resources/)
  expect(out.read()?.toString()).toMatch(/^packages\.csv\t2\n/)
})

test('output that nobody reads to its end is no error', async () => {
  const child = spawn(process.execPath, [...node, 'inbox', 'packages', ...from('open'), '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child.stdout.destroy()
  let err = ''
  child.stderr.on('data', (chunk) => {
    err += chunk
  })
  const code = await new Promise((resolve) => child.once('close', resolve))
  expect([code, err]).toEqual([0, ''])
})
