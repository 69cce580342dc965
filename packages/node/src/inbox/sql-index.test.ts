import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { databases } from '../test-support/databases.js'
import { noPostgres, startPostgres } from '../test-support/postgres.js'
import type { Sql } from './index.js'
import { type Desk, type DeskOptions, desks } from './test-support/desk.js'
import { type Made, makePackage } from './test-support/make-package.js'

const open = desks()
if (noPostgres !== undefined) console.warn(`Skipped: ${noPostgres}`)

const { all } = databases()
let schemas = 0
const weight = (id: string, value = 70) => ({
  ...{
    resourceType: 'Observation',
    id,
    effectiveDateTime: '2026-03-01',
    valueQuantity: { value, unit: 'kilograms, as measured' },
  },
  code: { coding: [{ system: 'http://loinc.org', code: '29463-7' }] },
})
const twice = (consent: string, participant = 'p-1'): Made =>
  makePackage({
    ...{ participant, consent: { id: consent } },
    more: { north: [weight('a')], south: [weight('b')] },
  })

for (const [name, database, missing] of all) {
  describe.skipIf(missing !== undefined)(name, () => {
    const fresh = () => ({ index: database(), indexSchema: `inbox_${++schemas}` })
    const allOf = async ({ inbox }: Desk) => ({
      packages: await inbox.packages('sleep'),
      withdrawals: await inbox.withdrawals('sleep'),
      duplicates: await inbox.duplicates('sleep'),
    })
    // An inbox on the same folder without the database says what is true.
    const truth = async ({ folder }: Desk, options: DeskOptions = {}) =>
      allOf(await open({ ...options, folder }))
    const countOf = async ({ index, indexSchema }: { index: Sql; indexSchema: string }, table: string) =>
      Number((await index.query(`SELECT count(*) AS n FROM ${indexSchema}.${table}`)).rows[0]?.n)

    test('F21 the lists that come from the database are those of the folder, also after a withdrawal', async () => {
      const sql = fresh()
      const desk = await open(sql)
      const [one, two, three] = [twice('c-1'), twice('c-2'), twice('c-3', 'p-2')]
      for (const made of [one, two, three]) expect((await desk.deliver(made)).status).toBe(201)
      expect(await allOf(desk)).toEqual(await truth(desk))
      expect((await allOf(desk)).duplicates.counts).toEqual({ Observation: 2 })
      await desk.withdraw(one)
      await desk.withdraw(three, { ask: 'stop' })
      const found = await allOf(desk)
      expect(found).toEqual(await truth(desk))
      expect(found.packages.map(({ status }) => status).sort()).toEqual(['stored', 'withdrawn', 'withdrawn'])
      // They do come from there: what is written there is what is shown.
      await sql.index.query(`UPDATE ${sql.indexSchema}.packages SET resources = 4711`)
      expect((await desk.inbox.packages('sleep'))[0]?.resources).toBe(4711)
      const { rows } = await sql.index.query(
        `SELECT count(*) AS n FROM ${sql.indexSchema}.marks WHERE digest = $1`,
        [one.digest],
      )
      expect(Number(rows[0]?.n)).toBe(0)
    })

    test('F21 what happened while the database was not told is in it at the next start', async () => {
      const sql = fresh()
      const desk = await open(sql)
      const [kept, gone, late, stopped] = ['c-1', 'c-2', 'c-3', 'c-4'].map((one) => twice(one)) as Made[]
      for (const made of [kept, gone, stopped] as Made[]) await desk.deliver(made)
      await allOf(desk)
      // As after a kill between the folder and the database, both ways.
      const deaf = await open({ folder: desk.folder })
      await deaf.deliver(late as Made)
      await deaf.withdraw(gone as Made)
      await deaf.withdraw(stopped as Made, { ask: 'stop' })
      await rm(join(desk.folder, 'packages', 'sleep', (kept as Made).digest), { recursive: true })
      expect(await allOf(desk)).not.toEqual(await truth(desk))
      const next = await open({ ...sql, folder: desk.folder })
      expect(await allOf(next)).toEqual(await truth(desk))
      expect(await countOf(sql, 'packages')).toBe(3)
    })

    test('F21 reindex makes a database that was altered say what the folder says', async () => {
      const sql = fresh()
      const desk = await open(sql)
      for (const consent of ['c-1', 'c-2', 'c-3']) await desk.deliver(twice(consent))
      await desk.withdraw(twice('c-2'))
      await allOf(desk)
      const { indexSchema } = sql
      await sql.index.query(`UPDATE ${indexSchema}.packages SET participant = 'eve', state = 'stored'`)
      await sql.index.query(`UPDATE ${indexSchema}.marks SET mark = 'x'`)
      await sql.index.query(
        `INSERT INTO ${indexSchema}.packages (study, digest, participant, received_at, resources, bytes, state, completeness)
         VALUES ('sleep', 'nothing', 'eve', '', 0, 0, 'stored', '[]')`,
      )
      await desk.inbox.reindex()
      expect(await allOf(desk)).toEqual(await truth(desk))
    })

    test('F21 neither a name behind a pseudonym nor anything measured is in the database', async () => {
      const sql = fresh()
      const study = { pseudonymKey: 'a-secret-of-the-study-team-2026' }
      const desk = await open({ ...sql, study })
      await desk.deliver(twice('c-1', 'ada@example.org'))
      expect(await allOf(desk)).toEqual(await truth(desk, { study }))
      expect((await allOf(desk)).duplicates.hints).toHaveLength(1)
      for (const table of ['packages', 'marks', 'studies']) {
        const { rows } = await sql.index.query(`SELECT t::text AS row FROM ${sql.indexSchema}.${table} t`)
        expect(rows.length, table).toBeGreaterThan(0)
        for (const canary of ['ada@example', 'Canary', '29463', 'kilograms', '2026-03-01'])
          expect(JSON.stringify(rows)).not.toContain(canary)
      }
      // With another key they have other names, and the database follows.
      const other = { pseudonymKey: `${study.pseudonymKey}-2` }
      const next = await open({ ...sql, folder: desk.folder, study: other })
      const found = await allOf(next)
      expect(found).toEqual(await truth(desk, { study: other }))
      expect(found.packages[0]?.participant).not.toBe((await truth(desk, { study })).packages[0]?.participant)
    })

    test('F21 a package whose words no database can hold is stored and listed all the same', async () => {
      const sql = fresh()
      const desk = await open(sql)
      const made = makePackage({ participant: 'p\u0000\ud800 1', provider: 'Mercy\u0000\udfff' })
      expect((await desk.deliver(made)).status).toBe(201)
      await desk.deliver(twice('c-2'))
      const rows = await desk.inbox.packages('sleep')
      expect(rows.map(({ participant }) => participant).sort()).toEqual(['p-1', 'p\ufffd\ufffd 1'])
      expect(await readFile(join(desk.folder, 'audit.ndjson'), 'utf8')).not.toContain('"index"')
    })

    test('F21 two inboxes on one folder and one database deliver and withdraw at once, and agree in the end', async () => {
      const sql = fresh()
      const one = await open(sql)
      const two = await open({ ...sql, folder: one.folder })
      const all = Array.from({ length: 8 }, (_, at) => twice(`c-${at}`))
      await Promise.all(
        all.map(async (made, at) => {
          expect((await (at % 2 ? one : two).deliver(made)).status).toBe(201)
          if (at % 3 === 0) await (at % 2 ? two : one).withdraw(made)
          await (at % 2 ? two : one).inbox.duplicates('sleep')
        }),
      )
      const found = await truth(one)
      expect(await allOf(one)).toEqual(found)
      expect(await allOf(two)).toEqual(found)
      expect(found.withdrawals).toHaveLength(3)
    })
  })
}

test('F21 a database that is away keeps no package out: the lists come from the folder until it is back', async () => {
  const pool = new pg.Pool({ host: '127.0.0.1', port: 1, user: 's4s', connectionTimeoutMillis: 1000 })
  pool.on('error', () => {})
  const desk = await open({ index: pool })
  expect((await desk.deliver(twice('c-1'))).status).toBe(201)
  expect(await desk.inbox.packages('sleep')).toHaveLength(1)
  expect((await desk.inbox.duplicates('sleep')).counts).toEqual({ Observation: 1 })
  expect((await desk.withdraw(twice('c-1'))).body.deleted).toBe(true)
  expect(await desk.inbox.withdrawals('sleep')).toHaveLength(1)
  await expect(desk.inbox.reindex()).rejects.toThrow()
  expect(await readFile(join(desk.folder, 'audit.ndjson'), 'utf8')).toContain('"reason":"index"')
  await pool.end()
})

test.skipIf(noPostgres !== undefined)(
  'F21 a database that crashes while packages come and go is caught up when it is back',
  async () => {
    const own = await startPostgres()
    try {
      const desk = await open({ index: own.pool(), indexSchema: 'inbox' })
      const all = Array.from({ length: 9 }, (_, at) => twice(`c-${at}`))
      await Promise.all([
        ...all.map(async (made, at) => {
          expect((await desk.deliver(made)).status).toBe(201)
          if (at % 3 === 0) expect((await desk.withdraw(made)).status).toBe(200)
        }),
        own.crash(),
      ])
      const plain = await open({ folder: desk.folder })
      const next = await open({ index: own.pool(), indexSchema: 'inbox', folder: desk.folder })
      for (const one of [desk, next]) {
        expect(await one.inbox.packages('sleep')).toEqual(await plain.inbox.packages('sleep'))
        expect(await one.inbox.withdrawals('sleep')).toHaveLength(3)
      }
      const { rows } = await own.pool().query('SELECT count(*) AS n FROM inbox.packages')
      expect(Number(rows[0]?.n)).toBe(9)
    } finally {
      await own.stop()
    }
  },
  60_000,
)
