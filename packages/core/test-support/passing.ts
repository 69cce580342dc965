import type { ManualClock } from '../src/testing/index.js'

/** Moves a clock on, by `step` milliseconds at a time, while work is under way, so that what waits for it goes on; settles as the work does. */
export async function passing<T>(clock: ManualClock, work: Promise<T>, step = 100): Promise<T> {
  let over = false
  const end = (): void => {
    over = true
  }
  work.then(end, end)
  while (!over) {
    await new Promise((resolve) => setTimeout(resolve, 2))
    await clock.advance(step)
  }
  return work
}
