import { randomBytes } from 'node:crypto'
import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf, syncFolder, writeDurably } from '../durable.js'
import { isObject, parseJsonBytes } from '../json.js'
import type { Clearing } from './clearing.js'
import { exists, linkOrCopy, names, type Places, readIfThere } from './disk.js'
import type { Envelope } from './envelope.js'
import { type Owner, ownerIn } from './packages.js'
import type { Finding, Refusal } from './refusal.js'

/** A package that arrived whole and is none, as the study team sees it. Nothing of the record is in it. */
export interface QuarantineRow {
  readonly digest: string
  /** Whose the sender says it is. */
  readonly participant: string
  /** ISO 8601. */
  readonly at: string
  readonly reason: Finding
  /** Where it was found. */
  readonly part?: string
  /** What is kept of it; 0 when its room was needed. */
  readonly bytes: number
  /** When it is cleared. ISO 8601. */
  readonly expiresAt: string
}

/** Packages that failed verification, set aside with the reason. Nothing reads them as packages. */
export interface Quarantine {
  /** Sets an upload aside: its manifest, its consent and the reason. Nothing of the record is kept. */
  setAside(envelope: Envelope, refusal: Refusal): Promise<void>
  /** What was set aside, newest first. */
  all(study: string): Promise<QuarantineRow[]>
  owner(study: string, digest: string): Promise<Owner | undefined>
  remove(study: string, digest: string): Promise<void>
  removeUnder(study: string, owner: Omit<Owner, 'participant'>): Promise<void>
  /** Clears what has been here long enough. */
  sweep(): Promise<void>
  bytes(): Promise<number>
  /** Gives room up, oldest first, and keeps the reasons. Nothing when that would not be enough. */
  makeRoom(bytes: number): Promise<boolean>
}

export interface QuarantineOptions {
  readonly places: Places
  readonly clearing: Clearing
  /** How long what was set aside is kept, in milliseconds. */
  readonly keepFor: number
}

// Whoever has the study key can send what is none without end; the oldest go first.
const mostOfAStudy = 1000

const reasonOf = (folder: string): string => join(folder, 'reason.json')

const ownerOf = (folder: string): string => join(folder, 'owner.json')

export function openQuarantine({ places, clearing, keepFor }: QuarantineOptions): Quarantine {
  const quarantine: Quarantine = {
    async setAside(envelope: Envelope, refusal: Refusal): Promise<void> {
      const { study, digest, participant } = envelope
      const staging = places.staging(digest)
      const made = join(staging, `aside-${randomBytes(6).toString('hex')}`)
      try {
        await mkdir(join(made, 'parts'), { recursive: true, mode: 0o700 })
        await linkOrCopy(join(staging, 'manifest.json'), join(made, 'manifest.json'))
        // Who may withdraw is known also when the manifest has given its room up.
        const { consent, withdrawalCommitment } = envelope
        const owner: Owner = { consent, participant, withdrawalCommitment }
        await writeDurably(ownerOf(made), JSON.stringify(owner))
        let bytes = (await stat(join(made, 'manifest.json'))).size
        for (const { sha256, size } of keptOf(envelope)) {
          const from = join(staging, 'parts', sha256)
          if ((await exists(join(made, 'parts', sha256))) || !(await exists(from))) continue
          await linkOrCopy(from, join(made, 'parts', sha256))
          bytes += size
        }
        const at = Date.now()
        const part = refusal.part === undefined ? {} : { part: nameable(refusal.part) }
        const row: QuarantineRow = {
          digest,
          participant,
          at: new Date(at).toISOString(),
          reason: refusal.finding ?? 'manifest',
          ...part,
          bytes,
          expiresAt: new Date(at + keepFor).toISOString(),
        }
        await writeReason(made, row)
        await moveTo(made, study, digest)
      } catch (error) {
        await rm(made, { recursive: true, force: true }).catch(() => {})
        throw error
      }
      const rows = await quarantine.all(study)
      for (const { digest: oldest } of rows.slice(mostOfAStudy)) await quarantine.remove(study, oldest)
    },

    async all(study: string): Promise<QuarantineRow[]> {
      const rows: QuarantineRow[] = []
      for (const digest of await names(places.quarantine(study))) {
        const row = await readReason(places.aside(study, digest))
        if (row) rows.push(row)
      }
      return rows.sort((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0))
    },

    async owner(study: string, digest: string): Promise<Owner | undefined> {
      const folder = places.aside(study, digest)
      const bytes = await readIfThere(ownerOf(folder))
      return bytes ? (parseJsonBytes(bytes) as Owner | undefined) : ownerIn(folder)
    },

    remove: (study: string, digest: string): Promise<void> => clearing.remove(places.aside(study, digest)),

    async removeUnder(study: string, { consent, withdrawalCommitment }): Promise<void> {
      for (const digest of await names(places.quarantine(study))) {
        const owner = await quarantine.owner(study, digest)
        if (owner?.consent === consent && owner.withdrawalCommitment === withdrawalCommitment)
          await quarantine.remove(study, digest)
      }
    },

    async sweep(): Promise<void> {
      const now = new Date().toISOString()
      for (const study of await names(places.quarantines)) {
        for (const digest of await names(places.quarantine(study))) {
          // What has no reason that can be read is nothing that anyone could use.
          const row = await readReason(places.aside(study, digest))
          if (!row || row.expiresAt <= now) await quarantine.remove(study, digest)
        }
      }
    },

    async bytes(): Promise<number> {
      return (await everything()).reduce((sum, { row }) => sum + row.bytes, 0)
    },

    async makeRoom(wanted: number): Promise<boolean> {
      if (wanted <= 0) return true
      const rows = (await everything()).filter(({ row }) => row.bytes > 0)
      if (rows.reduce((sum, { row }) => sum + row.bytes, 0) < wanted) return false
      let freed = 0
      for (const { study, row } of rows.sort((a, b) => (a.row.at < b.row.at ? -1 : 1))) {
        if (freed >= wanted) break
        const folder = places.aside(study, row.digest)
        await clearing.remove(join(folder, 'parts'))
        // One of an earlier version has nothing else that says who may withdraw.
        if (await exists(ownerOf(folder))) await clearing.remove(join(folder, 'manifest.json'))
        await writeReason(folder, { ...row, bytes: 0 })
        freed += row.bytes
      }
      return true
    },
  }

  const everything = async (): Promise<{ study: string; row: QuarantineRow }[]> => {
    const found: { study: string; row: QuarantineRow }[] = []
    for (const study of await names(places.quarantines)) {
      for (const row of await quarantine.all(study)) found.push({ study, row })
    }
    return found
  }

  const moveTo = async (made: string, study: string, digest: string): Promise<void> => {
    await mkdir(places.quarantine(study), { recursive: true, mode: 0o700 })
    const target = places.aside(study, digest)
    for (let attempt = 0; ; attempt++) {
      await quarantine.remove(study, digest)
      try {
        await rename(made, target)
        break
      } catch (error) {
        // The same package was set aside by another process at the same time.
        if (attempt >= 5 || !['ENOTEMPTY', 'EEXIST'].includes(codeOf(error) ?? '')) throw error
      }
    }
    await syncFolder(places.quarantine(study))
  }

  return Object.freeze(quarantine)
}

// Reading ends at the first fault, so nobody knows whether the consent covers the rest. The sender still has all of it.
const keptOf = ({ manifest, parts }: Envelope): Envelope['parts'] =>
  manifest ? parts.filter(({ path }) => path === 'consent.json') : []

const resourceFile = /^(records\/\d{2,4}\/)?([A-Z][A-Za-z]{0,63}-\d{4,8}\.ndjson|[a-z]+\.(json|ndjson))$/

// A file of a participant may have any name, also theirs.
const nameable = (path: string): string =>
  resourceFile.test(path) ||
  /^records\/\d{2,4}\/attachments\/[0-9a-f]{64}(\.[a-z0-9]{1,8})?$/.test(path) ||
  /^sealed\/\d{4,8}\.jwe$/.test(path)
    ? path
    : 'attachments'

const writeReason = (folder: string, row: QuarantineRow): Promise<void> =>
  writeDurably(reasonOf(folder), `${JSON.stringify({ format: 's4s-quarantine/1', ...row })}\n`)

async function readReason(folder: string): Promise<QuarantineRow | undefined> {
  const value = parseJsonBytes((await readIfThere(reasonOf(folder))) ?? new Uint8Array())
  if (!isObject(value) || value.format !== 's4s-quarantine/1') return undefined
  const { format: _, ...row } = value
  return Object.freeze(row) as unknown as QuarantineRow
}
