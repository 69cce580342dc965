import { SmartError } from '../errors.js'
import { isObject, parseJson, stringAt } from '../util/json.js'
import type { Secret } from '../util/secret.js'
import { type LaunchContext, readContext } from './context.js'
import { postForm, type TokenClient, type TokenWorld } from './token.js'

/** What an authorization server says about a token. `unknown`: it has no introspection endpoint, or does not say. */
export type TokenState =
  | { readonly state: 'unknown' }
  | { readonly state: 'inactive' }
  | {
      readonly state: 'active'
      readonly scope?: string
      readonly clientId?: string
      readonly expiresAt?: Date
      readonly issuer?: string
      readonly subject?: string
      readonly context: LaunchContext
    }

export interface IntrospectionOptions {
  readonly hint?: 'access_token' | 'refresh_token'
  /** Sent as the request's own authorization; without it, the client's credentials are. */
  readonly bearer?: Secret
  readonly signal?: AbortSignal
}

/**
 * Asks the authorization server whether a token is good, and for what.
 *
 * @throws SmartError `TOKEN_UNREACHABLE`, `TOKEN_CLIENT_REFUSED` when the server does not answer this caller
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/token-introspection.html
 */
export async function introspectToken(
  world: TokenWorld,
  client: TokenClient,
  endpoint: string,
  token: Secret,
  options: IntrospectionOptions = {},
): Promise<TokenState> {
  const { hint, bearer, signal } = options
  const body = new URLSearchParams({ token: token.reveal(), ...(hint ? { token_type_hint: hint } : {}) })
  const answer = await postForm(world, client, endpoint, body, signal, bearer)
  const { status } = answer
  const { id: subject, name } = client.provider
  if (status === 400 || status === 401 || status === 403)
    throw new SmartError('TOKEN_CLIENT_REFUSED', `${name} does not tell this app about tokens`, {
      subject,
      status,
    })
  if (status >= 500 || status === 429)
    throw new SmartError('TOKEN_UNREACHABLE', `the introspection endpoint of ${name} fails`, {
      subject,
      status,
    })
  const value = status === 200 ? parseJson(answer.text()) : undefined
  if (!isObject(value) || typeof value.active !== 'boolean') return Object.freeze({ state: 'unknown' })
  // RFC 7662 §2.2: whatever else stands in the answer about an inactive token is not to be used.
  if (!value.active) return Object.freeze({ state: 'inactive' })
  const expires = Number(value.exp)
  const members = {
    scope: stringAt(value, 'scope'),
    clientId: stringAt(value, 'client_id'),
    expiresAt: expires > 0 && expires < 8.64e12 ? new Date(expires * 1000) : undefined,
    issuer: stringAt(value, 'iss'),
    subject: stringAt(value, 'sub'),
  }
  const present = Object.fromEntries(Object.entries(members).filter(([, member]) => member !== undefined))
  return Object.freeze({ state: 'active', ...present, context: readContext(value) })
}
