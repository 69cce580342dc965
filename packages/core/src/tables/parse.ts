import { endOfString, parseJson } from '../util/json.js'

// A number that JSON.parse would not give back as it was written becomes a string that begins with this, which no
// string of FHIR may hold.
const mark = '\u0001'

// A larger resource, and one with more such numbers, is kept as text and not read: reading it could take all memory.
const mostCharacters = 32 * 1024 * 1024
const mostMarked = 100_000

/**
 * The value of a JSON text, in which numbers keep their digits: `1.00` is told from `1`. Undefined when it is no JSON, or
 * too large to be read. Never throws.
 */
export function parseKeepingDigits(text: string): unknown {
  if (text.length > mostCharacters) return undefined
  const marked = markNumbers(text)
  return marked === undefined ? undefined : parseJson(marked)
}

/** The text of a number as it was written, or null. */
export function digitsOf(value: unknown): string | null {
  const digits =
    typeof value === 'number'
      ? String(value)
      : typeof value === 'string' && value.startsWith(mark)
        ? value.slice(mark.length)
        : ''
  return digits.length <= 100 && /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(digits) ? digits : null
}

/** True for a string that stands for a number. */
export function isMarked(value: string): boolean {
  return value.startsWith(mark)
}

function markNumbers(text: string): string | undefined {
  const token = /["\-\d]/g
  const number = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y
  const pieces: string[] = []
  let from = 0
  for (let found = token.exec(text); found; found = token.exec(text)) {
    if (found[0] === '"') {
      token.lastIndex = endOfString(text, found.index)
      continue
    }
    number.lastIndex = found.index
    const digits = number.exec(text)?.[0]
    if (digits === undefined) continue
    token.lastIndex = found.index + digits.length
    if (String(Number(digits)) === digits) continue
    if (pieces.length >= 2 * mostMarked) return undefined
    pieces.push(text.slice(from, found.index), `"\\u0001${digits}"`)
    from = token.lastIndex
  }
  return pieces.length === 0 ? text : pieces.join('') + text.slice(from)
}
