export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** JSON of at most `maxDepth` levels, or undefined when it is anything else. Never throws. */
export function parseJson(text: string, maxDepth = 100): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return isShallow(value, maxDepth) ? value : undefined
  } catch {
    return undefined
  }
}

/** A plain object, not an array and not null. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A non-empty string at `key`, else undefined. */
export function stringAt(value: unknown, key: string): string | undefined {
  if (!isObject(value)) return undefined
  const found = value[key]
  return typeof found === 'string' && found !== '' ? found : undefined
}

/** The strings of an array at `key`; anything else gives an empty array. */
export function stringsAt(value: unknown, key: string): string[] {
  if (!isObject(value)) return []
  const found = value[key]
  return Array.isArray(found) ? found.filter((item): item is string => typeof item === 'string') : []
}

// A deep enough value overflows the stack of whoever walks it later. This walk goes no deeper than it allows.
function isShallow(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (levels === 0) return false
  // By index and not by key: half of FHIR is arrays, and this is done to every resource.
  if (Array.isArray(value)) {
    for (let at = 0; at < value.length; at++) if (!isShallow(value[at], levels - 1)) return false
    return true
  }
  for (const key in value) {
    const one = (value as Record<string, unknown>)[key]
    if (typeof one === 'object' && one !== null && !isShallow(one, levels - 1)) return false
  }
  return true
}

/** Where the JSON string that begins at `start` ends: behind its closing quote, or at the end of the text. */
export function endOfString(text: string, start: number): number {
  for (let at = start + 1; ; ) {
    const end = text.indexOf('"', at)
    if (end < 0) return text.length
    let slashes = 0
    while (text.charCodeAt(end - 1 - slashes) === 92) slashes++
    if (slashes % 2 === 0) return end + 1
    at = end + 1
  }
}
