import { type ErrorCode, SmartError, type SmartErrorDetails } from '../errors.js'
import type { Clock, CryptoPort } from '../ports.js'
import { backoff, waitAsked } from '../util/async.js'
import { isObject, parseJson } from '../util/json.js'
import { TransportError, type TransportFault, type TransportResponse } from '../util/transport.js'
import type { Vendor } from '../vendors/vendor.js'
import type { Outcome } from './types.js'

/** One request to the FHIR server, as far as this floor knows it. */
export interface FhirRequest {
  readonly url: string
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly accept?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly contentType?: string
  readonly maxBytes?: number
  /** The bases that the URL must lie within; the FHIR base unless given. */
  readonly within?: readonly string[]
  readonly signal?: AbortSignal
  /** Given the beginning of a long answer while the rest is on its way. */
  readonly onHead?: (text: string) => void
}

/** Sends a request bound to the FHIR base. Whoever makes it attaches what authorises it. */
export type FhirSend = (request: FhirRequest) => Promise<TransportResponse>

export interface RequestWorld {
  readonly send: FhirSend
  readonly clock: Clock
  readonly crypto: CryptoPort
  readonly provider: { readonly id: string; readonly name: string; readonly vendor?: Vendor }
  /** Until when the server has asked to be left alone: what it says to one request is meant for all. Epoch milliseconds. */
  readonly pause?: { until: number }
  /** Other origins that serve attachments to the same token. */
  readonly attachmentOrigins?: readonly string[]
}

const attempts = 4
/** A server that asks for a longer wait is reported rather than waited for. Seconds. */
const longestWait = 60

/**
 * Sends until there is an answer that can be used: waits when told to, retries what may pass.
 *
 * @throws SmartError `FHIR_*`
 */
export async function request(world: RequestWorld, wanted: FhirRequest): Promise<TransportResponse> {
  for (let attempt = 0; ; attempt++) {
    const left = (world.pause?.until ?? 0) - world.clock.now()
    if (left > 0) await world.clock.sleep(left, wanted.signal)
    const outcome = await once(world, wanted)
    if ('answer' in outcome) return outcome.answer
    const { error } = outcome
    const wait = waitBefore(error, attempt, world)
    if (world.pause && error.retryAfter !== undefined && wait !== undefined)
      world.pause.until = Math.max(world.pause.until, world.clock.now() + wait)
    // Every request of this floor only reads, also a search by POST, so each may be sent again.
    if (attempt + 1 >= attempts || wait === undefined) throw error
    if (!world.pause || error.retryAfter === undefined) await world.clock.sleep(wait, wanted.signal)
  }
}

/**
 * Sends a request that changes something: once, whatever happens.
 *
 * @throws SmartError `FHIR_*`
 */
export async function requestOnce(
  world: Pick<RequestWorld, 'send' | 'clock' | 'provider'>,
  wanted: FhirRequest,
): Promise<TransportResponse> {
  const outcome = await once(world, wanted)
  if ('error' in outcome) throw outcome.error
  return outcome.answer
}

async function once(
  world: Pick<RequestWorld, 'send' | 'clock' | 'provider'>,
  wanted: FhirRequest,
): Promise<{ readonly answer: TransportResponse } | { readonly error: SmartError }> {
  let answer: TransportResponse
  try {
    answer = await world.send(wanted)
  } catch (error) {
    if (wanted.signal?.aborted) throw wanted.signal.reason
    if (!(error instanceof TransportError)) throw error
    return { error: faultError(error, world) }
  }
  if (answer.status >= 200 && answer.status < 300) return { answer }
  return { error: statusError(answer, world) }
}

function waitBefore(error: SmartError, attempt: number, world: RequestWorld): number | undefined {
  if (error.retryAfter !== undefined)
    return error.retryAfter <= longestWait ? error.retryAfter * 1000 : undefined
  const passing: readonly ErrorCode[] = [
    'FHIR_UNREACHABLE',
    'FHIR_TIMEOUT',
    'FHIR_RATE_LIMITED',
    'FHIR_SERVER_ERROR',
  ]
  if (!passing.includes(error.code) || lasting.has(error.reason ?? '')) return undefined
  const now = world.clock.now()
  // Blocked until the next minute of the clock, which its answer does not say.
  if (error.code === 'FHIR_RATE_LIMITED' && world.provider.vendor?.requestsPerMinute)
    return 60_000 - (now % 60_000) + 500
  const [random = 0] = world.crypto.getRandomValues(new Uint32Array(1))
  return backoff(attempt, random / 2 ** 32)
}

// Some servers say with a 500 what is wrong with the request: asked again, they say it again.
const lasting = new Set([
  ...['required', 'value', 'invariant', 'structure', 'invalid', 'not-supported', 'business-rule'],
  ...['forbidden', 'security', 'code-invalid', 'too-costly'],
])

const faultCodes: Readonly<Record<TransportFault, ErrorCode>> = {
  insecure: 'CONFIG_INSECURE_URL',
  foreign: 'FHIR_FOREIGN_URL',
  unreachable: 'FHIR_UNREACHABLE',
  timeout: 'FHIR_TIMEOUT',
  'too-large': 'FHIR_RESPONSE_TOO_LARGE',
  redirected: 'FHIR_REDIRECTED',
  'bad-header': 'TOKEN_RESPONSE_INVALID',
  private: 'CONFIG_PRIVATE_ADDRESS',
}

/** A fault of the transport as the error that a caller can act on. */
export function faultError(error: TransportError, world: Pick<RequestWorld, 'provider'>): SmartError {
  return new SmartError(
    faultCodes[error.fault],
    `the record at ${world.provider.name} cannot be read: ${error.message}`,
    {
      subject: world.provider.id,
      cause: error,
    },
  )
}

/** An answer that is no success as the error that a caller can act on. */
export function statusError(
  answer: TransportResponse,
  world: Pick<RequestWorld, 'provider' | 'clock'>,
): SmartError {
  const { status, headers } = answer
  const retryAfter = status === 429 || status === 503 ? waitAsked(headers, world.clock.now()) : undefined
  const issue = outcomesOf(parseJson(answer.text()))[0]
  const details: SmartErrorDetails = {
    subject: world.provider.id,
    status,
    ...(retryAfter === undefined ? {} : { retryAfter }),
    ...(issue === undefined ? {} : { reason: issue.code }),
  }
  const isForm = issue !== undefined && world.provider.vendor?.badQuery?.value.includes(status)
  const code = isForm ? 'FHIR_BAD_REQUEST' : codeOf(status)
  return new SmartError(code, `${world.provider.name} answered with status ${status}`, details)
}

function codeOf(status: number): ErrorCode {
  if (status === 401) return 'FHIR_UNAUTHORIZED'
  if (status === 403) return 'FHIR_FORBIDDEN'
  if (status === 404 || status === 501) return 'FHIR_NOT_FOUND'
  if (status === 410) return 'FHIR_GONE'
  if (status === 409 || status === 412) return 'FHIR_CONFLICT'
  if (status === 429) return 'FHIR_RATE_LIMITED'
  if (status >= 500) return 'FHIR_SERVER_ERROR'
  return 'FHIR_BAD_REQUEST'
}

/** The issues of an OperationOutcome, without their texts: those may hold health data. */
export function outcomesOf(resource: unknown): Outcome[] {
  if (!isObject(resource) || resource.resourceType !== 'OperationOutcome' || !Array.isArray(resource.issue))
    return []
  return resource.issue.filter(isObject).map((issue) => {
    const severity = issue.severity
    const known =
      severity === 'fatal' || severity === 'error' || severity === 'information' ? severity : 'warning'
    const coding =
      isObject(issue.details) && Array.isArray(issue.details.coding) ? issue.details.coding[0] : undefined
    const detail = isObject(coding) ? coding.code : undefined
    return {
      severity: known,
      code: shortCode(issue.code) ?? 'unknown',
      ...(shortCode(detail) === undefined ? {} : { detail: shortCode(detail) as string }),
    }
  })
}

// FHIR's issue types are words; vendors number their own. Anything longer may be somebody's data.
function shortCode(value: unknown): string | undefined {
  return typeof value === 'string' && /^([a-z]{2,15}(-[a-z]{2,15})?|\d{1,8}|MSG_[A-Z_]{1,40})$/.test(value)
    ? value
    : undefined
}
