import * as oauth from 'oauth4webapi'
import { ambientClock } from '../ambient.js'
import { isObject, parseJson, stringAt } from '../util/json.js'
import type { Secret } from '../util/secret.js'
import { type Transport, TransportError } from '../util/transport.js'
import { isLoopback, isSecure, isWithin, join, parseUrl } from '../util/url.js'
import { peekJwt } from './jws.js'

/** Why nothing is known about who signed in, though it was asked. */
export type IdentityProblem =
  /** The server sent no id_token. */
  | 'missing'
  /** It names another issuer than the server that sent it, or one that publishes no keys. */
  | 'issuer'
  /** It is no signed JWT, its signature is wrong, or its algorithm is not one to be trusted. */
  | 'signature'
  /** It is for another client, of another sign-in, or outside its time. */
  | 'claims'
  /** The issuer did not answer. */
  | 'unreachable'

/** Who signed in, as far as it could be proved. */
export type Identity =
  | {
      readonly status: 'verified'
      readonly issuer: string
      /** Unique at the issuer, and never given to anyone else. */
      readonly subject: string
      /** The absolute URL of their Patient, Practitioner, PractitionerRole, RelatedPerson or Person. */
      readonly fhirUser?: string
    }
  | { readonly status: 'unverified'; readonly problem: IdentityProblem }

/** What an identity check is given. */
export interface IdentityRequest {
  readonly transport: Transport
  readonly idToken: Secret | undefined
  readonly clientId: string
  readonly nonce?: string
  /** The FHIR base. */
  readonly iss: string
  readonly endpoints: { readonly token: string; readonly issuer?: string; readonly jwks?: string }
}

/** Tells who signed in. Never throws: trouble with identity must not cost the participant their data. */
export interface IdentityCheck {
  /** True to send a nonce, which the id_token then must carry. */
  readonly nonce: boolean
  verify(request: IdentityRequest): Promise<Identity>
}

export interface IdTokenOptions {
  /** SMART does not define it, and some servers drop it. Default false. */
  readonly nonce?: boolean
  /** How far clocks may differ after the server's own `Date` was taken into account. Seconds, default 60. */
  readonly clockTolerance?: number
}

// Asymmetric, and of a length that is still trusted; `none` and the symmetric ones are not among them.
const algorithms = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512'],
  ...['EdDSA', 'Ed25519'],
]
const longestToken = 16_384

/**
 * Asks for the id_token of OpenID Connect and validates it: issuer, signature, audience, time and nonce.
 *
 * @example createBrowserClient({ …, identity: idToken() })
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-identity-data
 */
export function idToken(options: IdTokenOptions = {}): IdentityCheck {
  const { nonce = false, clockTolerance = 60 } = options
  return Object.freeze({
    nonce,
    verify: async (request) => {
      try {
        return await validate(request, clockTolerance)
      } catch (error) {
        return unverified(error instanceof TransportError ? 'unreachable' : 'claims')
      }
    },
  } satisfies IdentityCheck)
}

const unverified = (problem: IdentityProblem): Identity => Object.freeze({ status: 'unverified', problem })

async function validate(request: IdentityRequest, clockTolerance: number): Promise<Identity> {
  const { transport, idToken: given, clientId, nonce, endpoints } = request
  const jwt = given?.reveal()
  if (jwt === undefined) return unverified('missing')
  const issuer =
    jwt.length <= longestToken && jwt.split('.').length === 3 ? stringAt(peekJwt(jwt), 'iss') : undefined
  if (issuer === undefined) return unverified('signature')
  if (!isTrusted(issuer, request)) return unverified('issuer')
  const jwks = await keysOf(issuer, request)
  if (jwks === undefined) return unverified('issuer')

  const server: oauth.AuthorizationServer = {
    issuer,
    jwks_uri: jwks,
    id_token_signing_alg_values_supported: algorithms,
  }
  const client: oauth.Client = {
    client_id: clientId,
    [oauth.clockTolerance]: clockTolerance,
    [oauth.clockSkew]: Math.round((transport.serverNow(endpoints.token) - ambientClock.now()) / 1000),
  }
  const answer = JSON.stringify({ access_token: 'none', token_type: 'bearer', id_token: jwt })
  const response = new Response(answer, { headers: { 'content-type': 'application/json' } })
  const options = { requireIdToken: true, ...(nonce === undefined ? {} : { expectedNonce: nonce }) }
  let claims: oauth.IDToken | undefined
  try {
    claims = oauth.getValidatedIdTokenClaims(
      await oauth.processAuthorizationCodeResponse(server, client, response, options),
    )
  } catch {
    return unverified(algorithms.includes(stringAt(headerOf(jwt), 'alg') ?? '') ? 'claims' : 'signature')
  }
  if (!claims || claims.sub.length > 255) return unverified('claims')
  const signed = await isSigned(server, response, transport)
  if (signed !== true) return unverified(signed)
  const fhirUser = userOf(claims, request.iss)
  return Object.freeze({ status: 'verified', issuer, subject: claims.sub, ...(fhirUser ? { fhirUser } : {}) })
}

// The advertised issuer, or, where none is, one on a host that the launch already trusts: no other is ever fetched.
function isTrusted(issuer: string, { iss, endpoints }: IdentityRequest): boolean {
  const url = parseUrl(issuer)
  if (!url || !isSecure(url) || url.search !== '' || url.hash !== '') return false
  if (endpoints.issuer !== undefined) return issuer === endpoints.issuer
  return [iss, endpoints.token].some((known) => new URL(known).origin === url.origin)
}

// OpenID Connect Discovery §4.3: what is fetched must name the issuer that it was fetched for.
async function keysOf(
  issuer: string,
  { transport, iss, endpoints }: IdentityRequest,
): Promise<string | undefined> {
  const answer = await transport({
    ...limits,
    url: join(issuer, '.well-known/openid-configuration'),
    headers,
  })
  const document = answer.status === 200 ? parseJson(answer.text()) : undefined
  if (isObject(document) && stringAt(document, 'issuer') !== issuer) return undefined
  const found = isObject(document) ? stringAt(document, 'jwks_uri') : endpoints.jwks
  const url = found === undefined ? undefined : parseUrl(found)
  if (!url || !isSecure(url) || (isLoopback(url) && !isLoopback(new URL(iss)))) return undefined
  return url.href
}

const headers = { accept: 'application/json' }
const limits = { maxBytes: 256 * 1024, idleTimeout: 10_000, totalTimeout: 15_000 }

// The keys are fetched for each check, so one that was rotated in is there; one failure may pass.
async function isSigned(
  server: oauth.AuthorizationServer,
  response: Response,
  transport: Transport,
): Promise<true | IdentityProblem> {
  let reached = false
  const send = async (url: string): Promise<Response> => {
    const answer = await transport({ ...limits, url, headers })
    reached = answer.status === 200
    return new Response(answer.bytes, {
      status: answer.status,
      headers: { 'content-type': 'application/json' },
    })
  }
  for (let attempt = 0; attempt < 2 && !reached; attempt++) {
    try {
      await oauth.validateApplicationLevelSignature({ ...server }, response, {
        [oauth.customFetch]: send,
        [oauth.allowInsecureRequests]: true,
      })
      return true
    } catch {
      // Said below: with the keys in hand the signature is wrong; without them nobody can tell.
    }
  }
  return reached ? 'signature' : 'unreachable'
}

function headerOf(jwt: string): unknown {
  return peekJwt(`.${jwt.split('.')[0]}`)
}

// SMART 1 servers put it in `profile`.
function userOf(claims: oauth.IDToken, iss: string): string | undefined {
  for (const claim of [claims.fhirUser, claims.profile]) {
    const url = typeof claim === 'string' ? parseUrl(claim, join(iss, '')) : undefined
    if (
      url &&
      /\/(Patient|Practitioner|PractitionerRole|RelatedPerson|Person)\/[A-Za-z0-9._-]{1,256}$/.test(
        url.pathname,
      )
    )
      return url.href
  }
  return undefined
}

/** The path below the FHIR base of the resource of whoever signed in; undefined when it is at another server. */
export function userPath(
  fhirUser: string,
  iss: string,
): { readonly type: string; readonly id: string } | undefined {
  const url = parseUrl(fhirUser, join(iss, ''))
  if (!url || !isWithin(url, new URL(iss))) return undefined
  const [type = '', id = ''] = url.pathname.split('/').slice(-2)
  return { type, id }
}
