import { endOfString } from '../util/json.js'
import { targetOf } from './references.js'
import { type Removal, type RemovalRule, removals } from './removals.js'

/**
 * Takes elements out of the JSON text of a resource, and says how many of each kind went.
 *
 * @param gone `Type/id` of resources that nothing shall point to; such references go too, and are not counted
 * @throws SyntaxError when the text is not JSON
 */
export function strip(
  text: string,
  wanted: readonly Removal[],
  gone: ReadonlySet<string> = new Set(),
): { readonly text: string; readonly removed: Readonly<Partial<Record<Removal, number>>> } {
  const rules = rulesOf(wanted)
  const removed: Partial<Record<Removal, number>> = {}
  if (rules.size === 0 && gone.size === 0) return { text, removed }
  const extensions = extensionsOf(wanted)

  // Undefined for what nothing is left of: FHIR knows no empty elements.
  const rewrite = (value: Node, path: readonly string[], type: string): string | undefined => {
    if (value.kind === 'array') {
      const items = value.items.map((one) => rewrite(one, path, type)).filter((one) => one !== undefined)
      return items.length === 0 && value.items.length > 0 ? undefined : `[${items.join(',')}]`
    }
    if (value.kind !== 'object') return text.slice(value.start, value.end)
    const own = stringOf(text, value, 'resourceType') ?? type
    const reference = stringOf(text, value, 'reference')
    if (reference !== undefined && gone.has(targetOf(reference) ?? '')) return undefined
    const url = extensions.length === 0 ? undefined : stringOf(text, value, 'url')
    const named = url === undefined ? undefined : extensions.find(([end]) => url.endsWith(end))
    if (named && isExtension(path)) {
      removed[named[1]] = (removed[named[1]] ?? 0) + 1
      return undefined
    }
    const names = new Set(value.members.map(({ key }) => key))
    const members = value.members.map((member) => rewriteMember(member, path, own, reference, names))
    const kept = members.filter((one) => one !== undefined)
    return kept.length === 0 && members.length > 0 ? undefined : `{${kept.join(',')}}`
  }

  const rewriteMember = (
    member: Member,
    path: readonly string[],
    type: string,
    reference: string | undefined,
    beside: ReadonlySet<string>,
  ): string | undefined => {
    // What FHIR says about a primitive stands beside it, under its name with an underscore.
    const key = member.key.startsWith('_') ? member.key.slice(1) : member.key
    const { value } = member
    const found = rules.get(key)?.find(({ rule }) => matches(rule, value.kind, path, type, reference, beside))
    if (!found) {
      if (value.kind === 'string' || value.kind === 'other') return text.slice(member.start, value.end)
      const rewritten = rewrite(value, [...path, key], type)
      return rewritten === undefined ? undefined : `${text.slice(member.start, value.start)}${rewritten}`
    }
    removed[found.id] = (removed[found.id] ?? 0) + 1
    const { keep } = found.rule
    if (keep === undefined || value.kind !== 'string' || member.key !== key) return undefined
    const whole = JSON.parse(text.slice(value.start, value.end)) as string
    return `${JSON.stringify(key)}:${JSON.stringify(whole.slice(0, keep))}`
  }
  return { text: rewrite(parse(text), [], '') ?? '{}', removed }
}

type Found = { readonly id: Removal; readonly rule: RemovalRule }

/** The rules of the wanted removals, by the name of the element. */
function rulesOf(wanted: readonly Removal[]): Map<string, Found[]> {
  const byKey = new Map<string, Found[]>()
  for (const { id, rules } of removals)
    for (const rule of wanted.includes(id) ? rules : [])
      for (const key of rule.keys) byKey.set(key, [...(byKey.get(key) ?? []), { id, rule }])
  return byKey
}

const extensionsOf = (wanted: readonly Removal[]): (readonly [end: string, id: Removal])[] =>
  removals.flatMap(({ id, extensions = [] }) =>
    wanted.includes(id) ? extensions.map((end) => [end, id] as const) : [],
  )

const isExtension = (path: readonly string[]): boolean => /^(?:modifierE|e)xtension$/.test(path.at(-1) ?? '')

function matches(
  rule: RemovalRule,
  kind: Node['kind'],
  path: readonly string[],
  type: string,
  reference: string | undefined,
  beside: ReadonlySet<string>,
): boolean {
  if (rule.kind !== undefined && rule.kind !== kind) return false
  if (rule.in && !rule.in.includes(type)) return false
  if (rule.under && !rule.under.some((one) => path.includes(one))) return false
  if (rule.unless !== undefined && beside.has(rule.unless)) return false
  return rule.beside ? reference !== undefined && rule.beside.test(reference) : true
}

/**
 * The same JSON with every name of an object once. Of one that stands twice whoever reads takes the last, so that the
 * first would be looked at by nobody.
 *
 * @throws SyntaxError when the text is not JSON
 */
export function onceEach(text: string): string {
  let repeated = false
  const rewrite = (value: Node): string => {
    if (value.kind === 'array') return `[${value.items.map(rewrite).join(',')}]`
    if (value.kind !== 'object') return text.slice(value.start, value.end)
    const last = new Map(value.members.map((member) => [member.key, member]))
    if (last.size < value.members.length) repeated = true
    return `{${[...last.values()].map(({ key, value: one }) => `${JSON.stringify(key)}:${rewrite(one)}`).join(',')}}`
  }
  const rewritten = rewrite(parse(text))
  return repeated ? rewritten : text
}

// Where the values of a text begin and end; the text itself is never written anew.
type Node =
  | ObjectNode
  | { readonly kind: 'array'; readonly start: number; readonly end: number; readonly items: readonly Node[] }
  | { readonly kind: 'string' | 'other'; readonly start: number; readonly end: number }

interface ObjectNode {
  readonly kind: 'object'
  readonly start: number
  readonly end: number
  readonly members: readonly Member[]
}

interface Member {
  readonly key: string
  /** Where its key begins. */
  readonly start: number
  readonly value: Node
}

function stringOf(text: string, object: ObjectNode, name: string): string | undefined {
  const found = object.members.find(({ key }) => key === name)?.value
  return found?.kind === 'string' ? (JSON.parse(text.slice(found.start, found.end)) as string) : undefined
}

function parse(text: string): Node {
  // It throws for what is not JSON, so that below there is nothing to check.
  JSON.parse(text)
  let at = 0
  // Behind white space, and behind a comma or a colon, which say nothing that the brackets do not.
  const next = (): number => {
    for (;;) {
      const code = text.charCodeAt(at)
      if (code > 32 && code !== 44 && code !== 58) return code
      at++
    }
  }
  const value = (): Node => {
    const first = next()
    const start = at
    if (first === quote) {
      at = endOfString(text, at)
      return { kind: 'string', start, end: at }
    }
    if (first === brace) {
      const members: Member[] = []
      for (at++; next() !== endBrace; ) {
        const from = at
        at = endOfString(text, at)
        const raw = text.slice(from + 1, at - 1)
        const key = raw.includes('\\') ? (JSON.parse(`"${raw}"`) as string) : raw
        members.push({ key, start: from, value: value() })
      }
      at++
      return { kind: 'object', start, end: at, members }
    }
    if (first === bracket) {
      const items: Node[] = []
      for (at++; next() !== endBracket; ) items.push(value())
      at++
      return { kind: 'array', start, end: at, items }
    }
    for (let code = first; code > 32 && code !== 44 && code !== endBrace && code !== endBracket; )
      code = text.charCodeAt(++at)
    return { kind: 'other', start, end: at }
  }
  return value()
}

const [quote, brace, endBrace, bracket, endBracket] = [34, 123, 125, 91, 93]
