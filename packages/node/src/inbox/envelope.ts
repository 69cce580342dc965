import { createHash } from 'node:crypto'
import { isSealedManifest, type Manifest, type SealedManifest } from '@s4s/core'
import { parseJsonBytes } from '../json.js'
import { readManifest } from './manifest.js'
import { Refusal } from './refusal.js'

/** What an inbox needs to know of a package to take it in, sealed or not. */
export interface Envelope {
  readonly digest: string
  /** The study's id. */
  readonly study: string
  readonly participant: string
  /** The consent's id. */
  readonly consent: string
  readonly withdrawalCommitment: string
  readonly parts: readonly { readonly path: string; readonly size: number; readonly sha256: string }[]
  /** As the sender says; of an open package the inbox counts them. */
  readonly resources: number
  /** What is inside, unless it is sealed. */
  readonly manifest?: Manifest
  readonly sealed?: SealedManifest
}

const maxParts = 50_000

/**
 * Reads the manifest that a sender opens an upload with.
 *
 * @throws Refusal `manifest`, `consent`
 */
export function readEnvelope(bytes: Uint8Array): Envelope {
  const value = parseJsonBytes(bytes)
  if (isSealedManifest(value)) return sealedEnvelope(value)
  const manifest = readManifest(bytes)
  return {
    digest: createHash('sha256').update(bytes).digest('hex'),
    study: manifest.study.id,
    participant: manifest.participant,
    consent: manifest.consent.id,
    withdrawalCommitment: manifest.withdrawalCommitment,
    parts: manifest.parts,
    resources: manifest.parts.reduce((sum, part) => sum + (part.resources ?? 0), 0),
    manifest,
  }
}

function sealedEnvelope(sealed: SealedManifest): Envelope {
  const { digest, study, participant, consent, withdrawalCommitment, parts, resources } = sealed
  const texts = [study.id, participant, consent.id]
  const good =
    parts.length >= 2 &&
    parts.length <= maxParts &&
    new Set(parts.map((part) => part.sha256)).size === parts.length &&
    sealed.key.length <= 8192 &&
    texts.every((text) => text.length <= 200)
  if (!good) throw new Refusal('manifest')
  return {
    digest,
    study: study.id,
    participant,
    consent: consent.id,
    withdrawalCommitment,
    parts,
    resources,
    sealed,
  }
}

/** Bytes of all parts. */
export const sizeOf = ({ parts }: Pick<Envelope, 'parts'>): number =>
  parts.reduce((sum, part) => sum + part.size, 0)
