// A process that exports records into a folder, says what each of them holds, and goes on when it is told to.
import { createInterface } from 'node:readline'
import { usCore } from '@s4s/core'
import { createBackendService, privateKeyJwt } from '@s4s/core/confidential'
import { nodePlatform } from '../../platform.js'
import { type BulkProgress, bulkRecords } from '../index.js'
import { hashOf } from './hash-of.js'

const [folder = '', key = '', iss = '', written = '', fatal] = process.argv.slice(2)
const { kid, ...jwk } = JSON.parse(written) as JsonWebKey & { kid: string }
const algorithm = { name: 'ECDSA', namedCurve: 'P-384' }
const signing = await crypto.subtle.importKey('jwk', jwk, algorithm, false, ['sign'])
const service = createBackendService({
  platform: nodePlatform(),
  provider: { id: 'town', name: 'Town', iss, clientId: 's4s-backend', auth: privateKeyJwt(signing, kid) },
  scope: 'system/*.rs',
})
const told = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
// As `kill -9` would, at a point that nobody could hit from outside.
const onProgress = ({ phase, done }: BulkProgress): void => {
  if (phase === fatal && done === 3) process.kill(process.pid, 'SIGKILL')
}
for await (const record of bulkRecords(service, { plan: usCore, folder, key, onProgress })) {
  process.stdout.write(`${hashOf(record)}\n`)
  await told.next()
}
process.stdout.write('end\n')
process.exit(0)
