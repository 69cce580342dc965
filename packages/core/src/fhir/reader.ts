import { SmartError } from '../errors.js'
import { fromBase64 } from '../util/bytes.js'
import { isObject, parseJson } from '../util/json.js'
import { onOneLine } from '../util/line.js'
import type { TransportResponse } from '../util/transport.js'
import { isPathSegment, isWithin, join, parseUrl } from '../util/url.js'
import { nextInHead, type ParsedPage, parsePage } from './bundle.js'
import { rebased } from './links.js'
import { outcomesOf, type RequestWorld } from './request.js'
import { createRest } from './rest.js'
import type {
  AttachmentBytes,
  Page,
  Reader,
  Resource,
  ResourceOf,
  ResourceType,
  SearchOptions,
  SearchResults,
} from './types.js'

/** The verbs of a `Reader`, without what only a connection knows. */
export type FhirReader = Pick<Reader, 'read' | 'readEntry' | 'search' | 'attachment'>

const mostPages = 10_000
const mostEmptyPages = 3
const longestLink = 8192
const pageLimit = 64 * 1024 * 1024

/** Follows the pages that begin with the answer to a request. */
export type Pages = (first: FirstPage, outer?: AbortSignal) => AsyncGenerator<Page, void, undefined>

/** What follows pages at one base: to their end, never in circles, and never to another server. */
export function createPages(base: string, world: RequestWorld): Pages {
  const rest = createRest(base, world)
  const subject = world.provider.id
  const invalid = (what: string, reason?: string): SmartError =>
    new SmartError('FHIR_RESPONSE_INVALID', `${world.provider.name} sent ${what}`, {
      subject,
      ...(reason === undefined ? {} : { reason }),
    })

  const pageOf = (answer: TransportResponse): ParsedPage => {
    const parsed = parsePage(answer.text)
    if (parsed) return parsed
    // 200 with an OperationOutcome is not the end of the data.
    const issue = outcomesOf(parseJson(answer.text()))[0]
    throw invalid(
      issue ? 'an error in place of a page of results' : 'something that is not a page of results',
      issue?.code,
    )
  }

  const getting =
    (url: string): FirstPage =>
    (signal, onHead) =>
      rest.get(url, { signal, maxBytes: pageLimit, ...(onHead ? { onHead } : {}) })

  const linkOf = (link: string, requested: string | undefined): URL | undefined => {
    const written = link.length <= longestLink ? parseUrl(link, requested) : undefined
    return written && rebased(written, base, world.provider.vendor)
  }

  // The next link in the beginning of a page, when it may be followed.
  const guessed = (head: string, requested: string | undefined): string | undefined => {
    const link = nextInHead(head)
    const url = link === undefined ? undefined : linkOf(link, requested)
    return url && isWithin(url, new URL(base)) ? url.href : undefined
  }

  const nextOf = (current: ParsedPage, requested: string, seen: Set<string>): string | undefined => {
    if (current.next === undefined) return undefined
    const url = linkOf(current.next, requested)
    if (!url) throw invalid('a next link that is not a usable URL')
    if (!isWithin(url, new URL(base))) {
      throw new SmartError(
        'FHIR_FOREIGN_URL',
        `a next link of ${world.provider.name} leaves its FHIR base; it was not followed`,
        { subject },
      )
    }
    if (seen.has(url.href)) throw invalid('a next link that leads back to a page already read')
    seen.add(url.href)
    return url.href
  }

  // The page after the last one that has a link, where the server is known to leave links out and counts more.
  const unlinked = (
    { page: { total = 0, entries } }: ParsedPage,
    begun: string,
    number: number,
    matches: number,
  ): string | undefined => {
    const parameter = world.provider.vendor?.pageParameter?.value
    if (parameter === undefined || entries.length === 0 || matches >= total) return undefined
    const url = new URL(begun)
    url.searchParams.set(parameter, String(number + 1))
    return url.href
  }

  return async function* pages(first: FirstPage, outer?: AbortSignal): AsyncGenerator<Page, void, undefined> {
    // Whatever is under way, so that it ends with the walk. A signal made of others costs more than a request.
    const live = new Set<AbortController>()
    const stop = (): void => {
      for (const one of live) one.abort(outer?.reason)
    }
    if (outer?.aborted) throw outer.reason
    outer?.addEventListener('abort', stop, { once: true })
    const seen = new Set<string>()
    let empty = 0
    let matches = 0
    let begun: string | undefined
    try {
      let coming: Coming | undefined = come(live, first)
      for (let number = 1; coming; number++) {
        const asked: Coming = coming
        // Asked for as soon as the beginning of this page names it, while the rest is still on its way.
        let early: Coming | undefined
        asked.whenHead((head, requested) => {
          const url = number < mostPages ? guessed(head, requested) : undefined
          if (url !== undefined && !seen.has(url)) early = come(live, getting(url), url)
        })
        const got: TransportResponse = await asked.answer
        const current = pageOf(got)
        seen.add(got.url)
        begun ??= got.url
        matches += current.page.entries.filter(({ mode }) => mode === 'match').length
        empty = current.page.entries.length === 0 ? empty + 1 : 0
        let failure: unknown
        let next: string | undefined
        try {
          next = nextOf(current, got.url, seen) ?? unlinked(current, begun, number, matches)
          if (next !== undefined && (number >= mostPages || empty >= mostEmptyPages))
            throw invalid('pages without end')
        } catch (error) {
          // What the page itself holds is good; the fault is reported after it.
          failure = error
          next = undefined
        }
        if (early && early.url !== next) early.drop()
        // Under way before this page is consumed; a failure is felt when its turn comes.
        coming =
          next === undefined ? undefined : early?.url === next ? early : come(live, getting(next), next)
        yield {
          ...current.page,
          ...(next === undefined ? (failure === undefined ? { last: true } : {}) : { next }),
        }
        if (failure !== undefined) throw failure
      }
    } finally {
      outer?.removeEventListener('abort', stop)
      stop()
    }
  }
}

/** Asks for the first page; `onHead` may be given its beginning before its end has come. */
export type FirstPage = (signal: AbortSignal, onHead?: (text: string) => void) => Promise<TransportResponse>

/** A page that is under way. */
interface Coming {
  readonly url: string | undefined
  readonly answer: Promise<TransportResponse>
  /** Calls when the beginning has come, at once if it has already; only while somebody waits for the page. */
  whenHead(look: (head: string, requested: string | undefined) => void): void
  drop(): void
}

function come(live: Set<AbortController>, ask: FirstPage, url?: string): Coming {
  const own = new AbortController()
  live.add(own)
  let head: string | undefined
  let look: ((head: string, requested: string | undefined) => void) | undefined
  const answer = ask(own.signal, (text) => {
    head = text
    look?.(text, url)
  })
  // What looked at its beginning holds the page after it, and so on to the last.
  const settled = (): void => {
    head = undefined
    look = undefined
    live.delete(own)
  }
  answer.then(settled, settled)
  return {
    url,
    answer,
    whenHead: (wanted) => {
      look = wanted
      if (head !== undefined) wanted(head, url)
    },
    drop: () => own.abort(),
  }
}

/** Reads FHIR R4 at one base, through whatever `world.send` is. */
export function createReader(base: string, world: RequestWorld): FhirReader {
  const rest = createRest(base, world)
  const pages = createPages(base, world)
  const subject = world.provider.id

  const readEntry: Reader['readEntry'] = async (type, id, options = {}) => {
    if (!isPathSegment(id)) throw new SmartError('CONFIG_INVALID', 'that is not a FHIR resource id')
    const text = (await rest.read(type, id, options.signal)).text()
    const resource = parseJson(text)
    if (!isObject(resource) || resource.resourceType !== type || resource.id !== id) {
      throw new SmartError(
        'FHIR_RESPONSE_INVALID',
        `${world.provider.name} sent something else than the ${type} that was asked for`,
        { subject },
      )
    }
    return { resource: resource as unknown as Resource, text: onOneLine(text.trim()), mode: 'match' }
  }

  return Object.freeze({
    async read<T extends ResourceType>(type: T, id: string, options: { signal?: AbortSignal } = {}) {
      return (await readEntry(type, id, options)).resource as unknown as ResourceOf<T>
    },

    readEntry,

    search<T extends ResourceType>(
      type: T,
      params = {},
      { signal, from }: SearchOptions = {},
    ): SearchResults<ResourceOf<T>> {
      const begin: FirstPage = (stop, onHead) => {
        const options = { signal: stop, ...(onHead ? { onHead } : {}) }
        return from === undefined
          ? rest.search(type, params, options)
          : rest.get(from, { ...options, maxBytes: pageLimit })
      }
      const all = (): AsyncGenerator<Page, void, undefined> => pages(begin, signal)
      return {
        pages: all,
        async *ndjson() {
          for await (const page of all()) {
            const lines = page.entries
              .filter(({ mode, resource }) => mode === 'match' && resource.resourceType === type)
              .map(({ text }) => `${text}\n`)
            if (lines.length > 0) yield new TextEncoder().encode(lines.join(''))
          }
        },
        async *[Symbol.asyncIterator]() {
          for await (const page of all()) {
            for (const { resource, mode } of page.entries) {
              if (mode === 'match' && resource.resourceType === type)
                yield resource as unknown as ResourceOf<T>
            }
          }
        },
      }
    },

    async attachment(
      url: string,
      options: { accept?: string; signal?: AbortSignal } = {},
    ): Promise<AttachmentBytes> {
      const written = parseUrl(url, join(base, ''))
      const target = written && rebased(written, base, world.provider.vendor)
      const within = [base, ...(world.attachmentOrigins ?? [])]
      if (!target || !within.some((one) => isWithin(target, new URL(one)))) {
        throw new SmartError(
          'FHIR_FOREIGN_URL',
          `an attachment lies outside the FHIR base of ${world.provider.name}; it was not fetched`,
          { subject },
        )
      }
      const accept = options.accept ?? '*/*'
      const answer = await rest.get(target.href, {
        accept,
        within,
        ...(options.signal ? { signal: options.signal } : {}),
      })
      const contentType = answer.headers.get('content-type') ?? 'application/octet-stream'
      return binaryOf(answer, contentType, accept) ?? { contentType, bytes: answer.bytes }
    },
  } satisfies FhirReader)
}

// Servers answer a Binary as the file itself or as JSON with the file in it, whatever was asked for.
function binaryOf(
  answer: TransportResponse,
  contentType: string,
  accepted: string,
): AttachmentBytes | undefined {
  if (!/^application\/(fhir\+json|json\+fhir|json)\b/i.test(contentType)) return undefined
  const resource = parseJson(answer.text())
  if (!isObject(resource) || resource.resourceType !== 'Binary' || typeof resource.data !== 'string')
    return undefined
  try {
    const type = typeof resource.contentType === 'string' ? resource.contentType : accepted
    return { contentType: type, bytes: fromBase64(resource.data) }
  } catch {
    return undefined
  }
}
