import { createHmac } from 'node:crypto'
import type { Lock, Store } from '@s4s/core'
import { type DataKeys, dataKeyTables, openDataKeys } from './data-keys.js'
import { type KeyWrapping, seal, unseal } from './key-wrapping.js'
import { checkedSchema, migrate, patient, type Sql } from './sql.js'
import { lockTables, sqlLock } from './sql-lock.js'

/** A store in a database, and the lock that goes with it for every process that uses the same one. */
export interface SqlStore extends Store {
  readonly lock: Lock
  /** Creates what is missing; every verb does so by itself before its first query. */
  migrate(): Promise<void>
  /**
   * Makes a new key, which every later value is sealed with, while others go on reading and writing.
   * After it no data key is wrapped by any but the first of the wrapping keys.
   */
  rotate(): Promise<void>
  /** Seals up to `most` values anew that older keys sealed; how many those were. 0 means that none is left. */
  reseal(most?: number): Promise<number>
  /** Removes launches that nobody came back from within a day; how many. */
  sweep(): Promise<number>
}

export interface SqlStoreOptions {
  /** Wrap the keys that values are sealed with. The first wraps, and all unwrap. */
  readonly keys: KeyWrapping | readonly KeyWrapping[]
  /** Default `s4s`. */
  readonly schema?: string
  /** Told of an entry that cannot be read; to the store it is as if it were not there. */
  readonly onCorrupt?: (id: string) => void
}

const tables = (schema: string): readonly (readonly string[])[] => [
  [
    ...dataKeyTables(schema),
    `CREATE TABLE ${schema}.entries (
       id text PRIMARY KEY,
       shelf text NOT NULL,
       below text[] NOT NULL,
       name bytea NOT NULL,
       value bytea NOT NULL,
       data_key bigint NOT NULL REFERENCES ${schema}.data_keys (id),
       changed_at timestamptz NOT NULL DEFAULT now())`,
    `CREATE INDEX entries_below ON ${schema}.entries USING gin (below)`,
    `CREATE INDEX entries_data_key ON ${schema}.entries (data_key)`,
    `CREATE INDEX entries_shelf ON ${schema}.entries (shelf, changed_at)`,
    ...lockTables(schema),
  ],
]

/**
 * Keeps connections in Postgres, or in an embedded PGlite: values and names sealed with AES-256-GCM under keys that the
 * database holds wrapped only. A dump of it opens nothing.
 *
 * @example sqlStore(new Pool(), { keys: localKey('2026-11', process.env.STORE_KEY) })
 * @throws SmartError `CONFIG_INVALID`
 */
export function sqlStore(given: Sql, options: SqlStoreOptions): SqlStore {
  const sql = patient(given)
  const schema = checkedSchema(options.schema ?? 's4s')
  const wrappings = Array.isArray(options.keys) ? options.keys : [options.keys as KeyWrapping]
  const keys: DataKeys = openDataKeys(sql, schema, wrappings)
  const entries = `${schema}.entries`
  let prepared: Promise<void> | undefined
  const ready = (): Promise<void> => {
    prepared ??= migrate(given, schema, tables(schema)).catch((error: unknown) => {
      prepared = undefined
      throw error
    })
    return prepared
  }
  const namer = async (): Promise<(text: string) => string> => {
    await ready()
    const key = await keys.naming()
    return (text) => createHmac('sha256', key).update(text).digest('hex')
  }

  const open = async (
    row: Record<string, unknown>,
    column: 'name' | 'value',
  ): Promise<string | undefined> => {
    const key = await keys.find(Number(row.data_key))
    try {
      if (!key) throw new RangeError('no such key')
      return unseal(key, row[column] as Uint8Array, `${column} ${row.id}`).toString('utf8')
    } catch {
      options.onCorrupt?.(String(row.id))
      return undefined
    }
  }

  return Object.freeze({
    lock: sqlLock(given, schema, ready),
    migrate: ready,

    async get(name: string): Promise<string | undefined> {
      const nameOf = await namer()
      const { rows } = await sql.query(`SELECT id, value, data_key FROM ${entries} WHERE id = $1`, [
        nameOf(name),
      ])
      return rows[0] && open(rows[0], 'value')
    },

    async set(name: string, value: string): Promise<void> {
      const nameOf = await namer()
      const id = nameOf(name)
      const { id: dataKey, key } = await keys.current()
      await sql.query(
        `INSERT INTO ${entries} (id, shelf, below, name, value, data_key) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (id) DO UPDATE
           SET name = excluded.name, value = excluded.value, data_key = excluded.data_key, changed_at = now()`,
        [
          id,
          shelfOf(name),
          foldersOf(name).map((folder) => nameOf(`below ${folder}`)),
          seal(key, Buffer.from(name), `name ${id}`),
          seal(key, Buffer.from(value), `value ${id}`),
          dataKey,
        ],
      )
    },

    async delete(name: string): Promise<void> {
      const nameOf = await namer()
      await sql.query(`DELETE FROM ${entries} WHERE id = $1`, [nameOf(name)])
    },

    // A name is kept with every folder that it lies in, so that those of one participant are found by an index.
    async keys(prefix: string): Promise<string[]> {
      const nameOf = await namer()
      const folder = foldersOf(prefix).at(-1) ?? ''
      const { rows } = await sql.query(`SELECT id, name, data_key FROM ${entries} WHERE below @> $1`, [
        [nameOf(`below ${folder}`)],
      ])
      const names = await Promise.all(rows.map((row) => open(row, 'name')))
      return names.filter((name): name is string => name?.startsWith(prefix) ?? false)
    },

    async rotate(): Promise<void> {
      await ready()
      await keys.rotate()
    },

    async reseal(most = 1000): Promise<number> {
      await ready()
      const { id: dataKey, key } = await keys.current()
      const { rows } = await sql.query(
        `SELECT id, name, value, data_key FROM ${entries} WHERE data_key < $1 ORDER BY data_key LIMIT $2`,
        [dataKey, most],
      )
      for (const row of rows) {
        const [name, value] = [await open(row, 'name'), await open(row, 'value')]
        if (name === undefined || value === undefined) continue
        // Only what is still as it was read: who writes at the same time has sealed it with a key of today.
        await sql.query(
          `UPDATE ${entries} SET name = $3, value = $4, data_key = $5 WHERE id = $1 AND value = $2`,
          [
            row.id,
            row.value,
            seal(key, Buffer.from(name), `name ${row.id}`),
            seal(key, Buffer.from(value), `value ${row.id}`),
            dataKey,
          ],
        )
      }
      return rows.length
    },

    async sweep(): Promise<number> {
      await ready()
      const { rows } = await sql.query(
        `DELETE FROM ${entries} WHERE shelf = 'launch' AND changed_at < now() - interval '1 day' RETURNING 1 AS gone`,
      )
      return rows.length
    },
  } satisfies SqlStore)
}

/** `a/b/c` lies in ``, `a/` and `a/b/`. */
function foldersOf(name: string): string[] {
  const folders = ['']
  // A name has few folders; one made of slashes must not become a thousand rows of an index.
  for (let at = name.indexOf('/'); at >= 0 && folders.length < 8; at = name.indexOf('/', at + 1))
    folders.push(name.slice(0, at + 1))
  return folders
}

// What kind of entry it is says nothing about anyone, and lets old ones be swept.
const shelves = ['launch', 'connection', 'revocation', 'checkpoint']
const shelfOf = (name: string): string => shelves.find((shelf) => name.startsWith(`${shelf}/`)) ?? 'other'
