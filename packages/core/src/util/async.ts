/** Runs one task at a time per key; a second caller of a running key gets the same promise. */
export function singleFlight<T>(): (key: string, start: () => Promise<T>) => Promise<T> {
  const running = new Map<string, Promise<T>>()
  return (key, start) => {
    const current = running.get(key)
    if (current) return current
    const promise = start().finally(() => {
      // Only the promise that started may clear itself.
      if (running.get(key) === promise) running.delete(key)
    })
    running.set(key, promise)
    return promise
  }
}

/** Runs every task, at most `width` at a time, in order of start. Rejects with the first rejection, once running tasks have settled. */
export async function pool(width: number, tasks: Iterable<() => Promise<void>>): Promise<void> {
  const queue = tasks[Symbol.iterator]()
  let failure: { error: unknown } | undefined
  const worker = async (): Promise<void> => {
    while (!failure) {
      const next = queue.next()
      if (next.done) return
      try {
        await next.value()
      } catch (error) {
        failure ??= { error }
      }
    }
  }
  await Promise.all(Array.from({ length: Math.max(1, width) }, worker))
  if (failure) throw failure.error
}

/**
 * Seconds that a `Retry-After` header asks for, or undefined.
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
 */
export function retryAfterSeconds(header: string | null, now: number): number | undefined {
  if (header === null) return undefined
  const text = header.trim()
  if (/^\d{1,10}$/.test(text)) return Number(text)
  const date = Date.parse(text)
  return Number.isNaN(date) ? undefined : Math.max(0, Math.ceil((date - now) / 1000))
}

/**
 * Seconds that the headers of a refusal ask for: `Retry-After`, else the resets of rate limits, which some write as
 * seconds from now, some as seconds since 1970 and some as dates.
 * @see https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
 */
export function waitAsked(headers: Headers, now: number): number | undefined {
  const asked = retryAfterSeconds(headers.get('retry-after'), now)
  if (asked !== undefined) return asked
  for (const name of ['ratelimit-reset', 'x-ratelimit-reset']) {
    const reset = retryAfterSeconds(headers.get(name), now)
    if (reset !== undefined) return reset < epochSeconds ? reset : Math.max(0, Math.ceil(reset - now / 1000))
  }
  return undefined
}

/** More than this many seconds from now is a time of day, counted from 1970. */
const epochSeconds = 1_000_000_000

/** Full jitter: a random wait below base × 2^attempt, capped. */
export function backoff(attempt: number, random: number, base = 500, cap = 15_000): number {
  return Math.min(cap, base * 2 ** attempt) * random
}

/** Runs work while fewer than `limit` others of the same gate run; the rest wait in their order. */
export type Gate = <T>(work: () => Promise<T>) => Promise<T>

/** A gate that lets so many through at a time. */
export function createGate(limit: number): Gate {
  const waiting: (() => void)[] = []
  let running = 0
  return async (work) => {
    if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve))
    else running++
    try {
      return await work()
    } finally {
      // Whoever is next takes the place over.
      const next = waiting.shift()
      if (next) next()
      else running--
    }
  }
}
