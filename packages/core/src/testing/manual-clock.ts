import type { Clock } from '../ports.js'

/** A clock that stands still until it is moved. */
export interface ManualClock extends Clock {
  /** Moves time on and wakes whoever slept until then, in order. */
  advance(milliseconds: number): Promise<void>
}

/** Makes a clock for tests. @param start Epoch milliseconds. */
export function manualClock(start: number = Date.UTC(2026, 5, 1)): ManualClock {
  let now = start
  let sleepers: { readonly at: number; readonly wake: () => void }[] = []
  return Object.freeze({
    now: () => now,
    sleep: (milliseconds, signal) =>
      new Promise<void>((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const sleeper = { at: now + milliseconds, wake: resolve }
        sleepers.push(sleeper)
        signal?.addEventListener('abort', () => {
          sleepers = sleepers.filter((other) => other !== sleeper)
          reject(signal.reason)
        })
      }),
    async advance(milliseconds) {
      now += milliseconds
      const due = sleepers.filter((sleeper) => sleeper.at <= now).sort((one, other) => one.at - other.at)
      sleepers = sleepers.filter((sleeper) => sleeper.at > now)
      for (const sleeper of due) {
        sleeper.wake()
        await Promise.resolve()
      }
    },
  } satisfies ManualClock)
}
