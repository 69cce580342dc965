// A worker in a process of its own: waits for a line, then works until it is killed.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { httpDelivery, type Provider, readConsent } from '@s4s/core'
import pg from 'pg'
import { createWorker } from '../index.js'
import { clientOn, studyAt, studyKey } from './setting.js'

interface Given {
  readonly port: number
  readonly key: string
  readonly providers: readonly Provider[]
  readonly inboxUrl: string
  /** Holds the consents, and takes the shares. */
  readonly folder: string
}
const { port, key, providers, inboxUrl, folder } = JSON.parse(process.argv[2] ?? '{}') as Given
const pool = new pg.Pool({ host: '127.0.0.1', port, user: 's4s', database: 'postgres', max: 12 })
pool.on('error', () => {})
const study = studyAt(inboxUrl)
const consents = (): Record<string, unknown> =>
  JSON.parse(readFileSync(join(folder, 'consents.json'), 'utf8')) as Record<string, unknown>
const worker = createWorker(pool, {
  client: clientOn(pool, providers, study, key),
  study,
  consentOf: async ({ participant = '' }) => readConsent(consents()[participant], study),
  deliver: httpDelivery({ url: study.recipient, key: studyKey }),
  keep: async (share) => writeFileSync(join(folder, `share-${share.digest}`), share.receipt.id),
  onError: (error) => process.stderr.write(`${String(error)}\n`),
  ...{ requestsPerMinute: 60_000, pollMilliseconds: 100, leaseSeconds: 3, retries: 20, retrySeconds: 1 },
})
process.stdout.write('ready\n')
process.stdin.once('data', () => void worker.start())
process.once('SIGTERM', () => void worker.stop({ seconds: 5 }).then(() => process.exit(0)))
