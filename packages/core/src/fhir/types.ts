import type { FhirResource } from 'fhir/r4.js'
import type { Vendor } from '../vendors/vendor.js'

export type { FhirResource } from 'fhir/r4.js'

/** The name of a FHIR R4 resource type. */
export type ResourceType = FhirResource['resourceType']

/** `ResourceOf<'Observation'>` is `Observation`. */
export type ResourceOf<T extends ResourceType> = Extract<FhirResource, { resourceType: T }>

/** Any resource, as far as the record needs to know it. */
export interface Resource {
  readonly resourceType: string
  readonly id?: string
  readonly meta?: { readonly versionId?: string; readonly lastUpdated?: string }
}

/** Search parameters: an array repeats the parameter (AND), a comma within a value is OR; undefined is left out. */
export type SearchParams = Readonly<
  Record<string, string | number | boolean | Date | readonly (string | number | boolean | Date)[] | undefined>
>

/** A warning or error that a server put beside or in place of data. */
export interface Outcome {
  readonly severity: 'fatal' | 'error' | 'warning' | 'information'
  /** The FHIR issue type, such as `required` or `suppressed`. */
  readonly code: string
  /** The server's own code for it, such as Epic's 4119, when it is short and plain. */
  readonly detail?: string
}

/** One resource of a page: parsed, and as the server wrote it on one line. */
export interface PageEntry {
  readonly resource: Resource
  /** The resource's own JSON text without line breaks; numbers keep their digits. */
  readonly text: string
  /** `include` for resources that a match brought along. */
  readonly mode: 'match' | 'include'
}

/** One page of a search. */
export interface Page {
  readonly entries: readonly PageEntry[]
  readonly outcomes: readonly Outcome[]
  /** Entries of the page that are no valid resource. */
  readonly invalid: number
  /** The server's own count of all matches; a hint, never trusted as the end. */
  readonly total?: number
  /** Where the next page is, for `search` to go on `from`. */
  readonly next?: string
  /** True when the server said that there is no other. */
  readonly last?: boolean
}

/** A search that has not been sent yet: iterate over its resources, or over its pages. */
export interface SearchResults<R> extends AsyncIterable<R> {
  pages(): AsyncIterable<Page>
  /** As newline-delimited JSON in UTF-8, a page at a time, each resource as the server wrote it. */
  ndjson(): AsyncIterable<Uint8Array<ArrayBuffer>>
}

export interface RequestOptions {
  readonly signal?: AbortSignal
}

export interface SearchOptions extends RequestOptions {
  /** The `next` of an earlier page of the same search: it goes on there. */
  readonly from?: string
}

export interface AttachmentBytes {
  readonly contentType: string
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** What `collect` reads from: a connection, or anything else that can answer these. */
export interface Reader {
  readonly id: string
  readonly provider: {
    readonly id: string
    readonly name: string
    readonly iss: string
    /** The EHR product that it runs, if it is known. */
    readonly vendor?: Vendor
  }
  readonly patient: string
  /** Granted scopes, as the server wrote them. */
  readonly scopes: readonly string[]
  read<T extends ResourceType>(type: T, id: string, options?: RequestOptions): Promise<ResourceOf<T>>
  /** As `read`, with the resource's own text beside it. */
  readEntry(type: ResourceType, id: string, options?: RequestOptions): Promise<PageEntry>
  search<T extends ResourceType>(
    type: T,
    params?: SearchParams,
    options?: SearchOptions,
  ): SearchResults<ResourceOf<T>>
  /** The bytes behind an attachment's URL, when it lies within the FHIR base. */
  attachment(url: string, options?: RequestOptions & { readonly accept?: string }): Promise<AttachmentBytes>
}
