import { Client } from 'fhir-kit-client'
import { SmartError } from '../errors.js'
import type { TransportResponse } from '../util/transport.js'
import { type FhirRequest, type RequestWorld, request } from './request.js'
import type { SearchParams } from './types.js'

/** The verbs of FHIR REST that the reader needs, each by the URL that the standard gives it. */
export interface Rest {
  read(type: string, id: string, signal?: AbortSignal): Promise<TransportResponse>
  search(type: string, params: SearchParams, signal?: AbortSignal): Promise<TransportResponse>
  get(
    url: string,
    options?: { readonly accept?: string; readonly maxBytes?: number; readonly signal?: AbortSignal },
  ): Promise<TransportResponse>
}

/** Above this, a search goes as POST: proxies cut longer URLs. Characters. */
const longUrl = 2000

/**
 * FHIR REST at one base. URLs are built by fhir-kit-client; every byte goes through `world.send`, which
 * replaces that library's own network call.
 *
 * @see https://hl7.org/fhir/R4/http.html
 */
export function createRest(baseUrl: string, world: RequestWorld): Rest {
  const base = baseUrl.endsWith('/') ? baseUrl.slice(0, -1) : baseUrl
  const client = new Client({ baseUrl: base })

  const verb = async <T>(path: string, options: Partial<FhirRequest> = {}): Promise<T> => {
    const wanted: FhirRequest = { accept: 'application/fhir+json', ...options, url: absolute(base, path) }
    return (await request(world, wanted)) as T
  }
  client.httpClient.request = async (method, path, options, body) =>
    verb(path, {
      method: method === 'POST' ? 'POST' : 'GET',
      ...(typeof body === 'string' ? { body, contentType: 'application/x-www-form-urlencoded' } : {}),
      // The signal is ours, handed in below as it is.
      ...(options?.signal ? { signal: options.signal as AbortSignal } : {}),
    })

  return Object.freeze({
    read: (type, id, signal) =>
      client.read({
        resourceType: typeName(type),
        id: encodeURIComponent(id),
        options: withSignal(signal),
      }) as Promise<never>,
    search: (type, params, signal) => {
      const searchParams = wireParams(params)
      const long =
        new URLSearchParams(
          Object.entries(searchParams).flatMap(([key, value]) => value.map((one) => [key, one])),
        ).toString().length > longUrl
      return client.search({
        resourceType: typeName(type),
        searchParams,
        options: { ...withSignal(signal), ...(long ? { postSearch: true } : {}) },
      }) as Promise<never>
    },
    get: (url, options = {}) => verb(url, options),
  } satisfies Rest)
}

function absolute(base: string, path: string): string {
  return /^https?:/i.test(path) ? path : `${base}/${path.startsWith('/') ? path.slice(1) : path}`
}

function typeName(type: string): string {
  if (!/^[A-Z][A-Za-z]{1,63}$/.test(type))
    throw new SmartError('CONFIG_INVALID', 'that is not the name of a FHIR resource type')
  return type
}

function withSignal(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal ? { signal } : {}
}

function wireParams(params: SearchParams): Record<string, string[]> {
  const wire: Record<string, string[]> = {}
  for (const [name, value] of Object.entries(params)) {
    if (value === undefined) continue
    const values = Array.isArray(value) ? value : [value]
    wire[name] = values.map((one) => (one instanceof Date ? one.toISOString() : String(one)))
  }
  return wire
}
