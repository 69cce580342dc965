import { SmartError } from '../errors.js'
import { isObject, parseJson, stringAt, stringsAt } from '../util/json.js'
import { type Transport, TransportError, type TransportResponse } from '../util/transport.js'
import { isLoopback, isSecure, join, parseUrl } from '../util/url.js'
import type { Provider } from './provider.js'

/** What a provider says about its authorization server. Endpoints are absolute and checked; all but the first two are optional. */
export interface SmartConfiguration {
  readonly authorizationEndpoint: string
  readonly tokenEndpoint: string
  readonly issuer?: string
  readonly revocationEndpoint?: string
  readonly introspectionEndpoint?: string
  readonly registrationEndpoint?: string
  /** A page where the participant sees and ends the access of apps. */
  readonly managementEndpoint?: string
  readonly jwksUri?: string
  readonly capabilities: readonly string[]
  readonly scopesSupported: readonly string[]
  readonly codeChallengeMethods: readonly string[]
  /** True when the server promises `iss` in its authorization response (RFC 9207). */
  readonly issParameter: boolean
}

const documentLimit = 1024 * 1024

/**
 * Reads a provider's SMART configuration; where there is none, the OAuth endpoints of its CapabilityStatement.
 *
 * @throws SmartError `DISCOVERY_UNREACHABLE` when the server does not answer, `DISCOVERY_INVALID` when the answer is unusable.
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html#using-well-known
 */
export async function discover(
  transport: Transport,
  provider: Provider,
  signal?: AbortSignal,
): Promise<SmartConfiguration> {
  const ask = (path: string, accept: string): Promise<TransportResponse> =>
    transport({
      url: join(provider.iss, path),
      headers: { accept },
      maxBytes: path === 'metadata' ? 16 * documentLimit : documentLimit,
      idleTimeout: 15_000,
      totalTimeout: 30_000,
      ...(signal ? { signal } : {}),
    }).catch((error: unknown) => {
      if (signal?.aborted) throw error
      throw unreachable(provider, error)
    })

  const wellKnown = await ask('.well-known/smart-configuration', 'application/json')
  if (wellKnown.status >= 500 || wellKnown.status === 429)
    throw unreachable(provider, undefined, wellKnown.status)
  const document = wellKnown.status === 200 ? parseJson(wellKnown.text()) : undefined
  if (isObject(document)) return fromWellKnown(document, provider)

  // Never raced against the well-known document: only asked when there is none.
  const metadata = await ask(
    'metadata',
    'application/fhir+json, application/json+fhir;q=0.9, application/json;q=0.8',
  )
  if (metadata.status >= 500) throw unreachable(provider, undefined, metadata.status)
  const statement = metadata.status === 200 ? parseJson(metadata.text()) : undefined
  return fromCapabilityStatement(statement, provider)
}

function fromWellKnown(document: Record<string, unknown>, provider: Provider): SmartConfiguration {
  const endpoint = (key: string): string | undefined => checkedEndpoint(stringAt(document, key), provider)
  return complete(provider, {
    authorizationEndpoint: endpoint('authorization_endpoint'),
    tokenEndpoint: endpoint('token_endpoint'),
    issuer: stringAt(document, 'issuer'),
    revocationEndpoint: endpoint('revocation_endpoint'),
    introspectionEndpoint: endpoint('introspection_endpoint'),
    registrationEndpoint: endpoint('registration_endpoint'),
    managementEndpoint: endpoint('management_endpoint'),
    jwksUri: endpoint('jwks_uri'),
    capabilities: stringsAt(document, 'capabilities'),
    scopesSupported: stringsAt(document, 'scopes_supported'),
    codeChallengeMethods: stringsAt(document, 'code_challenge_methods_supported'),
    issParameter: document.authorization_response_iss_parameter_supported === true,
  })
}

const oauthUris = 'http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris'

// Before SMART 2 the endpoints stood in an extension of the CapabilityStatement, in any of its `rest` entries.
function fromCapabilityStatement(statement: unknown, provider: Provider): SmartConfiguration {
  const found = new Map<string, string>()
  for (const rest of objectsAt(statement, 'rest')) {
    for (const extension of objectsAt(rest.security, 'extension')) {
      if (extension.url !== oauthUris) continue
      for (const part of objectsAt(extension, 'extension')) {
        const name = stringAt(part, 'url')
        const value = stringAt(part, 'valueUri')
        if (name && value && !found.has(name)) found.set(name, value)
      }
    }
  }
  const endpoint = (name: string): string | undefined => checkedEndpoint(found.get(name), provider)
  return complete(provider, {
    authorizationEndpoint: endpoint('authorize'),
    tokenEndpoint: endpoint('token'),
    revocationEndpoint: endpoint('revoke'),
    introspectionEndpoint: endpoint('introspect'),
    registrationEndpoint: endpoint('register'),
    managementEndpoint: endpoint('manage'),
    capabilities: [],
    scopesSupported: [],
    codeChallengeMethods: [],
    issParameter: false,
  })
}

type Draft = {
  [Key in keyof SmartConfiguration]: SmartConfiguration[Key] | undefined
}

function complete(provider: Provider, draft: Draft): SmartConfiguration {
  const missing = (['authorizationEndpoint', 'tokenEndpoint'] as const).filter(
    (key) => draft[key] === undefined,
  )
  if (missing.length > 0) {
    throw new SmartError(
      'DISCOVERY_INVALID',
      `${provider.name} publishes no usable ${missing.join(' and ')}`,
      {
        subject: provider.id,
      },
    )
  }
  const present = Object.entries(draft).filter(([, value]) => value !== undefined)
  return Object.freeze(Object.fromEntries(present)) as unknown as SmartConfiguration
}

// Relative endpoints resolve below the base, also when it has no trailing slash. Plain http is believed only
// from a server that is itself on loopback, so that no EHR can point an app at its own machine.
function checkedEndpoint(value: string | undefined, provider: Provider): string | undefined {
  if (value === undefined) return undefined
  const base = parseUrl(provider.iss)
  const url = parseUrl(value, join(provider.iss, ''))
  if (!base || !url || !isSecure(url) || url.hash !== '') return undefined
  if (url.protocol === 'http:' && !isLoopback(base)) return undefined
  return url.href
}

function objectsAt(value: unknown, key: string): Record<string, unknown>[] {
  const found = isObject(value) ? value[key] : undefined
  return Array.isArray(found) ? found.filter(isObject) : []
}

function unreachable(provider: Provider, cause?: unknown, status?: number): SmartError {
  if (cause instanceof TransportError && cause.fault !== 'unreachable' && cause.fault !== 'timeout') {
    return new SmartError(
      'DISCOVERY_INVALID',
      `the configuration of ${provider.name} cannot be read: ${cause.message}`,
      {
        subject: provider.id,
        cause,
      },
    )
  }
  return new SmartError(
    'DISCOVERY_UNREACHABLE',
    `${provider.name} does not answer; its server may be down, or not allow browsers (CORS)`,
    {
      subject: provider.id,
      ...(status === undefined ? {} : { status }),
      ...(cause === undefined ? {} : { cause }),
    },
  )
}
