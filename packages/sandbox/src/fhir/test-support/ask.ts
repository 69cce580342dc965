import type { Repository } from '../repository.js'
import type { Resource } from '../resource.js'
import { type Access, createFhirServer, type FhirServerOptions } from '../server.js'

/** The base of servers that tests ask without a socket. */
export const base = 'http://ehr.test/fhir'

/** A Bundle as tests look at it. */
export interface Bundle {
  readonly resourceType: string
  readonly type?: string
  readonly total?: number
  readonly link?: { relation: string; url: string }[]
  readonly entry?: {
    fullUrl?: string
    resource?: Resource
    search?: { mode: string }
    response?: { status: string; etag?: string; outcome?: Resource }
  }[]
}

/** Asks a server whose tokens all have one access. */
export interface Asker {
  request(path: string, init?: RequestInit): Promise<Response>
  /** The ids of the matches. */
  ids(path: string, init?: RequestInit): Promise<string[]>
  bundle(path: string, init?: RequestInit): Promise<Bundle>
  /** `mode Type/id` of every entry. */
  entries(path: string): Promise<string[]>
}

/** A server over a repository that takes every token to be one with this access. */
export function asker(
  repository: Repository,
  access: Access = { scopes: ['system/*.rs'] },
  options: Partial<FhirServerOptions> = {},
): Asker {
  const serve = createFhirServer({ base, repository, authorize: async () => access, ...options })
  const request = (path: string, init?: RequestInit): Promise<Response> =>
    serve(new Request(path.startsWith('http') ? path : `${base}/${path}`, init))
  const bundle = async (path: string, init?: RequestInit): Promise<Bundle> => {
    const response = await request(path, init)
    const text = await response.text()
    if (response.status !== 200) throw new Error(`${response.status} ${text}`)
    return JSON.parse(text) as Bundle
  }
  return {
    request,
    bundle,
    ids: async (path, init) =>
      ((await bundle(path, init)).entry ?? [])
        .filter(({ search }) => search?.mode === 'match')
        .map(({ resource }) => resource?.id as string),
    entries: async (path) =>
      ((await bundle(path)).entry ?? []).map(
        ({ resource, search }) => `${search?.mode} ${resource?.resourceType}/${resource?.id ?? ''}`,
      ),
  }
}
