import {
  type AccessWanted,
  type Client,
  type Connection,
  createClient,
  type IdentityCheck,
  isLaunch,
  isSmartError,
  type Plan,
  type Platform,
  type Provider,
  SmartError,
  type Vendor,
} from '@s4s/core'
import { type Arrival, takeCallback } from './callback.js'
import { isFramed, leaveFor } from './leave.js'
import { browserPlatform } from './platform.js'
import { closedWindow, handOver, openWindow, popupMark, windowAnswer } from './popup.js'
import { sessionItem } from './session.js'
import { type BrowserStore, keepStorage, type StoreKind } from './store.js'

export interface BrowserClientOptions {
  /** Absolute, as registered with every provider: the page that calls `handleRedirect`. */
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
  /** `allow` for an app whose page a site of another origin may frame: by default it does not connect there. */
  readonly framed?: 'allow'
  /** Parts to use in place of the browser's own. */
  readonly platform?: Partial<Platform>
}

export interface ConnectOptions {
  /** An address of this app to be at afterwards, also when the participant says no. */
  readonly returnTo?: string
  readonly signal?: AbortSignal
}

export interface PopupOptions {
  /** Of the window, as for `window.open`. */
  readonly features?: string
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
   * As `connect`, in a window of its own, for apps that cannot leave their page: call it in a click. Resolves when the
   * participant is back. Where the browser opens no window it goes as `connect` does, and resolves undefined. The page
   * at `redirectUri` calls `handleRedirect`, as always.
   *
   * @throws SmartError `AUTHORIZATION_POPUP_CLOSED`, `AUTHORIZATION_*`, `TOKEN_*`, and those of `connect`
   */
  connectInPopup(provider: string, options?: PopupOptions): Promise<Connection | undefined>
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
  /** The core's client, for what else it can do. */
  readonly client: Client
  /** Forgets every connection in this browser, without telling a provider: `connection.revoke()` does that. */
  forget(): Promise<void>
}

interface SignInWindow {
  readonly provider: string
  readonly popup: Window
  readonly answer: Promise<Connection>
  end(): void
}

// What a launch of this page has come to when it was no connection, for every client of the page.
let lastRefusal: { readonly id: string; readonly error: unknown } | undefined

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
  const { access, identity, vendors } = options
  const client = createClient({
    platform,
    redirectUri,
    providers: options.providers,
    plan,
    ...(access === undefined ? {} : { access }),
    ...(identity ? { identity } : {}),
    ...(vendors ? { vendors } : {}),
  })

  const leaving = new Map<string, Promise<void>>()
  const arriving = new Map<string, Promise<Connection | undefined>>()
  let latest: Connection | undefined
  let signIn: SignInWindow | undefined

  // A second click while the first is under way is the same wish.
  const once = (name: string, work: () => Promise<void>): Promise<void> => {
    const going = leaving.get(name) ?? work().finally(() => leaving.delete(name))
    leaving.set(name, going)
    return going
  }

  const storage = async (): Promise<StoreKind> =>
    isBrowserStore(platform.store) ? platform.store.kind() : 'sealed'

  // A page that another site frames could be laid under something else to click on.
  const needsToBeSeen = (): void => {
    if (options.framed !== 'allow' && isFramed())
      throw new SmartError('LAUNCH_FRAMED', 'this page is in a frame of another site')
  }

  // Told before the participant has signed in for nothing.
  const needsToComeBack = async (): Promise<void> => {
    if ((await storage()) === 'sealed' || sessionItem('s4s.probe').works()) return
    throw new SmartError(
      'CONFIG_STORAGE_FAILED',
      'this browser keeps nothing for this page, not even until the participant is back',
    )
  }

  // Storage that browsers may empty when they need room is asked to stay; most answer by themselves.
  const made = (connection: Connection): Connection => {
    latest = connection
    void keepStorage()
    return connection
  }

  // A launch that another page began, in whose window this is. Only memory knows nothing of what that page knows.
  const isForOpener = async ({ known, returnTo }: Awaited<ReturnType<typeof client.launchOf>>) =>
    returnTo === popupMark || (!known && (globalThis.opener != null || (await storage()) === 'memory'))

  const arrive = async ({ url, id, settle }: Arrival): Promise<Connection | undefined> => {
    const launched = await client.launchOf(url).catch(() => ({ known: true, returnTo: undefined }))
    if ((await isForOpener(launched)) && (await handOver(url, redirectUri))) {
      settle()
      globalThis.close()
      return undefined
    }
    try {
      return made(await client.callback(url))
    } catch (error) {
      if (!isSmartError(error) || error.code !== 'AUTHORIZATION_STATE_UNKNOWN') {
        lastRefusal = { id, error }
        throw error
      }
      // Another client of this page was told first, and the launch is over: the answer is the same.
      if (lastRefusal?.id === id) throw lastRefusal.error
      // Its connection was made here, and has been ended since: this is an ordinary visit.
      if (error.subject !== undefined) return undefined
      throw error
    } finally {
      settle()
      if (launched.returnTo !== undefined && launched.returnTo !== popupMark) showAddress(launched.returnTo)
    }
  }

  const connect = (provider: string, wanted: ConnectOptions = {}): Promise<void> => {
    const { returnTo, signal } = wanted
    if (returnTo !== undefined && !isOurs(returnTo))
      return Promise.reject(new TypeError('returnTo is an address of another site'))
    return once(`connect ${provider}`, async () => {
      needsToBeSeen()
      await needsToComeBack()
      const authorization = await client.authorize(provider, {
        ...(returnTo === undefined ? {} : { returnTo: new URL(returnTo, globalThis.location.href).href }),
        ...(signal ? { signal } : {}),
      })
      signal?.throwIfAborted()
      leaveFor(authorization, 'assign')
    })
  }

  return Object.freeze({
    providers: client.providers,
    plan,
    client,

    connect,

    async connectInPopup(provider: string, wanted: PopupOptions = {}): Promise<Connection | undefined> {
      needsToBeSeen()
      // A second click brings the window back to the front; one that is closed, or cut off, begins anew.
      if (signIn?.provider === provider && !signIn.popup.closed) {
        signIn.popup.focus()
        return signIn.answer
      }
      signIn?.end()
      const { features, signal } = wanted
      const popup = openWindow(features)
      if (!popup) {
        await connect(provider, signal ? { signal } : {})
        return undefined
      }
      const over = new AbortController()
      const end = (): void => over.abort(closedWindow())
      const follow = (): void => over.abort(signal?.reason)
      signal?.addEventListener('abort', follow, over)
      if (signal?.aborted) follow()
      const work = async (): Promise<Connection> => {
        const authorization = await client.authorize(provider, { returnTo: popupMark, signal: over.signal })
        if (popup.closed) end()
        over.signal.throwIfAborted()
        leaveFor(authorization, popup)
        return made(await client.callback(await windowAnswer(popup, redirectUri, authorization, over.signal)))
      }
      const mine = {
        provider,
        popup,
        end,
        answer: work().finally(() => {
          popup.close()
          over.abort()
          if (signIn === mine) signIn = undefined
        }),
      }
      signIn = mine
      return mine.answer
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
        // In place of the launch, so that the back button does not begin it again.
        leaveFor(await client.launch(here), 'replace')
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
