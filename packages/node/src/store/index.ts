/**
 * Connections in Postgres, or in an embedded PGlite.
 *
 * @module
 */
export { type KeyWrapping, localKey } from './key-wrapping.js'
export type { Sql, SqlSession } from './sql.js'
export { type SqlStore, type SqlStoreOptions, sqlStore } from './sql-store.js'
