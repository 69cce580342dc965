import { type Duplicates, hintsIn, type Mark, marksOf } from './duplicates.js'
import type { Lists, Opener } from './lists.js'
import type { Rows } from './rows.js'
import { type SqlIndex, stateOf } from './sql-index.js'

export interface SqlListsOptions {
  readonly index: SqlIndex
  readonly rows: Rows
  /** The lists of the folder, for when the database cannot be asked. */
  readonly folder: Lists
  readonly opener: Opener
  readonly studies: readonly string[]
  /** Says by what a study's participants are named, without saying how. */
  readonly namingOf: (study: string) => string
  /** Marks are made with it, in this folder always with the same. */
  readonly markKey: () => Promise<Uint8Array>
  /** Runs work while nobody else changes what is held under a package's consent. */
  readonly withPackage: <T>(study: string, digest: string, work: () => Promise<T>) => Promise<T>
  /** Told when the database falls behind the folder. */
  readonly onBehind: () => void
}

// Who asks while the database is away is not made to wait for it each time.
const pause = 15_000

/**
 * Lists from a database. The folder is the truth: what the database did not hear, because it was away or because the
 * process was ended between the two, it hears before it is asked the next time.
 */
export function sqlLists(options: SqlListsOptions): Lists {
  const { index, rows, folder, opener, studies, namingOf, markKey, withPackage, onBehind } = options
  let behind = true
  let catching: Promise<void> | undefined
  let failedAt = Number.NEGATIVE_INFINITY

  const fellBehind = (): void => {
    if (!behind) onBehind()
    behind = true
  }

  // What the folder says now, whatever the database said.
  const tell = async (study: string, digest: string): Promise<void> => {
    const entry = await rows.entry(study, digest)
    await (entry ? index.put(study, entry) : index.remove(study, digest))
  }

  const catchUp = (): Promise<void> => {
    catching ??= (async () => {
      await index.migrate()
      // From here on what changes is told at once, and heard twice at worst.
      behind = false
      for (const study of studies) await heal(study)
    })()
      .catch((error: unknown) => {
        behind = true
        failedAt = Date.now()
        throw error
      })
      .finally(() => {
        catching = undefined
      })
    return catching
  }

  const heal = async (study: string): Promise<void> => {
    const naming = namingOf(study)
    if ((await index.naming(study)) !== naming) await index.clear(study, naming)
    // The database first: what it has and the folder then does not have is gone.
    const states = await index.states(study)
    const digests = await rows.digests(study)
    const unsure = digests.filter((digest) => states.get(digest) !== 'deleted')
    for (const digest of unsure) {
      const state = states.get(digest)
      if (state !== undefined && state === (await rows.state(study, digest))) continue
      await withPackage(study, digest, () => tell(study, digest))
    }
    const there = new Set(digests)
    for (const digest of states.keys())
      if (!there.has(digest)) await withPackage(study, digest, () => tell(study, digest))
  }

  const asked = async <T>(ask: () => Promise<T>, otherwise: () => Promise<T>): Promise<T> => {
    if (behind && Date.now() - failedAt < pause) return otherwise()
    try {
      if (behind || catching) await catchUp()
      return await ask()
    } catch {
      fellBehind()
      return otherwise()
    }
  }

  const mark = async (study: string): Promise<string[]> => {
    const unread: string[] = []
    const key = await markKey()
    for (const row of await index.unmarked(study)) {
      const pack = await opener(study, row).catch(() => undefined)
      const marks: Mark[] | undefined = pack && (await marksOf(pack, key).catch(() => undefined))
      if (!marks) unread.push(row.digest)
      else
        await withPackage(study, row.digest, async () => {
          const entry = await rows.entry(study, row.digest)
          // It may have been withdrawn while it was read.
          if (entry && stateOf(entry.row) !== 'deleted') await index.mark(study, row.digest, marks)
        })
    }
    return unread
  }

  return Object.freeze({
    packages: (study: string) =>
      asked(
        () => index.packages(study),
        () => folder.packages(study),
      ),
    withdrawals: (study: string) =>
      asked(
        () => index.withdrawals(study),
        () => folder.withdrawals(study),
      ),

    duplicates(study: string): Promise<Duplicates> {
      const ask = async (): Promise<Duplicates> => {
        const unread = await mark(study)
        return hintsIn(await index.alike(study), unread)
      }
      return asked(ask, () => folder.duplicates(study))
    },

    async changed(study: string, digest: string): Promise<void> {
      // Who catches up later hears of this as well.
      if (behind) return
      await tell(study, digest).catch(fellBehind)
    },

    begin(): void {
      void catchUp().catch(onBehind)
    },

    async reindex(): Promise<void> {
      await catching?.catch(() => {})
      await index.migrate()
      for (const study of studies) await index.clear(study, namingOf(study))
      behind = true
      await catchUp()
    },
  } satisfies Lists)
}
