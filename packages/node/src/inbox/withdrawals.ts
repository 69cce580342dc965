import { randomUUID, timingSafeEqual } from 'node:crypto'
import type { WithdrawalNotice, WithdrawalReceipt } from '@s4s/core'
import { names, type Places, sha256 } from './disk.js'
import type { Envelope } from './envelope.js'
import type { Owner, Packages } from './packages.js'
import type { Quarantine } from './quarantine.js'
import { Refusal } from './refusal.js'
import type { Staging } from './staging.js'
import {
  partsIn,
  type RemovedPart,
  removedIn,
  removedOf,
  type Tombstone,
  type Tombstones,
} from './tombstones.js'

/** Withdrawals: who may, what goes, and what keeps it from coming back. */
export interface Withdrawals {
  /**
   * Ends a consent: it covers every package that was given under it, and what of one is still on its way.
   *
   * @throws Refusal `unknown`, `withdrawal-key`
   */
  withdraw(study: string, notice: WithdrawalNotice): Promise<WithdrawalReceipt>
  /** True when nothing is taken any more, of this package or under this consent. */
  covers(envelope: Pick<Envelope, 'study' | 'digest' | 'consent' | 'withdrawalCommitment'>): Promise<boolean>
  /** Removes what a process that was killed had yet to remove. */
  finish(): Promise<void>
}

export interface WithdrawalsOptions {
  readonly places: Places
  readonly tombstones: Tombstones
  readonly packages: Packages
  readonly staging: Staging
  readonly quarantine: Quarantine
  readonly turn: <T>(study: string, consent: string, work: () => Promise<T>) => Promise<T>
  /** Told of every package that a withdrawal changed. */
  readonly changed: (study: string, digest: string) => Promise<void>
  readonly sign: <Claims extends object>(study: string, claims: Claims) => Promise<Claims>
}

export function openWithdrawals(options: WithdrawalsOptions): Withdrawals {
  const { places, tombstones, packages, staging, quarantine, turn, changed, sign } = options

  // Of a sealed package the digest is the sender's word, so what lies under one need not all be of one owner.
  const ownersOf = async (study: string, digest: string): Promise<Owner[]> => {
    const found = [
      await staging.owner(study, digest),
      await packages.owner(study, digest),
      await tombstones.find(study, digest),
      await quarantine.owner(study, digest),
    ]
    return found.filter((owner) => owner !== undefined)
  }

  // The tombstone first, as it keeps the package from coming back; what a kill leaves is removed at the next start.
  const bury = async (
    study: string,
    digest: string,
    owner: Owner,
    word: Omit<WithdrawalReceipt, 'id'>,
    parts: readonly RemovedPart[],
  ): Promise<WithdrawalReceipt> => {
    const { participant, consent, withdrawalCommitment } = owner
    const known =
      (await packages.receipt(study, digest).catch(() => undefined)) ?? (await tombstones.find(study, digest))
    const receipt: WithdrawalReceipt = await sign(study, { id: `withdrawal-${randomUUID()}`, ...word })
    const stone: Tombstone = {
      format: 's4s-tombstone/1',
      ...{ digest, study, participant, consent, withdrawalCommitment },
      receivedAt: known?.receivedAt ?? '',
      resources: known?.resources ?? 0,
      bytes: known?.bytes ?? 0,
      parts,
      receipt,
    }
    const whole = await tombstones.put(stone)
    if (word.deleted) await remove(study, digest)
    // There is room now, where the package was.
    if (!whole) await tombstones.put(stone).catch(() => {})
    await changed(study, digest)
    return receipt
  }

  const remove = async (study: string, digest: string): Promise<void> => {
    await packages.remove(study, digest)
    // Nobody is told that something is gone which is not.
    if (await packages.has(study, digest)) throw new Error('a package that was withdrawn is still there')
  }

  const partsOf = async (study: string, digest: string, held: boolean): Promise<readonly RemovedPart[]> =>
    held ? partsIn(packages.home(study, digest)) : []

  // The one that was asked about comes last: without its tombstone the same notice does all of it again.
  const end = async (
    study: string,
    digest: string,
    owner: Owner,
    ask: 'stop' | 'delete',
  ): Promise<WithdrawalReceipt> => {
    const deleted = ask === 'delete'
    const at = new Date().toISOString()
    const earlier = await tombstones.find(study, digest)
    const held = await packages.under(study, owner)
    for (const one of held.filter((other) => other !== digest)) {
      const stone = await tombstones.find(study, one)
      if (stone?.receipt.deleted) await remove(study, one)
      else if (!stone || deleted) {
        const parts = await partsOf(study, one, deleted)
        const removed = deleted ? { removed: [removedOf(one, parts)] } : {}
        await bury(study, one, owner, { digest: one, at, deleted, ...removed }, parts)
      }
    }
    // Said again, or said less than before.
    if (earlier && (earlier.receipt.deleted || !deleted)) {
      if (earlier.receipt.deleted) await remove(study, digest)
      return earlier.receipt
    }
    const parts = await partsOf(study, digest, deleted && held.includes(digest))
    const own = held.includes(digest) ? [removedOf(digest, parts)] : []
    const removed = deleted ? { removed: [...own, ...(await removedUnder(study, digest, owner))] } : {}
    return bury(study, digest, owner, { digest, at, deleted, ...removed }, parts)
  }

  const removedUnder = async (study: string, digest: string, owner: Owner) =>
    (await tombstones.all(study))
      .filter((stone) => stone.receipt.deleted && stone.digest !== digest && isOf(stone, owner))
      .map(removedIn)

  return Object.freeze({
    async withdraw(study: string, notice: WithdrawalNotice): Promise<WithdrawalReceipt> {
      // Looked for while nobody completes under this consent: else it could be moving in just now, and be nowhere.
      return turn(study, notice.consent, async () => {
        const owners = await ownersOf(study, notice.digest)
        if (owners.length === 0) throw new Refusal('unknown')
        const owner = owners.find((one) => proves(notice, one))
        if (!owner) throw new Refusal('withdrawal-key')
        const receipt = await end(study, notice.digest, owner, notice.ask)
        await staging.discardUnder(study, owner)
        await quarantine.removeUnder(study, owner)
        return receipt
      })
    },

    async covers({ study, digest, consent, withdrawalCommitment }): Promise<boolean> {
      return (
        (await tombstones.has(study, digest)) ||
        (await tombstones.marks(study, consent, withdrawalCommitment))
      )
    },

    async finish(): Promise<void> {
      for (const study of await names(places.graveyards)) {
        for (const { digest, receipt } of await tombstones.all(study)) {
          if (receipt.deleted && (await packages.has(study, digest))) await remove(study, digest)
        }
      }
    },
  } satisfies Withdrawals)
}

const proves = (notice: WithdrawalNotice, { consent, withdrawalCommitment, participant }: Owner): boolean =>
  timingSafeEqual(Buffer.from(sha256(notice.key)), Buffer.from(withdrawalCommitment)) &&
  consent === notice.consent &&
  participant === notice.participant

/** True when both are under one consent: the name alone is not enough, since anyone can write it. */
export const isOf = (one: Omit<Owner, 'participant'>, other: Omit<Owner, 'participant'>): boolean =>
  one.consent === other.consent && one.withdrawalCommitment === other.withdrawalCommitment

/** What a study can show of a package that it removed. */
export interface Deletion {
  readonly digest: string
  readonly participant: string
  /** The consent's id. */
  readonly consent: string
  /** When it was received and when it was removed. ISO 8601. */
  readonly receivedAt: string
  readonly at: string
  /** Every file that was removed; the receipt's `partsDigest` stands for this list. */
  readonly parts: readonly RemovedPart[]
  /** What the participant was told, signed when the study signs. */
  readonly receipt: WithdrawalReceipt
}

/** The proof that lies in a tombstone; undefined while the package is kept. */
export function deletionIn(stone: Tombstone | undefined): Deletion | undefined {
  if (!stone?.receipt.deleted) return undefined
  const { digest, participant, consent, receivedAt, parts, receipt } = stone
  return Object.freeze({ digest, participant, consent, receivedAt, at: receipt.at, parts, receipt })
}
