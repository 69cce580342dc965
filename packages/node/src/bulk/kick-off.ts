import { isSmartError, type Plan, SmartError } from '@s4s/core'
import type { ServiceAnswer } from '@s4s/core/confidential'
import { isObject, parseJson } from '../json.js'
import { type Doors, mayPass, waitOf } from './doors.js'
import { type ExportManifest, readManifest } from './manifest.js'

/** What is asked for. */
export interface Asked {
  readonly plan: Plan
  readonly group?: string
  readonly patients?: readonly string[]
  readonly since?: Date
  readonly typeFilters: readonly string[]
}

/** An export that a server has begun. */
export interface Begun {
  /** Where its state is. */
  readonly status: string
  /** The types that were asked for: those of the plan that are granted and that the server has. */
  readonly types: readonly string[]
  /** True when the server was told to leave out what it does not know. */
  readonly lenient: boolean
}

const attempts = 5
const patience = 40

/**
 * Asks a server for an export.
 *
 * @throws SmartError when it does not begin one
 * @see https://hl7.org/fhir/uv/bulkdata/STU2/export.html#bulk-data-kick-off-request
 */
export async function kickOff(
  doors: Doors,
  asked: Asked,
  scopes: () => readonly string[],
  signal?: AbortSignal,
): Promise<Begun> {
  // Asked with the token, whose scopes count. An export needs no more than that of it.
  const has = await typesOfServer(doors, signal).catch((error: unknown) => {
    signal?.throwIfAborted()
    if (isSmartError(error) && error.code.startsWith('FHIR_')) return undefined
    throw error
  })
  const types = typesOf(asked.plan).filter((type) => isGranted(scopes(), type) && (has?.has(type) ?? true))
  if (types.length === 0)
    throw new SmartError(
      'FHIR_FORBIDDEN',
      `nothing of the plan may be exported from ${doors.provider.name}`,
      {
        subject: doors.provider.id,
      },
    )
  let lenient = false
  for (let attempt = 0; ; attempt++) {
    const answer = await passing(doors, attempt, signal, () => send(doors, asked, types, lenient, signal))
    if (answer === undefined) continue
    if (answer.status === 400 && !lenient) {
      lenient = true
      continue
    }
    if (answer.error) throw answer.error
    const location = answer.headers.get('content-location') ?? ''
    const base = `${doors.provider.iss.replace(/\/$/, '')}/`
    if (answer.status !== 202 || location === '' || !URL.canParse(location, base))
      throw new SmartError(
        'FHIR_RESPONSE_INVALID',
        `${doors.provider.name} did not say where its export is`,
        {
          subject: doors.provider.id,
          status: answer.status,
        },
      )
    return { status: new URL(location, base).href, types, lenient }
  }
}

/** That an export is no longer there, or never was. */
export class ExpiredError extends Error {
  override readonly name = 'ExpiredError'
}

/**
 * Waits until an export is ready, as long as the server asks to, and gives what it consists of.
 *
 * @param within milliseconds
 * @throws SmartError; ExpiredError when it has to be begun anew
 * @see https://hl7.org/fhir/uv/bulkdata/STU2/export.html#bulk-data-status-request
 */
export async function awaitExport(
  doors: Doors,
  status: string,
  within: number,
  onWaiting: (percent: number | undefined) => void,
  signal?: AbortSignal,
): Promise<ExportManifest> {
  const until = doors.clock.now() + within
  let failures = 0
  for (let polls = 0; ; polls++) {
    const wanted = { url: status, headers: { accept: 'application/json' }, ...(signal ? { signal } : {}) }
    const answer = await passing(doors, failures, signal, () => doors.ask(wanted))
    if (answer?.status === 200) return readManifest(answer.text(), doors.provider)
    if (answer === undefined) {
      failures++
    } else if (answer.error) {
      if (answer.status === 404 || answer.status === 410) throw new ExpiredError('the export is gone')
      throw answer.error
    } else failures = 0
    if (doors.clock.now() > until)
      throw new SmartError('FHIR_TIMEOUT', `an export of ${doors.provider.name} did not become ready`, {
        subject: doors.provider.id,
      })
    if (!answer) continue
    onWaiting(percentOf(answer.headers.get('x-progress')))
    await doors.clock.sleep(waitOf(answer.retryAfter, polls), signal)
  }
}

/** Tells the server that the export is no longer needed. What it answers to that changes nothing. */
export async function deleteExport(doors: Doors, status: string): Promise<void> {
  await doors
    .ask({ url: status, method: 'DELETE', totalTimeout: 5000, maxBytes: 1_000_000 })
    .catch(() => undefined)
}

/** The answer; undefined when it may pass, after a wait. */
async function passing(
  doors: Doors,
  attempt: number,
  signal: AbortSignal | undefined,
  send: () => Promise<ServiceAnswer>,
): Promise<ServiceAnswer | undefined> {
  let error: unknown
  let retryAfter: number | undefined
  try {
    const answer = await send()
    error = answer.error
    retryAfter = answer.retryAfter
    if (!error || !mayPass(error)) return answer
  } catch (thrown) {
    signal?.throwIfAborted()
    error = thrown
    if (!mayPass(error)) throw error
  }
  // Who is told to wait is patient; who is told nothing gives up sooner.
  if (attempt + 1 >= (retryAfter === undefined ? attempts : patience)) throw error
  await doors.clock.sleep(waitOf(retryAfter, attempt), signal)
  return undefined
}

function send(
  { ask, provider }: Doors,
  { group, patients, since, typeFilters }: Asked,
  types: readonly string[],
  lenient: boolean,
  signal?: AbortSignal,
): Promise<ServiceAnswer> {
  const base = provider.iss.replace(/\/$/, '')
  const url = new URL(`${base}/${group === undefined ? 'Patient' : `Group/${group}`}/$export`)
  const parameters: [string, string][] = [
    ['_outputFormat', 'application/fhir+ndjson'],
    ['_type', types.join(',')],
    ...(since ? [['_since', since.toISOString()] as [string, string]] : []),
    ...typeFilters.map((filter): [string, string] => ['_typeFilter', filter]),
  ]
  const headers = {
    accept: 'application/fhir+json',
    prefer: `respond-async${lenient ? ', handling=lenient' : ''}`,
  }
  const common = { maxBytes: 4_000_000, ...(signal ? { signal } : {}) }
  if (!patients) {
    for (const [name, value] of parameters) url.searchParams.append(name, value)
    return ask({ ...common, url: url.href, headers })
  }
  const parameter = [
    ...parameters.map(([name, value]) =>
      name === '_since' ? { name, valueInstant: value } : { name, valueString: value },
    ),
    ...patients.map((id) => ({ name: 'patient', valueReference: { reference: `Patient/${id}` } })),
  ]
  return ask({
    ...common,
    url: url.href,
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/fhir+json' },
    body: JSON.stringify({ resourceType: 'Parameters', parameter }),
  })
}

/** The types that the server says it has; undefined when it does not say. */
async function typesOfServer(doors: Doors, signal?: AbortSignal): Promise<ReadonlySet<string> | undefined> {
  const url = `${doors.provider.iss.replace(/\/$/, '')}/metadata`
  const wanted = { url, headers: { accept: 'application/fhir+json' }, ...(signal ? { signal } : {}) }
  for (let attempt = 0; ; attempt++) {
    const answer = await passing(doors, attempt, signal, () => doors.ask(wanted))
    if (answer === undefined) continue
    const value = answer.error ? undefined : parseJson(answer.text())
    const rest = isObject(value) && Array.isArray(value.rest) ? value.rest.filter(isObject) : []
    const types = rest.flatMap(({ resource }) =>
      Array.isArray(resource) ? resource.flatMap((one) => (isObject(one) ? [String(one.type)] : [])) : [],
    )
    return types.length > 0 ? new Set(types) : undefined
  }
}

/** The types of a plan; files are fetched when a document is read. */
export function typesOf(plan: Plan): string[] {
  const types = plan.classes.flatMap(({ type, includes = [] }) => [type, ...includes])
  return [...new Set<string>(['Patient', ...types])].filter((type) => type !== 'Binary')
}

function isGranted(scopes: readonly string[], type: string): boolean {
  return scopes.some((scope) => {
    const [, granted, actions = ''] = /^system\/([A-Za-z]+|\*)\.([a-z*]+)(?:\?|$)/.exec(scope) ?? []
    return (granted === type || granted === '*') && (actions === 'read' || /[rs*]/.test(actions))
  })
}

function percentOf(said: string | null): number | undefined {
  const [, digits] = /(\d{1,3})\s*%/.exec(said ?? '') ?? []
  return digits === undefined ? undefined : Math.min(100, Number(digits))
}
