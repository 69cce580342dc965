import type { PrivateKey, PublicKey } from '@s4s/core'
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose'

/** The two pairs of keys of a study. What is private stays with the study team; what is public goes into the study. */
export interface StudyKeys {
  /** For `defineStudy`. */
  readonly study: { readonly sealTo: PublicKey; readonly receiptKeys: readonly PublicKey[] }
  /** For `createInbox`: without `openKeys` its host receives packages that it cannot read. */
  readonly inbox: { readonly signingKey: PrivateKey; readonly openKeys: readonly PrivateKey[] }
}

/**
 * Makes new keys for a study: one to seal packages to, one to sign receipts with; both on P-256, which every browser
 * and every public tool knows.
 */
export async function createStudyKeys(): Promise<StudyKeys> {
  const [seal, sign] = await Promise.all([pair('ECDH-ES+A256KW', 'enc'), pair('ES256', 'sig')])
  return Object.freeze({
    study: Object.freeze({ sealTo: seal.open, receiptKeys: Object.freeze([sign.open]) }),
    inbox: Object.freeze({ signingKey: sign.secret, openKeys: Object.freeze([seal.secret]) }),
  })
}

async function pair(
  alg: string,
  use: string,
): Promise<{ readonly open: PublicKey; readonly secret: PrivateKey }> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  const open = await exportJWK(publicKey)
  const named = { kid: await calculateJwkThumbprint(open), alg, use }
  return {
    open: Object.freeze({ ...open, ...named }) as unknown as PublicKey,
    secret: Object.freeze({ ...(await exportJWK(privateKey)), ...named }) as unknown as PrivateKey,
  }
}
