import {
  type Checkpoint,
  type Client,
  type Connection,
  type ConsentRecord,
  changesBetween,
  checkpointOf,
  collect,
  createPackage,
  type Delivery,
  inventoryOf,
  isSmartError,
  type KnownResource,
  type Lock,
  type Outbox,
  type Share,
  SmartError,
  type Study,
  sharePackage,
} from '@s4s/core'
import type { Crew } from './crew.js'
import { type Ending, endingOf, HandBack, Lost } from './ending.js'
import type { Notices } from './notices.js'
import { pacedFetch } from './paced-fetch.js'
import type { TakenJob } from './queue.js'
import type { Schedules } from './schedules.js'
import type { Spool, Waiting } from './spool.js'
import type { Step, Telemetry } from './telemetry.js'
import type { Traffic } from './traffic.js'

/** What the app says about its study. */
export interface StudyWork {
  readonly client: Client
  readonly study: Study
  /** The consent that stands for a connection now, from where the app keeps it; undefined when there is none. */
  readonly consentOf: (connection: Connection) => Promise<ConsentRecord | undefined>
  readonly deliver: Delivery
  /**
   * Keeps what was shared: without it, it cannot be withdrawn. After a crash it is called again with a share of the same
   * digest.
   */
  readonly keep: (share: Share, connection: Connection) => Promise<void>
  /** Nothing is shared under a consent that was withdrawn here. */
  readonly outbox?: Pick<Outbox, 'isWithdrawn'>
  /** Most requests to a provider in a minute, over all workers. Default 600, or what its EHR is known to allow. */
  readonly requestsPerMinute?: number
}

export interface JobWorld {
  readonly work: StudyWork
  readonly traffic: Traffic
  readonly schedules: Schedules
  readonly notices: Notices
  readonly crew: Crew
  readonly spool: Spool
  readonly telemetry: Telemetry
  /** Told of errors that are not ours. */
  readonly report: (error: unknown) => void
}

/** Does a job, and says how it ended. It does not throw. */
export async function runJob(
  job: TakenJob,
  world: JobWorld,
  signal: AbortSignal,
  step: Step,
): Promise<Ending> {
  const control = new AbortController()
  const locked = new Set<Promise<unknown>>()
  const doing: Doing = { job, world, control, step, locked, failingFor: 0 }
  const stop = (): void => control.abort(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  try {
    return await (job.kind === 'refresh' ? refresh : shareNew)(doing)
  } catch (error) {
    const why: unknown = control.signal.aborted ? control.signal.reason : error
    if (why instanceof HandBack) return { kind: 'back', seconds: why.seconds }
    if (why instanceof Lost) return { kind: 'lost' }
    if (!isSmartError(error)) world.report(error)
    const ending = endingOf(error)
    // Nothing of it is the job's fault. Where only a part failed, it is: that part may fail for ever.
    if (ending.kind === 'retry' && doing.failingFor > 0)
      return { kind: 'back', seconds: Math.ceil(doing.failingFor / 1000) }
    return ending
  } finally {
    signal.removeEventListener('abort', stop)
    // A refresh that has begun is never given up: whoever ends the process next would lose its new token.
    await Promise.allSettled(locked)
  }
}

interface Doing {
  readonly job: TakenJob
  readonly world: JobWorld
  readonly control: AbortController
  readonly step: Step
  /** What is under way under a lock. */
  readonly locked: Set<Promise<unknown>>
  /** Milliseconds for which the provider is left alone; 0 while it works. */
  failingFor: number
}

async function refresh(doing: Doing): Promise<Ending> {
  const { job, world, control, step } = doing
  const plain = await world.work.client.connection(job.connection)
  if (!plain) return forget(doing)
  if (plain.status !== 'active') return { kind: 'reconnect', code: 'TOKEN_ENDED' }
  const paced = await open(doing, plain)
  await step('refresh', () => paced.refresh({ signal: control.signal }))
  return { kind: 'done', outcome: 'refreshed' }
}

async function shareNew(doing: Doing): Promise<Ending> {
  const { job, world } = doing
  const { client, study, consentOf } = world.work
  const plain = await client.connection(job.connection)
  const waiting = await world.spool.open(job.connection)
  if (!plain) {
    if (waiting) await takeBack(doing, waiting)
    return forget(doing)
  }
  const consent = await consentOf(plain)
  if (!consent || !(await stands(doing, consent))) {
    if (waiting) await takeBack(doing, waiting)
    await checkpointOf(plain).clear()
    return { kind: 'done', outcome: 'no-consent' }
  }
  if (waiting?.pack.manifest.consent.id === consent.id) return deliver(doing, plain, consent, waiting)
  if (waiting) await takeBack(doing, waiting)
  if (plain.status !== 'active') return { kind: 'reconnect', code: 'TOKEN_ENDED' }

  const known = await world.spool.known(job.connection)
  const same = known?.consent === consent.id
  if (same && (consent.sharing ?? study.sharing) === 'once') return { kind: 'done', outcome: 'nothing-new' }
  const made = await collectNew(doing, plain, consent, same ? known.resources : undefined)
  return 'kind' in made ? made : deliver(doing, plain, consent, made)
}

/** A record is collected whole so often, to see what is gone. Milliseconds. */
const wholeEvery = 30 * 86_400_000
/** A record of which a part failed is tried again so often before what there is is shared. */
const triesOfParts = 2

async function collectNew(
  doing: Doing,
  plain: Connection,
  consent: ConsentRecord,
  known: readonly KnownResource[] | undefined,
): Promise<Waiting | Ending> {
  const { job, world, control, step } = doing
  const { client, study } = world.work
  const { signal } = control
  const { collectedAt, wholeAt } = await world.schedules.times(job.connection)
  const now = client.platform.clock.now()
  const since = known && wholeAt && now - wholeAt.getTime() < wholeEvery ? collectedAt : undefined
  const paced = await open(doing, plain)
  const kept = checkpointOf(plain)
  const held = heldCheckpoint(kept)
  const { platform } = client
  const record = await step('collect', () =>
    collect(paced, {
      ...{ plan: study.plan, signal, platform, checkpoint: held.checkpoint, onProgress: held.onProgress },
      ...(since ? { since } : {}),
    }),
  )
  try {
    // Access that ended on the way leaves a record that is cut off there.
    if ((await client.connection(job.connection))?.status !== 'active')
      return { kind: 'reconnect', code: 'TOKEN_ENDED' }
    const failed = record.completeness.find(({ status, queries }) =>
      [status, ...queries.map((query) => query.status)].includes('failed'),
    )
    if (failed && job.attempt <= triesOfParts)
      return { kind: 'retry', reason: { code: partCode(failed.reason) } }
    const changes = changesBetween(known ?? [], record)
    const news = changes.added.length + changes.changed.length + changes.removed.length
    if (known && news === 0) {
      await world.schedules.collected(job.connection, record.startedAt, !since)
      await kept.clear()
      return { kind: 'done', outcome: 'nothing-new' }
    }
    const pack = await createPackage([record], { study, consent, platform })
    const inventory = inventoryOf(record)
    await needsHold(doing)
    await world.spool.put(job.connection, {
      pack,
      withdrawalKey: consent.withdrawalKey,
      known: since ? merged(known ?? [], inventory) : inventory,
      startedAt: record.startedAt,
      whole: !since,
    })
    await kept.clear()
  } finally {
    record.wipe()
  }
  // From where it is kept: what was made of the record opens no more.
  const waiting = await world.spool.open(job.connection)
  if (!waiting) throw new SmartError('CONFIG_STORAGE_FAILED', 'the package is not where it was put')
  return waiting
}

async function deliver(
  doing: Doing,
  connection: Connection,
  consent: ConsentRecord,
  { pack, known, startedAt, whole }: Waiting,
): Promise<Ending> {
  const { job, world, control, step } = doing
  const { study, deliver: road, keep, outbox, client } = world.work
  await needsHold(doing)
  const shared = await step('share', () =>
    sharePackage(pack, {
      ...{ study, consent, deliver: road, signal: control.signal, platform: client.platform },
      ...(outbox ? { outbox } : {}),
    }),
  ).catch(async (error: unknown) => {
    // The study takes nothing more under this consent, and will not tomorrow.
    if (isSmartError(error) && error.code === 'SHARE_WITHDRAWN') await world.spool.forget(job.connection)
    throw error
  })
  await keep(shared, connection)
  await world.schedules.collected(job.connection, startedAt, whole)
  await world.spool.finish(job.connection, { consent: consent.id, resources: known })
  return { kind: 'done', outcome: 'shared' }
}

// Whether it arrived before a crash nobody knows, and nobody has a share to withdraw it by: the study is asked to
// delete it, if it has it.
async function takeBack({ job, world }: Doing, { pack, withdrawalKey }: Waiting): Promise<void> {
  const { study, participant, consent } = pack.manifest
  try {
    await world.work.deliver.withdraw({
      format: 's4s-withdrawal/1',
      study: study.id,
      participant,
      digest: pack.digest,
      consent: consent.id,
      ask: 'delete',
      at: new Date(world.work.client.platform.clock.now()).toISOString(),
      key: withdrawalKey,
    })
  } catch (error) {
    if (!isSmartError(error) || error.code !== 'SHARE_REFUSED') throw error
  }
  await world.spool.forget(job.connection)
}

async function forget({ job, world }: Doing): Promise<Ending> {
  await world.schedules.remove(job.connection)
  await world.notices.remove(job.connection)
  await world.spool.forget(job.connection, 'all')
  return { kind: 'done', outcome: 'nothing-new' }
}

async function stands({ world }: Doing, consent: ConsentRecord): Promise<boolean> {
  const { client, outbox } = world.work
  const { expiresAt, id } = consent
  if (expiresAt !== undefined && Date.parse(expiresAt) <= client.platform.clock.now()) return false
  return !(await outbox?.isWithdrawn(id))
}

// A worker that was frozen may wake up long after another has taken its job.
async function needsHold({ job, world }: Doing): Promise<void> {
  if (!(await world.crew.holds(job.connection, job.id))) throw new Lost()
}

/** The connection, with requests that take their turn among all workers. */
async function open(doing: Doing, { provider }: Connection): Promise<Connection> {
  const { job, world, control, locked } = doing
  const { client, requestsPerMinute = 600 } = world.work
  const known = provider.vendor?.requestsPerMinute?.value
  const fetch = pacedFetch({
    provider,
    traffic: world.traffic,
    perMinute: known === undefined ? requestsPerMinute : Math.min(requestsPerMinute, known * 0.9),
    fetch: client.platform.fetch,
    clock: client.platform.clock,
    hold: (milliseconds) =>
      control.abort(new HandBack(Number.isFinite(milliseconds) ? Math.ceil(milliseconds / 1000) : 0)),
    failing: (milliseconds) => {
      doing.failingFor = milliseconds
    },
    onError: world.report,
    onAnswer: (status) => world.telemetry.answered(provider.id, status),
    onTokens: () => void world.schedules.refreshed(job.connection).catch(() => {}),
  })
  const lock: Lock = (name, work) => {
    const done = client.platform.lock(name, work)
    locked.add(done)
    return done
  }
  const connection = await client.through({ fetch, lock }).connection(job.connection)
  if (!connection) throw new SmartError('TOKEN_ENDED', 'the connection is no longer stored here')
  return connection
}

/** A checkpoint that a collection opens but does not clear at its end: what comes after may fail too. */
function heldCheckpoint(kept: Checkpoint): {
  readonly checkpoint: Checkpoint
  readonly onProgress: () => void
} {
  let begun = false
  return {
    onProgress: () => {
      begun = true
    },
    checkpoint: {
      read: () => kept.read(),
      append: (line) => kept.append(line),
      clear: async () => {
        if (!begun) await kept.clear()
      },
    },
  }
}

function merged(before: readonly KnownResource[], now: readonly KnownResource[]): KnownResource[] {
  const all = new Map(before.map((one) => [`${one.type}/${one.id}`, one]))
  for (const one of now) all.set(`${one.type}/${one.id}`, one)
  return [...all.values()]
}

const partCode = (reason = ''): string => (/^FHIR_[A-Z_]+$/.test(reason) ? reason : 'FHIR_SERVER_ERROR')
