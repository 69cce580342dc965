import { appendFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'

/** One line of `audit.ndjson`: what happened to which package. No participant, no health data, no key. */
export interface AuditEvent {
  readonly event:
    | 'opened'
    | 'stored'
    | 'stored-already'
    | 'quarantined'
    | 'withdrawn'
    | 'refused'
    | 'listed'
    | 'failed'
  readonly study?: string
  readonly digest?: string
  /** Why, in a word of the protocol. */
  readonly reason?: string
  readonly resources?: number
  readonly bytes?: number
  /** Further events like it that were not written, so that knocking does not fill the disk. */
  readonly omitted?: number
}

const quiet = 10_000

/** Appends to the audit of a folder. What it records is on the disk by itself, so a failure to append stops nothing. */
export function openAudit(folder: string): (event: AuditEvent) => Promise<void> {
  let writing: Promise<void> = Promise.resolve()
  let lastKnock = Number.NEGATIVE_INFINITY
  let omitted = 0
  return (event) => {
    const now = Date.now()
    const knock = event.reason === 'key'
    if (knock && now - lastKnock < quiet) {
      omitted++
      return writing
    }
    const line = { at: new Date(now).toISOString(), ...event, ...(knock && omitted > 0 ? { omitted } : {}) }
    if (knock) {
      lastKnock = now
      omitted = 0
    }
    writing = writing
      .then(() => mkdir(folder, { recursive: true }))
      .then(() => appendFile(join(folder, 'audit.ndjson'), `${JSON.stringify(line)}\n`, { mode: 0o600 }))
      .catch(() => {})
    return writing
  }
}
