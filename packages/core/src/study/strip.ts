import { endOfString } from '../util/json.js'

/** What a study's protocol keeps out of what it receives. */
export type Removal = 'free-text' | 'names' | 'contact-details' | 'identifiers' | 'birth-day' | 'files'

/** One kind of removal, and the elements that it takes out. */
export interface RemovalRow {
  readonly id: Removal
  /** What is taken out, in words for the participant. */
  readonly says: string
  readonly rules: readonly Rule[]
}

interface Rule {
  readonly keys: readonly string[]
  /** Only a value of this kind. */
  readonly kind?: 'object' | 'string'
  /** Only in these types of resources. */
  readonly in?: readonly string[]
  /** Only below an element of these names. */
  readonly under?: readonly string[]
  /** Only where the object has such a reference beside it. */
  readonly beside?: RegExp
  /** Keeps this many characters of a text. */
  readonly keep?: number
}

const persons = ['Patient', 'Practitioner', 'RelatedPerson', 'Person']
const toPerson = /(?:^|\/)(?:Patient|Practitioner|PractitionerRole|RelatedPerson|Person)\/|^#/

/**
 * The removals, from free text to the day of birth. They take whole elements out by name; what is left keeps its
 * bytes, so that `1.00` stays `1.00`.
 *
 * @see https://www.hhs.gov/hipaa/for-professionals/special-topics/de-identification/ for the identifiers
 */
export const removals: readonly RemovalRow[] = /* @__PURE__ */ Object.freeze([
  {
    id: 'free-text',
    says: 'What was written in free words, and files',
    rules: [
      { keys: ['text'], kind: 'object' },
      { keys: ['div', 'note', 'comment', 'comments', 'conclusion', 'patientInstruction', 'details'] },
      { keys: ['valueString', 'valueMarkdown', 'valueAnnotation', 'authorString', 'summary'] },
      { keys: ['description'], kind: 'string' },
      {
        keys: ['text'],
        kind: 'string',
        under: ['dosage', 'dosageInstruction', 'bodySite', 'reasonCode', 'item'],
      },
      { keys: ['data', 'contentString'], kind: 'string' },
    ],
  },
  {
    id: 'names',
    says: 'Names of people',
    rules: [
      { keys: ['name', 'contact'], in: persons },
      { keys: ['display'], beside: toPerson },
      {
        keys: ['display'],
        under: ['subject', 'patient', 'performer', 'author', 'requester', 'asserter', 'recorder'],
      },
    ],
  },
  {
    id: 'contact-details',
    says: 'Addresses, telephone numbers and photographs',
    rules: [{ keys: ['telecom', 'address', 'contact', 'photo'], in: persons }],
  },
  {
    id: 'identifiers',
    says: 'Record numbers and other identifiers',
    rules: [
      { keys: ['identifier', 'masterIdentifier', 'accountNumber', 'subscriberId', 'accessionIdentifier'] },
    ],
  },
  {
    id: 'birth-day',
    says: 'The day and month of birth',
    rules: [{ keys: ['birthDate', 'deceasedDateTime', 'valueDate', 'valueDateTime'], in: persons, keep: 4 }],
  },
  {
    id: 'files',
    says: 'Files, such as letters and pictures',
    rules: [
      {
        keys: ['data'],
        kind: 'string',
        under: ['attachment', 'presentedForm', 'photo', 'content', 'valueAttachment', 'contained'],
      },
    ],
  },
])

/**
 * Takes elements out of the JSON text of a resource, and says how many of each kind went.
 *
 * @throws SyntaxError when the text is not JSON
 */
export function strip(
  text: string,
  wanted: readonly Removal[],
): { readonly text: string; readonly removed: Readonly<Partial<Record<Removal, number>>> } {
  const rules = rulesOf(wanted)
  const removed: Partial<Record<Removal, number>> = {}
  if (rules.size === 0) return { text, removed }

  // Undefined for what nothing is left of: FHIR knows no empty elements.
  const rewrite = (value: Node, path: readonly string[], type: string): string | undefined => {
    if (value.kind === 'array') {
      const items = value.items.map((one) => rewrite(one, path, type)).filter((one) => one !== undefined)
      return items.length === 0 && value.items.length > 0 ? undefined : `[${items.join(',')}]`
    }
    if (value.kind !== 'object') return text.slice(value.start, value.end)
    const own = stringOf(text, value, 'resourceType') ?? type
    const reference = stringOf(text, value, 'reference')
    const members = value.members.map((member) => rewriteMember(member, path, own, reference))
    const kept = members.filter((one) => one !== undefined)
    return kept.length === 0 && members.length > 0 ? undefined : `{${kept.join(',')}}`
  }

  const rewriteMember = (
    member: Member,
    path: readonly string[],
    type: string,
    reference: string | undefined,
  ): string | undefined => {
    // What FHIR says about a primitive stands beside it, under its name with an underscore.
    const key = member.key.startsWith('_') ? member.key.slice(1) : member.key
    const { value } = member
    const found = rules.get(key)?.find(({ rule }) => matches(rule, value.kind, path, type, reference))
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

type Found = { readonly id: Removal; readonly rule: Rule }

/** The rules of the wanted removals, by the name of the element. */
function rulesOf(wanted: readonly Removal[]): Map<string, Found[]> {
  const byKey = new Map<string, Found[]>()
  for (const { id, rules } of removals)
    for (const rule of wanted.includes(id) ? rules : [])
      for (const key of rule.keys) byKey.set(key, [...(byKey.get(key) ?? []), { id, rule }])
  return byKey
}

function matches(
  rule: Rule,
  kind: Node['kind'],
  path: readonly string[],
  type: string,
  reference: string | undefined,
): boolean {
  if (rule.kind !== undefined && rule.kind !== kind) return false
  if (rule.in && !rule.in.includes(type)) return false
  if (rule.under && !rule.under.some((one) => path.includes(one))) return false
  return rule.beside ? reference !== undefined && rule.beside.test(reference) : true
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
