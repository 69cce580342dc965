import type { BrowserClient, Choices, Connection, Delivery, PatientRecord, Study } from '@s4s/browser'
import type { Notebook } from './notes.js'

export type StepName = 'connect' | 'collect' | 'review' | 'share' | 'receipt' | 'withdraw'

/** All that a step works with. */
export interface Portal {
  readonly study: Study
  readonly smart: BrowserClient
  readonly deliver: Delivery
  readonly notes: Notebook
  /** The records of this visit, by the id of their connection. In memory only. */
  readonly records: Map<string, PatientRecord>
  /** What was shared in this visit, as a ZIP for the participant to keep. In memory only. */
  copy?: Blob | undefined
  /** What went wrong on the way here, until the participant has seen it. */
  problem?: unknown
  /** True when a reload had cut off sharing, until the participant has seen it. */
  cutOff: boolean
  /** The step to go on with after collecting, when a reload had emptied `records`. */
  resume?: StepName
  go(step: StepName): void
}

/** One page of the portal. */
export interface Step {
  readonly name: StepName
  /** Its name in the list of steps. */
  readonly label: string
  /** The step to show in its place, when something must come first. */
  before?(portal: Portal, connections: readonly Connection[]): StepName | undefined
  /** Its content. The signal aborts when the participant goes elsewhere. */
  render(portal: Portal, connections: readonly Connection[], signal: AbortSignal): readonly Node[]
}

/** The data classes that will be shared. */
export function chosen({ study, notes }: Portal): string[] {
  const { leftOut } = notes.read()
  return study.plan.classes.map(({ name }) => name).filter((name) => !leftOut.includes(name))
}

/** What the participant chose, as `review` and `recordConsent` take it. */
export function choicesOf(portal: Portal): Choices {
  const { years, withhold } = portal.notes.read()
  return {
    dataClasses: chosen(portal),
    withhold,
    ...(years === undefined ? {} : { period: { start: yearsAgo(years) } }),
  }
}

function yearsAgo(years: number): string {
  const day = new Date()
  day.setUTCFullYear(day.getUTCFullYear() - years)
  return day.toISOString().slice(0, 10)
}

/** The records of this visit, in the order of the hospitals. */
export function recordsOf({ smart, records }: Portal): PatientRecord[] {
  const order = smart.providers.map(({ id }) => id)
  return [...records.values()].sort(
    (one, other) => order.indexOf(one.provider.id) - order.indexOf(other.provider.id),
  )
}

/** Forgets the records of this visit. */
export function forgetRecords({ records }: Portal): void {
  for (const record of records.values()) record.wipe()
  records.clear()
}
