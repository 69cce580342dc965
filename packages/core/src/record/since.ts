import type { ResourceType, SearchParams } from '../fhir/types.js'
import type { Vendor } from '../vendors/vendor.js'
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

/** The parameters that ask for what is new of a type; the next to try is what follows the one that was refused. */
export function sinceSearch(
  type: ResourceType,
  since: Date,
  refused: (parameter: string) => boolean,
): SearchParams {
  const from = new Date(since.getTime() - overlap).toISOString()
  if (!refused('_lastUpdated')) return { _lastUpdated: `gt${from}` }
  // By its clinical date: what was corrected later comes with the next collection of everything.
  const name = dividedBy(type) ?? others[type]
  return name === undefined || refused(name) ? {} : { [name]: `ge${from}` }
}

/** True where a search by `_lastUpdated` is known to bring everything. */
export function ignoresLastUpdated(vendor: Vendor | undefined): boolean {
  return vendor?.lastUpdated?.value === 'ignored'
}
