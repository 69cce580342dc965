/** How a product differs from the standard, as far as a client can see. */
export interface Behavior {
  /** What its CapabilityStatement calls the software. */
  readonly software?: string
  readonly auth?: AuthBehavior
  /** Members of the SMART configuration that are other than usual. */
  readonly configuration?: (usual: Readonly<Record<string, unknown>>, fhirBase: string) => object
  /** True where the SMART configuration is at the root of the host only. */
  readonly configuredAtRoot?: boolean
  /** Makes what answers in place of the FHIR server, or through it; one for each sandbox. */
  readonly fhir?: () => (call: FhirCall) => Promise<Response>
}

export interface AuthBehavior {
  /** What `aud` has to be; the FHIR base unless given. */
  readonly audience?: 'absent'
  /** What is left of the scopes that were asked for; undefined refuses the whole request. */
  readonly scopes?: (asked: readonly string[]) => readonly string[] | undefined
  readonly publicRefresh?: boolean
  /** True where a refresh token stays the same and is not sent again. */
  readonly staticRefresh?: boolean
  /** True where a refresh must name its scopes. */
  readonly refreshScope?: boolean
  /** Claims that its access tokens carry. */
  readonly claims?: (patient: string | undefined) => Readonly<Record<string, unknown>>
  /** Members that its token response lacks. */
  readonly withholds?: readonly string[]
}

/** One request to the FHIR server, and the server itself behind it. */
export interface FhirCall {
  readonly base: string
  readonly request: Request
  readonly url: URL
  /** Type, id and so on, below the base. */
  readonly path: readonly string[]
  /** The type, when the request is a search of it or a later page of one. */
  readonly searched: string | undefined
  /** Asks the server itself, with other parameters if given. */
  readonly serve: (parameters?: URLSearchParams, path?: string) => Promise<Response>
}

/** An OperationOutcome as an answer. */
export function outcome(status: number, issue: object, headers: Record<string, string> = {}): Response {
  return new Response(
    JSON.stringify({ resourceType: 'OperationOutcome', issue: [{ severity: 'fatal', ...issue }] }),
    {
      status,
      headers: { 'content-type': 'application/fhir+json', 'access-control-allow-origin': '*', ...headers },
    },
  )
}

/** The details of an issue by a vendor's own number. */
export const coded = (system: string, code: string, text: string): object => ({
  details: { coding: [{ system, code }], text },
  diagnostics: text,
})

export interface BundleLink {
  readonly relation: string
  readonly url: string
}

/** What may be changed of a page without touching the text of its resources. */
export interface PageChange {
  readonly links?: (links: readonly BundleLink[]) => readonly BundleLink[]
  /** The new total; undefined leaves it out. */
  readonly total?: (total: number | undefined, entries: number) => number | undefined
  /** Texts of entries to put before the others. */
  readonly first?: readonly string[]
  /** Changes the text of the whole page. */
  readonly text?: (text: string) => string
}

/** A page of results with some of it changed; any other answer as it is. */
export async function changed(answer: Response, change: PageChange): Promise<Response> {
  let text = await answer.text()
  const bundle = answer.ok
    ? (JSON.parse(text) as { resourceType?: string; total?: number; link?: BundleLink[]; entry?: unknown[] })
    : {}
  if (bundle.resourceType === 'Bundle') {
    const { link = [], entry = [], total } = bundle
    const head = `{"resourceType":"Bundle","type":"searchset"${total === undefined ? '' : `,"total":${total}`},"link":${JSON.stringify(link)}`
    if (!text.startsWith(head)) throw new Error('the page is written in another way than is known here')
    const entries = text
      .slice(head.length)
      .replace(/^,"entry":\[/, '')
      .replace(/\]?\}$/, '')
    const all = [...(change.first ?? []), ...(entry.length > 0 ? [entries] : [])]
    const newTotal = change.total ? change.total(total, entry.length) : total
    text = `{"resourceType":"Bundle","type":"searchset"${newTotal === undefined ? '' : `,"total":${newTotal}`},"link":${JSON.stringify(change.links ? change.links(link) : link)}${all.length > 0 ? `,"entry":[${all.join(',')}]` : ''}}`
    text = change.text ? change.text(text) : text
  }
  const headers = new Headers(answer.headers)
  headers.delete('content-length')
  return new Response(text, { status: answer.status, headers })
}

/** Links whose cursor goes by another name. */
export const cursorNamed =
  (name: string, more = '') =>
  (links: readonly BundleLink[]): readonly BundleLink[] =>
    links.map(({ relation, url }) => ({
      relation,
      url: url.replace(/([?&])_page=([^&]*)/, `$1${name}=$2${more}`),
    }))

/** The parameters of a request with the cursor under the name by which the server knows it. */
export function cursorFrom(url: URL, name: string): URLSearchParams {
  const parameters = new URLSearchParams(url.search)
  const cursor = parameters.get(name)
  if (cursor === null) return parameters
  return new URLSearchParams({ _page: cursor })
}

export const has = (url: URL, ...names: readonly string[]): boolean =>
  [...url.searchParams.keys()].some((key) => names.includes(key.split(':')[0] ?? ''))
