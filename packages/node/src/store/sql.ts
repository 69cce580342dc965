import type { Lock } from '@s4s/core'
import { processLock } from '../process-lock.js'

/**
 * A database that speaks Postgres: a `Pool` of `pg`, or an embedded `PGlite`, as it is.
 *
 * A pool is told apart by its `connect`: then other processes may use the database at the same time.
 */
export interface Sql {
  query(text: string, parameters?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>
  /** One session of a pool, for what has to happen in one. */
  connect?(): Promise<SqlSession>
}

/** A session that is given back. */
export interface SqlSession {
  query(text: string, parameters?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>
  /** Gives it back; with an error it is closed instead. */
  release(error?: Error | boolean): void
  on?(event: 'error', listener: (error: Error) => void): unknown
}

const turns = new WeakMap<Sql, Lock>()

/** Work on one database that this process does one at a time, by name, however many stores it has opened on it. */
export function turnsOf(sql: Sql): Lock {
  const known = turns.get(sql) ?? processLock()
  turns.set(sql, known)
  return known
}

// Class 08: connection; 57P01 to 57P03: shut down, crashed, starting; 53300: too many sessions; 40001 and 40P01: another
// transaction came between, and the same may go through the next time.
const passing = /^(08...|57P0[123]|53300|40001|40P01|ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT)$/
const cut = /connection terminated|connection error|not queryable/i
const tries = 40

/** Does again, for about a minute, what a database could not answer because it is being started or has no session left. */
export async function again<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      const { code, message } = error as { code?: unknown; message?: unknown }
      if (attempt >= tries || !(passing.test(String(code)) || cut.test(String(message)))) throw error
      await new Promise((resolve) => setTimeout(resolve, Math.min(2000, 50 * attempt)))
    }
  }
}

/** The same database, whose queries wait while it is away. Only for queries that may run twice. */
export function patient(sql: Sql): Sql {
  const { connect } = sql
  return {
    query: (text, parameters) => again(() => sql.query(text, parameters)),
    ...(connect ? { connect: () => again(() => connect.call(sql)) } : {}),
  }
}

/** A name for a schema that can stand in a query as it is. */
export function checkedSchema(schema: string): string {
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema))
    throw new TypeError('schema is not lower-case letters, digits and underscores')
  return schema
}

/**
 * Runs steps that have not run yet, each once, also when many processes begin together.
 *
 * @param steps in the order in which they were written; a step is never changed, only followed by another
 */
export function migrate(sql: Sql, schema: string, steps: readonly (readonly string[])[]): Promise<void> {
  // An embedded database has one session, in which two transactions would be one.
  return turnsOf(sql)(`migrate ${schema}`, () => again(() => runSteps(sql, schema, steps)))
}

async function runSteps(sql: Sql, schema: string, steps: readonly (readonly string[])[]): Promise<void> {
  // What is already there needs neither a lock nor the right to create anything.
  const done = async (): Promise<number> => {
    const { rows } = await sql.query(`SELECT to_regclass($1) IS NOT NULL AS there`, [`${schema}.migrations`])
    if (rows[0]?.there !== true) return 0
    const [last] = (await sql.query(`SELECT max(step) AS step FROM ${schema}.migrations`)).rows
    return Number(last?.step ?? 0)
  }
  if ((await done()) >= steps.length) return
  const session = sql.connect ? await sql.connect() : undefined
  const run = session ?? sql
  let committed = false
  try {
    await run.query('BEGIN')
    await run.query(`SELECT pg_advisory_xact_lock(hashtext($1))`, [`s4s migrations ${schema}`])
    await run.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`)
    await run.query(
      `CREATE TABLE IF NOT EXISTS ${schema}.migrations (step int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())`,
    )
    const [last] = (await run.query(`SELECT coalesce(max(step), 0) AS step FROM ${schema}.migrations`)).rows
    for (const [index, queries] of steps.entries()) {
      if (index < Number(last?.step ?? 0)) continue
      for (const query of queries) await run.query(query)
      await run.query(`INSERT INTO ${schema}.migrations (step) VALUES ($1)`, [index + 1])
    }
    await run.query('COMMIT')
    committed = true
  } catch (error) {
    await run.query('ROLLBACK').catch(() => {})
    throw error
  } finally {
    // One that a failure may have left in a transaction is not used again.
    session?.release(!committed)
  }
}
