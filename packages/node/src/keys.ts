import { createHash } from 'node:crypto'
import { type ClientAuth, type Provider, SmartError } from '@s4s/core'
import { privateKeyJwt as coreKeyJwt, type PrivateKeyJwtOptions, type Signer } from '@s4s/core/confidential'
import {
  calculateJwkThumbprint,
  exportJWK,
  exportPKCS8,
  generateKeyPair,
  importJWK,
  importPKCS8,
  type JWK,
} from 'jose'

const publicKeys = new WeakMap<CryptoKey, JWK>()
const published = new WeakMap<ClientAuth, JWK>()

/** A new key pair: its private half to keep, its public half to register. */
export interface GeneratedKey {
  /** PKCS #8 PEM, for `loadKey`. */
  readonly privateKey: string
  /** The thumbprint of the key (RFC 7638): the same key has the same name wherever it is published. */
  readonly kid: string
  readonly publicJwk: JWK
}

/**
 * Makes a key pair for `privateKeyJwt`.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html#registering-a-client-communicating-public-keys
 */
export async function generateKey(alg: 'ES384' | 'RS384' = 'ES384'): Promise<GeneratedKey> {
  const pair = await generateKeyPair(alg, { extractable: true, modulusLength: 3072 })
  const jwk = await exportJWK(pair.publicKey)
  const kid = await calculateJwkThumbprint(jwk)
  return Object.freeze({
    privateKey: await exportPKCS8(pair.privateKey),
    kid,
    publicJwk: publicOf({ ...jwk, kid, alg, use: 'sig' }),
  })
}

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

export interface NodeKeyOptions extends PrivateKeyJwtOptions {
  /** The public half of a key that signs elsewhere, to be served at `jwks.json`. */
  readonly publicJwk?: JWK
}

/**
 * Client authentication by a signed assertion, the method that SMART prefers. With a key from `loadKey`, or with
 * `publicJwk`, its public half is served at `jwks.json`.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html
 */
export function privateKeyJwt(
  key: CryptoKey | Signer,
  kid: string,
  options: NodeKeyOptions = {},
): ClientAuth {
  const { publicJwk, ...others } = options
  const auth = coreKeyJwt(key, kid, others)
  const half = publicJwk ?? ('sign' in key ? undefined : publicKeys.get(key))
  if (half) published.set(auth, publicOf({ ...half, kid }))
  return auth
}

/**
 * The public keys that the providers' servers check our assertions with, each once; and others that come or go.
 *
 * @throws SmartError `CONFIG_INVALID` for two keys of one name
 */
export function jwksOf(
  providers: readonly Provider[],
  others: readonly JWK[] = [],
): { readonly keys: readonly JWK[] } {
  const keys = new Map<string, JWK>()
  const used = providers.map(({ auth }) => auth && published.get(auth)).filter((key) => key !== undefined)
  for (const key of [...used, ...others.map(publicOf)]) {
    const known = keys.get(key.kid ?? '')
    if (known && (known.n !== key.n || known.x !== key.x || known.y !== key.y))
      throw new SmartError('CONFIG_INVALID', 'otherKeys or the providers name two keys by one kid')
    keys.set(key.kid ?? '', known ?? key)
  }
  return { keys: [...keys.values()] }
}

/**
 * The members of a JWK that may be published.
 *
 * @throws SmartError `CONFIG_INVALID` for a key that lacks what the standard asks for
 */
export function publicOf(jwk: JWK): JWK {
  const { kty, kid, alg, use, n, e, crv, x, y } = jwk
  const whole = kty === 'RSA' ? n && e : kty === 'EC' && crv && x && y
  if (!whole || !kid) {
    const name = createHash('sha256').update(String(kid)).digest('hex').slice(0, 8)
    throw new SmartError('CONFIG_INVALID', `a public key (${name}) lacks kty, kid or what its type needs`)
  }
  const members = { kty, kid, alg, use, ...(kty === 'RSA' ? { n, e } : { crv, x, y }) }
  return Object.fromEntries(
    Object.entries(members).filter(([, value]) => value !== undefined),
  ) as unknown as JWK
}

async function readPrivate(text: string, alg: string): Promise<JWK | undefined> {
  const given = text.trim()
  if (!given.startsWith('{')) return exportJWK(await importPKCS8(given, alg, { extractable: true }))
  const jwk = JSON.parse(given) as JWK
  const fits = alg === 'ES384' ? jwk.kty === 'EC' && jwk.crv === 'P-384' : jwk.kty === 'RSA'
  return fits ? { ...jwk, ext: false, key_ops: ['sign'] } : undefined
}
