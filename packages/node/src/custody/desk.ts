import { randomBytes } from 'node:crypto'
import { type Connection, collect, isSmartError, type PatientRecord, type Plan } from '@s4s/core'
import { createEventLog, type EventLog } from './events.js'

/** How far the collecting that a page asked for is. */
export interface Job {
  readonly id: string
  readonly state: 'collecting' | 'done'
  readonly connections: readonly JobRow[]
}

export interface JobRow {
  readonly connection: string
  /** `stopped`: the connection was ended, or the participant withdrew. */
  readonly state: 'collecting' | 'collected' | 'failed' | 'stopped'
  /** An error code, and who can mend it, when it failed. */
  readonly error?: string
  readonly remedy?: string
}

/**
 * What one participant has under way on this server, in its memory: collections, the records that came of them, and
 * what a page is told. Nothing in here can be reached but through the participant whose it is.
 */
export interface Desk {
  /** Collects these connections; one that is under way is not begun twice. Undefined when too many are. */
  collect(connections: readonly Connection[]): Job | undefined
  job(id: string): Job | undefined
  readonly isCollecting: boolean
  /** Records that are there, and not wiped before `work` has settled. */
  hold<T>(work: (records: readonly PatientRecord[]) => Promise<T>): Promise<T>
  /** Stops collecting, and wipes what was collected: of one connection, or all. */
  forget(connection?: string): void
  readonly events: Pick<EventLog, 'open'>
}

/** The desks of all participants. */
export interface Desks {
  find(participant: string): Desk | undefined
  open(participant: string): Desk
}

export interface DesksOptions {
  readonly plan: Plan
  /** Milliseconds after which what was collected is wiped. */
  readonly keepFor: number
  /** Collections under way at a time, of all participants. */
  readonly mostRunning: number
}

interface Run {
  readonly abort: AbortController
  readonly outcome: Promise<JobRow>
}

const mostJobs = 32

export function createDesks(options: DesksOptions): Desks {
  const desks = new Map<string, Desk>()
  const load = { running: 0 }
  return Object.freeze({
    find: (participant: string) => desks.get(participant),
    open: (participant: string) => {
      const desk = desks.get(participant) ?? createDesk(options, load, () => desks.delete(participant))
      desks.set(participant, desk)
      return desk
    },
  } satisfies Desks)
}

function createDesk(options: DesksOptions, load: { running: number }, close: () => void): Desk {
  const { plan, keepFor, mostRunning } = options
  const runs = new Map<string, Run>()
  const jobs = new Map<string, Job>()
  const records = new Map<string, PatientRecord>()
  const held = { times: 0, wipeAfter: [] as PatientRecord[] }
  const isCollecting = (): boolean => [...jobs.values()].some(({ state }) => state === 'collecting')
  const log = createEventLog({ isOpen: isCollecting })

  const later = (work: () => void): void => {
    const timer = setTimeout(() => {
      work()
      if (jobs.size === 0 && records.size === 0) close()
    }, keepFor)
    timer.unref()
  }

  const discard = (record: PatientRecord | undefined): void => {
    if (!record) return
    if (records.get(record.connection) === record) records.delete(record.connection)
    if (held.times > 0) held.wipeAfter.push(record)
    else record.wipe()
  }

  const keep = (record: PatientRecord): void => {
    discard(records.get(record.connection))
    records.set(record.connection, record)
    later(() => discard(record))
  }

  const run = async (connection: Connection, { signal }: AbortController): Promise<JobRow> => {
    const { id } = connection
    try {
      const record = await collect(connection, {
        plan,
        signal,
        onProgress: ({ done, total, resources, attachments, dataClass }) => {
          if (signal.aborted) return
          log.add(
            'progress',
            { connection: id, done, total, resources, attachments, dataClass },
            `progress ${id}`,
          )
        },
      })
      if (signal.aborted) {
        record.wipe()
        return { connection: id, state: 'stopped' }
      }
      keep(record)
      return { connection: id, state: 'collected' }
    } catch (error) {
      if (signal.aborted) return { connection: id, state: 'stopped' }
      const { code, remedy } = isSmartError(error) ? error : { code: 'internal', remedy: 'retry' }
      return { connection: id, state: 'failed', error: code, remedy }
    }
  }

  const start = (connection: Connection): Run => {
    const abort = new AbortController()
    load.running += 1
    const outcome = run(connection, abort).then((row) => {
      load.running -= 1
      if (runs.get(connection.id) === started) runs.delete(connection.id)
      log.add(row.state, { ...row }, `end ${connection.id}`)
      return row
    })
    const started = { abort, outcome }
    runs.set(connection.id, started)
    return started
  }

  const follow = async (id: string, outcomes: readonly Promise<JobRow>[]): Promise<void> => {
    const settle = (row: JobRow): void => {
      const job = jobs.get(id) as Job
      const rows = job.connections.map((one) => (one.connection === row.connection ? row : one))
      jobs.set(id, { ...job, connections: rows })
    }
    await Promise.all(outcomes.map(async (outcome) => settle(Object.freeze(await outcome))))
    jobs.set(id, Object.freeze({ ...(jobs.get(id) as Job), state: 'done' }))
    log.add('done', { job: id }, `done ${id}`)
    if (!isCollecting()) log.finish()
    later(() => jobs.delete(id))
    // Of jobs that are done, no more are remembered than a page could want to look at.
    const [oldest] = [...jobs.values()].filter(({ state }) => state === 'done')
    if (jobs.size > mostJobs && oldest) jobs.delete(oldest.id)
  }

  return Object.freeze({
    collect: (connections: readonly Connection[]) => {
      const wanted = [...new Map(connections.map((one) => [one.id, one])).values()]
      const fresh = wanted.filter(({ id }) => !runs.has(id))
      const same = [...jobs.values()].find(
        (job) =>
          job.state === 'collecting' &&
          wanted.every(({ id }) => job.connections.some((row) => row.connection === id && isUnderWay(row))),
      )
      if (fresh.length === 0 && same) return same
      if (load.running + fresh.length > mostRunning) return undefined
      const rows = wanted.map(({ id }) => Object.freeze({ connection: id, state: 'collecting' as const }))
      const job: Job = Object.freeze({
        id: randomBytes(18).toString('base64url'),
        state: 'collecting',
        connections: Object.freeze(rows),
      })
      jobs.set(job.id, job)
      const outcomes = wanted.map((connection) => (runs.get(connection.id) ?? start(connection)).outcome)
      void follow(job.id, outcomes)
      return job
    },
    job: (id: string) => jobs.get(id),
    get isCollecting() {
      return isCollecting()
    },
    hold: async <T>(work: (held: readonly PatientRecord[]) => Promise<T>) => {
      held.times += 1
      try {
        return await work([...records.values()])
      } finally {
        held.times -= 1
        if (held.times === 0) for (const record of held.wipeAfter.splice(0)) record.wipe()
      }
    },
    forget: (connection?: string) => {
      for (const [id, { abort }] of [...runs]) {
        if (connection !== undefined && id !== connection) continue
        // Out of the way at once: one that is asked for anew must not join what was stopped.
        runs.delete(id)
        abort.abort()
      }
      for (const record of [...records.values()])
        if (connection === undefined || record.connection === connection) discard(record)
    },
    events: Object.freeze({ open: log.open }),
  } satisfies Desk)
}

const isUnderWay = (row: JobRow): boolean => row.state === 'collecting'
