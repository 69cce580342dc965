import { randomBytes } from 'node:crypto'
import type { PrivateKey } from '@s4s/core'
import { type Duplicates, hintsIn, type Mark, marksOf } from './duplicates.js'
import type { Packages } from './packages.js'
import { renamed } from './pseudonyms.js'
import type { PackageRow, Rows, WithdrawalRow } from './rows.js'
import { openStored, type StoredPackage } from './stored.js'

/** What a study team asks for. From the folder, or from a database that is kept in step with it. */
export interface Lists {
  /** Newest first. */
  packages(study: string): Promise<PackageRow[]>
  /** Newest first. */
  withdrawals(study: string): Promise<WithdrawalRow[]>
  duplicates(study: string): Promise<Duplicates>
  /** A package came or went; said while its consent has its turn. Never throws. */
  changed(study: string, digest: string): Promise<void>
  /** Begins to catch up with the folder. */
  begin(): void
  /** Forgets everything and reads the folder again. */
  reindex(): Promise<void>
}

/** Opens a package that is held, under the name that the study team sees. */
export type Opener = (
  study: string,
  row: Pick<PackageRow, 'digest' | 'participant' | 'receivedAt'>,
  keys?: readonly PrivateKey[],
) => Promise<StoredPackage>

export function openerIn(packages: Packages, openKeys: (study: string) => readonly PrivateKey[]): Opener {
  return async (study, { digest, participant: name, receivedAt }, keys) => {
    const opened = await openStored(packages.home(study, digest), keys ?? openKeys(study))
    const { participant } = opened.manifest
    return renamed(Object.freeze({ study, digest, participant, receivedAt, ...opened }), name)
  }
}

/** The lists as they are in the folder, each time it is asked. */
export function folderLists(rows: Rows, opener: Opener): Lists {
  const { packages, withdrawals } = rows
  return Object.freeze({
    packages,
    withdrawals,
    async duplicates(study: string): Promise<Duplicates> {
      const held = new Map<string, PackageRow[]>()
      for (const row of (await packages(study)).reverse())
        if (row.deleted !== true) held.set(row.participant, [...(held.get(row.participant) ?? []), row])
      const marks: Mark[] = []
      const unread: string[] = []
      // Nobody else looks at these marks, so nobody has to make them again.
      const key = randomBytes(32)
      for (const theirs of held.values()) {
        const packs: StoredPackage[] = []
        for (const row of theirs) {
          const pack = await opener(study, row).catch(() => undefined)
          if (pack) packs.push(pack)
          else unread.push(row.digest)
        }
        const providers = new Set(
          packs.flatMap(({ manifest }) => manifest.sources.map((one) => one.provider.iss)),
        )
        if (providers.size < 2) continue
        for (const pack of packs) for (const mark of await marksOf(pack, key)) marks.push(mark)
      }
      return hintsIn(marks, unread)
    },
    changed: async () => {},
    begin() {},
    reindex: async () => {},
  } satisfies Lists)
}
