import type { Clock, Fetch, Provider } from '@s4s/core'
import type { Answer, Traffic, Turn } from './traffic.js'

export interface PacedFetchOptions {
  readonly provider: Pick<Provider, 'id' | 'iss' | 'vendor'>
  readonly traffic: Traffic
  readonly perMinute: number
  readonly fetch: Fetch
  readonly clock: Clock
  /** Told when the provider is not to be asked for so long that waiting makes no sense. Milliseconds, or `Infinity`. */
  readonly hold: (milliseconds: number) => void
  /** Told that the provider is left alone because it fails: what is asked of it fails at once. */
  readonly failing: (milliseconds: number) => void
  /** Told of each answer: the status, or undefined when none came. */
  readonly onAnswer: (status: number | undefined) => void
  readonly onError: (error: unknown) => void
  /** Told when the token endpoint gave tokens. */
  readonly onTokens: () => void
}

/** A request waits for its turn up to this; what takes longer is worth handing the job back for. Milliseconds. */
const longestWait = 10_000
/** What a provider that refuses without saying for how long is given. Milliseconds. */
const usualRest = 5_000

/**
 * A `fetch` for one provider that waits for its turn among all processes, and tells them what it hears. Only reading the
 * record can be held: a token request that has begun goes through, because its refresh token may be used up by then.
 */
export function pacedFetch(options: PacedFetchOptions): Fetch {
  const { provider, traffic, perMinute, clock, hold } = options
  const base = provider.iss.replace(/\/$/, '')
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input)
    const reads = url.href === base || url.href.startsWith(`${base}/`)
    const turn = await turnFor(reads, init?.signal ?? undefined)
    let response: Response
    try {
      response = await options.fetch(input, init)
    } catch (error) {
      // One that we ended ourselves says nothing about the provider; that it took too long does.
      const { aborted = false, reason } = init?.signal ?? {}
      if (!aborted || (reason as Error | undefined)?.name === 'TransportError') {
        options.onAnswer(undefined)
        await tell(turn, { kind: 'failed' })
      }
      throw error
    }
    options.onAnswer(response.status)
    const answer = answerOf(response, clock.now(), provider.vendor?.requestsPerMinute !== undefined)
    const told = tell(turn, answer)
    // A new refresh token is first of all to be stored.
    if (reads) await told
    if (answer.kind === 'asked' && answer.for > longestWait && reads) hold(answer.for)
    if (response.ok && !reads && init?.method === 'POST') options.onTokens()
    return response
  }

  /** Also when the others cannot be told, an answer is an answer. */
  async function tell(turn: Extract<Turn, { kind: 'go' }>, answer: Answer): Promise<void> {
    await traffic.heard(provider.id, turn, answer).catch(options.onError)
  }

  async function turnFor(reads: boolean, signal?: AbortSignal): Promise<Extract<Turn, { kind: 'go' }>> {
    for (;;) {
      const turn = await traffic.turn(provider.id, perMinute, longestWait)
      if (turn.kind === 'go') {
        if (turn.after > 0) await clock.sleep(turn.after, signal)
        return turn
      }
      if (!reads) return { kind: 'go', after: 0, probe: false, troubled: true }
      if (turn.for > longestWait) {
        if (turn.why === 'failing') options.failing(turn.for)
        else hold(turn.for)
        throw new Error('the provider is left alone for now')
      }
      await clock.sleep(Math.min(turn.for, 500), signal)
    }
  }
}

function answerOf({ status, headers }: Response, now: number, byTheMinute: boolean): Answer {
  const asked = status === 429 || status === 503 ? waitAsked(headers, now) : undefined
  if (asked !== undefined) return { kind: 'asked', for: asked }
  // Blocked until the next minute of the clock, which its answer does not say.
  if (status === 429) return { kind: 'asked', for: byTheMinute ? 60_000 - (now % 60_000) + 500 : usualRest }
  // With a 500 a server may say of one request what is wrong with it.
  return { kind: status >= 502 && status <= 504 ? 'failed' : 'good' }
}

/**
 * Milliseconds that a refusal asks for.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
 */
function waitAsked(headers: Headers, now: number): number | undefined {
  for (const name of ['retry-after', 'ratelimit-reset', 'x-ratelimit-reset']) {
    const text = headers.get(name)?.trim()
    if (!text) continue
    const date = Date.parse(text)
    const seconds = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
    // A reset may be a time of day, counted from 1970.
    if (seconds > 1_000_000_000) return Math.max(0, seconds * 1000 - now)
    if (!Number.isNaN(seconds)) return seconds * 1000
    if (!Number.isNaN(date)) return Math.max(0, date - now)
  }
  return undefined
}
