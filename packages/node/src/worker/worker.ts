import type { Connection } from '@s4s/core'
import { SmartError } from '@s4s/core'
import { checkedSchema, migrate, type Sql } from '../store/sql.js'
import { createCrew } from './crew.js'
import { HandBack, Lost } from './ending.js'
import { createHands } from './hands.js'
import { createHours } from './hours.js'
import type { JobWorld, StudyWork } from './job.js'
import { createNotices, type Notice } from './notices.js'
import { createQueue, type DeadJob } from './queue.js'
import { createSchedules } from './schedules.js'
import { createSpool } from './spool.js'
import { healthOf, statusOf, type WorkerHealth, type WorkerStatus } from './status.js'
import { workerTables } from './tables.js'
import { createTelemetry, type Levels, type TelemetryOptions } from './telemetry.js'
import { createTraffic } from './traffic.js'

export interface WorkerOptions extends StudyWork, TelemetryOptions {
  /** Told once of each connection that needs a new sign-in; again, when it threw. */
  readonly onNotice?: (notice: Notice) => Promise<void>
  /**
   * Told what went wrong in the app's own functions or with the database; whatever it was, it is tried again. An app's
   * own error may say anything: look before it is logged.
   */
  readonly onError?: (error: unknown) => void
  /** Jobs at a time in this process. Default 4. */
  readonly concurrency?: number
  /** How often a job is tried again before it is a dead letter. Default 8. */
  readonly retries?: number
  /** Rest before the first of these; then twice as long each time. Seconds. Default 30. */
  readonly retrySeconds?: number
  /** A worker that gives no sign of life for so long counts as gone, and its jobs are taken again. Default 30. */
  readonly leaseSeconds?: number
  /** How often it looks for work. Milliseconds. Default 1000. */
  readonly pollMilliseconds?: number
  /** Default `s4s_worker`; pg-boss has one beside it, with `_jobs` at the end. */
  readonly schema?: string
}

export interface ScheduleOptions {
  readonly every: 'hour' | 'day' | 'week' | 'month'
  /** Higher comes first. Default 0. */
  readonly priority?: number
  /** When the first time is. Default: now. */
  readonly startingAt?: Date
}

/** Collects and shares in the background, with all other workers on the same database. */
export interface Worker {
  /** Begins to take jobs. */
  start(): Promise<void>
  /**
   * Takes no more jobs, and lets those in hand come to their end; what is not over in time goes back and is gone on with
   * by another worker.
   *
   * @param options.seconds how long to wait for jobs in hand. Default 30.
   */
  stop(options?: { readonly seconds?: number }): Promise<void>
  /**
   * Collects from a connection again and again, each time a little earlier or later, and shares what is new; also keeps
   * its refresh token from growing too old. Replaces an earlier schedule.
   *
   * @throws SmartError `CONFIG_INVALID` when there is no such connection
   */
  schedule(connection: string, options: ScheduleOptions): Promise<void>
  /** Ends a schedule, and forgets what was kept of the connection here. To be called when a participant withdraws. */
  unschedule(connection: string): Promise<void>
  /** Collects from a connection now, and shares what is new. @throws SmartError `CONFIG_INVALID` */
  run(connection: string, options?: { readonly priority?: number }): Promise<void>
  /** Nothing is asked of a provider any more, by no worker; jobs wait. */
  pause(provider: string): Promise<void>
  /** Ends a pause, and whatever rest the provider asked for or was given. */
  resume(provider: string): Promise<void>
  /** Connections whose participants have to sign in again. */
  notices(): Promise<readonly Notice[]>
  /** Jobs that are not tried again by themselves, newest first. */
  deadLetters(): Promise<readonly DeadJob[]>
  /** Tries a dead letter again. False when there is none of that id. */
  revive(id: string): Promise<boolean>
  status(): Promise<WorkerStatus>
  /** For a probe: it does not throw, also while the database is away. */
  health(): Promise<WorkerHealth>
}

const seconds: Readonly<Record<ScheduleOptions['every'], number>> = {
  hour: 3600,
  day: 86_400,
  week: 7 * 86_400,
  month: 30 * 86_400,
}
/** For EHRs of which nothing is known. Hours. */
const usualIdleHours = 60 * 24
/** One that cannot be refreshed at all need not be kept alive. Seconds. */
const never = 2_000_000_000

/**
 * Makes a worker on the database that the client's store is in: a pool of `pg`, which any number of processes may share,
 * or an embedded PGlite.
 *
 * @example
 * const worker = createWorker(pool, { client: smart.client, study, consentOf, deliver, keep })
 * await worker.schedule(connection.id, { every: 'day' })
 * await worker.start()
 * @throws SmartError `CONFIG_INVALID`
 */
export function createWorker(sql: Sql, options: WorkerOptions): Worker {
  const { client, concurrency = 4, retries = 8, retrySeconds = 30, leaseSeconds = 30 } = options
  const { pollMilliseconds = 1000, requestsPerMinute = 600 } = options
  const numbers = { concurrency, leaseSeconds, pollMilliseconds, requestsPerMinute, retrySeconds }
  for (const [name, value] of Object.entries(numbers))
    if (!(value >= 1)) throw invalid(`${name} is less than 1`)
  if (!Number.isSafeInteger(retries) || retries < 0) throw invalid('retries is no whole number')
  for (const name of ['consentOf', 'keep'] as const)
    if (typeof options[name] !== 'function') throw invalid(`${name} is not a function`)
  const schema = checkedSchema(options.schema ?? 's4s_worker')
  const queue = createQueue(sql, checkedSchema(`${schema}_jobs`), { retries, retrySeconds })
  const traffic = createTraffic(sql, schema)
  const schedules = createSchedules(sql, schema, queue.table)
  const notices = createNotices(sql, schema)
  const crew = createCrew(sql, schema, queue.table, leaseSeconds)
  const spool = createSpool(client.platform.store)
  const hours = createHours(sql, schema)
  const telemetry = createTelemetry(options)
  const { clock } = client.platform
  const report = (error: unknown): void => {
    try {
      options.onError?.(error)
    } catch {
      // Whoever cannot hear it must not stop the work.
    }
  }
  const world: JobWorld = {
    work: options,
    traffic,
    schedules,
    notices,
    crew,
    spool,
    telemetry,
    report,
  }

  const hands = createHands({ queue, world, hours, clock, concurrency, retries })
  let stopping = new AbortController()
  let loops: Promise<void> | undefined
  let opened: Promise<void> | undefined
  let closed: Promise<void> | undefined
  let lastBeat = 0

  const open = (): Promise<void> => {
    opened ??= (async () => {
      await migrate(sql, schema, workerTables(schema))
      await queue.start()
    })().catch((error: unknown) => {
      opened = undefined
      throw error
    })
    return opened
  }

  /** What any worker does for all, some seconds apart. */
  const upkeep = async (): Promise<void> => {
    for (const job of await crew.lost()) await queue.fail(job, { code: 'WORKER_LOST' })
    for (const job of await schedules.due()) {
      await queue.send(job, { priority: job.priority })
      await schedules.sent(job)
    }
    for (const notice of await notices.untold()) {
      const tell = async (): Promise<void> => {
        await options.onNotice?.(notice)
        await notices.told(notice.connection)
      }
      // One that cannot be told now keeps no other waiting.
      await tell().catch(report)
    }
    telemetry.levels(await levels())
  }

  const levels = async (): Promise<Levels> => {
    const counts = [...(await queue.counts()).values()]
    const sum = (of: 'queued' | 'retrying' | 'active'): number =>
      counts.reduce((all, one) => all + one[of], 0)
    const [dead, open, providers] = await Promise.all([queue.dead(), notices.list(), traffic.list()])
    return {
      queued: sum('queued') + sum('retrying'),
      active: sum('active'),
      dead: dead.length,
      notices: open.length,
      closed: providers.filter(({ state }) => state !== 'working').length,
    }
  }

  const beat = async (): Promise<void> => {
    const alive = await crew.beat()
    // Another may have taken what we have in hand.
    if (!alive && lastBeat > 0) hands.letGo(new Lost())
    lastBeat = clock.now()
  }

  /** Does work again and again until the worker stops; a failure is a reason to wait, not to end. */
  const every = async (
    milliseconds: number,
    work: () => Promise<unknown>,
    sooner?: () => Promise<void>,
  ): Promise<void> => {
    while (!stopping.signal.aborted) {
      if ((await work().catch(report)) === true) continue
      const rest = clock.sleep(milliseconds, stopping.signal).catch(() => {})
      await (sooner ? Promise.race([rest, sooner()]) : rest)
    }
  }

  const connectionOf = async (id: string): Promise<Connection> => {
    const connection = await client.connection(id)
    if (!connection) throw invalid('there is no connection of that id')
    return connection
  }

  return Object.freeze({
    async start() {
      if (loops) return
      stopping = new AbortController()
      closed = undefined
      await open()
      await beat()
      loops = Promise.all([
        every((leaseSeconds * 1000) / 4, beat),
        every(Math.min(5000, leaseSeconds * 500), upkeep),
        every(pollMilliseconds, () => hands.take(stopping.signal), hands.free),
      ]).then(() => {})
    },

    async stop({ seconds: most = 30 } = {}) {
      closed ??= (async () => {
        stopping.abort()
        await loops
        const keep = setInterval(() => void crew.beat().catch(() => {}), (leaseSeconds * 1000) / 4)
        const late = new AbortController()
        await Promise.race([hands.empty(), clock.sleep(most * 1000, late.signal).catch(() => {})])
        late.abort()
        hands.letGo(new HandBack(0))
        await hands.empty()
        clearInterval(keep)
        if (opened) {
          await crew.leave()
          await queue.stop()
        }
        loops = undefined
        opened = undefined
        lastBeat = 0
      })()
      await closed
    },

    async schedule(id, { every: period, priority = 0, startingAt }) {
      const length = seconds[period]
      if (length === undefined) throw invalid('every is none of hour, day, week and month')
      const { provider, access } = await connectionOf(id)
      await open()
      await schedules.set(id, {
        provider: provider.id,
        every: length,
        priority,
        idle: access === 'once' ? never : (provider.vendor?.refreshIdleHours?.value ?? usualIdleHours) * 3600,
        after: startingAt ? Math.max(0, (startingAt.getTime() - clock.now()) / 1000) : 0,
      })
    },

    async unschedule(id) {
      await open()
      await schedules.remove(id)
      await notices.remove(id)
      await spool.forget(id, 'all')
    },

    async run(id, { priority = 10 } = {}) {
      const { provider } = await connectionOf(id)
      await open()
      await queue.send({ kind: 'share', connection: id, provider: provider.id }, { priority })
      hands.wake()
    },

    async pause(provider) {
      await open()
      await traffic.pause(provider)
    },

    async resume(provider) {
      await open()
      await traffic.resume(provider)
      await queue.hurry(provider)
      hands.wake()
    },

    async notices() {
      await open()
      return notices.list()
    },

    async deadLetters() {
      await open()
      return queue.dead()
    },

    async revive(id) {
      await open()
      const job = await queue.exhume(id)
      if (job) await queue.send(job, { priority: 10 })
      return job !== undefined
    },

    async status() {
      await open()
      return statusOf({ queue, traffic, schedules, notices, crew, hours }, new Date(clock.now()))
    },

    health: () =>
      healthOf({
        open,
        late: () => queue.late(),
        running: loops !== undefined,
        sinceBeat: clock.now() - lastBeat,
        leaseSeconds,
      }),
  } satisfies Worker)
}

const invalid = (what: string): SmartError => new SmartError('CONFIG_INVALID', what)
