import { setTimeout as sleep } from 'node:timers/promises'
import PgBoss from 'pg-boss'
import { again, type Sql, turnsOf } from '../store/sql.js'

/** What a job is, as the database holds it: ids, and nothing else. */
export interface Job {
  /** `share`: collect the record and share what is new. `refresh`: use the refresh token before it is too old. */
  readonly kind: 'share' | 'refresh'
  readonly connection: string
  readonly provider: string
}

/** A job in hand. */
export interface TakenJob extends Job {
  readonly id: string
  /** 1 for the first time. */
  readonly attempt: number
  readonly priority: number
}

/** Why a job did not come to its end: an error code, and what a registry knows besides. */
export interface JobReason {
  readonly code: string
  readonly reason?: string
  readonly status?: number
}

/** A job that is not tried again by itself. */
export interface DeadJob extends Job, JobReason {
  readonly id: string
  readonly at: Date
}

/** How many jobs of a provider are where. */
export interface QueueCounts {
  readonly queued: number
  readonly retrying: number
  readonly active: number
}

export interface QueueOptions {
  /** How often a job is tried again, and how long it rests before the first time; then twice as long each time. */
  readonly retries: number
  readonly retrySeconds: number
}

/** The jobs of all workers on one database, in pg-boss: a queue for each provider, and one for dead letters. */
export interface Queue {
  start(): Promise<void>
  stop(): Promise<void>
  send(job: Job, options?: { readonly priority?: number; readonly afterSeconds?: number }): Promise<void>
  /** Providers that have a job to do now, the most urgent first. */
  due(): Promise<string[]>
  take(provider: string): Promise<TakenJob | undefined>
  done(job: TakenJob, outcome: string): Promise<void>
  /** It is tried again later, or is a dead letter when it was tried often enough. */
  fail(job: Pick<TakenJob, 'id' | 'provider'>, reason: JobReason): Promise<void>
  /** It goes to the dead letters at once. */
  bury(job: TakenJob, reason: JobReason): Promise<void>
  /** It goes back, and this time does not count. */
  handBack(job: TakenJob, seconds: number): Promise<void>
  /** Jobs that were handed back until later are due now. */
  hurry(provider: string): Promise<void>
  dead(): Promise<DeadJob[]>
  /** Takes a dead letter away; the job that it was. */
  exhume(id: string): Promise<Job | undefined>
  counts(): Promise<ReadonlyMap<string, QueueCounts>>
  /** Seconds for which the longest waiting of the jobs that are due has waited. */
  late(): Promise<number>
  /** Where pg-boss keeps its jobs, for queries that look. */
  readonly table: string
}

const prefix = 's4s.'
const graveyard = 's4s-dead'

/** @param schema of pg-boss's own, apart from the worker's */
export function createQueue(sql: Sql, schema: string, options: QueueOptions): Queue {
  const boss = new PgBoss({ db: executor(sql, schema), schema, schedule: false, supervise: true })
  // What goes wrong in its upkeep goes wrong again in what we ask of it, where it is told.
  boss.on('error', () => {})
  const table = `${schema}.job`
  const look = (text: string, parameters?: unknown[]): Promise<{ rows: Record<string, unknown>[] }> =>
    again(() => sql.query(text, parameters))
  const known = new Set<string>()
  const nameOf = (provider: string): string => `${prefix}${provider}`

  const ensure = async (provider: string): Promise<void> => {
    if (known.has(provider)) return
    const name = nameOf(provider)
    if (!(await boss.getQueue(name))) {
      await boss.createQueue(name, {
        name,
        policy: 'short',
        retryLimit: options.retries,
        retryDelay: options.retrySeconds,
        retryBackoff: true,
        // Longer than any collection; a worker that is gone is noticed by its silence, long before.
        expireInSeconds: 23 * 3600,
        deadLetter: graveyard,
      })
    }
    known.add(provider)
  }

  const send: Queue['send'] = async (job, { priority = 0, afterSeconds = 0 } = {}) => {
    await ensure(job.provider)
    const { kind, connection, provider } = job
    await boss.send(
      nameOf(provider),
      { kind, connection, provider },
      { priority, startAfter: Math.ceil(afterSeconds), singletonKey: `${kind} ${connection}` },
    )
  }

  return {
    table,
    async start() {
      await boss.start()
      await boss.createQueue(graveyard)
      await boss.updateQueue(graveyard, { name: graveyard, retentionMinutes: 90 * 24 * 60 })
    },
    stop: () => boss.stop({ graceful: false }),
    send,

    async due() {
      const { rows } = await look(
        `SELECT name FROM ${table} WHERE state < 'active' AND start_after < now() AND starts_with(name, $1)
         GROUP BY name ORDER BY max(priority) DESC, min(start_after)`,
        [prefix],
      )
      return rows.map(({ name }) => String(name).slice(prefix.length))
    },

    async take(provider) {
      const [job] = await boss.fetch<Job>(nameOf(provider), { includeMetadata: true })
      if (!job) return undefined
      const { id, data, retryCount, priority } = job
      return { ...data, id, attempt: retryCount + 1, priority }
    },

    async done(job, outcome) {
      await boss.complete(nameOf(job.provider), job.id, { outcome })
    },

    async fail(job, reason) {
      await boss.fail(nameOf(job.provider), job.id, plain(reason))
    },

    async bury(job, reason) {
      const { kind, connection, provider } = job
      await boss.send(graveyard, { kind, connection, provider, ...plain(reason) })
      await boss.complete(nameOf(provider), job.id, { outcome: 'dead', ...plain(reason) })
    },

    // First it is there again, then it is taken away: one that is killed between the two leaves it twice, not never.
    async handBack(job, seconds) {
      await send(job, { priority: job.priority, afterSeconds: seconds })
      await boss.complete(nameOf(job.provider), job.id, { outcome: 'handed-back' })
    },

    async hurry(provider) {
      await look(
        `UPDATE ${table} SET start_after = now() WHERE name = $1 AND state = 'created' AND start_after > now()`,
        [nameOf(provider)],
      )
    },

    async dead() {
      const { rows } = await look(
        `SELECT id, data, output, created_on FROM ${table} WHERE name = $1 AND state = 'created'
         ORDER BY created_on DESC LIMIT 1000`,
        [graveyard],
      )
      return rows.map((row) => {
        const { kind, connection, provider, ...own } = row.data as Job & Partial<JobReason>
        const reason = { code: 'ERROR', ...own, ...((row.output ?? {}) as Partial<JobReason>) }
        const at = new Date(row.created_on as Date)
        return Object.freeze({ id: String(row.id), kind, connection, provider, ...plain(reason), at })
      })
    },

    async exhume(id) {
      const { rows } = await look(
        `DELETE FROM ${table} WHERE name = $1 AND id::text = $2 AND state = 'created' RETURNING data`,
        [graveyard, id],
      )
      if (!rows[0]) return undefined
      const { kind, connection, provider } = rows[0].data as Job
      return { kind, connection, provider }
    },

    async counts() {
      const { rows } = await look(
        `SELECT name,
           count(*) FILTER (WHERE state = 'created')::int AS queued,
           count(*) FILTER (WHERE state = 'retry')::int AS retrying,
           count(*) FILTER (WHERE state = 'active')::int AS active
         FROM ${table} WHERE state <= 'active' AND starts_with(name, $1) GROUP BY name`,
        [prefix],
      )
      return new Map(
        rows.map((row) => [
          String(row.name).slice(prefix.length),
          { queued: Number(row.queued), retrying: Number(row.retrying), active: Number(row.active) },
        ]),
      )
    },

    async late() {
      const { rows } = await look(
        `SELECT coalesce(max(extract(epoch FROM now() - start_after)), 0)::float8 AS seconds FROM ${table}
         WHERE state < 'active' AND start_after < now() AND starts_with(name, $1)`,
        [prefix],
      )
      return Number(rows[0]?.seconds ?? 0)
    },
  }
}

function plain({ code, reason, status }: JobReason): JobReason {
  return { code, ...(reason === undefined ? {} : { reason }), ...(status === undefined ? {} : { status }) }
}

// Serialization failure, deadlock, lock timeout: the database undid it, and says to try again.
const undone = /^(40001|40P01|55P03)$/

/** pg-boss on whatever the store is on. Each of its statements may run twice: jobs have ids, and states only go on. */
function executor(sql: Sql, schema: string): PgBoss.Db {
  const turn = turnsOf(sql)
  const { exec } = sql as { exec?: (text: string) => Promise<{ rows: Record<string, unknown>[] }[]> }
  const run = async (text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }> => {
    if (values)
      return sql.query(
        text,
        values.map((value) => value ?? null),
      )
    // Several statements at once, which an embedded database takes by another verb, and one after the other.
    if (exec) return turn(schema, async () => (await exec.call(sql, text)).at(-1) ?? { rows: [] })
    return sql.query(text)
  }
  return {
    async executeSql(text: string, values?: unknown[]) {
      for (let attempt = 1; ; attempt++) {
        try {
          return await again(() => run(text, values))
        } catch (error) {
          if (attempt >= 8 || !undone.test(String((error as { code?: unknown }).code))) throw error
          await sleep(20 * attempt)
        }
      }
    },
  }
}
