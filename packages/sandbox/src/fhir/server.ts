import type { Answer } from './answer.js'
import { readForm, readJson } from './body.js'
import { createExports, type ExportBehavior } from './bulk-export.js'
import { capabilityText, type SmartAddresses } from './capability.js'
import { type Access, guardOf } from './guard.js'
import { fhirJson, requireJson, wantsResource } from './media.js'
import { FhirProblem, type Issue, outcomeText, quoted } from './outcome.js'
import { createPages } from './pages.js'
import { knownTypes } from './parameters.js'
import type { Indexed, Repository } from './repository.js'
import { everything, insufficientScope, notFound, page, type SearchContext, search } from './search.js'

/** What a FHIR server needs. */
export interface FhirServerOptions {
  /** The absolute FHIR base, such as `http://127.0.0.1:4000/fhir`. */
  readonly base: string
  readonly repository: Repository
  /** undefined = no token or a bad one, which is answered with 401. */
  readonly authorize: (request: Request) => Promise<Access | undefined>
  /** Addresses that the CapabilityStatement names. */
  readonly smart?: SmartAddresses
  readonly name?: string
  /** How exports of many records go. */
  readonly bulk?: ExportBehavior
}

/**
 * A FHIR R4 read API as one function of a request. Whatever a request says, it answers: with a resource, a
 * Bundle, bytes, or an OperationOutcome.
 *
 * @example
 * const serve = createFhirServer({ base, repository, authorize: async () => ({ scopes: ['system/*.rs'] }) })
 * const response = await serve(new Request(`${base}/Patient?name=rivera`))
 * @see https://hl7.org/fhir/R4/http.html
 */
export function createFhirServer(options: FhirServerOptions): (request: Request) => Promise<Response> {
  const base = options.base.replace(/\/+$/, '')
  const { repository, authorize } = options
  const pages = createPages()
  const exports = createExports(options.bulk)
  const types = (type: string): boolean => known.has(type) || repository.types().includes(type)

  const open = async (request: Request): Promise<Answer> => {
    const url = new URL(request.url)
    const path = segmentsOf(base, url.pathname)
    if (path.length === 1 && path[0] === 'metadata') {
      if (!isGet(request)) throw notAllowed(request, 'GET, HEAD')
      requireJson(request, url.searchParams)
      return json(capabilityText({ ...options, base, repository }))
    }
    const access = await authorize(request)
    if (!access) {
      const given = request.headers.has('authorization')
      throw new FhirProblem(
        401,
        'login',
        given ? 'The access token is not valid.' : 'An access token is needed.',
        {
          'WWW-Authenticate': `Bearer realm="${base}"${given ? ', error="invalid_token"' : ''}`,
        },
      )
    }
    const context: SearchContext = {
      base,
      repository,
      pages,
      guard: guardOf(access, repository),
      strict: /(^|[,;\s])handling=strict\b/i.test(request.headers.get('prefer') ?? ''),
    }
    const exported = await exports(context, access, request, path, url.searchParams)
    if (exported) return exported
    if (path.length === 0 && request.method === 'POST') return batch(context, request)
    return route(context, request, path, url.searchParams)
  }

  const route = async (
    context: SearchContext,
    request: Request,
    path: readonly string[],
    query: URLSearchParams,
  ): Promise<Answer> => {
    const [type = '', id = '', third, fourth] = path
    if (path.length === 0 || query.has('_page')) {
      if (!isGet(request)) throw notAllowed(request, 'GET, HEAD, POST')
      requireJson(request, query)
      return nextPage(context, query)
    }
    if (!types(type)) throw new FhirProblem(404, 'not-supported', `This server has no ${quoted(type)}.`)
    const isRead = path.length === 2 && !'_$'.includes(id[0] ?? '')
    const isVersion = path.length === 4 && third === '_history'
    if (isRead || isVersion) {
      if (!isGet(request)) throw notAllowed(request, 'GET, HEAD')
      return read(context, request, query, type, id, isVersion ? fourth : undefined)
    }
    if (path.length === 1) {
      if (!isGet(request)) throw notAllowed(request, 'GET, HEAD')
      requireJson(request, query)
      return json(search(context, type, query))
    }
    if (path.length === 2 && id === '_search') {
      if (request.method !== 'POST' && !isGet(request)) throw notAllowed(request, 'GET, HEAD, POST')
      const form = request.method === 'POST' ? await readForm(request) : new URLSearchParams()
      requireJson(request, query)
      return json(search(context, type, [...query, ...form]))
    }
    if (type === 'DocumentReference' && path.length === 2 && id === '$docref') {
      requireJson(request, query)
      return json(documents(context, await operationInput(request, query)))
    }
    if (type === 'Patient' && path.length === 3 && third === '$everything') {
      requireJson(request, query)
      return json(everything(context, id, await operationInput(request, query)))
    }
    const isCompartment = type === 'Patient' && third !== undefined && types(third)
    const isCompartmentSearch = path.length === 4 && fourth === '_search' && request.method === 'POST'
    if (isCompartment && (path.length === 3 || isCompartmentSearch)) {
      if (!isGet(request) && !isCompartmentSearch) throw notAllowed(request, 'GET, HEAD')
      const form = isCompartmentSearch ? await readForm(request) : new URLSearchParams()
      requireJson(request, query)
      return json(search(context, third, [...query, ...form], id))
    }
    throw new FhirProblem(
      404,
      'not-supported',
      `This server has no ${quoted(path.slice(1).join('/'))} of ${type}.`,
    )
  }

  const nextPage = (context: SearchContext, query: URLSearchParams): Answer => {
    const cursor = query.get('_page')
    if (cursor === null) {
      throw new FhirProblem(400, 'not-supported', 'A search over all types is not supported; name one.')
    }
    const found = pages.open(cursor)
    if (!found) throw new FhirProblem(410, 'expired', 'These pages have expired; start the search again.')
    return json(page(context, found.findings, found.offset))
  }

  const read = (
    context: SearchContext,
    request: Request,
    query: URLSearchParams,
    type: string,
    id: string,
    version: string | undefined,
  ): Answer => {
    if (!context.guard.allows(type, ['r'])) throw insufficientScope(type, 'read')
    const found = repository.get(type, id)
    if (!found) {
      if (wasThere(context, type, id))
        throw new FhirProblem(410, 'deleted', `${type} ${quoted(id)} was deleted.`)
      throw notFound(type, id)
    }
    if (!context.guard.sees(found, ['r'])) throw notFound(type, id)
    if (version !== undefined && version !== found.version) {
      throw new FhirProblem(404, 'not-found', `Only the current version of ${type} ${quoted(id)} is kept.`)
    }
    const bytes = type === 'Binary' ? rawBytes(request, query, found) : undefined
    if (!bytes) requireJson(request, query)
    const etag = `W/"${found.version}"`
    const headers = {
      ETag: etag,
      'Last-Modified': new Date(found.lastUpdated).toUTCString(),
      ...(bytes?.headers ?? { 'Content-Type': fhirJson }),
    }
    const known = request.headers.get('if-none-match')
    if (known?.split(',').some((one) => one.trim() === etag)) {
      return { status: 304, headers, body: null }
    }
    return { status: 200, headers, body: bytes?.body ?? found.text }
  }

  const wasThere = ({ guard }: SearchContext, type: string, id: string): boolean => {
    const tombstone = repository.removed(type, id)
    if (!tombstone) return false
    const patient = guard.confinedTo(type)
    return patient === undefined || tombstone.owners.size === 0 || tombstone.owners.has(patient)
  }

  const documents = (context: SearchContext, input: readonly (readonly [string, string])[]): string => {
    const names: Readonly<Record<string, (value: string) => [string, string]>> = {
      patient: (value) => ['patient', value],
      start: (value) => ['period', `ge${value}`],
      end: (value) => ['period', `le${value}`],
      type: (value) => ['type', value],
    }
    if (!input.some(([name]) => name === 'patient')) {
      throw new FhirProblem(400, 'required', 'The operation $docref needs a patient.')
    }
    const translated = input
      .filter(([name]) => name !== 'on-demand' && name !== 'profile')
      .map(
        ([name, value]) => (Object.hasOwn(names, name) ? names[name]?.(value) : undefined) ?? [name, value],
      )
    return search(context, 'DocumentReference', translated as [string, string][])
  }

  // SMART knows no scope for a batch: each of its entries is judged as the request that it is.
  const batch = async (context: SearchContext, request: Request): Promise<Answer> => {
    const bundle = await readJson(request)
    if (bundle.resourceType !== 'Bundle' || (bundle.type !== 'batch' && bundle.type !== 'transaction')) {
      throw new FhirProblem(400, 'structure', 'What is posted here is a Bundle of type batch.')
    }
    if (bundle.type === 'transaction') {
      throw new FhirProblem(
        403,
        'not-supported',
        'This server is read only: it takes batches, not transactions.',
      )
    }
    const entries: unknown[] = Array.isArray(bundle.entry) ? bundle.entry : []
    if (entries.length > 500) throw new FhirProblem(400, 'too-costly', 'A batch has at most 500 entries.')
    const parts: string[] = []
    let size = 0
    for (const entry of entries) {
      const answer = await settle(() => batchEntry(context, entry))
      const body = typeof answer.body === 'string' ? answer.body : ''
      size += body.length
      if (size > 50_000_000) throw new FhirProblem(413, 'too-costly', 'The answer to this batch is too long.')
      const status = `${answer.status} ${phrases[answer.status] ?? ''}`.trim()
      const { ETag: etag } = answer.headers
      parts.push(
        answer.status < 400
          ? `{"resource":${body},"response":${JSON.stringify({ status, etag })}}`
          : `{"response":{"status":${JSON.stringify(status)},"outcome":${body}}}`,
      )
    }
    const entryText = parts.length > 0 ? `,"entry":[${parts.join(',')}]` : ''
    return json(`{"resourceType":"Bundle","type":"batch-response"${entryText}}`)
  }

  const batchEntry = async (context: SearchContext, entry: unknown): Promise<Answer> => {
    const { method, url } = (entry as { request?: { method?: unknown; url?: unknown } } | null)?.request ?? {}
    if (typeof method !== 'string' || typeof url !== 'string') {
      throw new FhirProblem(400, 'structure', 'An entry of a batch needs request.method and request.url.')
    }
    if (method !== 'GET') throw new FhirProblem(405, 'not-supported', 'This server is read only.')
    const address = within(base, url)
    const request = new Request(address, { headers: { accept: 'application/fhir+json' } })
    const path = segmentsOf(base, address.pathname)
    if (path.length === 1 && path[0] === 'metadata')
      return json(capabilityText({ ...options, base, repository }))
    return route(context, request, path, address.searchParams)
  }

  return async (request) => {
    if (request.method === 'OPTIONS') return preflight(request)
    const { status, headers, body } = await settle(() => open(request))
    const empty = request.method === 'HEAD' || status === 304
    return new Response(empty ? null : body, { status, headers: { ...headers, ...shared } })
  }
}

export type { Access, SmartAddresses }

const known: ReadonlySet<string> = new Set(knownTypes)

const phrases: Readonly<Record<number, string>> = {
  200: 'OK',
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  410: 'Gone',
  413: 'Content Too Large',
  500: 'Internal Server Error',
}

const shared: Readonly<Record<string, string>> = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Expose-Headers':
    'Content-Location, ETag, Last-Modified, Location, Retry-After, WWW-Authenticate, X-Progress, X-Request-Id',
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
}

function preflight(request: Request): Response {
  const asked = request.headers.get('access-control-request-headers') ?? ''
  const custom = asked.split(',').filter((name) => /^\s*[A-Za-z0-9-]{1,64}\s*$/.test(name))
  const names = ['Accept', 'Authorization', 'Content-Type', 'If-None-Match', 'Prefer', ...custom.slice(0, 32)]
  return new Response(null, {
    status: 204,
    headers: {
      ...shared,
      'Access-Control-Allow-Methods': 'DELETE, GET, HEAD, POST, OPTIONS',
      'Access-Control-Allow-Headers': [...new Set(names.map((name) => name.trim()))].join(', '),
      'Access-Control-Max-Age': '600',
    },
  })
}

async function settle(work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof FhirProblem) {
      const headers = { 'Content-Type': fhirJson, ...error.headers }
      return { status: error.status, headers, body: outcomeText(error.issues) }
    }
    const issue: Issue = { severity: 'error', code: 'exception', diagnostics: 'The server failed.' }
    return { status: 500, headers: { 'Content-Type': fhirJson }, body: outcomeText([issue]) }
  }
}

function json(body: string): Answer {
  return { status: 200, headers: { 'Content-Type': fhirJson }, body }
}

function isGet(request: Request): boolean {
  return request.method === 'GET' || request.method === 'HEAD'
}

function notAllowed(request: Request, allow: string): FhirProblem {
  const diagnostics = `This server is read only: ${quoted(request.method)} is not allowed here.`
  return new FhirProblem(405, 'not-supported', diagnostics, { Allow: allow })
}

// Only the path counts: a proxy may have another host than the base names.
function segmentsOf(base: string, pathname: string): string[] {
  const root = new URL(base).pathname.replace(/\/+$/, '')
  if (pathname !== root && !pathname.startsWith(`${root}/`)) {
    throw new FhirProblem(404, 'not-found', 'There is nothing at this address.')
  }
  try {
    const segments = pathname.slice(root.length).replace(/\/$/, '').split('/').slice(1)
    return segments.map((segment) => decodeURIComponent(segment))
  } catch {
    throw new FhirProblem(400, 'value', 'The address is not encoded as an address has to be.')
  }
}

function within(base: string, url: string): URL {
  const problem = new FhirProblem(
    400,
    'value',
    `An entry of a batch asks within this server: ${quoted(url)}.`,
  )
  try {
    const address = new URL(url.replace(/^\//, ''), `${base}/`)
    if (!address.href.startsWith(`${base}/`)) throw problem
    return address
  } catch {
    throw problem
  }
}

async function operationInput(request: Request, query: URLSearchParams): Promise<[string, string][]> {
  if (isGet(request)) return [...query]
  if (request.method !== 'POST') throw notAllowed(request, 'GET, HEAD, POST')
  const { resourceType, parameter } = await readJson(request)
  if (resourceType !== 'Parameters') {
    throw new FhirProblem(400, 'structure', 'What is posted to an operation is a Parameters resource.')
  }
  const input: [string, string][] = [...query]
  for (const one of Array.isArray(parameter) ? (parameter as unknown[]).slice(0, 256) : []) {
    const { name, ...rest } = (one ?? {}) as Readonly<Record<string, unknown>>
    const value = Object.entries(rest).find(([key]) => key.startsWith('value'))?.[1]
    const coding = (value as { coding?: { system?: unknown; code?: unknown }[] } | undefined)?.coding?.[0]
    const text = coding ? `${coding.system ?? ''}|${coding.code ?? ''}` : value
    if (typeof name === 'string' && text !== undefined && typeof text !== 'object')
      input.push([name, String(text)])
  }
  return input
}

function rawBytes(
  request: Request,
  query: URLSearchParams,
  found: Indexed,
):
  | { readonly headers: Readonly<Record<string, string>>; readonly body: Uint8Array<ArrayBuffer> }
  | undefined {
  const { contentType, data } = found.resource
  const type =
    typeof contentType === 'string' && /^[\w.+-]+\/[\w.+-]+(\s*;[\x20-\x7e]*)?$/.test(contentType)
      ? contentType
      : 'application/octet-stream'
  if (wantsResource(request, query, type)) return undefined
  const headers = {
    'Content-Type': type,
    // A note in HTML shall not run in the origin where people sign in.
    'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'; sandbox",
  }
  return { headers, body: decode(typeof data === 'string' ? data : '') }
}

function decode(base64: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))
  } catch {
    return new Uint8Array()
  }
}
