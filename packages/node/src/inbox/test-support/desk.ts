import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach } from 'vitest'
import { type Served, serve } from '../../serve.js'
import { createInbox, type Inbox, type InboxOptions, type InboxStudy } from '../index.js'
import { type Made, sha256 } from './make-package.js'

export const key = 'study-key-sleep'
export const teamKey = 'team-key-sleep'

/** An inbox that is served, and what a portal does with it. */
export interface Desk {
  readonly inbox: Inbox
  readonly url: string
  readonly folder: string
  call(method: string, path: string, body?: string | Uint8Array, as?: string): Promise<Response>
  /** Sends everything; the last answer. */
  deliver(made: Made): Promise<{ readonly status: number; readonly body: Record<string, unknown> }>
  withdraw(
    made: Made,
    change?: Record<string, unknown>,
  ): Promise<{ readonly status: number; readonly body: Record<string, unknown> }>
  /** Names below the folder. */
  list(...path: string[]): Promise<string[]>
  /** Everything on the disk, as text. */
  disk(): Promise<string>
  stop(): Promise<void>
}

export interface DeskOptions extends Partial<Omit<InboxOptions, 'studies'>> {
  readonly study?: Partial<InboxStudy>
}

/** Opens desks that close themselves after each test, and folders that go after the last. */
export function desks(): (options?: DeskOptions) => Promise<Desk> {
  const [folders, servers]: [string[], Served[]] = [[], []]
  afterEach(async () => void (await Promise.all(servers.splice(0).map((one) => one.stop()))))
  afterAll(async () => {
    await Promise.all(folders.map((one) => rm(one, { recursive: true, force: true })))
  })
  return async ({ study = {}, ...options } = {}) => {
    const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 's4s-desk-')))
    folders.push(folder)
    const inbox = createInbox({ ...options, folder, studies: [{ id: 'sleep', key, teamKey, ...study }] })
    const served = await serve(inbox.handler)
    servers.push(served)
    return deskOf(inbox, served, folder)
  }
}

function deskOf(inbox: Inbox, served: Served, folder: string): Desk {
  const call: Desk['call'] = (method, path, body, as = key) =>
    fetch(served.url + path, {
      method,
      headers: { authorization: `Bearer ${as}` },
      ...(body === undefined ? {} : { body: body as BodyInit }),
    })
  const answered = async (answer: Response) => {
    const text = await answer.text()
    return {
      status: answer.status,
      body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>),
    }
  }
  return {
    inbox,
    url: served.url,
    folder,
    call,
    async deliver(made) {
      const opened = await answered(await call('POST', '/packages', made.bytes))
      if (opened.status !== 201) return opened
      for (const text of made.parts.values()) {
        const put = await answered(await call('PUT', `/packages/${made.digest}/parts/${sha256(text)}`, text))
        if (put.status !== 204) return put
      }
      return answered(await call('POST', `/packages/${made.digest}/complete`))
    },
    async withdraw({ digest, manifest, withdrawalKey }, change = {}) {
      const notice = {
        format: 's4s-withdrawal/1',
        study: 'sleep',
        participant: manifest.participant,
        digest,
        consent: manifest.consent.id,
        ask: 'delete',
        at: new Date().toISOString(),
        key: withdrawalKey,
        ...change,
      }
      return answered(await call('POST', '/withdrawals', JSON.stringify(notice)))
    },
    list: async (...path) => (await readdir(join(folder, ...path)).catch(() => [])).sort(),
    async disk() {
      const entries = await readdir(folder, { recursive: true, withFileTypes: true })
      const files = entries.filter((one) => one.isFile() && !one.parentPath.endsWith('locks'))
      const texts = await Promise.all(files.map((one) => readFile(join(one.parentPath, one.name), 'latin1')))
      return texts.join('\n')
    },
    stop: () => served.stop(),
  }
}
