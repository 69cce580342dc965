import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { serve, studyDocument } from '@s4s/node'
import { createInbox, createStudyKeys, type Inbox, type StudyKeys } from '@s4s/node/inbox'
import { type Sandbox, startSandbox } from '@s4s/sandbox'
import { sleepStudy } from './sleep-study.js'

const here = fileURLToPath(new URL('.', import.meta.url))

export interface PortalOptions {
  /** 0, the default, takes any free port. */
  readonly port?: number
  /** The built portal. */
  readonly dist?: string
  /** Where the inbox keeps what it receives, and the study its keys. */
  readonly folder?: string
  /** The address of an inbox that runs elsewhere, with the same keys. */
  readonly inboxUrl?: string
}

/** The portal with all that it talks to, on loopback. */
export interface RunningPortal {
  readonly url: string
  readonly sandboxes: readonly [Sandbox, Sandbox]
  readonly inbox: Inbox
  readonly inboxUrl: string
  readonly study: {
    readonly id: string
    readonly key: string
    readonly teamKey: string
    readonly keys: StudyKeys
  }
  stop(): Promise<void>
}

/** Starts two hospitals with different people, the study's inbox, and the portal itself. */
export async function startPortal(options: PortalOptions = {}): Promise<RunningPortal> {
  const files = await filesOf(options.dist ?? join(here, 'dist'))
  const folder = options.folder ?? join(here, '.s4s')
  const keys = await studyKeys(folder)
  const study = { id: 'sleep-2026', key: 'portal-study-key', teamKey: 'portal-team-key', keys }
  const sandboxes = await Promise.all([
    startSandbox({ id: 'mercy', name: 'Mercy Hospital', people: ['camila', 'leo', 'eleanor'] }),
    startSandbox({ id: 'lakeside', name: 'Lakeside Clinic', people: ['daniel', 'sam'] }),
  ])

  let config = ''
  let published = ''
  const portal = await serve(
    async (request) => {
      const { pathname } = new URL(request.url)
      if (pathname === '/config.json') return answer(config, 'application/json')
      if (pathname === '/study.json') return answer(published, 'application/json')
      const file = files.get(pathname === '/' ? '/index.html' : pathname)
      return file ? answer(file.bytes, file.type) : answer('Not found', 'text/plain', 404)
    },
    { port: options.port ?? 0 },
  )
  const inbox = createInbox({
    folder,
    studies: [{ id: study.id, key: study.key, teamKey: study.teamKey, ...keys.inbox }],
    basePath: '/inbox',
    allowOrigins: [portal.url],
  })
  const inboxServer = await serve(inbox.handler)
  const inboxUrl = options.inboxUrl ?? `${inboxServer.url}/inbox`
  published = JSON.stringify(studyDocument(sleepStudy(inboxUrl, keys.study)))
  config = JSON.stringify({
    providers: sandboxes.map(({ provider }) => provider),
    inbox: { url: inboxUrl, key: study.key },
  })

  return {
    url: portal.url,
    sandboxes,
    inbox,
    inboxUrl,
    study,
    stop: async () => {
      await Promise.all([portal.stop(), inboxServer.stop(), ...sandboxes.map((sandbox) => sandbox.stop())])
    },
  }
}

/** Made once, and kept by the study team: what was sealed to them opens with no others. */
async function studyKeys(folder: string): Promise<StudyKeys> {
  const path = join(folder, 'study-keys.json')
  try {
    return JSON.parse(await readFile(path, 'utf8')) as StudyKeys
  } catch {
    const keys = await createStudyKeys()
    await mkdir(folder, { recursive: true })
    await writeFile(path, JSON.stringify(keys), { mode: 0o600 })
    return keys
  }
}

/** As in the page's own meta element; a header also keeps the page out of foreign frames. */
const contentSecurityPolicy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' http://127.0.0.1:*; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

function answer(body: string | Uint8Array<ArrayBuffer>, type: string, status = 200): Response {
  return new Response(body, {
    status,
    headers: {
      'content-type': `${type}; charset=utf-8`,
      'content-security-policy': contentSecurityPolicy,
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
    },
  })
}

interface File {
  readonly type: string
  readonly bytes: Uint8Array<ArrayBuffer>
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
}

// Read once: an address can only name a file that is here.
async function filesOf(folder: string): Promise<ReadonlyMap<string, File>> {
  const files = new Map<string, File>()
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const type = types[extname(entry.name)]
    if (!entry.isFile() || type === undefined) continue
    const path = join(entry.parentPath, entry.name)
    const name = path.slice(folder.length).replaceAll('\\', '/')
    files.set(name.startsWith('/') ? name : `/${name}`, { type, bytes: new Uint8Array(await readFile(path)) })
  }
  return files
}
