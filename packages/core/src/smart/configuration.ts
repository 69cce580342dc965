import { SmartError } from '../errors.js'
import { isObject, parseJson, stringAt, stringsAt } from '../util/json.js'
import { type Transport, TransportError, type TransportResponse } from '../util/transport.js'
import { isLoopback, isSecure, join, parseUrl } from '../util/url.js'
import type { Provider } from './provider.js'

/** Another FHIR server that the same access token is good for. */
export interface AssociatedEndpoint {
  readonly url: string
  readonly capabilities: readonly string[]
}

/** What a provider says about its authorization server. Endpoints are absolute and checked. */
export interface SmartConfiguration {
  readonly tokenEndpoint: string
  /** Absent where people cannot sign in, as at a server for backend services only. */
  readonly authorizationEndpoint?: string
  readonly issuer?: string
  readonly revocationEndpoint?: string
  readonly introspectionEndpoint?: string
  readonly registrationEndpoint?: string
  /** A page where the participant sees and ends the access of apps. To be opened in a browser, never fetched. */
  readonly managementEndpoint?: string
  readonly jwksUri?: string
  /** A FHIR Bundle of the brands that the provider appears under, and which of its entries is this one. */
  readonly brandBundle?: string
  readonly brandIdentifier?: string
  /** Where App State is kept, by servers that follow an earlier draft. */
  readonly appStateEndpoint?: string
  readonly associatedEndpoints: readonly AssociatedEndpoint[]
  readonly capabilities: readonly string[]
  /** What the server chose to list; it may grant others. */
  readonly scopesSupported: readonly string[]
  readonly responseTypes: readonly string[]
  readonly grantTypes: readonly string[]
  readonly codeChallengeMethods: readonly string[]
  readonly authMethods: readonly string[]
  readonly signingAlgorithms: readonly string[]
  /** True when the server promises `iss` in its authorization response (RFC 9207). */
  readonly issParameter: boolean
  /** Members that the standard requires and the document lacks. */
  readonly missing: readonly string[]
  readonly source: 'well-known' | 'capability-statement' | 'given'
}

const documentLimit = 1024 * 1024

/**
 * Reads a provider's SMART configuration; where there is none, the OAuth endpoints of its CapabilityStatement.
 * What `provider.configuration` gives stands in place of what the server says; with both endpoints given there,
 * nothing is asked.
 *
 * @throws SmartError `DISCOVERY_UNREACHABLE` when the server does not answer, `DISCOVERY_INVALID` when the answer is unusable.
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html#using-well-known
 */
export async function discover(
  transport: Transport,
  provider: Provider,
  signal?: AbortSignal,
): Promise<SmartConfiguration> {
  const given = provider.configuration
  if (given?.authorizationEndpoint !== undefined && given.tokenEndpoint !== undefined)
    return complete(provider, {}, undefined, 'given')

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
  if (isObject(document))
    return complete(provider, document, (name) => stringAt(document, name), 'well-known')

  // Never raced against the well-known document: only asked when there is none.
  const metadata = await ask(
    'metadata',
    'application/fhir+json, application/json+fhir;q=0.9, application/json;q=0.8',
  )
  if (metadata.status >= 500) throw unreachable(provider, undefined, metadata.status)
  const uris = oauthUris(metadata.status === 200 ? parseJson(metadata.text()) : undefined)
  return complete(provider, {}, (_, old) => uris.get(old), 'capability-statement')
}

// Each endpoint by its name in the well-known document, and in the extension of the CapabilityStatement before.
const endpoints = {
  authorizationEndpoint: ['authorization_endpoint', 'authorize'],
  tokenEndpoint: ['token_endpoint', 'token'],
  revocationEndpoint: ['revocation_endpoint', 'revoke'],
  introspectionEndpoint: ['introspection_endpoint', 'introspect'],
  registrationEndpoint: ['registration_endpoint', 'register'],
  managementEndpoint: ['management_endpoint', 'manage'],
  jwksUri: ['jwks_uri', ''],
  brandBundle: ['user_access_brand_bundle', ''],
  appStateEndpoint: ['smart_app_state_endpoint', ''],
} as const

const lists = {
  capabilities: 'capabilities',
  scopesSupported: 'scopes_supported',
  responseTypes: 'response_types_supported',
  grantTypes: 'grant_types_supported',
  codeChallengeMethods: 'code_challenge_methods_supported',
  authMethods: 'token_endpoint_auth_methods_supported',
  signingAlgorithms: 'token_endpoint_auth_signing_alg_values_supported',
} as const

const required = [
  'authorization_endpoint',
  'token_endpoint',
  'grant_types_supported',
  'capabilities',
  'code_challenge_methods_supported',
]

function complete(
  provider: Provider,
  document: Record<string, unknown>,
  find: ((name: string, old: string) => string | undefined) | undefined,
  source: SmartConfiguration['source'],
): SmartConfiguration {
  const found: Record<string, unknown> = {}
  for (const [key, [name, old]] of Object.entries(endpoints)) {
    const url = checkedEndpoint(find?.(name, old), provider)
    if (url !== undefined) found[key] = url
  }
  // Some give the FHIR base here, which is no page for people.
  if (found.managementEndpoint === parseUrl(provider.iss)?.href) delete found.managementEndpoint
  // Some leave the end of the name out, and name a method twice.
  for (const [key, name] of Object.entries(lists))
    found[key] = Object.freeze([
      ...new Set([...stringsAt(document, name), ...stringsAt(document, name.replace(/_supported$/, ''))]),
    ])
  for (const [key, name] of [
    ['issuer', 'issuer'],
    ['brandIdentifier', 'user_access_brand_identifier'],
  ] as const) {
    const value = stringAt(document, name)
    if (value !== undefined) found[key] = value
  }
  const configuration = {
    ...found,
    // Names of before SMART 2.
    capabilities: stringsAt(document, 'capabilities').map((name) =>
      name.replace('context-passthrough-', 'context-'),
    ),
    associatedEndpoints: objectsAt(document, 'associated_endpoints').flatMap((one) => {
      const url = checkedEndpoint(stringAt(one, 'url'), provider)
      return url === undefined ? [] : [{ url, capabilities: stringsAt(one, 'capabilities') }]
    }),
    issParameter: document.authorization_response_iss_parameter_supported === true,
    missing: source === 'well-known' ? required.filter((name) => document[name] === undefined) : [],
    source,
    ...provider.configuration,
  } as unknown as SmartConfiguration
  if (configuration.tokenEndpoint === undefined) {
    throw new SmartError('DISCOVERY_INVALID', `${provider.name} publishes no usable token endpoint`, {
      subject: provider.id,
    })
  }
  return Object.freeze(configuration)
}

const extension = 'http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris'

// Before SMART 2 the endpoints stood in an extension of the CapabilityStatement, in any of its `rest` entries.
function oauthUris(statement: unknown): Map<string, string> {
  const found = new Map<string, string>()
  for (const rest of objectsAt(statement, 'rest')) {
    for (const one of objectsAt(rest.security, 'extension')) {
      if (one.url !== extension) continue
      for (const part of objectsAt(one, 'extension')) {
        const name = stringAt(part, 'url')
        const value = stringAt(part, 'valueUri')
        if (name && value && !found.has(name)) found.set(name, value)
      }
    }
  }
  return found
}

// Relative endpoints resolve below the base, also when it has no trailing slash. Plain http is believed only
// from a server that is itself on loopback, so that no EHR can point an app at its own machine.
function checkedEndpoint(value: string | undefined, provider: Provider): string | undefined {
  if (value === undefined) return undefined
  const base = parseUrl(provider.iss)
  const url = parseUrl(value, join(provider.iss, ''))
  if (!base || !url || !isSecure(url) || url.hash !== '') return undefined
  if (isLoopback(url) && !isLoopback(base)) return undefined
  return url.href
}

function objectsAt(value: unknown, key: string): Record<string, unknown>[] {
  const found = isObject(value) ? value[key] : undefined
  return Array.isArray(found) ? found.filter(isObject) : []
}

function unreachable(provider: Provider, cause?: unknown, status?: number): SmartError {
  const { id: subject, name } = provider
  const more = {
    subject,
    ...(status === undefined ? {} : { status }),
    ...(cause === undefined ? {} : { cause }),
  }
  const fault = cause instanceof TransportError ? cause.fault : 'unreachable'
  if (fault === 'private')
    return new SmartError(
      'CONFIG_PRIVATE_ADDRESS',
      `the address of ${name} is inside a private network`,
      more,
    )
  if (fault !== 'unreachable' && fault !== 'timeout')
    return new SmartError('DISCOVERY_INVALID', `the configuration of ${name} cannot be read`, more)
  return new SmartError(
    'DISCOVERY_UNREACHABLE',
    `${name} does not answer; its server may be down, or not allow browsers (CORS)`,
    more,
  )
}
