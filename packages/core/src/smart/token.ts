import * as oauth from 'oauth4webapi'
import { SmartError } from '../errors.js'
import { parseJson, stringAt } from '../util/json.js'
import { Secret } from '../util/secret.js'
import { type Transport, TransportError, type TransportResponse } from '../util/transport.js'
import { isLoopback } from '../util/url.js'
import { type LaunchContext, readContext, withoutNulls } from './context.js'
import type { ClientAuth } from './provider.js'

/** Where and as whom to ask for tokens. */
export interface TokenClient {
  readonly provider: { readonly id: string; readonly name: string }
  readonly clientId: string
  readonly tokenEndpoint: string
  readonly auth?: ClientAuth
}

/** A token response, read with the tolerance that real servers need. */
export interface Tokens {
  readonly access: Secret
  readonly refresh?: Secret
  /** Lifetime in seconds; absent when the server does not say. */
  readonly expiresIn?: number
  /** Granted scopes; absent when the server does not say, which means: as requested (RFC 6749 §5.1). */
  readonly scope?: string
  readonly context: LaunchContext
}

/**
 * Exchanges the code of a callback.
 *
 * @throws SmartError `TOKEN_*`
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-access-token
 */
export async function exchangeCode(
  transport: Transport,
  client: TokenClient,
  grant: {
    readonly code: string
    readonly state: string
    readonly redirectUri: string
    readonly verifier: string
  },
  signal?: AbortSignal,
): Promise<Tokens> {
  const server = serverOf(client)
  const parameters = oauth.validateAuthResponse(
    server,
    { client_id: client.clientId },
    new URLSearchParams({ code: grant.code, state: grant.state }),
    grant.state,
  )
  return request(transport, client, signal, {
    send: (options) =>
      oauth.authorizationCodeGrantRequest(
        server,
        { client_id: client.clientId },
        authenticationOf(client),
        parameters,
        grant.redirectUri,
        grant.verifier,
        options,
      ),
    read: (response) =>
      oauth.processAuthorizationCodeResponse(server, { client_id: client.clientId }, response),
  })
}

/**
 * Asks for a new access token. No `scope` is sent: that asks for what was granted.
 *
 * `rotated` is called with a new refresh token as soon as it is in hand, before anything else of the
 * response is believed, so that an otherwise unusable answer does not cost the access.
 *
 * @throws SmartError `TOKEN_ENDED` for `invalid_grant` only; other `TOKEN_*` leave the refresh token valid
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#refresh-access-token
 */
export async function refreshTokens(
  transport: Transport,
  client: TokenClient,
  refresh: Secret,
  rotated: (refresh: Secret) => Promise<void>,
  signal?: AbortSignal,
): Promise<Tokens> {
  const server = serverOf(client)
  return request(transport, client, signal, {
    rotated,
    send: (options) =>
      oauth.refreshTokenGrantRequest(
        server,
        { client_id: client.clientId },
        authenticationOf(client),
        refresh.reveal(),
        options,
      ),
    read: (response) => oauth.processRefreshTokenResponse(server, { client_id: client.clientId }, response),
  })
}

/**
 * Revokes one token; true when the server confirmed it.
 *
 * @see https://www.rfc-editor.org/rfc/rfc7009#section-2
 */
export async function revokeToken(
  transport: Transport,
  client: TokenClient,
  endpoint: string,
  token: Secret,
  hint: 'refresh_token' | 'access_token',
  signal?: AbortSignal,
): Promise<boolean> {
  const body = new URLSearchParams({ token: token.reveal(), token_type_hint: hint })
  const headers = new Headers({ accept: 'application/json' })
  await authenticate(client, body, headers)
  const response = await post(transport, endpoint, headers, body, signal)
  return response.status === 200
}

interface TokenRequest {
  readonly send: (options: oauth.TokenEndpointRequestOptions) => Promise<Response>
  readonly read: (response: Response) => Promise<oauth.TokenEndpointResponse>
  readonly rotated?: (refresh: Secret) => Promise<void>
}

async function request(
  transport: Transport,
  client: TokenClient,
  signal: AbortSignal | undefined,
  work: TokenRequest,
): Promise<Tokens> {
  let answer: TransportResponse | undefined
  try {
    const response = await work.send({
      [oauth.customFetch]: async (_url, options) => {
        answer = await post(
          transport,
          client.tokenEndpoint,
          new Headers(options.headers),
          options.body as URLSearchParams,
          signal,
        )
        return normalized(answer)
      },
      [oauth.allowInsecureRequests]: isLoopback(new URL(client.tokenEndpoint)),
    })
    const rotated = stringAt(
      await response
        .clone()
        .json()
        .catch(() => undefined),
      'refresh_token',
    )
    if (response.ok && rotated !== undefined) await work.rotated?.(new Secret(rotated))
    return tokensOf(await work.read(response))
  } catch (error) {
    if (signal?.aborted) throw signal.reason
    throw translate(error, answer, client)
  }
}

function post(
  transport: Transport,
  url: string,
  headers: Headers,
  body: URLSearchParams,
  signal?: AbortSignal,
): Promise<TransportResponse> {
  headers.set('content-type', 'application/x-www-form-urlencoded')
  headers.delete('user-agent')
  return transport({
    url,
    method: 'POST',
    headers: Object.fromEntries(headers.entries()),
    body: body.toString(),
    within: [url],
    maxBytes: 1024 * 1024,
    idleTimeout: 30_000,
    totalTimeout: 60_000,
    ...(signal ? { signal } : {}),
  })
}

// Servers send null members, 201, no token_type and an id_token whose issuer is not the FHIR base; none of these
// may cost the participant their data. The identity in the id_token is checked apart from this.
function normalized(answer: TransportResponse): Response {
  const body = withoutNulls(parseJson(answer.text()))
  if (body === undefined || answer.status < 200 || answer.status > 299) {
    return new Response(answer.bytes, {
      status: answer.status,
      headers: { 'content-type': 'application/json' },
    })
  }
  delete body.id_token
  body.token_type ??= 'bearer'
  const lifetime = Number(body.expires_in)
  if (Number.isFinite(lifetime) && lifetime >= 0) body.expires_in = Math.min(lifetime, 10 * 365 * 86_400)
  else delete body.expires_in
  for (const key of ['refresh_token', 'scope']) if (typeof body[key] !== 'string') delete body[key]
  return new Response(JSON.stringify(body), { status: 200, headers: { 'content-type': 'application/json' } })
}

function tokensOf(response: oauth.TokenEndpointResponse): Tokens {
  const { access_token, refresh_token, expires_in, scope } = response
  if (response.token_type !== 'bearer')
    throw new SmartError('TOKEN_RESPONSE_INVALID', 'the token type is not Bearer')
  return {
    access: new Secret(access_token),
    ...(refresh_token === undefined || refresh_token === '' ? {} : { refresh: new Secret(refresh_token) }),
    ...(expires_in === undefined ? {} : { expiresIn: expires_in }),
    ...(scope === undefined ? {} : { scope }),
    context: readContext(response as Record<string, unknown>),
  }
}

function translate(error: unknown, answer: TransportResponse | undefined, client: TokenClient): SmartError {
  const { id: subject, name } = client.provider
  if (error instanceof SmartError) return error
  if (error instanceof TransportError) {
    const code =
      error.fault === 'unreachable' || error.fault === 'timeout'
        ? 'TOKEN_UNREACHABLE'
        : 'TOKEN_RESPONSE_INVALID'
    return new SmartError(code, `the token endpoint of ${name} gave no usable answer: ${error.message}`, {
      subject,
      cause: error,
    })
  }
  if (answer === undefined) {
    return new SmartError('CONFIG_INVALID', `the token request to ${name} could not be made`, {
      subject,
      cause: error,
    })
  }
  const { status } = answer
  const reason = stringAt(parseJson(answer.text()), 'error')
  const details = { subject, status, ...(reason === undefined ? {} : { reason }) }
  if (reason === 'invalid_grant')
    return new SmartError('TOKEN_ENDED', `${name} no longer accepts this grant`, details)
  if (reason === 'invalid_client' || reason === 'unauthorized_client') {
    return new SmartError(
      'TOKEN_CLIENT_REFUSED',
      `${name} does not accept this app’s client id or credentials`,
      details,
    )
  }
  if (status >= 500 || status === 429)
    return new SmartError('TOKEN_UNREACHABLE', `the token endpoint of ${name} fails`, details)
  if (status >= 400) return new SmartError('TOKEN_REFUSED', `${name} refused the token request`, details)
  return new SmartError('TOKEN_RESPONSE_INVALID', `the token response of ${name} cannot be used`, details)
}

// Made of what the launch was bound to. The issuer stands for itself only: iss and id_token are checked elsewhere.
function serverOf(client: TokenClient): oauth.AuthorizationServer {
  return { issuer: client.tokenEndpoint, token_endpoint: client.tokenEndpoint }
}

function authenticationOf(client: TokenClient): oauth.ClientAuth {
  return (_server, _client, body, headers) => authenticate(client, body, headers)
}

async function authenticate(client: TokenClient, body: URLSearchParams, headers: Headers): Promise<void> {
  const { auth, clientId, tokenEndpoint } = client
  if (auth) await auth.authenticate({ clientId, tokenEndpoint, body, headers })
  else body.set('client_id', clientId)
}
