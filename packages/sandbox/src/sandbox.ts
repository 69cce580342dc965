import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAuthorizationServer } from './auth/authorization-server.js'
import { defaultClients, publicClientId, type SandboxClient } from './auth/clients.js'
import { type ClientKey, sandboxKeys } from './auth/keys.js'
import { people as builtIn, generateRecords, loadFolder, type Person } from './data/index.js'
import { createFaults, type Faults } from './faults.js'
import {
  createFhirServer,
  createRepository,
  type ExportBehavior,
  type Repository,
  type Resource,
} from './fhir/index.js'
import { isTooLong, readBody, sendResponse, sendText, toRequest } from './http.js'
import { inProcessFetch } from './in-process.js'
import { messagePage, pageHeaders } from './pages/pages.js'
import { answerPage } from './pages/routes.js'
import { type Answer, answerPages, type PostedRequest } from './participant.js'
import { createRequestLog, type SeenRequest } from './requests.js'
import { endpointsOf, smartConfiguration } from './smart-configuration.js'
import { behaving } from './vendors/behaving.js'
import { type BehaviorName, behaviors } from './vendors/index.js'

export interface SandboxOptions {
  /** 0, the default, takes any free port. The sandbox listens on 127.0.0.1 only. */
  readonly port?: number
  /** The provider's id. */
  readonly id?: string
  /** What the hospital calls itself. */
  readonly name?: string
  /** A folder of FHIR Bundles or NDJSON to serve in place of the built-in people. */
  readonly data?: string
  /** Which of the built-in people to serve. Without it, all but the one with 20,000 observations. */
  readonly people?: readonly string[]
  readonly seed?: number
  /** Clients beside those that always exist. */
  readonly clients?: readonly SandboxClient[]
  /** Redirect URIs of the default clients beside those on loopback, which are always allowed. */
  readonly redirectUris?: readonly string[]
  /** Lifetime of access tokens. Default an hour. */
  readonly accessTokenSeconds?: number
  /** Lifetime of authorization codes. Default a minute. */
  readonly codeSeconds?: number
  /** The EHR product to behave like, with what it does in its own way. */
  readonly behavesLike?: BehaviorName
  /** How its exports of many records go. */
  readonly bulk?: ExportBehavior
}

/** An EHR that is running: a SMART authorization server, a FHIR R4 server and the pages that a person sees. */
export interface Sandbox {
  /** Its origin. */
  readonly url: string
  /** Its FHIR base. */
  readonly iss: string
  /** The default public client, ready to hand to `createClient`. */
  readonly provider: {
    readonly id: string
    readonly name: string
    readonly iss: string
    readonly clientId: string
  }
  readonly people: readonly Person[]
  /** The key pairs of the client `s4s-asymmetric`. */
  readonly keys: readonly ClientKey[]
  /** Answers sign-in, record and approval of an authorization URL, or form, as a person would; resolves to the callback URL. */
  approve(authorization: string | PostedRequest, answer?: Answer): Promise<string>
  /** As `approve`, but the person says no. */
  deny(authorizationUrl: string): Promise<string>
  /** The URL with which this EHR starts an app for the record that is open. Works once. */
  launch(launchUri: string, context: { readonly patient: string; readonly encounter?: string }): string
  /** A `fetch` that reaches this sandbox without a socket. */
  readonly fetch: typeof globalThis.fetch
  /** The latest requests, oldest first. */
  readonly requests: readonly SeenRequest[]
  clearRequests(): void
  readonly faults: Faults
  /** Changes what it holds while it runs, as a hospital does. */
  readonly records: Pick<Repository, 'put' | 'remove'>
  stop(): Promise<void>
  /** As `stop`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Starts a sandbox EHR on loopback.
 *
 * @example
 * const sandbox = await startSandbox({ name: 'Mercy Hospital' })
 */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const name = options.name ?? 'Sandbox Hospital'
  const keys = await sandboxKeys()
  const behavior = options.behavesLike === undefined ? {} : behaviors[options.behavesLike]
  if (!behavior) throw new TypeError(`no EHR product is called ${String(options.behavesLike)}`)
  const { resources, people } = await recordsOf(options)
  const log = createRequestLog()
  const faults = createFaults()

  let handler: (request: IncomingMessage, response: ServerResponse) => Promise<void> = async () => {}
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    handler(request, response).catch(() => {
      if (response.headersSent) response.destroy()
      else sendText(response, 500, '{"error":"server_error"}', { 'content-type': 'application/json' })
    })
  }
  const server = createServer({ keepAliveTimeout: 65_000 }, handle)
  const url = await listen(server, options.port ?? 0)
  const iss = `${url}/fhir`

  const authorization = await createAuthorizationServer({
    issuer: url,
    fhirBase: iss,
    clients: [
      ...defaultClients(
        options.redirectUris ?? [`${url}/`],
        keys.client.map(({ publicJwk }) => publicJwk),
      ),
      ...(options.clients ?? []),
    ],
    keys,
    accessTokenSeconds: options.accessTokenSeconds ?? 3600,
    codeSeconds: options.codeSeconds ?? 60,
    ...(behavior.auth ? { behavior: behavior.auth } : {}),
    errorPage: (error, description) => ({
      headers: pageHeaders,
      text: messagePage(name, 'This app cannot sign in', `${error}: ${description}`),
    }),
  })
  const repository = createRepository(resources)
  const plainFhir = createFhirServer({
    base: iss,
    name,
    repository,
    smart: endpointsOf(url),
    ...(options.bulk ? { bulk: options.bulk } : {}),
    authorize: async (request) => {
      const [scheme = '', token = ''] = (request.headers.get('authorization') ?? '').split(' ')
      return scheme.toLowerCase() === 'bearer' ? authorization.access(token) : undefined
    },
  })
  const fhir = behaving(behavior, iss, plainFhir)
  const pages = { hospital: name, iss, clientId: publicClientId, people, server: authorization }
  const usual = smartConfiguration(url)
  const configuration = JSON.stringify({ ...usual, ...behavior.configuration?.(usual, iss) })
  const configuredAt = `${behavior.configuredAtRoot ? '' : '/fhir'}/.well-known/smart-configuration`

  handler = async (request, response) => {
    const path = request.url ?? '/'
    const method = request.method ?? 'GET'
    const { authorization: sent, origin } = request.headers
    log.add({
      method,
      path,
      url: url + path,
      at: new Date(),
      ...(sent === undefined ? {} : { authorization: sent }),
      ...(origin === undefined ? {} : { origin }),
    })
    const fault = await faults.hit({ method, path })
    if (fault === 'hang') return
    if (fault === 'drop') return void response.destroy()
    if (fault) return sendResponse(fault, response)
    if (method === 'TRACE' || method === 'CONNECT') return sendText(response, 405, '', {})
    if (isTooLong(request)) return sendText(response, 413, '', { connection: 'close' })

    if (path.split('?')[0] === configuredAt) {
      if (method === 'OPTIONS')
        return sendText(response, 204, '', {
          'access-control-allow-origin': '*',
          'access-control-allow-methods': 'GET, HEAD',
          'access-control-allow-headers': request.headers['access-control-request-headers'] ?? '*',
          'access-control-max-age': '600',
        })
      if (method !== 'GET' && method !== 'HEAD') return sendText(response, 405, '', { allow: 'GET, HEAD' })
      return sendText(response, 200, configuration, {
        'content-type': 'application/json',
        'access-control-allow-origin': '*',
        'cache-control': 'max-age=60',
      })
    }
    if (/^\/fhir([/?]|$)/i.test(path) && (path.startsWith('/fhir') || behavior.fhir)) {
      const body = await readBody(request)
      if (body === undefined) return sendText(response, 413, '', { connection: 'close' })
      return sendResponse(await fhir(toRequest(request, url + path, body)), response)
    }
    if (await answerPage(pages, request, response)) return
    if (method === 'POST' && path === '/auth') {
      // SMART's authorize-post: the same request in a form.
      const body = await readBody(request)
      if (body === undefined) return sendText(response, 413, '', { connection: 'close' })
      Object.assign(request, { method: 'GET', url: `/auth?${body}` })
    }
    await authorization.handle(request, response)
  }

  let stopped: Promise<void> | undefined
  const stop = (): Promise<void> => {
    stopped ??= new Promise((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
    return stopped
  }
  return Object.freeze({
    url,
    iss,
    provider: Object.freeze({ id: options.id ?? 'sandbox', name, iss, clientId: publicClientId }),
    people,
    keys: keys.client,
    approve: (authorization: string | PostedRequest, answer: Answer = {}) =>
      answerPages(globalThis.fetch, url, authorization, answer),
    deny: (authorizationUrl: string) => answerPages(globalThis.fetch, url, authorizationUrl, 'deny'),
    launch: (launchUri: string, context: { readonly patient: string; readonly encounter?: string }) => {
      if (!people.some(({ id }) => id === context.patient))
        throw new TypeError(`this sandbox has no patient ${context.patient}`)
      const target = new URL(launchUri)
      target.searchParams.set('iss', iss)
      target.searchParams.set(
        'launch',
        authorization.launch({ ...context, fhirUser: `Patient/${context.patient}` }),
      )
      return target.href
    },
    fetch: inProcessFetch(url, handle),
    requests: log.requests,
    clearRequests: log.clear,
    faults,
    records: Object.freeze({ put: repository.put, remove: repository.remove }),
    stop,
    [Symbol.asyncDispose]: stop,
  } satisfies Sandbox)
}

async function recordsOf(
  options: SandboxOptions,
): Promise<{ resources: Iterable<Resource>; people: readonly Person[] }> {
  if (options.data !== undefined) {
    const resources = await loadFolder(options.data)
    const people = resources.filter(({ resourceType }) => resourceType === 'Patient').map(personOf)
    if (people.length === 0) throw new Error(`no Patient in ${options.data}`)
    return { resources, people }
  }
  const only = options.people ?? builtIn.filter(({ id }) => !heavy.has(id)).map(({ id }) => id)
  const unknown = only.find((id) => !builtIn.some((person) => person.id === id))
  if (unknown !== undefined)
    throw new Error(`there is nobody called ${unknown}; there are ${builtIn.map(({ id }) => id).join(', ')}`)
  const resources = generateRecords({ only, ...(options.seed === undefined ? {} : { seed: options.seed }) })
  return { resources, people: builtIn.filter(({ id }) => only.includes(id)) }
}

// Records that take a while to make are made when asked for by name.
const heavy: ReadonlySet<string> = new Set(['priya'])

function personOf(resource: Resource): Person {
  const patient = resource as unknown as {
    id?: string
    birthDate?: string
    gender?: string
    name?: { text?: string; given?: string[]; family?: string }[]
  }
  const [name] = patient.name ?? []
  const text = name?.text ?? [...(name?.given ?? []), name?.family ?? ''].join(' ').trim()
  return {
    id: patient.id ?? '',
    name: text || 'No name',
    birthDate: patient.birthDate ?? 'unknown',
    gender: patient.gender ?? 'unknown',
    description: 'from the folder',
  }
}

async function listen(server: ReturnType<typeof createServer>, port: number): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
