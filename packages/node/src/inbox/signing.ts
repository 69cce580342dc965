import { createPrivateKey, createPublicKey } from 'node:crypto'
import { type PrivateKey, type PublicKey, SmartError } from '@s4s/core'
import { CompactSign, calculateJwkThumbprint, exportJWK, importJWK, type JWK } from 'jose'
import type { InboxStudy } from './keys.js'

/** Signs what a study acknowledges, so that the participant can prove it to anyone. */
export interface Signer {
  /** The public key, for the study's `receiptKeys`. */
  readonly publicKey: PublicKey
  /** The claims, with their signature. */
  sign<Claims extends object>(claims: Claims): Promise<Claims & { readonly signature: string }>
}

/** The signers of studies, of those that have a key. */
export interface Signers {
  of(study: string): Promise<Signer | undefined>
  /** The claims, signed where the study signs. */
  sign<Claims extends object>(study: string, claims: Claims): Promise<Claims>
}

export function signersOf(studies: readonly InboxStudy[]): Signers {
  const signers = new Map(
    studies.flatMap(({ id, signingKey }) =>
      signingKey ? [[id, lazily(() => createSigner(signingKey))]] : [],
    ),
  )
  return Object.freeze({
    of: async (study: string) => signers.get(study)?.(),
    sign: async <Claims extends object>(study: string, claims: Claims): Promise<Claims> =>
      (await signers.get(study)?.())?.sign(claims) ?? claims,
  } satisfies Signers)
}

// Made when it is first needed, and again when that failed.
function lazily(make: () => Promise<Signer>): () => Promise<Signer> {
  let made: Promise<Signer> | undefined
  return () => {
    made ??= make().catch((error: unknown) => {
      made = undefined
      throw error
    })
    return made
  }
}

const algorithms: Readonly<Record<string, string>> = {
  'P-256': 'ES256',
  'P-384': 'ES384',
  'P-521': 'ES512',
  Ed25519: 'EdDSA',
}

/**
 * A signer from a private key as a JWK.
 *
 * @throws SmartError `CONFIG_INVALID`
 * @see https://www.rfc-editor.org/rfc/rfc7515
 */
export async function createSigner(key: PrivateKey): Promise<Signer> {
  const alg = key.kty === 'RSA' ? 'PS256' : algorithms[String(key.crv)]
  if (alg === undefined || typeof key.d !== 'string') throw unusable()
  try {
    const [secret, open] = [await importJWK(key, alg), await exportJWK(publicOf(key))]
    const kid = typeof key.kid === 'string' ? key.kid : await calculateJwkThumbprint(open)
    const publicKey = Object.freeze({ ...open, kid, alg, use: 'sig' }) as unknown as PublicKey
    return Object.freeze({
      publicKey,
      async sign<Claims extends object>(claims: Claims): Promise<Claims & { readonly signature: string }> {
        const payload = new TextEncoder().encode(JSON.stringify(claims))
        const signature = await new CompactSign(payload)
          .setProtectedHeader({ alg, kid, typ: 's4s-receipt+json' })
          .sign(secret)
        return Object.freeze({ ...claims, signature })
      },
    })
  } catch (cause) {
    throw unusable(cause)
  }
}

const publicOf = (key: PrivateKey) =>
  createPublicKey(createPrivateKey({ key: key as unknown as JWK & Record<string, string>, format: 'jwk' }))

const unusable = (cause?: unknown): SmartError =>
  new SmartError('CONFIG_INVALID', 'signingKey is not a private key as a JWK that can sign', { cause })
