import { type DatePrefix, dateQuery, meets, type Span, spansOf } from './dates.js'
import { FhirProblem, quoted } from './outcome.js'
import { elementsAt, type Parameter } from './parameters.js'
import { type Indexed, localKey } from './repository.js'

/** Whether a resource meets one search parameter. */
export type Matcher = (resource: Indexed) => boolean

/**
 * Makes a matcher of a parameter, its modifier and its value; what cannot be understood is a 400.
 *
 * @see https://hl7.org/fhir/R4/search.html#ptypes
 */
export function matcherOf(parameter: Parameter, modifier: string | undefined, value: string): Matcher {
  if (modifier === 'missing') return missing(parameter, value)
  const values = split(value, ',').filter((one) => one !== '')
  if (values.length > 2000)
    throw new FhirProblem(400, 'too-costly', `${quoted(parameter.name)} has too many values.`)
  switch (parameter.kind) {
    case 'token':
      return token(parameter, modifier, values)
    case 'date':
      return modifier === undefined ? date(parameter, values) : unsupported(parameter, modifier)
    case 'reference':
      return reference(parameter, modifier, values)
    case 'string':
      return string(parameter, modifier, values)
    case 'uri':
      return modifier === undefined ? uri(parameter, values) : unsupported(parameter, modifier)
  }
}

/** That to which the values of a reference parameter point: `Type/id`, or what else is written there. */
export function targetsOf(resource: Indexed, parameter: Parameter): readonly string[] {
  return resource.derived(parameter, (json) =>
    elementsAt(json, parameter)
      .map((element) => (element as { reference?: unknown }).reference)
      .filter((one) => typeof one === 'string')
      .map((one) => localKey(one) ?? one),
  )
}

/** The spans of time that a date parameter has in a resource. */
export function spansIn(resource: Indexed, parameter: Parameter): readonly Span[] {
  return resource.derived(parameter, (json) => elementsAt(json, parameter).flatMap(spansOf))
}

/** Splits a search value where a separator stands that no backslash escapes. */
export function split(text: string, separator: ',' | '|'): string[] {
  const parts: string[] = []
  let start = 0
  for (let index = 0; index < text.length; index++) {
    if (text[index] === '\\') index++
    else if (text[index] === separator) {
      parts.push(text.slice(start, index))
      start = index + 1
    }
  }
  parts.push(text.slice(start))
  return parts
}

function unescaped(text: string): string {
  return text.replace(/\\([,|$\\])/g, '$1')
}

function unsupported(parameter: Parameter, modifier: string): never {
  throw new FhirProblem(
    400,
    'not-supported',
    `The modifier ${quoted(modifier)} is not supported for ${quoted(parameter.name)}.`,
  )
}

function missing(parameter: Parameter, value: string): Matcher {
  if (value !== 'true' && value !== 'false') {
    throw new FhirProblem(400, 'value', `${quoted(`${parameter.name}:missing`)} is either true or false.`)
  }
  const wanted = value === 'true'
  return (resource) =>
    resource.derived(`missing ${parameter.name}`, (json) => elementsAt(json, parameter).length === 0) ===
    wanted
}

interface Token {
  /** null = the system is implied by the element, as it is for a code or a boolean. */
  readonly system: string | undefined | null
  readonly code: string | undefined
  readonly text: string
}

function token(parameter: Parameter, modifier: string | undefined, values: readonly string[]): Matcher {
  const of = (resource: Indexed): readonly Token[] =>
    resource.derived(parameter, (json) => elementsAt(json, parameter).flatMap(tokensOf))
  if (modifier === 'text') {
    const texts = values.map((value) => plain(unescaped(value)))
    return (resource) => of(resource).some(({ text }) => texts.some((asked) => text.includes(asked)))
  }
  if (modifier !== undefined && modifier !== 'not') unsupported(parameter, modifier)

  const codes = new Set<string>()
  const systems = new Set<string>()
  const both = new Set<string>()
  const without = new Set<string>()
  for (const value of values) {
    const [first = '', ...rest] = split(value, '|').map(unescaped)
    const code = rest.join('|')
    if (rest.length === 0) codes.add(first)
    else if (first === '') without.add(code)
    else if (code === '') systems.add(first)
    else both.add(`${first}|${code}`)
  }
  const implied = new Set([...both].map((pair) => pair.slice(pair.lastIndexOf('|') + 1)))
  const hit = ({ system, code }: Token): boolean => {
    if (code !== undefined) {
      if (codes.has(code)) return true
      if (system === null) return without.has(code) || implied.has(code)
      if (system === undefined) return without.has(code)
      if (both.has(`${system}|${code}`)) return true
    }
    return typeof system === 'string' && systems.has(system)
  }
  const wanted = modifier !== 'not'
  return (resource) => of(resource).some(hit) === wanted
}

function tokensOf(element: unknown): Token[] {
  if (typeof element === 'string' || typeof element === 'boolean' || typeof element === 'number') {
    return [{ system: null, code: String(element), text: '' }]
  }
  if (typeof element !== 'object' || element === null) return []
  const { coding, text, system, code, value, display } = element as Readonly<Record<string, unknown>>
  if (Array.isArray(coding) || (typeof text === 'string' && code === undefined && value === undefined)) {
    const own = typeof text === 'string' ? [{ system: undefined, code: undefined, text: plain(text) }] : []
    return [...own, ...(Array.isArray(coding) ? coding.flatMap(tokensOf) : [])]
  }
  const key = code ?? value
  return [
    {
      system: typeof system === 'string' ? system : undefined,
      code: typeof key === 'string' ? key : undefined,
      text: typeof display === 'string' ? plain(display) : '',
    },
  ]
}

function date(parameter: Parameter, values: readonly string[]): Matcher {
  const queries = values.map((value): { prefix: DatePrefix; span: Span } => {
    const query = dateQuery(value)
    if (!query) {
      const hint = value.includes(' ') ? ' A + in an address means a space; write it as %2B.' : ''
      throw new FhirProblem(400, 'value', `${quoted(parameter.name)} is no date: ${quoted(value)}.${hint}`)
    }
    return query
  })
  return (resource) =>
    spansIn(resource, parameter).some((span) =>
      queries.some(({ prefix, span: asked }) => meets(span, prefix, asked)),
    )
}

function reference(parameter: Parameter, modifier: string | undefined, values: readonly string[]): Matcher {
  if (modifier !== undefined && !/^[A-Z][A-Za-z]{1,63}$/.test(modifier)) unsupported(parameter, modifier)
  const type = modifier ?? (parameter.name === 'patient' ? 'Patient' : undefined)
  const keys = new Set<string>()
  const ids = new Set<string>()
  for (const value of values.map(unescaped)) {
    const key = localKey(value)
    if (key !== undefined) {
      if (type === undefined || key.startsWith(`${type}/`)) keys.add(key)
    } else if (type !== undefined) keys.add(`${type}/${value}`)
    else if (value.includes(':')) keys.add(value)
    else ids.add(value)
  }
  if (parameter.name === 'patient')
    return (resource) => [...resource.owners].some((id) => keys.has(`Patient/${id}`))
  return (resource) =>
    targetsOf(resource, parameter).some(
      (target) => keys.has(target) || (ids.size > 0 && ids.has(target.slice(target.indexOf('/') + 1))),
    )
}

function string(parameter: Parameter, modifier: string | undefined, values: readonly string[]): Matcher {
  if (modifier !== undefined && modifier !== 'exact' && modifier !== 'contains')
    unsupported(parameter, modifier)
  const asked = values.map(unescaped)
  if (modifier === 'exact') {
    const exact = new Set(asked)
    return (resource) =>
      resource
        .derived(`exact ${parameter.name}`, (json) => elementsAt(json, parameter).flatMap(stringsOf))
        .some((text) => exact.has(text))
  }
  const texts = asked.map(plain)
  const fits: (text: string, asked: string) => boolean =
    modifier === 'contains' ? (text, part) => text.includes(part) : (text, part) => text.startsWith(part)
  return (resource) =>
    resource
      .derived(parameter, (json) => elementsAt(json, parameter).flatMap(stringsOf).map(plain))
      .some((text) => texts.some((part) => fits(text, part)))
}

function stringsOf(element: unknown): string[] {
  if (typeof element === 'string') return [element]
  if (typeof element !== 'object' || element === null) return []
  const parts = element as Readonly<Record<string, unknown>>
  const names = [
    'text',
    'family',
    'given',
    'prefix',
    'suffix',
    'line',
    'city',
    'district',
    'state',
    'postalCode',
    'country',
  ]
  return names.flatMap((name) => parts[name] ?? []).filter((one) => typeof one === 'string')
}

function plain(text: string): string {
  return text
    .normalize('NFD')
    .replace(/\p{M}+/gu, '')
    .toLowerCase()
}

function uri(parameter: Parameter, values: readonly string[]): Matcher {
  const asked = new Set(values.map(unescaped))
  return (resource) =>
    resource
      .derived(parameter, (json) =>
        elementsAt(json, parameter)
          .filter((one) => typeof one === 'string')
          .flatMap((one) => [one, one.split('|')[0] as string]),
      )
      .some((one) => asked.has(one))
}
