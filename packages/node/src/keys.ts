import { webcrypto } from 'node:crypto'
import { type ClientAuth, type Provider, SmartError } from '@s4s/core'
import { privateKeyJwt as coreKeyJwt } from '@s4s/core/confidential'
import { exportJWK, importJWK, importPKCS8, type JWK } from 'jose'

const publicKeys = new WeakMap<CryptoKey, JWK>()
const published = new WeakMap<ClientAuth, JWK>()

/**
 * Reads a private key, from PKCS #8 PEM or a JWK, to be used by `privateKeyJwt`. What is had of it from then on
 * is a signature or the public half; the key itself cannot be exported again.
 *
 * @throws SmartError `CONFIG_INVALID`
 */
export async function loadKey(text: string): Promise<CryptoKey> {
  for (const alg of ['ES384', 'RS384']) {
    const key = await importKey(text, alg).catch(() => undefined)
    if (key?.type !== 'private') continue
    const { kty, n, e, crv, x, y } = await exportJWK(key)
    const pub = kty === 'RSA' ? { kty, n, e } : { kty, crv, x, y }
    const kept = await webcrypto.subtle.importKey(
      'jwk',
      (await exportJWK(key)) as never,
      key.algorithm as never,
      false,
      ['sign'],
    )
    publicKeys.set(kept as CryptoKey, { ...pub, alg, use: 'sig' } as JWK)
    return kept as CryptoKey
  }
  throw new SmartError('CONFIG_INVALID', 'the key is neither PKCS #8 PEM nor a private JWK of RSA or P-384')
}

/**
 * Client authentication by a signed assertion, the method that SMART prefers. With a key from `loadKey` its public
 * half is served at `jwks.json`.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html
 */
export function privateKeyJwt(key: CryptoKey, kid: string): ClientAuth {
  const auth = coreKeyJwt(key, kid)
  const pub = publicKeys.get(key)
  if (pub) published.set(auth, { ...pub, kid })
  return auth
}

/** The public keys that the providers' servers check our assertions with, each once. */
export function jwksOf(providers: readonly Provider[]): { readonly keys: readonly JWK[] } {
  const keys = new Map<string, JWK>()
  for (const { auth } of providers) {
    const key = auth && published.get(auth)
    if (key?.kid !== undefined) keys.set(key.kid, key)
  }
  return { keys: [...keys.values()] }
}

async function importKey(text: string, alg: string): Promise<CryptoKey> {
  if (!text.trimStart().startsWith('{')) return importPKCS8(text, alg, { extractable: true })
  return (await importJWK(JSON.parse(text) as JWK, alg, { extractable: true })) as CryptoKey
}
