import type { ResourceType, SearchParams } from '../fhir/types.js'

/** One row of a plan: a class of data as a participant would name it, and how it is asked for. */
export interface DataClass<Name extends string = string> {
  readonly name: Name
  /** The resource type that is searched. */
  readonly type: ResourceType
  /** The searches, without the `patient` parameter; none for a class that is the patient's own resource. */
  readonly searches: readonly SearchParams[]
  /** Types that the searches bring along or that the documents of the class are made of. */
  readonly includes?: readonly ResourceType[]
  /**
   * How it is had when not by a search of its own: `reference` for what other resources of the record point to,
   * `revinclude` for what points to them and comes along with their searches.
   */
  readonly by?: 'reference' | 'revinclude'
  /** Searches that may bring more, beside `searches`; a server that refuses them lacks nothing. */
  readonly more?: readonly SearchParams[]
  /** Operations on the type that may bring more, such as `$docref`; a server without them lacks nothing. */
  readonly operations?: readonly `$${string}`[]
  /** True when the files that the resources point to belong to the class. */
  readonly attachments?: boolean
  /** What it is, in words for the participant. */
  readonly says: string
  /** Where the standard defines it. */
  readonly spec: string
}

/** What a record is: the data classes to ask for. Drives searches, scopes, consent wording and the report. */
export interface Plan<Name extends string = string> {
  readonly id: string
  readonly title: string
  readonly classes: readonly DataClass<Name>[]
  /**
   * The same plan with fewer classes.
   *
   * @example usCore.only('Patient', 'Laboratory')
   */
  only<Some extends Name>(...names: readonly Some[]): Plan<Some>
}

/** Makes a plan of rows. */
export function definePlan<Name extends string>(plan: {
  readonly id: string
  readonly title: string
  readonly classes: readonly DataClass<Name>[]
}): Plan<Name> {
  const names = new Set<string>(plan.classes.map((row) => row.name))
  if (names.size !== plan.classes.length) throw new TypeError(`plan ${plan.id} names a data class twice`)
  return Object.freeze({
    id: plan.id,
    title: plan.title,
    classes: Object.freeze([...plan.classes]),
    only<Some extends Name>(...wanted: readonly Some[]): Plan<Some> {
      const unknown = wanted.find((name) => !names.has(name))
      if (unknown !== undefined) throw new TypeError(`plan ${plan.id} has no data class ${unknown}`)
      if (wanted.length === 0) throw new TypeError('a plan needs at least one data class')
      const keep = new Set<string>(wanted)
      const classes = plan.classes.filter((row) => keep.has(row.name)) as readonly DataClass<string>[]
      return definePlan({ ...plan, classes: classes as readonly DataClass<Some>[] })
    },
  })
}
