import { SmartError } from '../errors.js'
import type { CryptoPort } from '../ports.js'
import { retryAfterSeconds } from '../util/async.js'
import { isObject, parseJson, stringAt } from '../util/json.js'
import { Secret } from '../util/secret.js'
import { type Transport, TransportError, type TransportResponse } from '../util/transport.js'
import { type AuthorizationDetail, type LaunchContext, readContext, readDetails } from './context.js'
import type { ClientAuth } from './provider.js'

/** Where and as whom to ask for tokens. */
export interface TokenClient {
  readonly provider: { readonly id: string; readonly name: string }
  readonly clientId: string
  readonly tokenEndpoint: string
  /** How the client proves who it is; a public client has none. */
  readonly auth?: ClientAuth
  /** What the server says it accepts, if it says so. */
  readonly authMethods?: readonly string[]
}

/** What a token request is made with. */
export interface TokenWorld {
  readonly transport: Transport
  readonly crypto: CryptoPort
}

/** A token response, read with the tolerance that real servers need. */
export interface Tokens {
  readonly access: Secret
  readonly refresh?: Secret
  /** Not believed yet: see the identity check. */
  readonly idToken?: Secret
  /** Lifetime in seconds; absent when the server does not say. */
  readonly expiresIn?: number
  /** Granted scopes; absent when the server does not say, which means: as requested (RFC 6749 §5.1). */
  readonly scope?: string
  readonly context: LaunchContext
  readonly details: readonly AuthorizationDetail[]
  /** True when the server did not forbid that its answer is cached. */
  readonly cacheable: boolean
}

/**
 * Exchanges the code of a callback. Sent once: a code that may have been used is never sent again.
 *
 * @throws SmartError `TOKEN_*`
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-access-token
 */
export async function exchangeCode(
  world: TokenWorld,
  client: TokenClient,
  grant: { readonly code: string; readonly redirectUri: string; readonly verifier: string },
  signal?: AbortSignal,
): Promise<Tokens> {
  const body = new URLSearchParams({
    grant_type: 'authorization_code',
    code: grant.code,
    redirect_uri: grant.redirectUri,
    code_verifier: grant.verifier,
  })
  return requestTokens(world, client, body, signal)
}

/**
 * Asks for a new access token. Without `scope`, for what was granted.
 *
 * `rotated` is called with a new refresh token as soon as it is in hand, before anything else of the
 * response is believed, so that an otherwise unusable answer does not cost the access.
 *
 * @throws SmartError `TOKEN_ENDED` for `invalid_grant` only; other `TOKEN_*` leave the refresh token valid
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#refresh-access-token
 */
export async function refreshTokens(
  world: TokenWorld,
  client: TokenClient,
  grant: { readonly refresh: Secret; readonly scope?: string },
  rotated: (refresh: Secret) => Promise<void>,
  signal?: AbortSignal,
): Promise<Tokens> {
  const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: grant.refresh.reveal() })
  if (grant.scope !== undefined) body.set('scope', grant.scope)
  return requestTokens(world, client, body, signal, rotated)
}

/** What became of a request to revoke a token; `later` when the server asks to try again. */
export type RevocationAnswer = 'revoked' | 'unsupported' | 'later'

/**
 * Revokes one token.
 *
 * @throws SmartError `TOKEN_*` when the server refuses this client, or gives no usable answer
 * @see https://www.rfc-editor.org/rfc/rfc7009#section-2
 */
export async function revokeToken(
  world: TokenWorld,
  client: TokenClient,
  endpoint: string,
  token: Secret,
  hint: 'refresh_token' | 'access_token',
  signal?: AbortSignal,
): Promise<RevocationAnswer> {
  const body = new URLSearchParams({ token: token.reveal(), token_type_hint: hint })
  const answer = await postForm(world, client, endpoint, body, signal)
  // RFC 7009 §2.2: 200 also for a token that the server does not know, since the aim is reached.
  if (answer.status >= 200 && answer.status < 300) return 'revoked'
  if (answer.status >= 500 || answer.status === 429) return 'later'
  const refused = refusal(client, answer, world.transport.serverNow(endpoint))
  if (refused.reason === 'unsupported_token_type') return 'unsupported'
  throw refused
}

/**
 * Sends any token request, authenticated as this client is, and reads the answer.
 *
 * @throws SmartError `TOKEN_*`
 */
export async function requestTokens(
  world: TokenWorld,
  client: TokenClient,
  body: URLSearchParams,
  signal?: AbortSignal,
  rotated?: (refresh: Secret) => Promise<void>,
): Promise<Tokens> {
  const answer = await postForm(world, client, client.tokenEndpoint, body, signal)
  const value = parseJson(answer.text())
  const succeeded = answer.status >= 200 && answer.status < 300
  const refresh = stringAt(value, 'refresh_token')
  if (succeeded && refresh !== undefined) await rotated?.(new Secret(refresh))
  if (!succeeded || !isObject(value) || stringAt(value, 'access_token') === undefined)
    throw refusal(client, answer, world.transport.serverNow(client.tokenEndpoint))
  return readTokens(value, answer, client)
}

/**
 * POSTs a form as this client: with its credentials, to no other address, without redirects. With `bearer` that
 * authorises the request, and the client says only who it is.
 *
 * @throws SmartError `TOKEN_UNREACHABLE`, `TOKEN_RESPONSE_INVALID`
 */
export async function postForm(
  world: TokenWorld,
  client: TokenClient,
  endpoint: string,
  body: URLSearchParams,
  signal?: AbortSignal,
  bearer?: Secret,
): Promise<TransportResponse> {
  const { clientId, tokenEndpoint, auth, authMethods } = client
  const headers = new Headers({
    accept: 'application/json',
    'content-type': 'application/x-www-form-urlencoded',
  })
  if (auth && !bearer) {
    const now = world.transport.serverNow(tokenEndpoint)
    const methods = authMethods ? { methods: authMethods } : {}
    await auth.authenticate({ clientId, tokenEndpoint, ...methods, crypto: world.crypto, now, body, headers })
  } else body.set('client_id', clientId)
  try {
    return await world.transport({
      url: endpoint,
      method: 'POST',
      headers: Object.fromEntries(headers.entries()),
      body: body.toString(),
      within: [endpoint],
      maxBytes: 1024 * 1024,
      idleTimeout: 30_000,
      totalTimeout: 60_000,
      ...(bearer ? { bearer } : {}),
      ...(signal ? { signal } : {}),
    })
  } catch (error) {
    if (!(error instanceof TransportError)) throw error
    throw new SmartError(
      error.fault === 'unreachable' || error.fault === 'timeout'
        ? 'TOKEN_UNREACHABLE'
        : error.fault === 'private'
          ? 'CONFIG_PRIVATE_ADDRESS'
          : 'TOKEN_RESPONSE_INVALID',
      `the token endpoint of ${client.provider.name} gave no usable answer: ${error.message}`,
      { subject: client.provider.id, cause: error },
    )
  }
}

/** Ten years: what a server says beyond that is no lifetime. Seconds. */
const longestLifetime = 10 * 365 * 86_400

// Servers send null members, 201, numbers as text, no token_type, an array of scopes, an id_token of another issuer;
// none of these may cost the participant their data.
function readTokens(value: Record<string, unknown>, answer: TransportResponse, client: TokenClient): Tokens {
  const invalid = (what: string): SmartError =>
    new SmartError('TOKEN_RESPONSE_INVALID', `${client.provider.name} sent ${what}`, {
      subject: client.provider.id,
    })
  const access = stringAt(value, 'access_token') ?? ''
  // RFC 6750 §2.1: anything else cannot stand in a header, and a platform's own error about it would quote it.
  if (!/^[A-Za-z0-9._~+/=-]+$/.test(access)) throw invalid('an access token that no header may hold')
  const type = value.token_type ?? 'bearer'
  if (typeof type !== 'string' || type.toLowerCase() !== 'bearer')
    throw invalid('a token of another type than Bearer')
  const refresh = stringAt(value, 'refresh_token')
  const idToken = stringAt(value, 'id_token')
  const lifetime =
    value.expires_in === null || value.expires_in === '' ? Number.NaN : Number(value.expires_in)
  const scope = Array.isArray(value.scope) ? value.scope.join(' ') : value.scope
  return {
    access: new Secret(access),
    ...(refresh === undefined ? {} : { refresh: new Secret(refresh) }),
    ...(idToken === undefined ? {} : { idToken: new Secret(idToken) }),
    ...(lifetime >= 0 ? { expiresIn: Math.min(lifetime, longestLifetime) } : {}),
    ...(typeof scope === 'string' ? { scope: scope.slice(0, 65_536) } : {}),
    context: readContext(value),
    details: readDetails(value),
    cacheable: !/no-store/i.test(answer.headers.get('cache-control') ?? ''),
  }
}

function refusal(client: TokenClient, answer: TransportResponse, now: number): SmartError {
  const { id: subject, name } = client.provider
  const { status } = answer
  const reason = stringAt(parseJson(answer.text()), 'error')
  const retryAfter = retryAfterSeconds(answer.headers.get('retry-after'), now)
  const details = {
    subject,
    status,
    ...(reason === undefined ? {} : { reason }),
    ...(retryAfter === undefined || status < 429 ? {} : { retryAfter }),
  }
  if (reason === 'invalid_grant')
    return new SmartError('TOKEN_ENDED', `${name} no longer accepts this grant`, details)
  if (reason === 'invalid_client' || reason === 'unauthorized_client') {
    const how = client.auth ? `sent by ${client.auth.method}` : 'of a public client'
    return new SmartError(
      'TOKEN_CLIENT_REFUSED',
      `${name} does not accept this app’s client id or credentials, ${how}`,
      details,
    )
  }
  if (status >= 500 || status === 429)
    return new SmartError('TOKEN_UNREACHABLE', `the token endpoint of ${name} fails`, details)
  if (status >= 400 || reason !== undefined)
    return new SmartError('TOKEN_REFUSED', `${name} refused the token request`, details)
  return new SmartError('TOKEN_RESPONSE_INVALID', `the token response of ${name} cannot be used`, details)
}
