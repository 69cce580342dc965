/**
 * For those who know fhir-kit-client: its `Client`, bound to a connection. Install `fhir-kit-client` beside this package.
 *
 * @module
 */
import { Client } from 'fhir-kit-client'
import { type Connection, coreOf } from './connection.js'
import { SmartError } from './errors.js'
import { type FhirRequest, request, requestOnce } from './fhir/request.js'
import { isObject, parseJson } from './util/json.js'
import { join, parseUrl } from './util/url.js'

/**
 * A fhir-kit-client `Client` whose every request goes through the connection: with its token, refreshed when needed,
 * to its FHIR base and nowhere else. What reads is retried as the connection's own verbs are; what writes is sent once.
 *
 * `resolve` and `smartAuthMetadata` are not available: references and discovery are the connection's.
 *
 * @example const { issue } = await fhirKit(connection).operation({ name: '$validate', resourceType: 'Patient', input })
 */
export function fhirKit(connection: Connection): Client {
  const { send, world } = coreOf(connection)
  const { platform, provider } = world
  const base = connection.provider.iss
  const client = new Client({ baseUrl: base.replace(/\/$/, '') })
  const through = { send, clock: platform.clock, crypto: platform.crypto, provider }
  client.httpClient.request = async (method, path, options, body) => {
    const { accept, 'content-type': contentType, ...headers } = plain(options?.headers)
    const wanted: FhirRequest = {
      url: parseUrl(path)?.href ?? below(base, path.replace(/^\//, '')),
      method: method as NonNullable<FhirRequest['method']>,
      headers,
      ...(accept === undefined ? {} : { accept }),
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      ...(body === undefined ? {} : { contentType: contentType ?? 'application/fhir+json' }),
      ...(options?.signal ? { signal: options.signal as AbortSignal } : {}),
    }
    const reads = method === 'GET' || /\/_search(\?|$)/.test(path)
    const text = (await (reads ? request(through, wanted) : requestOnce(through, wanted))).text()
    const value = text === '' ? {} : parseJson(text)
    if (isObject(value)) return value as never
    throw new SmartError('FHIR_RESPONSE_INVALID', `${provider.name} sent something that is no resource`, {
      subject: provider.id,
    })
  }
  const away = async (): Promise<never> => {
    throw new TypeError('that is not part of a bound client: ask the connection')
  }
  return Object.assign(client, { resolve: away, smartAuthMetadata: away })
}

// A batch goes to the base itself, for which some servers want no slash at its end.
const below = (base: string, path: string): string =>
  path === '' ? base.replace(/\/$/, '') : join(base, path)

// Whatever authorises the request is the connection's alone.
function plain(headers: unknown): Record<string, string> {
  const given = new Headers(headers as Record<string, string> | undefined)
  for (const name of ['authorization', 'cookie', 'host', 'content-length']) given.delete(name)
  return Object.fromEntries(given.entries())
}
