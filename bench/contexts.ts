// How long requests wait when an access token ends and very many browsing contexts of one origin all need a new one.
// npm run contexts --prefix bench -- [contexts]; needs Chromium
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { startSandbox } from '@s4s/sandbox'
import { build } from 'vite'
import { openBrowser } from '../examples/browser.js'

const count = Number(process.argv[2] ?? 1000)
const lifetime = 60
const here = fileURLToPath(new URL('../packages/browser/chromium/', import.meta.url))
const built = await build({
  root: here,
  configFile: false,
  logLevel: 'error',
  resolve: { conditions: ['@s4s/source', 'module', 'browser', 'production', 'import', 'default'] },
  build: {
    write: false,
    target: 'es2022',
    rolldownOptions: { input: `${here}page.ts`, output: { codeSplitting: false } },
  },
})
const output = (Array.isArray(built) ? built[0] : built) as { output: { type: string; code?: string }[] }
const script = output.output.find(({ type }) => type === 'chunk')?.code ?? ''
const sandbox = await startSandbox({ id: 'mercy', people: ['leo'], accessTokenSeconds: lifetime })
const server = createServer((request, response) => {
  const path = request.url?.split('?')[0]
  if (path === '/page.js')
    return void response
      .writeHead(200, { 'content-type': 'text/javascript', 'cache-control': 'max-age=600' })
      .end(script)
  if (path === '/config.json')
    return void response
      .writeHead(200, { 'cache-control': 'max-age=600' })
      .end(JSON.stringify({ providers: [sandbox.provider] }))
  response
    .writeHead(200, { 'content-type': 'text/html' })
    .end(
      '<!doctype html><p id="status"></p><button id="connect">Connect</button><script type="module" src="/page.js"></script>',
    )
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`

const browser = await openBrowser()
const context = await browser.newContext()
const page = await context.newPage()
const ready = 'body[data-ready=yes]'
await page.goto(url)
await page.waitForSelector(ready, { state: 'attached' })
await page.click('#connect')
await page.getByRole('button', { name: 'Sign in' }).click()
await page.getByRole('button', { name: 'Approve', exact: true }).click()
await page.waitForURL(url)
await page.waitForSelector(ready, { state: 'attached' })
const ends = Date.now() + lifetime * 1000

const perTab = 50
const tabs = await Promise.all(Array.from({ length: Math.ceil(count / perTab) }, () => context.newPage()))
for (const tab of tabs) {
  await tab.goto(url)
  await tab.evaluate(async (frames) => {
    await Promise.all(
      Array.from({ length: frames }, async () => {
        const frame = document.createElement('iframe')
        frame.src = location.href
        document.body.append(frame)
        while (frame.contentDocument?.body?.dataset.ready !== 'yes')
          await new Promise((resolve) => setTimeout(resolve, 50))
      }),
    )
  }, perTab)
}
const late = Date.now() > ends
await new Promise((resolve) => setTimeout(resolve, Math.max(0, ends - Date.now())))
sandbox.clearRequests()
const waits = (
  await Promise.all(
    tabs.map((tab) =>
      tab.evaluate(() =>
        Promise.all(
          [...document.querySelectorAll('iframe')].map(async ({ contentWindow }) => {
            const started = performance.now()
            const { smart } = contentWindow as unknown as { smart: typeof globalThis.smart }
            const [connection] = await smart.connections()
            await connection?.read('Patient', connection.patient)
            return performance.now() - started
          }),
        ),
      ),
    ),
  )
)
  .flat()
  .sort((one, other) => one - other)
const refreshes = sandbox.requests.filter(({ method, path }) => method === 'POST' && path === '/token').length
process.stdout.write(
  `${waits.length} contexts${late ? ' (they were ready after the token had ended)' : ''}: ${refreshes} refresh, none failed, ` +
    `99 of 100 waited at most ${Math.round(waits[Math.floor(waits.length * 0.99)] ?? 0)} ms, the middle one ${Math.round(waits[Math.floor(waits.length / 2)] ?? 0)} ms\n`,
)
await browser.close()
await sandbox.stop()
server.closeAllConnections()
server.close()
