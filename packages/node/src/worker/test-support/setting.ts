import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Client,
  type ConsentRecord,
  createClient,
  defineStudy,
  httpDelivery,
  type Provider,
  recordConsent,
  type Share,
  type Study,
  usCore,
  type Vendor,
} from '@s4s/core'
import { type Sandbox, startSandbox } from '@s4s/sandbox'
import { createInbox, type Inbox } from '../../inbox/index.js'
import { nodePlatform } from '../../platform.js'
import { type Served, serve } from '../../serve.js'
import { localKey, type Sql, sqlStore } from '../../store/index.js'
import type { StudyWork } from '../job.js'

export const storeKey: string = randomBytes(32).toString('base64')
export const studyKey = 'a-study-key-for-workers'

/** Hospitals, a study with an inbox, and the database of an app. */
export interface Setting {
  readonly sandboxes: readonly Sandbox[]
  readonly inbox: Inbox
  readonly inboxUrl: string
  readonly study: Study
  readonly client: Client
  readonly work: StudyWork
  readonly consents: Map<string, ConsentRecord>
  readonly shares: Map<string, Share>
  /** Connects a participant, who consents; the id of the connection. */
  connect(participant: string, sandbox?: Sandbox): Promise<string>
  stop(): Promise<void>
}

export async function openSetting(
  sql: Sql,
  options: {
    readonly hospitals?: number
    readonly vendor?: Vendor
    readonly accessTokenSeconds?: number
  } = {},
): Promise<Setting> {
  const { hospitals = 1, vendor, accessTokenSeconds = 3600 } = options
  const folder = await mkdtemp(join(tmpdir(), 's4s-worker-'))
  const sandboxes = await Promise.all(
    Array.from({ length: hospitals }, (_, at) =>
      startSandbox({ id: `hospital-${at + 1}`, people: ['leo'], accessTokenSeconds }),
    ),
  )
  const inbox = createInbox({ folder, studies: [{ id: 'sleep', key: studyKey }] })
  const server: Served = await serve(inbox.handler)
  const study = studyAt(server.url)
  const providers = sandboxes.map(({ provider }) => ({ ...provider, ...(vendor ? { vendor } : {}) }))
  const client = clientOn(sql, providers, study)
  const consents = new Map<string, ConsentRecord>()
  const shares = new Map<string, Share>()
  return {
    ...{ sandboxes, inbox, study, client, consents, shares, inboxUrl: server.url },
    work: {
      client,
      study,
      consentOf: async ({ participant = '' }) => consents.get(participant),
      deliver: httpDelivery({ url: study.recipient, key: studyKey }),
      keep: async (share) => void shares.set(share.digest, share),
      requestsPerMinute: 60_000,
    },
    async connect(participant, sandbox = sandboxes[0] as Sandbox) {
      const { url } = await client.authorize(sandbox.provider.id, { participant })
      const connection = await client.callback(await sandbox.approve(url), { participant })
      consents.set(participant, recordConsent(study, { participant: codeOf(participant), signature: 'Ann' }))
      return connection.id
    },
    async stop() {
      await Promise.all([...sandboxes.map((one) => one.stop()), server.stop()])
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** What the study calls a participant, which says nothing about them. */
export const codeOf = (participant: string): string =>
  `code-${createHash('sha256').update(participant).digest('hex').slice(0, 12)}`

export function studyAt(url: string): Study {
  return defineStudy({
    id: 'sleep',
    title: 'Sleep',
    purpose: 'Rest',
    plan: usCore.only('Patient', 'Immunizations', 'Allergies'),
    recipient: url,
    consent: { version: '1', text: 'I share.' },
  })
}

export function clientOn(sql: Sql, providers: readonly Provider[], study: Study, key = storeKey): Client {
  return createClient({
    platform: nodePlatform({ store: sqlStore(sql, { keys: localKey('k1', key) }) }),
    redirectUri: 'http://127.0.0.1:9/callback',
    providers,
    plan: study.plan,
  })
}

/** Waits until something is so, and says what was not so when it takes too long. */
export async function until(what: string, so: () => Promise<boolean> | boolean, seconds = 20): Promise<void> {
  const end = Date.now() + seconds * 1000
  while (!(await so())) {
    if (Date.now() > end) throw new Error(`waited ${seconds} s in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
