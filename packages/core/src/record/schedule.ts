import type { ResourceType, SearchParams } from '../fhir/types.js'
import type { DataClass, Plan } from '../plans/plan.js'

/** One question to the server, and the data classes that its answer belongs to. */
export interface Query {
  readonly kind: 'read' | 'search'
  readonly type: ResourceType
  /** Without `patient`, which the collection adds. */
  readonly search: SearchParams
  readonly classes: readonly DataClass[]
}

/** What will be asked, in the order of the plan, and what the participant did not grant. */
export interface Schedule {
  readonly queries: readonly Query[]
  readonly notGranted: readonly DataClass[]
}

/**
 * Turns a plan and the granted scopes into queries. A search that two classes share is asked once.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
 */
export function schedule(plan: Plan, scopes: readonly string[], since?: Date): Schedule {
  const granted = grantedTypes(scopes)
  const queries = new Map<string, Query & { classes: DataClass[] }>()
  const notGranted: DataClass[] = []
  for (const row of plan.classes) {
    if (!granted.has('*') && !granted.has(row.type)) {
      notGranted.push(row)
      continue
    }
    const kind = row.type === 'Patient' ? 'read' : 'search'
    const searches = kind === 'read' || row.searches.length === 0 ? [{}] : row.searches
    for (const search of searches) {
      const asked =
        kind === 'search' && since ? { ...search, _lastUpdated: `gt${since.toISOString()}` } : search
      const key = `${row.type} ${JSON.stringify(Object.entries(asked).sort(byKey))}`
      const same = queries.get(key)
      if (same) same.classes.push(row)
      else queries.set(key, { kind, type: row.type, search: asked, classes: [row] })
    }
  }
  return { queries: [...queries.values()], notGranted }
}

// A granular scope (`…?category=…`) grants some of a type: the server decides which, so the type is asked for.
function grantedTypes(scopes: readonly string[]): Set<string> {
  const types = new Set<string>()
  for (const scope of scopes) {
    const match = /^(?:patient|user|system)\/([A-Za-z]{1,64}|\*)\.(read|\*|[cruds]{1,5})(?:\?|$)/.exec(scope)
    if (!match) continue
    const [, type, actions] = match as unknown as [string, string, string]
    if (actions === 'read' || /[rs*]/.test(actions)) types.add(type)
  }
  return types
}

const byKey = ([a]: [string, unknown], [b]: [string, unknown]): number => (a < b ? -1 : a > b ? 1 : 0)
