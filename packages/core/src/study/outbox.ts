import { type ErrorCode, isSmartError, type SmartError } from '../errors.js'
import type { Platform } from '../ports.js'
import { orAborted } from '../util/abort.js'
import { base64url } from '../util/bytes.js'
import { isObject, parseJson, stringAt } from '../util/json.js'
import { storage } from '../util/storage.js'
import {
  checkWithdrawalReceipt,
  type Delivery,
  type WithdrawalNotice,
  type WithdrawalReceipt,
} from './delivery.js'

/** A notice of withdrawal, and what has come of it so far. Its key is not in here. */
export interface OutboxEntry {
  /** For `dismiss`. */
  readonly id: string
  /**
   * `queued`: the study has not heard yet. `refused`: it will not, until the participant withdraws again; there until
   * it is dismissed. `acknowledged`: it has.
   */
  readonly state: 'queued' | 'refused' | 'acknowledged' | 'dismissed'
  readonly study: string
  readonly participant: string
  /** The consent's id. */
  readonly consent: string
  /** The package's digest. */
  readonly digest: string
  readonly ask: 'stop' | 'delete'
  readonly at: string
  /** How often it was sent. */
  readonly tries: number
  /** Why the last try came to nothing. */
  readonly error?: ErrorCode
  /** The study's word, once it has acknowledged. */
  readonly receipt?: WithdrawalReceipt
}

/** Notices of withdrawal on their way to studies. Each is stored before it is sent, until the study has heard. */
export interface Outbox {
  /**
   * Stores a notice and sends it. Settles with what came of it; an abort or a study that cannot be reached leaves it
   * queued.
   *
   * @throws SmartError `CONFIG_STORAGE_FAILED` when it could not be stored; then it was not sent either
   */
  send(
    notice: WithdrawalNotice,
    deliver: Delivery,
    options?: { readonly signal?: AbortSignal },
  ): Promise<OutboxEntry>
  /**
   * Sends what is queued; to be called when the app starts. In however many tabs and processes that is done at once,
   * each notice is sent by one. A notice for which there is no delivery stays queued.
   *
   * @throws SmartError `CONFIG_STORAGE_FAILED`
   */
  flush(
    deliverOf: (entry: OutboxEntry) => Delivery | undefined,
    options?: { readonly signal?: AbortSignal },
  ): Promise<OutboxEntry[]>
  /** What no study has acknowledged: queued and refused. */
  pending(): Promise<OutboxEntry[]>
  /** Every withdrawal that began here, acknowledged ones too. */
  entries(): Promise<OutboxEntry[]>
  /** Puts a refused notice aside. The consent stays withdrawn. */
  dismiss(id: string): Promise<void>
  /** True when the consent was withdrawn here, whether or not the study has heard. */
  isWithdrawn(consent: string): Promise<boolean>
}

/**
 * Makes an outbox in a store, such as the one that the client keeps its connections in.
 *
 * @example
 * const outbox = createOutbox(client.platform)
 * await withdraw(share, { deliver, outbox })
 */
export function createOutbox(platform: Pick<Platform, 'store' | 'lock'>): Outbox {
  const { store, lock } = platform

  const load = async (id: string): Promise<Stored | undefined> => {
    const text = await storage(() => store.get(prefix + id))
    return text === undefined ? undefined : read(parseJson(text))
  }
  // A change is short and locked by itself, so that a notice is never lost behind a delivery that takes long.
  const change = (
    id: string,
    next: (held: Stored | undefined) => Stored | undefined,
  ): Promise<Stored | undefined> =>
    lock(`${prefix}${id}`, async () => {
      const held = await load(id)
      const changed = next(held)
      if (changed === undefined || changed === held) return held
      await storage(() => store.set(prefix + id, JSON.stringify(changed)))
      return changed
    })

  const all = async (): Promise<Entry[]> => {
    const ids = (await storage(() => store.keys(prefix))).map((key) => key.slice(prefix.length)).sort()
    const found = await Promise.all(ids.map(async (id) => ({ id, stored: await load(id) })))
    return found.filter((one): one is Entry => one.stored !== undefined)
  }

  const deliverOne = async (
    id: string,
    deliver: Delivery,
    signal: AbortSignal | undefined,
  ): Promise<Stored | undefined> =>
    lock(`${prefix}${id}/send`, async () => {
      // Read again: another tab may have sent it while this one waited for its turn.
      const held = await load(id)
      if (held?.state !== 'queued' || held.key === undefined || signal?.aborted) return held
      const notice = noticeOf(held, held.key)
      const after = await outcomeOf(held, notice, deliver, signal)
      // A participant who asks for more meanwhile is not answered by this answer.
      const kept = change(id, (now) => (now?.ask === held.ask && now.state === 'queued' ? after : now))
      // The study's word counts, also where it could not be written down; then the notice is sent once more.
      return after.state === 'acknowledged' ? kept.catch(() => after) : kept
    })

  // Whoever stops waiting leaves it queued.
  const orQueued = async (
    id: string,
    before: Stored,
    signal: AbortSignal | undefined,
    work: () => Promise<Stored | undefined>,
  ): Promise<OutboxEntry> => {
    try {
      return entryOf(id, (await orAborted(signal, work)) ?? before)
    } catch (error) {
      if (signal?.aborted) return entryOf(id, before)
      throw error
    }
  }

  const entries = async (): Promise<OutboxEntry[]> =>
    (await all()).map(({ id, stored }) => entryOf(id, stored))

  return Object.freeze({
    async send(
      notice: WithdrawalNotice,
      deliver: Delivery,
      { signal }: { readonly signal?: AbortSignal } = {},
    ): Promise<OutboxEntry> {
      if (typeof deliver?.withdraw !== 'function') throw new TypeError('a notice needs a delivery')
      const fresh = read({ ...notice, format: 1, state: 'queued', tries: 0 })
      if (fresh?.key === undefined) throw new TypeError('that is no notice of withdrawal')
      const id = idOf(fresh)
      const queued = (await change(id, (held) => (held && says(held, fresh) ? held : fresh))) ?? fresh
      if (queued.state !== 'queued') return entryOf(id, queued)
      return orQueued(id, queued, signal, () => deliverOne(id, deliver, signal))
    },

    async flush(
      deliverOf: (entry: OutboxEntry) => Delivery | undefined,
      { signal }: { readonly signal?: AbortSignal } = {},
    ): Promise<OutboxEntry[]> {
      const flushed: OutboxEntry[] = []
      for (const { id, stored } of await all()) {
        if (stored.state !== 'queued') continue
        const deliver = deliverOf(entryOf(id, stored))
        flushed.push(
          deliver
            ? await orQueued(id, stored, signal, () => deliverOne(id, deliver, signal))
            : entryOf(id, stored),
        )
      }
      return flushed
    },

    pending: async (): Promise<OutboxEntry[]> =>
      (await entries()).filter(({ state }) => state === 'queued' || state === 'refused'),

    entries,

    async dismiss(id: string): Promise<void> {
      await change(id, (held) =>
        held?.state === 'refused' ? { ...withoutKey(held), state: 'dismissed' } : held,
      )
    },

    async isWithdrawn(consent: string): Promise<boolean> {
      if (typeof consent !== 'string') throw new TypeError('consent is not the id of a consent')
      return (await storage(() => store.keys(`${prefix}${folderOf(consent)}`))).length > 0
    },
  } satisfies Outbox)
}

const prefix = 'outbox/'

/** An entry as it is stored; the key goes when the notice has nothing left to prove. */
interface Stored extends Omit<OutboxEntry, 'id'> {
  readonly format: 1
  readonly key?: string
}

interface Entry {
  readonly id: string
  readonly stored: Stored
}

// Encoded, so that no consent's id can reach into another's folder.
const folderOf = (consent: string): string => `${base64url(new TextEncoder().encode(consent))}/`
const idOf = ({ consent, digest }: Stored): string => `${folderOf(consent)}${digest}`

const states = ['queued', 'refused', 'acknowledged', 'dismissed'] as const

// What another version has written, or a bad disk, is passed over; its name still says that the consent is withdrawn.
function read(value: unknown): Stored | undefined {
  if (!isObject(value) || value.format !== 1) return undefined
  const text = (name: string): string => stringAt(value, name) ?? ''
  const state = states.find((one) => one === value.state)
  const { ask, tries, receipt } = value
  const [study, participant, consent, digest, at] = [
    ...[text('study'), text('participant'), text('consent')],
    ...[text('digest'), text('at')],
  ]
  if (!state || !study || !participant || !consent || !at) return undefined
  if (!/^[0-9a-f]{64}$/.test(digest ?? '') || (ask !== 'stop' && ask !== 'delete')) return undefined
  const stored = { study, participant, consent, digest: digest as string, ask, at } as const
  const [key, error] = [stringAt(value, 'key'), stringAt(value, 'error')]
  return {
    format: 1,
    state,
    ...stored,
    tries: Number.isSafeInteger(tries) ? (tries as number) : 0,
    ...(key === undefined ? {} : { key }),
    ...(error === undefined ? {} : { error: error as ErrorCode }),
    ...(isReceipt(receipt) ? { receipt } : {}),
  }
}

const isReceipt = (value: unknown): value is WithdrawalReceipt =>
  isObject(value) &&
  ['id', 'digest', 'at'].every((name) => stringAt(value, name) !== undefined) &&
  typeof value.deleted === 'boolean'

/** True when what is held says as much as what is new, and nobody has to send it again. */
function says(held: Stored, fresh: Stored): boolean {
  const asMuch = fresh.ask === 'stop' || held.ask === 'delete'
  if (held.state === 'queued') return asMuch
  return held.state === 'acknowledged' && asMuch && (fresh.ask === 'stop' || held.receipt?.deleted === true)
}

function noticeOf(held: Stored, key: string): WithdrawalNotice {
  const { study, participant, digest, consent, ask, at } = held
  return { format: 's4s-withdrawal/1', study, participant, digest, consent, ask, at, key }
}

async function outcomeOf(
  held: Stored,
  notice: WithdrawalNotice,
  deliver: Delivery,
  signal: AbortSignal | undefined,
): Promise<Stored> {
  try {
    const answer = await deliver.withdraw(notice, signal ? { signal } : {})
    return acknowledged(held, checkWithdrawalReceipt(answer, notice))
  } catch (error) {
    return signal?.aborted ? held : failed(held, error)
  }
}

function acknowledged(held: Stored, receipt: WithdrawalReceipt): Stored {
  const { error: _error, ...rest } = withoutKey(held)
  return { ...rest, state: 'acknowledged', tries: held.tries + 1, receipt }
}

function failed(held: Stored, error: unknown): Stored {
  const code = isSmartError(error) ? error.code : 'SHARE_UNREACHABLE'
  const state = isSmartError(error) && isForGood(error) ? 'refused' : 'queued'
  return { ...held, state, tries: held.tries + 1, error: code }
}

// The study knows of no such package, or does not believe that it was this participant's. Anything else, also a page
// that a network puts before its log-in, says nothing about the notice.
const isForGood = ({ code, reason }: SmartError): boolean =>
  code === 'SHARE_REFUSED' && (reason === 'not-found' || reason === 'forbidden')

function withoutKey({ key: _key, ...rest }: Stored): Stored {
  return rest
}

function entryOf(id: string, stored: Stored): OutboxEntry {
  const { format: _format, ...entry } = withoutKey(stored)
  return Object.freeze({ id, ...entry })
}
