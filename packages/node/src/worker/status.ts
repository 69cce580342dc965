import type { Crew } from './crew.js'
import type { Hour, Hours } from './hours.js'
import type { Notices } from './notices.js'
import type { Queue, QueueCounts } from './queue.js'
import type { Schedules } from './schedules.js'
import type { ProviderTraffic, Traffic } from './traffic.js'

/** How the workers on a database stand, in numbers. */
export interface WorkerStatus extends QueueCounts {
  readonly at: Date
  /** Workers that live. */
  readonly workers: number
  /** Connections with a schedule. */
  readonly scheduled: number
  readonly dead: number
  readonly notices: number
  /** Seconds for which the longest waiting of the jobs that are due has waited. */
  readonly late: number
  readonly providers: readonly (ProviderTraffic & QueueCounts)[]
  /** The last day, hour by hour, oldest first. */
  readonly hours: readonly Hour[]
}

/** Whether a worker does its work. */
export interface WorkerHealth {
  readonly ok: boolean
  /** What is wrong: `database`, `stopped`, `silent` when it gives no sign of life, `late` when jobs wait for an hour. */
  readonly faults: readonly ('database' | 'stopped' | 'silent' | 'late')[]
}

/** Jobs may wait so long before somebody should look. Seconds. */
const longestWait = 3600
/** A database that does not answer within this is away. Milliseconds. */
const patience = 3000

const none: QueueCounts = { queued: 0, retrying: 0, active: 0 }

export async function statusOf(
  parts: {
    readonly queue: Queue
    readonly traffic: Traffic
    readonly schedules: Schedules
    readonly notices: Notices
    readonly crew: Crew
    readonly hours: Hours
  },
  at: Date,
): Promise<WorkerStatus> {
  const { queue, traffic, schedules, notices, crew, hours } = parts
  const counts = await queue.counts()
  const known = await traffic.list()
  const working = [...counts.keys()]
    .filter((provider) => !known.some((one) => one.provider === provider))
    .map((provider): ProviderTraffic => ({ provider, state: 'working' }))
  const providers = [...known, ...working].map((one) =>
    Object.freeze({ ...one, ...(counts.get(one.provider) ?? none) }),
  )
  const sum = (of: keyof QueueCounts): number => providers.reduce((all, one) => all + one[of], 0)
  return Object.freeze({
    at,
    workers: await crew.count(),
    scheduled: await schedules.count(),
    queued: sum('queued'),
    retrying: sum('retrying'),
    active: sum('active'),
    dead: (await queue.dead()).length,
    notices: (await notices.list()).length,
    late: await queue.late(),
    providers: Object.freeze(providers),
    hours: Object.freeze(await hours.last(24)),
  })
}

export async function healthOf(look: {
  readonly open: () => Promise<void>
  readonly late: () => Promise<number>
  readonly running: boolean
  readonly sinceBeat: number
  readonly leaseSeconds: number
}): Promise<WorkerHealth> {
  const faults: WorkerHealth['faults'][number][] = []
  let timer: NodeJS.Timeout | undefined
  const late = await Promise.race([
    look.open().then(look.late),
    new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, patience, undefined)
    }),
  ]).catch(() => undefined)
  clearTimeout(timer)
  if (late === undefined) faults.push('database')
  else if (late > longestWait) faults.push('late')
  if (!look.running) faults.push('stopped')
  else if (look.sinceBeat > look.leaseSeconds * 1000) faults.push('silent')
  return Object.freeze({ ok: faults.length === 0, faults: Object.freeze(faults) })
}
