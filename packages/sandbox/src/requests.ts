/** A request that the sandbox saw, for tests that look at what an app sends and where. */
export interface SeenRequest {
  readonly method: string
  /** Path and query. */
  readonly path: string
  readonly url: string
  readonly authorization?: string
  readonly origin?: string
  readonly at: Date
}

/** The latest requests, oldest first. */
export interface RequestLog {
  readonly requests: readonly SeenRequest[]
  add(request: SeenRequest): void
  clear(): void
}

const kept = 10_000

export function createRequestLog(): RequestLog {
  const requests: SeenRequest[] = []
  return {
    requests,
    add: (request) => {
      if (requests.length >= kept) requests.splice(0, kept / 10)
      requests.push(request)
    },
    clear: () => void requests.splice(0),
  }
}
