import type { Plan } from '../plans/plan.js'
import type { CompletenessStatus } from './completeness.js'
import type { PatientRecord } from './record.js'

/** What came of one class of data, in words for the participant. */
export interface ExplainedClass {
  readonly dataClass: string
  readonly status: CompletenessStatus
  /** True when nothing is missing. */
  readonly whole: boolean
  /** One sentence in English. */
  readonly sentence: string
}

/**
 * Says of each class of a record whether it came, so that a participant can see what a study would get and what not.
 *
 * @example for (const { sentence } of explainRecord(record, plan)) list.append(sentence)
 */
export function explainRecord(record: PatientRecord, plan: Plan): ExplainedClass[] {
  const { name } = record.provider
  return record.completeness.map(({ dataClass, status, count, reason, warnings }) => {
    const says = plan.classes.find((row) => row.name === dataClass)?.says ?? dataClass
    const isFewer = warnings.some(({ code }) => code === 'incomplete')
    const what = endings[status](name, count, reason)
    return Object.freeze({
      dataClass,
      status,
      whole: (status === 'received' || status === 'none') && !isFewer,
      sentence: `${says}: ${what}${isFewer ? ', although it counts more' : ''}.`,
    })
  })
}

const entries = (count: number): string => (count === 1 ? '1 entry' : `${count.toLocaleString('en')} entries`)

const endings: Readonly<
  Record<CompletenessStatus, (name: string, count: number, reason?: string) => string>
> = {
  received: (name, count) => `${entries(count)} from ${name}`,
  none: (name) => `${name} has none`,
  'not-granted': () => 'you did not give access to it',
  refused: (name) => `${name} did not hand it out`,
  'not-supported': (name) => `${name} does not offer it to apps`,
  truncated: (name, count, reason) =>
    reason === 'partly-granted'
      ? `${entries(count)} from ${name}; you gave access to a part of it`
      : `${entries(count)} from ${name}, and some could not be had`,
  failed: (name) => `${name} could not be reached for it; it can be tried again later`,
}
