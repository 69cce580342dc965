import {
  type ConsentDocument,
  type Manifest,
  type OpenSeal,
  openSeal,
  type PrivateKey,
  type SealedManifest,
} from '@s4s/core'
import { checkConsent, type Limits, limitsOf, maxConsentBytes } from './consent.js'
import { kindOf, readManifest } from './manifest.js'
import { inspectBytes } from './parts.js'
import { Refusal } from './refusal.js'

/** A sealed package in the hands of whoever may read it. */
export interface Unsealed {
  readonly manifest: Manifest
  /** The bytes of a part, by its path in the manifest. */
  read(path: string): Promise<Uint8Array>
}

/**
 * Opens a sealed package.
 *
 * @param bytesOf a sealed part, by its SHA-256
 * @throws SmartError `SHARE_SEAL_INVALID`; Refusal `manifest`, `consent` when what is inside is no package
 */
export async function unseal(
  sealed: SealedManifest,
  keys: readonly PrivateKey[],
  bytesOf: (sha256: string) => Promise<Uint8Array>,
): Promise<Unsealed> {
  const opened: OpenSeal = await openSeal(sealed, keys, bytesOf)
  const manifest = readManifest(opened.manifestBytes)
  return Object.freeze({
    manifest,
    async read(path: string): Promise<Uint8Array> {
      const part = manifest.parts.find((one) => one.path === path)
      if (!part) throw new TypeError('the package has no such part')
      return opened.open(part.sha256)
    },
  })
}

/**
 * Holds what is inside a seal against everything that an open package is held against, and against what the sender
 * wrote on the outside.
 *
 * @throws Refusal `manifest`, `consent`, naming the part
 */
export async function checkSealed(
  sealed: SealedManifest,
  keys: readonly PrivateKey[],
  bytesOf: (sha256: string) => Promise<Uint8Array>,
  now: number,
): Promise<ConsentDocument | undefined> {
  const { manifest, read } = await unseal(sealed, keys, bytesOf).catch((error: unknown) => {
    if (error instanceof Refusal) throw new Refusal(error.word, { ...partOf(error), finding: 'manifest' })
    throw new Refusal('manifest', { part: sealed.parts[0]?.path ?? '', finding: 'seal' })
  })
  const inside = manifest.parts.reduce((sum, part) => sum + (part.resources ?? 0), 0)
  const same =
    manifest.study.id === sealed.study.id &&
    manifest.participant === sealed.participant &&
    manifest.consent.id === sealed.consent.id &&
    manifest.withdrawalCommitment === sealed.withdrawalCommitment &&
    inside === sealed.resources &&
    sealed.parts.length === 1 + new Set(manifest.parts.map((part) => part.sha256)).size
  if (!same) throw new Refusal('manifest', { finding: 'seal-differs' })
  const consent = manifest.parts.find(({ path }) => path === 'consent.json')
  if (!consent || consent.size > maxConsentBytes)
    throw new Refusal('consent', { part: 'consent.json', finding: 'consent-altered' })
  let agreed: ConsentDocument | undefined
  let limits: Limits | undefined
  for (const part of [consent, ...manifest.parts.filter((one) => one !== consent)]) {
    const bytes = await read(part.path).catch(() => {
      throw new Refusal('manifest', { part: part.path, finding: 'seal' })
    })
    const finding = inspectBytes(bytes, kindOf(part), limits)
    if (finding === 'outside') throw new Refusal('consent', { part: part.path, finding: 'consent-narrow' })
    if (bytes.length !== part.size || finding !== 'ok')
      throw new Refusal('manifest', { part: part.path, finding: 'content' })
    // Before anything else of a participant is looked at.
    if (part !== consent) continue
    agreed = checkConsent(bytes, manifest, now)
    limits = limitsOf(agreed)
  }
  return agreed
}

const partOf = ({ part }: Refusal): { readonly part?: string } => (part === undefined ? {} : { part })
