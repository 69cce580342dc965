import type { Plan } from '../plans/plan.js'
import type { CryptoPort } from '../ports.js'
import { base64url, randomToken } from '../util/bytes.js'
import type { SmartConfiguration } from './configuration.js'
import type { Provider } from './provider.js'
import { scopesOf } from './scopes.js'

/** A launch that waits for the participant to come back. Bound to the endpoints it began with. */
export interface PendingLaunch {
  readonly state: string
  readonly verifier: string
  readonly provider: string
  readonly iss: string
  readonly clientId: string
  readonly redirectUri: string
  readonly scope: string
  readonly endpoints: {
    readonly token: string
    readonly issuer?: string
    readonly issParameter: boolean
    readonly revocation?: string
    readonly management?: string
  }
  readonly participant?: string
  readonly returnTo?: string
  readonly expiresAt: number
}

/** Ten minutes to sign in, choose and approve. */
const pendingLifetime = 10 * 60_000

export interface AuthorizationDraft {
  readonly provider: Provider
  readonly configuration: SmartConfiguration
  readonly plan: Plan
  readonly redirectUri: string
  readonly now: number
  readonly launch?: string
  readonly participant?: string
  readonly returnTo?: string
}

/**
 * Builds the authorization request and what must be remembered until the callback.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-authorization-code
 */
export async function prepareAuthorization(
  crypto: CryptoPort,
  draft: AuthorizationDraft,
): Promise<{ readonly url: string; readonly pending: PendingLaunch }> {
  const { provider, configuration, redirectUri, launch, participant, returnTo } = draft
  const state = randomToken(crypto)
  const verifier = randomToken(crypto)
  const scope =
    provider.scope ??
    scopesOf(draft.plan, {
      dialect: dialectOf(provider, configuration),
      launch: launch === undefined ? 'launch/patient' : 'launch',
    }).join(' ')

  // Set on the parsed URL: an endpoint may already have a query, and no parameter may stand twice (RFC 6749 §3.1).
  const url = new URL(configuration.authorizationEndpoint)
  const parameters: Record<string, string | undefined> = {
    response_type: 'code',
    client_id: provider.clientId,
    redirect_uri: redirectUri,
    scope,
    state,
    aud: audienceOf(provider),
    launch,
    code_challenge: await challengeOf(crypto, verifier),
    code_challenge_method: 'S256',
  }
  for (const [name, value] of Object.entries(parameters))
    if (value !== undefined) url.searchParams.set(name, value)

  const { issuer, revocationEndpoint, managementEndpoint } = configuration
  const pending: PendingLaunch = {
    state,
    verifier,
    provider: provider.id,
    iss: provider.iss,
    clientId: provider.clientId,
    redirectUri,
    scope,
    endpoints: {
      token: configuration.tokenEndpoint,
      issParameter: configuration.issParameter,
      ...(issuer === undefined ? {} : { issuer }),
      ...(revocationEndpoint === undefined ? {} : { revocation: revocationEndpoint }),
      ...(managementEndpoint === undefined ? {} : { management: managementEndpoint }),
    },
    ...(participant === undefined ? {} : { participant }),
    ...(returnTo === undefined ? {} : { returnTo }),
    expiresAt: draft.now + pendingLifetime,
  }
  return { url: url.href, pending }
}

/** RFC 7636 §4.2: S256, always. */
async function challengeOf(crypto: CryptoPort, verifier: string): Promise<string> {
  return base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))))
}

function audienceOf(provider: Provider): string | undefined {
  const policy = provider.vendor?.audience?.value ?? 'as-given'
  if (policy === 'omit') return undefined
  return policy === 'no-trailing-slash' ? provider.iss.replace(/\/+$/, '') : provider.iss
}

function dialectOf(provider: Provider, configuration: SmartConfiguration): 'v1' | 'v2' {
  const row = provider.vendor?.scopeDialect?.value
  if (row) return row
  if (configuration.capabilities.includes('permission-v2')) return 'v2'
  // A server that lists neither is one of SMART 1, from before the capability had a name.
  return 'v1'
}
