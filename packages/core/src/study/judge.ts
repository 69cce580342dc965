import type { PatientRecord } from '../record/record.js'
import { isObject, parseJson, stringAt } from '../util/json.js'
import { datedWithin } from './dated.js'
import { itemKey } from './item-key.js'
import { referencesIn } from './references.js'
import type { Terms } from './select.js'
import { sensitivityOf } from './sensitive.js'
import { toldReasons, type WithheldReason } from './withheld.js'

/** What is withheld of a record, and why. */
export interface Verdicts {
  /** By `Type/id`, of the agreed classes. */
  readonly reasons: ReadonlyMap<string, WithheldReason>
  /** The places of the same among the lines of each type. */
  readonly places: ReadonlyMap<string, ReadonlySet<number>>
  /** `Type/id` of what nothing that is shared may point to: its being there would tell of it. */
  readonly gone: ReadonlySet<string>
}

const nothing: Verdicts = { reasons: new Map(), places: new Map(), gone: new Set() }

/** Judges records together; of their size only what they point to and what is withheld is remembered. */
export function judged(records: readonly PatientRecord[], terms: Terms): readonly Verdicts[] {
  const { period, withhold, leaveOut } = terms
  if (!period && withhold.length === 0 && leaveOut.size === 0) return records.map(() => nothing)
  const nodes = graphOf(records, terms)
  const sensitive = withhold.length === 0 ? new Set<string>() : spread(nodes)
  return records.map((record) => verdictsOf(record, terms, nodes, sensitive))
}

/** What of a resource others need to know. */
interface Node {
  readonly sensitive: boolean
  /** Names of all that it points to. */
  readonly references: readonly string[]
  /** Of these, what it is made of. */
  readonly parts: readonly string[]
}

/** All resources of each server, also of classes that are not shared, by `iss` and `Type/id`. */
type Graph = ReadonlyMap<string, Node>

const nameOf = (record: PatientRecord, key: string): string =>
  `${record.provider.iss.replace(/\/$/, '')} ${key}`

function graphOf(records: readonly PatientRecord[], { withhold }: Terms): Graph {
  const isSensitive = sensitivityOf(withhold)
  const nodes = new Map<string, Node>()
  for (const record of records)
    for (const type of Object.keys(record.types()))
      for (const line of record.lines(type)) {
        const resource = parseJson(line)
        const name = nameOf(record, `${type}/${stringAt(resource, 'id') ?? ''}`)
        const named = (targets: readonly string[]): string[] => targets.map((one) => nameOf(record, one))
        // Another record of the same server may hold it as it was at another time: all of that is known of it.
        const known = nodes.get(name)
        nodes.set(name, {
          sensitive: known?.sensitive === true || isSensitive(line, resource),
          references: [...(known?.references ?? []), ...named(referencesIn(resource))],
          parts: [...(known?.parts ?? []), ...named(partsOf(resource))],
        })
      }
  return nodes
}

// Whose whole record would go when they are concerned, or a whole visit of which one reason is.
const common =
  / (?:Patient|Practitioner|PractitionerRole|Organization|Location|RelatedPerson|Encounter|Device)\//

/**
 * What is sensitive by itself, what that is made of, and what points to either: the answers of a questionnaire, the
 * prescription for a condition, the report of a result.
 */
function spread(nodes: Graph): ReadonlySet<string> {
  const found = new Set([...nodes].filter(([, { sensitive }]) => sensitive).map(([name]) => name))
  const waiting = [...found]
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop())
    for (const part of nodes.get(name)?.parts ?? []) {
      if (found.has(part) || common.test(part)) continue
      found.add(part)
      waiting.push(part)
    }
  for (let more = true; more; ) {
    more = false
    for (const [name, { references }] of nodes) {
      if (found.has(name) || common.test(name)) continue
      if (!references.some((one) => !common.test(one) && found.has(one))) continue
      found.add(name)
      more = true
    }
  }
  return found
}

function verdictsOf(
  record: PatientRecord,
  terms: Terms,
  nodes: Graph,
  sensitive: ReadonlySet<string>,
): Verdicts {
  const { period, leaveOut, classes } = terms
  const reasons = new Map<string, WithheldReason>()
  const lineOf = new Map<string, { readonly type: string; readonly at: number }>()
  for (const type of Object.keys(record.types())) {
    let at = 0
    for (const line of record.lines(type, classes)) {
      const resource = parseJson(line)
      const id = stringAt(resource, 'id') ?? ''
      const key = `${type}/${id}`
      lineOf.set(key, { type, at: at++ })
      const dated = period ? datedWithin(resource, period) : 'inside'
      if (sensitive.has(nameOf(record, key))) reasons.set(key, 'sensitive')
      else if (leaveOut.has(itemKey(record, { resourceType: type, id }))) reasons.set(key, 'left-out')
      else if (dated !== 'inside') reasons.set(key, dated === 'outside' ? 'period' : 'undated')
    }
  }
  withoutReferrers(record, reasons, lineOf.keys(), nodes)
  const places = new Map<string, Set<number>>()
  for (const key of reasons.keys()) {
    const { type, at } = lineOf.get(key) as { type: string; at: number }
    places.set(type, (places.get(type) ?? new Set()).add(at))
  }
  const silent = [...reasons].filter(([, reason]) => !toldReasons.has(reason))
  const iss = nameOf(record, '')
  const others = [...sensitive].filter((name) => name.startsWith(iss)).map((name) => name.slice(iss.length))
  return { reasons, places, gone: new Set([...silent.map(([key]) => key), ...others]) }
}

// What a record holds because others point to it.
const along =
  /^(?:Medication|Practitioner|PractitionerRole|Organization|Location|RelatedPerson|Specimen|Substance)\//

/** What came along with withheld resources only says as much as they do: the drug of a prescription, the clinic of a visit. */
function withoutReferrers(
  record: PatientRecord,
  reasons: Map<string, WithheldReason>,
  agreed: Iterable<string>,
  nodes: Graph,
): void {
  if (reasons.size === 0) return
  const referrers = new Map<string, string[]>()
  const keys = [...agreed]
  for (const key of keys)
    for (const name of nodes.get(nameOf(record, key))?.references ?? []) {
      const to = name.slice(nameOf(record, '').length)
      if (along.test(to)) referrers.set(to, [...(referrers.get(to) ?? []), key])
    }
  for (let more = true; more; ) {
    more = false
    for (const key of keys) {
      const from = along.test(key) && !reasons.has(key) ? (referrers.get(key) ?? []) : []
      const theirs = from.map((one) => reasons.get(one))
      if (from.length === 0 || theirs.includes(undefined)) continue
      reasons.set(key, strongest(theirs as WithheldReason[]))
      more = true
    }
  }
}

const order: readonly WithheldReason[] = ['sensitive', 'left-out', 'period', 'undated']
const strongest = (reasons: readonly WithheldReason[]): WithheldReason =>
  order.find((one) => reasons.includes(one)) ?? 'undated'

function partsOf(resource: unknown): string[] {
  if (!isObject(resource)) return []
  return ['hasMember', 'result', 'related'].flatMap((name) => referencesIn(resource[name]))
}
