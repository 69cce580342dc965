import { lookup as systemLookup } from 'node:dns'
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { Readable } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import type { Fetch } from '@s4s/core'

export interface GuardedFetchOptions {
  /** True for a URL whose host may have a private address. Default: none. */
  readonly allowPrivate?: (url: URL) => boolean
  /** In place of the system's resolver. */
  readonly lookup?: LookupFunction
}

/**
 * A `fetch` for servers, which URLs of others cannot turn against the server's own network: a name is resolved once,
 * every address it has is checked, and the connection goes to what was checked. Redirects are answers, not followed.
 * TLS 1.2 or newer.
 *
 * A refused address rejects with an error whose `code` is `S4S_PRIVATE_ADDRESS`.
 *
 * @see https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
 */
export function guardedFetch(options: GuardedFetchOptions = {}): Fetch {
  const { allowPrivate = () => false, lookup = systemLookup as LookupFunction } = options
  const agents = {
    guarded: agentsWith(checkedLookup(lookup)),
    open: agentsWith(lookup),
  }
  return async (input, init = {}) => {
    const request = input instanceof Request ? input : undefined
    const url = new URL(request?.url ?? String(input))
    if (url.protocol !== 'https:' && url.protocol !== 'http:') throw new TypeError('not an http(s) URL')
    const allowed = allowPrivate(url)
    // An address in the URL itself is never looked up.
    const literal = url.hostname.replace(/^\[|\]$/g, '')
    if (!allowed && isIP(literal) && isPrivate(literal)) throw refused(url.hostname)
    const headers = Object.fromEntries(new Headers(init.headers ?? request?.headers).entries())
    return send(url, {
      method: init.method ?? request?.method ?? 'GET',
      headers: { 'accept-encoding': 'gzip, deflate, br', ...headers },
      body: init.body ?? (request ? new Uint8Array(await request.arrayBuffer()) : undefined),
      signal: init.signal ?? request?.signal,
      agents: allowed ? agents.open : agents.guarded,
    })
  }
}

interface Sending {
  readonly method: string
  readonly headers: Record<string, string>
  readonly body: unknown
  readonly signal: AbortSignal | null | undefined
  readonly agents: Agents
}

function send(url: URL, sending: Sending, again = true): Promise<Response> {
  const { method, headers, body, signal, agents } = sending
  // A server may close a connection that rests just when it is used again. What only reads is sent once more;
  // whatever else has a connection of its own, so that a code or a refresh token never meets that.
  const reads = method === 'GET' || method === 'HEAD'
  const agent = agents[`${url.protocol === 'https:' ? 'https' : 'http'}${reads ? '' : 'Once'}`]
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const bytes = typeof body === 'string' || body instanceof Uint8Array ? Buffer.from(body) : undefined
    const start = url.protocol === 'https:' ? httpsRequest : httpRequest
    const request = start(url, {
      method,
      agent,
      headers: { ...headers, ...(bytes?.length ? { 'content-length': String(bytes.length) } : {}) },
    })
    const abort = (): void => void request.destroy(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    request.on('close', () => signal?.removeEventListener('abort', abort))
    request.on('error', (error) => {
      if (signal?.aborted) reject(signal.reason)
      else if (again && reads && request.reusedSocket) send(url, sending, false).then(resolve, reject)
      else reject(failed(error))
    })
    request.on('response', (message) => {
      try {
        resolve(toResponse(message, method))
      } catch (error) {
        request.destroy()
        reject(failed(error))
      }
    })
    request.end(bytes?.length ? bytes : undefined)
  })
}

const empty = new Set([204, 205, 304])

function toResponse(message: IncomingMessage, method: string): Response {
  const status = message.statusCode ?? 0
  const headers = new Headers()
  for (let at = 0; at + 1 < message.rawHeaders.length; at += 2)
    headers.append(message.rawHeaders[at] as string, message.rawHeaders[at + 1] as string)
  if (method === 'HEAD' || empty.has(status)) {
    message.resume()
    return new Response(null, { status, headers })
  }
  const body = decoded(message)
  return new Response(Readable.toWeb(body) as ReadableStream<Uint8Array>, { status, headers })
}

function decoded(message: IncomingMessage): Readable {
  const encoding = message.headers['content-encoding']?.toLowerCase()
  const decoder =
    encoding === 'gzip' || encoding === 'x-gzip'
      ? createGunzip()
      : encoding === 'deflate'
        ? createInflate()
        : encoding === 'br'
          ? createBrotliDecompress()
          : undefined
  if (!decoder) return message
  message.on('error', (error) => decoder.destroy(error))
  message.on('aborted', () => decoder.destroy(new Error('the answer was cut off')))
  decoder.on('close', () => message.destroy())
  return message.pipe(decoder)
}

type Agents = Readonly<Record<'http' | 'https' | 'httpOnce' | 'httpsOnce', HttpAgent>>

function agentsWith(lookup: LookupFunction): Agents {
  const http = (keepAlive: boolean): HttpAgent => new HttpAgent({ keepAlive, maxSockets: 64, lookup })
  const https = (keepAlive: boolean): HttpAgent =>
    new HttpsAgent({ keepAlive, maxSockets: 64, lookup, minVersion: 'TLSv1.2' }) as HttpAgent
  return { http: http(true), https: https(true), httpOnce: http(false), httpsOnce: https(false) }
}

// The connection is made to what this answers, so a name cannot mean another address a moment later.
function checkedLookup(lookup: LookupFunction): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, ((error: NodeJS.ErrnoException | null, found: unknown) => {
      const addresses = (Array.isArray(found) ? found : []) as { address: string; family: number }[]
      if (error) return callback(error, '', 0)
      if (addresses.length === 0 || addresses.some(({ address }) => isPrivate(address)))
        return callback(refused(hostname), '', 0)
      const [first] = addresses
      if ((options as { all?: boolean }).all)
        (callback as (error: null, all: unknown) => void)(null, addresses)
      else callback(null, first?.address ?? '', first?.family ?? 4)
    }) as never)
  }
}

const closed = new BlockList()
for (const [network, prefix] of [
  ...([
    ['0.0.0.0', 8],
    ['10.0.0.0', 8],
    ['100.64.0.0', 10],
    ['127.0.0.0', 8],
    ['169.254.0.0', 16],
  ] as const),
  ...([
    ['172.16.0.0', 12],
    ['192.0.0.0', 24],
    ['192.0.2.0', 24],
    ['192.88.99.0', 24],
    ['192.168.0.0', 16],
  ] as const),
  ...([
    ['198.18.0.0', 15],
    ['198.51.100.0', 24],
    ['203.0.113.0', 24],
    ['224.0.0.0', 4],
    ['240.0.0.0', 4],
  ] as const),
] as const)
  closed.addSubnet(network, prefix, 'ipv4')
// All but global unicast; of that, what stands for an IPv4 address or for nobody.
const open6 = new BlockList()
open6.addSubnet('2000::', 3, 'ipv6')
for (const [network, prefix] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const)
  closed.addSubnet(network, prefix, 'ipv6')

/** True for an address that is not on the public internet. */
export function isPrivate(address: string): boolean {
  const version = isIP(address)
  if (version === 4) return closed.check(address, 'ipv4')
  const [plain = ''] = address.split('%')
  return version !== 6 || !open6.check(plain, 'ipv6') || closed.check(plain, 'ipv6')
}

function refused(host: string): Error {
  return Object.assign(new TypeError(`${host} has an address inside a private network`), {
    code: 'S4S_PRIVATE_ADDRESS',
  })
}

// As fetch does: the reason is in the cause.
function failed(error: unknown): Error {
  return (error as { code?: string }).code === 'S4S_PRIVATE_ADDRESS'
    ? (error as Error)
    : new TypeError('fetch failed', { cause: error })
}
