import { isObject } from '../json.js'

/** One line of a file: a resource, or why it is none. */
export type Line =
  | { readonly text: string; readonly resource: Record<string, unknown> }
  | { readonly bad: 'too-long' | 'no-text' | 'no-json' | 'too-deep' | 'no-resource' }

/** Most bytes of a line, unless the caller says otherwise. */
export const longestLine: number = 32 * 1024 * 1024
const deepest = 100
const newline = 10

/**
 * The lines of NDJSON that comes in pieces, whatever it is: no more than one line is held, and what is no resource is a
 * line that says so.
 *
 * @see https://github.com/ndjson/ndjson-spec
 */
export async function* linesOf(
  pieces: AsyncIterable<Uint8Array>,
  most: number = longestLine,
): AsyncGenerator<Line, void, undefined> {
  for await (const bytes of splitLines(pieces, most)) {
    const line = bytes === undefined ? ({ bad: 'too-long' } as const) : parseLine(bytes)
    if (line) yield line
  }
}

/** The number of lines that are not empty. */
export async function countLines(pieces: AsyncIterable<Uint8Array>): Promise<number> {
  let count = 0
  let empty = true
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      const end = piece.indexOf(newline, at)
      const until = end < 0 ? piece.length : end
      if (empty && !isBlank(piece, at, until)) empty = false
      if (end < 0) break
      if (!empty) count++
      empty = true
      at = end + 1
    }
  }
  return empty ? count : count + 1
}

function isBlank(piece: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (piece[at] !== 32 && piece[at] !== 13 && piece[at] !== 9) return false
  return true
}

/** The bytes of lines that are not empty; undefined for one that is too long, which is passed over. */
export async function* splitLines(
  pieces: AsyncIterable<Uint8Array>,
  most: number = Number.POSITIVE_INFINITY,
): AsyncGenerator<Uint8Array | undefined, void, undefined> {
  let parts: Uint8Array[] = []
  let size = 0
  const take = (): Uint8Array | undefined => {
    const whole = size > most ? undefined : parts.length === 1 ? parts[0] : Buffer.concat(parts)
    parts = []
    size = 0
    return whole
  }
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      const end = piece.indexOf(newline, at)
      const part = piece.subarray(at, end < 0 ? piece.length : end)
      size += part.length
      if (size > most) parts = []
      else if (part.length > 0) parts.push(part)
      if (end < 0) break
      if (size > 0) yield take()
      at = end + 1
    }
  }
  if (size > 0) yield take()
}

const decoder = new TextDecoder('utf-8', { fatal: true })

/** Undefined for a line of nothing but space. */
function parseLine(bytes: Uint8Array): Line | undefined {
  let text: string
  try {
    text = decoder.decode(bytes).trim()
  } catch {
    return { bad: 'no-text' }
  }
  if (text === '') return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { bad: 'no-json' }
  }
  if (!isObject(value) || typeof value.resourceType !== 'string') return { bad: 'no-resource' }
  return isShallow(value, deepest) ? { text, resource: value } : { bad: 'too-deep' }
}

// Whoever walks a resource later may do so by calling itself.
function isShallow(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  return levels > 0 && Object.values(value).every((one) => isShallow(one, levels - 1))
}
