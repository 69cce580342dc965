import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { asymmetricClientId, type Sandbox, startSandbox } from '@s4s/sandbox'
import {
  createInbox,
  createNodeClient,
  defineStudy,
  httpDelivery,
  type Inbox,
  loadKey,
  memoryStore,
  type NodeClient,
  type NodeClientOptions,
  type Provider,
  privateKeyJwt,
  type Served,
  type Store,
  type Study,
  serve,
  usCore,
} from '../../index.js'
import { type Browser, newBrowser } from '../../test-support/browser.js'

/** A hospital, a study's inbox and a portal that keeps the tokens. */
export interface Town {
  readonly ehr: Sandbox
  readonly inbox: Inbox
  readonly study: Study
  openPortal(options?: Partial<NodeClientOptions>): Promise<Portal>
  stop(): Promise<void>
}

export interface Portal {
  readonly smart: NodeClient
  readonly base: string
  readonly origin: string
  readonly store: Store
  /** Everything that was answered, headers and bodies. */
  readonly said: string[]
  /** A browser with a page of the portal open, signed in at the hospital. */
  connect(patient?: string): Promise<Page>
  newPage(): Page
}

/** What a page of the portal can do. */
export interface Page {
  readonly browser: Browser
  get(path: string, headers?: Record<string, string>): Promise<Said>
  send(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Said>
  /** Reads events until the stream ends. */
  events(headers?: Record<string, string>): Promise<SeenEvent[]>
  /** Collects everything, and waits for it. */
  collect(): Promise<string>
}

export interface Said {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look at what was said, whatever it is
  readonly body: any
}

export interface SeenEvent {
  readonly id: string
  readonly type: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look at what was said, whatever it is
  readonly data: any
}

export const cookieSecret = 'a secret for tests, long enough to be one'
const key = 'a-study-key-for-the-town'

export async function openTown(): Promise<Town> {
  const folder = await mkdtemp(join(tmpdir(), 's4s-custody-'))
  const ehr = await startSandbox({ people: ['camila'] })
  const inbox = createInbox({ folder, studies: [{ id: 'sleep', key }], basePath: '/s4s' })
  const inboxServer = await serve(inbox.handler)
  const servers: Served[] = [inboxServer]
  const study = defineStudy({
    id: 'sleep',
    title: 'Sleep',
    purpose: 'Rest',
    plan: usCore.only('Patient', 'Laboratory'),
    recipient: `${inboxServer.url}/s4s`,
    consent: { version: '1', text: 'I share.' },
  })
  const provider = await asymmetricAt(ehr)
  return {
    ehr,
    inbox,
    study,
    async openPortal(options = {}) {
      let smart: NodeClient | undefined
      const server = await serve(async (request) => (smart as NodeClient).handler(request))
      servers.push(server)
      const store = options.store ?? memoryStore()
      smart = createNodeClient({
        baseUrl: `${server.url}/smart`,
        providers: [provider],
        plan: study.plan,
        store,
        afterConnect: '/done',
        cookieSecret,
        custody: { study, deliver: httpDelivery({ url: study.recipient, key }) },
        limits: { perParticipant: 100_000 },
        ...options,
      })
      return portalAt(server.url, smart, store, ehr)
    },
    async stop() {
      await Promise.all(servers.map((server) => server.stop()))
      await ehr.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function asymmetricAt(ehr: Sandbox): Promise<Provider> {
  const pair = ehr.keys.find(({ alg }) => alg === 'ES384')
  if (!pair) throw new Error('the sandbox has no such key')
  const jwk = JSON.stringify(await crypto.subtle.exportKey('jwk', pair.privateKey))
  return { ...ehr.provider, clientId: asymmetricClientId, auth: privateKeyJwt(await loadKey(jwk), pair.kid) }
}

function portalAt(origin: string, smart: NodeClient, store: Store, ehr: Sandbox): Portal {
  const base = `${origin}/smart`
  const said: string[] = []
  const newPage = (): Page => pageOf(base, origin, said)
  return {
    smart,
    base,
    origin,
    store,
    said,
    newPage,
    async connect(patient = 'camila') {
      const page = newPage()
      const leaving = await page.get(`/connect/${ehr.provider.id}`)
      const callback = await ehr.approve(leaving.headers.get('location') ?? '', { patient })
      const back = await page.get(callback.slice(base.length))
      if (back.headers.get('location') !== `${origin}/done`) throw new Error('not connected')
      return page
    },
  }
}

function pageOf(base: string, origin: string, said: string[]): Page {
  const browser = newBrowser()
  const go = async (path: string, init: RequestInit): Promise<Said> => {
    const response = await browser.go(base + path, init)
    const text = await response.text()
    said.push(`${[...response.headers].join('\n')}\n\n${text}`)
    return { status: response.status, headers: response.headers, text, body: parsed(text) }
  }
  const page: Page = {
    browser,
    get: (path, headers = {}) => go(path, { headers: { 'sec-fetch-site': 'same-origin', ...headers } }),
    send: (method, path, body, headers = {}) =>
      go(path, {
        method,
        headers: { origin, 'sec-fetch-site': 'same-origin', 'content-type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      }),
    events: async (headers = {}) => eventsIn((await page.get('/events', headers)).text),
    async collect() {
      const { status, body } = await page.send('POST', '/collect')
      if (status !== 202) throw new Error(`collect answered ${status}`)
      await page.events()
      return body.job
    },
  }
  return page
}

export function eventsIn(text: string): SeenEvent[] {
  return text.split('\n\n').flatMap((block) => {
    const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? ''
    return field('event') === ''
      ? []
      : [{ id: field('id'), type: field('event'), data: parsed(field('data')) }]
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
