import { type ChildProcess, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createInbox, type Inbox, serve } from '@s4s/node'
import { type Sandbox, startSandbox } from '@s4s/sandbox'

/** Two hospitals, a study's inbox, and a portal between them that runs as a process of its own. */
export interface Town {
  readonly mercy: Sandbox
  readonly lakeside: Sandbox
  readonly inbox: Inbox
  /** Where the portal is. */
  readonly origin: string
  newBrowser(): Browser
  stop(): Promise<void>
}

/** Keeps cookies, as a browser does, but follows no redirect by itself. */
export interface Browser {
  get(url: string): Promise<Response>
  post(url: string, form: Readonly<Record<string, string>>): Promise<Response>
  /** What the script of a page sends. */
  send(method: 'POST' | 'DELETE', url: string, body?: unknown): Promise<Response>
}

const key = 'a-study-key-for-the-portal'

/** Starts all of it; `server` is the portal's file. */
export async function openTown(server: string): Promise<Town> {
  const folder = await mkdtemp(join(tmpdir(), 's4s-town-'))
  const mercy = await startSandbox({ id: 'mercy', name: 'Mercy Hospital' })
  const lakeside = await startSandbox({ id: 'lakeside', name: 'Lakeside Clinic' })
  const studies = [{ id: 'sleep-2026', key }]
  const inbox = createInbox({ folder: join(folder, 'inbox'), studies, basePath: '/inbox' })
  const inboxServer = await serve(inbox.handler)
  const origin = `http://127.0.0.1:${await freePort()}`
  const portal = await startPortal(server, {
    ORIGIN: origin,
    PROVIDERS: JSON.stringify([mercy.provider, lakeside.provider]),
    INBOX_URL: `${inboxServer.url}/inbox`,
    INBOX_KEY: key,
    STORE: join(folder, 'connections'),
    STORE_KEY: 'a store key of thirty-two characters',
    COOKIE_SECRET: 'a cookie secret of thirty-two characters',
  })
  return {
    mercy,
    lakeside,
    inbox,
    origin,
    newBrowser: () => newBrowser(origin),
    async stop() {
      portal.kill()
      await once(portal, 'exit')
      await Promise.all([mercy.stop(), lakeside.stop(), inboxServer.stop()])
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function startPortal(server: string, env: Record<string, string>): Promise<ChildProcess> {
  const tsx = createRequire(import.meta.url).resolve('tsx')
  const child = spawn(process.execPath, ['--conditions=@s4s/source', '--import', tsx, server], {
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  // It says where it is once it listens.
  const { value } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next()
  if (value === undefined) throw new Error('the portal did not start')
  return child
}

function newBrowser(origin: string): Browser {
  const cookies = new Map<string, string>()
  const send = async (url: string, init: RequestInit = {}): Promise<Response> => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const headers = { ...init.headers, cookie }
    const response = await fetch(new URL(url, origin), { ...init, headers, redirect: 'manual' })
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      cookies.set(name, value)
    }
    return response
  }
  return {
    get: (url) => send(url),
    post: (url, form) => send(url, { method: 'POST', body: new URLSearchParams(form) }),
    send: (method, url, body = {}) =>
      send(url, {
        method,
        headers: { 'content-type': 'application/json', origin },
        body: JSON.stringify(body),
      }),
  }
}

// Below the ports that systems hand out by themselves: one of those may be another's before the portal has it.
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 30_000)
    const probe = createServer().listen(port, '127.0.0.1')
    const free = await once(probe, 'listening').catch(() => undefined)
    await new Promise((resolve) => probe.close(resolve))
    if (free) return port
  }
}
