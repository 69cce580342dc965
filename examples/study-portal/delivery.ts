import {
  browserLock,
  type ConsentRecord,
  type Delivery,
  isSmartError,
  type PatientRecord,
  type Share,
  share,
} from '@s4s/browser'
import type { Notebook, Notes } from './notes.js'
import type { Portal } from './portal.js'

/**
 * Shares, and notes it before and after: a delivery that a reload cuts off is known when the page opens again, and
 * the receipt is kept for the day that the participant withdraws.
 */
export function shareAndNote(
  { study, notes, deliver }: Portal,
  records: readonly PatientRecord[],
  options: {
    readonly consent: ConsentRecord
    readonly leaveOut: readonly string[]
    readonly signal: AbortSignal
    readonly onProgress: (progress: { readonly done: number; readonly total: number }) => void
  },
): Promise<Share> {
  const { consent } = options
  const noting: Delivery = {
    ...deliver,
    deliver: async (pack, rest) => {
      await notes.update((before) => ({ ...before, begun: { digest: pack.digest, consent } }))
      return deliver.deliver(pack, rest)
    },
  }
  return alone(async () => {
    const shared = await share(records, { study, deliver: noting, ...options })
    await notes.update((before) => withShare(before, shared))
    return shared
  })
}

/**
 * Ends a delivery that was cut off. Nobody knows whether the study got it, so it is withdrawn: the participant decides
 * again, and nothing is shared twice or unseen. True when there was one and it is settled.
 *
 * @throws SmartError when the study cannot be asked
 */
export function settleCutOff(notes: Notebook, deliver: Delivery): Promise<boolean> {
  // Not while another tab is in the middle of it.
  return alone(async () => {
    await notes.refresh()
    const { begun, participant } = notes.read()
    if (!begun) return false
    const { digest, consent } = begun
    try {
      await deliver.withdraw({
        format: 's4s-withdrawal/1',
        study: consent.study.id,
        participant,
        digest,
        consent: consent.id,
        ask: 'delete',
        at: new Date().toISOString(),
        key: consent.withdrawalKey,
      })
    } catch (error) {
      // The study knows no such package: it never arrived whole.
      if (!(isSmartError(error) && error.status === 404)) throw error
    }
    await notes.update(settled)
    return true
  })
}

const alone = <T>(work: () => Promise<T>): Promise<T> => browserLock()('study-portal/share', work)

function settled({ begun: _over, ...rest }: Notes): Notes {
  return rest
}

// Whoever shares again after a withdrawal takes part again.
function withShare(notes: Notes, shared: Share): Notes {
  const { withdrawal, shares, ...rest } = settled(notes)
  return { ...rest, shares: withdrawal ? [shared] : [...shares, shared] }
}
