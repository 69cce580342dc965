import { ambientClock } from '../ambient.js'
import { type ErrorCode, isSmartError } from '../errors.js'
import type { Platform } from '../ports.js'
import type { PatientRecord } from '../record/record.js'
import { orAborted } from '../util/abort.js'
import {
  checkWithdrawalReceipt,
  type Delivery,
  type WithdrawalNotice,
  type WithdrawalReceipt,
} from './delivery.js'
import type { Outbox } from './outbox.js'
import type { Share } from './share.js'

/** Access that can be ended: a connection, as far as withdrawing needs to know it. */
export interface Revocable {
  readonly provider: { readonly id: string; readonly name: string }
  revoke(options?: { readonly signal?: AbortSignal }): Promise<{
    readonly server: 'revoked' | 'queued' | 'not-offered' | 'failed'
    readonly local: 'wiped' | 'failed'
    readonly manageUrl?: string
  }>
}

export interface WithdrawOptions {
  readonly deliver: Delivery
  /** `delete` asks the study to remove what it holds, `stop` to take no more. Default `delete`. */
  readonly ask?: 'stop' | 'delete'
  /** Connections whose access ends. */
  readonly connections?: readonly Revocable[]
  /** Records that are forgotten. */
  readonly records?: readonly Pick<PatientRecord, 'wipe'>[]
  /** Keeps the notices until the study has heard, an outbox. Without it, a study that cannot be told is `failed`. */
  readonly outbox?: Pick<Outbox, 'send'>
  readonly signal?: AbortSignal
  readonly platform?: Pick<Platform, 'clock'>
}

/** What the study said to the withdrawal of one package. */
export interface WithdrawnShare {
  /** The package's digest. */
  readonly digest: string
  /** `queued`: the outbox holds the notice, and `outbox.flush` sends it. */
  readonly status: 'acknowledged' | 'queued' | 'failed'
  /** True when the study says that it removed what it held. */
  readonly deleted: boolean
  readonly receipt?: WithdrawalReceipt
  readonly error?: ErrorCode
}

/** What came of a withdrawal, part by part; the same call again does what is left. */
export interface Withdrawal {
  readonly access: readonly {
    readonly provider: { readonly id: string; readonly name: string }
    /** `not-offered`: the provider cannot be told; the participant can, at `manageUrl`, if there is one. */
    readonly server: 'revoked' | 'queued' | 'not-offered' | 'failed'
    readonly manageUrl?: string
  }[]
  /** The least of what it said to each package; `receipt` only when there is one. */
  readonly study: Omit<WithdrawnShare, 'digest'> & { readonly shares: readonly WithdrawnShare[] }
  readonly local: { readonly status: 'wiped' | 'failed' }
  /** True when nothing is left to do for anyone. */
  readonly complete: boolean
}

/**
 * Withdraws: forgets the records here, ends access at the providers, and tells the study, of every package that it was
 * given. One part that fails does not stop the others; each is reported, also what an abort left undone.
 *
 * @param shared What was shared; of an ongoing sharing all of it, so that all of it can be deleted
 * @example const { complete, study } = await withdraw(share, { deliver, connections: await client.connections() })
 */
export async function withdraw(
  shared: Share | readonly Share[],
  options: WithdrawOptions,
): Promise<Withdrawal> {
  const { deliver, ask = 'delete', connections = [], records = [], outbox, signal } = options
  if (typeof deliver?.withdraw !== 'function') throw new TypeError('withdraw needs a delivery')
  if (ask !== 'stop' && ask !== 'delete') throw new TypeError('ask is stop or delete')
  const shares = distinct([shared].flat())
  const clock = options.platform?.clock ?? ambientClock

  // First what depends on no one.
  const wiped = (await Promise.all(records.map(wipe))).every(Boolean)
  const at = new Date(clock.now()).toISOString()
  const tell = (share: Share): Promise<WithdrawnShare> =>
    tellStudy(deliver, noticeOf(share, ask, at), outbox, signal)
  const [told, ended] = await Promise.all([
    Promise.all(shares.map(tell)),
    Promise.all(connections.map((connection) => end(connection, signal))),
  ])
  const study = allOf(told)
  const local = wiped && ended.every((one) => one.wiped) ? 'wiped' : 'failed'
  const access = ended.map((one) => one.access)
  return Object.freeze({
    access: Object.freeze(access),
    study,
    local: Object.freeze({ status: local }),
    complete:
      local === 'wiped' &&
      access.every(({ server }) => server === 'revoked') &&
      study.status === 'acknowledged' &&
      (ask === 'stop' || study.deleted),
  })
}

// A delivery leads to one study, and a withdrawal is one participant's.
function distinct(shares: readonly Share[]): readonly Share[] {
  const [first] = shares
  if (!first || shares.some((share) => typeof share?.consent?.withdrawalKey !== 'string'))
    throw new TypeError('withdraw needs a share')
  if (shares.some((one) => one.study.id !== first.study.id || one.participant !== first.participant))
    throw new TypeError('the shares are of several studies, or of several participants')
  return [...new Map(shares.map((share) => [share.digest, share])).values()]
}

function noticeOf(share: Share, ask: 'stop' | 'delete', at: string): WithdrawalNotice {
  return {
    format: 's4s-withdrawal/1',
    study: share.study.id,
    participant: share.participant,
    digest: share.digest,
    consent: share.consent.id,
    ask,
    at,
    key: share.consent.withdrawalKey,
  }
}

function allOf(shares: readonly WithdrawnShare[]): Withdrawal['study'] {
  const worst = (['failed', 'queued'] as const).find((status) => shares.some((one) => one.status === status))
  const error = shares.find((one) => one.error !== undefined)?.error
  const receipt = shares.length === 1 ? shares[0]?.receipt : undefined
  return Object.freeze({
    status: worst ?? 'acknowledged',
    deleted: shares.every(({ deleted }) => deleted),
    ...(receipt === undefined ? {} : { receipt }),
    ...(error === undefined ? {} : { error }),
    shares: Object.freeze(shares),
  })
}

async function wipe(record: Pick<PatientRecord, 'wipe'>): Promise<boolean> {
  try {
    await record.wipe()
    return true
  } catch {
    return false
  }
}

async function end(
  connection: Revocable,
  signal: AbortSignal | undefined,
): Promise<{ readonly access: Withdrawal['access'][number]; readonly wiped: boolean }> {
  const { id, name } = connection.provider
  const provider = Object.freeze({ id, name })
  try {
    const { server, local, manageUrl } = await orAborted(signal, () =>
      connection.revoke(signal ? { signal } : {}),
    )
    return {
      access: Object.freeze(manageUrl === undefined ? { provider, server } : { provider, server, manageUrl }),
      wiped: local === 'wiped',
    }
  } catch {
    return { access: Object.freeze({ provider, server: 'failed' }), wiped: false }
  }
}

async function tellStudy(
  deliver: Delivery,
  notice: WithdrawalNotice,
  outbox: Pick<Outbox, 'send'> | undefined,
  signal: AbortSignal | undefined,
): Promise<WithdrawnShare> {
  const { digest } = notice
  // A store that is broken must keep nobody from telling the study, now.
  const queued = await outbox?.send(notice, deliver, signal ? { signal } : {}).catch(() => undefined)
  if (queued) {
    const { state, receipt, error } = queued
    return Object.freeze({
      digest,
      status: state === 'acknowledged' || state === 'queued' ? state : 'failed',
      deleted: receipt?.deleted === true,
      ...(receipt === undefined ? {} : { receipt }),
      ...(error === undefined ? {} : { error }),
    })
  }
  try {
    const answer = await orAborted(signal, () => deliver.withdraw(notice, signal ? { signal } : {}))
    const receipt = checkWithdrawalReceipt(answer, notice)
    return Object.freeze({ digest, status: 'acknowledged', deleted: receipt.deleted, receipt })
  } catch (error) {
    const code = isSmartError(error) ? error.code : 'SHARE_UNREACHABLE'
    return Object.freeze({ digest, status: 'failed', deleted: false, error: code })
  }
}
