import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { collect, defineStudy, httpDelivery, recordConsent, share, usCore } from '@s4s/core'
import { memoryReader } from '@s4s/core/testing'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { serve } from '../serve.js'
import { createInbox, createStudyKeys } from './index.js'

const run = promisify(execFile)
const found = (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, 'jose')))
if (!found) console.warn('Skipped: there is no `jose` here, the command of the Debian package of that name')

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 's4s-receipt-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

test.skipIf(!found)('F16 a receipt is verified by a public tool, which knows nothing of us', async () => {
  const keys = await createStudyKeys()
  const inbox = createInbox({ folder, studies: [{ id: 'sleep', key: 'study-key-sleep', ...keys.inbox }] })
  const server = await serve(inbox.handler)
  const plan = usCore.only('Patient')
  const study = defineStudy({
    id: 'sleep',
    title: 'Sleep',
    purpose: 'Rest',
    plan,
    recipient: server.url,
    consent: { version: '1', text: 'I agree.' },
    ...keys.study,
  })
  const { receipt } = await share([await collect(memoryReader({ patient: 'p' }), { plan })], {
    study,
    consent: recordConsent(study, { participant: 'p-1', signature: 'Ada' }),
    deliver: httpDelivery({ url: server.url, key: 'study-key-sleep' }),
  })
  const published = await fetch(`${server.url}/studies/sleep/keys`).then((answer) => answer.json())
  await server.stop()

  const at = (name: string): string => join(folder, name)
  await writeFile(at('keys.json'), JSON.stringify(published))
  await writeFile(at('receipt.jws'), receipt.signature ?? '')
  await run('jose', ['jws', 'ver', '-i', at('receipt.jws'), '-k', at('keys.json'), '-O', at('claims.json')])
  const { signature: _, ...claims } = receipt
  expect(JSON.parse(await readFile(at('claims.json'), 'utf8'))).toMatchObject(claims)

  const [head, payload = '', end] = (receipt.signature ?? '').split('.')
  const other = Buffer.from(Buffer.from(payload, 'base64url').toString().replace('p-1', 'p-2'))
  await writeFile(at('forged.jws'), `${head}.${other.toString('base64url')}.${end}`)
  await expect(run('jose', ['jws', 'ver', '-i', at('forged.jws'), '-k', at('keys.json')])).rejects.toThrow()
})
