/** A span of time in epoch milliseconds: from `low` up to but without `high`. */
export interface Span {
  readonly low: number
  readonly high: number
}

/** The prefixes of a date search. */
export type DatePrefix = 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge' | 'sa' | 'eb' | 'ap'

const form =
  /^(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(Z|[+-]\d{2}:\d{2})?)?)?)?$/

/**
 * The span that a FHIR date, dateTime or instant covers, at whatever precision; undefined when it is none.
 * A time without an offset is read as UTC.
 *
 * @see https://hl7.org/fhir/R4/datatypes.html#dateTime
 */
export function spanOf(text: string): Span | undefined {
  const match = form.exec(text)
  if (!match) return undefined
  const [, year, month, day, hour, minute, second, fraction, zone] = match
  const at = (value: string | undefined, otherwise: number): number =>
    value === undefined ? otherwise : Number(value)
  const y = Number(year)
  const m = at(month, 1)
  const d = at(day, 1)
  const [h, min, s] = [at(hour, 0), at(minute, 0), at(second, 0)]
  if (m < 1 || m > 12 || d < 1 || d > daysIn(y, m) || h > 23 || min > 59 || s > 60) return undefined
  const offset = offsetOf(zone)
  if (offset === undefined) return undefined
  const millis = fraction === undefined ? 0 : Number(fraction.slice(0, 3).padEnd(3, '0'))
  const low = utc(y, m, d, h, min, s, millis) - offset
  if (month === undefined) return { low, high: utc(y + 1, 1, 1) }
  if (day === undefined) return { low, high: m === 12 ? utc(y + 1, 1, 1) : utc(y, m + 1, 1) }
  if (hour === undefined) return { low, high: low + 86_400_000 }
  if (second === undefined) return { low, high: low + 60_000 }
  if (fraction === undefined) return { low, high: low + 1000 }
  return { low, high: low + 10 ** Math.max(0, 3 - fraction.length) }
}

/** The spans of an element that holds a date, a Period or a Timing. */
export function spansOf(value: unknown): Span[] {
  if (typeof value === 'string') {
    const span = spanOf(value)
    return span ? [span] : []
  }
  if (typeof value !== 'object' || value === null) return []
  const element = value as {
    start?: unknown
    end?: unknown
    event?: unknown
    repeat?: { boundsPeriod?: unknown }
  }
  if (Array.isArray(element.event)) return element.event.flatMap(spansOf)
  if (element.repeat?.boundsPeriod !== undefined) return spansOf(element.repeat.boundsPeriod)
  const start = typeof element.start === 'string' ? spanOf(element.start) : undefined
  const end = typeof element.end === 'string' ? spanOf(element.end) : undefined
  if (!start && !end) return []
  return [{ low: start?.low ?? Number.NEGATIVE_INFINITY, high: end?.high ?? Number.POSITIVE_INFINITY }]
}

/** A date search value taken apart; undefined when the date is none. */
export function dateQuery(text: string): { prefix: DatePrefix; span: Span } | undefined {
  const match = /^(eq|ne|lt|le|gt|ge|sa|eb|ap)?(.*)$/s.exec(text)
  const span = spanOf(match?.[2] ?? '')
  return span && { prefix: (match?.[1] ?? 'eq') as DatePrefix, span }
}

/**
 * True when a stored span meets a search span under a prefix.
 *
 * @see https://hl7.org/fhir/R4/search.html#prefix
 */
export function meets(stored: Span, prefix: DatePrefix, asked: Span): boolean {
  const within = stored.low >= asked.low && stored.high <= asked.high
  switch (prefix) {
    case 'eq':
      return within
    case 'ne':
      return !within
    case 'gt':
      return stored.high > asked.high
    case 'ge':
      return stored.high > asked.high || within
    case 'lt':
      return stored.low < asked.low
    case 'le':
      return stored.low < asked.low || within
    case 'sa':
      return stored.low >= asked.high
    case 'eb':
      return stored.high <= asked.low
    case 'ap': {
      const slack = Math.max(86_400_000, (asked.high - asked.low) / 10)
      return stored.low < asked.high + slack && stored.high > asked.low - slack
    }
  }
}

function utc(y: number, m: number, d: number, h = 0, min = 0, s = 0, ms = 0): number {
  const date = new Date(0)
  // Date.UTC reads the years 0 to 99 as 1900 to 1999.
  date.setUTCFullYear(y, m - 1, d)
  date.setUTCHours(h, min, s, ms)
  return date.getTime()
}

function daysIn(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

function offsetOf(zone: string | undefined): number | undefined {
  if (zone === undefined || zone === 'Z') return 0
  const hours = Number(zone.slice(1, 3))
  const minutes = Number(zone.slice(4, 6))
  if (hours > 14 || minutes > 59) return undefined
  return (zone[0] === '-' ? -1 : 1) * (hours * 60 + minutes) * 60_000
}
