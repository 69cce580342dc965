import { exportJWK, generateKeyPair, type JWK } from 'jose'

/** A key pair of a client of the sandbox, as Web Crypto keys. */
export interface ClientKey {
  readonly kid: string
  readonly alg: 'RS384' | 'ES384'
  readonly privateKey: CryptoKey
  readonly publicJwk: JWK
}

export interface SandboxKeys {
  readonly signing: JWK
  readonly client: readonly ClientKey[]
}

// RSA keys take a tenth of a second to make; every sandbox of a process shares them.
let made: Promise<SandboxKeys> | undefined

/** The keys of this process: one that signs id_tokens, and the pairs of the asymmetric client. */
export function sandboxKeys(): Promise<SandboxKeys> {
  made ??= makeKeys()
  return made
}

async function makeKeys(): Promise<SandboxKeys> {
  const signing = await generateKeyPair('RS256', { extractable: true })
  const client = await Promise.all(
    (['RS384', 'ES384'] as const).map(async (alg): Promise<ClientKey> => {
      const pair = await generateKeyPair(alg, { extractable: true })
      const kid = `s4s-${alg.toLowerCase()}`
      return {
        kid,
        alg,
        privateKey: pair.privateKey,
        publicJwk: { ...(await exportJWK(pair.publicKey)), kid, alg, use: 'sig' },
      }
    }),
  )
  return {
    signing: { ...(await exportJWK(signing.privateKey)), kid: 'sandbox', alg: 'RS256', use: 'sig' },
    client,
  }
}
