import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createClient, usCore } from '@s4s/core'
import { type Sandbox, startSandbox } from '@s4s/sandbox'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { nodePlatform } from './platform.js'
import { type Child, startChild } from './test-support/child.js'
import { noPostgres, startPostgres, type TestPostgres } from './test-support/postgres.js'
import { storeAt } from './test-support/store-at.js'

const running = new Set<Child>()
const sandboxes: Sandbox[] = []
const folders: string[] = []
afterEach(async () => {
  await Promise.all([...running].map((child) => child.kill()))
  running.clear()
  await Promise.all(sandboxes.splice(0).map((sandbox) => sandbox.stop()))
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true, force: true })))
})

const script = fileURLToPath(new URL('./test-support/refresher.ts', import.meta.url))

interface Refresher {
  readonly child: Child
  readonly ready: Promise<string>
  go(): Promise<string[]>
}

if (noPostgres !== undefined) console.warn(`Skipped: ${noPostgres}`)
let postgres: TestPostgres | undefined
beforeAll(async () => {
  if (noPostgres === undefined) postgres = await startPostgres()
}, 60_000)
afterAll(() => postgres?.stop())

const newFolder = async (): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 's4s-processes-'))
  folders.push(folder)
  return folder
}
let schemas = 0
const newSchema = async (): Promise<string> => `postgres:${postgres?.port}/s4s_${++schemas}`

/** A connection whose access token ends in a moment, in a store that processes share. */
async function setting(
  newPlace: () => Promise<string>,
  accessTokenSeconds = 2,
): Promise<{
  sandbox: Sandbox
  start(requests: number, dies?: 'dies'): Refresher
  reopen(): Promise<string>
  refreshes(): number
}> {
  // The sandbox's oidc-provider rotates refresh tokens, and revokes the whole grant when one comes twice.
  const sandbox = await startSandbox({ people: ['leo'], accessTokenSeconds })
  sandboxes.push(sandbox)
  const place = await newPlace()
  const key = randomBytes(32).toString('base64')
  const clientOf = () =>
    createClient({
      platform: nodePlatform({ store: storeAt(place, key) }),
      redirectUri: 'http://127.0.0.1:9/callback',
      providers: [sandbox.provider],
      plan: usCore.only('Patient'),
    })
  const client = clientOf()
  await client.callback(await sandbox.approve((await client.authorize(sandbox.provider.id)).url))
  sandbox.clearRequests()
  return {
    sandbox,
    refreshes: () =>
      sandbox.requests.filter(({ path, method }) => path === '/token' && method === 'POST').length,
    reopen: async () => {
      const [connection] = await clientOf().connections()
      return (connection as NonNullable<typeof connection>).read('Patient', 'leo').then(
        () => 'ok',
        (error: { code?: string }) => error.code ?? String(error),
      )
    },
    start: (requests, dies) => {
      const child = startChild(
        script,
        ...[place, key, JSON.stringify(sandbox.provider), String(requests), ...(dies ? [dies] : [])],
      )
      running.add(child)
      return {
        child,
        ready: child.line(),
        go: async () => {
          child.say('go')
          return (JSON.parse(await child.line()) as { results: string[] }).results
        },
      }
    },
  }
}
const rest = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds))

describe.skipIf(noPostgres !== undefined)('processes that share a Postgres which is started anew', () => {
  test.each(['before the request is sent', 'while the answer is on its way'])(
    'F82 M-08 the database fails %s: still one refresh, and no access is lost',
    async (when) => {
      const { start, sandbox, refreshes } = await setting(newSchema, 8)
      const all = Array.from({ length: 4 }, () => start(5))
      await Promise.all(all.map(({ ready }) => ready))
      await rest(8000)
      let seen = (): void => {}
      const arrived = new Promise<void>((resolve) => {
        seen = resolve
      })
      if (!when.startsWith('before')) {
        sandbox.faults.add({
          match: ({ method, path }) => method === 'POST' && path === '/token',
          respond: async () => {
            seen()
            await rest(3000)
            return undefined
          },
          times: 1,
        })
      }
      const working = Promise.all(all.map((one) => one.go()))
      if (!when.startsWith('before')) await arrived
      await postgres?.crash()
      const results = (await working).flat()
      expect(new Set(results)).toEqual(new Set(['ok']))
      expect(refreshes()).toBe(1)
    },
    120_000,
  )
})

describe.each([
  ['a folder', newFolder, undefined],
  ['a Postgres', newSchema, noPostgres],
] as const)('processes that share %s', (_, newPlace, missing) => {
  describe.skipIf(missing !== undefined)('one store for all', () => {
    test('M-08 T38 F82 G7 KF-05 200 requests in 8 processes at the moment of expiry refresh once, and none fails', async () => {
      // Longer than 200 requests can take on a busy machine: the new token must not end among them.
      const { start, refreshes } = await setting(newPlace, 8)
      const all = Array.from({ length: 8 }, () => start(25))
      await Promise.all(all.map(({ ready }) => ready))
      await rest(8000)
      const results = (await Promise.all(all.map((one) => one.go()))).flat()
      expect(results.length).toBe(200)
      expect(new Set(results)).toEqual(new Set(['ok']))
      expect(refreshes()).toBe(1)
    }, 60_000)

    test.each(['before the server has seen the request', 'while it waits for the answer'])(
      'F89 T40 M-07 a process that is killed %s leaves a connection that works, or a clear end',
      async (when) => {
        const { start, sandbox, reopen } = await setting(newPlace)
        const one = start(1)
        await one.ready
        await rest(2000)
        let seen = (): void => {}
        const arrived = new Promise<void>((resolve) => {
          seen = resolve
        })
        const lift = sandbox.faults.add({
          match: ({ method, path }) => method === 'POST' && path === '/token',
          respond: () => {
            seen()
            return 'hang'
          },
          times: 1,
        })
        if (when.startsWith('before')) {
          one.child.say('go')
          void one.child.kill()
        } else {
          void one.go().catch(() => {})
          await arrived
          void one.child.kill()
        }
        lift()
        expect(await reopen()).toBe('ok')
        expect(await reopen()).toBe('ok')
      },
      60_000,
    )

    test('F89 T40 M-07 M-12 a process that is killed with the answer in hand: a server that revokes on reuse asks to connect anew, in plain words', async () => {
      const { start, reopen, refreshes } = await setting(newPlace)
      const one = start(1, 'dies')
      await one.ready
      await rest(2000)
      void one.go().catch(() => {})
      expect(await one.child.gone).toBe('SIGKILL')
      expect(refreshes()).toBe(1)
      expect(await reopen()).toBe('TOKEN_ENDED')
      expect(await reopen()).toBe('TOKEN_ENDED')
      // Said once and believed: nothing more is asked of the server.
      expect(refreshes()).toBe(2)
    }, 60_000)
  })
})
