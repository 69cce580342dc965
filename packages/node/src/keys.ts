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
    const jwk = await readPrivate(text, alg).catch(() => undefined)
    if (jwk?.d === undefined) continue
    const { kty, n, e, crv, x, y } = jwk
    const key = (await importJWK(jwk, alg, { extractable: false })) as CryptoKey
    publicKeys.set(key, { ...(kty === 'RSA' ? { kty, n, e } : { kty, crv, x, y }), alg, use: 'sig' } as JWK)
    return key
  }
  throw new SmartError('CONFIG_INVALID', 'the key is neither PKCS #8 PEM nor a private JWK, of RSA or P-384')
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

async function readPrivate(text: string, alg: string): Promise<JWK | undefined> {
  const given = text.trim()
  if (!given.startsWith('{')) return exportJWK(await importPKCS8(given, alg, { extractable: true }))
  const jwk = JSON.parse(given) as JWK
  const fits = alg === 'ES384' ? jwk.kty === 'EC' && jwk.crv === 'P-384' : jwk.kty === 'RSA'
  return fits ? { ...jwk, ext: false, key_ops: ['sign'] } : undefined
}
