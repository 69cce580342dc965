import { isSmartError, type Remedy } from '@s4s/core'

/** Headers of every answer: it is kept nowhere, and what it is, is what it says it is. */
export const guarded = {
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

/** An answer in JSON. */
export function json(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return new Response(JSON.stringify(value), {
    status,
    headers: { 'content-type': 'application/json', ...guarded, ...headers },
  })
}

/** What a page is told of an error: our code and who can mend it, and no one else's words. */
export function failure(error: unknown): Response {
  if (!isSmartError(error)) return json(500, { error: 'internal' })
  const { code, remedy, retryAfter } = error
  const wait = retryAfter === undefined ? {} : { 'retry-after': String(Math.ceil(retryAfter)) }
  return json(statuses[remedy], { error: code, remedy }, wait)
}

const statuses: Readonly<Record<Remedy, number>> = {
  retry: 503,
  reconnect: 409,
  'ask-participant': 409,
  configure: 500,
  'contact-provider': 502,
}
