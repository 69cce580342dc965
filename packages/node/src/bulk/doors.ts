import { ambientClock, type Clock, type Provider, SmartError } from '@s4s/core'
import {
  type BackendService,
  createOpenRequest,
  type ServiceAnswer,
  type ServiceRequest,
} from '@s4s/core/confidential'
import { nodePlatform } from '../platform.js'

type Wanted = Omit<ServiceRequest, 'origins'>

/** The ways out of an export: where the token goes, and where no token goes. */
export interface Doors {
  readonly clock: Clock
  readonly provider: BackendService['provider']
  /** With the token: to the origin of the FHIR base and to those that the caller listed. */
  ask(wanted: Wanted): Promise<ServiceAnswer>
  /** A file: with the token only when the manifest asks for it, and only to the same origins. */
  file(wanted: Wanted, needsToken: boolean): Promise<ServiceAnswer>
}

/**
 * Opens the doors.
 *
 * @param origins where the server keeps its files beside its own origin, such as `https://files.hospital.example`
 */
export function createDoors(
  service: BackendService,
  origins: readonly string[],
  clock: Clock = ambientClock,
): Doors {
  const { provider } = service
  const own = new URL(provider.iss).origin
  const listed = origins.map((origin) => {
    if (!URL.canParse(origin))
      throw new SmartError('CONFIG_INVALID', 'fileOrigins lists something that is no origin')
    return new URL(origin).origin
  })
  const trusted = [own, ...listed]
  const { fetch } = nodePlatform({
    providers: [{ ...provider, clientId: 'none' } as Provider],
    allowPrivate: listed.map((origin) => new URL(origin).host),
  })
  const open = createOpenRequest({ fetch, clock, provider })
  const ask: Doors['ask'] = (wanted) => service.request({ ...wanted, origins: trusted })
  return Object.freeze({
    clock,
    provider,
    ask,
    file: (wanted: Wanted, needsToken: boolean) => (needsToken ? ask(wanted) : open(wanted)),
  })
}

const shortest = 200
/** A server that asks for a longer wait is asked again after this. Milliseconds. */
const longest = 300_000

/** Milliseconds to wait: what the server asks for, within reason, else longer each time. */
export function waitOf(retryAfter: number | undefined, attempt: number): number {
  const wanted = retryAfter === undefined ? Math.min(30_000, 500 * 1.6 ** attempt) : retryAfter * 1000
  return Math.min(longest, Math.max(shortest, wanted))
}

/** True for what may pass: the same request may work later. */
export function mayPass(error: unknown): boolean {
  const { code } = error as { code?: unknown }
  return [
    'FHIR_UNREACHABLE',
    'FHIR_TIMEOUT',
    'FHIR_RATE_LIMITED',
    'FHIR_SERVER_ERROR',
    'TOKEN_UNREACHABLE',
    'TOKEN_REFUSED',
    'DISCOVERY_UNREACHABLE',
  ].includes(String(code))
}
