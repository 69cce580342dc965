import { createHmac } from 'node:crypto'
import { isObject } from '../json.js'

/** By what two resources look the same. */
export type LikenessKind = 'identifier' | 'content'

/** What a resource has in common with others that are about the same thing. */
export interface Likeness {
  readonly by: LikenessKind
  /** Says nothing to whoever does not have the key: what is in a record can be guessed. */
  readonly mark: string
}

// A resource has few of each; more are somebody's mistake.
const most = 12

/**
 * Marks that two resources share when they look the same: one for each identifier, and one for each of its codes
 * together with its day and its value. What lacks one of these is like nothing.
 */
export function likenessesOf(resource: Readonly<Record<string, unknown>>, key: Uint8Array): Likeness[] {
  const { resourceType } = resource
  const mark = (by: LikenessKind, ...said: readonly string[]): Likeness => {
    const mac = createHmac('sha256', key).update(JSON.stringify([by, resourceType, ...said]))
    return { by, mark: mac.digest('base64url').slice(0, 24) }
  }
  const [day, value] = [dayOf(resource), valueIn(resource)]
  const codes = resourceType === 'Patient' ? [] : codesOf(resource)
  return [
    ...identifiersOf(resource).map((one) => mark('identifier', one)),
    ...(day === undefined || value === undefined
      ? []
      : codes.map((code) => mark('content', code, day, value))),
  ]
}

function identifiersOf({ identifier }: Readonly<Record<string, unknown>>): string[] {
  return listOf(identifier)
    .filter(({ system, value }) => isText(system) && isText(value))
    .map(({ system, value }) => `${system} ${value}`)
    .slice(0, most)
}

const codeFields = ['code', 'vaccineCode', 'medicationCodeableConcept', 'type'] as const

function codesOf(resource: Readonly<Record<string, unknown>>): string[] {
  const field = codeFields.find((name) => resource[name] !== undefined)
  return field === undefined ? [] : [...new Set(listOf(resource[field]).flatMap(conceptOf))].slice(0, most)
}

// A text counts only where there is no code: two hospitals rarely write the same.
function conceptOf({ coding, text }: Readonly<Record<string, unknown>>): string[] {
  const codes = listOf(coding)
    .filter(({ code }) => isText(code))
    .map(({ system, code }) => `${isText(system) ? system : ''} ${code}`)
  return codes.length > 0 || !isText(text) ? codes : [`text ${text.trim().toLowerCase()}`]
}

const dateFields = [
  ...['effectiveDateTime', 'effectiveInstant', 'occurrenceDateTime', 'performedDateTime', 'onsetDateTime'],
  ...['authoredOn', 'whenHandedOver', 'recordedDate', 'date', 'issued'],
] as const
const periodFields = [
  'effectivePeriod',
  'performedPeriod',
  'onsetPeriod',
  'period',
  'servicedPeriod',
] as const

// The day as it was written: one hospital gives the hour, the other does not.
function dayOf(resource: Readonly<Record<string, unknown>>): string | undefined {
  const starts = periodFields
    .map((name) => resource[name])
    .map((one) => (isObject(one) ? one.start : undefined))
  const date = [...dateFields.map((name) => resource[name]), ...starts].find(isText)
  return /^\d{4}(-\d{2}(-\d{2})?)?/.exec(date ?? '')?.[0]
}

/** What was measured; empty for what is not measured, and undefined for an observation without a value. */
function valueIn(resource: Readonly<Record<string, unknown>>): string | undefined {
  if (resource.resourceType !== 'Observation') return ''
  const own = measured(resource)
  const components = listOf(resource.component).map(
    (one) => `${conceptOf(isObject(one.code) ? one.code : {})[0] ?? ''}=${measured(one) ?? ''}`,
  )
  return own === undefined && components.length === 0
    ? undefined
    : JSON.stringify([own ?? '', ...components.sort()])
}

function measured(resource: Readonly<Record<string, unknown>>): string | undefined {
  const { valueQuantity, valueCodeableConcept } = resource
  if (isObject(valueQuantity) && typeof valueQuantity.value === 'number') {
    const { value, code, unit } = valueQuantity
    return `${value} ${isText(code) ? code : isText(unit) ? unit : ''}`
  }
  if (isObject(valueCodeableConcept)) return conceptOf(valueCodeableConcept).sort()[0]
  for (const name of ['valueString', 'valueInteger', 'valueBoolean', 'valueDateTime']) {
    const value = resource[name]
    if (value !== undefined && typeof value !== 'object') return String(value)
  }
  return undefined
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''
const listOf = (value: unknown): Record<string, unknown>[] =>
  (Array.isArray(value) ? value : [value]).filter(isObject)
