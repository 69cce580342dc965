import { type Issue, outcomeText } from './outcome.js'
import type { Stored } from './resource.js'

/** A link of a Bundle. */
export interface Link {
  readonly relation: 'self' | 'next' | 'first'
  readonly url: string
}

/** A resource in a Bundle, and why it is there. */
export interface BundleEntry {
  readonly resource: Stored
  readonly mode: 'match' | 'include'
}

/** What a searchset Bundle is made of. */
export interface Searchset {
  readonly base: string
  readonly total?: number
  readonly links: readonly Link[]
  readonly entries?: readonly BundleEntry[]
  readonly issues?: readonly Issue[]
}

/**
 * The JSON of a searchset Bundle, around the stored text of its resources. The links come first, so
 * that a reader who streams knows the next page before the entries.
 *
 * @see https://hl7.org/fhir/R4/bundle.html#searchset
 */
export function searchsetText({ base, total, links, entries = [], issues = [] }: Searchset): string {
  const parts = entries.map(
    ({ resource, mode }) =>
      `{"fullUrl":${JSON.stringify(`${base}/${resource.type}/${resource.id}`)},"resource":${resource.text},"search":{"mode":"${mode}"}}`,
  )
  if (issues.length > 0) parts.push(`{"resource":${outcomeText(issues)},"search":{"mode":"outcome"}}`)
  const totalText = total === undefined ? '' : `,"total":${total}`
  const link = links.map(({ relation, url }) => ({ relation, url }))
  // FHIR has no empty arrays.
  const entryText = parts.length > 0 ? `,"entry":[${parts.join(',')}]` : ''
  return `{"resourceType":"Bundle","type":"searchset"${totalText},"link":${JSON.stringify(link)}${entryText}}`
}
