import { execFileSync, spawn } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { type Served, serve } from '../serve.js'
import { createInbox, type Inbox } from './index.js'
import { type Made, makePackage, sha256 } from './test-support/make-package.js'

const key = 'study-key-sleep'
let folder: string
const folders: string[] = []
const servers: Served[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's4s-inbox-hard-'))
  folders.push(folder)
})
const stopAll = (): Promise<unknown> => Promise.all(servers.splice(0).map((server) => server.stop()))
afterEach(stopAll)
afterAll(() => Promise.all(folders.map((one) => rm(one, { recursive: true, force: true }))))

const start = async (): Promise<{ inbox: Inbox; url: string }> => {
  const inbox = createInbox({ folder, studies: [{ id: 'sleep', key }] })
  const served = await serve(inbox.handler)
  servers.push(served)
  return { inbox, url: served.url }
}
const call = (url: string, method: string, path: string, body?: string): Promise<Response> =>
  fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${key}` },
    ...(body === undefined ? {} : { body }),
  })
const put = (url: string, made: Made, text: string): Promise<Response> =>
  call(url, 'PUT', `/packages/${made.digest}/parts/${sha256(text)}`, text)
const deliver = async (url: string, made: Made): Promise<number> => {
  const opened = await call(url, 'POST', '/packages', made.bytes)
  if (opened.status !== 201) return opened.status
  for (const text of made.parts.values()) {
    const { status } = await put(url, made, text)
    if (status !== 204) return status
  }
  return (await call(url, 'POST', `/packages/${made.digest}/complete`)).status
}
const withdraw = (
  url: string,
  { digest, manifest, withdrawalKey }: Made,
  ask = 'delete',
): Promise<Response> =>
  call(
    url,
    'POST',
    '/withdrawals',
    JSON.stringify({
      format: 's4s-withdrawal/1',
      study: 'sleep',
      participant: manifest.participant,
      digest,
      consent: manifest.consent.id,
      ask,
      at: new Date().toISOString(),
      key: withdrawalKey,
    }),
  )
const list = async (...path: string[]): Promise<string[]> =>
  (await readdir(join(folder, ...path)).catch(() => [])).sort()

const mount = (size: string): void =>
  void execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 's4s', folder], { stdio: 'ignore' })
const canMount = ((): boolean => {
  const probe = join(tmpdir(), `s4s-mount-hard-${process.pid}`)
  try {
    execFileSync('mkdir', ['-p', probe])
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 's4s', probe], { stdio: 'ignore' })
    execFileSync('umount', [probe])
    return true
  } catch {
    return false
  } finally {
    execFileSync('rm', ['-rf', probe])
  }
})()

const fillDisk = async (): Promise<void> => {
  for (let size = 4 * 1024 * 1024, n = 0; size >= 1; size = Math.floor(size / 2), n++) {
    await writeFile(join(folder, `filler-${n}`), 'x'.repeat(size)).catch(() => {})
  }
}

test.skipIf(!canMount)(
  'a participant can withdraw from an inbox whose disk is full to the last byte (skipped where this user cannot mount)',
  async () => {
    mount('3m')
    try {
      const { inbox, url } = await start()
      const made = makePackage()
      expect(await deliver(url, made)).toBe(201)
      await fillDisk()
      await expect(writeFile(join(folder, 'one-more'), 'x'.repeat(8192))).rejects.toThrow()
      const answer = await withdraw(url, made)
      expect([answer.status, await answer.json()]).toMatchObject([
        200,
        { digest: made.digest, deleted: true },
      ])
      expect(await list('packages', 'sleep')).toEqual([])
      expect(await inbox.packages('sleep')).toMatchObject([{ status: 'withdrawn', deleted: true }])
      expect((await call(url, 'POST', '/packages', made.bytes)).status).toBe(409)
    } finally {
      await stopAll()
      execFileSync('umount', [folder])
    }
  },
)

test.skipIf(!canMount)(
  'F17 a package of very many files is withdrawn from a full disk too, and its proof lists all of them (skipped where this user cannot mount)',
  async () => {
    mount('8m')
    try {
      const { inbox, url } = await start()
      // The same bytes under many names arrive once.
      const files = Array.from({ length: 4000 }, (_, n) => [`records/01/attachments/a${n}`, 'x'] as const)
      const made = makePackage({ parts: Object.fromEntries(files) })
      expect((await call(url, 'POST', '/packages', made.bytes)).status).toBe(201)
      for (const text of new Set(made.parts.values())) expect((await put(url, made, text)).status).toBe(204)
      expect((await call(url, 'POST', `/packages/${made.digest}/complete`)).status).toBe(201)
      await fillDisk()
      const answer = await withdraw(url, made)
      expect([answer.status, await answer.json()]).toMatchObject([
        200,
        { deleted: true, removed: [{ parts: made.parts.size }] },
      ])
      expect((await inbox.deletion('sleep', made.digest))?.parts).toHaveLength(made.parts.size)
      expect(await inbox.withdrawals('sleep')).toMatchObject([{ removed: { parts: made.parts.size } }])
      expect(await list('packages', 'sleep')).toEqual([])
    } finally {
      await stopAll()
      execFileSync('umount', [folder])
    }
  },
)

test.skipIf(!canMount)(
  'parts that arrive together on a disk that fills up all hear that it is full (skipped where this user cannot mount)',
  async () => {
    mount('3m')
    try {
      const { url } = await start()
      const parts = Object.fromEntries(
        Array.from({ length: 8 }, (_, n) => [
          `records/01/attachments/${n}a.bin`,
          String(n).repeat(1024 * 1024),
        ]),
      )
      const made = makePackage({ parts })
      for (let round = 0; round < 5; round++) {
        expect((await call(url, 'POST', '/packages', made.bytes)).status).toBe(201)
        const answers = await Promise.all(Object.values(parts).map((text) => put(url, made, text)))
        const statuses = new Set(answers.map(({ status }) => status))
        expect(statuses).toContain(507)
        for (const status of statuses) expect([204, 507]).toContain(status)
        expect((await call(url, 'POST', `/packages/${made.digest}/complete`)).status).toBe(507)
        expect([await list('staging'), await list('removing')]).toEqual([[], []])
      }
      expect(await deliver(url, makePackage({ consent: { id: 'consent-2' } }))).toBe(201)
    } finally {
      await stopAll()
      execFileSync('umount', [folder])
    }
  },
)

test.skipIf(process.platform === 'win32')(
  'a part larger than the system lets a file be is refused as full, and the inbox stays up',
  async () => {
    const program = fileURLToPath(new URL('./test-support/inbox-child.ts', import.meta.url))
    const tsx = createRequire(import.meta.url).resolve('tsx')
    const script = 'ulimit -f 2048 && exec "$0" --conditions=@s4s/source --import "$@"'
    const child = spawn('sh', ['-c', script, process.execPath, tsx, program, folder, key], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = new Promise((resolve) => child.once('exit', resolve))
    try {
      const { value: url } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next()
      const large = makePackage({ attachment: 'x'.repeat(4 * 1024 * 1024) })
      expect(await deliver(url, large)).toBe(507)
      expect([await list('staging'), await list('removing')]).toEqual([[], []])
      expect(await deliver(url, makePackage({ consent: { id: 'consent-2' } }))).toBe(201)
    } finally {
      child.kill('SIGKILL')
      await ended
    }
  },
)

test('what a killed inbox had yet to delete is gone at the next start', async () => {
  const first = await start()
  const made = makePackage()
  await deliver(first.url, made)
  const home = join(folder, 'packages', 'sleep', made.digest)
  await cp(home, join(folder, 'aside'), { recursive: true })
  expect((await withdraw(first.url, made)).status).toBe(200)
  await stopAll()
  // As after a kill between the tombstone and the deletion, and in the middle of one.
  await cp(join(folder, 'aside'), home, { recursive: true })
  await cp(join(folder, 'aside'), join(folder, 'removing', 'half'), { recursive: true })
  await rm(join(folder, 'aside'), { recursive: true })

  const { inbox } = await start()
  expect(await inbox.packages('sleep')).toMatchObject([{ digest: made.digest, status: 'withdrawn' }])
  expect([await list('packages', 'sleep'), await list('removing')]).toEqual([[], []])
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile())
      expect(await readFile(join(entry.parentPath, entry.name), 'latin1')).not.toContain('Canary')
  }
})

test('an upload that nobody went on with for a day is forgotten at the next start, a younger one is not', async () => {
  const first = await start()
  const [old, young] = [makePackage(), makePackage({ consent: { id: 'consent-2' } })]
  for (const made of [old, young]) {
    await call(first.url, 'POST', '/packages', made.bytes)
    await put(first.url, made, made.parts.get('records/01/Patient-0001.ndjson') as string)
  }
  await stopAll()
  const yesterday = new Date(Date.now() - 25 * 3_600_000)
  await utimes(join(folder, 'staging', old.digest, 'parts'), yesterday, yesterday)
  const { inbox, url } = await start()
  await inbox.packages('sleep')
  expect(await list('staging')).toEqual([young.digest])
  expect(await deliver(url, young)).toBe(201)
  expect(await deliver(url, old)).toBe(201)
})

test('the withdrawals of a study are listed, newest first, and those of others are not', async () => {
  const { inbox, url } = await start()
  expect(await inbox.withdrawals('sleep')).toEqual([])
  const [stopped, deleted] = [makePackage(), makePackage({ consent: { id: 'consent-2' } })]
  for (const [made, ask] of [
    [stopped, 'stop'],
    [deleted, 'delete'],
  ] as const) {
    expect(await deliver(url, made)).toBe(201)
    expect((await withdraw(url, made, ask)).status).toBe(200)
  }
  const rows = await inbox.withdrawals('sleep')
  expect(rows.map(({ digest, consent, deleted: gone }) => [digest, consent, gone]).sort()).toEqual(
    [
      [stopped.digest, 'consent-1', false],
      [deleted.digest, 'consent-2', true],
    ].sort(),
  )
  expect((rows[0]?.at ?? '') >= (rows[1]?.at ?? '')).toBe(true)
  expect(await inbox.withdrawals('heart')).toEqual([])
  expect(await inbox.withdrawals('../packages')).toEqual([])
})
