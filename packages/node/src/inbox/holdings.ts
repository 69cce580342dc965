import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Lock, PrivateKey } from '@s4s/core'
import { fileLock } from '../file-lock.js'
import { type Clearing, openClearing } from './clearing.js'
import { keyIn, type Places, placesIn, sha256 } from './disk.js'
import type { Envelope } from './envelope.js'
import { folderLists, type Lists, type Opener, openerIn } from './lists.js'
import type { ObjectStore } from './object-store.js'
import { openPackages, type Packages } from './packages.js'
import type { Naming } from './pseudonyms.js'
import { openQuarantine, type Quarantine } from './quarantine.js'
import type { Finding, Refusal } from './refusal.js'
import { openRows } from './rows.js'
import { diskShelf, objectShelf } from './shelf.js'
import type { SqlIndex } from './sql-index.js'
import { sqlLists } from './sql-lists.js'
import { openStaging, type Staging } from './staging.js'
import { openTombstones, type Tombstones } from './tombstones.js'
import { openWithdrawals, type Withdrawals } from './withdrawals.js'

/** Everything that an inbox has on its disk, put together. */
export interface Holdings {
  readonly places: Places
  readonly lock: Lock
  readonly clearing: Clearing
  readonly staging: Staging
  readonly quarantine: Quarantine
  readonly packages: Packages
  readonly tombstones: Tombstones
  readonly withdrawals: Withdrawals
  readonly lists: Lists
  readonly opener: Opener
  /** Whoever completes and whoever withdraws under one consent take turns, also over processes. */
  turn<T>(study: string, consent: string, work: () => Promise<T>): Promise<T>
  /** Does what a process that was killed left undone. */
  begin(): Promise<void>
}

export interface HoldingsOptions {
  readonly folder: string
  /** How long what failed verification is kept, in milliseconds. */
  readonly quarantineFor: number
  readonly onQuarantined: (study: string, digest: string, finding: Finding) => Promise<void>
  /** Where the parts of stored packages go; without it they lie in the folder. */
  readonly parts?: ObjectStore
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

export function openHoldings(options: HoldingsOptions): Holdings {
  const { folder, quarantineFor, sign, openKeys, nameOf } = options
  const places = placesIn(folder)
  const lock: Lock = fileLock(join(folder, 'locks'))
  const turn = <T>(study: string, consent: string, work: () => Promise<T>): Promise<T> =>
    lock(`${study}/${consent}`, work)
  const clearing = openClearing(folder)
  const shelf = options.parts ? objectShelf(places, options.parts) : diskShelf(places)
  const quarantine = openQuarantine({ places, clearing, keepFor: quarantineFor })
  const staging = openStaging({
    places,
    clearing,
    async setAside(envelope: Envelope, refusal: Refusal) {
      await quarantine.setAside(envelope, refusal)
      await options.onQuarantined(envelope.study, envelope.digest, refusal.finding ?? 'manifest')
    },
  })
  const packages = openPackages({ places, clearing, shelf, sign })
  const tombstones = openTombstones(places)
  const rows = openRows({ packages, tombstones, openKeys, nameOf })
  const opener = openerIn(packages, openKeys)
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

  return Object.freeze({
    ...{
      places,
      lock,
      clearing,
      staging,
      quarantine,
      packages,
      tombstones,
      withdrawals,
      lists,
      opener,
      turn,
    },

    async begin(): Promise<void> {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await clearing.finish()
      await staging.sweep()
      await quarantine.sweep()
      await withdrawals.finish()
      lists.begin()
      // As long as the store has much, and in nobody's way.
      void shelf.sweep().catch(() => {})
    },
  } satisfies Holdings)
}
