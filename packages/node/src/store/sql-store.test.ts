import { randomBytes } from 'node:crypto'
import type { Store } from '@s4s/core'
import { describe, expect, test } from 'vitest'
import { databases } from '../test-support/databases.js'
import { noPostgres } from '../test-support/postgres.js'
import { storeContract } from '../test-support/store-contract.js'
import { type KeyWrapping, localKey } from './key-wrapping.js'
import type { Sql } from './sql.js'
import { type SqlStoreOptions, sqlStore } from './sql-store.js'

const secret = (): string => randomBytes(32).toString('base64')
const keys = localKey('k1', secret())

if (noPostgres !== undefined) console.warn(`Skipped: ${noPostgres}`)

const { all, lite, postgres } = databases()
let made = 0
const freshSchema = (): string => `s4s_${++made}`

for (const [name, open, missing] of all) {
  describe.skipIf(missing !== undefined)(name, () => {
    const make = (options: Partial<SqlStoreOptions> = {}) =>
      sqlStore(open(), { keys, schema: freshSchema(), ...options })
    storeContract(`sqlStore on ${name}`, async (): Promise<Store> => make())

    test('T37 neither value, name nor key is in any row', async () => {
      const schema = freshSchema()
      const store = make({ schema })
      await store.set('connection/ann@example.org/1', '{"refreshToken":"canary-token"}')
      const sql = open()
      for (const table of ['entries', 'data_keys', 'leases', 'migrations']) {
        const { rows } = await sql.query(
          `SELECT encode(t::text::bytea, 'hex') AS row FROM ${schema}.${table} t`,
        )
        const text = rows.map(({ row }) => Buffer.from(String(row), 'hex').toString('latin1')).join('\n')
        for (const canary of ['canary', 'ann@example', 'refreshToken']) {
          expect(text).not.toContain(canary)
          expect(text).not.toContain(Buffer.from(canary).toString('hex'))
        }
      }
    })

    test('keys of one participant are found without those of others', async () => {
      const store = make()
      for (const who of ['a', 'ab', 'b'])
        for (const n of [1, 2]) await store.set(`connection/${who}/${n}`, who)
      expect((await store.keys('connection/a/')).sort()).toEqual(['connection/a/1', 'connection/a/2'])
      expect((await store.keys('connection/a')).length).toBe(4)
      expect(await store.keys('connection/a/1')).toEqual(['connection/a/1'])
    })

    test('values that change places are damaged values, told of and counted as absent', async () => {
      const schema = freshSchema()
      const told: string[] = []
      const store = make({ schema, onCorrupt: (id) => told.push(id) })
      await store.set('connection/a', 'token of a')
      await store.set('connection/b', 'token of b')
      const sql = open()
      const { rows } = await sql.query(`SELECT id, value FROM ${schema}.entries`)
      const [one, other] = rows
      await sql.query(`UPDATE ${schema}.entries SET value = $2 WHERE id = $1`, [one?.id, other?.value])
      const read = [await store.get('connection/a'), await store.get('connection/b')]
      expect(read.filter((value) => value !== undefined).length).toBe(1)
      expect(told).toEqual([one?.id])
    })

    test('a key that wraps is changed while others read and write; the old one is then needed no more', async () => {
      const schema = freshSchema()
      const [old, next] = [localKey('2025', secret()), localKey('2026', secret())]
      const before = sqlStore(open(), { schema, keys: old })
      for (let n = 0; n < 25; n++) await before.set(`connection/p/${n}`, `token ${n}`)
      const both = sqlStore(open(), { schema, keys: [next, old] })
      const running = sqlStore(open(), { schema, keys: [old, next] })
      expect(await running.get('connection/p/1')).toBe('token 1')
      const [resealed] = await Promise.all([
        (async () => {
          await both.rotate()
          let count = 0
          for (let batch = 1; batch > 0; count += batch) batch = await both.reseal(10)
          return count
        })(),
        ...Array.from({ length: 10 }, (_, n) => running.set(`connection/p/${n}`, `newer ${n}`)),
      ])
      expect(resealed).toBeGreaterThanOrEqual(15)
      const after = sqlStore(open(), { schema, keys: next })
      for (let n = 0; n < 25; n++)
        expect(await after.get(`connection/p/${n}`)).toBe(n < 10 ? `newer ${n}` : `token ${n}`)
      const { rows } = await open().query(`SELECT DISTINCT wrapped_by FROM ${schema}.data_keys`)
      expect(rows).toEqual([{ wrapped_by: '2026' }])
    })

    test('a key that is not the right one is told as that, and nothing looks empty', async () => {
      const schema = freshSchema()
      await sqlStore(open(), { schema, keys: localKey('k', secret()) }).set('connection/a', 'token')
      for (const wrong of [localKey('k', secret()), localKey('other', secret())]) {
        const store = sqlStore(open(), { schema, keys: wrong })
        await expect(store.get('connection/a')).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
        await expect(store.keys('')).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
        await expect(store.set('connection/a', 'x')).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
      }
    })

    test('a key management service is asked once for each data key, not for each value', async () => {
      const calls: string[] = []
      const remote: KeyWrapping = {
        id: 'kms:1',
        wrap(key) {
          calls.push('wrap')
          return keys.wrap(key)
        },
        unwrap(wrapped) {
          calls.push('unwrap')
          return keys.unwrap(wrapped)
        },
      }
      const store = make({ keys: remote })
      for (let n = 0; n < 20; n++) await store.set(`connection/${n}`, 'token')
      for (let n = 0; n < 20; n++) expect(await store.get(`connection/${n}`)).toBe('token')
      expect(calls.sort()).toEqual(['unwrap', 'unwrap', 'wrap', 'wrap'])
    })

    test('launches that nobody came back from are swept after a day, and nothing else is', async () => {
      const schema = freshSchema()
      const store = make({ schema })
      for (const name of ['launch/old', 'launch/new', 'connection/old']) await store.set(name, name)
      await open().query(
        `UPDATE ${schema}.entries SET changed_at = now() - interval '25 hours' WHERE id <> (SELECT id FROM ${schema}.entries ORDER BY shelf DESC LIMIT 1)`,
      )
      const before = (await store.keys('launch/')).length
      const swept = await store.sweep()
      expect((await store.keys('launch/')).length).toBe(before - swept)
      expect(await store.get('connection/old')).toBe('connection/old')
    })

    test('many that begin together make one schema and one key', async () => {
      const schema = freshSchema()
      const sql = open()
      const stores = Array.from({ length: 8 }, () => sqlStore(sql, { schema, keys }))
      await Promise.all(stores.map((store, n) => store.set(`connection/${n}`, String(n))))
      for (const store of stores) expect((await store.keys('connection/')).length).toBe(8)
      const { rows } = await sql.query(
        `SELECT count(*) AS n FROM ${schema}.data_keys WHERE purpose = 'naming'`,
      )
      expect(Number(rows[0]?.n)).toBe(1)
      await sqlStore(sql, { schema, keys }).migrate()
    })

    test('work of one name goes one at a time, and what it throws is passed on', async () => {
      const store = make()
      let inside = 0
      const work = async () => {
        expect(++inside).toBe(1)
        await new Promise((resolve) => setTimeout(resolve, 5))
        inside--
      }
      await Promise.all(Array.from({ length: 10 }, () => store.lock('x', work)))
      await expect(store.lock('x', () => Promise.reject(new Error('mine')))).rejects.toThrow('mine')
      expect(await store.lock('x', () => store.lock('y', async () => 'both'))).toBe('both')
    })
  })
}

test.each(['', 'public; DROP TABLE x', 'Weiß', 'a'.repeat(64)])('the schema %j is refused', (schema) => {
  expect(() => sqlStore(lite, { keys, schema })).toThrow(TypeError)
})

test.each([undefined, '', 'short', 'x'.repeat(60)])('a key of %j is refused', (value) => {
  expect(() => localKey('k', value)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
})

test.skipIf(noPostgres !== undefined)(
  'F81 where transactions are serialised and come between each other, every write goes through',
  async () => {
    const pool = postgres().pool({
      max: 8,
      options: '-c default_transaction_isolation=serializable',
    })
    let refused = 0
    const counting: Sql = {
      query: async (text, parameters) => {
        try {
          return await pool.query(text, parameters)
        } catch (error) {
          if (/^40/.test(String((error as { code?: unknown }).code))) refused++
          throw error
        }
      },
      connect: () => pool.connect(),
    }
    const store = sqlStore(counting, { keys, schema: freshSchema() })
    await store.set('connection/a', 'begun')
    // Until it has happened: how often depends on the machine.
    for (let round = 0; round < 50 && refused === 0; round++)
      await Promise.all(Array.from({ length: 40 }, (_, at) => store.set('connection/a', `${round} ${at}`)))
    expect(refused).toBeGreaterThan(0)
    expect(await store.get('connection/a')).toMatch(/^\d+ \d+$/)
    expect(await store.keys('connection/')).toEqual(['connection/a'])
  },
  60_000,
)
