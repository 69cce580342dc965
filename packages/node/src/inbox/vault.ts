import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Lock, PrivateKey, Receipt, WithdrawalNotice, WithdrawalReceipt } from '@s4s/core'
import { fileLock } from '../file-lock.js'
import { openClearing } from './clearing.js'
import { maxConsentBytes } from './consent.js'
import { keyIn, placesIn, sha256 } from './disk.js'
import type { Duplicates } from './duplicates.js'
import { type Envelope, readEnvelope, sizeOf } from './envelope.js'
import { folderLists, openerIn } from './lists.js'
import { openPackages } from './packages.js'
import type { Naming } from './pseudonyms.js'
import { openQuarantine, type QuarantineRow } from './quarantine.js'
import { type Finding, Refusal } from './refusal.js'
import type { ExpectedPart } from './resumable.js'
import { openRows, type PackageRow, type WithdrawalRow } from './rows.js'
import type { SqlIndex } from './sql-index.js'
import { sqlLists } from './sql-lists.js'
import { openStaging } from './staging.js'
import type { StoredPackage } from './stored.js'
import { openTombstones } from './tombstones.js'
import { checkParts, type Fault, faultsOf, type Verification } from './verification.js'
import { type Deletion, deletionIn, openWithdrawals } from './withdrawals.js'

/** What an open upload still lacks, or the receipt when nothing is left to do. */
export type Opened =
  | {
      readonly kind: 'open'
      readonly digest: string
      readonly missing: readonly string[]
      readonly sealed?: string
    }
  | { readonly kind: 'stored'; readonly receipt: Receipt }

/** The packages on the disk: staged by digest while they arrive, then moved in whole, in one step. */
export interface Vault {
  open(study: string, manifestBytes: Uint8Array): Promise<Opened>
  put(study: string, digest: string, sha256: string, body: ReadableStream<Uint8Array> | null): Promise<void>
  complete(study: string, digest: string): Promise<{ readonly created: boolean; readonly receipt: Receipt }>
  withdraw(study: string, notice: WithdrawalNotice): Promise<WithdrawalReceipt>
  rows(study: string): Promise<PackageRow[]>
  withdrawals(study: string): Promise<WithdrawalRow[]>
  duplicates(study: string): Promise<Duplicates>
  reindex(): Promise<void>
  /** What proves that a package was removed. */
  deletion(study: string, digest: string): Promise<Deletion | undefined>
  quarantined(study: string): Promise<QuarantineRow[]>
  verify(studies: readonly string[], digest: string): Promise<Verification>
  /** What an open upload has of a part. @throws Refusal `unknown`, `digest` */
  expected(study: string, digest: string, sha256: string): Promise<ExpectedPart>
  /** The packages that are held and may be used, oldest first. */
  stored(study: string, keys?: readonly PrivateKey[]): AsyncIterable<StoredPackage>
}

export interface VaultOptions {
  readonly folder: string
  readonly maxBytes: number
  readonly quotaBytes: number
  /** How long what failed verification is kept, in milliseconds. */
  readonly quarantineFor: number
  readonly onQuarantined: (study: string, digest: string, finding: Finding) => Promise<void>
  /** Signs what a study acknowledges; without a key of the study it stays as it is. */
  readonly sign: <Claims extends object>(study: string, claims: Claims) => Promise<Claims>
  /** What a study team sees in place of a participant's name. */
  readonly nameOf: Naming
  readonly studies: readonly string[]
  /** Where the lists come from; without it from the folder. */
  readonly index?: SqlIndex
  /** Told when the index falls behind the folder. */
  readonly onBehind: () => void
  /** Keys that open the sealed packages of a study. */
  readonly openKeys: (study: string) => readonly PrivateKey[]
}

export function openVault(options: VaultOptions): Vault {
  const { folder, maxBytes, quotaBytes, quarantineFor, sign, openKeys, nameOf } = options
  const places = placesIn(folder)
  const lock: Lock = fileLock(join(folder, 'locks'))
  // Whoever completes and whoever withdraws under one consent take turns, also over processes.
  const turn = <T>(study: string, consent: string, work: () => Promise<T>): Promise<T> =>
    lock(`${study}/${consent}`, work)
  const clearing = openClearing(folder)
  const quarantine = openQuarantine({ places, clearing, keepFor: quarantineFor })
  const staging = openStaging({
    places,
    clearing,
    async setAside(envelope: Envelope, refusal: Refusal) {
      await quarantine.setAside(envelope, refusal)
      await options.onQuarantined(envelope.study, envelope.digest, refusal.finding ?? 'manifest')
    },
  })
  const packages = openPackages({ places, clearing, sign })
  const tombstones = openTombstones(places)
  const rows = openRows({ places, packages, tombstones, openKeys, nameOf })
  const opener = openerIn(places, openKeys)
  const inFolder = folderLists(rows, opener)
  const lists = options.index
    ? sqlLists({
        ...{ index: options.index, rows, folder: inFolder, opener },
        ...{ studies: options.studies, onBehind: options.onBehind },
        namingOf: (study) => sha256(nameOf(study, '')),
        markKey: () => lock('marks', () => keyIn(places.markKey)),
        async withPackage<T>(study: string, digest: string, work: () => Promise<T>): Promise<T> {
          const owner = (await packages.owner(study, digest)) ?? (await tombstones.find(study, digest))
          return owner ? turn(study, owner.consent, work) : work()
        },
      })
    : inFolder
  const { changed } = lists
  const withdrawals = openWithdrawals({
    ...{ places, tombstones, packages, staging, quarantine, turn, changed, sign },
  })

  let beginning: Promise<void> | undefined
  /** What a process that was killed left undone is done before anything else. */
  const ready = (): Promise<void> => {
    beginning ??= begin().catch((error: unknown) => {
      beginning = undefined
      throw error
    })
    return beginning
  }

  const begin = async (): Promise<void> => {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await clearing.finish()
    await staging.sweep()
    await quarantine.sweep()
    await withdrawals.finish()
    lists.begin()
  }

  const used = async (except: string): Promise<number> =>
    (await packages.bytes()) + (await quarantine.bytes()) + (await staging.bytes(except))

  /** A consent to share once covers one package: another under it is refused, and the same again is not another. */
  const checkOnlyOne = async (envelope: Envelope): Promise<void> => {
    const given = await packages.under(envelope.study, envelope)
    if (given.some((digest) => digest !== envelope.digest))
      throw new Refusal('consent', { part: 'consent.json', finding: 'consent-used' })
  }

  const vault: Vault = {
    async open(study: string, manifestBytes: Uint8Array): Promise<Opened> {
      const envelope = readEnvelope(manifestBytes)
      const { digest } = envelope
      if (envelope.study !== study) throw new Refusal('key')
      if (await withdrawals.covers(envelope)) {
        await staging.discard(digest)
        throw new Refusal('withdrawn')
      }
      const receipt = await packages.receipt(study, digest)
      if (receipt) {
        await staging.discard(digest)
        return { kind: 'stored', receipt }
      }
      const size = sizeOf(envelope)
      if (!(size <= maxBytes)) throw new Refusal('too-large')
      if (envelope.parts.some(({ path, size: one }) => path === 'consent.json' && one > maxConsentBytes)) {
        throw new Refusal('consent', { part: 'consent.json' })
      }
      await staging.sweep()
      const limited = quotaBytes < Number.POSITIVE_INFINITY
      const stage = (): Promise<Opened> =>
        staging.orDiscard(envelope, async () => {
          // What was set aside keeps no participant's package out.
          if (limited && !(await quarantine.makeRoom((await used(digest)) + size - quotaBytes)))
            throw new Refusal('full')
          await staging.begin(envelope, manifestBytes)
          const missing = await staging.missing(envelope)
          const sealed = envelope.sealed ? { sealed: sha256(manifestBytes) } : {}
          return { kind: 'open', digest, missing, ...sealed }
        })
      // One at a time where room is promised, so that it is not promised twice.
      return limited ? lock('quota', stage) : stage()
    },

    put: staging.put,
    expected: staging.expected,

    async complete(
      study: string,
      digest: string,
    ): Promise<{ readonly created: boolean; readonly receipt: Receipt }> {
      if (await tombstones.has(study, digest)) throw new Refusal('withdrawn')
      const before = await packages.receipt(study, digest)
      if (before) return { created: false, receipt: before }
      const envelope = await staging.get(study, digest)
      return staging.orDiscard(envelope, () =>
        turn(study, envelope.consent, async () => {
          const meanwhile = await packages.receipt(study, digest)
          if (meanwhile) return { created: false, receipt: meanwhile }
          if (await withdrawals.covers(envelope)) throw new Refusal('withdrawn')
          const missing = await staging.missing(envelope)
          if (missing.length > 0) throw new Refusal('incomplete', { missing })
          const agreed = await checkParts(envelope, join(places.staging(digest), 'parts'), openKeys(study))
          if (agreed?.sharing === 'once') await checkOnlyOne(envelope)
          const receipt = await packages.moveIn(envelope)
          await changed(study, digest)
          await staging.discard(digest).catch(() => {})
          await quarantine.remove(study, digest).catch(() => {})
          return { created: true, receipt }
        }),
      )
    },

    withdraw: withdrawals.withdraw,

    async deletion(study: string, digest: string): Promise<Deletion | undefined> {
      const found = deletionIn(await tombstones.find(study, digest))
      return found && Object.freeze({ ...found, participant: nameOf(study, found.participant) })
    },

    async quarantined(study: string): Promise<QuarantineRow[]> {
      await quarantine.sweep()
      const rows = await quarantine.all(study)
      return rows.map((row) => Object.freeze({ ...row, participant: nameOf(study, row.participant) }))
    },

    rows: lists.packages,
    withdrawals: lists.withdrawals,
    duplicates: lists.duplicates,
    reindex: lists.reindex,

    async *stored(study: string, keys?: readonly PrivateKey[]): AsyncGenerator<StoredPackage> {
      await ready()
      const kept = (await vault.rows(study)).filter(({ deleted }) => deleted !== true)
      for (const row of kept.reverse())
        if (await packages.has(study, row.digest)) yield await opener(study, row, keys)
    },

    async verify(studies: readonly string[], digest: string): Promise<Verification> {
      const of = (faults: readonly Fault[]): Verification =>
        Object.freeze({ ok: faults.length === 0, faults: Object.freeze(faults) })
      if (!/^[0-9a-f]{64}$/.test(digest)) return of([{ path: '', fault: 'unknown' }])
      for (const study of studies) {
        if (await packages.has(study, digest))
          return of(await faultsOf(places.home(study, digest), digest, openKeys(study)))
      }
      return of([{ path: '', fault: 'unknown' }])
    },
  }

  const begun = <A extends unknown[], T>(work: (...given: A) => Promise<T>) => {
    return async (...given: A): Promise<T> => {
      await ready()
      return work(...given)
    }
  }
  return Object.freeze({
    open: begun(vault.open),
    put: begun(vault.put),
    expected: begun(vault.expected),
    complete: begun(vault.complete),
    // Whoever withdraws is heard, also when nothing more fits on the disk.
    withdraw: begun((study, notice) => clearing.withReserve(() => vault.withdraw(study, notice))),
    rows: begun(vault.rows),
    withdrawals: begun(vault.withdrawals),
    duplicates: begun(vault.duplicates),
    reindex: begun(vault.reindex),
    deletion: begun(vault.deletion),
    quarantined: begun(vault.quarantined),
    verify: begun(vault.verify),
    stored: vault.stored,
  } satisfies Vault)
}
