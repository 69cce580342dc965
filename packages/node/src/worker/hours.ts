import { patient, type Sql } from '../store/sql.js'

/** How a job ended, as it is counted. */
export type JobOutcome =
  | 'shared'
  | 'nothing-new'
  | 'refreshed'
  | 'no-consent'
  | 'retry'
  | 'reconnect'
  | 'dead'

/** What happened in one hour, over all workers. */
export interface Hour {
  readonly hour: Date
  readonly jobs: Readonly<Partial<Record<JobOutcome, number>>>
  /** How long a job took on average. */
  readonly seconds: number
}

/** Counts of what happened, hour by hour, kept for a month. */
export interface Hours {
  add(provider: string, outcome: JobOutcome, milliseconds: number): Promise<void>
  /** The latest hours, oldest first, those in which nothing happened among them. */
  last(hours: number): Promise<Hour[]>
}

export function createHours(given: Sql, schema: string): Hours {
  const sql = patient(given)
  const table = `${schema}.hours`
  return {
    async add(provider, outcome, milliseconds) {
      await sql.query(
        `INSERT INTO ${table} AS held (hour, provider, outcome, jobs, milliseconds)
           VALUES (date_trunc('hour', now()), $1, $2, 1, $3)
         ON CONFLICT (hour, provider, outcome) DO UPDATE
           SET jobs = held.jobs + 1, milliseconds = held.milliseconds + excluded.milliseconds`,
        [provider, outcome, Math.round(milliseconds)],
      )
    },

    async last(hours) {
      await sql.query(`DELETE FROM ${table} WHERE hour < now() - interval '31 days'`)
      const { rows } = await sql.query(
        `SELECT (extract(epoch FROM g.hour) * 1000)::float8 AS hour, h.outcome,
           sum(h.jobs)::int AS jobs, sum(h.milliseconds)::float8 AS milliseconds
         FROM generate_series(date_trunc('hour', now()) - ($1::int - 1) * interval '1 hour',
             date_trunc('hour', now()), interval '1 hour') g (hour)
           LEFT JOIN ${table} h ON h.hour = g.hour
         GROUP BY g.hour, h.outcome ORDER BY g.hour`,
        [hours],
      )
      const byHour = new Map<number, { jobs: Partial<Record<JobOutcome, number>>; milliseconds: number }>()
      for (const { hour, outcome, jobs, milliseconds } of rows) {
        const one = byHour.get(Number(hour)) ?? { jobs: {}, milliseconds: 0 }
        byHour.set(Number(hour), one)
        if (typeof outcome !== 'string') continue
        one.jobs[outcome as JobOutcome] = Number(jobs)
        one.milliseconds += Number(milliseconds)
      }
      return [...byHour].map(([hour, { jobs, milliseconds }]) => {
        const count = Object.values(jobs).reduce((sum, one) => sum + one, 0)
        return Object.freeze({
          hour: new Date(hour),
          jobs: Object.freeze(jobs),
          seconds: count === 0 ? 0 : milliseconds / count / 1000,
        })
      })
    },
  }
}
