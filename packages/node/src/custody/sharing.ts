import { createHash } from 'node:crypto'
import {
  type Connection,
  type ConsentGiven,
  type ConsentRecord,
  createOutbox,
  type Delivery,
  type PatientRecord,
  type Platform,
  recordConsent,
  type Share,
  type Study,
  share,
  type Withdrawal,
  withdraw,
} from '@s4s/core'
import { createLedgers, type Entry } from './ledger.js'

/** What a participant says when they share: all of a consent but who they are. */
export interface Asked {
  readonly given: Omit<ConsentGiven, 'participant' | 'platform' | 'replaces'>
  readonly leaveOut: readonly string[]
}

/** A withdrawal; `study` is absent when nothing had been shared. */
export type Withdrawn = Pick<Withdrawal, 'access' | 'local' | 'complete'> & Partial<Pick<Withdrawal, 'study'>>

/** Shares and withdraws for participants, one thing at a time for each. */
export interface Sharing {
  /**
   * @throws TypeError for choices that the study does not offer
   * @throws SmartError `SHARE_*`, `CONFIG_STORAGE_FAILED`
   */
  share(participant: string, records: readonly PatientRecord[], asked: Asked): Promise<Share>
  shares(participant: string): Promise<readonly Share[]>
  withdraw(
    participant: string,
    ask: 'stop' | 'delete',
    connections: readonly Connection[],
  ): Promise<Withdrawn>
}

export interface SharingOptions {
  readonly study: Study
  readonly deliver: Delivery
  readonly nameInStudy: (participant: string) => string | Promise<string>
  readonly platform: Platform
}

export function createSharing({ study, deliver, nameInStudy, platform }: SharingOptions): Sharing {
  const ledgers = createLedgers(platform, study)
  const outbox = createOutbox(platform)
  return Object.freeze({
    share: (participant, records, asked) =>
      ledgers.change(participant, async ({ shares, begun }, write) => {
        const name = await nameInStudy(participant)
        const digest = digestOf([name, study.consent.version, asked, records.map(stampOf)])
        const known = shares.find((entry) => entry.asked === digest)
        if (known) return known.share
        const consent: ConsentRecord =
          begun?.asked === digest
            ? begun.consent
            : recordConsent(study, { ...asked.given, participant: name, platform })
        // Before anything is sent: with the same consent the same package comes of it, and is delivered once.
        await write({ shares, begun: { asked: digest, consent } })
        const { leaveOut } = asked
        const shared = await share(records, { study, consent, deliver, leaveOut, outbox, platform })
        await write({ shares: [...shares, { asked: digest, share: shared }] })
        return shared
      }),
    shares: async (participant) => (await ledgers.read(participant)).shares.map((entry) => entry.share),
    withdraw: (participant, ask, connections) =>
      ledgers.change(participant, async ({ shares }, write) => {
        const [first] = shares
        if (!first) return endAccess(connections)
        // A study knows a participant by one name, unless the app has changed its mind about that.
        const alike = shares.filter(({ share }) => share.participant === first.share.participant)
        const others = shares.filter((entry) => !alike.includes(entry))
        const told = await withdraw(
          alike.map((entry) => entry.share),
          { deliver, ask, connections, outbox, platform },
        )
        const rest = ask === 'stop' ? alike.map(stopped) : alike.filter((entry) => !isTold(told, entry))
        await write({ shares: [...others, ...rest] })
        return others.length === 0 ? told : { ...told, complete: false }
      }),
  } satisfies Sharing)
}

// The outbox has the notice, or the study's word: what is kept here is needed no more.
function isTold(told: Withdrawal, { share }: Entry): boolean {
  return told.study.shares.some(({ digest, status }) => digest === share.digest && status !== 'failed')
}

// To be deleted some day, maybe; but not an answer to one who shares again.
const stopped = ({ share }: Entry): Entry => ({ asked: '', share })

async function endAccess(connections: readonly Connection[]): Promise<Withdrawn> {
  const ended = await Promise.all(
    connections.map(async (connection) => {
      const { id, name } = connection.provider
      const { server, local, manageUrl } = await connection
        .revoke()
        .catch(() => ({ server: 'failed' as const, local: 'failed' as const, manageUrl: undefined }))
      const access = { provider: { id, name }, server, ...(manageUrl === undefined ? {} : { manageUrl }) }
      return { access, local }
    }),
  )
  const status = ended.every(({ local }) => local === 'wiped') ? 'wiped' : 'failed'
  const access = ended.map((one) => one.access)
  return { access, local: { status }, complete: status === 'wiped' && access.every(isRevoked) }
}

const isRevoked = ({ server }: { readonly server: string }): boolean => server === 'revoked'

// What was collected anew is something else, even if it is the same.
const stampOf = ({ connection, collectedAt }: PatientRecord): unknown => [
  connection,
  collectedAt.toISOString(),
]

const digestOf = (value: unknown): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('base64url')
