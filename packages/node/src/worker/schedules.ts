import { patient, type Sql } from '../store/sql.js'
import type { Job } from './queue.js'

/** When connections are collected from, and when a refresh keeps their access alive. */
export interface Schedules {
  set(connection: string, schedule: Schedule): Promise<void>
  remove(connection: string): Promise<void>
  /** The jobs that are due and not there yet; each comes again until `sent` is called. */
  due(): Promise<(Job & { readonly priority: number })[]>
  /** Puts the next time off: one period from now, a little earlier or later. */
  sent(job: Job): Promise<void>
  /** The refresh token was used. */
  refreshed(connection: string): Promise<void>
  /** When the record was collected from that was shared last, and when it was collected whole. */
  times(connection: string): Promise<{ readonly collectedAt?: Date; readonly wholeAt?: Date }>
  collected(connection: string, startedAt: Date, whole: boolean): Promise<void>
  count(): Promise<number>
}

export interface Schedule {
  readonly provider: string
  /** Seconds. */
  readonly every: number
  /** Seconds after which a refresh token that was not used is dead. */
  readonly idle: number
  readonly priority: number
  /** Seconds from now. */
  readonly after: number
}

/** @param jobs pg-boss's table */
export function createSchedules(given: Sql, schema: string, jobs: string): Schedules {
  const sql = patient(given)
  const table = `${schema}.schedules`
  return {
    async set(connection, { provider, every, idle, priority, after }) {
      await sql.query(
        `INSERT INTO ${table} (connection, provider, every_seconds, idle_seconds, priority, due_at)
           VALUES ($1, $2, $3, $4, $5, now() + $6::float8 * interval '1 second')
         ON CONFLICT (connection) DO UPDATE SET every_seconds = excluded.every_seconds,
           idle_seconds = excluded.idle_seconds, priority = excluded.priority, due_at = excluded.due_at`,
        [connection, provider, every, idle, priority, after],
      )
    },

    async remove(connection) {
      await sql.query(`DELETE FROM ${table} WHERE connection = $1`, [connection])
    },

    async due() {
      // A refresh comes when half of the time is over, unless a collection under way or soon does the same.
      const { rows } = await sql.query(
        `SELECT * FROM (
           SELECT connection, provider, 'share' AS kind, priority FROM ${table} WHERE due_at <= now()
           UNION ALL
           SELECT connection, provider, 'refresh', priority + 1 FROM ${table}
             WHERE refreshed_at + idle_seconds * interval '0.5 second' <= now()
               AND due_at > now() + interval '10 minutes') wanted
         WHERE NOT EXISTS (
           SELECT 1 FROM ${jobs} j WHERE j.state <= 'active' AND j.data ->> 'connection' = wanted.connection
             AND j.data ->> 'kind' = wanted.kind AND starts_with(j.name, 's4s.'))
         LIMIT 1000`,
      )
      return rows.map((row) => ({
        kind: row.kind === 'share' ? 'share' : 'refresh',
        connection: String(row.connection),
        provider: String(row.provider),
        priority: Number(row.priority),
      }))
    },

    async sent({ kind, connection }) {
      // A refresh that does not work is tried again tomorrow, not at once.
      const next =
        kind === 'share'
          ? `due_at = now() + every_seconds * (0.9 + random() * 0.2) * interval '1 second'`
          : `refreshed_at = greatest(refreshed_at,
               now() - idle_seconds * interval '0.5 second' + least(idle_seconds * 0.1, 86400) * interval '1 second')`
      await sql.query(`UPDATE ${table} SET ${next} WHERE connection = $1`, [connection])
    },

    async refreshed(connection) {
      await sql.query(`UPDATE ${table} SET refreshed_at = now() WHERE connection = $1`, [connection])
    },

    async times(connection) {
      const { rows } = await sql.query(
        `SELECT (extract(epoch FROM collected_at) * 1000)::float8 AS collected,
           (extract(epoch FROM whole_at) * 1000)::float8 AS whole FROM ${table} WHERE connection = $1`,
        [connection],
      )
      const { collected, whole } = rows[0] ?? {}
      return {
        ...(typeof collected === 'number' ? { collectedAt: new Date(collected) } : {}),
        ...(typeof whole === 'number' ? { wholeAt: new Date(whole) } : {}),
      }
    },

    async collected(connection, startedAt, whole) {
      await sql.query(
        `UPDATE ${table} SET collected_at = $2, whole_at = CASE WHEN $3 THEN $2 ELSE whole_at END
         WHERE connection = $1`,
        [connection, startedAt, whole],
      )
    },

    async count() {
      return Number((await sql.query(`SELECT count(*)::int AS count FROM ${table}`)).rows[0]?.count ?? 0)
    },
  }
}
