import { isObject } from '../util/json.js'
import { digitsOf, isMarked } from './parse.js'
import type { Cell } from './table.js'

// Whatever a server wrote may stand anywhere: everything here takes anything, and gives null for what is not as it
// should be.

/** Longer texts are not cells; they are in the `resources` table. */
export const mostOfACell = 100_000

/** Every value at a path such as `code.coding`; what is in arrays on the way is taken one by one. */
export function allAt(value: unknown, path: string): unknown[] {
  const found: unknown[] = []
  visit(value, keysOf(path), 0, (one) => {
    found.push(one)
    return false
  })
  return found
}

/** The first value at a path. */
export function firstAt(value: unknown, path: string): unknown {
  let first: unknown
  visit(value, keysOf(path), 0, (one) => {
    first = one
    return true
  })
  return first
}

// Goes no deeper than the path is long, whatever the value is. True when `take` has had enough.
function visit(
  value: unknown,
  keys: readonly string[],
  at: number,
  take: (value: unknown) => boolean,
): boolean {
  if (Array.isArray(value)) {
    // An array in an array is nothing that FHIR knows.
    for (const one of value) if (!Array.isArray(one) && visit(one, keys, at, take)) return true
    return false
  }
  if (value === null || value === undefined) return false
  if (at === keys.length) return take(value)
  const key = keys[at] as string
  return isObject(value) && Object.hasOwn(value, key) && visit(value[key], keys, at + 1, take)
}

// There are as many paths as columns, and each is asked for in every row.
const paths = new Map<string, readonly string[]>()

function keysOf(path: string): readonly string[] {
  let keys = paths.get(path)
  if (keys === undefined) {
    keys = path === '' ? [] : path.split('.')
    paths.set(path, keys)
  }
  return keys
}

/** Reads the first value at the first of some paths, separated by ` | `, that has one. */
export function oneAt(paths: string): (value: unknown) => unknown {
  const each = paths.split(' | ')
  return (value) => {
    for (const path of each) {
      const found = firstAt(value, path)
      if (found !== undefined) return found
    }
    return undefined
  }
}

/** A string that is not empty, well formed, and without the control characters that FHIR does not allow. */
export function textOf(value: unknown): string | null {
  if (typeof value !== 'string' || value === '' || value.length > mostOfACell || isMarked(value)) return null
  return value.replace(/[^\P{Cc}\t\n\r]|\p{Cs}/gu, '\ufffd')
}

/** Texts joined into one cell; null when there are none. */
export function joined(texts: readonly (string | null)[], separator = '; '): string | null {
  return textOf(texts.filter((text) => text !== null).join(separator))
}

export function booleanOf(value: unknown): boolean | null {
  return typeof value === 'boolean' ? value : null
}

export function doubleOf(value: unknown): number | null {
  const digits = digitsOf(value)
  const number = digits === null ? Number.NaN : Number(digits)
  return Number.isFinite(number) ? number : null
}

/** A whole number of 32 bits. */
export function integerOf(value: unknown): number | null {
  const number = doubleOf(value)
  return number !== null && number === (number | 0) ? number | 0 : null
}

/** A reference as it was written, such as `Encounter/17`. */
export function referenceOf(value: unknown): string | null {
  return textOf(firstAt(value, 'reference'))
}

/** A choice of types, `value[x]`: the type that was chosen, and the value. */
export function choiceOf(
  value: unknown,
  name: string,
): { readonly type: string; readonly value: unknown } | undefined {
  if (!isObject(value)) return undefined
  for (const key of Object.keys(value)) {
    const type = key.startsWith(name) ? key.slice(name.length) : ''
    if (/^[A-Z][A-Za-z0-9]{0,30}$/.test(type)) return { type, value: value[key] }
  }
  return undefined
}

/** What a date of FHIR says, and how precisely. @see https://hl7.org/fhir/R4/datatypes.html#dateTime */
export interface ReadDate {
  readonly precision: 'year' | 'month' | 'day' | 'time'
  /** The day in the place where it was written; null when no day is given. */
  readonly date: string | null
  /** In UTC; null when no time, or no offset, is given. */
  readonly time: string | null
}

const dateTime =
  /^(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,20}))?)?(Z|[+-]\d\d:\d\d)?)?)?)?$/

/** A date, a dateTime or an instant; undefined when it is none, such as the 30th of February. */
export function dateOf(value: unknown): ReadDate | undefined {
  const match = typeof value === 'string' && value.length < 60 ? dateTime.exec(value) : null
  if (!match) return undefined
  const [, year = '', month, day, clock, seconds = '00', fraction = '', offset] = match
  if (year === '0000' || !isDay(year, month ?? '01', day ?? '01')) return undefined
  if (month === undefined) return { precision: 'year', date: null, time: null }
  if (day === undefined) return { precision: 'month', date: null, time: null }
  const date = `${year}-${month}-${day}`
  if (clock === undefined) return { precision: 'day', date, time: null }
  const local = Date.parse(`${date}T${clock}:${seconds}Z`)
  if (Number.isNaN(local)) return undefined
  const written = `${date}T${clock}:${seconds}.${fraction.padEnd(3, '0').slice(0, 3)}${offset ?? 'Z'}`
  const time = offset === undefined ? Number.NaN : Date.parse(written)
  return { precision: 'time', date, time: isoOf(time) }
}

function isDay(year: string, month: string, day: string): boolean {
  const date = new Date(`${year}-${month}-${day}T00:00:00Z`)
  // The 30th of February is read as a day of March.
  return date.getUTCDate() === Number(day)
}

function isoOf(time: number): string | null {
  const text = Number.isNaN(time) ? '' : new Date(time).toISOString()
  return /^\d{4}-/.test(text) && !text.startsWith('0000') ? text : null
}

/** A coding, as far as it is one. */
export interface ReadCoding {
  readonly system: string | null
  readonly code: string | null
  readonly display: string | null
}

/** The codings of a CodeableConcept, of a Coding, of a plain code, or of a list of them. */
export function codingsOf(value: unknown): ReadCoding[] {
  return [value].flat().flatMap((one): ReadCoding[] => {
    const plain = textOf(one)
    if (plain !== null) return [{ system: null, code: plain, display: null }]
    if (!isObject(one)) return []
    const codings = Array.isArray(one.coding) ? one.coding.filter(isObject) : 'coding' in one ? [] : [one]
    return codings
      .map(({ system, code, display }) => ({
        system: textOf(system),
        code: textOf(code),
        display: textOf(display),
      }))
      .filter(({ system, code, display }) => code !== null || (system !== null && display !== null))
  })
}

/** The coding that a column shows: the first of the first preferred system that is there, else the first. */
export function preferred(
  codings: readonly ReadCoding[],
  systems: readonly string[],
): ReadCoding | undefined {
  for (const system of systems) {
    const found = codings.find((coding) => coding.system === system && coding.code !== null)
    if (found) return found
  }
  return codings.find(({ code }) => code !== null)
}

/** All codings in one cell, as `system|code`. */
export function codingsText(codings: readonly ReadCoding[]): Cell {
  return joined(
    codings
      .filter(({ code }) => code !== null)
      .map(({ system, code }) => (system === null ? code : `${system}|${code}`)),
  )
}

/** A quantity as one would write it down: `>= 1.50 mg/dL`. */
export function quantityText(value: unknown): string | null {
  const digits = digitsOf(firstAt(value, 'value'))
  if (digits === null) return null
  const unit = textOf(firstAt(value, 'unit')) ?? textOf(firstAt(value, 'code'))
  return joined([textOf(firstAt(value, 'comparator')), digits, unit], ' ')
}
