import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Manifest } from '@s4s/core'
import { type Cell, type ColumnType, fromCsvText, rowsOfLine, sourceOf, tables } from '@s4s/core/tables'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createInbox, type StoredPackage } from '../inbox/index.js'
import { makePackage, sha256 } from '../inbox/test-support/make-package.js'
import { serve } from '../serve.js'
import { type Duck, openDuck } from '../test-support/duckdb.js'
import { type ExportFormat, exportPackages, heldPackages } from './index.js'

let top: string
let folder: string
let duck: Duck
let number = 0
beforeAll(async () => {
  top = await mkdtemp(join(tmpdir(), 's4s-tables-'))
  duck = await openDuck()
})
beforeEach(() => {
  folder = join(top, String(++number))
})
afterAll(async () => {
  duck.close()
  await rm(top, { recursive: true, force: true })
})

/** A package of lines of one type, as an inbox would open it; what is in it is up to the test. */
const packageOf = (type: string, lines: readonly string[], participant = 'p-1'): StoredPackage => {
  const { manifest } = makePackage()
  const path = `records/01/${type}-0001.ndjson`
  const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''))
  const part = { path, contentType: 'application/fhir+ndjson', size: bytes.length, sha256: sha256(bytes) }
  return {
    study: 'sleep',
    digest: sha256(`${participant}${lines.join()}`),
    participant,
    receivedAt: '2026-01-02T03:04:05.678Z',
    manifest: { ...manifest, participant, parts: [{ ...part, resources: lines.length }] } as Manifest,
    async *read() {
      // In pieces that end anywhere, also inside a character.
      for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000)
    },
  }
}
async function* each(...packages: readonly StoredPackage[]): AsyncGenerator<StoredPackage> {
  yield* packages
}
const expectedRows = (stored: StoredPackage, table: string, type: string, lines: readonly string[]) =>
  lines.flatMap((line) =>
    [...rowsOfLine({ type, line, source: sourceOf(stored, 'records/01') })]
      .filter((row) => row.table.name === table)
      .map(({ cells }) => [...cells]),
  )
const columnsOf = (name: string) => tables.find((table) => table.name === name)?.columns ?? []

const fromDuck = (type: ColumnType, value: unknown): Cell => {
  if (value === null || value === undefined) return null
  if (type === 'timestamp')
    return new Date(`${String(value).replace(' ', 'T').replace(/\+00$/, '')}Z`).toISOString()
  return type === 'double' ? Number(value) + 0 : (value as Cell)
}
const hostile = fc
  .array(
    fc.tuple(
      fc.constantFrom(
        ...[
          'id',
          'status',
          'code',
          'category',
          'effectiveDateTime',
          'valueQuantity',
          'valueString',
          'component',
        ],
        ...[
          'interpretation',
          'note',
          'referenceRange',
          'issued',
          'encounter',
          'meta',
          '__proto__',
          'valueInteger',
        ],
      ),
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.string({ unit: fc.constantFrom('"', ',', '\n', '\r', "'", '=', '\0', 'é', '😀', '\ud800', '\\') }),
        fc.jsonValue({ maxDepth: 3 }),
        fc.constantFrom(
          '2020',
          '2020-05',
          '2020-05-04',
          '2020-05-04T23:30:00.5-05:00',
          '0001-01-01',
          '9999-12-31',
        ),
        fc.record({
          value: fc.double(),
          unit: fc.string(),
          code: fc.string({ unit: 'binary' }),
          text: fc.string(),
        }),
        fc.record({
          coding: fc.array(fc.record({ system: fc.string(), code: fc.string({ unit: 'binary' }) })),
        }),
        fc.array(fc.record({ valueQuantity: fc.record({ value: fc.double() }), text: fc.string() })),
      ),
    ),
  )
  .map((members) => {
    const texts = members.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value) ?? 'null'}`)
    return `{${['"resourceType":"Observation"', ...texts].join(',')}}`
  })

test('T57 whatever a hospital has sent, Parquet gives back what the tables say, cell by cell', async () => {
  const columns = columnsOf('observations')
  await fc.assert(
    fc.asyncProperty(fc.array(hostile, { minLength: 1, maxLength: 8 }), async (lines) => {
      folder = join(top, String(++number))
      const stored = packageOf('Observation', lines)
      await exportPackages(each(stored), { format: 'parquet', folder })
      const found = await duck.rows(`select * from read_parquet('${join(folder, 'observations.parquet')}')`)
      expect(found.map((row) => columns.map(({ name, type }) => fromDuck(type, row[name])))).toEqual(
        expectedRows(stored, 'observations', 'Observation', lines).map((cells) =>
          cells.map((cell) => (typeof cell === 'number' ? cell + 0 : cell)),
        ),
      )
      const json = await duck.rows(`select json from read_parquet('${join(folder, 'resources.parquet')}')`)
      expect(json.map((row) => row.json)).toEqual(lines)
    }),
    { numRuns: 25 },
  )
}, 60_000)

test('T66 T57 whatever a hospital has sent, CSV gives back what the tables say, cell by cell', async () => {
  const columns = columnsOf('observations')
  await fc.assert(
    fc.asyncProperty(fc.array(hostile, { minLength: 1, maxLength: 8 }), async (lines) => {
      folder = join(top, String(++number))
      const stored = packageOf('Observation', lines)
      await exportPackages(each(stored), { format: 'csv', folder })
      const found = await duck.rows(
        `select * from read_csv('${join(folder, 'observations.csv')}',
          all_varchar = true, header = true, delim = ',', quote = '"', escape = '"', new_line = '\\r\\n')`,
      )
      expect(
        found.map((row) =>
          columns.map(({ name, type }) => {
            const text = row[name] as string | null
            return text !== null && type === 'string' ? fromCsvText(text) : text
          }),
        ),
      ).toEqual(
        expectedRows(stored, 'observations', 'Observation', lines).map((cells) =>
          cells.map((cell) => (cell === null ? null : String(cell))),
        ),
      )
    }),
    { numRuns: 25 },
  )
}, 60_000)

test('a study that is larger than memory is written a group of rows at a time', async () => {
  const text = 'x'.repeat(60_000)
  const lines = Array.from(
    { length: 200 },
    (_, at) => `{"resourceType":"Condition","id":"c${at}","note":[{"text":"${text}"}]}`,
  )
  await exportPackages(each(packageOf('Condition', lines), packageOf('Condition', lines, 'p-2')), {
    format: 'parquet',
    folder,
  })
  for (const name of ['conditions', 'resources']) {
    const path = join(folder, `${name}.parquet`)
    const [groups] = await duck.rows(
      `select count(distinct row_group_id)::int as groups, max(row_group_num_rows)::int as most from parquet_metadata('${path}')`,
    )
    expect([name, groups]).toEqual([name, { groups: 6, most: 70 }])
    const [rows] = await duck.rows(
      `select count(*)::int as n, count(distinct resource_id)::int as ids from read_parquet('${path}')`,
    )
    expect(rows).toEqual({ n: 400, ids: 200 })
  }
})

test('an export that is stopped leaves nothing, and one that was killed is cleared away later', async () => {
  const stop = new AbortController()
  const reason = new Error('stopped')
  const done: number[] = []
  const twice = each(packageOf('Condition', ['{"id":"c1"}']), packageOf('Condition', ['{"id":"c2"}']))
  const stopped = exportPackages(twice, {
    format: 'csv',
    folder,
    signal: stop.signal,
    onProgress: ({ packages }) => {
      done.push(packages)
      stop.abort(reason)
    },
  })
  await expect(stopped).rejects.toBe(reason)
  expect(done).toEqual([1])
  const mine = async () => (await readdir(top)).filter((name) => name.includes(`${number}`))
  expect(await mine()).toEqual([])

  const left = join(top, `.${number}.0123456789ab.tmp`)
  await mkdir(left)
  await writeFile(join(left, 'patients.csv'), 'x')
  await utimes(left, 1, 1)
  await exportPackages(each(), { format: 'csv', folder })
  expect(await mine()).toEqual([String(number)])
})

test('a study without packages gives every table, empty, so that a script finds what it looks for', async () => {
  for (const format of ['csv', 'parquet', 'ndjson'] as const satisfies ExportFormat[]) {
    const out = join(folder, format)
    const report = await exportPackages(each(), { format, folder: out })
    expect(report).toMatchObject({ packages: 0, resources: 0, types: {}, attachments: 0 })
    expect((await readdir(out)).sort()).toEqual(
      [...tables.map(({ name }) => `${name}.${format}`), 'datapackage.json'].sort(),
    )
  }
  expect(
    await duck.rows(`select * from read_parquet('${join(folder, 'parquet', 'patients.parquet')}')`),
  ).toEqual([])
  expect(await readFile(join(folder, 'csv', 'goals.csv'), 'utf8')).toMatch(/^package,participant,.*\r\n$/)
})

test('F17 whoever withdraws while an export is made is not in it: there is none', async () => {
  const study = { id: 'sleep', key: 'study-key-sleep' }
  const inbox = createInbox({ folder: join(folder, 'inbox'), studies: [study] })
  const { url, stop } = await serve(inbox.handler)
  const post = (path: string, body?: string, method = 'POST') =>
    fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${study.key}` },
      ...(body ? { body } : {}),
    })
  try {
    const made = ['p-1', 'p-2'].map((participant) =>
      makePackage({ participant, consent: { id: `of-${participant}` } }),
    )
    for (const { bytes, digest, parts } of made) {
      expect((await post('/packages', bytes)).status).toBe(201)
      for (const text of parts.values())
        expect((await post(`/packages/${digest}/parts/${sha256(text)}`, text, 'PUT')).status).toBe(204)
      expect((await post(`/packages/${digest}/complete`)).status).toBe(201)
    }
    const withdraw = async (at: number) => {
      const { digest, manifest, withdrawalKey } = made[at] as (typeof made)[number]
      const said = { format: 's4s-withdrawal/1', study: 'sleep', ask: 'delete', at: new Date().toISOString() }
      const { participant, consent } = manifest
      const notice = { ...said, digest, participant, consent: consent.id, key: withdrawalKey }
      expect((await post('/withdrawals', JSON.stringify(notice))).status).toBe(200)
    }
    const before = await exportPackages(heldPackages(inbox, 'sleep'), {
      format: 'csv',
      folder: join(folder, 'a'),
    })
    expect(before.packages).toBe(2)

    // The first is read already, the second not yet.
    const out = join(folder, 'b')
    const halfway = exportPackages(
      (async function* () {
        for await (const stored of heldPackages(inbox, 'sleep')) {
          yield stored
          if (stored.participant === 'p-1') await withdraw(0)
        }
      })(),
      { format: 'csv', folder: out },
    )
    await expect(halfway).rejects.toMatchObject({ code: 'SHARE_WITHDRAWN' })
    const behind = exportPackages(
      (async function* () {
        for await (const stored of heldPackages(inbox, 'sleep')) {
          await withdraw(1)
          yield stored
        }
      })(),
      { format: 'csv', folder: out },
    )
    await expect(behind).rejects.toMatchObject({ code: 'SHARE_WITHDRAWN' })
    expect((await readdir(folder)).sort()).toEqual(['a', 'inbox'])
    expect(await exportPackages(heldPackages(inbox, 'sleep'), { format: 'csv', folder: out })).toMatchObject({
      packages: 0,
    })
  } finally {
    await stop()
  }
})

test('T65 a file of a package is taken over only under the digest of its own bytes', async () => {
  const good = 'a letter'
  const inside = sha256(good)
  const { manifest } = makePackage()
  const parts = [
    { path: `records/01/attachments/${inside}.pdf`, sha256: inside, size: 8, contentType: 'application/pdf' },
    // Named as the letter of somebody else.
    {
      path: `records/01/attachments/${sha256('other')}.pdf`,
      sha256: inside,
      size: 8,
      contentType: 'application/pdf',
    },
    { path: 'records/01/attachments.ndjson', sha256: inside, size: 8, contentType: 'application/x-ndjson' },
  ]
  const listed = parts.map(({ path }) =>
    JSON.stringify({ source: 'DocumentReference/d', status: 'received', path }),
  )
  const stored: StoredPackage = {
    ...packageOf('Condition', []),
    manifest: { ...manifest, parts },
    async *read(path) {
      yield Buffer.from(path.endsWith('.ndjson') ? listed.join('\n') : good)
    },
  }
  const report = await exportPackages(each(stored, stored), { format: 'csv', folder })
  expect(report.attachments).toBe(1)
  expect(await readdir(join(folder, 'attachments'))).toEqual([`${inside}.pdf`])
  expect(await readFile(join(folder, 'attachments', `${inside}.pdf`), 'utf8')).toBe(good)
  const rows = (await readFile(join(folder, 'attachments.csv'), 'utf8')).trimEnd().split('\r\n').slice(1)
  expect(rows.map((row) => row.split(',').at(-1))).toEqual([
    `attachments/${inside}.pdf`,
    '',
    '',
    `attachments/${inside}.pdf`,
    '',
    '',
  ])
})

test('wrong arguments are told of at once', async () => {
  await expect(exportPackages(each(), { format: 'xlsx' as 'csv', folder })).rejects.toBeInstanceOf(TypeError)
  await expect(exportPackages(each(), { format: 'csv', folder: '' })).rejects.toBeInstanceOf(TypeError)
  await writeFile(folder, 'a file')
  await expect(exportPackages(each(), { format: 'csv', folder })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  })
})
