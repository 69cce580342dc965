import { ambientCrypto } from '../ambient.js'
import { SmartError } from '../errors.js'
import type { CryptoPort } from '../ports.js'
import { sha256 } from '../util/bytes.js'
import { isObject, parseJson, stringAt } from '../util/json.js'
import type { ConsentRecord } from './consent.js'
import { loadJose } from './jose.js'
import type { Package, PackagePart } from './package.js'
import type { PublicKey } from './study.js'
import { version } from './version.js'

/**
 * What the host of an inbox sees of a sealed package: for which study, by whom, under which consent, and how much.
 * Everything else is in the parts, which only the study's private key opens.
 */
export interface SealedManifest {
  readonly format: 's4s-sealed/1'
  /** SHA-256 of the manifest inside: the package's own digest, whatever the seal. */
  readonly digest: string
  readonly study: { readonly id: string }
  readonly participant: string
  readonly consent: { readonly id: string }
  readonly withdrawalCommitment: string
  /** The key of this package as a compact JWE to the study's public key. */
  readonly key: string
  /** The manifest first, then every part; each a compact JWE, compressed. */
  readonly parts: readonly { readonly path: string; readonly size: number; readonly sha256: string }[]
  /** Resources inside, as the sender says. */
  readonly resources: number
  readonly software: { readonly name: '@s4s/core'; readonly version: string }
}

/** A private key as a JWK. @see https://www.rfc-editor.org/rfc/rfc7517 */
export type PrivateKey = Readonly<Record<string, unknown>> & { readonly kty: string }

/**
 * Seals a package to a study's public key. Its digest stays, and the same package under the same consent has the same
 * sealed parts, so that a delivery which was interrupted goes on where it was, also from a page that was reloaded.
 *
 * @throws SmartError `CONFIG_INVALID` when the key cannot be sealed to
 * @see https://www.rfc-editor.org/rfc/rfc7516
 */
export async function seal(
  pack: Package,
  options: {
    readonly to: PublicKey
    readonly consent: ConsentRecord
    readonly crypto?: CryptoPort
  },
): Promise<Package> {
  const { to, consent, crypto = ambientCrypto } = options
  const packageKey = await derive(crypto, encode(consent.sealingKey), `package ${pack.digest}`, 32)
  const inside = [
    async () => pack.manifestBytes,
    ...distinct(pack.parts).map((part) => async () => part.open()),
  ]
  const parts: PackagePart[] = []
  for (const [index, plain] of inside.entries()) {
    const open = async (): Promise<Uint8Array<ArrayBuffer>> =>
      sealPart(crypto, packageKey, index, await plain())
    const bytes = await open()
    const path = `sealed/${String(index + 1).padStart(4, '0')}.jwe`
    const digest = await sha256(crypto, bytes)
    parts.push(
      Object.freeze({ path, contentType: 'application/jose', size: bytes.length, sha256: digest, open }),
    )
  }
  const manifest: SealedManifest = {
    format: 's4s-sealed/1',
    digest: pack.digest,
    study: { id: pack.manifest.study.id },
    participant: pack.manifest.participant,
    consent: { id: pack.manifest.consent.id },
    withdrawalCommitment: pack.manifest.withdrawalCommitment,
    key: await wrap(packageKey, to),
    parts: parts.map(({ path, size, sha256: digest }) => ({ path, size, sha256: digest })),
    resources: pack.manifest.parts.reduce((sum, part) => sum + (part.resources ?? 0), 0),
    software: { name: '@s4s/core', version },
  }
  return Object.freeze({
    digest: pack.digest,
    manifest: pack.manifest,
    manifestBytes: encode(JSON.stringify(manifest)),
    parts: Object.freeze(parts),
    ...(pack.given ? { given: pack.given } : {}),
    sealed: true,
  })
}

/** A sealed package, open to whoever has the study's private key. */
export interface OpenSeal {
  /** The bytes of the manifest inside; their SHA-256 is the package's digest. */
  readonly manifestBytes: Uint8Array<ArrayBuffer>
  /** The bytes of a part inside, by the SHA-256 that the manifest inside gives. */
  open(digest: string): Promise<Uint8Array<ArrayBuffer>>
}

/** Most bytes that a sealed part may become; what says it becomes more is not opened. */
const mostPlainBytes = 512 * 1024 * 1024

/**
 * Opens a sealed package. Whether the manifest inside is good is for the reader to look at; that its parts are those
 * which were sealed is certain.
 *
 * @param read brings the bytes of a sealed part by its SHA-256
 * @throws SmartError `SHARE_SEAL_INVALID` when none of the keys opens it, or a part was changed
 */
export async function openSeal(
  sealed: SealedManifest,
  keys: readonly PrivateKey[],
  read: (digest: string) => Promise<Uint8Array>,
  crypto: CryptoPort = ambientCrypto,
): Promise<OpenSeal> {
  const packageKey = await unwrap(sealed.key, keys)
  const openAt = async (index: number): Promise<Uint8Array<ArrayBuffer>> => {
    const part = sealed.parts[index]
    if (!part) throw broken('lacks a part')
    return openPart(crypto, packageKey, index, await read(part.sha256))
  }
  const manifestBytes = await openAt(0)
  if ((await sha256(crypto, manifestBytes)) !== sealed.digest) throw broken('holds another manifest')
  const order = distinct(partsIn(manifestBytes)).map((part) => part.sha256)
  return Object.freeze({
    manifestBytes,
    async open(digest: string): Promise<Uint8Array<ArrayBuffer>> {
      const at = order.indexOf(digest)
      if (at < 0) throw broken('lacks a part')
      const bytes = await openAt(at + 1)
      if ((await sha256(crypto, bytes)) !== digest) throw broken('holds another part')
      return bytes
    },
  })
}

/** True for the manifest of a sealed package, with every member that opening it needs. */
export function isSealedManifest(value: unknown): value is SealedManifest {
  return (
    isObject(value) &&
    value.format === 's4s-sealed/1' &&
    isDigest(value.digest) &&
    stringAt(value.study, 'id') !== undefined &&
    stringAt(value, 'participant') !== undefined &&
    stringAt(value.consent, 'id') !== undefined &&
    isDigest(value.withdrawalCommitment) &&
    stringAt(value, 'key') !== undefined &&
    isCount(value.resources) &&
    Array.isArray(value.parts) &&
    value.parts.every(
      (part, index) =>
        isObject(part) &&
        part.path === `sealed/${String(index + 1).padStart(4, '0')}.jwe` &&
        isCount(part.size) &&
        isDigest(part.sha256),
    )
  )
}

const isDigest = (value: unknown): boolean => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0

/** Parts with the same bytes are one. */
function distinct<P extends { readonly sha256: string }>(parts: readonly P[]): P[] {
  return [...new Map(parts.map((part) => [part.sha256, part])).values()]
}

function partsIn(manifestBytes: Uint8Array): { readonly sha256: string }[] {
  const manifest = parseJson(new TextDecoder().decode(manifestBytes))
  const parts = isObject(manifest) && Array.isArray(manifest.parts) ? manifest.parts : []
  return parts.filter((part): part is { sha256: string } => stringAt(part, 'sha256') !== undefined)
}

// Key and nonce belong to this part of this package alone, so that sealing it again gives the same bytes without ever
// using a nonce for two texts. A part in the wrong place does not open.
async function partKeys(crypto: CryptoPort, packageKey: Uint8Array, index: number) {
  const bytes = await derive(crypto, packageKey, `part ${index}`, 44)
  return { key: bytes.subarray(0, 32), nonce: bytes.subarray(32) }
}

async function sealPart(
  crypto: CryptoPort,
  packageKey: Uint8Array,
  index: number,
  plain: Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  const { CompactEncrypt } = await loadJose()
  const { key, nonce } = await partKeys(crypto, packageKey, index)
  const jwe = await new CompactEncrypt(plain)
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', zip: 'DEF' })
    .setInitializationVector(nonce)
    .encrypt(key)
  return encode(jwe)
}

async function openPart(
  crypto: CryptoPort,
  packageKey: Uint8Array,
  index: number,
  bytes: Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  const { compactDecrypt } = await loadJose()
  const { key } = await partKeys(crypto, packageKey, index)
  try {
    const { plaintext } = await compactDecrypt(bytes, key, {
      keyManagementAlgorithms: ['dir'],
      contentEncryptionAlgorithms: ['A256GCM'],
      maxDecompressedLength: mostPlainBytes,
    })
    return new Uint8Array(plaintext)
  } catch {
    throw broken('was changed, or was sealed with another key')
  }
}

const agreements = ['ECDH-ES+A256KW', 'ECDH-ES+A128KW', 'RSA-OAEP-256', 'RSA-OAEP-384', 'RSA-OAEP-512']

async function wrap(packageKey: Uint8Array, to: PublicKey): Promise<string> {
  const { CompactEncrypt, importJWK, calculateJwkThumbprint } = await loadJose()
  const usual = to.kty === 'RSA' ? 'RSA-OAEP-256' : 'ECDH-ES+A256KW'
  const alg = to.alg === undefined ? usual : to.alg
  if (typeof alg !== 'string' || !agreements.includes(alg)) throw unusable()
  try {
    const kid = typeof to.kid === 'string' ? to.kid : await calculateJwkThumbprint(to)
    const key = await importJWK(to, alg)
    return await new CompactEncrypt(packageKey).setProtectedHeader({ alg, enc: 'A256GCM', kid }).encrypt(key)
  } catch (error) {
    throw unusable(error)
  }
}

async function unwrap(jwe: string, keys: readonly PrivateKey[]): Promise<Uint8Array> {
  const { compactDecrypt, importJWK } = await loadJose()
  for (const jwk of keys) {
    try {
      const { plaintext } = await compactDecrypt(
        jwe,
        async ({ alg }) => {
          if (!agreements.includes(alg)) throw new TypeError('not an algorithm of ours')
          return importJWK(jwk, alg)
        },
        { keyManagementAlgorithms: agreements, contentEncryptionAlgorithms: ['A256GCM'] },
      )
      if (plaintext.length === 32) return plaintext
    } catch {
      // Another key may be the one.
    }
  }
  throw broken('opens with none of the keys')
}

/** HKDF with SHA-256. @see https://www.rfc-editor.org/rfc/rfc5869 */
async function derive(
  crypto: CryptoPort,
  secret: Uint8Array,
  info: string,
  length: number,
): Promise<Uint8Array> {
  const key = await crypto.subtle.importKey('raw', new Uint8Array(secret), 'HKDF', false, ['deriveBits'])
  const parameters = {
    name: 'HKDF',
    hash: 'SHA-256',
    salt: new Uint8Array(),
    info: encode(`s4s-sealed/1 ${info}`),
  }
  return new Uint8Array(await crypto.subtle.deriveBits(parameters, key, length * 8))
}

const encode = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text)
const unusable = (cause?: unknown): SmartError =>
  new SmartError('CONFIG_INVALID', 'study.sealTo is not a public key that can be sealed to', { cause })
const broken = (what: string): SmartError =>
  new SmartError('SHARE_SEAL_INVALID', `the sealed package ${what}`)
