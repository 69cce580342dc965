import type { SearchParameterKinds } from './search-params.js'
import type { ResourceType, SearchParams } from './types.js'

type KindsOf<T> = T extends keyof SearchParameterKinds ? SearchParameterKinds[T] : Record<never, never>

type One<Kind> = Kind extends 'date'
  ? string | Date
  : Kind extends 'number' | 'quantity'
    ? string | number
    : Kind extends 'token'
      ? string | boolean
      : string

/** An array repeats the parameter, so that all of its values must be met; a comma within a value is "or". */
type Value<Kind> = One<Kind> | readonly One<Kind>[] | undefined

interface Modifiers {
  token: 'text' | 'not' | 'above' | 'below' | 'in' | 'not-in' | 'of-type' | 'missing'
  string: 'exact' | 'contains' | 'missing'
  uri: 'above' | 'below' | 'missing'
  date: 'missing'
  number: 'missing'
  quantity: 'missing'
  composite: 'missing'
  special: 'missing'
  reference: 'missing' | 'identifier' | 'above' | 'below'
}
type ModifierOf<Kind> = Kind extends keyof Modifiers ? Modifiers[Kind] : never

type Names<T> = keyof KindsOf<T> & string
type References<T> = {
  [K in Names<T>]: KindsOf<T>[K] extends 'reference' ? K : never
}[Names<T>]

type Include<T extends string> = '*' | `${T}:*` | `${T}:${References<T>}` | `${T}:${References<T>}:${string}`
type Reverse = `${ResourceType}:${string}`

interface Common<T extends string> {
  readonly _id?: string | readonly string[]
  readonly _lastUpdated?: Value<'date'>
  readonly _tag?: Value<'string'>
  readonly _profile?: Value<'string'>
  readonly _security?: Value<'string'>
  readonly _source?: string
  readonly _text?: string
  readonly _content?: string
  readonly _list?: string
  readonly _filter?: string
  readonly _type?: string
  readonly _count?: number
  readonly _sort?: string
  readonly _elements?: string
  readonly _summary?: 'true' | 'text' | 'data' | 'count' | 'false'
  readonly _total?: 'none' | 'estimate' | 'accurate'
  readonly _include?: Include<T> | readonly Include<T>[]
  readonly '_include:iterate'?: Reverse | readonly Reverse[]
  readonly _revinclude?: Reverse | readonly Reverse[]
  readonly '_revinclude:iterate'?: Reverse | readonly Reverse[]
}

/**
 * What a search of one type can ask for: the parameters of FHIR R4 with their modifiers, chains (`subject.name`,
 * `subject:Patient.name`), `_has`, `_include` and what is common to all. Anything else does not compile.
 *
 * @see https://hl7.org/fhir/R4/search.html
 */
export type SearchParamsOf<T extends ResourceType> = Common<T> & {
  readonly [K in Names<T> as K | `${K}:${ModifierOf<KindsOf<T>[K]>}`]?: Value<KindsOf<T>[K]>
} & {
  readonly [chain in `${References<T>}.${string}` | `${References<T>}:${string}` | `_has:${string}`]?:
    | string
    | boolean
    | Date
    | readonly string[]
}

declare const unchecked: unique symbol

/** Parameters that no table was asked about. */
export type UncheckedParams = { readonly [unchecked]: true }

/**
 * Parameters that FHIR does not define, such as an EHR's own, to be searched by on purpose.
 *
 * @example connection.search('Observation', uncheckedParams({ patient, 'x-device': 'pump' }))
 */
export function uncheckedParams(params: SearchParams): UncheckedParams {
  return params as unknown as UncheckedParams
}
