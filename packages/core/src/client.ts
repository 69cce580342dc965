import { type Connection, openConnection } from './connection.js'
import { SmartError } from './errors.js'
import type { Plan } from './plans/plan.js'
import type { Platform } from './ports.js'
import { type PendingLaunch, prepareAuthorization } from './smart/authorize.js'
import { checkCallback, readCallback } from './smart/callback.js'
import { discover, type SmartConfiguration } from './smart/configuration.js'
import { readLaunch } from './smart/launch.js'
import { defineProviders, type Provider } from './smart/provider.js'
import { exchangeCode } from './smart/token.js'
import { applyTokens, loadConnection, type StoredConnection, saveConnection, storage } from './tokens.js'
import { orAborted } from './util/abort.js'
import { singleFlight } from './util/async.js'
import { base64url, sha256 } from './util/bytes.js'
import { isObject, parseJson } from './util/json.js'
import { createTransport } from './util/transport.js'
import { isSecure, parseUrl } from './util/url.js'

export interface ClientOptions {
  readonly platform: Platform
  /** Absolute, as registered with every provider: compared character by character. */
  readonly redirectUri: string
  readonly providers: readonly Provider[]
  /** What will be collected; decides which scopes are asked for. */
  readonly plan: Plan
}

export interface AuthorizeOptions {
  /** Whose connection it will be, where one store serves several people. */
  readonly participant?: string
  /** Where the app wants to go afterwards; kept with the launch, never in the URL. */
  readonly returnTo?: string
  readonly signal?: AbortSignal
}

export interface Authorization {
  /** Send the participant here. */
  readonly url: string
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
  connections(filter?: { readonly participant?: string; readonly provider?: string }): Promise<Connection[]>
}

const discoveryLifetime = 10 * 60_000

/**
 * Makes a client of a platform, a redirect URI, providers and a plan.
 *
 * @throws SmartError `CONFIG_*` for options that cannot work
 */
export function createClient(options: ClientOptions): Client {
  const { platform, plan } = options
  const providers = defineProviders(options.providers)
  const redirectUri = checkedRedirect(options.redirectUri)
  const transport = createTransport(platform)
  const configurations = new Map<string, { readonly value: SmartConfiguration; readonly until: number }>()
  const discoveries = singleFlight<SmartConfiguration>()

  const configurationOf = async (provider: Provider, signal?: AbortSignal): Promise<SmartConfiguration> => {
    const cached = configurations.get(provider.iss)
    if (cached && cached.until > platform.clock.now()) return cached.value
    // Only a success is kept: a provider that was down a moment ago is asked again.
    const value = await discoveries(provider.iss, () => discover(transport, provider))
    signal?.throwIfAborted()
    configurations.set(provider.iss, { value, until: platform.clock.now() + discoveryLifetime })
    return value
  }

  const begin = async (
    provider: Provider,
    wanted: AuthorizeOptions,
    launch?: string,
  ): Promise<Authorization> => {
    const { participant, returnTo, signal } = wanted
    const configuration = await configurationOf(provider, signal)
    const { url, pending } = await prepareAuthorization(platform.crypto, {
      provider,
      configuration,
      plan,
      redirectUri,
      now: platform.clock.now(),
      ...(launch === undefined ? {} : { launch }),
      ...(participant === undefined ? {} : { participant }),
      ...(returnTo === undefined ? {} : { returnTo }),
    })
    await sweep(platform)
    await storage(() =>
      platform.store.set(launchKey(pending.state), JSON.stringify({ pending } satisfies StoredLaunch)),
    )
    return Object.freeze({ url, state: pending.state, expiresAt: new Date(pending.expiresAt) })
  }

  const open = (key: string, stored: StoredConnection): Connection | undefined => {
    const provider = providers.find((candidate) => candidate.id === stored.provider)
    return provider && openConnection(key, stored, { platform, transport, provider })
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
    if (!launched || launched.pending.participant !== wanted.participant) throw stateUnknown()
    const { pending, connection } = launched
    const provider = providers.find((candidate) => candidate.id === pending.provider)
    if (!provider) throw stateUnknown()

    if (connection !== undefined) {
      const stored = await loadConnection(platform, connection)
      const existing = stored && open(connection, stored)
      if (existing) return existing
      throw new SmartError(
        'AUTHORIZATION_STATE_UNKNOWN',
        'this launch is over and its connection was ended',
        { subject: provider.id },
      )
    }
    if (launched.sent === true) {
      throw new SmartError(
        'AUTHORIZATION_INTERRUPTED',
        `the launch at ${provider.name} was interrupted after its code was sent`,
        { subject: provider.id },
      )
    }
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
    await storage(() =>
      platform.store.set(key, JSON.stringify({ pending, sent: true } satisfies StoredLaunch)),
    )
    const opened = await exchange(provider, pending, code)
    await storage(() =>
      platform.store.set(
        key,
        JSON.stringify({
          pending: spent(pending),
          sent: true,
          connection: opened.key,
        } satisfies StoredLaunch),
      ),
    )
    return opened.connection
  }

  const exchange = async (
    provider: Provider,
    pending: PendingLaunch,
    code: string,
  ): Promise<{ readonly key: string; readonly connection: Connection }> => {
    const { state, redirectUri: registered, verifier, endpoints, participant } = pending
    const client = {
      provider,
      clientId: pending.clientId,
      tokenEndpoint: endpoints.token,
      ...(provider.auth ? { auth: provider.auth } : {}),
    }
    const tokens = await exchangeCode(transport, client, { code, state, redirectUri: registered, verifier })
    const { patient } = tokens.context
    if (patient === undefined) {
      throw new SmartError(
        'TOKEN_PATIENT_MISSING',
        `${provider.name} granted access without naming a patient`,
        { subject: provider.id },
      )
    }
    const now = platform.clock.now()
    const id = `${provider.id}-${(await sha256(platform.crypto, JSON.stringify([participant ?? null, pending.iss, patient]))).slice(0, 16)}`
    const stored = applyTokens(
      {
        format: 1,
        id,
        provider: provider.id,
        iss: pending.iss,
        clientId: pending.clientId,
        ...(participant === undefined ? {} : { participant }),
        patient,
        context: tokens.context,
        scope: pending.scope,
        accessToken: '',
        ended: false,
        endpoints: {
          token: endpoints.token,
          ...(endpoints.revocation === undefined ? {} : { revocation: endpoints.revocation }),
          ...(endpoints.management === undefined ? {} : { management: endpoints.management }),
        },
        connectedAt: now,
      },
      tokens,
      now,
    )
    const key = `${connectionPrefix(participant)}${id}`
    await platform.lock(key, () => saveConnection(platform, key, stored))
    return { key, connection: openConnection(key, stored, { platform, transport, provider }) }
  }

  return Object.freeze({
    providers,
    plan,

    async authorize(id: string, wanted: AuthorizeOptions = {}): Promise<Authorization> {
      const provider = providers.find((candidate) => candidate.id === id)
      if (!provider) throw new SmartError('CONFIG_UNKNOWN_PROVIDER', 'no provider of that id is configured')
      return begin(provider, wanted)
    },

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

    async returnTo(url: string): Promise<string | undefined> {
      const { state } = readCallback(url)
      return state === undefined
        ? undefined
        : (await loadLaunch(platform, launchKey(state)))?.pending.returnTo
    },

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
  } satisfies Client)
}

interface StoredLaunch {
  readonly pending: PendingLaunch
  /** True once the code may have reached the server. */
  readonly sent?: boolean
  /** The store key of the connection that came of it. */
  readonly connection?: string
}

const launchKey = (state: string): string => `launch/${state}`

// Encoded, so that no participant's name can reach into another's prefix.
const connectionPrefix = (participant: string | undefined): string =>
  `connection/${participant === undefined ? '' : base64url(new TextEncoder().encode(participant))}/`

async function loadLaunch(platform: Platform, key: string): Promise<StoredLaunch | undefined> {
  const text = await storage(() => platform.store.get(key))
  const value = text === undefined ? undefined : parseJson(text)
  return isObject(value) && isObject(value.pending) ? (value as unknown as StoredLaunch) : undefined
}

// What a replay needs to find its connection, without the verifier.
function spent(pending: PendingLaunch): PendingLaunch {
  return { ...pending, verifier: '' }
}

// Launches that nobody came back from go when the next one begins, an hour after they expired.
async function sweep(platform: Platform): Promise<void> {
  await storage(async () => {
    for (const key of await platform.store.keys('launch/')) {
      const launched = await loadLaunch(platform, key)
      if (!launched || launched.pending.expiresAt + 3_600_000 < platform.clock.now())
        await platform.store.delete(key)
    }
  })
}

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
