import { type Connection, openConnection } from './connection.js'
import { createDiscovery } from './discovery.js'
import { SmartError } from './errors.js'
import { launchKey, loadLaunch, type StoredLaunch, saveLaunch, spent, sweepLaunches } from './launches.js'
import { findPatient } from './patient.js'
import type { Plan } from './plans/plan.js'
import type { Platform } from './ports.js'
import { createRecognition } from './recognise.js'
import { type FinishedRevocation, finishRevocations } from './revocation.js'
import {
  type AccessWanted,
  type AuthorizationForm,
  type PendingLaunch,
  prepareAuthorization,
} from './smart/authorize.js'
import { checkCallback, readCallback } from './smart/callback.js'
import type { SmartConfiguration } from './smart/configuration.js'
import type { IdentityCheck } from './smart/identity.js'
import { readLaunch } from './smart/launch.js'
import { defineProviders, type Provider } from './smart/provider.js'
import { exchangeCode } from './smart/token.js'
import {
  applyTokens,
  loadConnection,
  type StoredConnection,
  saveConnection,
  storage,
} from './stored-connection.js'
import { tokenClientOf } from './tokens.js'
import { orAborted } from './util/abort.js'
import { base64url, sha256 } from './util/bytes.js'
import { createTransport } from './util/transport.js'
import { isSecure, parseUrl } from './util/url.js'
import type { Vendor } from './vendors/vendor.js'

export interface ClientOptions {
  readonly platform: Platform
  /** Absolute, as registered with every provider: compared character by character. */
  readonly redirectUri: string
  readonly providers: readonly Provider[]
  /** What will be collected; decides which scopes are asked for. */
  readonly plan: Plan
  /** How long access shall last. Default `ongoing`; a study that collects once asks for `once`. */
  readonly access?: AccessWanted
  /** Asks who signed in, and checks it: `idToken()`. Without it, nobody is asked. */
  readonly identity?: IdentityCheck
  /** What is known about EHR products, `vendors` of `@s4s/core/vendors`: providers that name none are recognised. */
  readonly vendors?: readonly Vendor[]
}

export interface AuthorizeOptions {
  /** Whose connection it will be, where one store serves several people. */
  readonly participant?: string
  /** Where the app wants to go afterwards; kept with the launch, never in the URL. */
  readonly returnTo?: string
  /** Instead of the client's own. */
  readonly access?: AccessWanted
  /** Other context to be told about, such as `encounter`; an EHR may ignore it. */
  readonly context?: readonly string[]
  readonly signal?: AbortSignal
}

export interface Authorization {
  /** Send the participant here. */
  readonly url: string
  /** The same request as a form to POST, when the URL would be long and the server takes forms. */
  readonly form?: AuthorizationForm
  readonly state: string
  readonly expiresAt: Date
}

export interface CallbackOptions {
  /** Must be who began the launch. */
  readonly participant?: string
  readonly signal?: AbortSignal
}

/** Connects participants with providers. Holds no state of its own: all of it is in the platform's store. */
export interface Client {
  readonly providers: readonly Provider[]
  readonly plan: Plan
  /** How long access is asked for. */
  readonly access: AccessWanted
  /**
   * What a provider says about its authorization server.
   *
   * @throws SmartError `CONFIG_UNKNOWN_PROVIDER`, `DISCOVERY_*`
   */
  configuration(provider: string, options?: { readonly signal?: AbortSignal }): Promise<SmartConfiguration>
  /**
   * Begins a launch at a provider.
   *
   * @throws SmartError `CONFIG_UNKNOWN_PROVIDER`, `DISCOVERY_*`
   * @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#launch-app-standalone-launch
   */
  authorize(provider: string, options?: AuthorizeOptions): Promise<Authorization>
  /**
   * Begins the launch that an EHR asked for by opening this URL.
   *
   * @throws SmartError `LAUNCH_*` without a request, `DISCOVERY_*`
   */
  launch(url: string, options?: AuthorizeOptions): Promise<Authorization>
  /**
   * Ends a launch: checks the callback and exchanges its code. May be called again with the same URL, at the
   * same time or later; the code is sent once and every call gets the same connection.
   *
   * @throws SmartError `AUTHORIZATION_*`, `TOKEN_*`
   */
  callback(url: string, options?: CallbackOptions): Promise<Connection>
  /** The `returnTo` of the launch that a callback URL belongs to, while it is pending or done. */
  returnTo(url: string): Promise<string | undefined>
  /** As `returnTo`, and whether the launch began with this store at all. */
  launchOf(url: string): Promise<{ readonly known: boolean; readonly returnTo: string | undefined }>
  connections(filter?: { readonly participant?: string; readonly provider?: string }): Promise<Connection[]>
  /** The connection of this id, whoever's it is; undefined when it is no longer here. For jobs, which know ids only. */
  connection(id: string): Promise<Connection | undefined>
  /** The same client on the same store, with another `fetch`, or another `lock` that must keep out whom the first does. */
  through(changes: Partial<Pick<Platform, 'fetch' | 'lock'>>): Client
  /**
   * Tells the providers that could not be told when a connection was revoked. Also tried, without waiting, whenever
   * a launch begins.
   */
  finishRevocations(options?: { readonly signal?: AbortSignal }): Promise<FinishedRevocation[]>
  /** What the client stands on, for what else is kept in the same place: `createOutbox(client.platform)`. */
  readonly platform: Platform
}

/**
 * Makes a client of a platform, a redirect URI, providers and a plan.
 *
 * @throws SmartError `CONFIG_*` for options that cannot work
 */
export function createClient(options: ClientOptions): Client {
  const { platform, plan, identity } = options
  const providers = defineProviders(options.providers)
  const redirectUri = checkedRedirect(options.redirectUri)
  const transport = createTransport(platform)
  const discovery = createDiscovery(platform, transport, providers)
  const recognition = createRecognition({ platform, transport }, options.vendors ?? [])

  const providerOf = (id: string): Provider => {
    const provider = providers.find((candidate) => candidate.id === id)
    if (!provider) throw new SmartError('CONFIG_UNKNOWN_PROVIDER', 'no provider of that id is configured')
    return provider
  }
  const worldOf = (id: string, vendor?: string): ReturnType<typeof world> | undefined => {
    const provider = providers.find((candidate) => candidate.id === id)
    return provider && world(recognition.known(provider, vendor))
  }
  const world = (provider: Provider) => ({ platform, transport, provider })

  const finishAll = (signal?: AbortSignal): Promise<FinishedRevocation[]> =>
    finishRevocations(platform, worldOf, signal)

  const begin = async (
    configured: Provider,
    wanted: AuthorizeOptions,
    launch?: string,
  ): Promise<Authorization> => {
    const { participant, returnTo, context, signal } = wanted
    const access = wanted.access ?? options.access
    const [configuration, provider] = await Promise.all([
      discovery.trusted(configured, signal),
      recognition.asked(configured),
    ])
    signal?.throwIfAborted()
    const { url, form, pending } = await prepareAuthorization(platform.crypto, {
      provider,
      configuration,
      plan: provider.plan ?? plan,
      redirectUri,
      now: platform.clock.now(),
      ...(launch === undefined ? {} : { launch }),
      ...(access === undefined ? {} : { access }),
      ...(identity ? { identity } : {}),
      ...(context ? { context } : {}),
      ...(participant === undefined ? {} : { participant }),
      ...(returnTo === undefined ? {} : { returnTo }),
    })
    await sweepLaunches(platform)
    finishAll().catch(() => {})
    await saveLaunch(platform, launchKey(pending.state), { pending })
    return Object.freeze({
      url,
      ...(form ? { form } : {}),
      state: pending.state,
      expiresAt: new Date(pending.expiresAt),
    })
  }

  const open = (key: string, stored: StoredConnection): Connection | undefined => {
    const found = worldOf(stored.provider, stored.vendor)
    return found && openConnection(key, stored, found)
  }

  const finish = async (url: string, wanted: CallbackOptions): Promise<Connection> => {
    const parameters = readCallback(url)
    const { state } = parameters
    if (state === undefined) {
      // Some servers leave the state out when the participant says no. Nothing is consumed: it could be forged.
      if (parameters.error === 'access_denied')
        throw new SmartError('AUTHORIZATION_DENIED', 'access was not approved')
      throw stateUnknown()
    }
    const key = launchKey(state)
    const launched = await loadLaunch(platform, key)
    if (!launched || launched.pending.state !== state || launched.pending.participant !== wanted.participant)
      throw stateUnknown()
    const { pending } = launched
    const provider = worldOf(pending.provider, pending.vendor)?.provider
    if (!provider) throw stateUnknown()
    const done = await already(launched, provider)
    if (done) return done
    if (platform.clock.now() > pending.expiresAt) {
      await storage(() => platform.store.delete(key))
      throw new SmartError('AUTHORIZATION_EXPIRED', `the launch at ${provider.name} took too long`, {
        subject: provider.id,
      })
    }
    let code: string
    try {
      code = checkCallback(parameters, pending, provider.name)
    } catch (error) {
      // The participant's answer ends the launch; a callback from a wrong server must not.
      if (error instanceof SmartError && error.code !== 'AUTHORIZATION_ISSUER_MISMATCH')
        await storage(() => platform.store.delete(key))
      throw error
    }
    // Marked before it is sent: a code that may have been used is never sent again (RFC 6749 §4.1.2).
    await saveLaunch(platform, key, { pending, sent: true })
    const opened = await exchange(provider, pending, code)
    await saveLaunch(platform, key, { pending: spent(pending), sent: true, connection: opened.key })
    return opened.connection
  }

  // What an earlier callback of the same launch has come to.
  const already = async (launched: StoredLaunch, provider: Provider): Promise<Connection | undefined> => {
    const subject = provider.id
    if (launched.connection !== undefined) {
      const stored = await loadConnection(platform, launched.connection)
      const existing = stored && open(launched.connection, stored)
      if (existing) return existing
      throw new SmartError(
        'AUTHORIZATION_STATE_UNKNOWN',
        'this launch is over and its connection was ended',
        { subject },
      )
    }
    if (launched.sent !== true) return undefined
    throw new SmartError(
      'AUTHORIZATION_INTERRUPTED',
      `the launch at ${provider.name} was interrupted after its code was sent`,
      { subject },
    )
  }

  const exchange = async (
    provider: Provider,
    pending: PendingLaunch,
    code: string,
  ): Promise<{ readonly key: string; readonly connection: Connection }> => {
    const { redirectUri: registered, verifier, endpoints, participant, scope, iss, nonce } = pending
    const now = platform.clock.now()
    const draft: StoredConnection = {
      format: 1,
      id: '',
      provider: provider.id,
      iss,
      clientId: pending.clientId,
      ...(pending.vendor === undefined ? {} : { vendor: pending.vendor }),
      ...(participant === undefined ? {} : { participant }),
      patient: '',
      context: {},
      scope,
      scopeAssumed: true,
      requested: scope,
      ...(pending.access === undefined ? {} : { wanted: pending.access }),
      accessToken: '',
      ended: false,
      endpoints,
      connectedAt: now,
    }
    const { transport: wire, crypto } = { transport, crypto: platform.crypto }
    const grant = { code, redirectUri: registered, verifier }
    const tokens = await exchangeCode({ transport: wire, crypto }, tokenClientOf(draft, provider), grant)
    const patient =
      tokens.context.patient ??
      tokens.details.map(({ context }) => context.patient).find((one) => one !== undefined) ??
      (await findPatient(world(provider), tokens))
    if (patient === undefined) {
      throw new SmartError(
        'TOKEN_PATIENT_MISSING',
        `${provider.name} granted access without naming a patient`,
        { subject: provider.id },
      )
    }
    const who = await identity?.verify({
      transport,
      idToken: tokens.idToken,
      clientId: pending.clientId,
      iss,
      endpoints,
      ...(nonce === undefined ? {} : { nonce }),
    })
    const id = `${provider.id}-${(await sha256(crypto, JSON.stringify([participant ?? null, iss.replace(/\/$/, ''), patient]))).slice(0, 16)}`
    const stored = applyTokens({ ...draft, id, patient, ...(who ? { identity: who } : {}) }, tokens, now)
    const key = `${connectionPrefix(participant)}${id}`
    await platform.lock(key, () => saveConnection(platform, key, stored))
    return { key, connection: openConnection(key, stored, world(provider)) }
  }

  const launchOf: Client['launchOf'] = async (url) => {
    const { state } = readCallback(url)
    const launched = state === undefined ? undefined : await loadLaunch(platform, launchKey(state))
    return { known: launched !== undefined, returnTo: launched?.pending.returnTo }
  }

  return Object.freeze({
    providers,
    plan,
    access: options.access ?? 'ongoing',

    configuration: async (id: string, wanted: { readonly signal?: AbortSignal } = {}) =>
      discovery.of(providerOf(id), wanted.signal),

    authorize: async (id: string, wanted: AuthorizeOptions = {}): Promise<Authorization> =>
      begin(providerOf(id), wanted),

    async launch(url: string, wanted: AuthorizeOptions = {}): Promise<Authorization> {
      const { provider, launch } = readLaunch(url, providers)
      return begin(provider, wanted, launch)
    },

    async callback(url: string, wanted: CallbackOptions = {}): Promise<Connection> {
      const { state } = readCallback(url)
      // One at a time per state: the second caller finds the connection that the first one made.
      // Whoever stops waiting does not stop the exchange: the code would be spent for nothing.
      return orAborted(wanted.signal, () =>
        state === undefined
          ? finish(url, wanted)
          : platform.lock(launchKey(state), () => finish(url, wanted)),
      )
    },

    returnTo: async (url: string) => (await launchOf(url)).returnTo,

    launchOf,

    async connections(
      filter: { readonly participant?: string; readonly provider?: string } = {},
    ): Promise<Connection[]> {
      const prefix = filter.participant === undefined ? 'connection/' : connectionPrefix(filter.participant)
      const keys = await storage(() => platform.store.keys(prefix))
      const loaded = await Promise.all(
        keys.sort().map(async (key) => ({ key, stored: await loadConnection(platform, key) })),
      )
      return loaded
        .filter(
          ({ stored }) =>
            stored !== undefined && (filter.provider === undefined || stored.provider === filter.provider),
        )
        .map(({ key, stored }) => open(key, stored as StoredConnection))
        .filter((connection) => connection !== undefined)
    },

    async connection(id: string): Promise<Connection | undefined> {
      const ending = `/${id}`
      const known = places.get(platform.store) ?? new Map<string, string>()
      places.set(platform.store, known)
      for (const place of [known.get(id), undefined]) {
        // Where it was found last is looked at first: finding it reads the names of all.
        const key =
          place ??
          (await storage(() => platform.store.keys('connection/'))).find((name) => name.endsWith(ending))
        const stored = key === undefined ? undefined : await loadConnection(platform, key)
        if (key === undefined || stored?.id !== id) continue
        known.set(id, key)
        return open(key, stored)
      }
      known.delete(id)
      return undefined
    },

    platform,

    through: (changes: Partial<Pick<Platform, 'fetch' | 'lock'>>): Client =>
      createClient({ ...options, platform: { ...platform, ...changes } }),

    finishRevocations: (wanted: { readonly signal?: AbortSignal } = {}) => finishAll(wanted.signal),
  } satisfies Client)
}

/** Where connections were last found in a store, by their ids. */
const places = new WeakMap<object, Map<string, string>>()

// Encoded, so that no participant's name can reach into another's prefix.
const connectionPrefix = (participant: string | undefined): string =>
  `connection/${participant === undefined ? '' : base64url(new TextEncoder().encode(participant))}/`

function checkedRedirect(redirectUri: string): string {
  const url = parseUrl(redirectUri)
  if (!url || redirectUri.includes('#'))
    throw new SmartError('CONFIG_INVALID', 'redirectUri is not an absolute http(s) URL without fragment')
  if (!isSecure(url)) throw new SmartError('CONFIG_INSECURE_URL', 'redirectUri must be https')
  return redirectUri
}

function stateUnknown(): SmartError {
  return new SmartError('AUTHORIZATION_STATE_UNKNOWN', 'the callback answers no launch that began here')
}
