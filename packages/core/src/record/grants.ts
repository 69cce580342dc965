import type { SearchParams } from '../fhir/types.js'

/** What of a type the participant granted: all, nothing, or what has certain values. */
export type Grant = 'all' | 'none' | readonly Readonly<Record<string, string>>[]

const form = /^(?:patient|user|system)\/([A-Za-z]{1,64}|\*)\.(read|\*|[cruds]{1,5})(?:\?(.{0,2000}))?$/

/** What the scopes grant of a type, to be read. */
export function grantOf(scopes: readonly string[], type: string): Grant {
  const some: Record<string, string>[] = []
  for (const scope of scopes) {
    const [, granted, actions = '', query] = form.exec(scope) ?? []
    if (granted !== type && granted !== '*') continue
    if (actions !== 'read' && !/[rs*]/.test(actions)) continue
    if (!query || granted === '*') return 'all'
    some.push(Object.fromEntries(new URLSearchParams(query)))
  }
  return some.length > 0 ? some : 'none'
}

/**
 * A search as a grant allows it: unchanged, once for each value that was granted, or not at all. What was granted in
 * part may only be asked for by what it was granted by; servers refuse or cut short anything wider.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#finer-grained-resource-constraints-using-search-parameters
 */
export function narrowed(search: SearchParams, grant: Grant): { searches: SearchParams[]; whole: boolean } {
  if (grant === 'all') return { searches: [search], whole: true }
  if (grant === 'none') return { searches: [], whole: false }
  if (grant.some((one) => Object.entries(one).every(([name, value]) => isSame(search[name], value))))
    return { searches: [search], whole: true }
  const searches = grant
    .filter((one) =>
      Object.entries(one).every(([name, value]) => search[name] === undefined || isSame(search[name], value)),
    )
    .map((one) => ({ ...one, ...search }))
  return { searches, whole: false }
}

// By the code alone: servers and versions of US Core write the systems of the same categories differently.
function isSame(asked: unknown, granted: string): boolean {
  const code = (token: string): string => token.slice(token.lastIndexOf('|') + 1)
  return typeof asked === 'string' && code(asked) === code(granted)
}
