import { isSmartError } from '../errors.js'
import type { PageEntry, Reader, ResourceType } from '../fhir/types.js'
import type { DataClass } from '../plans/plan.js'
import { pool } from '../util/async.js'

/** What the resolver is given by the collection. */
export interface ReferenceWorld {
  readonly reader: Reader
  readonly classes: readonly DataClass[]
  readonly concurrency: number
  readonly signal?: AbortSignal
  /** Marks a resource that is held as one of the classes too; false when it is not held. */
  readonly mark: (key: string, classes: readonly string[]) => boolean
  readonly keep: (entry: PageEntry, classes: readonly string[]) => void
  /** What an earlier collection has fetched already. */
  readonly known: (key: string) => PageEntry | undefined
  /** Keeps what was fetched, so that it need not be fetched again. */
  readonly keepFor: (entries: readonly PageEntry[]) => Promise<void>
  readonly unresolved: (miss: Miss) => void
  /**
   * The classes that a resource belongs to which other resources point to and no search has brought, although its type
   * was searched for.
   */
  readonly belongs?: (entry: PageEntry) => readonly string[]
  /** True once access has ended. */
  readonly isOver: () => boolean
}

/** A resource that the record points to and that could not be had. */
export interface Miss {
  readonly type: string
  readonly id?: string
  readonly reason: string
  readonly error?: unknown
  readonly classes: readonly string[]
}

export interface References {
  /** Notes what the resources of a page point to; fetches what has become enough for a request of its own. */
  found(entries: readonly PageEntry[], classes: readonly string[]): void
  /** Fetches what is left, and what that points to. */
  finish(): Promise<void>
}

const batch = 50
const mostOfType = 2000
const deepest = 3
/** Resources that a search should have brought, read one at a time. */
const mostMissed = 200
/** Requests for references while the pages still come. */
const beside = 2

/**
 * Fetches what the resources of a record point to: each once, many in one request where the server can
 * (`_id=a,b,c`), one by one where it cannot, while the pages still come.
 *
 * @see https://hl7.org/fhir/R4/references.html
 */
export function createReferences(world: ReferenceWorld): References {
  const { reader, signal } = world
  const byReference = world.classes.filter((row) => row.by === 'reference')
  // What a search brings is asked for by reference only when all searches are through.
  const searched = new Set<string>(
    world.belongs
      ? world.classes.filter((row) => row.by === undefined && row.type !== 'Patient').map(({ type }) => type)
      : [],
  )
  const later = new Map<string, Wanted>()
  // Roles point to their clinicians, not the other way round.
  const roleClasses = byReference
    .filter((row) => row.includes?.some((type) => type === 'PractitionerRole'))
    .map(({ name }) => name)
  const clinicians = new Set<string>()
  let missedSearches = 0
  // Of each class, the types that its resources are made whole by.
  const includes = new Map(
    world.classes.map((row) => [
      row.name,
      row.by === undefined ? (row.includes ?? []).filter((type) => type !== 'Binary') : [],
    ]),
  )
  const wanted = new Map<string, Wanted>()
  const waiting = new Map<string, Wanted[]>()
  const counts = new Map<string, number>()
  const oneByOne = new Set<string>()
  const refused = new Map<string, unknown>()
  const running = new Set<Promise<void>>()

  const classesFor = (type: string, from: readonly string[]): string[] => [
    ...byReference.filter((row) => typesOf(row).includes(type as ResourceType)).map(({ name }) => name),
    ...from.filter((name) => includes.get(name)?.some((included) => included === type)),
  ]

  const note = (entries: readonly PageEntry[], from: readonly string[], depth: number): void => {
    // Most pages of most plans: nothing that they could point to is wanted.
    if (byReference.length === 0 && searched.size === 0 && !from.some((name) => includes.get(name)?.length))
      return
    for (const { text } of entries) {
      for (const { type, id, foreign } of referencesIn(text, reader.provider.iss)) {
        const classes = type === 'Patient' ? [] : classesFor(type, from)
        const key = `${type}/${id}`
        if (searched.has(type) && !foreign && depth < deepest && !later.has(key))
          later.set(key, { type: type as ResourceType, id, depth, classes: new Set(), searched: true })
        if (classes.length === 0) continue
        if (foreign) world.unresolved({ type, reason: 'foreign', classes })
        else if (world.mark(key, classes)) continue
        else {
          const known = wanted.get(key)
          if (known) for (const name of classes) known.classes.add(name)
          else admit({ type: type as ResourceType, id, depth, classes: new Set(classes) }, key)
        }
      }
    }
  }

  const admit = (one: Wanted, key: string): void => {
    const { type, depth, classes } = one
    const count = (counts.get(type) ?? 0) + 1
    if (depth > deepest || count > mostOfType) {
      world.unresolved({ type, id: one.id, reason: 'limit', classes: [...classes] })
      return
    }
    counts.set(type, count)
    wanted.set(key, one)
    const known = world.known(key)
    if (known) {
      received(known, one)
      return
    }
    const queue = waiting.get(type) ?? []
    queue.push(one)
    waiting.set(type, queue)
  }

  // What has come by another way meanwhile is not asked for.
  const take = (type: string, most: number): Wanted[] => {
    const all = (waiting.get(type) ?? []).filter((one) => !world.mark(`${type}/${one.id}`, [...one.classes]))
    waiting.set(type, all.slice(most))
    return all.slice(0, most)
  }

  const received = (entry: PageEntry, one: Wanted): void => {
    const classes = one.searched ? (world.belongs?.(entry) ?? []) : [...one.classes]
    if (classes.length === 0) return
    world.keep(entry, classes)
    if (one.type === 'Practitioner' && roleClasses.length > 0) clinicians.add(one.id)
    note([entry], classes, one.depth + 1)
  }

  const missed = (ones: readonly Wanted[], error: unknown): void => {
    const reason = isSmartError(error) ? error.code : 'failed'
    for (const { type, id, classes } of ones)
      world.unresolved({ type, id, reason, error, classes: [...classes] })
  }

  const readOne = async (one: Wanted): Promise<void> => {
    if (one.searched && ++missedSearches > mostMissed) return missed([one], undefined)
    if (refused.has(one.type)) return missed([one], refused.get(one.type))
    try {
      const entry = await reader.readEntry(one.type, one.id, signal ? { signal } : {})
      await world.keepFor([entry])
      received(entry, one)
    } catch (error) {
      signal?.throwIfAborted()
      // What one person's scopes do not reach they do not reach a thousand times.
      if (isSmartError(error) && error.code === 'FHIR_FORBIDDEN') refused.set(one.type, error)
      missed([one], error)
    }
  }

  /** Those of a batch that did not come. */
  const readMany = async (type: ResourceType, ones: readonly Wanted[]): Promise<Wanted[]> => {
    const left = new Map(ones.map((one) => [one.id, one]))
    try {
      const search = { _id: ones.map(({ id }) => id).join(',') }
      for await (const page of reader.search(type, search, signal ? { signal } : {}).pages()) {
        await world.keepFor(
          page.entries.filter(
            ({ resource }) => resource.resourceType === type && left.has(resource.id ?? ''),
          ),
        )
        for (const entry of page.entries) {
          const { resourceType, id = '' } = entry.resource
          const one = resourceType === type ? left.get(id) : undefined
          if (one) received(entry, one)
          // It searches by something else than what was asked for.
          else if (entry.mode === 'match' && !ones.some((other) => other.id === id)) oneByOne.add(type)
          left.delete(id)
        }
        if (left.size === 0 || oneByOne.has(type)) break
      }
    } catch {
      signal?.throwIfAborted()
      oneByOne.add(type)
    }
    return [...left.values()]
  }

  const fetchSome = async (type: ResourceType, ones: readonly Wanted[], width: number): Promise<void> => {
    if (world.isOver()) return missed(ones, undefined)
    const many = ones.length > 1 && !oneByOne.has(type) && !refused.has(type)
    const left = many ? await readMany(type, ones) : ones
    await pool(
      width,
      left.map((one) => () => readOne(one)),
    )
  }

  const findRoles = async (): Promise<void> => {
    const ids = [...clinicians]
    clinicians.clear()
    for (let at = 0; at < ids.length && !refused.has('PractitionerRole'); at += batch) {
      const asked = ids.slice(at, at + batch)
      try {
        const search = { practitioner: asked.join(',') }
        for await (const page of reader
          .search('PractitionerRole', search, signal ? { signal } : {})
          .pages()) {
          const own = page.entries.filter(
            ({ resource, text }) =>
              resource.resourceType === 'PractitionerRole' &&
              [...referencesIn(text, reader.provider.iss)].some(
                ({ type, id, foreign }) => !foreign && type === 'Practitioner' && asked.includes(id),
              ),
          )
          for (const entry of own) world.keep(entry, roleClasses)
          note(own, roleClasses, 2)
        }
      } catch (error) {
        signal?.throwIfAborted()
        // Many servers do not offer it; what the record itself names is there.
        refused.set('PractitionerRole', error)
      }
    }
  }

  return {
    found: (entries, classes) => {
      note(entries, classes, 1)
      for (const [type, ones] of waiting) {
        if (ones.length < batch || running.size >= beside) continue
        const work = fetchSome(type as ResourceType, take(type, batch), 1).finally(() => running.delete(work))
        running.add(work)
        // Felt in `finish`, which waits for all of them.
        work.catch(() => {})
      }
    },
    finish: async () => {
      await Promise.all(running)
      for (;;) {
        const rounds = [...waiting.keys()].flatMap((type) => {
          const parts: Wanted[][] = []
          for (let part = take(type, batch); part.length > 0; part = take(type, batch)) parts.push(part)
          return parts.map((part) => () => fetchSome(type as ResourceType, part, world.concurrency))
        })
        if (rounds.length === 0) {
          if (clinicians.size > 0) {
            await findRoles()
            continue
          }
          const left = [...later].filter(([key]) => !world.mark(key, []) && !wanted.has(key))
          later.clear()
          if (left.length === 0) return
          for (const [key, one] of left) admit(one, key)
        }
        await pool(world.concurrency, rounds)
      }
    },
  }
}

interface Wanted {
  readonly type: ResourceType
  readonly id: string
  readonly depth: number
  readonly classes: Set<string>
  /** True for what a search should have brought. */
  readonly searched?: boolean
}

/** The types that a class by reference consists of. */
export function typesOf(row: DataClass): readonly ResourceType[] {
  return [row.type, ...(row.includes ?? [])]
}

interface Found {
  readonly type: string
  readonly id: string
  /** True when it is at another server. */
  readonly foreign: boolean
}

// Within a string of JSON a quote is escaped, so an unescaped `"reference"` is a member's name.
const members = /"reference"\s*:\s*"((?:[^"\\]|\\.){1,2000})"/g
const literal = /^(.*?)([A-Z][A-Za-z]{1,63})\/([A-Za-z0-9\-.]{1,64})(?:\/_history\/[A-Za-z0-9\-.]{1,64})?$/

/** The literal references in a resource's text. Contained, logical and other URLs name nothing to be fetched. */
export function* referencesIn(text: string, base: string): Generator<Found> {
  for (const [, written = ''] of text.matchAll(members)) {
    const [, before = '', type = '', id = ''] = literal.exec(written.replaceAll('\\/', '/')) ?? []
    if (type === '' || /^\.+$/.test(id)) continue
    const own = before === '' || before === `${base.replace(/\/$/, '')}/`
    if (own || /^https?:\/\//i.test(before)) yield { type, id, foreign: !own }
  }
}
