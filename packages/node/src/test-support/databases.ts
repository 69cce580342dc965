import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll } from 'vitest'
import type { Sql } from '../store/sql.js'
import { noPostgres, startPostgres, type TestPostgres } from './postgres.js'

/** The two databases that a test file goes through, as long as it runs. */
export interface Databases {
  /** What each is called, how it is opened, and why it is not here, when it is not. */
  readonly all: readonly (readonly [name: string, open: () => Sql, missing: string | undefined])[]
  readonly lite: Sql
  postgres(): TestPostgres
}

export function databases(): Databases {
  const lite = new PGlite()
  let server: TestPostgres | undefined
  beforeAll(async () => {
    if (noPostgres === undefined) server = await startPostgres()
  }, 60_000)
  afterAll(async () => {
    await lite.close()
    await server?.stop()
  })
  const postgres = (): TestPostgres => server as TestPostgres
  return {
    all: [
      ['PGlite', () => lite as Sql, undefined],
      ['Postgres', () => postgres().pool(), noPostgres],
    ],
    lite: lite as Sql,
    postgres,
  }
}
