import { SmartError } from '../errors.js'
import type { Platform } from '../ports.js'
import { isObject, parseJson, stringAt } from '../util/json.js'
import { Secret } from '../util/secret.js'
import { createTransport, type Transport, type TransportResponse } from '../util/transport.js'
import { join } from '../util/url.js'
import { checkDeliveryUrl, patienceFor, sendPatiently } from './delivery.js'
import { type Entry, transactionBundle } from './fhir-transactions.js'

/** A FHIR server as a delivery needs it. */
export interface Server {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly authorize: ((options: { readonly signal?: AbortSignal }) => string | Promise<string>) | undefined
  readonly platform: Pick<Platform, 'fetch' | 'crypto' | 'clock'>
  readonly transport: Transport
}

/** A resource that a server holds; only that it has the type and id which were asked for is certain. */
export type Stored = Record<string, unknown>

/** @throws SmartError `CONFIG_INVALID`, `CONFIG_INSECURE_URL` */
export function serverAt(given: Omit<Server, 'transport'>): Server {
  checkDeliveryUrl(given.url)
  checkHeaders(given.headers)
  return { ...given, transport: createTransport(given.platform) }
}

// A platform's own error about a bad value would quote the value.
function checkHeaders(headers: Readonly<Record<string, string>>): void {
  try {
    new Headers(headers)
  } catch {
    throw new SmartError('CONFIG_INVALID', 'a header of the delivery is none that can be sent')
  }
}

/** Stores all of the entries, or none. */
export async function put(
  server: Server,
  all: readonly Entry[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const body = transactionBundle(server.url, all)
  const answer = await ask(server, { method: 'POST', body }, signal)
  const statuses = statusesIn(answer, 'transaction-response', all.length)
  if (!statuses.every((status) => /^2\d\d$/.test(status)))
    throw new SmartError('SHARE_REFUSED', 'the FHIR server did not store a part of a transaction')
}

/** True when the server says of each that it is deleted. */
export async function erase(
  server: Server,
  all: readonly string[],
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (all.length === 0) return true
  const entry = all.map((name) => ({ request: { method: 'DELETE', url: name } }))
  const body = new TextEncoder().encode(JSON.stringify({ resourceType: 'Bundle', type: 'batch', entry }))
  const statuses = statusesIn(
    await ask(server, { method: 'POST', body }, signal),
    'batch-response',
    all.length,
  )
  return statuses.every((status) => ['200', '204', '404', '410'].includes(status))
}

/** The resource of a name, `Type/id`, if the server has it. */
export async function read(
  server: Server,
  name: string,
  signal: AbortSignal | undefined,
): Promise<Stored | undefined> {
  const answer = await ask(server, { method: 'GET', path: name }, signal)
  if (answer.status === 404 || answer.status === 410) return undefined
  const found = parseJson(answer.text())
  if (!isObject(found) || `${found.resourceType}/${found.id}` !== name)
    throw new SmartError('SHARE_REFUSED', 'the FHIR server does not answer as FHIR says', {
      status: answer.status,
    })
  return found
}

/** The status of each entry, as three digits. */
function statusesIn(answer: TransportResponse, type: string, count: number): string[] {
  const bundle = parseJson(answer.text())
  const entries = isObject(bundle) && bundle.type === type && Array.isArray(bundle.entry) ? bundle.entry : []
  if (entries.length !== count)
    throw new SmartError('SHARE_REFUSED', 'the FHIR server does not answer as FHIR says', {
      status: answer.status,
    })
  return entries.map((one: unknown) =>
    (stringAt(isObject(one) ? one.response : undefined, 'status') ?? '').slice(0, 3),
  )
}

interface Message {
  readonly method: 'GET' | 'POST'
  readonly path?: string
  readonly body?: Uint8Array
}

async function ask(
  server: Server,
  { method, path, body }: Message,
  signal: AbortSignal | undefined,
): Promise<TransportResponse> {
  const patience = patienceFor(body?.length ?? 0)
  const request = async (): Promise<TransportResponse> => {
    const token = await server.authorize?.(signal ? { signal } : {})
    return server.transport({
      url: path === undefined ? server.url : join(server.url, path),
      within: [server.url],
      method,
      headers: {
        ...server.headers,
        accept: 'application/fhir+json',
        ...(body ? { 'content-type': 'application/fhir+json', prefer: 'return=minimal' } : {}),
      },
      ...(token === undefined ? {} : { bearer: new Secret(token) }),
      ...(body ? { body } : {}),
      // Some servers answer with all that they were given nevertheless.
      maxBytes: 32 * 1024 * 1024 + 2 * (body?.length ?? 0),
      idleTimeout: patience,
      totalTimeout: 2 * patience,
      ...(signal ? { signal } : {}),
    })
  }
  const answer = await sendPatiently(server.platform, request, signal)
  const isAbsent = method === 'GET' && (answer.status === 404 || answer.status === 410)
  if (!isAbsent && (answer.status < 200 || answer.status > 299)) throw refusal(answer)
  return answer
}

function refusal(answer: TransportResponse): SmartError {
  const { status } = answer
  const outcome = parseJson(answer.text())
  const issue: unknown = isObject(outcome) && Array.isArray(outcome.issue) ? outcome.issue[0] : undefined
  const reason = stringAt(issue, 'code')
  const details = { status, ...(reason === undefined ? {} : { reason }) }
  if (status === 401 || status === 403)
    return new SmartError('SHARE_KEY_REFUSED', 'the FHIR server does not let this app write', details)
  if (status === 507) return new SmartError('SHARE_INBOX_FULL', 'the FHIR server has no room', details)
  // Someone else writes the same at this moment.
  if (status === 409 || status === 412 || status === 423)
    return new SmartError('SHARE_UNREACHABLE', 'the FHIR server is at work on the same package', details)
  return new SmartError('SHARE_REFUSED', `the FHIR server answered with status ${status}`, details)
}
