import * as oauth from 'oauth4webapi'
import { SmartError } from '../errors.js'
import { base64 } from '../util/bytes.js'
import { Secret } from '../util/secret.js'
import type { ClientAuth } from './provider.js'

export interface ClientSecretOptions {
  /** `raw` joins id and secret as they are, which EHRs expect; `rfc6749` form-encodes each first. */
  readonly encoding?: 'raw' | 'rfc6749'
  readonly method?: 'client_secret_basic' | 'client_secret_post'
}

/**
 * Client authentication by a shared secret. For servers only: a browser cannot keep one.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-symmetric.html
 */
export function clientSecret(secret: string, options: ClientSecretOptions = {}): ClientAuth {
  if (secret === '') throw new SmartError('CONFIG_INVALID', 'the client secret is empty')
  const kept = new Secret(secret)
  const method = options.method ?? 'client_secret_basic'
  const encode = options.encoding === 'rfc6749' ? formEncode : (text: string): string => text
  return Object.freeze({
    method,
    authenticate: async ({ clientId, body, headers }) => {
      if (method === 'client_secret_post') {
        body.set('client_id', clientId)
        body.set('client_secret', kept.reveal())
        return
      }
      const pair = `${encode(clientId)}:${encode(kept.reveal())}`
      headers.set('authorization', `Basic ${base64(new TextEncoder().encode(pair))}`)
    },
  } satisfies ClientAuth)
}

/**
 * Client authentication by a signed assertion, the method that SMART prefers: RS384 or ES384 by the key's type.
 *
 * @param key A private `CryptoKey` with usage `sign`; it need not be extractable.
 * @param kid The key's id in the JWKS that the provider knows.
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html
 */
export function privateKeyJwt(key: CryptoKey, kid: string): ClientAuth {
  if (key.type !== 'private' || !key.usages.includes('sign')) {
    throw new SmartError('CONFIG_INVALID', 'privateKeyJwt needs a private key that may sign')
  }
  if (kid === '') throw new SmartError('CONFIG_INVALID', 'privateKeyJwt needs the key’s kid')
  return Object.freeze({
    method: 'private_key_jwt',
    authenticate: async ({ clientId, tokenEndpoint, body, headers }) => {
      const sign = oauth.PrivateKeyJwt(
        { key, kid },
        {
          // SMART wants the token endpoint as audience and a type; RFC 7523 is content with less.
          [oauth.modifyAssertion]: (header, payload) => {
            header.typ = 'JWT'
            payload.aud = tokenEndpoint
          },
        },
      )
      await sign(
        { issuer: tokenEndpoint, token_endpoint: tokenEndpoint },
        { client_id: clientId },
        body,
        headers,
      )
      // SMART 2.2: the assertion says who the client is; client_id stays out of the body.
      body.delete('client_id')
    },
  } satisfies ClientAuth)
}

function formEncode(text: string): string {
  return new URLSearchParams({ '': text }).toString().slice(1)
}
