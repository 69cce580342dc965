import { join } from 'node:path'
import { type PrivateKey, SmartError } from '@s4s/core'
import { fileLock } from '../file-lock.js'
import type { Sql } from '../store/sql.js'
import { type AuditEvent, type AuditVerification, openAudit } from './audit.js'
import { type Duplicates, hintsIn } from './duplicates.js'
import { openHandler } from './handler.js'
import { type InboxStudy, readKeys } from './keys.js'
import type { ObjectStore } from './object-store.js'
import { namingBy } from './pseudonyms.js'
import type { QuarantineRow } from './quarantine.js'
import type { PackageRow, WithdrawalRow } from './rows.js'
import { signersOf } from './signing.js'
import { openSqlIndex } from './sql-index.js'
import type { StoredPackage } from './stored.js'
import { openVault } from './vault.js'
import type { Verification } from './verification.js'
import type { Deletion } from './withdrawals.js'

export interface InboxOptions {
  /** Where packages are kept. On one disk, readable by nobody else. */
  readonly folder: string
  readonly studies: readonly InboxStudy[]
  /** The path that the inbox is served under, such as `/inbox`. Default: the root. */
  readonly basePath?: string
  /** Most bytes of one package. Default 2 GiB. */
  readonly maxBytes?: number
  /** Most bytes of all packages together. Default: what the disk holds. */
  readonly quotaBytes?: number
  /** Most uploads of one study that are open at a time; to one more the answer is 429. Default 1,000. */
  readonly maxOpen?: number
  /** How many days what arrived whole but is no package is kept, with the reason. Default 30. */
  readonly quarantineDays?: number
  /**
   * Where the files of packages go once they are complete, such as `s3Objects`; manifests, receipts
   * and what arrives stay in the folder. Of an inbox that has packages it cannot be changed. Default: the folder.
   */
  readonly parts?: ObjectStore
  /**
   * Where lists are read from: a `Pool` of `pg`, or a `PGlite`. The folder stays the truth; what the database missed it
   * is told at the next start. Default: the folder.
   */
  readonly index?: Sql
  /** The schema of the index, which is made when it is not there. Default `s4s_inbox`. */
  readonly indexSchema?: string
  /** Origins of the apps that deliver from a browser. */
  readonly allowOrigins?: readonly string[]
}

/** The study's side: receives packages, verifies them, stores each whole or not at all, and heeds withdrawals. */
export interface Inbox {
  /** Serves the inbox; give it to `serve`, to `toExpress` or to any framework that speaks Request and Response. */
  handler(request: Request): Promise<Response>
  /** The packages of a study, newest first. */
  packages(study: string): Promise<PackageRow[]>
  /** The withdrawals of a study, newest first. */
  withdrawals(study: string): Promise<WithdrawalRow[]>
  /** What looks the same at several providers of one participant, by ids only. Hints: nothing is removed for them. */
  duplicates(study: string): Promise<Duplicates>
  /** Makes the index anew from the folder; without an index there is nothing to do. */
  reindex(): Promise<void>
  /** The name under which a study's lists show a participant of the portal. @see InboxStudy.pseudonymKey */
  pseudonym(study: string, participant: string): string
  /** What proves that a package was removed: its files by digest and size, when, and the receipt, signed. */
  deletion(study: string, digest: string): Promise<Deletion | undefined>
  /** What arrived whole but is no package of a study, with the reasons, newest first. It is never read as one. */
  quarantined(study: string): Promise<QuarantineRow[]>
  /** Reads a stored package again and says what is no longer as it was sent. */
  verify(digest: string): Promise<Verification>
  /**
   * Reads the audit log, in which each line holds the digest of the one before.
   *
   * @param since the `head` of an earlier verification, noted elsewhere: shows that nothing was cut off the end
   */
  verifyAudit(since?: string): Promise<AuditVerification>
  /**
   * The packages of a study, oldest first, open to be read.
   *
   * @param keys open those that are sealed; default: the study's `openKeys`
   * @throws SmartError `SHARE_SEAL_INVALID` at a package that none of the keys opens
   */
  stored(study: string, keys?: readonly PrivateKey[]): AsyncIterable<StoredPackage>
}

/**
 * Opens an inbox on a folder.
 *
 * @example
 * const inbox = createInbox({ folder: './packages', studies: [{ id: 'sleep-2026', key, teamKey }] })
 * await serve(inbox.handler, { port: 5000 })
 * @throws SmartError `CONFIG_INVALID`
 */
export function createInbox(options: InboxOptions): Inbox {
  const {
    folder,
    studies,
    basePath = '',
    maxBytes = 2 * 1024 ** 3,
    quotaBytes = Number.POSITIVE_INFINITY,
    maxOpen = 1000,
    quarantineDays = 30,
  } = options
  if (typeof folder !== 'string' || folder === '') throw invalid('folder is missing')
  if (!/^(\/[A-Za-z0-9._~-]+)*\/?$/.test(basePath)) throw invalid('basePath is not a path such as /inbox')
  if (!(maxBytes > 0) || !(quotaBytes > 0)) throw invalid('maxBytes and quotaBytes are numbers above zero')
  if (!(Number.isInteger(maxOpen) && maxOpen > 0)) throw invalid('maxOpen is no whole number above zero')
  if (!(quarantineDays > 0 && quarantineDays <= 36_500)) throw invalid('quarantineDays is no number of days')
  const base = basePath.replace(/\/$/, '')
  const origins = new Set((options.allowOrigins ?? []).map(checkedOrigin))
  const keys = readKeys(studies)
  const ids = studies.map(({ id }) => id)
  const nameOf = namingBy(studies)
  const signers = signersOf(studies)
  const log = openAudit(join(folder, 'audit.ndjson'), fileLock(join(folder, 'locks')))
  const audit = (event: AuditEvent): Promise<void> => log.append(event)
  const vault = openVault({
    folder,
    maxBytes,
    quotaBytes,
    maxOpen,
    ...(options.parts ? { parts: options.parts } : {}),
    quarantineFor: quarantineDays * 24 * 3_600_000,
    onQuarantined: (study, digest, reason) => audit({ event: 'quarantined', study, digest, reason }),
    sign: signers.sign,
    nameOf,
    studies: ids,
    ...(options.index ? { index: openSqlIndex(options.index, options.indexSchema ?? 's4s_inbox') } : {}),
    onBehind: () => void audit({ event: 'failed', reason: 'index' }),
    openKeys: (study) => studies.find(({ id }) => id === study)?.openKeys ?? [],
  })
  const handler = openHandler({ vault, keys, signers, audit, base, origins })

  return Object.freeze({
    handler,
    packages: (study: string) => (ids.includes(study) ? vault.rows(study) : Promise.resolve([])),
    withdrawals: (study: string) => (ids.includes(study) ? vault.withdrawals(study) : Promise.resolve([])),
    duplicates: (study: string) =>
      ids.includes(study) ? vault.duplicates(study) : Promise.resolve(hintsIn([], [])),
    reindex: vault.reindex,
    pseudonym: nameOf,
    async deletion(study: string, digest: string) {
      const known = ids.includes(study) && /^[0-9a-f]{64}$/.test(digest)
      return known ? vault.deletion(study, digest) : undefined
    },
    quarantined: (study: string) => (ids.includes(study) ? vault.quarantined(study) : Promise.resolve([])),
    verify: (digest: string) => vault.verify(ids, digest),
    verifyAudit: (since?: string) => log.verify(since),
    async *stored(study: string, keys?: readonly PrivateKey[]) {
      if (!ids.includes(study)) return
      for await (const pack of vault.stored(study, keys)) {
        await audit({ event: 'read', study, digest: pack.digest })
        yield pack
      }
    },
  } satisfies Inbox)
}

function checkedOrigin(text: string): string {
  let origin: string | undefined
  try {
    origin = new URL(text).origin
  } catch {}
  if (origin === undefined || origin !== text) throw invalid('allowOrigins holds what is not an origin')
  return origin
}

const invalid = (what: string): SmartError => new SmartError('CONFIG_INVALID', what)
