import type { ResourceType, SearchParams } from '../fhir/types.js'
import { dividedBy } from './split.js'

/**
 * How much further back is asked for than was asked: servers take a while to show what they have, and their clocks are
 * not ours. Milliseconds.
 */
const overlap = 7 * 86_400_000

// Beside those that a long search is divided by.
const others: Partial<Record<ResourceType, string>> = {
  AllergyIntolerance: 'date',
  QuestionnaireResponse: 'authored',
}

const from = (since: Date): string => new Date(since.getTime() - overlap).toISOString()

/** What asks for what changed since. */
export function changedSince(since: Date): SearchParams {
  return { _lastUpdated: `gt${from(since)}` }
}

/**
 * What asks for what is new of a type by its clinical date, where it has one: what was corrected later comes with the
 * next collection of everything.
 */
export function datedSince(type: ResourceType, since: Date): SearchParams {
  const name = dividedBy(type) ?? others[type]
  return name === undefined ? {} : { [name]: `ge${from(since)}` }
}
