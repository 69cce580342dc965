import { SmartError } from '../errors.js'
import type { Plan } from '../plans/plan.js'
import type { CryptoPort } from '../ports.js'
import { base64url, randomToken } from '../util/bytes.js'
import type { SmartConfiguration } from './configuration.js'
import type { Provider } from './provider.js'
import { type ScopeDialect, scopesOf } from './scopes.js'

/** The endpoints that a launch began with. Whatever discovery says later, its code and its tokens go nowhere else. */
export interface BoundEndpoints {
  readonly token: string
  readonly authMethods?: readonly string[]
  readonly issuer?: string
  readonly issParameter: boolean
  readonly revocation?: string
  readonly introspection?: string
  readonly management?: string
  readonly registration?: string
  readonly jwks?: string
  readonly appState?: string
}

/** How long access shall last: until the access token expires, while the person is signed in, or until it is ended. */
export type AccessWanted = 'once' | 'online' | 'ongoing'

/** A launch that waits for the participant to come back. */
export interface PendingLaunch {
  readonly state: string
  readonly verifier: string
  readonly provider: string
  readonly iss: string
  readonly clientId: string
  /** The id of the EHR product that the provider was taken for. */
  readonly vendor?: string
  readonly redirectUri: string
  readonly scope: string
  readonly access?: AccessWanted
  /** Sent with `openid`, when identity was asked for. */
  readonly nonce?: string
  readonly endpoints: BoundEndpoints
  readonly participant?: string
  readonly returnTo?: string
  readonly expiresAt: number
}

/** An authorization request that is too long for a URL, as the form to POST. */
export interface AuthorizationForm {
  readonly action: string
  readonly fields: Readonly<Record<string, string>>
}

/** Ten minutes to sign in, choose and approve. */
const pendingLifetime = 10 * 60_000

/** Above this a URL may be cut on its way. Characters. */
const longUrl = 2000

/** What an authorization request is made of. */
export interface AuthorizationDraft {
  readonly provider: Provider
  readonly configuration: SmartConfiguration
  /** What will be collected; `provider.scope` stands in place of what follows from it. */
  readonly plan: Plan
  readonly redirectUri: string
  /** Epoch milliseconds. */
  readonly now: number
  readonly launch?: string
  readonly access?: AccessWanted
  /** Asks who signed in; with a nonce where the server is known to return it. */
  readonly identity?: { readonly nonce: boolean }
  /** Other context to be told about, such as `encounter`. */
  readonly context?: readonly string[]
  readonly participant?: string
  readonly returnTo?: string
}

/** An authorization request, ready to go, and what must be remembered until its callback. */
export interface PreparedAuthorization {
  readonly url: string
  readonly form?: AuthorizationForm
  readonly pending: PendingLaunch
}

/**
 * Builds the authorization request and what must be remembered until the callback.
 *
 * @throws SmartError `DISCOVERY_INVALID` when the server has no authorization endpoint
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-authorization-code
 */
export async function prepareAuthorization(
  crypto: CryptoPort,
  draft: AuthorizationDraft,
): Promise<PreparedAuthorization> {
  const { provider, configuration, redirectUri, launch, access = 'ongoing', identity } = draft
  const { authorizationEndpoint, scopesSupported: supported } = configuration
  if (authorizationEndpoint === undefined)
    throw new SmartError('DISCOVERY_INVALID', `${provider.name} publishes no usable authorization endpoint`, {
      subject: provider.id,
    })
  const state = randomToken(crypto)
  const verifier = randomToken(crypto)
  const nonce = identity?.nonce ? randomToken(crypto) : undefined
  const scope =
    provider.scope ??
    known(provider, [
      ...scopesOf(draft.plan, {
        dialect: dialectOf(provider, configuration),
        launch: launch === undefined ? 'launch/patient' : 'launch',
        access,
        identity: identity !== undefined || provider.vendor?.patientFrom?.value.includes('id-token') === true,
        supported,
        ...(draft.context ? { context: draft.context } : {}),
      }),
      ...(provider.moreScopes ?? []),
    ]).join(' ')
  const audience = audienceOf(provider)
  const fields = present({
    response_type: 'code',
    client_id: provider.clientId,
    redirect_uri: redirectUri,
    scope,
    state,
    aud: audience,
    resource: provider.sendResource ? audience : undefined,
    launch,
    nonce,
    code_challenge: await challengeOf(crypto, verifier),
    code_challenge_method: 'S256',
  })
  // Set on the parsed URL: an endpoint may already have a query, and no parameter may stand twice (RFC 6749 §3.1).
  const url = new URL(authorizationEndpoint)
  for (const [name, value] of Object.entries(fields)) url.searchParams.set(name, value)
  const posts = url.href.length > longUrl && configuration.capabilities.includes('authorize-post')
  const pending: PendingLaunch = {
    state,
    verifier,
    provider: provider.id,
    iss: provider.iss,
    clientId: provider.clientId,
    redirectUri,
    scope,
    access,
    endpoints: bind(configuration, provider.iss),
    ...present({
      ...{ nonce, participant: draft.participant, returnTo: draft.returnTo },
      vendor: provider.vendor?.id,
    }),
    expiresAt: draft.now + pendingLifetime,
  }
  return {
    url: url.href,
    ...(posts
      ? { form: Object.freeze({ action: authorizationEndpoint, fields: Object.freeze(fields) }) }
      : {}),
    pending,
  }
}

/** The part of a configuration that a launch, and the connection that comes of it, is bound to. */
export function bind(configuration: SmartConfiguration, iss: string): BoundEndpoints {
  const { authMethods } = configuration
  return {
    token: configuration.tokenEndpoint,
    issParameter: configuration.issParameter,
    ...present({
      issuer: configuration.issuer,
      revocation: configuration.revocationEndpoint,
      introspection: configuration.introspectionEndpoint,
      management: configuration.managementEndpoint,
      registration: configuration.registrationEndpoint,
      jwks: configuration.jwksUri,
      appState: appStateOf(configuration, iss),
    }),
    ...(authMethods.length === 0 ? {} : { authMethods }),
  }
}

// On the FHIR base itself, on another that is named for it, or where an earlier draft put it.
function appStateOf(configuration: SmartConfiguration, iss: string): string | undefined {
  const capability = 'smart-app-state'
  if (configuration.capabilities.includes(capability)) return iss
  const named = configuration.associatedEndpoints.find(({ capabilities }) =>
    capabilities.includes(capability),
  )
  return named?.url ?? configuration.appStateEndpoint
}

function present(members: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as Record<
    string,
    string
  >
}

/** RFC 7636 §4.2: S256, always. */
export async function challengeOf(crypto: CryptoPort, verifier: string): Promise<string> {
  return base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))))
}

// Where a scope that the server does not know costs the whole request, only those that it knows are sent, and what
// stands beside them without being asked for.
function known({ vendor, moreScopes = [] }: Provider, scopes: readonly string[]): readonly string[] {
  const only = vendor?.scopes?.value
  if (!only) return scopes
  const also = only.filter((scope) => !scope.includes('/') && scope !== 'openid')
  return [
    ...new Set([...scopes.filter((scope) => only.includes(scope) || moreScopes.includes(scope)), ...also]),
  ]
}

function audienceOf(provider: Provider): string | undefined {
  const policy = provider.vendor?.audience?.value ?? 'as-given'
  if (policy === 'omit') return undefined
  return policy === 'no-trailing-slash' ? provider.iss.replace(/\/+$/, '') : provider.iss
}

/** The scope syntax to ask a server in. */
export function dialectOf(provider: Provider, configuration: SmartConfiguration): ScopeDialect {
  const row = provider.vendor?.scopeDialect?.value
  if (row) return row
  // A server that lists neither is one of SMART 1, from before the capability had a name.
  return configuration.capabilities.includes('permission-v2') ? 'v2' : 'v1'
}
