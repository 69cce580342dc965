import { randomUUID, timingSafeEqual } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import type { WithdrawalNotice, WithdrawalReceipt } from '@s4s/core'
import { writeDurably } from '../durable.js'
import { parseJsonBytes } from '../json.js'
import { exists, names, type Places, readIfThere, sha256 } from './disk.js'
import type { Packages } from './packages.js'
import type { Quarantine } from './quarantine.js'
import { Refusal } from './refusal.js'
import type { Staging } from './staging.js'

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
  readonly receipt: WithdrawalReceipt
}

/** Withdrawals: who may, what goes, and what keeps it from coming back. */
export interface Withdrawals {
  withdraw(study: string, notice: WithdrawalNotice): Promise<WithdrawalReceipt>
  find(study: string, digest: string): Promise<Tombstone | undefined>
  all(study: string): Promise<Tombstone[]>
  /** True when nothing is taken any more, of this package or under this consent. */
  covers(study: string, digest: string, consent: string): Promise<boolean>
  /** Removes what a process that was killed had yet to remove. */
  finish(): Promise<void>
}

export interface WithdrawalsOptions {
  readonly places: Places
  readonly packages: Packages
  readonly staging: Staging
  readonly quarantine: Quarantine
  readonly turn: <T>(study: string, consent: string, work: () => Promise<T>) => Promise<T>
  readonly sign: <Claims extends object>(study: string, claims: Claims) => Promise<Claims>
}

export function openWithdrawals(options: WithdrawalsOptions): Withdrawals {
  const { places, packages, staging, quarantine, turn, sign } = options

  const bury = async (stone: Tombstone): Promise<void> => {
    const { study, digest, consent } = stone
    await mkdir(places.graves(study), { recursive: true, mode: 0o700 })
    await writeDurably(places.consentMark(study, consent), '')
    await writeDurably(places.grave(study, digest), `${JSON.stringify(stone)}\n`)
  }

  const withdrawals: Withdrawals = {
    async withdraw(study: string, notice: WithdrawalNotice): Promise<WithdrawalReceipt> {
      const { digest } = notice
      const owner = (await packages.owner(study, digest)) ?? (await withdrawals.find(study, digest))
      if (!owner) throw new Refusal('unknown')
      const { consent, withdrawalCommitment, participant } = owner
      const proven = timingSafeEqual(Buffer.from(sha256(notice.key)), Buffer.from(withdrawalCommitment))
      if (!proven || consent !== notice.consent || participant !== notice.participant) {
        throw new Refusal('withdrawal-key')
      }
      return turn(study, consent, async () => {
        const earlier = await withdrawals.find(study, digest)
        const stored = await packages.receipt(study, digest).catch(() => undefined)
        const remove = notice.ask === 'delete'
        // Said again, or said less than before.
        if (earlier && (earlier.receipt.deleted || !remove)) {
          if (earlier.receipt.deleted) await packages.remove(study, digest)
          return earlier.receipt
        }
        const receipt: WithdrawalReceipt = await sign(study, {
          id: `withdrawal-${randomUUID()}`,
          digest,
          at: new Date().toISOString(),
          deleted: remove,
        })
        const { receivedAt, resources, bytes } = stored ??
          earlier ?? { receivedAt: '', resources: 0, bytes: 0 }
        // First what keeps it from coming back; what a crash between the two leaves is removed at the next start.
        await bury({
          format: 's4s-tombstone/1',
          digest,
          study,
          participant,
          consent,
          withdrawalCommitment,
          receivedAt,
          resources,
          bytes,
          receipt,
        })
        if (remove) await packages.remove(study, digest)
        await staging.discardUnder(study, consent)
        await quarantine.removeUnder(study, consent, withdrawalCommitment)
        return receipt
      })
    },

    async find(study: string, digest: string): Promise<Tombstone | undefined> {
      const bytes = await readIfThere(places.grave(study, digest))
      return bytes && (parseJsonBytes(bytes) as Tombstone)
    },

    async all(study: string): Promise<Tombstone[]> {
      const found: Tombstone[] = []
      for (const file of await names(places.graves(study))) {
        const digest = /^([0-9a-f]{64})\.json$/.exec(file)?.[1]
        const stone = digest === undefined ? undefined : await withdrawals.find(study, digest)
        if (stone) found.push(stone)
      }
      return found
    },

    covers: async (study: string, digest: string, consent: string): Promise<boolean> =>
      (await exists(places.grave(study, digest))) || (await exists(places.consentMark(study, consent))),

    async finish(): Promise<void> {
      for (const study of await names(places.graveyards)) {
        for (const { digest, receipt } of await withdrawals.all(study)) {
          if (receipt.deleted && (await packages.has(study, digest))) await packages.remove(study, digest)
        }
      }
    },
  }
  return Object.freeze(withdrawals)
}
