import { isObject, stringAt } from '../util/json.js'
import { isPathSegment } from '../util/url.js'

/** What the EHR said about the launch beside the token. Every member is optional and from the server. */
export interface LaunchContext {
  readonly patient?: string
  readonly encounter?: string
  /** The FHIR resource of the person who signed in, as a URL relative to the FHIR base or absolute. */
  readonly fhirUser?: string
  readonly needPatientBanner?: boolean
  readonly smartStyleUrl?: string
  readonly intent?: string
  readonly tenant?: string
}

/**
 * Reads the launch context from a token response.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#launch-context-arrives-with-your-access_token
 */
export function readContext(response: Record<string, unknown>): LaunchContext {
  const banner = response.need_patient_banner
  const members = {
    patient: logicalId(stringAt(response, 'patient')),
    encounter: logicalId(stringAt(response, 'encounter')),
    fhirUser: stringAt(response, 'fhirUser'),
    needPatientBanner:
      banner === true || banner === 'true'
        ? true
        : banner === false || banner === 'false'
          ? false
          : undefined,
    smartStyleUrl: stringAt(response, 'smart_style_url'),
    intent: stringAt(response, 'intent'),
    tenant: stringAt(response, 'tenant'),
  }
  return Object.freeze(Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)))
}

/** Later context over earlier: what a refresh leaves out stays as it was. */
export function mergeContext(before: LaunchContext, after: LaunchContext): LaunchContext {
  return Object.freeze({ ...before, ...after })
}

// The id becomes part of URLs. Real ones can be longer than FHIR's 64 characters, but hold nothing else.
function logicalId(value: string | undefined): string | undefined {
  if (value === undefined) return undefined
  const id = value.startsWith('Patient/') ? value.slice('Patient/'.length) : value
  return isPathSegment(id) ? id : undefined
}

/** A copy of a JSON object without its null members; undefined for what is not an object. */
export function withoutNulls(value: unknown): Record<string, unknown> | undefined {
  if (!isObject(value)) return undefined
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== null))
}
