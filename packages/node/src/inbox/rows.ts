import type { Manifest, PrivateKey } from '@s4s/core'
import type { Places } from './disk.js'
import type { Packages } from './packages.js'
import type { Naming } from './pseudonyms.js'
import { openStored } from './stored.js'
import { removedOf, type Tombstones } from './tombstones.js'

/** One package, as the study team sees it. Nothing of the record is in it. */
export interface PackageRow {
  readonly digest: string
  readonly participant: string
  readonly receivedAt: string
  readonly resources: number
  readonly bytes: number
  readonly status: 'stored' | 'withdrawn'
  readonly withdrawnAt?: string
  /** True when the package was removed at the participant's wish. */
  readonly deleted?: boolean
  /** What the participant's providers gave, by data class; empty when the package was removed. */
  readonly completeness: readonly {
    readonly provider: string
    readonly dataClass: string
    readonly status: string
    readonly count: number
  }[]
}

/** One withdrawal, as the study team sees it. */
export interface WithdrawalRow {
  readonly digest: string
  readonly participant: string
  /** The consent's id; nothing more is taken under it. */
  readonly consent: string
  readonly at: string
  /** True when the package was removed, false when the participant asked for no more to be taken. */
  readonly deleted: boolean
  /** How many files were removed, and their bytes. */
  readonly removed: { readonly parts: number; readonly bytes: number }
}

/** The lists of a study, newest first. */
export interface Rows {
  packages(study: string): Promise<PackageRow[]>
  withdrawals(study: string): Promise<WithdrawalRow[]>
}

export interface RowsOptions {
  readonly places: Places
  readonly packages: Packages
  readonly tombstones: Tombstones
  readonly openKeys: (study: string) => readonly PrivateKey[]
  readonly nameOf: Naming
}

export function openRows({ places, packages, tombstones, openKeys, nameOf }: RowsOptions): Rows {
  // Of a package whose seal nobody here can open, how much there is and nothing more.
  const manifestAt = async (study: string, digest: string): Promise<Manifest | undefined> =>
    openStored(places.home(study, digest), openKeys(study)).then(
      ({ manifest }) => manifest,
      () => undefined,
    )

  return Object.freeze({
    async packages(study: string): Promise<PackageRow[]> {
      const rows: PackageRow[] = []
      for (const stone of await tombstones.all(study)) {
        const { digest, receivedAt, resources, bytes, receipt } = stone
        const participant = nameOf(study, stone.participant)
        const { at: withdrawnAt, deleted } = receipt
        const completeness = completenessOf(deleted ? undefined : await manifestAt(study, digest))
        rows.push({
          ...{ digest, participant, receivedAt, resources, bytes, status: 'withdrawn' },
          ...{ withdrawnAt, deleted, completeness },
        })
      }
      const gone = new Set(rows.map(({ digest }) => digest))
      for (const digest of await packages.digests(study)) {
        if (gone.has(digest)) continue
        const receipt = await packages.receipt(study, digest).catch(() => undefined)
        if (!receipt) continue
        const completeness = completenessOf(await manifestAt(study, digest))
        const { receivedAt, resources, bytes } = receipt
        const participant = nameOf(study, receipt.participant)
        rows.push({ digest, participant, receivedAt, resources, bytes, status: 'stored', completeness })
      }
      return rows.sort((a, b) => compare(b.receivedAt, a.receivedAt) || compare(a.digest, b.digest))
    },

    async withdrawals(study: string): Promise<WithdrawalRow[]> {
      return (await tombstones.all(study))
        .map(({ digest, consent, parts, receipt: { at, deleted }, ...stone }) => {
          const participant = nameOf(study, stone.participant)
          const { parts: count, bytes } = removedOf(digest, parts)
          const removed = Object.freeze({ parts: count, bytes })
          return Object.freeze({ digest, participant, consent, at, deleted, removed })
        })
        .sort((a, b) => compare(b.at, a.at) || compare(a.digest, b.digest))
    },
  } satisfies Rows)
}

function completenessOf(manifest: Manifest | undefined): PackageRow['completeness'] {
  return (manifest?.sources ?? []).flatMap(({ provider, completeness }) =>
    completeness.map(({ dataClass, status, count }) => ({
      provider: provider.name,
      dataClass,
      status,
      count,
    })),
  )
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
