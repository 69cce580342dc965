import { lookup as systemLookup } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import type { Fetch } from '@s4s/core'
import { Agent, type RequestInit as UndiciInit, fetch as undiciFetch } from 'undici'

/**
 * How far a request may go: to the public internet, also into a private network, also to this machine. `literal` is
 * for a host that is listed as it stands: the address in the URL may be any.
 */
export type Reach = 'internet' | 'private' | 'loopback' | 'literal'

export interface GuardedFetchOptions {
  /** Default: to the public internet. */
  readonly reach?: (url: URL) => Reach
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
  const { reach = () => 'internet' as const, lookup = systemLookup as LookupFunction } = options
  const agents = new Map<string, Agent>()
  const agentOf = (far: Reach, kept: boolean): Agent => {
    const name = `${far} ${kept}`
    const agent = agents.get(name) ?? agentWith(checkedLookup(lookup, far), kept)
    agents.set(name, agent)
    return agent
  }
  return async (input, init = {}) => {
    const request = input instanceof Request ? input : undefined
    const url = new URL(request?.url ?? String(input))
    if (url.protocol !== 'https:' && url.protocol !== 'http:') throw new TypeError('not an http(s) URL')
    const far = reach(url)
    // An address in the URL itself is never looked up.
    const literal = url.hostname.replace(/^\[|\]$/g, '')
    if (isIP(literal) && !reaches(far, literal)) throw refused(url.hostname)
    const method = init.method ?? request?.method ?? 'GET'
    const signal = init.signal ?? request?.signal
    // A server may close a connection that rests just when it is used again. What only reads is sent once more;
    // whatever else has a connection of its own, so that a code or a refresh token never meets that.
    const reads = method === 'GET' || method === 'HEAD'
    const sent = {
      method,
      ...packed(init.body ?? request?.body, init.headers ?? request?.headers),
      ...(signal ? { signal } : {}),
      redirect: 'manual',
      duplex: 'half',
      dispatcher: agentOf(far, reads),
    } as UndiciInit
    const send = (): Promise<Response> => undiciFetch(url, sent) as unknown as Promise<Response>
    try {
      return await send().catch((error: unknown) => {
        if (reads && !signal?.aborted && wasClosed(error)) return send()
        throw error
      })
    } catch (error) {
      const { cause } = error as { cause?: { code?: unknown } }
      throw cause?.code === 'S4S_PRIVATE_ADDRESS' ? cause : error
    }
  }
}

// undici's fetch knows its own FormData and no other; the runtime's Response makes bytes and a type of any body.
function packed(
  body: BodyInit | ReadableStream | null | undefined,
  given: HeadersInit | undefined,
): { body?: unknown; headers: Record<string, string> } {
  const headers = new Headers(given)
  if (body === null || body === undefined) return { headers: Object.fromEntries(headers) }
  const asItIs = typeof body === 'string' || body instanceof Uint8Array || body instanceof ReadableStream
  if (asItIs) return { body, headers: Object.fromEntries(headers) }
  const packet = new Response(body)
  const type = packet.headers.get('content-type')
  if (type !== null && !headers.has('content-type')) headers.set('content-type', type)
  return { body: packet.body, headers: Object.fromEntries(headers) }
}

function wasClosed(error: unknown): boolean {
  const code = (error as { cause?: { code?: unknown } }).cause?.code
  return ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'].includes(String(code))
}

function agentWith(lookup: LookupFunction, kept: boolean): Agent {
  return new Agent({ connect: { lookup, minVersion: 'TLSv1.2' }, connections: 64, pipelining: kept ? 1 : 0 })
}

// The connection is made to what this answers, so a name cannot mean another address a moment later.
function checkedLookup(lookup: LookupFunction, far: Reach): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, ((error: NodeJS.ErrnoException | null, found: unknown) => {
      const addresses = (Array.isArray(found) ? found : []) as { address: string; family: number }[]
      if (error) return callback(error, '', 0)
      if (addresses.length === 0 || !addresses.every(({ address }) => reaches(far, address)))
        return callback(refused(hostname), '', 0)
      const [first] = addresses
      if ((options as { all?: boolean }).all)
        (callback as (error: null, all: unknown) => void)(null, addresses)
      else callback(null, first?.address ?? '', first?.family ?? 4)
    }) as never)
  }
}

// Blocked for all: what no provider has, and where clouds hand out the keys of a machine.
const metadata = blockList(['169.254.0.0/16', '100.100.100.200/32', 'fd00:ec2::254/128', 'fe80::/10'])
const loopback = blockList(['127.0.0.0/8', '::1/128'])
const inside = blockList(['10.0.0.0/8', '100.64.0.0/10', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'])
const special = blockList([
  ...['0.0.0.0/8', '192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '198.18.0.0/15', '198.51.100.0/24'],
  ...['203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4'],
  // Of global unicast, what stands for an IPv4 address or for nobody.
  ...['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'],
])
const global6 = blockList(['2000::/3'])

function blockList(networks: readonly string[]): (address: string) => boolean {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', prefix] = network.split('/')
    list.addSubnet(address, Number(prefix), isIP(address) === 6 ? 'ipv6' : 'ipv4')
  }
  return (address) => list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}

/** True for an address that is not on the public internet. */
export function isPrivate(address: string): boolean {
  const [plain = ''] = address.split('%')
  const lists = [metadata, loopback, inside, special]
  return (isIP(plain) !== 4 && !(isIP(plain) === 6 && global6(plain))) || lists.some((list) => list(plain))
}

function reaches(far: Reach, address: string): boolean {
  if (far === 'literal' || !isPrivate(address)) return true
  if (far === 'internet' || metadata(address)) return false
  // One that stands for an IPv4 address is nobody's own.
  if (/^::ffff:/i.test(address)) return false
  return inside(address) || (far === 'loopback' && loopback(address))
}

function refused(host: string): Error {
  return Object.assign(new TypeError(`${host} has an address inside a private network`), {
    code: 'S4S_PRIVATE_ADDRESS',
  })
}
