import type { SmartError } from './errors.js'
import { faultError, statusError } from './fhir/request.js'
import type { Platform } from './ports.js'
import { waitAsked } from './util/async.js'
import {
  createTransport,
  TransportError,
  type TransportRequest,
  type TransportResponse,
} from './util/transport.js'

/** One request beside the verbs of a reader, such as for an export: sent once, never redirected, with deadlines. */
export interface ServiceRequest
  extends Pick<
    TransportRequest,
    'url' | 'method' | 'headers' | 'body' | 'maxBytes' | 'idleTimeout' | 'totalTimeout' | 'signal' | 'sink'
  > {
  /** Origins that may be sent the token beside the FHIR base. */
  readonly origins?: readonly string[]
}

/** What a server answered, whatever its status. */
export interface ServiceAnswer {
  readonly status: number
  readonly headers: Headers
  text(): string
  /** Seconds that it asks to wait. */
  readonly retryAfter?: number
  /** Set when it is no success: the same as a reader would have thrown. */
  readonly error?: SmartError
}

type Provider = { readonly id: string; readonly name: string }

/**
 * Requests without a token, for what a server says needs none.
 *
 * @throws SmartError `FHIR_*` or `CONFIG_*` when there is no answer
 */
export function createOpenRequest(
  world: Pick<Platform, 'fetch' | 'clock'> & { readonly provider: Provider },
): (wanted: Omit<ServiceRequest, 'origins'>) => Promise<ServiceAnswer> {
  const transport = createTransport(world)
  return ({ ...wanted }) => answered(world, () => transport(wanted))
}

/** What was answered, told so that its caller can act on it. */
export async function answered(
  world: Pick<Platform, 'clock'> & { readonly provider: Provider },
  send: () => Promise<TransportResponse>,
): Promise<ServiceAnswer> {
  try {
    const answer = await send()
    const { status, headers, text } = answer
    const retryAfter = waitAsked(headers, world.clock.now())
    return {
      status,
      headers,
      text,
      ...(retryAfter === undefined ? {} : { retryAfter }),
      ...(status >= 200 && status < 300 ? {} : { error: statusError(answer, world) }),
    }
  } catch (error) {
    throw error instanceof TransportError ? faultError(error, world) : error
  }
}
