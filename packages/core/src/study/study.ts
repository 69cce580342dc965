import { SmartError } from '../errors.js'
import type { Plan } from '../plans/plan.js'
import { isObject } from '../util/json.js'
import { isSecure, parseUrl } from '../util/url.js'

/** A study: what it asks for, why, and where it receives it. */
export interface Study<Name extends string = string> {
  readonly id: string
  readonly title: string
  /** Why the study asks, in words for the participant. */
  readonly purpose: string
  readonly plan: Plan<Name>
  /** URL of the study's inbox; nothing is delivered anywhere else. */
  readonly recipient: string
  /** What the participant agrees to. A changed text needs a new version and a new consent. */
  readonly consent: { readonly version: string; readonly text: string }
  readonly sponsor?: string
  /** Whom a participant can ask. */
  readonly contact?: string
}

/**
 * Describes a study.
 *
 * @throws SmartError `CONFIG_INVALID` or `CONFIG_INSECURE_URL`, naming the path of what is wrong
 */
export function defineStudy<Name extends string>(study: Study<Name>): Study<Name> {
  if (!isObject(study)) throw invalid('study', 'is not an object')
  if (typeof study.id !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(study.id)) {
    throw invalid('study.id', 'is not 1 to 64 letters, digits, dots, dashes and underscores')
  }
  for (const key of ['title', 'purpose', 'recipient'] as const) needText(study[key], `study.${key}`)
  for (const key of ['sponsor', 'contact'] as const) {
    if (study[key] !== undefined) needText(study[key], `study.${key}`)
  }
  if (!isObject(study.consent)) throw invalid('study.consent', 'is missing')
  for (const key of ['version', 'text'] as const) needText(study.consent[key], `study.consent.${key}`)
  if (!isObject(study.plan) || !Array.isArray(study.plan.classes) || study.plan.classes.length === 0) {
    throw invalid('study.plan', 'is not a plan with data classes')
  }
  const url = parseUrl(study.recipient)
  if (!url) throw invalid('study.recipient', 'is not an https URL without credentials')
  if (!isSecure(url)) {
    throw new SmartError(
      'CONFIG_INSECURE_URL',
      'study.recipient is neither https nor on the loopback interface',
    )
  }
  return Object.freeze({ ...study, consent: Object.freeze({ ...study.consent }) })
}

function needText(value: unknown, path: string): void {
  if (typeof value !== 'string' || value.trim() === '') throw invalid(path, 'is not a text')
}

const invalid = (path: string, what: string): SmartError =>
  new SmartError('CONFIG_INVALID', `${path} ${what}`)
