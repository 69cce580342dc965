import type { Resource } from './resource.js'

// JSON text that must survive digit for digit: `1.00` is not `1` to a laboratory.
// Everything here takes text that JSON.parse has already accepted.

const texts = new WeakMap<Resource, string>()

/** Remembers the text that a resource was read from, so that it is served as it was written. */
export function rememberText(resource: Resource, text: string): Resource {
  texts.set(resource, text)
  return resource
}

/** The text of a resource: the one it was read from, or its JSON when there is none or it has been changed since. */
export function textOf(resource: Resource): string {
  const json = JSON.stringify(resource)
  const text = texts.get(resource)
  return text !== undefined && JSON.stringify(JSON.parse(text)) === json ? text : json
}

/** A member of a JSON object: its key, and where the text of its value begins and ends. */
export interface Member {
  readonly key: string
  readonly start: number
  readonly end: number
}

/** The members of the object whose `{` stands at `at`, without those of objects inside it. */
export function membersOf(text: string, at = 0): Member[] {
  const members: Member[] = []
  const open = skipSpace(text, at)
  if (text[open] !== '{') return members
  let index = skipSpace(text, open + 1)
  while (index < text.length && text[index] !== '}') {
    const keyEnd = skipString(text, index)
    const key = JSON.parse(text.slice(index, keyEnd)) as string
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1)
    const end = skipValue(text, start)
    members.push({ key, start, end })
    index = skipSpace(text, end)
    if (text[index] === ',') index = skipSpace(text, index + 1)
  }
  return members
}

/** Where the items of the array whose `[` stands at `at` begin and end. */
export function itemsOf(text: string, at: number): { readonly start: number; readonly end: number }[] {
  const items: { start: number; end: number }[] = []
  let index = skipSpace(text, at + 1)
  while (index < text.length && text[index] !== ']') {
    const end = skipValue(text, index)
    items.push({ start: index, end })
    index = skipSpace(text, end)
    if (text[index] === ',') index = skipSpace(text, index + 1)
  }
  return items
}

/** The text without white space between its tokens. */
export function compact(text: string): string {
  return text.replace(/"[^"\\]*(?:\\.[^"\\]*)*"|[ \t\r\n]+/g, (token) => (token[0] === '"' ? token : ''))
}

/** The text of a resource with a version and a time in its meta, where they were missing or have to be others. */
export function stamp(text: string, meta: Resource['meta'], versionId: string, lastUpdated: string): string {
  if (meta?.versionId === versionId && meta.lastUpdated === lastUpdated) return text
  const value = JSON.stringify({ ...meta, versionId, lastUpdated })
  const old = membersOf(text).findLast((member) => member.key === 'meta')
  if (old) return text.slice(0, old.start) + value + text.slice(old.end)
  const end = text.lastIndexOf('}')
  return `${text.slice(0, end).trimEnd()},"meta":${value}}`
}

function skipSpace(text: string, at: number): number {
  let index = at
  for (;;) {
    const code = text.charCodeAt(index)
    if (code !== 32 && code !== 10 && code !== 13 && code !== 9) return index
    index++
  }
}

function skipString(text: string, at: number): number {
  let index = at + 1
  for (;;) {
    const quote = text.indexOf('"', index)
    if (quote < 0) return text.length
    let slashes = 0
    while (text[quote - 1 - slashes] === '\\') slashes++
    if (slashes % 2 === 0) return quote + 1
    index = quote + 1
  }
}

function skipValue(text: string, at: number): number {
  const first = text[at]
  if (first === '"') return skipString(text, at)
  if (first !== '{' && first !== '[') {
    let index = at
    while (index < text.length && !',}] \t\r\n'.includes(text[index] as string)) index++
    return index
  }
  let depth = 0
  let index = at
  while (index < text.length) {
    const char = text[index]
    if (char === '"') {
      index = skipString(text, index)
      continue
    }
    if (char === '{' || char === '[') depth++
    else if (char === '}' || char === ']') {
      depth--
      if (depth === 0) return index + 1
    }
    index++
  }
  return text.length
}
