import { createHash } from 'node:crypto'
import {
  type ConsentRecord,
  type Platform,
  readConsent,
  readShare,
  type Share,
  SmartError,
  type Study,
} from '@s4s/core'
import { isObject, parseJson } from '../json.js'

/** What one participant has shared, and a consent whose sharing has not come to its end. */
export interface Ledger {
  readonly shares: readonly Entry[]
  readonly begun?: { readonly asked: string; readonly consent: ConsentRecord }
}

export interface Entry {
  /** What was asked for when it was shared, as a digest: the same again is answered with the same share. */
  readonly asked: string
  readonly share: Share
}

/** The ledgers of all participants for one study, in the store that keeps the connections. */
export interface Ledgers {
  read(participant: string): Promise<Ledger>
  /** Runs `work` with what is there, while nobody else does for this participant. */
  change<T>(
    participant: string,
    work: (held: Ledger, write: (next: Ledger) => Promise<void>) => Promise<T>,
  ): Promise<T>
}

/** Holds withdrawal keys, which the store encrypts as it does tokens. Keys of the store do not say who it is. */
export function createLedgers({ store, lock }: Pick<Platform, 'store' | 'lock'>, study: Study): Ledgers {
  const keyOf = (participant: string): string =>
    `custody/${createHash('sha256')
      .update(JSON.stringify([study.id, participant]))
      .digest('base64url')}`
  const read = async (participant: string): Promise<Ledger> =>
    ledgerOf(await storage(() => store.get(keyOf(participant))), study)
  return Object.freeze({
    read,
    change: <T>(
      participant: string,
      work: (held: Ledger, write: (next: Ledger) => Promise<void>) => Promise<T>,
    ) => {
      const key = keyOf(participant)
      const write = (next: Ledger): Promise<void> =>
        storage(() =>
          next.shares.length === 0 && !next.begun ? store.delete(key) : store.set(key, JSON.stringify(next)),
        )
      return lock(key, async () => work(await read(participant), write))
    },
  } satisfies Ledgers)
}

// A share that is damaged is an error and not passed over: with it the key to withdraw would be lost unnoticed.
function ledgerOf(text: string | undefined, study: Study): Ledger {
  if (text === undefined) return { shares: [] }
  const value = parseJson(text)
  if (!isObject(value) || !Array.isArray(value.shares))
    throw new SmartError('CONFIG_STORAGE_FAILED', 'what was stored of the shares is damaged')
  const shares = value.shares.map((one: unknown) => {
    const { asked, share } = isObject(one) ? one : {}
    return { asked: String(asked), share: readShare(share) }
  })
  const begun = begunOf(value.begun, study)
  return begun ? { shares, begun } : { shares }
}

function begunOf(value: unknown, study: Study): Ledger['begun'] {
  if (!isObject(value) || typeof value.asked !== 'string') return undefined
  try {
    return { asked: value.asked, consent: readConsent(value.consent, study) }
  } catch {
    // It has ended, or the study asks for something else by now: the participant's word is recorded anew.
    return undefined
  }
}

async function storage<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw new SmartError('CONFIG_STORAGE_FAILED', 'the store did not answer', { cause })
  }
}
