import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { RemovedPackage, WithdrawalReceipt } from '@s4s/core'
import { isNoSpace, writeDurably } from '../durable.js'
import { parseJsonBytes } from '../json.js'
import { exists, names, type Places, readIfThere, sha256 } from './disk.js'
import { readEnvelope } from './envelope.js'
import type { Home } from './stored.js'

/** A file that was removed: what it was called and how large it was, and nothing that was in it. */
export interface RemovedPart {
  /** Hexadecimal. */
  readonly sha256: string
  readonly size: number
}

/** What is kept of a package after its consent was withdrawn. */
export interface Tombstone {
  readonly format: 's4s-tombstone/1'
  readonly digest: string
  readonly study: string
  readonly participant: string
  readonly consent: string
  readonly withdrawalCommitment: string
  readonly receivedAt: string
  readonly resources: number
  readonly bytes: number
  /** What was removed; empty while the package is kept. */
  readonly parts: readonly RemovedPart[]
  readonly receipt: WithdrawalReceipt
}

/** What stands for packages that are gone or may grow no more. */
export interface Tombstones {
  /** Writes what keeps a package from coming back. False when there was no room for the list of its parts. */
  put(stone: Tombstone): Promise<boolean>
  find(study: string, digest: string): Promise<Tombstone | undefined>
  all(study: string): Promise<Tombstone[]>
  digests(study: string): Promise<string[]>
  has(study: string, digest: string): Promise<boolean>
  /** True when nothing more is taken under a consent. */
  marks(study: string, consent: string, withdrawalCommitment: string): Promise<boolean>
}

export function openTombstones(places: Places): Tombstones {
  const tombstones: Tombstones = {
    async put(stone: Tombstone): Promise<boolean> {
      const { study, digest, consent, withdrawalCommitment } = stone
      const write = (said: Tombstone): Promise<void> =>
        writeDurably(places.grave(study, digest), `${JSON.stringify(said)}\n`)
      await mkdir(places.graves(study), { recursive: true, mode: 0o700 })
      await writeDurably(places.consentMark(study, consent, withdrawalCommitment), '')
      try {
        await write(stone)
        return true
      } catch (error) {
        if (!isNoSpace(error) || stone.parts.length === 0) throw error
        await write({ ...stone, parts: [] })
        return false
      }
    },

    async find(study: string, digest: string): Promise<Tombstone | undefined> {
      const bytes = await readIfThere(places.grave(study, digest))
      return bytes && (parseJsonBytes(bytes) as Tombstone)
    },

    async all(study: string): Promise<Tombstone[]> {
      const found: Tombstone[] = []
      for (const digest of await tombstones.digests(study)) {
        const stone = await tombstones.find(study, digest)
        if (stone) found.push(stone)
      }
      return found
    },

    async digests(study: string): Promise<string[]> {
      const files = await names(places.graves(study))
      return files.flatMap((file) => /^([0-9a-f]{64})\.json$/.exec(file)?.slice(1) ?? [])
    },

    has: (study: string, digest: string): Promise<boolean> => exists(places.grave(study, digest)),
    marks: (study: string, consent: string, withdrawalCommitment: string): Promise<boolean> =>
      exists(places.consentMark(study, consent, withdrawalCommitment)),
  }
  return Object.freeze(tombstones)
}

/** The files of a package as it was sent; of one that the disk has damaged, as they are. */
export async function partsIn(home: Home): Promise<readonly RemovedPart[]> {
  const manifest = await readIfThere(join(home.folder, 'manifest.json'))
  try {
    return readEnvelope(manifest ?? new Uint8Array()).parts.map(({ sha256, size }) => ({ sha256, size }))
  } catch {
    return home.files()
  }
}

/** What a receipt says of a package that was removed. */
export function removedOf(digest: string, parts: readonly RemovedPart[]): RemovedPackage {
  const lines = parts.map(({ sha256: part, size }) => `${part} ${size}\n`).sort()
  return {
    digest,
    parts: parts.length,
    bytes: parts.reduce((sum, { size }) => sum + size, 0),
    partsDigest: sha256(lines.join('')),
  }
}

/** What a tombstone says was removed, as its receipt has it. */
export function removedIn({ digest, parts, receipt }: Tombstone): RemovedPackage {
  return receipt.removed?.find((one) => one.digest === digest) ?? removedOf(digest, parts)
}
