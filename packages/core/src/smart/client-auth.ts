import { SmartError } from '../errors.js'
import { base64, randomToken } from '../util/bytes.js'
import { Secret } from '../util/secret.js'
import { isSecure, parseUrl } from '../util/url.js'
import { algorithmOf, type Signer, signJwt } from './jws.js'
import type { ClientAuth } from './provider.js'

export interface ClientSecretOptions {
  /** `raw` joins id and secret as they are, which EHRs expect; `rfc6749` form-encodes each first. */
  readonly encoding?: 'raw' | 'rfc6749'
  /** Default: `client_secret_basic`, unless the server lists `client_secret_post` only. */
  readonly method?: 'client_secret_basic' | 'client_secret_post'
  /** Also sends `client_id` in the body, for servers that ask for what SMART leaves out. */
  readonly clientIdInBody?: boolean
}

/**
 * Client authentication by a shared secret. For servers only: a browser cannot keep one.
 *
 * @throws SmartError `CONFIG_INVALID`
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-symmetric.html
 */
export function clientSecret(secret: string, options: ClientSecretOptions = {}): ClientAuth {
  if (typeof secret !== 'string' || secret === '')
    throw new SmartError('CONFIG_INVALID', 'the client secret is empty')
  const kept = new Secret(secret)
  const encode = options.encoding === 'rfc6749' ? formEncode : (text: string): string => text
  return Object.freeze({
    method: options.method ?? 'client_secret_basic',
    authenticate: async ({ clientId, methods, body, headers }) => {
      const post = options.method
        ? options.method === 'client_secret_post'
        : methods?.includes('client_secret_post') === true && !methods.includes('client_secret_basic')
      if (post || options.clientIdInBody) body.set('client_id', clientId)
      if (post) body.set('client_secret', kept.reveal())
      else {
        const pair = `${encode(clientId)}:${encode(kept.reveal())}`
        headers.set('authorization', `Basic ${base64(new TextEncoder().encode(pair))}`)
      }
    },
  } satisfies ClientAuth)
}

export interface PrivateKeyJwtOptions {
  /** The JWKS URL that is registered with the provider, when its server wants to be told. */
  readonly jku?: string
  /** Also sends `client_id` in the body, for servers that ask for what SMART leaves out. */
  readonly clientIdInBody?: boolean
}

/** Four minutes: SMART allows five, and clocks differ. Seconds. */
const assertionLifetime = 240

/**
 * Client authentication by a signed assertion, the method that SMART prefers: RS384 or ES384 by the key's type.
 *
 * @param key A private `CryptoKey` with usage `sign`, which need not be extractable, or a `Signer` such as a key
 *   management service.
 * @param kid The key's id in the JWKS that the provider knows.
 * @throws SmartError `CONFIG_INVALID`
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html
 */
export function privateKeyJwt(
  key: CryptoKey | Signer,
  kid: string,
  options: PrivateKeyJwtOptions = {},
): ClientAuth {
  const { jku, clientIdInBody } = options
  algorithmOf(key)
  if (typeof kid !== 'string' || kid === '')
    throw new SmartError('CONFIG_INVALID', 'privateKeyJwt needs the key’s kid')
  const address = jku === undefined ? undefined : parseUrl(jku)
  if (jku !== undefined && !(address && isSecure(address)))
    throw new SmartError('CONFIG_INSECURE_URL', 'jku must be the https URL of the JWKS')
  return Object.freeze({
    method: 'private_key_jwt',
    authenticate: async ({ clientId, tokenEndpoint, crypto, now, body }) => {
      const seconds = Math.floor(now / 1000)
      const assertion = await signJwt(
        crypto,
        key,
        { kid, ...(jku === undefined ? {} : { jku }) },
        {
          iss: clientId,
          sub: clientId,
          aud: tokenEndpoint,
          jti: randomToken(crypto, 16),
          iat: seconds,
          exp: seconds + assertionLifetime,
        },
      )
      body.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
      body.set('client_assertion', assertion)
      // SMART 2.2: the assertion says who the client is; client_id stays out of the body.
      if (clientIdInBody) body.set('client_id', clientId)
    },
  } satisfies ClientAuth)
}

function formEncode(text: string): string {
  return new URLSearchParams({ '': text }).toString().slice(1)
}
