import { randomUUID } from 'node:crypto'
import { patient, type Sql } from '../store/sql.js'

/** A job whose worker is gone. */
export interface LostJob {
  readonly id: string
  readonly provider: string
}

/** The workers on a database, each with a sign of life, and which connection is in whose hand. */
export interface Crew {
  /** A sign of life. False when this worker was taken for gone meanwhile: what it had in hand may be another's now. */
  beat(): Promise<boolean>
  leave(): Promise<void>
  /** False while another job of the same connection is in the hand of a worker that lives. */
  claim(connection: string, job: string): Promise<boolean>
  release(connection: string, job: string): Promise<void>
  /** True while the connection is in our hand, and we count as alive. */
  holds(connection: string, job: string): Promise<boolean>
  /** Jobs that are under way in the hand of nobody who lives. */
  lost(): Promise<LostJob[]>
  /** How many workers live. */
  count(): Promise<number>
}

/** Between taking a job and claiming its connection a worker has so long. Seconds. */
const claimSeconds = 5

/**
 * @param jobs pg-boss's table
 * @param leaseSeconds after which a worker without a sign of life counts as gone
 */
export function createCrew(given: Sql, schema: string, jobs: string, leaseSeconds: number): Crew {
  const sql = patient(given)
  const worker = randomUUID()
  const lease = `now() + ${Number(leaseSeconds)} * interval '1 second'`
  return {
    async beat() {
      const { rows } = await sql.query(
        `WITH before AS (SELECT until FROM ${schema}.crew WHERE worker = $1)
         INSERT INTO ${schema}.crew (worker, until) VALUES ($1, ${lease})
         ON CONFLICT (worker) DO UPDATE SET until = excluded.until
         RETURNING (SELECT until FROM before) > now() AS alive`,
        [worker],
      )
      return rows[0]?.alive === true
    },

    async leave() {
      await sql.query(`DELETE FROM ${schema}.claims WHERE worker = $1`, [worker])
      await sql.query(`DELETE FROM ${schema}.crew WHERE worker = $1 OR until < now() - interval '1 day'`, [
        worker,
      ])
    },

    async claim(connection, job) {
      const { rows } = await sql.query(
        `INSERT INTO ${schema}.claims AS held (connection, job, worker) VALUES ($1, $2, $3)
         ON CONFLICT (connection) DO UPDATE SET job = excluded.job, worker = excluded.worker
           WHERE (held.job = excluded.job AND held.worker = excluded.worker)
             OR NOT EXISTS (SELECT 1 FROM ${schema}.crew c WHERE c.worker = held.worker AND c.until > now())
         RETURNING 1 AS ok`,
        [connection, job, worker],
      )
      return rows.length > 0
    },

    async release(connection, job) {
      await sql.query(`DELETE FROM ${schema}.claims WHERE connection = $1 AND job = $2 AND worker = $3`, [
        connection,
        job,
        worker,
      ])
    },

    async holds(connection, job) {
      const { rows } = await sql.query(
        `SELECT 1 AS ok FROM ${schema}.claims l JOIN ${schema}.crew c ON c.worker = l.worker AND c.until > now()
         WHERE l.connection = $1 AND l.job = $2 AND l.worker = $3`,
        [connection, job, worker],
      )
      return rows.length > 0
    },

    async lost() {
      const { rows } = await sql.query(
        `SELECT j.id, j.data ->> 'provider' AS provider FROM ${jobs} j
           LEFT JOIN ${schema}.claims l ON l.job = j.id
           LEFT JOIN ${schema}.crew c ON c.worker = l.worker AND c.until > now()
         WHERE j.state = 'active' AND c.worker IS NULL
           AND (l.worker IS NOT NULL OR j.started_on < now() - ${claimSeconds} * interval '1 second')`,
      )
      return rows.map(({ id, provider }) => ({ id: String(id), provider: String(provider) }))
    },

    async count() {
      const { rows } = await sql.query(
        `SELECT count(*)::int AS count FROM ${schema}.crew WHERE until > now()`,
      )
      return Number(rows[0]?.count ?? 0)
    },
  }
}
