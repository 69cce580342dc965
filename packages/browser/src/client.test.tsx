import { ambientClock, type Connection, s4sPilot } from '@s4s/core'
import { clientSecret } from '@s4s/core/confidential'
import { memoryStore } from '@s4s/core/testing'
import { type Sandbox, startSandbox } from '@s4s/sandbox'
import { act, type ReactNode, StrictMode, useEffect, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { dumpStorage, freshBrowser, origin, visit, watchNavigation } from '../test-support/browser.js'
import { asPerson } from '../test-support/person.js'
import { type BrowserClient, createBrowserClient } from './client.js'

let mercy: Sandbox
beforeAll(async () => {
  mercy = await startSandbox({ id: 'mercy', name: 'Mercy Hospital' })
})
afterAll(() => mercy?.stop())
freshBrowser()
let gone: ReturnType<typeof watchNavigation>
beforeEach(() => {
  mercy.clearRequests()
  gone = watchNavigation()
})

const redirectUri = `${origin}/callback`
const plan = s4sPilot.only('Patient')

/** A page load: a new client over what the browser has kept. */
const load = (): BrowserClient => createBrowserClient({ redirectUri, providers: [mercy.provider], plan })
const tokenRequests = (): number =>
  mercy.requests.filter(({ method, path }) => method === 'POST' && path === '/token').length

const approve = (url = gone.last()): Promise<string> => asPerson(() => mercy.approve(url))
const deny = (): Promise<string> => asPerson(() => mercy.deny(gone.last()))

/** Goes to sign in, approves, and comes back: the callback is in the address bar. */
const comeBack = async (returnTo?: string): Promise<string> => {
  await load().connect('mercy', returnTo === undefined ? {} : { returnTo })
  const back = await approve()
  visit(back)
  return back
}

/** Holds back the answers of the token endpoint, as a slow line would. */
const holdTokens = (): { readonly asked: Promise<void>; readonly release: () => void } => {
  const page = globalThis.fetch
  let release = (): void => {}
  let tell = (): void => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const asked = new Promise<void>((resolve) => {
    tell = resolve
  })
  vi.stubGlobal('fetch', async (...sent: Parameters<typeof fetch>) => {
    const answer = await page(...sent)
    if (String(sent[0]).includes('/token')) {
      tell()
      await held
    }
    return answer
  })
  return { asked, release }
}

function App({ smart, onEffect }: { smart: BrowserClient; onEffect: () => void }): ReactNode {
  const [connection, setConnection] = useState<Connection>()
  // biome-ignore lint/correctness/useExhaustiveDependencies: once a mount, as an app would.
  useEffect(() => {
    onEffect()
    void smart.handleRedirect().then((found) => found && setConnection(found))
  }, [])
  return <p>{connection ? `Connected to ${connection.provider.name}` : 'Not connected'}</p>
}

describe('the road there and back', () => {
  test('a participant connects, and the connection is there after a reload', async () => {
    await comeBack()
    const connection = await load().handleRedirect()
    expect(connection?.provider).toMatchObject({ id: 'mercy', name: 'Mercy Hospital' })
    const [kept] = await load().connections()
    expect(kept?.id).toBe(connection?.id)
    const patient = await kept?.read('Patient', kept.patient)
    expect(patient?.id).toBe(connection?.patient)
  })

  test('an ordinary visit is none of our business', async () => {
    for (const address of ['/', '/callback', '/callback?page=2', '/other?code=1&state=2', '/other?error=x']) {
      visit(address)
      expect(await load().handleRedirect()).toBeUndefined()
      expect(location.href).toBe(origin + address)
    }
    expect(mercy.requests).toHaveLength(0)
  })

  test('connect settles once the browser was told to go, and two clicks are one launch', async () => {
    const smart = load()
    await Promise.all([smart.connect('mercy'), smart.connect('mercy')])
    expect(location.assign).toHaveBeenCalledTimes(1)
    expect(new URL(gone.last()).origin).toBe(mercy.url)
  })

  test('connect fails without going anywhere for a provider that is not configured', async () => {
    await expect(load().connect('nowhere')).rejects.toMatchObject({ code: 'CONFIG_UNKNOWN_PROVIDER' })
    expect(location.assign).not.toHaveBeenCalled()
  })

  test('connect that is aborted does not navigate', async () => {
    const stop = new AbortController()
    const going = load().connect('mercy', { signal: stop.signal })
    stop.abort()
    await expect(going).rejects.toBe(stop.signal.reason)
    expect(location.assign).not.toHaveBeenCalled()
  })

  test('afterwards the app is where it wanted to be', async () => {
    await comeBack('/study/step-2?x=1')
    await load().handleRedirect()
    expect(location.href).toBe(`${origin}/study/step-2?x=1`)
  })

  test.each(['https://evil.example/', '//evil.example/x', 'javascript:alert(1)', 'http://localhost:3001/'])(
    'returnTo never leads to another site: %s',
    async (returnTo) => {
      await expect(load().connect('mercy', { returnTo })).rejects.toThrow(TypeError)
      expect(location.assign).not.toHaveBeenCalled()
    },
  )

  test('an EHR that opens the app gets its own sign-in, once', async () => {
    const [person] = mercy.people
    visit(mercy.launch(`${origin}/app`, { patient: person?.id ?? '' }))
    const smart = load()
    expect(await Promise.all([smart.launch(), smart.launch()])).toEqual([true, true])
    expect(location.replace).toHaveBeenCalledTimes(1)
    visit(await approve())
    const back = load()
    expect(await back.launch()).toBe(false)
    expect((await back.handleRedirect())?.patient).toBe(person?.id)
  })

  test('an EHR that is not configured is not asked anything', async () => {
    visit('/app?iss=https://evil.example/fhir&launch=1')
    await expect(load().launch()).rejects.toMatchObject({ code: 'LAUNCH_UNKNOWN_ISSUER' })
    expect(location.replace).not.toHaveBeenCalled()
  })

  test('forget leaves nothing in this browser', async () => {
    await comeBack()
    const smart = load()
    await smart.handleRedirect()
    await smart.forget()
    expect(await smart.connections()).toEqual([])
    expect(await smart.handleRedirect()).toBeUndefined()
  })
})

describe('a code is sent once', () => {
  test('C-09 F53 handleRedirect called twice at once gives one token request and one connection', async () => {
    await comeBack()
    const smart = load()
    const [one, other] = await Promise.all([smart.handleRedirect(), smart.handleRedirect()])
    expect(one).toBe(other)
    expect(tokenRequests()).toBe(1)
  })

  test('C-09 two clients on the page, each made by a component of its own, share the exchange', async () => {
    await comeBack()
    const [one, other] = await Promise.all([load().handleRedirect(), load().handleRedirect()])
    expect(one?.id).toBe(other?.id)
    expect(tokenRequests()).toBe(1)
  })

  test('C-09 under React’s StrictMode the connection appears after one token request', async () => {
    await comeBack()
    const smart = load()
    let effects = 0
    vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true)
    const place = document.createElement('div')
    const root = createRoot(place)
    await act(async () => {
      root.render(
        <StrictMode>
          <App smart={smart} onEffect={() => effects++} />
        </StrictMode>,
      )
    })
    await act(() => vi.waitFor(async () => expect(await smart.handleRedirect()).toBeDefined()))
    expect(place.textContent).toBe('Connected to Mercy Hospital')
    expect(effects).toBe(2)
    expect(tokenRequests()).toBe(1)
    await act(async () => root.unmount())
  })

  test('T18 a hundred replays of the callback, at once and later, make one token request', async () => {
    const back = await comeBack()
    const found = await Promise.all(Array.from({ length: 100 }, () => load().handleRedirect(back)))
    found.push(await load().handleRedirect(back))
    expect(new Set(found.map((connection) => connection?.id)).size).toBe(1)
    expect(tokenRequests()).toBe(1)
  })

  test('C-12 the back button to the callback finds the connection that was made', async () => {
    const back = await comeBack()
    const connection = await load().handleRedirect()
    visit(back)
    expect((await load().handleRedirect())?.id).toBe(connection?.id)
    expect(location.href).toBe(redirectUri)
    expect(tokenRequests()).toBe(1)
  })

  test('asked again later, the page still knows its connection, and not once it was revoked', async () => {
    await comeBack()
    const smart = load()
    const connection = await smart.handleRedirect()
    expect((await smart.handleRedirect())?.id).toBe(connection?.id)
    await connection?.revoke()
    expect(await smart.handleRedirect()).toBeUndefined()
    expect(tokenRequests()).toBe(1)
  })

  test('C-12 a reload before the code was sent goes on where it was', async () => {
    await comeBack()
    // The page that began: its fetch never gets out, and then it is gone.
    const lock = navigator.locks.request
    navigator.locks.request = (() => new Promise(() => {})) as typeof lock
    void load().handleRedirect()
    expect(location.href).toBe(redirectUri)
    navigator.locks.request = lock
    const connection = await load().handleRedirect()
    expect(connection?.provider.id).toBe('mercy')
    expect(tokenRequests()).toBe(1)
    expect(sessionStorage.length).toBe(0)
  })

  test('C-09 a reload while the code is on its way does not send it a second time', async () => {
    await comeBack()
    const { asked, release } = holdTokens()
    const first = load().handleRedirect()
    await asked
    // A page that goes takes its locks with it.
    const held = navigator.locks
    Object.defineProperty(navigator, 'locks', { value: undefined, configurable: true })
    const reloaded = load()
    await expect(reloaded.handleRedirect()).rejects.toMatchObject({
      code: 'AUTHORIZATION_INTERRUPTED',
      remedy: 'retry',
    })
    expect(await reloaded.handleRedirect()).toBeUndefined()
    Object.defineProperty(navigator, 'locks', { value: held, configurable: true })
    release()
    await first
    expect(tokenRequests()).toBe(1)
  })
})

describe('tabs', () => {
  test('five tabs whose token has expired refresh it once, and all read on', async () => {
    await comeBack()
    await load().handleRedirect()
    mercy.clearRequests()
    const later = { ...ambientClock, now: () => Date.now() + 2 * 3_600_000 }
    const tabs = Array.from({ length: 5 }, () =>
      createBrowserClient({ redirectUri, providers: [mercy.provider], plan, platform: { clock: later } }),
    )
    const patients = await Promise.all(
      tabs.map(async (tab) => {
        const [connection] = await tab.connections({ provider: 'mercy' })
        return connection?.read('Patient', connection.patient)
      }),
    )
    expect(new Set(patients.map((patient) => patient?.id)).size).toBe(1)
    expect(tokenRequests()).toBe(1)
  })

  test('a store of the app’s own is used, and forgotten too', async () => {
    const platform = { store: memoryStore() }
    const tab = (): BrowserClient =>
      createBrowserClient({ redirectUri, providers: [mercy.provider], plan, platform })
    await tab().connect('mercy')
    visit(await approve())
    await tab().handleRedirect()
    expect(await platform.store.keys('connection/')).toHaveLength(1)
    expect(await indexedDB.databases()).toEqual([])
    await tab().forget()
    expect(await platform.store.keys('')).toEqual([])
  })
})

describe('what the address bar holds', () => {
  test('T23 code and state leave it before anything is awaited; the rest stays', async () => {
    const back = await comeBack()
    visit(`${back}&lang=fr#top`)
    history.replaceState({ router: 1 }, '')
    const before = history.length
    const arriving = load().handleRedirect()
    expect(location.href).toBe(`${redirectUri}?lang=fr#top`)
    expect(history.state).toEqual({ router: 1 })
    expect(history.length).toBe(before)
    await arriving
  })

  test('T23 T35 after sign-in no token, code or verifier can be read in any storage', async () => {
    const secrets: string[] = []
    const page = globalThis.fetch
    vi.stubGlobal('fetch', async (...sent: Parameters<typeof fetch>) => {
      const answer = await page(...sent)
      if (!String(sent[0]).endsWith('/token')) return answer
      const text = await answer.text()
      const asked = new URLSearchParams(String(sent[1]?.body))
      const { access_token, refresh_token } = JSON.parse(text)
      secrets.push(String(asked.get('code')), String(asked.get('code_verifier')), access_token, refresh_token)
      return new Response(text, { status: answer.status, headers: answer.headers })
    })
    const back = await comeBack()
    await load().handleRedirect()
    const dump = await dumpStorage()
    const code = new URL(back).searchParams.get('code') ?? ''
    expect(secrets).toHaveLength(4)
    expect(secrets[0]).toBe(code)
    expect(secrets.every((secret) => secret?.length > 20)).toBe(true)
    for (const secret of secrets) expect(dump).not.toContain(secret)
    expect(sessionStorage.length).toBe(0)
  })
})

describe('answers that are not a yes', () => {
  test('a participant who says no is told once; after a reload it is an ordinary visit', async () => {
    await load().connect('mercy', { returnTo: '/study' })
    visit(await deny())
    const smart = load()
    const twice = [smart.handleRedirect(), smart.handleRedirect()]
    for (const one of twice) await expect(one).rejects.toMatchObject({ code: 'AUTHORIZATION_DENIED' })
    expect(location.href).toBe(`${origin}/study`)
    expect(await smart.handleRedirect()).toBeUndefined()
    expect(await load().handleRedirect()).toBeUndefined()
    expect(tokenRequests()).toBe(0)
  })

  test('and may try again', async () => {
    await load().connect('mercy')
    visit(await deny())
    await expect(load().handleRedirect()).rejects.toMatchObject({ code: 'AUTHORIZATION_DENIED' })
    await comeBack()
    expect(await load().handleRedirect()).toBeDefined()
  })

  test.each([
    ['no state', '?code=abc&state='],
    ['an unknown state', '?code=abc&state=from-elsewhere'],
    ['two codes', '?code=abc&code=def&state=x'],
    ['an error of no launch', '?error=server_error&state=x'],
  ])('C-01 T15 a forged callback with %s sends nothing and stays nowhere', async (_, query) => {
    visit(`/callback${query}`)
    await expect(load().handleRedirect()).rejects.toMatchObject({
      code: expect.stringMatching(/^AUTHORIZATION_(STATE_UNKNOWN|RESPONSE_INVALID)$/),
    })
    expect(location.href).toBe(redirectUri)
    expect(await load().handleRedirect()).toBeUndefined()
    expect(mercy.requests).toHaveLength(0)
  })

  test('T15 a code that belongs to another browser’s launch is not exchanged, and ours still is', async () => {
    await load().connect('mercy')
    const ours = await approve()
    const forged = new URL(ours)
    forged.searchParams.set('state', 'attacker')
    visit(forged.href)
    await expect(load().handleRedirect()).rejects.toMatchObject({ code: 'AUTHORIZATION_STATE_UNKNOWN' })
    expect(tokenRequests()).toBe(0)
    visit(ours)
    expect(await load().handleRedirect()).toBeDefined()
  })
})

describe('where it runs', () => {
  test('F71 a browser that keeps nothing connects all the same, and says so', async () => {
    vi.stubGlobal('indexedDB', undefined)
    const smart = load()
    expect(await smart.storage()).toBe('memory')
    await comeBack()
    const back = load()
    expect((await back.handleRedirect())?.provider.id).toBe('mercy')
    expect(await back.connections()).toHaveLength(1)
    expect(JSON.stringify({ ...sessionStorage })).not.toMatch(/access_?token/i)
    await back.forget()
  })

  test('without session storage the redirect works, and only a reload halfway is lost', async () => {
    await load().connect('mercy')
    visit(await approve())
    vi.stubGlobal('sessionStorage', undefined)
    const smart = load()
    const [one, other] = await Promise.all([smart.handleRedirect(), smart.handleRedirect()])
    expect(one?.id).toBe(other?.id)
    expect(tokenRequests()).toBe(1)
  })

  test('F71 a browser that keeps nothing at all says so before anyone signs in for nothing', async () => {
    vi.stubGlobal('indexedDB', undefined)
    vi.stubGlobal('sessionStorage', undefined)
    await expect(load().connect('mercy')).rejects.toMatchObject({ code: 'CONFIG_STORAGE_FAILED' })
    expect(location.assign).not.toHaveBeenCalled()
    expect(mercy.requests).toHaveLength(0)
  })

  test('on a server a client can be made and finds nothing to do', async () => {
    for (const name of [
      'window',
      'document',
      'location',
      'history',
      'navigator',
      'sessionStorage',
      'indexedDB',
    ])
      vi.stubGlobal(name, undefined)
    const smart = load()
    expect(await smart.handleRedirect()).toBeUndefined()
    expect(await smart.launch()).toBe(false)
    expect(await smart.connections()).toEqual([])
  })

  test('a client secret in a page is refused', () => {
    const providers = [{ ...mercy.provider, auth: clientSecret('hush') }]
    expect(() => createBrowserClient({ redirectUri, providers, plan })).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', subject: 'mercy' }),
    )
  })
})

describe('F74 what this origin stored is gone', () => {
  test('while the page is open: access has ended in plain words, and connecting again works', async () => {
    await comeBack()
    const smart = load()
    const connection = (await smart.handleRedirect()) as Connection
    const deleted = indexedDB.deleteDatabase('s4s/1')
    await new Promise((resolve) => {
      deleted.onsuccess = resolve
    })
    await expect(connection.read('Patient', connection.patient)).rejects.toMatchObject({
      code: 'TOKEN_ENDED',
      remedy: 'reconnect',
    })
    expect(await smart.connections()).toEqual([])
    await comeBack()
    const again = (await load().handleRedirect()) as Connection
    expect((await again.read('Patient', again.patient)).id).toBe(again.patient)
  })

  test('the browser is asked once to keep it, when there is something to keep', async () => {
    const persist = vi.fn(async () => true)
    vi.stubGlobal(
      'navigator',
      Object.assign(Object.create(navigator), { storage: { persisted: async () => false, persist } }),
    )
    await load().connections()
    expect(persist).not.toHaveBeenCalled()
    await comeBack()
    await load().handleRedirect()
    await expect.poll(() => persist.mock.calls.length).toBe(1)
  })
})
