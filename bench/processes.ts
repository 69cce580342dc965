// How long callers wait when an access token ends and many processes, which share a store, all need a new one.
// npm run processes --prefix bench -- [processes] [callers in each] [folder | postgres]
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createClient, nodePlatform, usCore } from '@s4s/node'
import { startSandbox } from '@s4s/sandbox'
import { startChild } from '../packages/node/src/test-support/child.js'
import { startPostgres } from '../packages/node/src/test-support/postgres.js'
import { storeAt } from '../packages/node/src/test-support/store-at.js'

const [processes, callers] = [Number(process.argv[2] ?? 100), Number(process.argv[3] ?? 10)]
const lifetime = 240
const sandbox = await startSandbox({ people: ['leo'], accessTokenSeconds: lifetime })
const folder = await mkdtemp(join(tmpdir(), 's4s-bench-'))
const postgres = process.argv[4] === 'postgres' ? await startPostgres({ max_connections: '500' }) : undefined
const place = postgres ? `postgres:${postgres.port}/s4s` : folder
const key = randomBytes(32).toString('base64')
const store = storeAt(place, key)
const client = createClient({
  platform: nodePlatform({ store }),
  redirectUri: 'http://127.0.0.1:9/callback',
  providers: [sandbox.provider],
  plan: usCore.only('Patient'),
})
await client.callback(await sandbox.approve((await client.authorize(sandbox.provider.id)).url))
const ends = Date.now() + lifetime * 1000
sandbox.clearRequests()

const script = fileURLToPath(new URL('../packages/node/src/test-support/refresher.ts', import.meta.url))
/** How long each process waited until all of its callers had their answer, and how many had none. */
async function run(at: number): Promise<{ waits: number[]; failed: number; late: boolean }> {
  const children = Array.from({ length: processes }, () =>
    startChild(script, place, key, JSON.stringify(sandbox.provider), String(callers)),
  )
  await Promise.all(children.map((child) => child.line()))
  const late = Date.now() > at
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, at - Date.now())))
  for (const child of children) child.say('go')
  const answers = await Promise.all(children.map((child) => child.line()))
  const results = answers.map((line) => JSON.parse(line) as { results: string[]; milliseconds: number })
  return {
    waits: results.map((one) => one.milliseconds).sort((one, other) => one - other),
    failed: results.flatMap((one) => one.results).filter((one) => one !== 'ok').length,
    late,
  }
}
const said = ({ waits, failed }: { waits: number[]; failed: number }): string =>
  `${failed} of ${processes * callers} requests failed, the longest wait ${waits.at(-1)} ms, the middle one ${waits[Math.floor(waits.length / 2)]} ms`

// What the machine needs for the requests alone, while the token is good: the rest is what the refresh costs.
const plain = await run(0)
const tokens = (): number =>
  sandbox.requests.filter(({ method, path }) => method === 'POST' && path === '/token').length
const before = tokens()
const atEnd = await run(ends)
process.stdout.write(
  `${postgres ? 'Postgres' : 'a folder'}: ${processes} processes, ${callers} callers in each\n` +
    `  while the token is good: ${before} refreshes, ${said(plain)}\n` +
    `  as it ends${atEnd.late ? ' (they were ready after it had)' : ''}: ${tokens() - before} refresh, ${said(atEnd)}\n`,
)
await store.close()
await postgres?.stop()
await sandbox.stop()
await rm(folder, { recursive: true, force: true })
