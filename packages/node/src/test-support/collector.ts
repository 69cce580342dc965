// A process that collects with a checkpoint on disk, and says what the record holds.
import { createHash } from 'node:crypto'
import { checkpointOf, collect, createClient, type Provider, usCore } from '@s4s/core'
import { fileStore } from '../file-store.js'
import { nodePlatform } from '../platform.js'

const [folder = '', key = '', provider = ''] = process.argv.slice(2)
const client = createClient({
  platform: nodePlatform({ store: fileStore(folder, { key }) }),
  redirectUri: 'http://127.0.0.1:9/callback',
  providers: [JSON.parse(provider) as Provider],
  plan: usCore,
})
const [connection] = await client.connections()
if (!connection) throw new Error('no connection')
process.stdout.write('ready\n')
const record = await collect(connection, { plan: usCore, checkpoint: checkpointOf(connection) })
const hash = createHash('sha256')
for (const type of Object.keys(record.types()))
  for (const line of record.lines(type)) hash.update(`${line}\n`)
for (const { dataClass, status, count } of record.completeness)
  hash.update(`${dataClass} ${status} ${count}\n`)
for (const file of record.attachments.map(({ source, sha256 }) => `${source} ${sha256}`).sort())
  hash.update(file)
process.stdout.write(`${hash.digest('hex')}\n`)
process.exit(0)
