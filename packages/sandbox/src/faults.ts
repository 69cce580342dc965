/** A request as a fault looks at it. */
export interface FaultRequest {
  readonly method: string
  /** Path and query. */
  readonly path: string
}

/** Something to go wrong: which requests, how, and how often. */
export interface Fault {
  readonly match: (request: FaultRequest) => boolean
  /** The answer in place of the real one; `drop` cuts the connection, `hang` never answers, undefined answers as usual. */
  readonly respond: (
    request: FaultRequest,
  ) => Response | 'drop' | 'hang' | undefined | Promise<Response | 'drop' | 'hang' | undefined>
  /** How many requests it hits; all unless given. */
  readonly times?: number
}

/** The fault switches of a sandbox. */
export interface Faults {
  /** Arms a fault; the returned function disarms it. */
  add(fault: Fault): () => void
  clear(): void
}

export interface FaultBoard extends Faults {
  hit(request: FaultRequest): Promise<Response | 'drop' | 'hang' | undefined>
}

export function createFaults(): FaultBoard {
  const armed: { fault: Fault; left: number }[] = []
  return {
    add: (fault) => {
      const entry = { fault, left: fault.times ?? Number.POSITIVE_INFINITY }
      armed.push(entry)
      return () => {
        entry.left = 0
      }
    },
    clear: () => void armed.splice(0),
    hit: async (request) => {
      for (const entry of armed) {
        if (entry.left <= 0 || !entry.fault.match(request)) continue
        entry.left--
        const answer = await entry.fault.respond(request)
        if (answer !== undefined) return answer
      }
      return undefined
    },
  }
}
