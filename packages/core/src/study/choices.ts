import type { Period } from './dated.js'
import type { Terms } from './select.js'
import { type SensitiveCategory, sensitiveCategories } from './sensitive.js'
import { isDay, type Study } from './study.js'

/** What a participant chooses of what a study asks for. */
export interface Choices {
  /** Default: everything in the study's plan. */
  readonly dataClasses?: readonly string[]
  /** Only what is dated within these days. Default: as far back as the study looks. */
  readonly period?: Period
  /** Ids of sensitive categories that are not shared. Default: none. */
  readonly withhold?: readonly string[]
}

/**
 * The data classes that were chosen, in the order of the study's plan.
 *
 * @throws TypeError for one that the study does not ask for
 */
export function chosenClasses(study: Study, wanted: readonly string[] | undefined): readonly string[] {
  const planned = study.plan.classes.map((row): string => row.name)
  const chosen = new Set<string>(wanted ?? planned)
  const unknown = [...chosen].find((name) => !planned.includes(name))
  if (unknown !== undefined) throw new TypeError(`the study does not ask for ${unknown}`)
  if (chosen.size === 0) throw new TypeError('a consent covers at least one data class')
  return planned.filter((name) => chosen.has(name))
}

/**
 * The period that was chosen, no longer than the study looks back from now.
 *
 * @throws TypeError when it is none
 */
export function chosenPeriod(study: Study, wanted: Period | undefined, now: number): Period | undefined {
  if (wanted !== undefined && !isPeriod(wanted))
    throw new TypeError('period is not of days such as 2020-01-31, in order')
  const lookBack = study.lookBackYears === undefined ? undefined : yearsBefore(now, study.lookBackYears)
  const start = [wanted?.start, lookBack]
    .filter((day) => day !== undefined)
    .sort()
    .at(-1)
  if (start !== undefined && wanted?.end !== undefined && start > wanted.end)
    throw new TypeError('the period ends before the study begins to look')
  if (start === undefined && wanted?.end === undefined) return undefined
  return {
    ...(start === undefined ? {} : { start }),
    ...(wanted?.end === undefined ? {} : { end: wanted.end }),
  }
}

/** A period, no longer than the study looks back from when the consent was given, whatever it said then. */
export function withinLookBack(study: Study, given: Period | undefined, givenAt: number): Period | undefined {
  if (study.lookBackYears === undefined) return given
  const earliest = yearsBefore(givenAt, study.lookBackYears)
  return { ...given, start: given?.start !== undefined && given.start > earliest ? given.start : earliest }
}

/** The ids of the categories that were chosen, in their order. @throws TypeError for one that there is not */
export function chosenCategories(wanted: readonly string[] | undefined): readonly string[] | undefined {
  if (wanted === undefined || wanted.length === 0) return undefined
  const unknown = wanted.find((id) => !sensitiveCategories.some((row) => row.id === id))
  if (unknown !== undefined) throw new TypeError(`there is no sensitive category ${unknown}`)
  return sensitiveCategories.map(({ id }) => id).filter((id) => wanted.includes(id))
}

/** True for what can be a period: one or two days, in order. */
export function isPeriod(value: unknown): value is Period {
  if (typeof value !== 'object' || value === null) return false
  const { start, end } = value as Period
  if (start === undefined && end === undefined) return false
  return (
    [start, end].every((day) => day === undefined || isDay(day)) &&
    !(start !== undefined && end !== undefined && start > end)
  )
}

/** What the choices of a participant, held against a study, allow to be shared. */
export function termsOf(study: Study, choices: Choices, leaveOut: readonly string[], now?: number): Terms {
  const ids = chosenCategories(choices.withhold) ?? []
  const period = now === undefined ? choices.period : chosenPeriod(study, choices.period, now)
  return {
    classes: new Set(chosenClasses(study, choices.dataClasses)),
    ...(period === undefined ? {} : { period }),
    withhold: sensitiveCategories.filter((row): row is SensitiveCategory => ids.includes(row.id)),
    leaveOut: new Set(leaveOut),
    removes: study.removes ?? [],
  }
}

function yearsBefore(now: number, years: number): string {
  const date = new Date(now)
  date.setUTCFullYear(date.getUTCFullYear() - years)
  return date.toISOString().slice(0, 10)
}
