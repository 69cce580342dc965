import type { Clock } from '@s4s/core'
import type { Ending } from './ending.js'
import type { Hours, JobOutcome } from './hours.js'
import { type JobWorld, runJob } from './job.js'
import type { Queue, TakenJob } from './queue.js'

export interface HandsOptions {
  readonly queue: Queue
  readonly world: JobWorld
  readonly hours: Hours
  readonly clock: Clock
  /** Jobs at a time. */
  readonly concurrency: number
  /** How often a job is tried again. */
  readonly retries: number
}

/** The jobs that a process has in hand. */
export interface Hands {
  /** Takes what there is to do, as far as there are hands free. True when there may be more. */
  take(signal: AbortSignal): Promise<boolean>
  /** Settles when a hand becomes free, or `wake` is called. */
  free(): Promise<void>
  wake(): void
  /** Settles when nothing is in hand. */
  empty(): Promise<void>
  /** Makes every job let go; what under a lock is under way comes to its end first. */
  letGo(reason: Error): void
}

export function createHands({ queue, world, hours, clock, concurrency, retries }: HandsOptions): Hands {
  const { crew, notices, telemetry, traffic, report } = world
  /** Jobs, and how to make them let go. */
  const running = new Map<Promise<void>, AbortController>()
  let wake = (): void => {}

  const settle = async (job: TakenJob, ending: Ending): Promise<JobOutcome | undefined> => {
    const { connection, provider } = job
    if (ending.kind === 'lost') return undefined
    if (ending.kind === 'back') {
      await queue.handBack(job, ending.seconds)
      return undefined
    }
    if (ending.kind === 'reconnect') {
      await notices.put({ connection, provider, code: ending.code })
      await queue.done(job, `reconnect ${ending.code}`)
      return 'reconnect'
    }
    if (ending.kind === 'done') {
      if (ending.outcome !== 'no-consent') await notices.remove(connection)
      await queue.done(job, ending.outcome)
      return ending.outcome
    }
    if (ending.kind === 'dead') await queue.bury(job, ending.reason)
    else await queue.fail(job, ending.reason)
    return ending.kind === 'dead' || job.attempt > retries ? 'dead' : 'retry'
  }

  const doJob = async (job: TakenJob, control: AbortController): Promise<void> => {
    const begun = clock.now()
    if (!(await crew.claim(job.connection, job.id))) return queue.handBack(job, 5)
    try {
      const ending = await telemetry.job(job, (step) => runJob(job, world, control.signal, step))
      const outcome = await settle(job, ending)
      if (outcome === undefined) return
      const code = 'reason' in ending ? ending.reason.code : 'code' in ending ? ending.code : undefined
      const milliseconds = clock.now() - begun
      telemetry.ended(job, outcome, milliseconds, code)
      await hours.add(job.provider, outcome, milliseconds)
    } finally {
      await crew.release(job.connection, job.id)
    }
  }

  const begin = (job: TakenJob): void => {
    const control = new AbortController()
    const done: Promise<void> = doJob(job, control)
      // What cannot even be written down is found by its silence, and done again.
      .catch(report)
      .finally(() => {
        running.delete(done)
        wake()
      })
    running.set(done, control)
  }

  return {
    async take(signal) {
      const left = (await traffic.list()).filter(({ state }) => state !== 'working')
      const held = new Set(left.map(({ provider }) => provider))
      let took = false
      let open = (await queue.due()).filter((provider) => !held.has(provider))
      // One of each provider in turn: a large one does not keep a small one waiting.
      while (open.length > 0) {
        const more: string[] = []
        for (const provider of open) {
          if (running.size >= concurrency || signal.aborted) return false
          const job = await queue.take(provider)
          if (!job) continue
          begin(job)
          took = true
          more.push(provider)
        }
        open = more
      }
      return took
    },
    free: () =>
      new Promise((resolve) => {
        wake = resolve
      }),
    wake: () => wake(),
    empty: async () => {
      await Promise.all(running.keys())
    },
    letGo: (reason) => {
      for (const control of running.values()) control.abort(reason)
    },
  }
}
