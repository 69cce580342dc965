import { type LikenessKind, likenessesOf } from './likeness.js'
import { resourcesIn } from './resources.js'
import type { StoredPackage } from './stored.js'

/** A resource that looks like another: where it is, and nothing that is in it. */
export interface LikeResource {
  /** The provider's id, as the package has it. */
  readonly provider: string
  /** The resource's own name at the provider: `Observation/123`. */
  readonly reference: string
  /** The package that holds it; of several the newest. */
  readonly digest: string
}

/** Resources of one participant that look the same at several providers. A hint: nothing is removed for it. */
export interface DuplicateHint {
  readonly participant: string
  readonly type: string
  /** `identifier`: one identifier; `content`: one code, day and value. */
  readonly by: readonly LikenessKind[]
  readonly resources: readonly LikeResource[]
}

/** What a study holds twice, as far as can be told. */
export interface Duplicates {
  readonly hints: readonly DuplicateHint[]
  /** How many resources there would be fewer of, by type, if every hint were right. */
  readonly counts: Readonly<Record<string, number>>
  /** Digests of sealed packages that none of the study's `openKeys` opens, so that they were not looked at. */
  readonly unread: readonly string[]
}

/** A mark of a resource, and whose it is. */
export interface Mark extends LikeResource {
  readonly participant: string
  readonly type: string
  /** The provider's address: two of one address are one provider. */
  readonly iss: string
  readonly by: LikenessKind
  readonly mark: string
}

/** @see https://hl7.org/fhir/R4/datatypes.html#id */
const isName = /^[A-Za-z]{1,64}\/[A-Za-z0-9.-]{1,64}$/

/** The marks of a package. */
export async function marksOf(pack: StoredPackage, key: Uint8Array): Promise<Mark[]> {
  const { participant, digest } = pack
  const marks: Mark[] = []
  for await (const { source, resource } of resourcesIn(pack)) {
    const { resourceType: type, id } = resource
    if (typeof type !== 'string' || typeof id !== 'string' || !isName.test(`${type}/${id}`)) continue
    const { id: provider, iss } = source.provider
    for (const likeness of likenessesOf(resource, key))
      marks.push({ participant, digest, type, provider, iss, reference: `${type}/${id}`, ...likeness })
  }
  return marks
}

/** What looks the same at several providers, of marks in any order but by the age of their packages, oldest first. */
export function hintsIn(marks: Iterable<Mark>, unread: readonly string[]): Duplicates {
  const hints = [...groupsOf(marks)].map(hintOf)
  hints.sort((a, b) => compare(nameOf(a), nameOf(b)))
  const counts: Record<string, number> = {}
  for (const { type, resources } of hints) counts[type] = (counts[type] ?? 0) + resources.length - 1
  return Object.freeze({
    hints: Object.freeze(hints),
    counts: Object.freeze(counts),
    unread: Object.freeze([...unread]),
  })
}

interface Group {
  readonly participant: string
  readonly type: string
  readonly by: Set<LikenessKind>
  readonly resources: Map<string, Mark>
}

// Two that share a mark are in one group, and so is what either of them shares another mark with.
function groupsOf(marks: Iterable<Mark>): Set<Group> {
  const sharing = new Map<string, Map<string, Mark>>()
  for (const mark of marks) {
    const key = `${mark.participant}\n${mark.mark}`
    const those = sharing.get(key) ?? new Map<string, Mark>()
    // The same resource, sent again in a later package, is not two.
    those.set(`${mark.iss}\n${mark.reference}`, mark)
    sharing.set(key, those)
  }
  const groupOf = new Map<string, Group>()
  const groups = new Set<Group>()
  for (const those of sharing.values()) {
    if (new Set([...those.values()].map(({ iss }) => iss)).size < 2) continue
    const [{ participant, type, by }] = those.values() as unknown as [Mark]
    const group: Group = { participant, type, by: new Set([by]), resources: new Map(those) }
    for (const resource of those.keys()) {
      const other = groupOf.get(`${participant}\n${resource}`)
      if (!other || other === group) continue
      for (const [name, mark] of other.resources) group.resources.set(name, mark)
      for (const kind of other.by) group.by.add(kind)
      groups.delete(other)
    }
    for (const resource of group.resources.keys()) groupOf.set(`${participant}\n${resource}`, group)
    groups.add(group)
  }
  return groups
}

function hintOf({ participant, type, by, resources }: Group): DuplicateHint {
  const found = [...resources.values()].map(({ provider, reference, digest }) =>
    Object.freeze({ provider, reference, digest }),
  )
  found.sort((a, b) => compare(a.provider, b.provider) || compare(a.reference, b.reference))
  return Object.freeze({
    participant,
    type,
    by: Object.freeze([...by].sort()),
    resources: Object.freeze(found),
  })
}

const nameOf = ({ participant, type, resources }: DuplicateHint): string =>
  `${participant}\n${type}\n${resources[0]?.reference}`
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
