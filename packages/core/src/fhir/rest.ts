import { SmartError } from '../errors.js'
import type { TransportResponse } from '../util/transport.js'
import { join } from '../util/url.js'
import { type FhirRequest, type RequestWorld, request } from './request.js'
import type { SearchParams } from './types.js'

/** The verbs of FHIR REST that the reader needs, each by the URL that the standard gives it. */
export interface Rest {
  read(type: string, id: string, signal?: AbortSignal): Promise<TransportResponse>
  search(
    type: string,
    params: SearchParams,
    options?: Pick<FhirRequest, 'signal' | 'onHead'>,
  ): Promise<TransportResponse>
  get(
    url: string,
    options?: {
      readonly accept?: string
      readonly maxBytes?: number
      readonly within?: readonly string[]
      readonly signal?: AbortSignal
      readonly onHead?: (text: string) => void
    },
  ): Promise<TransportResponse>
}

/** Above this, a search goes as POST: proxies cut longer URLs. Characters. */
const longUrl = 2000

/**
 * FHIR REST at one base. Every byte goes through `world.send`.
 *
 * @see https://hl7.org/fhir/R4/http.html
 */
export function createRest(base: string, world: RequestWorld): Rest {
  return Object.freeze({
    read: async (type, id, signal) =>
      request(world, {
        url: join(base, `${typeName(type)}/${encodeURIComponent(id)}`),
        ...(signal ? { signal } : {}),
      }),
    search: async (type, params, options = {}) => {
      const query = queryOf(params)
      const url = join(base, typeName(type))
      if (query.length <= longUrl)
        return request(world, { url: query === '' ? url : `${url}?${query}`, ...options })
      const contentType = 'application/x-www-form-urlencoded'
      return request(world, { url: `${url}/_search`, method: 'POST', body: query, contentType, ...options })
    },
    get: async (url, options = {}) => request(world, { ...options, url }),
  } satisfies Rest)
}

function typeName(type: string): string {
  if (!/^[A-Z][A-Za-z]{1,63}$/.test(type))
    throw new SmartError('CONFIG_INVALID', 'that is not the name of a FHIR resource type')
  return type
}

/** Search parameters as a query, without its `?`. */
export function queryOf(params: SearchParams): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(params)) {
    if (value === undefined) continue
    for (const one of Array.isArray(value) ? value : [value])
      query.append(name, one instanceof Date ? one.toISOString() : String(one))
  }
  return query.toString()
}
