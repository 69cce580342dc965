import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { type Served, serve } from '../serve.js'
import { type Child, startChild } from '../test-support/child.js'
import { createInbox } from './index.js'
import { type Made, makePackage, sha256 } from './test-support/make-package.js'

const key = 'study-key-sleep'
const program = fileURLToPath(new URL('./test-support/inbox-child.ts', import.meta.url))
const folders: string[] = []
const children: Child[] = []
const servers: Served[] = []
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's4s-inbox-crash-'))
  folders.push(folder)
})
afterEach(() =>
  Promise.all([
    ...children.splice(0).map((child) => child.kill()),
    ...servers.splice(0).map((server) => server.stop()),
  ]),
)
afterAll(() => Promise.all(folders.map((one) => rm(one, { recursive: true, force: true }))))

const startInbox = async (): Promise<{ child: Child; url: string }> => {
  const child = startChild(program, folder, key)
  children.push(child)
  return { child, url: await child.line() }
}
const call = (url: string, method: string, path: string, body?: string): Promise<Response> =>
  fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${key}` },
    ...(body === undefined ? {} : { body }),
  })
const deliver = async (url: string, made: Made): Promise<Response> => {
  const opened = await call(url, 'POST', '/packages', made.bytes)
  if (opened.status !== 201) return opened
  const { missing } = (await opened.json()) as { missing: string[] }
  for (const text of made.parts.values()) {
    if (!missing.includes(sha256(text))) continue
    const answer = await call(url, 'PUT', `/packages/${made.digest}/parts/${sha256(text)}`, text)
    if (answer.status !== 204) return answer
  }
  return call(url, 'POST', `/packages/${made.digest}/complete`)
}

test('an inbox that is killed in the middle of an upload goes on with it and stores the package once', async () => {
  const attachment = randomBytes(2 * 1024 * 1024).toString('hex')
  const made = makePackage({ attachment })
  const digest = sha256(attachment)
  const first = await startInbox()
  await call(first.url, 'POST', '/packages', made.bytes)
  const consent = made.parts.get('consent.json') as string
  expect(
    (await call(first.url, 'PUT', `/packages/${made.digest}/parts/${sha256(consent)}`, consent)).status,
  ).toBe(204)

  const sending = request(`${first.url}/packages/${made.digest}/parts/${digest}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${key}`, 'content-length': attachment.length },
  })
  const broken = new Promise((resolve) => sending.once('error', resolve))
  sending.write(attachment.slice(0, 1024 * 1024))
  const parts = join(folder, 'staging', made.digest, 'parts')
  // Until some of it has reached the disk.
  for (let size = 0; size === 0; ) {
    const half = (await readdir(parts)).find((name) => name.endsWith('.tmp'))
    size = half === undefined ? 0 : (await stat(join(parts, half))).size
  }
  await first.child.kill()
  await broken
  expect(await readdir(folder)).not.toContain('packages')

  const second = await startInbox()
  const opened = (await (await call(second.url, 'POST', '/packages', made.bytes)).json()) as {
    missing: string[]
  }
  expect(opened.missing).toContain(digest)
  expect(opened.missing).not.toContain(sha256(consent))
  const done = await deliver(second.url, made)
  expect(done.status).toBe(201)
  expect(await readdir(join(folder, 'packages', 'sleep'))).toEqual([made.digest])
  expect(await readdir(join(folder, 'staging'))).toEqual([])
  const inbox = createInbox({ folder, studies: [{ id: 'sleep', key }] })
  expect(await inbox.verify(made.digest)).toEqual({ ok: true, faults: [] })
})

test('an inbox that is killed while packages are completed holds each of them whole or not at all', async () => {
  const all = Array.from({ length: 12 }, (_, at) => makePackage({ consent: { id: `consent-${at}` } }))
  let receipts = 0
  // Killed after the first, the third and the sixth receipt, in the middle of whatever else is under way.
  for (const after of [1, 3, 6]) {
    const { child, url } = await startInbox()
    let killed: Promise<void> | undefined
    await Promise.all(
      all.map(async (made) => {
        const answer = await deliver(url, made).catch(() => undefined)
        if (answer?.ok && ++receipts >= after) killed ??= child.kill()
      }),
    )
    await killed
    const inbox = createInbox({ folder, studies: [{ id: 'sleep', key }] })
    for (const { digest } of await inbox.packages('sleep')) {
      expect(await inbox.verify(digest)).toEqual({ ok: true, faults: [] })
    }
  }
  const { url } = await startInbox()
  for (const made of all) expect((await deliver(url, made)).ok).toBe(true)
  expect((await readdir(join(folder, 'packages', 'sleep'))).sort()).toEqual(
    all.map(({ digest }) => digest).sort(),
  )
  expect(await readdir(join(folder, 'staging'))).toEqual([])
})

const canMount = ((): boolean => {
  const probe = join(tmpdir(), `s4s-mount-${process.pid}`)
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

test.skipIf(!canMount)(
  'a full disk is said to be one, keeps nothing by halves, and takes packages once there is room (skipped where this user cannot mount)',
  async () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 's4s', folder])
    try {
      const inbox = createInbox({ folder, studies: [{ id: 'sleep', key }] })
      const served = await serve(inbox.handler)
      servers.push(served)
      expect((await deliver(served.url, makePackage())).status).toBe(201)
      const large = makePackage({ attachment: 'x'.repeat(4 * 1024 * 1024), consent: { id: 'consent-2' } })
      const refused = await deliver(served.url, large)
      expect(refused.status).toBe(507)
      expect(await refused.json()).toEqual({ error: 'full' })
      expect(await readdir(join(folder, 'staging'))).toEqual([])
      expect(await inbox.packages('sleep')).toHaveLength(1)

      // Full to the last byte: also the manifest finds no room.
      await writeFile(join(folder, 'ballast'), 'x'.repeat(4 * 1024 * 1024)).catch(() => {})
      const small = makePackage({ consent: { id: 'consent-3' } })
      expect((await deliver(served.url, small)).status).toBe(507)
      expect(await readdir(join(folder, 'staging'))).toEqual([])
      for (const { digest } of await inbox.packages('sleep')) {
        expect(await inbox.verify(digest)).toEqual({ ok: true, faults: [] })
      }
      await rm(join(folder, 'ballast'))
      expect((await deliver(served.url, small)).status).toBe(201)
    } finally {
      await Promise.all(servers.splice(0).map((server) => server.stop()))
      execFileSync('umount', [folder])
    }
  },
)
