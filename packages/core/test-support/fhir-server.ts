import { getStatus } from '@medplum/core'
import { FhirRouter, type HttpMethod, MemoryRepository } from '@medplum/fhir-router'
import { type Heard, json, startServer, type TestServer } from './server.js'

/** A resource as a test looks at it. */
export interface Stored {
  readonly resourceType: string
  readonly id: string
  readonly [element: string]: unknown
}

/** A FHIR server over a socket: transactions, batches, update as create, delete. */
export interface FhirServer {
  readonly url: string
  readonly server: TestServer
  /** Answers in its place when it returns a status; called for every request before it is acted on. */
  before: (request: Heard) => number | undefined
  /** The same, when it was acted on. */
  after: (request: Heard) => number | undefined
  /** Waits of a refusal, in seconds. */
  retryAfter: string
  read(name: string): Promise<Stored | undefined>
  /** Puts something there, past the socket. */
  write(resource: Stored): Promise<void>
  /** Names of all that was put and is there still. */
  names(): Promise<string[]>
  stop(): Promise<void>
}

export async function startFhirServer(token = 'token-1'): Promise<FhirServer> {
  const repository = new MemoryRepository()
  const router = new FhirRouter()
  const put = new Set<string>()
  const server = await startServer(async (request, response) => {
    const path = request.path.slice('/fhir'.length)
    const refused = fhir.before(request)
    if (refused !== undefined) return json(response, outcome, refused, { 'retry-after': fhir.retryAfter })
    if (request.headers.authorization !== `Bearer ${token}`) return json(response, outcome, 401)
    const body = request.body === '' ? undefined : JSON.parse(request.body)
    for (const entry of body?.entry ?? []) if (entry.request.method === 'PUT') put.add(entry.request.url)
    const [result, resource] = await router.handleRequest(
      {
        ...{ method: request.method as HttpMethod, url: path === '' ? '/' : path, pathname: '', body },
        ...{ params: {}, query: {}, headers: request.headers, config: { transactions: true } },
      },
      repository,
    )
    const lost = fhir.after(request)
    if (lost !== undefined) json(response, outcome, lost, { 'retry-after': fhir.retryAfter })
    else json(response, resource ?? result, getStatus(result))
  })
  const read = (name: string): Promise<Stored | undefined> => {
    const [type, id] = name.split('/') as [string, string]
    return repository.readResource(type, id).then(
      (found) => found as unknown as Stored,
      () => undefined,
    )
  }
  const fhir: FhirServer = {
    url: `${server.url}/fhir`,
    server,
    before: () => undefined,
    after: () => undefined,
    retryAfter: '0',
    read,
    write: async (resource) => {
      await repository.updateResource(resource as never)
    },
    async names() {
      const found: string[] = []
      for (const name of put) if (await read(name)) found.push(name)
      return found
    },
    stop: server.stop,
  }
  return fhir
}

const outcome = { resourceType: 'OperationOutcome', issue: [{ severity: 'error', code: 'transient' }] }
