import { createDiscovery } from './discovery.js'
import { SmartError } from './errors.js'
import { createReader, type FhirReader } from './fhir/reader.js'
import type { FhirSend } from './fhir/request.js'
import type { Platform } from './ports.js'
import { answered, type ServiceAnswer, type ServiceRequest } from './service-request.js'
import { defineProviders, type Provider } from './smart/provider.js'
import { requestTokens } from './smart/token.js'
import { orAborted } from './util/abort.js'
import { singleFlight } from './util/async.js'
import type { Secret } from './util/secret.js'
import { createTransport, type TransportRequest, type TransportResponse } from './util/transport.js'

export interface BackendOptions {
  readonly platform: Pick<Platform, 'fetch' | 'crypto' | 'clock' | 'store'>
  /** With `auth: privateKeyJwt(…)`: a backend service proves itself by a key. */
  readonly provider: Provider
  /** What the service was registered for, separated by spaces: `system/` scopes. */
  readonly scope: string
}

/** A service's access to a FHIR server, with nobody signed in. */
export interface BackendService extends FhirReader {
  readonly provider: { readonly id: string; readonly name: string; readonly iss: string }
  /** What was granted with the token in hand; empty before the first request. */
  scopes(): readonly string[]
  /**
   * Sends a request with the token, to the FHIR base or to the origins that the caller lists and nowhere else. Any status
   * is an answer.
   *
   * @throws SmartError when there is no answer
   */
  request(wanted: ServiceRequest): Promise<ServiceAnswer>
}

/** A new token is asked for this long before the old one ends. Milliseconds. */
const early = 30_000
/** The lifetime of a token whose server does not say: SMART allows five minutes. Milliseconds. */
const assumed = 300_000

/**
 * Reads a FHIR server as a service of its own (SMART Backend Services). The access token is kept in memory and asked
 * for anew before it ends; there is no refresh token, and one that is sent is not used.
 *
 * @throws SmartError `CONFIG_INVALID` for a provider without a key
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html
 */
export function createBackendService(options: BackendOptions): BackendService {
  const { platform, scope } = options
  const [provider] = defineProviders([options.provider])
  if (provider?.auth?.method !== 'private_key_jwt')
    throw new SmartError('CONFIG_INVALID', 'a backend service needs auth: privateKeyJwt(…)')
  if (typeof scope !== 'string' || scope.trim() === '')
    throw new SmartError('CONFIG_INVALID', 'a backend service needs a scope')
  const { auth } = provider
  const transport = createTransport(platform)
  const discovery = createDiscovery(platform as Platform, transport, [provider])
  const flight = singleFlight<Held>()
  let held: Held | undefined

  const ask = async (): Promise<Held> => {
    const configuration = await discovery.trusted(provider)
    const client = {
      provider,
      clientId: provider.clientId,
      tokenEndpoint: configuration.tokenEndpoint,
      auth,
      authMethods: configuration.authMethods,
    }
    const body = new URLSearchParams({ grant_type: 'client_credentials', scope })
    const tokens = await requestTokens({ transport, crypto: platform.crypto }, client, body)
    const lifetime = tokens.expiresIn === undefined ? assumed : tokens.expiresIn * 1000
    held = {
      access: tokens.access,
      until: platform.clock.now() + Math.max(lifetime / 2, lifetime - early),
      scopes: (tokens.scope ?? scope).split(/\s+/),
    }
    return held
  }

  const access = async (refused?: Secret, signal?: AbortSignal): Promise<Secret> => {
    if (held && held.access !== refused && platform.clock.now() < held.until) return held.access
    return (await orAborted(signal, () => flight('token', ask))).access
  }

  const authorised = async (wanted: Omit<TransportRequest, 'bearer'>): Promise<TransportResponse> => {
    const bearer = await access(undefined, wanted.signal)
    const answer = await transport({ ...wanted, bearer })
    return answer.status === 401
      ? transport({ ...wanted, bearer: await access(bearer, wanted.signal) })
      : answer
  }

  const send: FhirSend = (wanted) =>
    authorised({
      url: wanted.url,
      method: wanted.method ?? 'GET',
      headers: {
        accept: wanted.accept ?? 'application/fhir+json',
        ...(wanted.contentType === undefined ? {} : { 'content-type': wanted.contentType }),
      },
      within: [provider.iss],
      idleTimeout: 90_000,
      ...(wanted.body === undefined ? {} : { body: wanted.body }),
      ...(wanted.maxBytes === undefined ? {} : { maxBytes: wanted.maxBytes }),
      ...(wanted.signal ? { signal: wanted.signal } : {}),
    })

  const world = { clock: platform.clock, provider }
  const request: BackendService['request'] = ({ origins = [], ...wanted }) =>
    answered(world, () => authorised({ ...wanted, within: [provider.iss, ...origins] }))

  return Object.freeze({
    provider: Object.freeze({ id: provider.id, name: provider.name, iss: provider.iss }),
    scopes: () => held?.scopes ?? [],
    request,
    ...createReader(provider.iss, { send, clock: platform.clock, crypto: platform.crypto, provider }),
  } satisfies BackendService)
}

interface Held {
  readonly access: Secret
  /** Epoch milliseconds. */
  readonly until: number
  readonly scopes: readonly string[]
}
