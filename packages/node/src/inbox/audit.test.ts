import { execFileSync } from 'node:child_process'
import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { type Child, startChild } from '../test-support/child.js'
import { type Desk, desks, key, teamKey } from './test-support/desk.js'
import { makePackage } from './test-support/make-package.js'

const open = desks()
const children: Child[] = []
afterEach(async () => void (await Promise.all(children.splice(0).map((child) => child.kill()))))

const auditOf = (desk: Desk): string => join(desk.folder, 'audit.ndjson')
const busy = async (options = {}): Promise<Desk> => {
  const desk = await open(options)
  for (const consent of ['consent-1', 'consent-2', 'consent-3'])
    await desk.deliver(makePackage({ consent: { id: consent } }))
  await desk.withdraw(makePackage())
  return desk
}

test('F21 the audit is a chain from its first line to its last, and anyone can check it with sha256sum', async () => {
  const desk = await busy()
  const text = await readFile(auditOf(desk), 'utf8')
  const lines = text.trimEnd().split('\n')
  const found = await desk.inbox.verifyAudit()
  expect(found).toMatchObject({ ok: true, lines: lines.length, torn: 0 })
  const digest = execFileSync('sha256sum', { input: lines.at(-2) ?? '', encoding: 'utf8' }).slice(0, 64)
  expect(JSON.parse(lines.at(-1) ?? '').prev).toBe(digest)
  expect(await (await open()).inbox.verifyAudit()).toMatchObject({ ok: true, lines: 0 })
})

test.each<[string, (lines: string[]) => string[], number]>([
  ['was changed', (lines) => lines.with(2, (lines[2] ?? '').replace('"sleep"', '"other"')), 4],
  ['was left out', (lines) => lines.toSpliced(2, 1), 3],
  ['was put in', (lines) => lines.toSpliced(2, 0, '{"event":"stored"}'), 3],
  ['was put in with the right digest', (lines) => lines.toSpliced(2, 0, lines[2] ?? ''), 4],
  ['changed places', (lines) => lines.with(1, lines[2] ?? '').with(2, lines[1] ?? ''), 2],
  ['is no line any more', (lines) => lines.with(2, 'x'), 3],
  ['at the beginning is gone', (lines) => lines.slice(1), 1],
])('F21 an audit of which a line %s is found out, and where', async (_, change, brokenAt) => {
  const desk = await busy()
  const lines = (await readFile(auditOf(desk), 'utf8')).trimEnd().split('\n')
  await writeFile(auditOf(desk), `${change(lines).join('\n')}\n`)
  expect(await desk.inbox.verifyAudit()).toMatchObject({ ok: false, brokenAt })
  // Also after the inbox went on.
  await desk.deliver(makePackage({ consent: { id: 'consent-9' } }))
  expect(await desk.inbox.verifyAudit()).toMatchObject({ ok: false, brokenAt })
})

test('F21 an audit whose end was cut off is found out by whoever noted its head', async () => {
  const desk = await busy()
  const { head } = await desk.inbox.verifyAudit()
  await desk.deliver(makePackage({ consent: { id: 'consent-9' } }))
  expect(await desk.inbox.verifyAudit(head)).toMatchObject({ ok: true })
  const lines = (await readFile(auditOf(desk), 'utf8')).trimEnd().split('\n')
  await writeFile(auditOf(desk), `${lines.slice(0, 5).join('\n')}\n`)
  expect(await desk.inbox.verifyAudit()).toMatchObject({ ok: true, lines: 5 })
  expect(await desk.inbox.verifyAudit(head)).toMatchObject({ ok: false })
})

test('F21 a last line that a killed process left unfinished breaks no chain, now or when it goes on', async () => {
  const desk = await busy()
  for (const [round, fragment] of ['{"at":"2026-01-02T03:04', '{"at":"2026-01', '{'].entries()) {
    await appendFile(auditOf(desk), fragment)
    expect(await desk.inbox.verifyAudit()).toMatchObject({ ok: true, torn: round + 1 })
    // Another process finds it.
    const next = await open({ folder: desk.folder })
    await next.deliver(makePackage({ consent: { id: `consent-torn-${round}` } }))
    expect(await next.inbox.verifyAudit()).toMatchObject({ ok: true, torn: round + 1 })
  }
})

test('F21 inboxes on one folder that are killed at any moment leave one unbroken chain', async () => {
  const desk = await open()
  const program = fileURLToPath(new URL('./test-support/inbox-child.ts', import.meta.url))
  const others = [0, 1].map(() => {
    const child = startChild(program, desk.folder, key)
    children.push(child)
    return child
  })
  const urls = await Promise.all(others.map((child) => child.line()))
  const knock = async (url: string, rounds: number): Promise<void> => {
    for (let round = 0; round < rounds; round++) {
      const request = {
        method: 'POST',
        headers: { authorization: `Bearer ${key}` },
        body: makePackage().bytes,
      }
      await fetch(`${url}/packages`, request).catch(() => {})
    }
  }
  const all = [...urls, desk.url].map((url) => knock(url, 40))
  await knock(desk.url, 10)
  await others[0]?.kill()
  await Promise.all(all)
  const found = await desk.inbox.verifyAudit()
  expect(found.ok).toBe(true)
  expect(found.lines).toBeGreaterThanOrEqual(90)
}, 60_000)

test('F21 who reads packages is in the audit, and no one’s name is', async () => {
  const desk = await busy()
  for await (const _ of desk.inbox.stored('sleep'));
  await desk.call('GET', '/studies/sleep/packages', undefined, teamKey)
  const text = await readFile(auditOf(desk), 'utf8')
  expect(text.match(/"event":"read"/g)).toHaveLength(2)
  for (const secret of ['p-1', 'Canary', 'Ada', 'Mercy', key, teamKey, 'the-withdrawal-key'])
    expect(text).not.toContain(secret)
})
