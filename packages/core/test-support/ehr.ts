import type { ServerResponse } from 'node:http'
import {
  type Client,
  type ClientOptions,
  type Connection,
  createClient,
  type Platform,
  type Provider,
  usCore,
} from '../src/index.js'
import { testPlatform } from '../src/testing/index.js'
import { type Heard, json, startServer, type TestServer } from './server.js'

type Answer = (request: Heard, response: ServerResponse) => void

/** An EHR whose every answer a test can replace: what it says is wrong in just the one way that is tested. */
export interface ScriptedEhr {
  readonly server: TestServer
  readonly provider: Provider
  readonly platform: Platform
  readonly client: Client
  /** Answers by path; set one to change it. */
  readonly answers: Map<string, Answer>
  /** The callback of a participant who approved. */
  approve(authorizationUrl: string, more?: Record<string, string>): string
  connect(): Promise<Connection>
  tokenRequests(): URLSearchParams[]
}

export const tokens: Record<string, unknown> = {
  access_token: 'access-1',
  token_type: 'Bearer',
  expires_in: 3600,
  scope: 'launch/patient offline_access patient/Patient.rs',
  refresh_token: 'refresh-1',
  patient: 'p1',
}

export async function scriptedEhr(
  options: {
    readonly platform?: Partial<Platform>
    readonly provider?: Partial<Provider>
    readonly path?: string
    /** Members of the SMART configuration, over the usual ones; null takes one out. */
    readonly wellKnown?: (url: string) => Record<string, unknown>
    readonly options?: Partial<ClientOptions>
  } = {},
): Promise<ScriptedEhr> {
  const answers = new Map<string, Answer>()
  const server = await startServer((request, response) => {
    const path = request.path.split('?')[0] ?? ''
    const answer = answers.get(path)
    if (answer) answer(request, response)
    else json(response, {}, 404)
  })
  const base = `${server.url}${options.path ?? '/fhir'}`
  const joined = base.replace(/\/$/, '').slice(server.url.length)
  answers.set(`${joined}/.well-known/smart-configuration`, (_, response) =>
    json(response, {
      issuer: server.url,
      authorization_endpoint: `${server.url}/authorize?tenant=7`,
      token_endpoint: `${server.url}/token`,
      revocation_endpoint: `${server.url}/revoke`,
      capabilities: ['permission-v2'],
      ...options.wellKnown?.(server.url),
    }),
  )
  answers.set('/token', (_, response) => json(response, tokens))
  answers.set('/revoke', (_, response) => json(response, {}))
  answers.set(`${joined}/Patient/p1`, (_, response) => json(response, { resourceType: 'Patient', id: 'p1' }))

  const platform = testPlatform(options.platform)
  const provider: Provider = {
    id: 'mercy',
    name: 'Mercy',
    iss: base,
    clientId: 'my-app',
    ...options.provider,
  }
  const client = createClient({
    platform,
    redirectUri: 'https://app.example/callback',
    providers: [provider],
    plan: usCore.only('Patient'),
    ...options.options,
  })
  const approve: ScriptedEhr['approve'] = (authorizationUrl, more = {}) => {
    const asked = new URL(authorizationUrl).searchParams
    const url = new URL(asked.get('redirect_uri') ?? '')
    for (const [name, value] of Object.entries({ code: 'code-1', state: asked.get('state') ?? '', ...more }))
      url.searchParams.set(name, value)
    return url.href
  }
  return {
    server,
    provider,
    platform,
    client,
    answers,
    approve,
    connect: async () => client.callback(approve((await client.authorize('mercy')).url)),
    tokenRequests: () =>
      server.heard.filter(({ path }) => path === '/token').map(({ body }) => new URLSearchParams(body)),
  }
}
