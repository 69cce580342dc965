import type { PageEntry, SearchParams } from '../fhir/types.js'
import type { DataClass } from '../plans/plan.js'
import { isObject } from '../util/json.js'

/** The codings of a CodeableConcept or a list of them. */
function codingsOf(value: unknown): Record<string, unknown>[] {
  return [value]
    .flat()
    .filter(isObject)
    .flatMap(({ coding }) => (Array.isArray(coding) ? coding.filter(isObject) : []))
}

// A code is a string; servers write numbers too. Anything else is no code, and need not even have a text.
const codeOf = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : ''

/** The codes that a search asks for, without their systems. */
function askedCodes(value: SearchParams[string]): string[] {
  return value === undefined
    ? []
    : String(value)
        .split(',')
        .map((token) => token.split('|').at(-1) ?? '')
}

const observationCategories = /\/(observation-category|us-core-category)$/

/** True for an observation that names its categories by the codes of the standard, and not the one that was asked for. */
export function isOfAnother({ resource }: PageEntry, { category }: SearchParams): boolean {
  if (resource.resourceType !== 'Observation' || typeof category !== 'string') return false
  const codes = codingsOf((resource as { category?: unknown }).category)
    .filter(({ system }) => typeof system === 'string' && observationCategories.test(system))
    .map(({ code }) => codeOf(code))
  const asked = askedCodes(category)
  return codes.length > 0 && !codes.some((code) => asked.includes(code))
}

/** The classes whose searches ask for a resource like this. */
export function classesOf({ resource }: PageEntry, classes: readonly DataClass[]): readonly DataClass[] {
  const isFor = (search: SearchParams): boolean =>
    (['category', 'code'] as const).every((name) => {
      const wanted = askedCodes(search[name])
      const has = codingsOf((resource as { category?: unknown; code?: unknown })[name])
      return wanted.length === 0 || has.some(({ code }) => wanted.includes(codeOf(code)))
    })
  return classes
    .filter((row) => row.by === undefined && row.type === resource.resourceType)
    .filter((row) => row.searches.length === 0 || row.searches.some(isFor))
}
