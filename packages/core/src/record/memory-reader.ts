import { SmartError } from '../errors.js'
import type { AttachmentBytes, Page, Reader, Resource, SearchParams, SearchResults } from '../fhir/types.js'

/** What a reader in memory answers with: pages, and an error wherever one shall happen. */
export type MemoryPages = Iterable<Page | Error> | AsyncIterable<Page | Error>

export interface MemoryReaderOptions {
  readonly patient: string
  /** Answers to searches. Default: no results. */
  readonly search?: (type: string, search: SearchParams) => MemoryPages
  /** The patient's own resource. Default: one with the id and nothing else. */
  readonly read?: () => Resource | Error
  readonly files?: ReadonlyMap<string, AttachmentBytes | Error>
  readonly id?: string
  readonly provider?: Reader['provider']
  readonly scopes?: readonly string[]
}

/** A reader that needs no server: for tests, and for records that are at hand already. */
export function memoryReader(options: MemoryReaderOptions): Reader {
  const { patient, search = () => [], read, files = new Map() } = options
  const answer = <T>(value: T | Error): T => {
    if (value instanceof Error) throw value
    return value
  }
  const person = read ?? ((): Resource => ({ resourceType: 'Patient', id: patient }))
  return Object.freeze({
    id: options.id ?? `memory:${patient}`,
    provider: options.provider ?? { id: 'memory', name: 'Memory', iss: 'https://memory.example/r4' },
    patient,
    scopes: options.scopes ?? ['patient/*.rs'],
    read: async () => answer(person()) as never,
    readEntry: async () => {
      const resource = answer(person())
      return { resource, text: JSON.stringify(resource), mode: 'match' as const }
    },
    search: (type: string, params: SearchParams = {}) => {
      async function* pages(): AsyncGenerator<Page> {
        for await (const page of search(type, params)) yield answer(page)
      }
      const results: SearchResults<never> = {
        pages,
        async *ndjson() {
          for await (const { entries } of pages())
            yield new TextEncoder().encode(entries.map(({ text }) => `${text}\n`).join(''))
        },
        async *[Symbol.asyncIterator]() {
          for await (const page of pages()) for (const entry of page.entries) yield entry.resource as never
        },
      }
      return results
    },
    attachment: async (url: string) =>
      answer(files.get(url) ?? new SmartError('FHIR_NOT_FOUND', 'there is no such file in memory')),
  })
}

/** A page of resources, as a server would have sent them. */
export function pageOf(resources: readonly Resource[], more: Partial<Page> = {}): Page {
  const entries = resources.map((resource) => ({
    resource,
    text: JSON.stringify(resource),
    mode: 'match' as const,
  }))
  return { entries, outcomes: [], invalid: 0, ...more }
}
