import { endOfString, isObject, parseJson } from '../util/json.js'
import { onOneLine } from '../util/line.js'
import { outcomesOf } from './request.js'
import type { Page, PageEntry, Resource } from './types.js'

/** A page as read: what it holds, and the server's next link if it gave one. */
export interface ParsedPage {
  readonly page: Page
  readonly next?: string
}

/**
 * Reads a searchset Bundle. Each resource is kept both parsed and as its own slice of the text, so that
 * numbers such as `1.00` reach the study as the server wrote them.
 * Undefined when the text is not a Bundle of search results. The text is asked for anew when it is needed: kept as a
 * string it would outlive its page, and cost the garbage collector more than all else here.
 *
 * @see https://hl7.org/fhir/R4/bundle.html#searchset
 */
export function parsePage(read: () => string): ParsedPage | undefined {
  const bundle = parseJson(read())
  if (!isObject(bundle) || bundle.resourceType !== 'Bundle') return undefined
  if (bundle.entry !== undefined && !Array.isArray(bundle.entry)) return undefined
  const parsed = (bundle.entry ?? []) as unknown[]
  // Found when the first one is asked for: whoever only reads the resources does not pay for it.
  let texts: readonly (string | undefined)[] | undefined
  const textAt = (index: number): string | undefined => {
    texts ??= resourceTexts(read())
    return texts.length === parsed.length ? texts[index] : undefined
  }
  const entries: PageEntry[] = []
  const outcomes: Page['outcomes'][number][] = []
  let invalid = 0
  parsed.forEach((entry, index) => {
    const resource = isObject(entry) ? entry.resource : undefined
    const search = isObject(entry) && isObject(entry.search) ? entry.search.mode : undefined
    if (!isObject(resource) || typeof resource.resourceType !== 'string') invalid++
    else if (resource.resourceType === 'OperationOutcome') outcomes.push(...outcomesOf(resource))
    else {
      const mode = search === 'include' ? 'include' : 'match'
      entries.push(new Entry(resource as unknown as Resource, mode, index, textAt))
    }
  })
  const total = bundle.total
  const next = nextLink(bundle)
  return {
    page: { entries, outcomes, invalid, ...(typeof total === 'number' ? { total } : {}) },
    ...(next === undefined ? {} : { next }),
  }
}

// A class, since an object with a getter of its own is a shape of its own, which costs more than to parse it.
class Entry implements PageEntry {
  readonly #index: number
  readonly #textAt: (index: number) => string | undefined
  readonly resource: Resource
  readonly mode: PageEntry['mode']
  constructor(
    resource: Resource,
    mode: PageEntry['mode'],
    index: number,
    textAt: (index: number) => string | undefined,
  ) {
    this.resource = resource
    this.mode = mode
    this.#index = index
    this.#textAt = textAt
  }
  get text(): string {
    const text = this.#textAt(this.#index)
    return text === undefined ? JSON.stringify(this.resource) : onOneLine(text)
  }
}

/** The next link in the beginning of a page, where it stands before the entries. A guess: the page itself decides. */
export function nextInHead(head: string): string | undefined {
  const [before = '', rest] = head.split('"entry"', 2)
  const [, links] =
    rest === undefined && !before.includes(']') ? [] : (/"link"\s*:\s*(\[[^\]]*\])/.exec(before) ?? [])
  return links === undefined ? undefined : nextLink({ link: parseJson(links) })
}

function nextLink(bundle: Record<string, unknown>): string | undefined {
  if (!Array.isArray(bundle.link)) return undefined
  for (const link of bundle.link) {
    if (isObject(link) && link.relation === 'next' && typeof link.url === 'string') return link.url
  }
  return undefined
}

/** The text of `resource` of each entry; undefined where an entry has none. Expects text that `JSON.parse` accepts. */
function resourceTexts(text: string): (string | undefined)[] {
  let slices: (string | undefined)[] = []
  eachMember(text, text.indexOf('{'), (key, start) => {
    if (key === 'entry' && text[start] === '[') {
      // A repeated key overrides, as it does in JSON.parse.
      slices = []
      return eachElement(text, start, (at) => {
        if (text[at] !== '{') {
          slices.push(undefined)
          return endOfValue(text, at)
        }
        let slice: string | undefined
        const end = eachMember(text, at, (name, from) => {
          const to = endOfValue(text, from)
          if (name === 'resource') slice = text.slice(from, to)
          return to
        })
        slices.push(slice)
        return end
      })
    }
    return endOfValue(text, start)
  })
  return slices
}

type Visit<Args extends unknown[]> = (...args: Args) => number

// Each visitor is given where a value starts and returns where it ends; so does the walk itself.
function eachMember(text: string, open: number, visit: Visit<[key: string, start: number]>): number {
  let at = skipSpace(text, open + 1)
  while (at < text.length && text[at] !== '}') {
    const keyEnd = endOfString(text, at)
    const key = text.slice(at + 1, keyEnd - 1)
    at = skipSpace(text, visit(key, skipSpace(text, skipSpace(text, keyEnd) + 1)))
    if (text[at] === ',') at = skipSpace(text, at + 1)
  }
  return at + 1
}

function eachElement(text: string, open: number, visit: Visit<[start: number]>): number {
  let at = skipSpace(text, open + 1)
  while (at < text.length && text[at] !== ']') {
    at = skipSpace(text, visit(at))
    if (text[at] === ',') at = skipSpace(text, at + 1)
  }
  return at + 1
}

function endOfValue(text: string, start: number): number {
  const first = text.charCodeAt(start)
  if (first === quote) return endOfString(text, start)
  if (first !== openBrace && first !== openBracket) {
    let at = start
    while (at < text.length && !',]} \t\r\n'.includes(text[at] as string)) at++
    return at
  }
  let depth = 0
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === quote) at = endOfString(text, at) - 1
    else if (code === openBrace || code === openBracket) depth++
    else if ((code === closeBrace || code === closeBracket) && --depth === 0) return at + 1
  }
  return text.length
}

function skipSpace(text: string, from: number): number {
  let at = from
  while (at < text.length && text.charCodeAt(at) <= 32) at++
  return at
}

const quote = 34
const openBracket = 91
const closeBracket = 93
const openBrace = 123
const closeBrace = 125
