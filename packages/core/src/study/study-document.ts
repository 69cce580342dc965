import { ambientClock, ambientFetch } from '../ambient.js'
import { SmartError } from '../errors.js'
import type { Plan } from '../plans/plan.js'
import type { Platform } from '../ports.js'
import { isObject, parseJson } from '../util/json.js'
import { createTransport } from '../util/transport.js'
import { isSecure, isWithin, parseUrl } from '../util/url.js'
import { defineStudy, type Study } from './study.js'

/** A study as plain JSON, for a study team to publish and for portals to load. */
export interface StudyDocument extends Omit<Study, 'plan'> {
  readonly format: 's4s-study/1'
  /** The plan by its id, and the names of those of its data classes that the study asks for. */
  readonly plan: { readonly id: string; readonly dataClasses: readonly string[] }
}

/** A study as it is published. */
export function studyDocument(study: Study): StudyDocument {
  const { plan, ...rest } = study
  const dataClasses = plan.classes.map((row) => row.name)
  return Object.freeze({ format: 's4s-study/1', ...rest, plan: Object.freeze({ id: plan.id, dataClasses }) })
}

const members = new Set([
  ...[
    'format',
    'id',
    'title',
    'purpose',
    'plan',
    'recipient',
    'consent',
    'sponsor',
    'irb',
    'contact',
    'infoUrl',
  ],
  ...['languages', 'recipients', 'sharing', 'until', 'sealTo', 'receiptKeys', 'lookBackYears', 'removes'],
])

/**
 * Reads a study that was published. A member that is not known is refused too: taken for nothing, a misspelt
 * `until` would ask for longer than the study may.
 *
 * @example const study = readStudy(await response.json(), { plans: [usCore] })
 * @throws SmartError `CONFIG_INVALID` or `CONFIG_INSECURE_URL`, naming the path of what is wrong
 */
export function readStudy(value: unknown, options: { readonly plans: readonly Plan[] }): Study {
  if (!isObject(value)) throw invalid('study', 'is not an object')
  if (value.format !== 's4s-study/1') throw invalid('study.format', 'is not s4s-study/1')
  const unknown = Object.keys(value).find((key) => !members.has(key))
  if (unknown !== undefined) throw invalid(`study.${unknown.slice(0, 40)}`, 'is not known')
  const { format: _, plan, ...rest } = structuredClone(value)
  return defineStudy({ ...rest, plan: planOf(plan, options.plans) } as unknown as Study)
}

function planOf(value: unknown, plans: readonly Plan[]): Plan {
  if (!isObject(value)) throw invalid('study.plan', 'is not an object')
  const plan = plans.find(({ id }) => id === value.id)
  if (!plan) throw invalid('study.plan.id', `is none of ${plans.map(({ id }) => id).join(', ')}`)
  const { dataClasses } = value
  if (!Array.isArray(dataClasses) || dataClasses.length === 0)
    throw invalid('study.plan.dataClasses', 'is not a list of at least one')
  const names = new Set<unknown>(plan.classes.map((row) => row.name))
  const at = dataClasses.findIndex((name) => !names.has(name))
  if (at >= 0) throw invalid(`study.plan.dataClasses[${at}]`, `is not in the plan ${plan.id}`)
  return plan.only(...(dataClasses as string[]))
}

/**
 * Loads a study from where it is published. The portal says which addresses those may be: a link that a participant
 * was sent must not lead their record to another study.
 *
 * @example await loadStudy(link, { allow: ['https://studies.example/'], plans: [usCore] })
 * @throws SmartError `CONFIG_INVALID`, `CONFIG_INSECURE_URL`, `SHARE_UNREACHABLE`
 */
export async function loadStudy(
  url: string,
  options: {
    /** Addresses at or below which studies may be. */
    readonly allow: readonly string[]
    readonly plans: readonly Plan[]
    readonly signal?: AbortSignal
    readonly platform?: Pick<Platform, 'fetch' | 'clock'>
  },
): Promise<Study> {
  const { allow, signal, platform = { fetch: ambientFetch, clock: ambientClock } } = options
  const target = parseUrl(url)
  const allowed = allow.map((base) => parseUrl(base)).filter((base) => base !== undefined)
  if (!target || !allowed.some((base) => isWithin(target, base)))
    throw invalid('the address of the study', 'is not one that this portal allows')
  if (!isSecure(target))
    throw new SmartError('CONFIG_INSECURE_URL', 'the address of the study is neither https nor loopback')
  const transport = createTransport(platform)
  const request = {
    url,
    headers: { accept: 'application/json' },
    maxBytes: 1024 * 1024,
    totalTimeout: 30_000,
  }
  const answer = await transport({ ...request, ...(signal ? { signal } : {}) }).catch((cause: unknown) => {
    if (signal?.aborted) throw signal.reason
    throw new SmartError('SHARE_UNREACHABLE', 'the study cannot be loaded', { cause })
  })
  if (answer.status !== 200)
    throw new SmartError('SHARE_UNREACHABLE', 'the study cannot be loaded', { status: answer.status })
  return readStudy(parseJson(answer.text()), options)
}

const invalid = (path: string, what: string): SmartError =>
  new SmartError('CONFIG_INVALID', `${path} ${what}`)
