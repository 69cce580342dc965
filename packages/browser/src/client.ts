import {
  type Connection,
  createClient,
  isLaunch,
  type Plan,
  type Platform,
  type Provider,
  SmartError,
} from '@s4s/core'
import { type Arrival, takeCallback } from './callback.js'
import { browserPlatform } from './platform.js'
import { sessionItem } from './session.js'
import type { BrowserStore, StoreKind } from './store.js'

export interface BrowserClientOptions {
  /** Absolute, as registered with every provider: the page that calls `handleRedirect`. */
  readonly redirectUri: string
  readonly providers: readonly Provider[]
  /** What will be collected; decides which scopes are asked for. */
  readonly plan: Plan
  /** Parts to use in place of the browser's own. */
  readonly platform?: Partial<Platform>
}

export interface ConnectOptions {
  /** An address of this app to be at afterwards, also when the participant says no. */
  readonly returnTo?: string
  readonly signal?: AbortSignal
}

/** Connects the participant at this browser with providers. */
export interface BrowserClient {
  readonly providers: readonly Provider[]
  readonly plan: Plan
  /**
   * Sends the participant to a provider to sign in and approve. Resolves when the browser has been told to go.
   *
   * @throws SmartError `CONFIG_UNKNOWN_PROVIDER`, `CONFIG_STORAGE_FAILED`, `DISCOVERY_*`
   */
  connect(provider: string, options?: ConnectOptions): Promise<void>
  /**
   * Makes a connection of the callback that the page was opened with; undefined on an ordinary visit. May be called
   * any number of times: the code is sent once, and leaves the address bar before anything else happens.
   *
   * @throws SmartError `AUTHORIZATION_*`, `TOKEN_*`; each outcome is told once
   */
  handleRedirect(url?: string): Promise<Connection | undefined>
  /**
   * Follows an EHR that opened this page for a patient: true when it did, and the browser is on its way.
   *
   * @throws SmartError `LAUNCH_*`, `DISCOVERY_*`
   * @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#launch-app-ehr-launch
   */
  launch(): Promise<boolean>
  connections(filter?: { readonly provider?: string }): Promise<Connection[]>
  /** `memory` when this browser keeps nothing: connections end with the page. */
  storage(): Promise<StoreKind>
  /** Forgets every connection in this browser, without telling a provider: `connection.revoke()` does that. */
  forget(): Promise<void>
}

/**
 * Makes a client for a page.
 *
 * @example
 * const smart = createBrowserClient({ redirectUri: `${location.origin}/`, providers, plan })
 * const connection = await smart.handleRedirect()
 * if (!connection) button.onclick = () => smart.connect('mercy')
 * @throws SmartError `CONFIG_*` for options that cannot work
 */
export function createBrowserClient(options: BrowserClientOptions): BrowserClient {
  const { redirectUri, plan } = options
  refuseSecrets(options.providers)
  const platform = { ...browserPlatform(), ...options.platform }
  const client = createClient({ platform, redirectUri, providers: options.providers, plan })

  const leaving = new Map<string, Promise<void>>()
  const arriving = new Map<string, Promise<Connection>>()
  let latest: Connection | undefined

  // A second click while the first is under way is the same wish.
  const once = (name: string, work: () => Promise<void>): Promise<void> => {
    const going = leaving.get(name) ?? work().finally(() => leaving.delete(name))
    leaving.set(name, going)
    return going
  }

  const storage = async (): Promise<StoreKind> =>
    isBrowserStore(platform.store) ? platform.store.kind() : 'sealed'

  // Told before the participant has signed in for nothing.
  const needsToComeBack = async (): Promise<void> => {
    if ((await storage()) === 'sealed' || sessionItem('s4s.probe').works()) return
    throw new SmartError(
      'CONFIG_STORAGE_FAILED',
      'this browser keeps nothing for this page, not even until the participant is back',
    )
  }

  const arrive = async ({ url, settle }: Arrival): Promise<Connection> => {
    const returnTo = await client.returnTo(url).catch(() => undefined)
    try {
      latest = await client.callback(url)
      return latest
    } finally {
      settle()
      if (returnTo !== undefined) showAddress(returnTo)
    }
  }

  return Object.freeze({
    providers: client.providers,
    plan,

    connect: (provider: string, wanted: ConnectOptions = {}): Promise<void> => {
      const { returnTo, signal } = wanted
      if (returnTo !== undefined && !isOurs(returnTo))
        return Promise.reject(new TypeError('returnTo is an address of another site'))
      return once(`connect ${provider}`, async () => {
        await needsToComeBack()
        const { url } = await client.authorize(provider, {
          ...(returnTo === undefined ? {} : { returnTo: new URL(returnTo, globalThis.location.href).href }),
          ...(signal ? { signal } : {}),
        })
        signal?.throwIfAborted()
        globalThis.location.assign(checked(url))
      })
    },

    async handleRedirect(url?: string): Promise<Connection | undefined> {
      // Nothing is awaited before the address is clean.
      const arrival = takeCallback(redirectUri, url)
      if (!arrival) {
        const [pending] = url === undefined ? [...arriving.values()].slice(-1) : []
        if (pending) return pending
        if (url !== undefined || latest === undefined) return undefined
        const { id } = latest
        // As it is now: it may have been refreshed, revoked or forgotten since.
        return (await client.connections()).find((connection) => connection.id === id)
      }
      const under = arriving.get(arrival.id)
      if (under) return under
      const work = arrive(arrival).finally(() => arriving.delete(arrival.id))
      arriving.set(arrival.id, work)
      return work
    },

    async launch(): Promise<boolean> {
      const here = globalThis.location?.href
      if (here === undefined || !isLaunch(here)) return false
      await once(`launch ${here}`, async () => {
        await needsToComeBack()
        const { url } = await client.launch(here)
        // In place of the launch, so that the back button does not begin it again.
        globalThis.location.replace(checked(url))
      })
      return true
    },

    connections: (filter: { readonly provider?: string } = {}) => client.connections(filter),

    storage,

    async forget(): Promise<void> {
      latest = undefined
      const { store } = platform
      if (isBrowserStore(store)) return store.clear()
      for (const key of await store.keys('')) await store.delete(key)
    },
  } satisfies BrowserClient)
}

// Whatever is in a page is public, and a secret that everyone knows proves nothing.
function refuseSecrets(providers: readonly Provider[]): void {
  for (const { id, auth } of providers) {
    if (auth?.method === 'client_secret_basic' || auth?.method === 'client_secret_post') {
      throw new SmartError('CONFIG_INVALID', `provider ${id} has a client secret, which a page cannot keep`, {
        subject: id,
      })
    }
  }
}

// The address comes from the provider's configuration: it must lead to a page, and never run as script.
function checked(url: string): string {
  const { protocol, hostname } = new URL(url)
  const loopback = hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname)
  if (protocol === 'https:' || (protocol === 'http:' && loopback)) return url
  throw new SmartError('DISCOVERY_INVALID', 'the provider’s sign-in page is not an https page')
}

function isOurs(address: string): boolean {
  const here = globalThis.location
  if (!here) return false
  try {
    return new URL(address, here.href).origin === here.origin
  } catch {
    return false
  }
}

function showAddress(address: string): void {
  if (isOurs(address)) globalThis.history.replaceState(globalThis.history.state, '', address)
}

function isBrowserStore(store: Platform['store']): store is BrowserStore {
  return 'kind' in store && 'clear' in store
}
