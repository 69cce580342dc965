import { isSmartError } from '@s4s/core'
import type { JobReason } from './queue.js'

/** How a job ended. */
export type Ending =
  | { readonly kind: 'done'; readonly outcome: 'shared' | 'nothing-new' | 'refreshed' | 'no-consent' }
  | { readonly kind: 'reconnect'; readonly code: string }
  | { readonly kind: 'retry' | 'dead'; readonly reason: JobReason }
  /** It is done later, and this time does not count. */
  | { readonly kind: 'back'; readonly seconds: number }
  /** It is in another hand. */
  | { readonly kind: 'lost' }

/** The reason for which a job is given up for now. */
export class HandBack extends Error {
  readonly seconds: number
  constructor(seconds: number) {
    super('the job is handed back')
    this.name = 'HandBack'
    this.seconds = seconds
  }
}

/** The reason of a job that another worker has taken. */
export class Lost extends Error {
  constructor() {
    super('the job is in another hand')
    this.name = 'Lost'
  }
}

/** What an error means for the job that it ended. */
export function endingOf(error: unknown): Ending {
  // What else is thrown is the app's own, and may say anything.
  if (!isSmartError(error)) return { kind: 'retry', reason: { code: 'ERROR' } }
  const { code, remedy, status } = error
  if (remedy === 'reconnect') return { kind: 'reconnect', code }
  if (code === 'SHARE_NOTHING') return { kind: 'done', outcome: 'nothing-new' }
  if (code === 'SHARE_CONSENT_INVALID' || code === 'SHARE_WITHDRAWN')
    return { kind: 'done', outcome: 'no-consent' }
  const reason: JobReason = {
    code,
    ...(error.reason === undefined ? {} : { reason: error.reason }),
    ...(status === undefined ? {} : { status }),
  }
  // A database that is being started anew is no setting that somebody has to change.
  return { kind: remedy === 'retry' || code === 'CONFIG_STORAGE_FAILED' ? 'retry' : 'dead', reason }
}
