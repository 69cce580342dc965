import type { Handler } from '../node-http.js'

/** The functions that a route file of Next.js exports. */
export type NextRoute = Readonly<Record<'GET' | 'POST' | 'PUT' | 'DELETE' | 'OPTIONS', Handler>>

/**
 * A node client or an inbox as a catch-all route of Next.js.
 *
 * @example export const { GET, POST, DELETE } = toNextRoute(smart) // app/smart/[...path]/route.ts
 */
export function toNextRoute(served: Handler | { readonly handler: Handler }): NextRoute {
  const handler = typeof served === 'function' ? served : served.handler
  // Next hands on a second argument that is none of the handler's business.
  const handle: Handler = (request) => handler(request)
  return Object.freeze({ GET: handle, POST: handle, PUT: handle, DELETE: handle, OPTIONS: handle })
}
