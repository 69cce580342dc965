/** What a route is given: the path's variable part, and the request that it came with. */
export interface Visit {
  readonly request: Request
  readonly url: URL
  readonly id: string
}

export type Route = (visit: Visit) => Promise<Response>

/** Method, path below the base, and what answers. */
export type RouteRow = readonly [method: string, path: RegExp, route: Route]
