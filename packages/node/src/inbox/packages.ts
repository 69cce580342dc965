import { randomBytes, randomUUID } from 'node:crypto'
import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type Receipt, readReceipt } from '@s4s/core'
import { codeOf, syncFolder, writeDurably } from '../durable.js'
import { isObject, parseJsonBytes } from '../json.js'
import type { Clearing } from './clearing.js'
import { exists, linkOrCopy, names, type Places, readIfThere } from './disk.js'
import { type Envelope, sizeOf } from './envelope.js'
import type { Shelf } from './shelf.js'
import type { Home } from './stored.js'

/** Whose a package is, and who may withdraw it. */
export interface Owner {
  /** The consent's id. */
  readonly consent: string
  readonly participant: string
  readonly withdrawalCommitment: string
}

/** Packages that are stored. Each moves in whole, in one step. */
export interface Packages {
  /** Moves an upload in that has everything; the receipt of another process, when that was first. */
  moveIn(envelope: Envelope): Promise<Receipt>
  receipt(study: string, digest: string): Promise<Receipt | undefined>
  owner(study: string, digest: string): Promise<Owner | undefined>
  digests(study: string): Promise<string[]>
  /** The packages under a consent. */
  under(study: string, owner: Omit<Owner, 'participant'>): Promise<string[]>
  has(study: string, digest: string): Promise<boolean>
  home(study: string, digest: string): Home
  remove(study: string, digest: string): Promise<void>
  /** Bytes of everything that is stored, with the manifests. */
  bytes(): Promise<number>
}

export interface PackagesOptions {
  readonly places: Places
  readonly clearing: Clearing
  readonly shelf: Shelf
  readonly sign: <Claims extends object>(study: string, claims: Claims) => Promise<Claims>
}

export function openPackages({ places, clearing, shelf, sign }: PackagesOptions): Packages {
  // A stored package never changes, so its receipt and its owner need be read only once.
  const sizes = new Map<string, number>()
  const owners = new Map<string, Owner>()

  const packages: Packages = {
    async moveIn(envelope: Envelope): Promise<Receipt> {
      const { digest, study } = envelope
      const made = join(places.staging(digest), `build-${randomBytes(6).toString('hex')}`)
      const receipt = await sign(study, receiptFor(envelope))
      try {
        await arrange(shelf, envelope, places.staging(digest), made, receipt)
        const target = places.home(study, digest)
        await mkdir(dirname(target), { recursive: true, mode: 0o700 })
        // The one step that makes it stored.
        await rename(made, target)
        await syncFolder(dirname(target))
        return receipt
      } catch (error) {
        await rm(made, { recursive: true, force: true }).catch(() => {})
        // Another process was first: its receipt is the receipt.
        const first = ['ENOTEMPTY', 'EEXIST'].includes(codeOf(error) ?? '')
        const existing = first ? await packages.receipt(study, digest) : undefined
        if (existing) return existing
        throw error
      }
    },

    async receipt(study: string, digest: string): Promise<Receipt | undefined> {
      const bytes = await readIfThere(join(places.home(study, digest), 'receipt.json'))
      return bytes && readReceipt(parseJsonBytes(bytes))
    },

    owner: (study: string, digest: string): Promise<Owner | undefined> => ownerIn(places.home(study, digest)),

    async under(study: string, { consent, withdrawalCommitment }): Promise<string[]> {
      const found: string[] = []
      for (const digest of await packages.digests(study)) {
        const owner = owners.get(digest) ?? (await packages.owner(study, digest))
        if (owner) owners.set(digest, owner)
        if (owner?.consent === consent && owner.withdrawalCommitment === withdrawalCommitment)
          found.push(digest)
      }
      return found
    },

    digests: (study: string): Promise<string[]> => names(places.packages(study)),
    home: shelf.home,
    has: (study: string, digest: string): Promise<boolean> => exists(places.home(study, digest)),

    async remove(study: string, digest: string): Promise<void> {
      await shelf.remove(study, digest)
      await clearing.remove(places.home(study, digest))
      await syncFolder(places.packages(study))
      owners.delete(digest)
      sizes.delete(digest)
    },

    async bytes(): Promise<number> {
      let bytes = 0
      for (const study of await names(places.studies)) {
        for (const digest of await packages.digests(study)) {
          const read = async (): Promise<number> => {
            const parts = (await packages.receipt(study, digest).catch(() => undefined))?.bytes ?? 0
            const file = join(places.home(study, digest), 'manifest.json')
            return parts + ((await stat(file).catch(() => undefined))?.size ?? 0)
          }
          const size = sizes.get(digest) ?? (await read())
          sizes.set(digest, size)
          bytes += size
        }
      }
      return bytes
    },
  }
  return Object.freeze(packages)
}

/** What a withdrawal needs is read without the rest: a package that the disk has damaged must be removable too. */
export async function ownerIn(folder: string): Promise<Owner | undefined> {
  const manifest = parseJsonBytes((await readIfThere(join(folder, 'manifest.json'))) ?? new Uint8Array())
  if (!isObject(manifest) || !isObject(manifest.consent)) return undefined
  const { participant, withdrawalCommitment, consent } = manifest
  if (typeof participant !== 'string' || typeof consent.id !== 'string') return undefined
  if (typeof withdrawalCommitment !== 'string' || !/^[0-9a-f]{64}$/.test(withdrawalCommitment))
    return undefined
  return { consent: consent.id, participant, withdrawalCommitment }
}

function receiptFor(envelope: Envelope): Receipt {
  const { digest, study, participant, resources, parts } = envelope
  return {
    id: `receipt-${randomUUID()}`,
    study,
    participant,
    digest,
    receivedAt: new Date().toISOString(),
    parts: parts.length,
    resources,
    bytes: sizeOf(envelope),
  }
}

// Every name of it is on the disk before it is anything.
async function arrange(
  shelf: Shelf,
  envelope: Envelope,
  staging: string,
  made: string,
  receipt: Receipt,
): Promise<void> {
  await mkdir(made, { recursive: true, mode: 0o700 })
  await shelf.bring(envelope, staging, made)
  await linkOrCopy(join(staging, 'manifest.json'), join(made, 'manifest.json'))
  await writeDurably(join(made, 'receipt.json'), `${JSON.stringify(receipt)}\n`)
}
