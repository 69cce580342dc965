import {
  type AttachmentBytes,
  isSmartError,
  type Outcome,
  type Page,
  type PageEntry,
  type Reader,
  type Resource,
  type SearchParams,
  SmartError,
} from '@s4s/core'
import type { BackendService } from '@s4s/core/confidential'
import { isObject, parseJson } from '../json.js'
import type { Shared } from './shelves.js'
import { localKey, roleKey, type Staged } from './stage.js'

/** What the records of one export are read with. */
export interface Exported {
  readonly service: BackendService
  readonly scopes: readonly string[]
  /** The types that were asked for. */
  readonly types: ReadonlySet<string>
  readonly lenient: boolean
  /** Types that are in the export. */
  readonly present: ReadonlySet<string>
  /** Types that were narrowed by a filter of the caller. */
  readonly filtered: ReadonlySet<string>
  readonly staged: Staged
  readonly shared: Shared
  /** Reads at the server what records point to and the export does not hold. */
  readonly live: Reader['readEntry']
  /** True when only what is new was exported: what it points to may have to be read. */
  readonly partial: boolean
}

const pageSize = 500

const mostRead = 5000

/** Reads each resource once for all records; of a type that access does not reach, only the first. */
export function readOnce(service: BackendService): Reader['readEntry'] {
  const known = new Map<string, Promise<PageEntry>>()
  const refused = new Map<string, unknown>()
  return async (type, id, options) => {
    if (type === 'Patient') return service.readEntry(type, id, options)
    if (refused.has(type)) throw refused.get(type)
    const key = `${type}/${id}`
    const reading = known.get(key) ?? service.readEntry(type, id, options)
    if (known.size >= mostRead) known.clear()
    known.set(key, reading)
    try {
      return await reading
    } catch (error) {
      if (isSmartError(error) && error.code === 'FHIR_FORBIDDEN') refused.set(type, error)
      // What may pass is asked again.
      else if (!isSmartError(error) || error.status === undefined) known.delete(key)
      throw error
    }
  }
}

/** The lines of one patient as something that `collect` can read: it asks, and the files answer in place of the server. */
export function exportReader(exported: Exported, patient: string, lines: readonly string[]): Reader {
  const { service, staged, shared, scopes, types } = exported
  const { iss } = service.provider
  const byType = new Map<string, Kept[]>()
  const byTarget = new Map<string, Kept[]>()
  const intern = createIntern()
  for (const text of lines) {
    const kept = keptOf(text, iss, intern)
    if (!kept) continue
    add(byType, kept.type, kept)
    for (const target of kept.targets) add(byTarget, target, kept)
  }
  const missing = (type: string, code: SmartError['code'] = 'FHIR_NOT_FOUND'): SmartError =>
    new SmartError(
      code,
      `the export of ${service.provider.name} has no ${/^[A-Z][A-Za-z]{1,63}$/.test(type) ? type : 'such type'}`,
      { subject: service.provider.id },
    )

  const own = (type: string, id: string): Kept[] => (byType.get(type) ?? []).filter((kept) => kept.id === id)
  const byId = async (type: string, id: string): Promise<PageEntry[]> => {
    const found = own(type, id)
    if (found.length > 0) return found.map((kept) => entryOf(kept.text))
    return (await shared.find(`${type}/${id}`)).map((text) => entryOf(text))
  }

  /** What is said beside the results of a type: that something is missing, and why. */
  const isAbsent = (type: string): boolean =>
    !types.has(type) || (exported.lenient && !exported.present.has(type))
  const lacking = (type: string): string | undefined =>
    Object.hasOwn(staged.incomplete, type) ? staged.incomplete[type] : staged.incomplete['*']
  const outcomesOf = (type: string): Outcome[] => {
    const lacks = lacking(type)
    return [
      ...(lacks === undefined ? [] : [{ severity: 'error' as const, code: codeOf(lacks) }]),
      ...(exported.filtered.has(type) ? [{ severity: 'error' as const, code: 'filtered' }] : []),
      ...staged.warnings
        .filter((one) => one.type === type || one.type === '*')
        .map(({ code }): Outcome => ({ severity: 'warning', code })),
    ]
  }

  async function* pages(
    type: string,
    search: SearchParams,
    from?: string,
  ): AsyncGenerator<Page, void, undefined> {
    if (from !== undefined) throw missing(type)
    const { _id: ids, practitioner, _revinclude: along, ...criteria } = search
    if (ids !== undefined) {
      const found = await Promise.all(
        String(ids)
          .split(',')
          .map((id) => byId(type, id)),
      )
      yield { entries: found.flat(), outcomes: [], invalid: 0, last: true }
      return
    }
    if (type === 'PractitionerRole' && practitioner !== undefined) {
      const asked = String(practitioner).split(',')
      const roles = (await Promise.all(asked.map((id) => shared.find(roleKey(id))))).flat()
      yield { entries: roles.map((text) => entryOf(text)), outcomes: [], invalid: 0, last: true }
      return
    }
    // Asked without what comes along, the class that comes along is reported as not had.
    if (along !== undefined && (isAbsent('Provenance') || lacking('Provenance') !== undefined))
      throw new SmartError('FHIR_BAD_REQUEST', 'what comes along is not whole', { reason: 'incomplete' })
    const all = byType.get(type) ?? []
    const outcomes = outcomesOf(type)
    if (all.length === 0 && isAbsent(type)) throw missing(type)
    // What is missing may be this patient's: nothing is not the same as none.
    const lacks = lacking(type)
    if (all.length === 0 && lacks !== undefined) throw missing(type, failureOf(lacks))
    const matches = all.filter(meeting(service, criteria))
    for (let at = 0; at === 0 || at < matches.length; at += pageSize) {
      const part = matches.slice(at, at + pageSize)
      const beside = along === undefined ? [] : part.flatMap(({ key }) => byTarget.get(key) ?? [])
      yield {
        entries: [
          ...part.map(({ text }) => entryOf(text)),
          ...[...new Set(beside)].map(({ text }) => entryOf(text, 'include')),
        ],
        outcomes: at === 0 ? outcomes : [],
        invalid: 0,
        ...(at + pageSize >= matches.length ? { last: true } : {}),
      }
    }
  }

  const readEntry: Reader['readEntry'] = async (type, id, options) => {
    const [found] = await byId(type, id)
    if (found) return found
    // What did not change since is where it was; and some servers export only what is the patients' own.
    if (exported.partial || (types.has(type) && !exported.present.has(type)))
      return exported.live(type, id, options)
    throw missing(type)
  }

  return Object.freeze({
    id: `${service.provider.id}/${patient}`,
    provider: service.provider,
    patient,
    scopes,
    readEntry,
    read: async (type, id, options) => (await readEntry(type, id, options)).resource as never,
    search: (type, search = {}, { from } = {}) => ({
      pages: () => pages(type, search, from),
      async *ndjson() {
        for await (const { entries } of pages(type, search, from))
          yield new TextEncoder().encode(entries.map(({ text }) => `${text}\n`).join(''))
      },
      async *[Symbol.asyncIterator]() {
        for await (const { entries } of pages(type, search, from))
          for (const { resource } of entries) yield resource as never
      },
    }),
    attachment: async (url, options) => {
      const key = localKey(url, iss)
      const [type = '', id = ''] = key?.split('/') ?? []
      const [found] = type === 'Binary' ? await byId(type, id) : []
      return (found && bytesOf(found.resource)) ?? service.attachment(url, options)
    },
  } satisfies Reader)
}

/** A line as far as searches look at it: parsed again only when it is an answer. */
interface Kept {
  readonly type: string
  readonly id: string
  readonly key: string
  readonly text: string
  readonly values: Readonly<Record<string, readonly string[]>>
  /** What a Provenance is about. */
  readonly targets: readonly string[]
}

function keptOf(text: string, iss: string, intern: Intern): Kept | undefined {
  const resource = parseJson(text)
  if (!isObject(resource)) return undefined
  const [type, id] = [String(resource.resourceType), String(resource.id)]
  const targets = type === 'Provenance' ? [resource.target].flat().filter(isObject) : []
  return {
    type,
    id,
    key: `${type}/${id}`,
    text,
    values: Object.fromEntries(
      Object.entries(elements).map(([name, element]) => [name, valuesOf(resource[element], intern)]),
    ),
    targets: targets.flatMap(({ reference }) => localKey(reference, iss) ?? []),
  }
}

// The parameters that plans search by, and the elements that they look at.
const elements: Readonly<Record<string, string>> = {
  category: 'category',
  code: 'code',
  status: 'status',
  intent: 'intent',
  'clinical-status': 'clinicalStatus',
  type: 'type',
  class: 'class',
}
// What changes only what comes along, or has been done by the server.
const done = [
  'patient',
  'subject',
  'beneficiary',
  '_include',
  '_count',
  '_lastUpdated',
  '_sort',
  '_summary',
  '_total',
]

type Intern = (text: string) => string

/** The same values come thousands of times: each is held once. */
function createIntern(): Intern {
  const interned = new Map<string, string>()
  return (text) => {
    const known = interned.get(text)
    if (known === undefined) interned.set(text, text)
    return known ?? text
  }
}

function valuesOf(value: unknown, intern: Intern): readonly string[] {
  return [value].flat().flatMap((one): string[] => {
    if (typeof one === 'string') return [intern(one)]
    if (!isObject(one)) return []
    if (typeof one.code === 'string') return [intern(one.code)]
    return Array.isArray(one.coding)
      ? one.coding.flatMap((coding) =>
          isObject(coding) && typeof coding.code === 'string' ? [intern(coding.code)] : [],
        )
      : []
  })
}

// By the code alone: servers and versions of US Core write the systems of the same categories differently.
function meeting({ provider }: BackendService, criteria: SearchParams): (kept: Kept) => boolean {
  const wanted = Object.entries(criteria).flatMap(([name, value]) => {
    if (value === undefined || done.includes(name)) return []
    if (!Object.hasOwn(elements, name))
      throw new SmartError('FHIR_BAD_REQUEST', 'an export is not searched by this parameter', {
        subject: provider.id,
        reason: 'not-supported',
      })
    return [value].flat().map((one) => ({
      name,
      codes: String(one)
        .split(',')
        .map((token) => token.slice(token.lastIndexOf('|') + 1)),
    }))
  })
  return ({ values }) =>
    wanted.every(({ name, codes }) => codes.some((code) => values[name]?.includes(code) === true))
}

function entryOf(text: string, mode: PageEntry['mode'] = 'match'): PageEntry {
  return { resource: JSON.parse(text) as Resource, text, mode }
}

function bytesOf(resource: Resource): AttachmentBytes | undefined {
  const { data, contentType } = resource as { data?: unknown; contentType?: unknown }
  if (typeof data !== 'string') return undefined
  const type = typeof contentType === 'string' ? contentType : 'application/octet-stream'
  return { contentType: type, bytes: Uint8Array.from(Buffer.from(data, 'base64')) }
}

// What says of a file that it is not there says nothing about the type.
const telling = [
  'FHIR_UNREACHABLE',
  'FHIR_TIMEOUT',
  'FHIR_RATE_LIMITED',
  'FHIR_SERVER_ERROR',
  'FHIR_RESPONSE_TOO_LARGE',
  'FHIR_FOREIGN_URL',
  'FHIR_REDIRECTED',
  'CONFIG_INSECURE_URL',
  'CONFIG_PRIVATE_ADDRESS',
] as const
const failureOf = (lacks: string): SmartError['code'] =>
  telling.find((code) => code === lacks) ?? 'FHIR_RESPONSE_INVALID'

// An error code of ours stays one; a word of FHIR is one already.
const codeOf = (why: string): string => (why === 'count' ? 'incomplete' : why)

function add<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key)
  if (list) list.push(value)
  else map.set(key, [value])
}
