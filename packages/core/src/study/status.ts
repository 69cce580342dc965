import { explainDuration, type Granted } from '../grant.js'
import type { Plan } from '../plans/plan.js'
import { type ExplainedClass, explainRecord } from '../record/explain.js'
import type { PatientRecord } from '../record/record.js'
import type { OutboxEntry } from './outbox.js'
import type { Share } from './share.js'
import type { Study } from './study.js'
import type { Withdrawal } from './withdraw.js'

/** A connection, as far as its status needs to know it. */
export interface ConnectionState extends Pick<Granted, 'access' | 'accessReason'> {
  readonly id: string
  readonly provider: { readonly id: string; readonly name: string }
  readonly status: 'active' | 'expired' | 'ended'
  readonly connectedAt: Date
  readonly expiresAt?: Date
  readonly manageUrl?: string
}

export interface StatusOptions {
  readonly study: Study
  /** `await client.connections()`. */
  readonly connections: readonly ConnectionState[]
  /** What was shared; shares with other studies are passed over. */
  readonly shares: readonly Share[]
  /** The latest record of each connection, where the app has it. */
  readonly records?: readonly PatientRecord[]
  /** What came of earlier withdrawals. */
  readonly withdrawals?: readonly Withdrawal[]
  /** `await outbox.entries()`. */
  readonly outbox?: readonly OutboxEntry[]
  /** `await client.finishRevocations()`: what is still queued, and what no longer is. */
  readonly revocations?: readonly { readonly provider: string; readonly server: string }[]
  /** When the participant's approval at a provider ends, where the app knows: no server says it to apps. */
  readonly approvedUntil?: (connection: ConnectionState) => Date | undefined
  readonly now: Date
  /** What ends within so many days ends soon. Default 30. */
  readonly soonDays?: number
}

/**
 * What a participant may want to do something about.
 *
 * - `reconnect`: nothing more comes from a provider until they sign in there again
 * - `approval-ends-soon`: that will be so
 * - `revocation-queued`: the provider has not heard yet that access is to end
 * - `end-at-provider`: it cannot be told; the participant can, at `url`, if there is one
 * - `withdrawal-not-heard`: the study has not heard yet
 * - `withdrawal-refused`: it says that there is nothing of this participant's to withdraw
 * - `consent-ends-soon`, `consent-ended`
 */
export type AttentionKind =
  | 'reconnect'
  | 'approval-ends-soon'
  | 'revocation-queued'
  | 'end-at-provider'
  | 'withdrawal-not-heard'
  | 'withdrawal-refused'
  | 'consent-ends-soon'
  | 'consent-ended'

export interface Attention {
  readonly kind: AttentionKind
  /** One sentence in English for the participant. */
  readonly sentence: string
  readonly url?: string
}

/** One provider. */
export interface ProviderStatus {
  readonly provider: { readonly id: string; readonly name: string }
  /** The connection's id; absent for a provider that is connected no more. */
  readonly connection?: string
  /** `disconnected`: access was ended here. */
  readonly state: 'active' | 'expired' | 'ended' | 'disconnected'
  readonly since?: Date
  readonly until?: Date
  readonly lastCollected?: Date
  /** What the last record held, class by class; empty without the record. */
  readonly classes: readonly ExplainedClass[]
  /** How long access lasts, in words for the participant. */
  readonly duration: string
  readonly attention: readonly Attention[]
}

/** One package, and what has become of it. */
export interface SharedStatus {
  /** The package's digest. */
  readonly digest: string
  /** The receipt's id. */
  readonly receipt: string
  readonly sharedAt: Date
  /** Who gets to see it. */
  readonly recipients: readonly string[]
  /** Until when the consent covers it; open when absent. */
  readonly until?: Date
  readonly from: readonly {
    readonly provider: { readonly id: string; readonly name: string }
    readonly collectedAt: Date
    readonly classes: readonly { readonly dataClass: string; readonly says: string; readonly count: number }[]
  }[]
  /** Resources of all kinds. */
  readonly resources: number
  /** `stopped`: the study keeps it and takes no more. */
  readonly state: 'shared' | 'withdrawing' | 'stopped' | 'deleted' | 'refused'
  /** One sentence in English for the participant. */
  readonly sentence: string
  readonly attention: readonly Attention[]
}

/** What a participant has connected and shared, and what needs them. Plain data, to be shown. */
export interface Status {
  readonly study: { readonly id: string; readonly title: string }
  readonly providers: readonly ProviderStatus[]
  /** The latest first. */
  readonly shares: readonly SharedStatus[]
  /** All that needs attention, once each. */
  readonly attention: readonly Attention[]
}

/**
 * Puts together what a status page shows. Asks nobody anything.
 *
 * @example
 * const { outbox } = client
 * statusOf({ study, shares, connections: await client.connections(), outbox: await outbox.entries(), now: new Date() })
 */
export function statusOf(options: StatusOptions): Status {
  const { study, now } = options
  if (!(now instanceof Date) || Number.isNaN(now.getTime())) throw new TypeError('now is not a date')
  const providers = [
    ...options.connections.map((connection) => connected(connection, options)),
    ...disconnected(options),
  ]
  const shares = options.shares
    .filter((share) => share.study.id === study.id)
    .sort((a, b) => Date.parse(b.sharedAt) - Date.parse(a.sharedAt))
    .map((share) => shared(share, options))
  const all = [...providers, ...shares].flatMap(({ attention }) => attention)
  return Object.freeze({
    study: Object.freeze({ id: study.id, title: study.title }),
    providers: Object.freeze(providers),
    shares: Object.freeze(shares),
    attention: Object.freeze([...new Map(all.map((one) => [`${one.kind} ${one.sentence}`, one])).values()]),
  })
}

function connected(connection: ConnectionState, options: StatusOptions): ProviderStatus {
  const { id, provider, status, access, accessReason, expiresAt, connectedAt } = connection
  const record = latest(options.records?.filter((one) => one.connection === id))
  const collected = record?.collectedAt ?? lastShared(id, options)
  const approved = options.approvedUntil?.(connection)
  const until = access === 'once' ? expiresAt : approved
  return Object.freeze({
    provider: Object.freeze({ id: provider.id, name: provider.name }),
    connection: id,
    state: status,
    since: connectedAt,
    ...(until === undefined ? {} : { until }),
    ...(collected === undefined ? {} : { lastCollected: collected }),
    classes: Object.freeze(record ? explainRecord(record, options.study.plan as Plan) : []),
    duration: explainDuration({ provider, accessReason }),
    attention: Object.freeze(
      accessAttention(connection, approved, options).filter((one) => one !== undefined),
    ),
  })
}

function accessAttention(
  { provider, status, access, accessReason, manageUrl }: ConnectionState,
  approved: Date | undefined,
  { now, soonDays, study }: StatusOptions,
): (Attention | undefined)[] {
  const over = approved !== undefined && approved <= now
  // One-time access that was asked for has served its purpose when it is over.
  const lapsed = status === 'expired' && (accessReason !== 'not-requested' || study.sharing === 'ongoing')
  if (status === 'ended' || lapsed || (over && access === 'ongoing'))
    return [
      attention('reconnect', `Sign in at ${provider.name} again: nothing more comes from there until then.`),
    ]
  if (access === 'once' || approved === undefined || !isSoon(approved, now, soonDays)) return []
  const sentence = `What you allowed at ${provider.name} ends on ${day(approved)}; sign in there again to go on.`
  return [attention('approval-ends-soon', sentence, manageUrl)]
}

// Providers whose access was ended here, and that did not hear of it, or may not have.
function disconnected({
  withdrawals = [],
  revocations,
  connections,
}: StatusOptions): readonly ProviderStatus[] {
  const rows = new Map<string, ProviderStatus>()
  for (const { access } of withdrawals) {
    for (const { provider, server, manageUrl } of access) {
      // What was queued and is no longer in the list has been told since.
      const later = revocations?.findLast((one) => one.provider === provider.id)?.server
      const now = later ?? (revocations !== undefined && server === 'queued' ? 'revoked' : server)
      const open = revocationAttention(provider.name, now, manageUrl)
      rows.set(
        provider.id,
        Object.freeze({
          provider: Object.freeze({ id: provider.id, name: provider.name }),
          state: 'disconnected',
          classes: Object.freeze([]),
          duration: `Access to ${provider.name} was ended here.`,
          attention: Object.freeze(open ? [open] : []),
        }),
      )
    }
  }
  for (const { provider } of connections) {
    const row = rows.get(provider.id)
    // Connected anew: the row of its connection says the rest.
    if (row?.attention.length === 0) rows.delete(provider.id)
  }
  return [...rows.values()]
}

function revocationAttention(name: string, server: string, url: string | undefined): Attention | undefined {
  if (server === 'revoked') return undefined
  if (server === 'queued')
    return attention(
      'revocation-queued',
      `${name} could not be told yet that access is to end; it is told as soon as it can be reached.`,
      url,
    )
  const where = url === undefined ? 'in its patient portal' : 'on its own page for apps'
  return attention(
    'end-at-provider',
    `Access is ended here; to end it at ${name} as well, do so ${where}.`,
    url,
  )
}

function shared(share: Share, options: StatusOptions): SharedStatus {
  const { study, now, soonDays } = options
  const { title } = share.study
  const { state, at } = stateOf(share, options)
  const ends = share.consent.expiresAt === undefined ? undefined : new Date(share.consent.expiresAt)
  const open: (Attention | false | undefined)[] = [
    state === 'withdrawing' &&
      attention(
        'withdrawal-not-heard',
        `${title} has not heard yet that you withdrew; it is told as soon as it can be reached.`,
      ),
    state === 'refused' &&
      attention(
        'withdrawal-refused',
        `${title} did not accept the withdrawal; ${study.contact === undefined ? 'ask the study' : `ask ${study.contact}`}.`,
      ),
    state === 'shared' && ends !== undefined && consentAttention(title, ends, now, soonDays),
  ]
  return Object.freeze({
    digest: share.digest,
    receipt: share.receipt.id,
    sharedAt: new Date(share.sharedAt),
    recipients: Object.freeze(share.consent.recipients?.map(({ name }) => name) ?? [title]),
    ...(ends === undefined ? {} : { until: ends }),
    from: Object.freeze((share.sources ?? []).map((source) => fromOf(source, study))),
    resources: share.receipt.resources,
    state,
    sentence: sentences[state](title, share, at),
    attention: Object.freeze(open.filter((one) => one !== false && one !== undefined)),
  })
}

const sentences: Readonly<
  Record<SharedStatus['state'], (title: string, share: Share, at: Date | undefined) => string>
> = {
  shared: (title, { receipt, sharedAt }) =>
    `${entries(receipt.resources)} went to ${title} on ${day(new Date(sharedAt))}.`,
  withdrawing: (title) => `You withdrew what went to ${title}; it has not answered yet.`,
  stopped: (title, _share, at) => `${title} takes nothing more${dated('since', at)}, and keeps what it has.`,
  deleted: (title, _share, at) => `${title} removed it${dated('on', at)}.`,
  refused: (title) => `${title} did not accept the withdrawal.`,
}

const dated = (word: string, at: Date | undefined): string => (at === undefined ? '' : ` ${word} ${day(at)}`)

function stateOf(
  share: Share,
  { outbox = [], withdrawals = [] }: StatusOptions,
): { readonly state: SharedStatus['state']; readonly at?: Date } {
  const own = outbox.find(({ digest }) => digest === share.digest)
  const told = withdrawals
    .flatMap(({ study }) => study.shares ?? [])
    .findLast(({ digest }) => digest === share.digest)
  const receipt = own?.receipt ?? told?.receipt
  const at = receipt === undefined ? undefined : new Date(receipt.at)
  const when = at === undefined || Number.isNaN(at.getTime()) ? {} : { at }
  // The outbox goes on after a withdrawal has been reported, so its word is the later one.
  const state = own?.state ?? told?.status
  if (state === 'acknowledged') return { state: receipt?.deleted === true ? 'deleted' : 'stopped', ...when }
  if (state === 'refused' || state === 'dismissed') return { state: 'refused' }
  if (state !== undefined) return { state: 'withdrawing' }
  return { state: outbox.some(({ consent }) => consent === share.consent.id) ? 'stopped' : 'shared' }
}

function consentAttention(
  title: string,
  ends: Date,
  now: Date,
  soonDays: number | undefined,
): Attention | undefined {
  if (ends <= now)
    return attention(
      'consent-ended',
      `Your consent to ${title} ended on ${day(ends)}; nothing more is shared.`,
    )
  if (!isSoon(ends, now, soonDays)) return undefined
  return attention('consent-ends-soon', `Your consent to ${title} ends on ${day(ends)}.`)
}

function fromOf(source: NonNullable<Share['sources']>[number], study: Study): SharedStatus['from'][number] {
  const classes = source.counts.map(({ dataClass, count }) => {
    const says = study.plan.classes.find((row) => row.name === dataClass)?.says ?? dataClass
    return Object.freeze({ dataClass, says, count })
  })
  return Object.freeze({
    provider: source.provider,
    collectedAt: new Date(source.collectedAt),
    classes: Object.freeze(classes),
  })
}

// What an app that keeps no records knows of the last collection: what was shared of it.
function lastShared(connection: string, { shares }: StatusOptions): Date | undefined {
  const times = shares
    .flatMap(({ sources = [] }) => sources)
    .filter((source) => source.connection === connection)
    .map(({ collectedAt }) => Date.parse(collectedAt))
    .filter((time) => !Number.isNaN(time))
  return times.length === 0 ? undefined : new Date(Math.max(...times))
}

function latest(records: readonly PatientRecord[] = []): PatientRecord | undefined {
  return [...records].sort((a, b) => b.collectedAt.getTime() - a.collectedAt.getTime())[0]
}

function attention(kind: AttentionKind, sentence: string, url?: string): Attention {
  return Object.freeze(url === undefined ? { kind, sentence } : { kind, sentence, url })
}

const isSoon = (at: Date, now: Date, days = 30): boolean => at.getTime() - now.getTime() < days * 86_400_000
const day = (date: Date): string =>
  date.toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric', timeZone: 'UTC' })
const entries = (count: number): string => (count === 1 ? '1 entry' : `${count.toLocaleString('en')} entries`)
