// How long callers wait when an access token ends and many processes, which share a store on disk, all need a new one.
// npm run processes --prefix bench -- [processes] [callers in each]
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createClient, fileStore, nodePlatform, usCore } from '@s4s/node'
import { startSandbox } from '@s4s/sandbox'

const [processes, callers] = [Number(process.argv[2] ?? 100), Number(process.argv[3] ?? 10)]
const lifetime = 60
const sandbox = await startSandbox({ people: ['leo'], accessTokenSeconds: lifetime })
const folder = await mkdtemp(join(tmpdir(), 's4s-bench-'))
const key = randomBytes(32).toString('base64')
const client = createClient({
  platform: nodePlatform({ store: fileStore(folder, { key }) }),
  redirectUri: 'http://127.0.0.1:9/callback',
  providers: [sandbox.provider],
  plan: usCore.only('Patient'),
})
await client.callback(await sandbox.approve((await client.authorize(sandbox.provider.id)).url))
const ends = Date.now() + lifetime * 1000
sandbox.clearRequests()

const script = fileURLToPath(new URL('../packages/node/src/test-support/refresher.ts', import.meta.url))
const tsx = createRequire(import.meta.url).resolve('tsx')
const children = Array.from({ length: processes }, () => {
  const child = spawn(
    process.execPath,
    [
      '--conditions=@s4s/source',
      '--import',
      tsx,
      script,
      folder,
      key,
      JSON.stringify(sandbox.provider),
      String(callers),
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  let text = ''
  let wake = (): void => {}
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    text += chunk
    wake()
  })
  const until = async (holds: (text: string) => boolean): Promise<string> => {
    while (!holds(text))
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    return text
  }
  return { child, until }
})
await Promise.all(children.map(({ until }) => until((text) => text.includes('ready\n'))))
const early = Date.now() > ends
await new Promise((resolve) => setTimeout(resolve, Math.max(0, ends - Date.now())))
for (const { child } of children) child.stdin.write('go\n')
const answers = await Promise.all(children.map(({ until }) => until((text) => /\}\n$/.test(text))))
const results = answers.map(
  (text) => JSON.parse(text.slice(text.indexOf('{'))) as { results: string[]; milliseconds: number },
)
const refreshes = sandbox.requests.filter(({ method, path }) => method === 'POST' && path === '/token').length
const failed = results.flatMap((one) => one.results).filter((one) => one !== 'ok').length
const waits = results.map((one) => one.milliseconds).sort((one, other) => one - other)
process.stdout.write(
  `${processes} processes, ${callers} callers in each${early ? ' (they were ready after the token had ended)' : ''}: ${refreshes} refresh, ` +
    `${failed} of ${results.flatMap((one) => one.results).length} requests failed, the longest wait ${waits.at(-1)} ms, the middle one ${waits[Math.floor(waits.length / 2)]} ms\n`,
)
await sandbox.stop()
await rm(folder, { recursive: true, force: true })
