import {
  type Connection,
  type Delivery,
  type PatientRecord,
  type Plan,
  type Platform,
  review,
  type Share,
  SmartError,
  type Study,
} from '@s4s/core'
import { failure, guarded, json } from '../answer.js'
import type { Route, RouteRow, Visit } from '../route.js'
import { askedIn } from './asked.js'
import { readBody, textsIn } from './body.js'
import { createDesks, type Desks } from './desk.js'
import type { Guard } from './guard.js'
import { createSharing } from './sharing.js'

/** Collecting and sharing on the server, for pages that never see a token. */
export interface CustodyOptions {
  readonly study: Study
  /** How it gets there: `httpDelivery({ url: study.recipient, key })`. */
  readonly deliver: Delivery
  /** The study's own name for a participant, always the same. Default: the participant's id here. */
  readonly nameInStudy?: (participant: string) => string | Promise<string>
  /** Seconds after which what was collected is wiped from memory. Default 1800. */
  readonly keepSeconds?: number
  /** Collections under way at a time, of all participants. Default 32. */
  readonly mostRunning?: number
  /** True to have `GET records` list what the participant would share, title by title. Default: counts only. */
  readonly showItems?: boolean
}

interface Setting {
  readonly custody: CustodyOptions
  readonly plan: Plan
  readonly platform: Platform
  readonly guard: Guard
  readonly connectionsOf: (participant: string) => Promise<Connection[]>
}

/** The routes that collect, share and withdraw, and what to do when a connection is ended. */
export interface Custody {
  readonly routes: readonly RouteRow[]
  forget(participant: string, connection: string): void
}

// What a request costs of the participant's limit: what makes hospitals and the study work costs more.
const work = 10

export function createCustody(setting: Setting): Custody {
  const { custody, plan, platform, guard, connectionsOf } = setting
  const { study, deliver, nameInStudy = (participant) => participant } = custody
  const desks = createDesks({
    plan,
    keepFor: wholeNumber(custody.keepSeconds ?? 1800, 'keepSeconds', 86_400) * 1000,
    mostRunning: wholeNumber(custody.mostRunning ?? 32, 'mostRunning', 10_000),
  })
  const sharing = createSharing({ study, deliver, nameInStudy, platform })

  const collect = changing(guard, async (participant, body) => {
    const wanted = textsIn(body, 'connections')
    if (wanted === null) return json(400, { error: 'body' })
    const all = await connectionsOf(participant)
    const chosen = wanted === undefined ? all : all.filter(({ id }) => wanted.includes(id))
    if (wanted?.some((id) => !all.some((connection) => connection.id === id))) return unknown()
    if (chosen.length === 0) return json(409, { error: 'no-connections' })
    const job = desks.open(participant).collect(chosen)
    if (!job) return json(503, { error: 'busy', remedy: 'retry' }, { 'retry-after': '30' })
    return json(202, { job: job.id, state: job.state, connections: job.connections })
  })

  const progress = reading(guard, async (participant, { id }) => {
    const job = desks.find(participant)?.job(id)
    return job ? json(200, { job: job.id, state: job.state, connections: job.connections }) : unknown()
  })

  const events = reading(guard, async (participant, { request }) => {
    const after = request.headers.get('last-event-id')
    const stream = desks.find(participant)?.events.open(after, request.signal)
    // Nothing under way, and nothing that was not told: with 204 a page stops asking.
    if (!stream) return new Response(null, { status: 204, headers: guarded })
    return new Response(stream, { headers: { ...guarded, ...eventHeaders } })
  })

  const records = reading(guard, async (participant) => {
    const shared = (await sharing.shares(participant)).map(described)
    const found = await recordsOf(desks, participant, async (held) => held.map(summary))
    return json(200, { records: found, shared })
  })

  const summary = (record: PatientRecord): Record<string, unknown> => {
    const { connection, provider, collectedAt, completeness, issues, attachments } = record
    const [reviewed] = custody.showItems ? review([record], { study, platform }) : []
    return {
      connection,
      provider: { id: provider.id, name: provider.name },
      collectedAt,
      resources: record.count(),
      files: attachments.filter(({ status }) => status === 'received').length,
      issues: issues.length,
      classes: completeness.map(({ dataClass, status, count }) => ({ dataClass, status, count })),
      ...(reviewed ? { items: [...reviewed.items()] } : {}),
    }
  }

  const share = changing(guard, async (participant, body) => {
    const [asked, wanted] = [askedIn(body), textsIn(body, 'connections')]
    if (!asked || wanted === null) return json(400, { error: 'body' })
    if (desks.find(participant)?.isCollecting) return json(409, { error: 'collecting', remedy: 'retry' })
    return recordsOf(desks, participant, async (held) => {
      if (wanted?.some((id) => !held.some(({ connection }) => connection === id))) return unknown()
      const chosen = held.filter(({ connection }) => wanted?.includes(connection) ?? true)
      if (chosen.length === 0)
        return failure(new SmartError('SHARE_NOTHING', 'nothing was collected', { subject: study.id }))
      try {
        return json(201, described(await sharing.share(participant, chosen, asked)))
      } catch (error) {
        // The choices are the page's; that they are none is all there is to say.
        if (error instanceof TypeError) return json(400, { error: 'choices' })
        throw error
      }
    })
  })

  const withdraw = changing(guard, async (participant, { ask = 'delete' }) => {
    if (ask !== 'stop' && ask !== 'delete') return json(400, { error: 'body' })
    const desk = desks.find(participant)
    desk?.forget()
    const withdrawn = await sharing.withdraw(participant, ask, await connectionsOf(participant))
    // Also what was asked for meanwhile, in another tab.
    desk?.forget()
    return json(200, withdrawn)
  })

  return Object.freeze({
    routes: [
      ['POST', /^collect$/, collect],
      ['GET', /^collect\/([^/]+)$/, progress],
      ['GET', /^events$/, events],
      ['GET', /^records$/, records],
      ['POST', /^share$/, share],
      ['POST', /^withdraw$/, withdraw],
    ],
    forget: (participant, connection) => desks.find(participant)?.forget(connection),
  } satisfies Custody)
}

const eventHeaders = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store, no-transform',
  // Proxies that gather an answer before they pass it on are asked not to.
  'x-accel-buffering': 'no',
}

function changing(
  guard: Guard,
  answer: (participant: string, body: Record<string, unknown>) => Promise<Response>,
): Route {
  return async ({ request }) => {
    const participant = await guard.changes(request, work)
    if (typeof participant !== 'string') return participant
    const body = await readBody(request)
    return 'value' in body ? answer(participant, body.value) : json(body.status, { error: body.error })
  }
}

function reading(guard: Guard, answer: (participant: string, visit: Visit) => Promise<Response>): Route {
  return async (visit) => {
    const participant = await guard.reads(visit.request)
    return typeof participant === 'string' ? answer(participant, visit) : participant
  }
}

function recordsOf<T>(
  desks: Desks,
  participant: string,
  use: (records: readonly PatientRecord[]) => Promise<T>,
): Promise<T> {
  return desks.find(participant)?.hold(use) ?? use([])
}

/** A share without the keys that are in its consent. */
function described({
  digest,
  sharedAt,
  study,
  recipient,
  receipt,
  withheld,
  sources,
}: Share): Record<string, unknown> {
  return { digest, sharedAt, study, recipient, receipt, withheld, sources }
}

// The same for what there is not and for what is another's.
const unknown = (): Response => json(404, { error: 'unknown' })

function wholeNumber(value: number, name: string, most: number): number {
  if (Number.isSafeInteger(value) && value >= 1 && value <= most) return value
  throw new SmartError('CONFIG_INVALID', `custody.${name} is no whole number from 1 to ${most}`)
}
