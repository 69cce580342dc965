import { json } from '../answer.js'
import type { Limit } from '../limit.js'
import { saysJson } from './body.js'

/** Lets a request of a page through to what belongs to its participant, and nobody else's. */
export interface Guard {
  /** Whose request it is, for a route that only reads; or the answer that refuses it. */
  reads(request: Request): Promise<string | Response>
  /** The same for a route that changes something. @param cost tokens of the participant's limit */
  changes(request: Request, cost?: number): Promise<string | Response>
}

export function createGuard(options: {
  /** The origin that pages must have. */
  readonly origin: string
  readonly participant: (request: Request) => Promise<string | undefined>
  /** By participant. */
  readonly limit: Limit
}): Guard {
  const { origin, participant, limit } = options

  const admit = async (request: Request, cost: number): Promise<string | Response> => {
    const who = await participant(request)
    if (who === undefined) return json(401, { error: 'participant' })
    const wait = limit.take(who, cost)
    return wait === undefined ? who : tooMany(wait)
  }

  return Object.freeze({
    reads: async (request: Request) =>
      isOfAnotherSite(request) ? json(403, { error: 'origin' }) : admit(request, 1),
    changes: async (request: Request, cost = 1) => {
      // Each of the two would do: a form says neither, and a script elsewhere must ask first, which is answered with no.
      if (!isSameOrigin(request, origin)) return json(403, { error: 'origin' })
      if (!saysJson(request)) return json(415, { error: 'content-type' })
      return admit(request, cost)
    },
  } satisfies Guard)
}

/** Asks for patience. */
export function tooMany(seconds: number): Response {
  return json(429, { error: 'limit', remedy: 'retry' }, { 'retry-after': String(seconds) })
}

// Browsers send at least one of the two with every POST; what sends neither is not the page of a participant.
function isSameOrigin(request: Request, origin: string): boolean {
  const from = request.headers.get('origin')
  if (isOfAnotherSite(request, ['same-origin'])) return false
  return from === null ? request.headers.get('sec-fetch-site') === 'same-origin' : from === origin
}

// `none` is an address that the participant typed.
function isOfAnotherSite(request: Request, fine: readonly string[] = ['same-origin', 'none']): boolean {
  const site = request.headers.get('sec-fetch-site')
  return site !== null && !fine.includes(site)
}
