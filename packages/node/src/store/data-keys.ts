import { randomBytes } from 'node:crypto'
import { SmartError } from '@s4s/core'
import type { KeyWrapping } from './key-wrapping.js'
import type { Sql } from './sql.js'

/** The keys that values are sealed with. The database holds them wrapped only. */
export interface DataKeys {
  /** The one to seal with. */
  current(): Promise<{ readonly id: number; readonly key: Uint8Array }>
  /** The one that a value names; undefined when there is none. */
  find(id: number): Promise<Uint8Array | undefined>
  /** The one that entries are named with. It stays, as names must be found again. */
  naming(): Promise<Uint8Array>
  /** Makes a new key to seal with, and wraps the others with the first of the wrapping keys. */
  rotate(): Promise<void>
}

export const dataKeyTables = (schema: string): readonly string[] => [
  `CREATE TABLE ${schema}.data_keys (
     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     purpose text NOT NULL,
     wrapped bytea NOT NULL,
     wrapped_by text NOT NULL,
     created_at timestamptz NOT NULL DEFAULT now())`,
  `CREATE UNIQUE INDEX data_keys_naming ON ${schema}.data_keys (purpose) WHERE purpose = 'naming'`,
]

// How long a process goes on with a key that another has replaced.
const fresh = 60_000

export function openDataKeys(sql: Sql, schema: string, wrappings: readonly KeyWrapping[]): DataKeys {
  const table = `${schema}.data_keys`
  const [first] = wrappings
  if (!first || new Set(wrappings.map(({ id }) => id)).size !== wrappings.length)
    throw new SmartError('CONFIG_INVALID', 'keys is not a list of keys, each with an id of its own')
  const known = new Map<number, Promise<Uint8Array | undefined>>()
  let sealing: { readonly id: number; readonly until: number } | undefined
  let named: Promise<Uint8Array> | undefined

  const unwrap = async (row: Record<string, unknown>): Promise<Uint8Array> => {
    const wrapping = wrappings.find(({ id }) => id === row.wrapped_by)
    if (!wrapping)
      throw new SmartError('CONFIG_INVALID', 'the store was written with a key that is not given')
    try {
      return await wrapping.unwrap(row.wrapped as Uint8Array)
    } catch (cause) {
      throw new SmartError('CONFIG_INVALID', 'the store was written with another key of this id', { cause })
    }
  }
  const make = async (purpose: string): Promise<void> => {
    const wrapped = await first.wrap(randomBytes(32))
    const once = purpose === 'naming' ? `ON CONFLICT (purpose) WHERE purpose = 'naming' DO NOTHING` : ''
    await sql.query(`INSERT INTO ${table} (purpose, wrapped, wrapped_by) VALUES ($1, $2, $3) ${once}`, [
      purpose,
      wrapped,
      first.id,
    ])
  }
  const newest = async (purpose: string): Promise<Record<string, unknown>> => {
    const query = `SELECT id, wrapped, wrapped_by FROM ${table} WHERE purpose = $1 ORDER BY id DESC LIMIT 1`
    const [found] = (await sql.query(query, [purpose])).rows
    if (found) return found
    await make(purpose)
    return (await sql.query(query, [purpose])).rows[0] as Record<string, unknown>
  }
  const remember = (
    id: number,
    load: () => Promise<Uint8Array | undefined>,
  ): Promise<Uint8Array | undefined> => {
    const found = known.get(id) ?? load()
    known.set(id, found)
    // One that could not be had now may be had later.
    found.then(
      (key) => key ?? known.delete(id),
      () => known.delete(id),
    )
    return found
  }

  return Object.freeze({
    async current() {
      if (!sealing || sealing.until < Date.now()) {
        const row = await newest('sealing')
        const id = Number(row.id)
        await remember(id, () => unwrap(row))
        sealing = { id, until: Date.now() + fresh }
      }
      const { id } = sealing
      return { id, key: (await this.find(id)) as Uint8Array }
    },
    find: (id: number) =>
      remember(id, async () => {
        const { rows } = await sql.query(`SELECT wrapped, wrapped_by FROM ${table} WHERE id = $1`, [id])
        return rows[0] && unwrap(rows[0])
      }),
    naming() {
      named ??= newest('naming')
        .then(unwrap)
        .catch((error: unknown) => {
          named = undefined
          throw error
        })
      return named
    },
    async rotate() {
      const { rows } = await sql.query(
        `SELECT id, wrapped, wrapped_by FROM ${table} WHERE wrapped_by <> $1`,
        [first.id],
      )
      for (const row of rows) {
        const wrapped = await first.wrap(await unwrap(row))
        await sql.query(`UPDATE ${table} SET wrapped = $2, wrapped_by = $3 WHERE id = $1`, [
          row.id,
          wrapped,
          first.id,
        ])
      }
      await make('sealing')
      sealing = undefined
    },
  } satisfies DataKeys)
}
