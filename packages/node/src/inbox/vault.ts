import { join } from 'node:path'
import type { PrivateKey, Receipt, WithdrawalNotice, WithdrawalReceipt } from '@s4s/core'
import { maxConsentBytes } from './consent.js'
import { sha256 } from './disk.js'
import type { Duplicates } from './duplicates.js'
import { type Envelope, readEnvelope, sizeOf } from './envelope.js'
import { type HoldingsOptions, openHoldings } from './holdings.js'
import type { QuarantineRow } from './quarantine.js'
import { Refusal } from './refusal.js'
import type { ExpectedPart } from './resumable.js'
import type { PackageRow, WithdrawalRow } from './rows.js'
import type { StoredPackage } from './stored.js'
import { checkParts, type Fault, faultsOf, type Verification } from './verification.js'
import { type Deletion, deletionIn } from './withdrawals.js'

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

export interface VaultOptions extends HoldingsOptions {
  readonly maxBytes: number
  readonly quotaBytes: number
  /** Most uploads of one study that are open. */
  readonly maxOpen: number
}

export function openVault(options: VaultOptions): Vault {
  const { maxBytes, quotaBytes, maxOpen, openKeys, nameOf } = options
  const holdings = openHoldings(options)
  const { places, lock, turn, clearing, staging, quarantine, packages } = holdings
  const { tombstones, withdrawals, lists, opener } = holdings

  let beginning: Promise<void> | undefined
  /** What a process that was killed left undone is done before anything else. */
  const ready = (): Promise<void> => {
    beginning ??= holdings.begin().catch((error: unknown) => {
      beginning = undefined
      throw error
    })
    return beginning
  }

  const used = async (except: string): Promise<number> =>
    (await packages.bytes()) + (await quarantine.bytes()) + (await staging.bytes(except))

  /**
   * An upload that nobody went on with for an hour gives its place to one that wants it. Those that are opened in the
   * same moment may be a few too many: nobody waits for anybody over it.
   */
  const checkPlace = async (study: string, digest: string): Promise<void> => {
    const taken = (): Promise<number> => staging.count(study, digest)
    if ((await taken()) < maxOpen) return
    await staging.sweep(3_600_000)
    if ((await taken()) >= maxOpen) throw new Refusal('busy')
  }

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
      const wanted = size + manifestBytes.length
      const stage = (): Promise<Opened> =>
        staging.orDiscard(envelope, async () => {
          await checkPlace(study, digest)
          // What was set aside keeps no participant's package out.
          if (limited && !(await quarantine.makeRoom((await used(digest)) + wanted - quotaBytes)))
            throw new Refusal('full')
          await staging.begin(envelope, manifestBytes)
          // Withdrawn since it was asked above: whoever withdrew may have looked before this was there.
          if (await withdrawals.covers(envelope)) throw new Refusal('withdrawn')
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
      const envelope = await staging.get(study, digest).catch(async (error: unknown) => {
        throw (await tombstones.has(study, digest)) ? new Refusal('withdrawn') : error
      })
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
          await lists.changed(study, digest)
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
          return of(await faultsOf(packages.home(study, digest), digest, openKeys(study)))
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
