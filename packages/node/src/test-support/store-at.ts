import type { Lock, Store } from '@s4s/core'
import pg from 'pg'
import { fileStore } from '../file-store.js'
import { localKey } from '../store/key-wrapping.js'
import { sqlStore } from '../store/sql-store.js'

/** A store that several processes open: in a folder, or in a Postgres by `postgres:PORT/SCHEMA`. */
export function storeAt(place: string, key: string): Store & { readonly lock: Lock; close(): Promise<void> } {
  const [, port, schema] = /^postgres:(\d+)\/(\w+)$/.exec(place) ?? []
  if (port === undefined || schema === undefined)
    return { ...fileStore(place, { key }), close: async () => {} }
  const pool = new pg.Pool({
    host: '127.0.0.1',
    port: Number(port),
    user: 's4s',
    database: 'postgres',
    max: 3,
  })
  pool.on('error', () => {})
  return { ...sqlStore(pool, { keys: localKey('k1', key), schema }), close: () => pool.end() }
}
