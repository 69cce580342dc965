import './url-parse.js'
import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type {
  ClientMetadata,
  Configuration,
  KoaContextWithOIDC,
  Provider as OidcProvider,
} from 'oidc-provider'
import type { AuthBehavior } from '../vendors/behavior.js'
import { isOpenRedirect, type SandboxClient } from './clients.js'
import type { SandboxKeys } from './keys.js'
import { memoryAdapter } from './memory-adapter.js'
import { isSmartScope } from './scopes.js'

/** What a grant is about. */
export interface GrantContext {
  readonly patient?: string
  readonly encounter?: string
  readonly fhirUser?: string
}

/** A grant as the person who gave it sees it. */
export interface GivenGrant {
  readonly id: string
  /** What the app calls itself. */
  readonly app: string
  readonly patient?: string
  readonly scope: string
  readonly at: Date
}

export interface AuthorizationServerOptions {
  readonly issuer: string
  /** The FHIR base: the one `aud` that is accepted. */
  readonly fhirBase: string
  readonly clients: readonly SandboxClient[]
  readonly keys: SandboxKeys
  readonly accessTokenSeconds: number
  readonly codeSeconds: number
  /** What is other than the standard has it. */
  readonly behavior?: AuthBehavior
  /** The page for a person whose request cannot go back to the app that sent it. */
  readonly errorPage: (
    error: string,
    description: string,
  ) => {
    readonly headers: Readonly<Record<string, string>>
    readonly text: string
  }
}

/** What an interaction page needs to know about the request that it answers. */
export interface Asked {
  readonly prompt: 'login' | 'consent'
  /** What the app calls itself. */
  readonly app: string
  readonly scopes: readonly string[]
  /** Set when the EHR started the app: the record is chosen already. */
  readonly launched?: GrantContext
}

export interface AuthorizationServer {
  /** How long a grant lasts that outlasts the visit. */
  readonly grantSeconds: number
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>
  /** What the access token allows; undefined for one that is unknown, expired or revoked. */
  access(
    token: string,
  ): Promise<{ readonly scopes: readonly string[]; readonly patient?: string } | undefined>
  /** Registers an EHR launch and returns its id; it works once. */
  launch(context: GrantContext): string
  asked(request: IncomingMessage, response: ServerResponse): Promise<Asked | undefined>
  signIn(request: IncomingMessage, response: ServerResponse, account: string): Promise<void>
  approve(
    request: IncomingMessage,
    response: ServerResponse,
    granted: readonly string[],
    patient: string | undefined,
  ): Promise<void>
  deny(request: IncomingMessage, response: ServerResponse): Promise<void>
  grants(): readonly GivenGrant[]
  revoke(grantId: string): Promise<void>
}

const year = 365 * 24 * 3600

/** The OAuth 2.0 and OpenID Connect server of the sandbox, on oidc-provider, with what SMART adds to it. */
export async function createAuthorizationServer(
  options: AuthorizationServerOptions,
): Promise<AuthorizationServer> {
  const { default: Provider, errors } = await loadProvider()
  const { fhirBase, behavior = {} } = options
  const launches = new Map<string, GrantContext>()
  const contexts = new Map<string, GrantContext>()
  const given = new Map<string, GivenGrant>()

  const provider: OidcProvider = new Provider(options.issuer, {
    adapter: memoryAdapter(),
    clients: options.clients.map(metadataOf),
    jwks: { keys: [options.keys.signing as never] },
    cookies: {
      keys: [randomBytes(32).toString('hex')],
      // Cookies know no ports: without names of their own, two hospitals on one machine would take each other's.
      names: cookieNames(options.issuer),
      short: { signed: true },
      long: { signed: true },
    },
    pkce: { required: () => true },
    responseTypes: ['code'],
    scopes: ['openid', 'offline_access', 'online_access', 'fhirUser', 'profile', 'launch', 'launch/patient'],
    claims: { openid: ['sub'], fhirUser: ['fhirUser'], profile: ['name'] },
    conformIdTokenClaims: false,
    clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    enabledJWA: { clientAuthSigningAlgValues: ['RS384', 'ES384', 'RS256', 'ES256'] },
    clientBasedCORS: () => true,
    clientDefaults: { id_token_signed_response_alg: 'RS256' },
    findAccount: async (_ctx, sub, token) => ({
      accountId: sub,
      claims: async () => {
        const context = token && 'grantId' in token ? contexts.get(String(token.grantId)) : undefined
        return {
          sub,
          name: sub,
          ...(context?.fhirUser ? { fhirUser: `${fhirBase}/${context.fhirUser}` } : {}),
        }
      },
    }),
    issueRefreshToken: async (_ctx, client, code) =>
      client.grantTypeAllowed('refresh_token') &&
      !(behavior.publicRefresh === false && client.clientAuthMethod === 'none') &&
      (code.scopes.has('offline_access') || code.scopes.has('online_access')),
    rotateRefreshToken: behavior.staticRefresh !== true,
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    renderError: (ctx, out) => {
      if (ctx.accepts('json', 'html') === 'html') {
        const { headers, text } = options.errorPage(out.error, out.error_description ?? '')
        ctx.set(headers)
        ctx.body = text
        return
      }
      ctx.type = 'json'
      ctx.body = { error: out.error, error_description: out.error_description }
    },
    extraParams: {
      aud: (ctx, value) => {
        // SMART 2.2: the FHIR base that the token is for, exactly; `resource` (RFC 8707) may say it instead.
        const asked = value ?? (ctx.query.resource as string | undefined)
        if (behavior.audience === 'absent') {
          if (asked !== undefined) throw new errors.InvalidRequest('aud must not be sent')
          return
        }
        if (asked !== fhirBase) throw new errors.InvalidRequest('aud must be the FHIR base of this server')
      },
      launch: (ctx, value) => {
        const scopes = String(ctx.oidc.params?.scope ?? '').split(' ')
        if (!scopes.includes('launch')) return
        if (value === undefined || !launches.has(value)) throw new errors.InvalidRequest('unknown launch')
      },
    },
    features: {
      devInteractions: { enabled: false },
      userinfo: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      revocation: {
        enabled: true,
        allowedPolicy: async (_ctx, client, token) => token.clientId === client.clientId,
      },
      introspection: {
        enabled: true,
        allowedPolicy: async (_ctx, client, token) => token.clientId === client.clientId,
      },
      registration: { enabled: true },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => fhirBase,
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx) => ({
          scope: grantable(ctx),
          accessTokenFormat: 'opaque',
          audience: fhirBase,
        }),
      },
    },
    ttl: {
      AccessToken: () => options.accessTokenSeconds,
      AuthorizationCode: () => options.codeSeconds,
      ClientCredentials: () => 300,
      Grant: () => year,
      IdToken: () => 3600,
      Interaction: () => 3600,
      RefreshToken: () => year,
      Session: () => 3600,
    },
  } satisfies Configuration)

  // The sandbox's own clients run on whichever port is free.
  const prototype = provider.Client.prototype as unknown as {
    redirectUriAllowed(this: { clientId: string }, uri: string): boolean
  }
  const registered = prototype.redirectUriAllowed
  prototype.redirectUriAllowed = function (uri) {
    return registered.call(this, uri) || isOpenRedirect(this.clientId, uri)
  }

  provider.use(async (ctx, next) => {
    await next()
    const { oidc } = ctx as KoaContextWithOIDC
    if (ctx.status !== 200 || !isPlainObject(ctx.body)) return
    if (oidc?.route === 'token') {
      const about = contexts.get(oidc.entities.Grant?.jti ?? '')
      Object.assign(ctx.body, wireContext(about))
      const refreshed = oidc.params?.grant_type === 'refresh_token'
      if (refreshed && behavior.refreshScope && !oidc.params?.scope) {
        ctx.status = 400
        ctx.body = { error: 'invalid_scope' }
        return
      }
      if (refreshed && behavior.staticRefresh) delete ctx.body.refresh_token
      for (const name of behavior.withholds ?? []) delete ctx.body[name]
      if (behavior.claims)
        ctx.body.access_token = withClaims(String(ctx.body.access_token), behavior.claims(about?.patient))
    }
    if (oidc?.route === 'introspection' && ctx.body.active === true) {
      const token = (oidc.entities.AccessToken ?? oidc.entities.RefreshToken) as
        | { grantId?: string }
        | undefined
      Object.assign(ctx.body, wireContext(contexts.get(token?.grantId ?? '')))
    }
  })
  // However a grant ends, the page of apps with access no longer lists it.
  provider.on('grant.revoked', (_ctx, grantId) => {
    contexts.delete(grantId)
    given.delete(grantId)
  })
  const callback = provider.callback()

  const details = async (
    request: IncomingMessage,
    response: ServerResponse,
  ): ReturnType<OidcProvider['interactionDetails']> => provider.interactionDetails(request, response)

  return {
    grantSeconds: year,

    handle: async (request, response) => {
      if (request.url?.startsWith('/auth?')) request.url = withPrompt(request.url, behavior)
      await callback(request, response)
    },

    access: async (token) => {
      if (token === '' || token.length > 2048) return undefined
      const own = token.split('.').at(-1) ?? ''
      const found = (await provider.AccessToken.find(own)) ?? (await provider.ClientCredentials.find(own))
      if (!found?.isValid) return undefined
      const patient = 'grantId' in found ? contexts.get(String(found.grantId))?.patient : undefined
      return {
        scopes: (found.scope ?? '').split(' ').filter(Boolean),
        ...(patient === undefined ? {} : { patient }),
      }
    },

    launch: (context) => {
      const id = randomBytes(16).toString('base64url')
      put(launches, id, context)
      return id
    },

    asked: async (request, response) => {
      const found = await details(request, response).catch(() => undefined)
      if (!found) return undefined
      const { prompt, params } = found
      const scopes = String(params.scope ?? '')
        .split(' ')
        .filter(isSmartScope)
      const launched = scopes.includes('launch') ? launches.get(String(params.launch)) : undefined
      return {
        prompt: prompt.name === 'login' ? 'login' : 'consent',
        app: (await provider.Client.find(String(params.client_id)))?.clientName ?? String(params.client_id),
        scopes,
        ...(launched ? { launched } : {}),
      }
    },

    signIn: (request, response, account) =>
      provider.interactionFinished(
        request,
        response,
        { login: { accountId: account, remember: false } },
        { mergeWithLastSubmission: false },
      ),

    approve: async (request, response, granted, patient) => {
      const { params, session } = await details(request, response)
      const clientId = String(params.client_id)
      const asked = String(params.scope ?? '')
        .split(' ')
        .filter(isSmartScope)
      const scopes = asked.filter((scope) => granted.includes(scope))
      const launch = String(params.launch)
      const launched = asked.includes('launch') ? launches.get(launch) : undefined
      if (asked.includes('launch') && !launched) {
        // Approved in another tab: a launch works once.
        const error = { error: 'invalid_request', error_description: 'unknown launch' }
        return provider.interactionFinished(request, response, error, { mergeWithLastSubmission: false })
      }
      launches.delete(launch)
      const grant = new provider.Grant({ accountId: session?.accountId as string, clientId })
      grant.addOIDCScope(scopes.join(' '))
      grant.addResourceScope(fhirBase, scopes.join(' '))
      const refused = asked.filter((scope) => !scopes.includes(scope))
      if (refused.length > 0) {
        grant.rejectOIDCScope(refused.join(' '))
        grant.rejectResourceScope(fhirBase, refused.join(' '))
      }
      const grantId = await grant.save()
      const about = launched ?? (patient === undefined ? {} : { patient, fhirUser: `Patient/${patient}` })
      put(contexts, grantId, about)
      put(given, grantId, {
        id: grantId,
        app: (await provider.Client.find(clientId))?.clientName ?? clientId,
        scope: scopes.join(' '),
        at: new Date(),
        ...(about.patient === undefined ? {} : { patient: about.patient }),
      })
      await provider.interactionFinished(
        request,
        response,
        { consent: { grantId } },
        { mergeWithLastSubmission: true },
      )
    },

    deny: (request, response) =>
      provider.interactionFinished(
        request,
        response,
        { error: 'access_denied', error_description: 'The request was not approved' },
        { mergeWithLastSubmission: false },
      ),

    grants: () => [...given.values()],

    revoke: async (grantId) => {
      await Promise.all(
        [provider.AccessToken, provider.RefreshToken, provider.AuthorizationCode].map((model) =>
          model.revokeByGrantId(grantId),
        ),
      )
      await (await provider.Grant.find(grantId))?.destroy()
      contexts.delete(grantId)
      given.delete(grantId)
    },
  }
}

// As a product does that puts its own facts into a token that is opaque otherwise.
function withClaims(token: string, claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'none' })}.${part(claims)}.${token}`
}

const kept = 10_000

// A map lists its keys by age: the oldest go first.
function put<Value>(map: Map<string, Value>, key: string, value: Value): void {
  for (const oldest of map.keys()) {
    if (map.size < kept) break
    map.delete(oldest)
  }
  map.set(key, value)
}

function cookieNames(issuer: string): { session: string; interaction: string; resume: string } {
  const { port } = new URL(issuer)
  return {
    session: `_session_${port}`,
    interaction: `_interaction_${port}`,
    resume: `_interaction_resume_${port}`,
  }
}

// It runs on Node 20 with the polyfill above, and says at import that it would rather not.
async function loadProvider(): Promise<typeof import('oidc-provider')> {
  const { warn } = console
  console.warn = () => {}
  try {
    return await import('oidc-provider')
  } finally {
    console.warn = warn
  }
}

// Every launch is one of its own: the person signs in, sees what is asked, and decides. Without the consent
// prompt oidc-provider would drop offline_access.
function withPrompt(path: string, { scopes }: AuthBehavior): string {
  const url = new URL(path, 'http://sandbox')
  if (scopes) {
    const asked = (url.searchParams.get('scope') ?? '').split(' ')
    // oidc-provider ignores a scope that it does not know; this one is refused.
    url.searchParams.set('scope', (scopes(asked) ?? []).join(' '))
    if (!scopes(asked)) url.searchParams.set('response_type', 'refused')
  }
  url.searchParams.set('prompt', 'login consent')
  return url.pathname + url.search
}

// What this request may be granted: at the authorization endpoint what it asks for, at the token endpoint what was granted.
function grantable(ctx: KoaContextWithOIDC): string {
  const { AuthorizationCode, RefreshToken, Grant } = ctx.oidc.entities
  const source =
    AuthorizationCode?.scope ??
    RefreshToken?.scope ??
    Grant?.getResourceScope?.(String(ctx.oidc.params?.resource)) ??
    ctx.oidc.params?.scope
  return String(source ?? '')
    .split(' ')
    .filter(isSmartScope)
    .join(' ')
}

function wireContext(context: GrantContext | undefined): Record<string, unknown> {
  if (!context) return {}
  return context.patient === undefined ? { ...context } : { need_patient_banner: true, ...context }
}

function metadataOf(client: SandboxClient): ClientMetadata {
  const method = client.method ?? 'none'
  return {
    client_id: client.clientId,
    ...(client.name === undefined ? {} : { client_name: client.name }),
    token_endpoint_auth_method: method,
    redirect_uris: client.backend ? [] : [...(client.redirectUris ?? [])],
    grant_types: client.backend ? ['client_credentials'] : ['authorization_code', 'refresh_token'],
    response_types: client.backend ? [] : ['code'],
    ...(client.secret === undefined ? {} : { client_secret: client.secret }),
    ...(client.jwks === undefined ? {} : { jwks: client.jwks as never }),
  }
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Buffer.isBuffer(value) && !('pipe' in value)
}
