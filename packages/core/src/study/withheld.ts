/**
 * Why something that was collected is not shared: its data class was not agreed to; it is dated outside the period
 * that was, or has no date; it is of a sensitive category, or a file that may be; the participant left it out.
 */
export type WithheldReason = 'not-agreed' | 'period' | 'undated' | 'sensitive' | 'unreadable' | 'left-out'

/** What was collected but not shared: how much, never what it said. */
export interface Withheld {
  /** What is of several agreed classes counts in the first of them, of several others in each. */
  readonly dataClass: string
  readonly count: number
  readonly reason: WithheldReason
}

/** The reasons that the study hears of: who hears that something was withheld as sensitive has heard of it. */
export const toldReasons: ReadonlySet<WithheldReason> = new Set(['not-agreed', 'period', 'undated'])
