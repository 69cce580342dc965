import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'

const running = new Set<ChildProcess>()
afterEach(() => {
  for (const child of running) child.kill('SIGKILL')
  running.clear()
})

interface Run {
  readonly child: ChildProcess
  readonly out: () => string
  readonly err: () => string
  readonly code: Promise<number | null>
}

const tsx = createRequire(import.meta.url).resolve('tsx')
const cli = fileURLToPath(new URL('./cli.ts', import.meta.url))

function run(...options: string[]): Run {
  const child = spawn(process.execPath, ['--import', tsx, cli, ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  let [out, err] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    err += text
  })
  const code = once(child, 'close').then(([exit]) => exit as number | null)
  return { child, out: () => out, err: () => err, code }
}

async function line({ child, out, code }: Run, holds: string): Promise<string> {
  while (!out().includes(holds)) {
    const ended = await Promise.race([
      once(child.stdout as never, 'data').then(() => false),
      code.then(() => true),
    ])
    if (ended && !out().includes(holds)) throw new Error('it ended too early')
  }
  return out()
}

describe('s4s-sandbox', () => {
  test.each(['SIGINT', 'SIGTERM'] as const)('prints where it is, serves, and stops at %s', async (signal) => {
    const started = run('--json', '--people', 'leo', '--name', 'Mercy')
    const { url, iss, people } = JSON.parse(await line(started, '\n')) as Record<string, string>
    expect(people).toEqual(['leo'])
    expect(iss).toBe(`${url}/fhir`)
    const configuration = await fetch(`${iss}/.well-known/smart-configuration`)
    expect(await configuration.json()).toMatchObject({ authorization_endpoint: `${url}/auth` })
    started.child.kill(signal)
    expect(await started.code).toBe(0)
    expect(started.err()).toBe('')
  })

  test('says in words which hospital, address, client id and people there are', async () => {
    const started = run('--people', 'leo,sam', '--name', 'Mercy Hospital')
    const text = await line(started, 'sam')
    expect(text).toMatch(/^Mercy Hospital\n {2}address {4}http:\/\/127\.0\.0\.1:\d+\n/)
    expect(text).toContain('s4s-public')
    expect(text).toContain('Leo Rivera')
  })

  test.each([
    [['--port', 'x'], '--port takes a whole number'],
    [['--people', 'nobody'], 'there is nobody called nobody'],
    [['--data', '/there/is/no/such/folder'], '/there/is/no/such/folder'],
    [['--nonsense'], '--nonsense'],
    [['stray'], 'stray'],
  ])('%j is answered with a message and exit code 2', async (options, message) => {
    const ended = run(...options)
    expect(await ended.code).toBe(2)
    expect(ended.err()).toContain(message)
    expect(ended.out()).toBe('')
  })

  test('--help', async () => {
    const ended = run('--help')
    expect(await ended.code).toBe(0)
    expect(ended.out()).toContain('--data FOLDER')
  })
})
