import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Child, startChild } from '../test-support/child.js'
import { noPostgres, startPostgres, type TestPostgres } from '../test-support/postgres.js'
import { createWorker } from './index.js'
import { codeOf, openSetting, type Setting, storeKey, until } from './test-support/setting.js'

if (noPostgres !== undefined) console.warn(`Skipped: ${noPostgres}`)

const program = fileURLToPath(new URL('./test-support/worker-child.ts', import.meta.url))
const people = 60
const kills = 8
let server: TestPostgres
let setting: Setting
let folder: string
const children = new Set<Child>()

beforeAll(async () => {
  if (noPostgres !== undefined) return
  folder = await mkdtemp(join(tmpdir(), 's4s-crash-'))
  server = await startPostgres()
  setting = await openSetting(server.pool({ max: 30 }), { hospitals: 3 })
}, 60_000)
afterAll(async () => {
  await Promise.all([...children].map((child) => child.kill()))
  await setting?.stop()
  await server?.stop()
  if (folder) await rm(folder, { recursive: true, force: true })
})

const rest = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds))

interface Stored {
  readonly id: string
  readonly accessToken: string
  readonly refreshToken: string
}
const stored = async (): Promise<Map<string, Stored>> => {
  const { store } = setting.client.platform
  const all = (await store.keys('connection/')).map(
    async (key) => JSON.parse((await store.get(key)) ?? '{}') as Stored,
  )
  return new Map((await Promise.all(all)).map((one) => [one.id, one]))
}

describe.skipIf(noPostgres !== undefined)('three workers on one Postgres', () => {
  test('F15 T40 F82 F89 what 60 participants agreed to arrives once, though workers are killed and the database fails', async () => {
    const { sandboxes, client, inbox, consents } = setting
    const given = JSON.stringify({
      ...{ port: server.port, key: storeKey, folder, inboxUrl: setting.inboxUrl },
      providers: sandboxes.map(({ provider }) => provider),
    })
    const ready = async (): Promise<Child> => {
      const child = startChild(program, given)
      children.add(child)
      await child.line()
      return child
    }
    const spare: Promise<Child>[] = [ready(), ready(), ready(), ready()]
    const names = Array.from({ length: people }, (_, at) => `canary-${at}@example.org`)
    const ids: string[] = []
    for (let at = 0; at < people; at += 6)
      ids.push(
        ...(await Promise.all(
          names.slice(at, at + 6).map((name, index) => setting.connect(name, sandboxes[(at + index) % 3])),
        )),
      )
    expect(new Set(ids).size).toBe(people)
    await writeFile(join(folder, 'consents.json'), JSON.stringify(Object.fromEntries(consents)))

    // An hour later: every access token has expired.
    const { store } = client.platform
    for (const key of await store.keys('connection/')) {
      const one = JSON.parse((await store.get(key)) ?? '{}')
      const past = Date.now() - 1000
      await store.set(key, JSON.stringify({ ...one, accessExpiresAt: past, refreshDueAt: past }))
    }
    const before = await stored()

    // A server that revokes when a refresh token comes twice: whoever dies between using one and storing the next has
    // lost access for good. Nobody is killed at that moment; while one is about to be, no refresh begins.
    let refreshes = 0
    let quiet = false
    for (const sandbox of sandboxes)
      sandbox.faults.add({
        match: ({ method, path }) => method === 'POST' && path === '/token',
        respond: () => {
          if (quiet) return new Response('{}', { status: 429, headers: { 'retry-after': '1' } })
          refreshes++
          return undefined
        },
      })
    const refreshed = async (): Promise<number> =>
      [...(await stored())].filter(([id, { accessToken }]) => accessToken !== before.get(id)?.accessToken)
        .length

    const pool = server.pool()
    const planner = createWorker(pool, setting.work)
    for (const id of ids) await planner.schedule(id, { every: 'month' })

    const next = async (): Promise<Child> => {
      const child = (await spare.shift()) as Child
      child.say('go')
      return child
    }
    const working = [await next(), await next(), await next()]
    await until('work has begun', () => refreshes > 0)
    await rest(500)
    await server.crash()
    // A lock of before the crash stands until its holder has come to the end, or for a minute after it has died.
    await until('what was locked before is free', async () => {
      const old = 'SELECT 1 FROM s4s.leases WHERE server_since <> pg_postmaster_start_time()'
      return (await pool.query(old)).rows.length === 0
    })
    for (let kill = 0; kill < kills; kill++) {
      spare.push(ready())
      await rest(700)
      quiet = true
      await until('every refresh is stored', async () => (await refreshed()) === refreshes)
      await (working.shift() as Child).kill()
      quiet = false
      working.push(await next())
    }
    await until('everything has arrived', async () => (await inbox.packages('sleep')).length >= people, 40)
    await until('every share is kept', async () => (await readdir(folder)).length === people + 1)
    await until('nothing is left to do', async () => {
      const { queued, active, retrying } = await planner.status()
      return queued + active + retrying === 0
    })

    const packages = await inbox.packages('sleep')
    expect(packages.map(({ participant }) => participant).sort()).toEqual(names.map(codeOf).sort())
    for (const { digest } of packages) expect(await inbox.verify(digest)).toEqual({ ok: true, faults: [] })
    expect((await readdir(folder)).filter((name) => name.startsWith('share-')).sort()).toEqual(
      packages.map(({ digest }) => `share-${digest}`).sort(),
    )
    expect(refreshes).toBe(people)
    // Some of it was in the hand of a worker that was killed.
    const { rows } = await pool.query('SELECT 1 FROM s4s_worker_jobs.job WHERE retry_count > 0')
    expect(rows.length).toBeGreaterThan(0)
    expect(await planner.notices()).toEqual([])
    expect(await planner.deadLetters()).toEqual([])
    for (const connection of await client.connections()) {
      expect(connection.status).toBe('active')
      await connection.read('Patient', connection.patient)
    }

    await planner.stop()
    const dump = (await server.dump()).toLowerCase()
    expect(dump).toContain(ids[0])
    const secrets = [before, await stored()].flatMap((all) =>
      [...all.values()].flatMap(({ accessToken, refreshToken }) => [accessToken, refreshToken]),
    )
    expect(new Set(secrets).size).toBe(people * 4)
    const { name = '', birthDate = '' } = sandboxes[0]?.people[0] ?? {}
    const found = [...secrets, ...names, name, birthDate, 'Immunization', 'canary-'].filter((canary) =>
      [
        canary,
        Buffer.from(canary).toString('hex'),
        Buffer.from(canary).toString('base64').replace(/=+$/, ''),
      ].some((form) => dump.includes(form.toLowerCase())),
    )
    expect(found).toEqual([])
  }, 120_000)
})
