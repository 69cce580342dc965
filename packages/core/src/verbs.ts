import { type Connection, coreOf } from './connection.js'
import { SmartError } from './errors.js'
import { createPages } from './fhir/reader.js'
import { type FhirRequest, outcomesOf, type RequestWorld, request, requestOnce } from './fhir/request.js'
import { queryOf } from './fhir/rest.js'
import type {
  Outcome,
  RequestOptions,
  Resource,
  ResourceOf,
  ResourceType,
  SearchParams,
} from './fhir/types.js'
import { isObject, parseJson } from './util/json.js'
import type { TransportResponse } from './util/transport.js'
import { isPathSegment, join } from './util/url.js'

/**
 * One version of a resource.
 *
 * @throws SmartError `FHIR_*`; `FHIR_GONE` for a version in which it was deleted
 * @see https://hl7.org/fhir/R4/http.html#vread
 */
export async function vread<T extends ResourceType>(
  connection: Connection,
  type: T,
  id: string,
  version: string,
  options: RequestOptions = {},
): Promise<ResourceOf<T>> {
  const url = at(connection, type, segment(id), '_history', segment(version))
  const resource = resourceOf(connection, await request(worldOf(connection), { url, ...options }))
  if (resource.resourceType !== type || resource.id !== id)
    throw invalid(connection, `something else than the ${type} that was asked for`)
  return resource as unknown as ResourceOf<T>
}

/**
 * The versions of a resource that the server keeps, newest first, page by page. Deletions have no resource and are
 * left out.
 *
 * @throws SmartError `FHIR_*`
 * @see https://hl7.org/fhir/R4/http.html#history
 */
export async function* history<T extends ResourceType>(
  connection: Connection,
  type: T,
  id: string,
  options: RequestOptions = {},
): AsyncGenerator<ResourceOf<T>, void, undefined> {
  const world = worldOf(connection)
  const url = at(connection, type, segment(id), '_history')
  const pages = createPages(connection.provider.iss, world)
  for await (const page of pages((signal) => request(world, { url, signal }), options.signal))
    for (const { resource } of page.entries)
      if (resource.resourceType === type && resource.id === id) yield resource as unknown as ResourceOf<T>
}

/** Where an operation is called, and what it is given. */
export interface OperationOptions extends RequestOptions {
  /** The type, or the resource with `id`; the whole server without it. */
  readonly type?: ResourceType
  readonly id?: string
  /** Simple values, in the query of a GET. */
  readonly params?: SearchParams
  /** A Parameters resource, or the one resource that the operation works on, in the body of a POST. */
  readonly input?: { readonly resourceType: string }
}

/**
 * Calls an operation, such as `$everything` or `$docref`. One with `input` is sent once, whatever happens.
 *
 * @example await operation(connection, '$docref', { type: 'DocumentReference', params: { patient: connection.patient } })
 * @throws SmartError `FHIR_*`
 * @see https://hl7.org/fhir/R4/operations.html
 */
export async function operation(
  connection: Connection,
  name: `$${string}`,
  options: OperationOptions = {},
): Promise<Resource> {
  const { type, id, params = {}, input, signal } = options
  if (!/^\$[A-Za-z0-9-]{1,64}$/.test(name)) throw new SmartError('CONFIG_INVALID', 'that is not an operation')
  const path = [...(type === undefined ? [] : [type]), ...(id === undefined ? [] : [segment(id)]), name]
  const query = queryOf(params)
  const url = at(connection, ...path) + (query === '' ? '' : `?${query}`)
  const world = worldOf(connection)
  const abort = signal ? { signal } : {}
  const answer = input
    ? await requestOnce(world, { url, ...posted(input), ...abort })
    : await request(world, { url, ...abort })
  return resourceOf(connection, answer)
}

/** What a server said to one of several requests. */
export interface BatchAnswer {
  /** The HTTP status of this one. */
  readonly status: number
  readonly resource?: Resource
  readonly outcomes: readonly Outcome[]
}

/**
 * Several reads in one request: paths below the FHIR base, such as `Patient/1` or `Observation?code=x`. What one of
 * them meets does not touch the others.
 *
 * @throws SmartError `FHIR_*` when the server answers to none, `FHIR_RESPONSE_INVALID` when it does not answer to each
 * @see https://hl7.org/fhir/R4/http.html#transaction
 */
export async function batch(
  connection: Connection,
  paths: readonly string[],
  options: RequestOptions = {},
): Promise<BatchAnswer[]> {
  if (paths.some((path) => !/^[A-Za-z$][^#\\\s]*$/.test(path) || /^[a-z][a-z+.-]*:/i.test(path)))
    throw new SmartError('CONFIG_INVALID', 'a batch is made of paths below the FHIR base')
  if (paths.length === 0) return []
  const entry = paths.map((url) => ({ request: { method: 'GET', url } }))
  const wanted: FhirRequest = {
    url: connection.provider.iss.replace(/\/$/, ''),
    ...posted({ resourceType: 'Bundle', type: 'batch', entry }),
    ...options,
  }
  const bundle = resourceOf(connection, await request(worldOf(connection), wanted)) as { entry?: unknown }
  const answers = Array.isArray(bundle.entry) ? (bundle.entry as unknown[]) : []
  if (answers.length !== paths.length) throw invalid(connection, 'an answer to other than what was asked')
  return answers.map((answer) => {
    const { response, resource } = isObject(answer) ? answer : {}
    const status = isObject(response) ? Number.parseInt(String(response.status), 10) : Number.NaN
    if (Number.isNaN(status)) throw invalid(connection, 'an answer without a status')
    return {
      status,
      ...(isObject(resource) ? { resource: resource as unknown as Resource } : {}),
      outcomes: outcomesOf(isObject(response) ? (response.outcome ?? resource) : resource),
    }
  })
}

/**
 * What the server says that it can do.
 *
 * @throws SmartError `FHIR_*`
 * @see https://hl7.org/fhir/R4/http.html#capabilities
 */
export async function capabilities(
  connection: Connection,
  options: RequestOptions = {},
): Promise<ResourceOf<'CapabilityStatement'>> {
  const answer = await request(worldOf(connection), { url: at(connection, 'metadata'), ...options })
  const statement = resourceOf(connection, answer)
  if (statement.resourceType !== 'CapabilityStatement')
    throw invalid(connection, 'something else than its capabilities')
  return statement as unknown as ResourceOf<'CapabilityStatement'>
}

function worldOf(connection: Connection): RequestWorld {
  const { send, world } = coreOf(connection)
  return { send, clock: world.platform.clock, crypto: world.platform.crypto, provider: world.provider }
}

function at(connection: Connection, ...path: readonly string[]): string {
  return join(connection.provider.iss, path.join('/'))
}

function segment(id: string): string {
  if (!isPathSegment(id)) throw new SmartError('CONFIG_INVALID', 'that is not a FHIR id')
  return encodeURIComponent(id)
}

function posted(resource: object): Pick<FhirRequest, 'method' | 'body' | 'contentType'> {
  return { method: 'POST', body: JSON.stringify(resource), contentType: 'application/fhir+json' }
}

function resourceOf(connection: Connection, answer: TransportResponse): Resource {
  const resource = parseJson(answer.text())
  if (!isObject(resource) || typeof resource.resourceType !== 'string')
    throw invalid(connection, 'something that is no resource')
  return resource as unknown as Resource
}

function invalid({ provider }: Connection, what: string): SmartError {
  return new SmartError('FHIR_RESPONSE_INVALID', `${provider.name} sent ${what}`, { subject: provider.id })
}
