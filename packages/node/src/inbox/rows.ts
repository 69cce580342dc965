import type { Manifest, PrivateKey } from '@s4s/core'
import type { Packages } from './packages.js'
import type { Naming } from './pseudonyms.js'
import { openStored } from './stored.js'
import { removedIn, type Tombstone, type Tombstones } from './tombstones.js'

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
    /** The id of the EHR product that it runs, where the portal knew it. */
    readonly vendor?: string
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

/** What the lists say of one package. */
export interface Entry {
  readonly row: PackageRow
  readonly withdrawal?: WithdrawalRow
}

/** How far a package has come; it never goes back. */
export type PackageState = 'stored' | 'stopped' | 'deleted'

/** What the folder says of the packages of a study. */
export interface Rows {
  /** Newest first. */
  packages(study: string): Promise<PackageRow[]>
  /** Newest first. */
  withdrawals(study: string): Promise<WithdrawalRow[]>
  /** Digests of what is held and of what was withdrawn. */
  digests(study: string): Promise<string[]>
  /** How far a package has come, which is quicker to say than all of it. */
  state(study: string, digest: string): Promise<PackageState | undefined>
  /** Undefined of what is not there, or is no package any more. */
  entry(study: string, digest: string): Promise<Entry | undefined>
}

export interface RowsOptions {
  readonly packages: Packages
  readonly tombstones: Tombstones
  readonly openKeys: (study: string) => readonly PrivateKey[]
  readonly nameOf: Naming
}

export function openRows({ packages, tombstones, openKeys, nameOf }: RowsOptions): Rows {
  // Of a package whose seal nobody here can open, how much there is and nothing more.
  const manifestAt = async (study: string, digest: string): Promise<Manifest | undefined> =>
    openStored(packages.home(study, digest), openKeys(study)).then(
      ({ manifest }) => manifest,
      () => undefined,
    )

  const rows: Rows = {
    async packages(study: string): Promise<PackageRow[]> {
      const entries = await entriesOf(study, await rows.digests(study))
      return entries.map(({ row }) => row).sort(byReceipt)
    },

    async withdrawals(study: string): Promise<WithdrawalRow[]> {
      return (await tombstones.all(study)).map((stone) => withdrawalOf(study, stone)).sort(byTime)
    },

    async digests(study: string): Promise<string[]> {
      return [...new Set([...(await packages.digests(study)), ...(await tombstones.digests(study))])]
    },

    async state(study: string, digest: string): Promise<PackageState | undefined> {
      const stone = await tombstones.find(study, digest)
      if (stone) return stone.receipt.deleted ? 'deleted' : 'stopped'
      return (await packages.has(study, digest)) ? 'stored' : undefined
    },

    async entry(study: string, digest: string): Promise<Entry | undefined> {
      const stone = await tombstones.find(study, digest)
      if (stone) return buried(study, stone)
      const receipt = await packages.receipt(study, digest).catch(() => undefined)
      if (!receipt) return undefined
      const { receivedAt, resources, bytes } = receipt
      const participant = nameOf(study, receipt.participant)
      const completeness = completenessOf(await manifestAt(study, digest))
      return { row: { digest, participant, receivedAt, resources, bytes, status: 'stored', completeness } }
    },
  }

  const entriesOf = async (study: string, digests: readonly string[]): Promise<Entry[]> => {
    const found: Entry[] = []
    for (const digest of digests) {
      const entry = await rows.entry(study, digest)
      if (entry) found.push(entry)
    }
    return found
  }

  const buried = async (study: string, stone: Tombstone): Promise<Entry> => {
    const { digest, receivedAt, resources, bytes, receipt } = stone
    const { at: withdrawnAt, deleted } = receipt
    const participant = nameOf(study, stone.participant)
    const completeness = completenessOf(deleted ? undefined : await manifestAt(study, digest))
    const row: PackageRow = {
      ...{ digest, participant, receivedAt, resources, bytes, status: 'withdrawn' },
      ...{ withdrawnAt, deleted, completeness },
    }
    return { row, withdrawal: withdrawalOf(study, stone) }
  }

  const withdrawalOf = (study: string, stone: Tombstone): WithdrawalRow => {
    const { digest, consent, receipt } = stone
    const { parts, bytes } = removedIn(stone)
    const participant = nameOf(study, stone.participant)
    const removed = Object.freeze({ parts, bytes })
    return Object.freeze({ digest, participant, consent, at: receipt.at, deleted: receipt.deleted, removed })
  }

  return Object.freeze(rows)
}

/** Newest first. */
export const byReceipt = (a: PackageRow, b: PackageRow): number =>
  compare(b.receivedAt, a.receivedAt) || compare(a.digest, b.digest)

/** Newest first. */
export const byTime = (a: WithdrawalRow, b: WithdrawalRow): number =>
  compare(b.at, a.at) || compare(a.digest, b.digest)

function completenessOf(manifest: Manifest | undefined): PackageRow['completeness'] {
  return (manifest?.sources ?? []).flatMap(({ provider, completeness }) =>
    completeness.map(({ dataClass, status, count }) => ({
      provider: provider.name,
      ...(provider.vendor === undefined ? {} : { vendor: provider.vendor }),
      dataClass,
      status,
      count,
    })),
  )
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
