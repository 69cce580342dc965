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
  readonly signal?: AbortSignal
  readonly platform?: Pick<Platform, 'clock'>
}

/** What came of a withdrawal, part by part; the same call again does what is left. */
export interface Withdrawal {
  readonly access: readonly {
    readonly provider: { readonly id: string; readonly name: string }
    /** `not-offered`: the provider cannot be told; the participant can, at `manageUrl`, if there is one. */
    readonly server: 'revoked' | 'queued' | 'not-offered' | 'failed'
    readonly manageUrl?: string
  }[]
  readonly study: {
    readonly status: 'acknowledged' | 'failed'
    /** True when the study says that it removed what it held. */
    readonly deleted: boolean
    readonly receipt?: WithdrawalReceipt
    readonly error?: ErrorCode
  }
  readonly local: { readonly status: 'wiped' | 'failed' }
  /** True when nothing is left to do for anyone. */
  readonly complete: boolean
}

/**
 * Withdraws: forgets the records here, ends access at the providers, and tells the study. One part that fails does
 * not stop the others; each is reported, also what an abort left undone.
 *
 * @example const { complete, study } = await withdraw(share, { deliver, connections: await client.connections() })
 */
export async function withdraw(share: Share, options: WithdrawOptions): Promise<Withdrawal> {
  const { deliver, ask = 'delete', connections = [], records = [], signal } = options
  if (typeof deliver?.withdraw !== 'function') throw new TypeError('withdraw needs a delivery')
  if (ask !== 'stop' && ask !== 'delete') throw new TypeError('ask is stop or delete')
  if (typeof share?.consent?.withdrawalKey !== 'string') throw new TypeError('withdraw needs a share')
  const clock = options.platform?.clock ?? ambientClock

  // First what depends on no one.
  const wiped = records.map(wipe).every(Boolean)
  const notice: WithdrawalNotice = {
    format: 's4s-withdrawal/1',
    study: share.study.id,
    participant: share.participant,
    digest: share.digest,
    consent: share.consent.id,
    ask,
    at: new Date(clock.now()).toISOString(),
    key: share.consent.withdrawalKey,
  }
  const [study, ...ended] = await Promise.all([
    tellStudy(deliver, notice, signal),
    ...connections.map((connection) => end(connection, signal)),
  ])
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

function wipe(record: Pick<PatientRecord, 'wipe'>): boolean {
  try {
    record.wipe()
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
  signal: AbortSignal | undefined,
): Promise<Withdrawal['study']> {
  try {
    const answer = await orAborted(signal, () => deliver.withdraw(notice, signal ? { signal } : {}))
    const receipt = checkWithdrawalReceipt(answer, notice)
    return Object.freeze({ status: 'acknowledged', deleted: receipt.deleted, receipt })
  } catch (error) {
    const code = isSmartError(error) ? error.code : 'SHARE_UNREACHABLE'
    return Object.freeze({ status: 'failed', deleted: false, error: code })
  }
}
