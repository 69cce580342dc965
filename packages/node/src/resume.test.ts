import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createClient, usCore } from '@s4s/core'
import { startSandbox } from '@s4s/sandbox'
import { expect, test } from 'vitest'
import { fileStore } from './file-store.js'
import { nodePlatform } from './platform.js'
import { type Child, startChild } from './test-support/child.js'

const script = fileURLToPath(new URL('./test-support/collector.ts', import.meta.url))

test('PR-09 F76 G8 a collection whose process is killed again and again ends with the same record', async () => {
  await using sandbox = await startSandbox({ people: ['daniel'] })
  const folder = await mkdtemp(join(tmpdir(), 's4s-resume-'))
  const running = new Set<Child>()
  try {
    const key = randomBytes(32).toString('base64')
    const store = fileStore(folder, { key })
    const client = createClient({
      platform: nodePlatform({ store }),
      redirectUri: 'http://127.0.0.1:9/callback',
      providers: [sandbox.provider],
      plan: usCore,
    })
    await client.callback(await sandbox.approve((await client.authorize(sandbox.provider.id)).url))
    sandbox.clearRequests()

    /** What the process said; killed when the server has seen so many requests of it. */
    const run = async (after = Number.POSITIVE_INFINITY): Promise<string> => {
      const before = sandbox.requests.length
      const child = startChild(script, folder, key, JSON.stringify(sandbox.provider))
      running.add(child)
      const watch = setInterval(() => {
        if (sandbox.requests.length - before >= after) void child.kill()
      }, 1)
      await child.line()
      return child
        .line()
        .catch(() => '')
        .finally(() => clearInterval(watch))
    }

    const straight = await run()
    expect(straight).toMatch(/^[0-9a-f]{64}$/)
    const requests = sandbox.requests.length
    sandbox.clearRequests()
    let kills = 0
    let said = ''
    // Each gets a little further: 7 requests are more than the six that may be lost.
    for (; said === '' && kills < 40; kills++) said = await run(12)
    expect(said).toBe(straight)
    expect(kills).toBeGreaterThan(2)
    // What was fetched more than once is what was under way when a process was killed.
    expect(sandbox.requests.length).toBeLessThan(requests + kills * 12)
    expect(await store.keys('checkpoint/')).toEqual([])
  } finally {
    await Promise.all([...running].map((child) => child.kill()))
    await rm(folder, { recursive: true, force: true })
  }
}, 120_000)
