// A process that shares a store: opens the connection in it, says so, and reads when it is told to. One that `dies` is
// killed when an answer of the token endpoint has arrived and nothing of it has been read.
import { createClient, type Provider, usCore } from '@s4s/core'
import { nodePlatform } from '../platform.js'
import { storeAt } from './store-at.js'

const [folder = '', key = '', provider = '', requests = '1', dies = ''] = process.argv.slice(2)
const one = JSON.parse(provider) as Provider
const store = storeAt(folder, key)
const platform = nodePlatform({ store })
const fetch: typeof platform.fetch = async (input, init) => {
  const answer = await platform.fetch(input, init)
  if (dies !== '' && String(input).endsWith('/token')) process.kill(process.pid, 'SIGKILL')
  return answer
}
const client = createClient({
  platform: { ...platform, fetch },
  redirectUri: 'http://127.0.0.1:9/callback',
  providers: [one],
  plan: usCore.only('Patient'),
})
const [connection] = await client.connections()
process.stdout.write('ready\n')
process.stdin.once('data', async () => {
  const started = Date.now()
  const results = await Promise.all(
    Array.from({ length: Number(requests) }, () =>
      connection?.read('Patient', connection.patient).then(
        () => 'ok',
        (error: { code?: string }) => error.code ?? String(error),
      ),
    ),
  )
  process.stdout.write(`${JSON.stringify({ results, milliseconds: Date.now() - started })}\n`)
  process.exit(0)
})
