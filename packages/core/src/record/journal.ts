import type { AttachmentBytes, Outcome, Page, PageEntry, Reader, SearchParams } from '../fhir/types.js'
import type { Plan } from '../plans/plan.js'
import type { Checkpoint } from '../ports.js'
import { base64, fromBase64 } from '../util/bytes.js'
import { isObject, parseJson } from '../util/json.js'
import { onOneLine } from '../util/line.js'
import type { Run } from './completeness.js'
import { nameOfQuery, type Query } from './schedule.js'

/** A page as it was kept, with what was asked to get it. */
export interface KeptPage {
  readonly page: Page
  readonly search: SearchParams
  readonly alone: boolean
}

/** What a collection has had so far, kept so that another can go on from there. */
export interface Journal {
  readonly startedAt: Date
  /** The pages of a query, in order. */
  pages(query: Query): readonly KeptPage[]
  /** How a query ended, when it did; only an end that asking again would not change. */
  ending(query: Query): Ending | undefined
  keepPage(run: Run, page: Page): Promise<void>
  keepEnding(run: Run): Promise<void>
  /** Resources that were fetched because others point to them. */
  referenced(key: string): PageEntry | undefined
  keepReferenced(entries: readonly PageEntry[]): Promise<void>
  /** A reader whose files are fetched once. */
  reader(reader: Reader): Reader
  /** Ends it: the record is whole. */
  close(): Promise<void>
}

export interface Ending {
  readonly ended?: NonNullable<Run['ended']>
  readonly reason?: string
  readonly forbidden?: boolean
}

interface Head {
  readonly reader: Reader
  readonly plan: Plan
  readonly since?: Date
  readonly now: number
}

const version = 1
/** What is older is not gone on with: a record is of one time. Milliseconds. */
const longest = 86_400_000

/** Opens what a checkpoint holds of this very collection; what is of another is cleared. */
export async function openJournal(checkpoint: Checkpoint, head: Head): Promise<Journal> {
  const { reader, plan, since, now } = head
  const name = JSON.stringify([
    version,
    ...[reader.id, reader.provider.iss, reader.patient, plan.id],
    plan.classes.map((row) => [row.name, row.type, row.searches, row.includes, row.by, row.attachments]),
    since?.toISOString(),
    [...reader.scopes].sort(),
  ])
  const lines = (await checkpoint.read()).map((line) => parseJson(line)).filter(isObject)
  const own = lines[0]?.head === name && now - Number(lines[0]?.at) < longest
  if (!own) await checkpoint.clear()
  const startedAt = new Date(own ? Number(lines[0]?.at) : now)
  if (!own) await checkpoint.append(JSON.stringify({ head: name, at: now }))

  const pages = new Map<string, KeptPage[]>()
  const endings = new Map<string, Ending>()
  const referenced = new Map<string, PageEntry>()
  const files = new Map<string, AttachmentBytes>()
  for (const line of own ? lines.slice(1) : []) {
    const key = typeof line.key === 'string' ? line.key : ''
    if (line.kind === 'page') {
      const list = pages.get(key) ?? []
      const kept = pageFrom(line)
      // Two tabs may have kept the same page.
      if (kept && line.number === list.length) list.push(kept)
      else if (kept && line.number === 0) list.splice(0, list.length, kept)
      pages.set(key, list)
    } else if (line.kind === 'ending') endings.set(key, line as Ending)
    else if (line.kind === 'referenced')
      for (const entry of entriesFrom(line.entries)) referenced.set(keyOf(entry), entry)
    else if (line.kind === 'file') {
      const bytes = bytesFrom(line.data)
      if (bytes) files.set(key, { contentType: String(line.contentType), bytes })
    }
  }
  const numbers = new Map([...pages].map(([key, list]) => [key, list.length]))
  const write = (line: object): Promise<void> => checkpoint.append(JSON.stringify(line))

  return {
    startedAt,
    pages: (query) => pages.get(nameOfQuery(query)) ?? [],
    ending: (query) => endings.get(nameOfQuery(query)),
    keepPage: async (run, page) => {
      const key = nameOfQuery(run.query)
      // A chain that began again is kept anew.
      const number = run.pages <= 1 ? 0 : (numbers.get(key) ?? 0)
      numbers.set(key, number + 1)
      const { entries, ...rest } = page
      const { search, alone } = run
      await write({ kind: 'page', key, number, search, alone, ...rest, entries: entriesTo(entries) })
    },
    keepEnding: async ({ query, ended, reason, forbidden }) => {
      await write({ kind: 'ending', key: nameOfQuery(query), ended, reason, forbidden })
    },
    referenced: (key) => referenced.get(key),
    keepReferenced: async (entries) => {
      if (entries.length > 0) await write({ kind: 'referenced', entries: entriesTo(entries) })
    },
    reader: (plain) => ({
      ...plain,
      attachment: async (url, options) => {
        const known = files.get(url)
        if (known) return known
        const file = await plain.attachment(url, options)
        await write({ kind: 'file', key: url, contentType: file.contentType, data: base64(file.bytes) })
        return file
      },
    }),
    close: () => checkpoint.clear(),
  }
}

const keyOf = ({ resource }: PageEntry): string => `${resource.resourceType}/${resource.id}`

const entriesTo = (entries: readonly PageEntry[]): string[][] =>
  entries.map(({ mode, text }) => [mode, onOneLine(text)])

function entriesFrom(kept: unknown): PageEntry[] {
  return (Array.isArray(kept) ? kept : []).flatMap(([mode, text]: [unknown, unknown]) => {
    const resource = typeof text === 'string' ? parseJson(text) : undefined
    if (!isObject(resource)) return []
    return [{ resource: resource as never, text: text as string, mode: mode === 'include' ? mode : 'match' }]
  })
}

function bytesFrom(kept: unknown): AttachmentBytes['bytes'] | undefined {
  try {
    return typeof kept === 'string' ? fromBase64(kept) : undefined
  } catch {
    return undefined
  }
}

function pageFrom(line: Record<string, unknown>): KeptPage | undefined {
  const { search, alone, outcomes, invalid, total, next, last } = line
  if (!isObject(search) || !Array.isArray(outcomes)) return undefined
  return {
    search: search as SearchParams,
    alone: alone === true,
    page: {
      entries: entriesFrom(line.entries),
      outcomes: outcomes.filter(isObject) as unknown as Outcome[],
      invalid: Number(invalid),
      ...(typeof total === 'number' ? { total } : {}),
      ...(typeof next === 'string' ? { next } : {}),
      ...(last === true ? { last } : {}),
    },
  }
}
