import { stamp, textOf } from './json-text.js'
import type { Resource, Stored } from './resource.js'

/** A resource with what the server has to know to find it. */
export interface Indexed extends Stored {
  /** `Type/id`. */
  readonly key: string
  /** The ids of the patients whom it is about; none for what the records share, such as a Practitioner. */
  readonly owners: ReadonlySet<string>
  /** The `Type/id` of everything that it refers to. */
  readonly references: ReadonlySet<string>
  /** What `make` made of the resource the first time that `key` was asked for. */
  derived<T>(key: unknown, make: (resource: Resource) => T): T
}

/** What is left of a resource that was removed. */
export interface Tombstone {
  readonly key: string
  readonly owners: ReadonlySet<string>
  /** When it was removed. Epoch milliseconds. */
  readonly at: number
}

/** The records that a server serves, indexed by type, by patient and by reference. */
export interface Repository {
  /** Adds a resource, or a new version of it. Without `meta.lastUpdated` it is stamped with the time of now. */
  put(resource: Resource): void
  get(type: string, id: string): Indexed | undefined
  /** Leaves a tombstone, so that a read answers 410. */
  remove(type: string, id: string): void
  removed(type: string, id: string): Tombstone | undefined
  /** All tombstones. */
  allRemoved(): Iterable<Tombstone>
  /** Copies of the Patient resources. */
  patients(): Resource[]
  /** The types of which there is a resource. */
  types(): string[]
  /** All resources of a type, in the order in which they came. */
  all(type: string): Iterable<Indexed>
  /** The resources of a type that are about a patient; without a type, of every type. */
  of(patient: string, type?: string): Iterable<Indexed>
  /** The resources that refer to `Type/id`. */
  referrers(key: string): Iterable<Indexed>
  /** The shared resources, by `Type/id`, to which the record of a patient leads. */
  shared(patient: string): ReadonlySet<string>
}

/**
 * A repository in memory.
 *
 * @example
 * const repository = createRepository(generateRecords({ only: ['camila'] }))
 * repository.put({ resourceType: 'Observation', id: 'mine', subject: { reference: 'Patient/camila' }, … })
 */
export function createRepository(
  resources: Iterable<Resource> = [],
  options: { readonly now?: () => number } = {},
): Repository {
  const now = options.now ?? Date.now
  const byType = new Map<string, Map<string, Entry>>()
  const byOwner = new Map<string, Map<string, Set<Entry>>>()
  const byTarget = new Map<string, Set<Entry>>()
  const tombstones = new Map<string, Tombstone & { readonly version: number }>()
  const sharedBy = new Map<string, ReadonlySet<string>>()

  const find = (key: string): Entry | undefined => {
    const [type = '', id = ''] = key.split('/')
    return byType.get(type)?.get(id)
  }

  const own = (entry: Entry, owner: string): void => {
    entry.owners.add(owner)
    const types = byOwner.get(owner) ?? setIn(byOwner, owner, new Map<string, Set<Entry>>())
    const entries = types.get(entry.type) ?? setIn(types, entry.type, new Set<Entry>())
    entries.add(entry)
  }

  const disown = (entry: Entry): void => {
    for (const owner of entry.owners) byOwner.get(owner)?.get(entry.type)?.delete(entry)
    entry.owners.clear()
  }

  // A Provenance belongs to the record of its targets, whichever of them comes first.
  const assign = (entry: Entry, resource: Resource): void => {
    disown(entry)
    for (const owner of ownersOf(resource)) own(entry, owner)
    if (entry.type !== 'Provenance') return
    for (const target of targetsOf(resource))
      for (const owner of find(target)?.owners ?? []) own(entry, owner)
  }

  const unlink = (entry: Entry): void => {
    disown(entry)
    for (const target of entry.references) byTarget.get(target)?.delete(entry)
  }

  const put = (resource: Resource): void => {
    const { resourceType: type, id } = resource
    if (typeof type !== 'string' || !/^[A-Z][A-Za-z]{1,63}$/.test(type)) {
      throw new TypeError('A resource needs a resourceType.')
    }
    if (typeof id !== 'string' || !/^[A-Za-z0-9\-.]{1,64}$/.test(id)) {
      throw new TypeError(`A ${type} needs an id of 1 to 64 letters, digits, hyphens or dots.`)
    }
    const key = `${type}/${id}`
    const old = byType.get(type)?.get(id)
    const text = textOf(resource)
    if (old?.text === text) return
    const before = old ? Number(old.version) || 1 : tombstones.get(key)?.version
    const entry = createEntry(resource, text, before, old?.lastUpdated ?? 0, now)

    if (old) unlink(old)
    tombstones.delete(key)
    sharedBy.clear()
    const entries = byType.get(type) ?? setIn(byType, type, new Map<string, Entry>())
    entries.set(id, entry)
    for (const target of entry.references) {
      const sources = byTarget.get(target) ?? setIn(byTarget, target, new Set<Entry>())
      sources.add(entry)
    }
    assign(entry, resource)
    for (const source of byTarget.get(key) ?? [])
      if (source.type === 'Provenance') assign(source, source.resource)
  }

  const repository: Repository = Object.freeze({
    put,
    get: (type: string, id: string) => byType.get(type)?.get(id),
    remove: (type: string, id: string) => {
      const entry = byType.get(type)?.get(id)
      if (!entry) return
      const { key, version } = entry
      tombstones.set(key, {
        key,
        owners: new Set(entry.owners),
        version: Number(version) || 1,
        at: now(),
      })
      unlink(entry)
      byType.get(type)?.delete(id)
      sharedBy.clear()
    },
    removed: (type: string, id: string) => tombstones.get(`${type}/${id}`),
    allRemoved: () => tombstones.values(),
    patients: () => [...(byType.get('Patient')?.values() ?? [])].map((entry) => entry.resource),
    types: () => [...byType].filter(([, entries]) => entries.size > 0).map(([type]) => type),
    all: (type: string) => byType.get(type)?.values() ?? [],
    of: (patient: string, type?: string) => {
      const types = byOwner.get(patient)
      if (type !== undefined) return types?.get(type) ?? []
      return [...(types?.values() ?? [])].flatMap((entries) => [...entries])
    },
    referrers: (key: string) => byTarget.get(key) ?? [],
    shared: (patient: string) => {
      const known = sharedBy.get(patient)
      if (known) return known
      const keys = new Set<string>()
      const pending: string[] = []
      for (const entries of byOwner.get(patient)?.values() ?? []) {
        for (const entry of entries) for (const reference of entry.references) pending.push(reference)
      }
      for (let reference = pending.pop(); reference !== undefined; reference = pending.pop()) {
        if (keys.has(reference)) continue
        const entry = find(reference)
        if (!entry || entry.owners.size > 0) continue
        keys.add(reference)
        for (const next of entry.references) pending.push(next)
        // The roles of a clinician are found from the clinician, to whom the record refers.
        if (entry.type !== 'Practitioner') continue
        for (const source of byTarget.get(reference) ?? []) {
          if (source.type === 'PractitionerRole') pending.push(source.key)
        }
      }
      sharedBy.set(patient, keys)
      return keys
    },
  })
  for (const resource of resources) put(resource)
  return repository
}

interface Entry extends Indexed {
  readonly owners: Set<string>
}

function createEntry(
  resource: Resource,
  text: string,
  versionBefore: number | undefined,
  updatedBefore: number,
  now: () => number,
): Entry {
  const given = typeof resource.meta?.lastUpdated === 'string' ? resource.meta.lastUpdated : ''
  // What carries the meta of the version that it replaces would else look unchanged to an incremental search.
  const trusted =
    versionBefore === undefined ? !Number.isNaN(Date.parse(given)) : Date.parse(given) > updatedBefore
  const time = trusted ? given : new Date(now()).toISOString()
  const lastUpdated = Date.parse(time)
  const version = versionBefore === undefined ? versionOf(resource) : String(versionBefore + 1)
  const stamped = stamp(text, resource.meta, version, time)
  const derived = new Map<unknown, unknown>()
  let parsed: Resource | undefined
  return {
    type: resource.resourceType,
    id: resource.id as string,
    key: `${resource.resourceType}/${resource.id}`,
    version,
    lastUpdated,
    text: stamped,
    owners: new Set(),
    references: referencesOf(resource),
    get resource(): Resource {
      return JSON.parse(stamped) as Resource
    },
    derived<T>(key: unknown, make: (resource: Resource) => T): T {
      if (!derived.has(key)) {
        parsed ??= JSON.parse(stamped) as Resource
        derived.set(key, make(parsed))
      }
      return derived.get(key) as T
    },
  }
}

// It goes into a header, so it has to be of the form that FHIR gives it.
function versionOf({ meta }: Resource): string {
  const version: unknown = meta?.versionId
  return typeof version === 'string' && /^[A-Za-z0-9\-.]{1,64}$/.test(version) ? version : '1'
}

/** A relative reference as `Type/id`, its version dropped; undefined for anything else. */
export function localKey(reference: unknown): string | undefined {
  if (typeof reference !== 'string') return undefined
  return /^([A-Z][A-Za-z]{1,63}\/[A-Za-z0-9\-.]{1,64})(?:\/_history\/[A-Za-z0-9\-.]{1,64})?$/.exec(
    reference,
  )?.[1]
}

// One patient owns a resource: the one whom it is about. A patient who only performed, asserted or
// subscribed does not, so that a parent's record stays apart from the child's.
function ownersOf(resource: Resource): Set<string> {
  if (resource.resourceType === 'Patient') return new Set([resource.id as string])
  const owners = new Set<string>()
  const { patient, subject, beneficiary, individual, securityContext, participant } = resource
  const candidates: unknown[] = [patient, subject, beneficiary, individual, securityContext].flat()
  if (resource.resourceType === 'Provenance') candidates.push(...[resource.target].flat())
  if (resource.resourceType === 'Appointment') {
    candidates.push(...[participant].flat().map((one) => (one as { actor?: unknown } | null)?.actor))
  }
  for (const candidate of candidates) {
    const key = localKey((candidate as { reference?: unknown } | null | undefined)?.reference)
    if (key?.startsWith('Patient/')) owners.add(key.slice('Patient/'.length))
  }
  return owners
}

function targetsOf(resource: Resource): string[] {
  return [resource.target]
    .flat()
    .map((target) => localKey((target as { reference?: unknown } | null | undefined)?.reference))
    .filter((key) => key !== undefined)
}

function referencesOf(resource: Resource): Set<string> {
  const keys = new Set<string>()
  const pending: unknown[] = [resource]
  while (pending.length > 0) {
    const value = pending.pop()
    if (typeof value !== 'object' || value === null) continue
    for (const [name, child] of Object.entries(value)) {
      if (typeof child !== 'string') pending.push(child)
      else if (name === 'reference' || name === 'url') {
        const key = localKey(child)
        if (key !== undefined) keys.add(key)
      }
    }
  }
  return keys
}

function setIn<K, V>(map: Map<K, V>, key: K, value: V): V {
  map.set(key, value)
  return value
}
