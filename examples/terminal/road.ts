import { tusParts } from '@s4s/core/tus'
import { zipOf } from '@s4s/core/zip'
import {
  type Connection,
  collect,
  createClient,
  createPackage,
  defineStudy,
  httpDelivery,
  nodePlatform,
  type PatientRecord,
  recordConsent,
  s4sPilot,
  share,
  type Withdrawal,
  withdraw,
} from '@s4s/node'
import type { Inbox, StudyKeys } from '@s4s/node/inbox'
import type { Sandbox } from '@s4s/sandbox'
import type { Screen } from './screen.js'

export interface Road {
  readonly sandboxes: readonly Sandbox[]
  readonly inbox: Inbox
  readonly inboxUrl: string
  readonly studyKey: string
  /** What packages are sealed to, and what receipts are signed with. */
  readonly keys: StudyKeys['study']
  readonly screen: Screen
  /** Whose record; the first person of each hospital unless given. */
  readonly patient?: string
}

/** What happened, for a machine to read. */
export interface Summary {
  readonly ok: boolean
  readonly providers: readonly {
    readonly id: string
    readonly name: string
    readonly patient: string
    readonly resources: number
    readonly types: Readonly<Record<string, number>>
    readonly attachments: number
    readonly completeness: Readonly<Record<string, string>>
  }[]
  readonly receipt: {
    readonly id: string
    readonly digest: string
    readonly resources: number
    readonly parts: number
  }
  readonly digests: {
    readonly verified: boolean
    readonly parts: number
    readonly faults: readonly unknown[]
  }
  readonly withdrawal: Withdrawal
  readonly withdrawnAtStudy: boolean
}

const plan = s4sPilot

/** Connects every hospital, collects, shares with the study, verifies what it holds, and withdraws. */
export async function walk({
  sandboxes,
  inbox,
  inboxUrl,
  studyKey,
  keys,
  screen,
  patient,
}: Road): Promise<Summary> {
  const study = defineStudy({
    id: 'sleep-2026',
    title: 'Sleep and Recovery',
    purpose: 'How sleep shapes recovery after surgery',
    plan,
    recipient: inboxUrl,
    consent: {
      version: '1',
      text: 'I share my record with the Sleep and Recovery study. I may withdraw at any time.',
    },
    ...keys,
  })
  const deliver = httpDelivery({ url: study.recipient, key: studyKey, parts: tusParts() })
  const client = createClient({
    platform: nodePlatform(),
    // The sandbox's answer is read off before a browser would go there.
    redirectUri: 'http://127.0.0.1:9/callback',
    providers: sandboxes.map(({ provider }) => provider),
    plan,
  })

  screen.step('1. Connect')
  const connections: Connection[] = []
  for (const sandbox of sandboxes) {
    const { url } = await client.authorize(sandbox.provider.id)
    const callback = await sandbox.approve(url, patient === undefined ? {} : { patient })
    const connection = await client.callback(callback)
    connections.push(connection)
    screen.line(
      `  ${connection.provider.name}: connected, patient ${connection.patient}, access ${connection.access}`,
    )
  }

  screen.step('2. Collect')
  const records: PatientRecord[] = []
  for (const connection of connections) {
    const record = await screen.progress(connection.provider.name, (report) =>
      collect(connection, {
        plan,
        onProgress: ({ done, total, resources }) => report(done, total, `${resources} resources`),
      }),
    )
    records.push(record)
    for (const { dataClass, status, count } of record.completeness)
      screen.line(`    ${dataClass.padEnd(16)} ${status} ${count || ''}`)
  }

  // Read off before the withdrawal wipes the records.
  const providers = records.map((record) => ({
    id: record.provider.id,
    name: record.provider.name,
    patient: record.patient,
    resources: record.count(),
    types: record.types(),
    attachments: record.attachments.length,
    completeness: Object.fromEntries(record.completeness.map(({ dataClass, status }) => [dataClass, status])),
  }))

  screen.step('3. Share')
  const consent = recordConsent(study, { participant: 'p-0042', signature: 'Demo Participant' })
  const shared = await share(records, { study, consent, deliver })
  const verified = await inbox.verify(shared.digest)
  const copy = await new Response(zipOf(await createPackage(records, { study, consent }))).blob()
  screen.line(
    `  receipt ${shared.receipt.id}: ${shared.receipt.resources} resources in ${shared.receipt.parts} parts`,
  )
  screen.line('  sealed on its way, and the receipt is signed by the study')
  screen.line(`  a copy to keep: ${Math.ceil(copy.size / 1024)} kB as a ZIP`)
  screen.line(`  digests at the study: ${verified.ok ? 'every one verified' : 'NOT verified'}`)

  screen.step('4. Withdraw')
  const withdrawal = await withdraw(shared, { deliver, connections, records })
  for (const { provider, server } of withdrawal.access) screen.line(`  access at ${provider.name}: ${server}`)
  screen.line(`  the study: ${withdrawal.study.status}${withdrawal.study.deleted ? ', package deleted' : ''}`)
  screen.line(`  the copy here: ${withdrawal.local.status}`)
  const withdrawnAtStudy = (await inbox.packages(study.id)).some(
    ({ digest, status }) => digest === shared.digest && status === 'withdrawn',
  )

  return {
    ok: verified.ok && withdrawal.complete && withdrawnAtStudy,
    providers,
    receipt: {
      id: shared.receipt.id,
      digest: shared.digest,
      resources: shared.receipt.resources,
      parts: shared.receipt.parts,
    },
    digests: { verified: verified.ok, parts: shared.receipt.parts, faults: verified.faults },
    withdrawal,
    withdrawnAtStudy,
  }
}
