import { isObject, stringAt, stringsAt } from '../util/json.js'
import { isPathSegment } from '../util/url.js'

/** A resource of the launch context beside patient and encounter. At least one of the first three is there. */
export interface ContextResource {
  /** Relative to the FHIR base, such as `ImagingStudy/123`. */
  readonly reference?: string
  readonly canonical?: string
  readonly identifier?: Readonly<Record<string, unknown>>
  readonly type?: string
  /** What it is for; `launch` unless the EHR says otherwise. */
  readonly role: string
}

/** What the EHR said about the launch beside the token. Every member is optional and from the server. */
export interface LaunchContext {
  readonly patient?: string
  readonly encounter?: string
  /** The FHIR resource of the person who signed in, as a URL relative to the FHIR base or absolute. */
  readonly fhirUser?: string
  readonly fhirContext?: readonly ContextResource[]
  readonly needPatientBanner?: boolean
  readonly smartStyleUrl?: string
  readonly intent?: string
  readonly tenant?: string
  /** Members that an extension of SMART defined: those named by a URI, or with two underscores in front. */
  readonly extensions?: Readonly<Record<string, unknown>>
}

/**
 * Reads the launch context from a token response. What is malformed is left out.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#launch-context-arrives-with-your-access_token
 */
export function readContext(response: Record<string, unknown>): LaunchContext {
  const banner = response.need_patient_banner
  const fhirContext = readFhirContext(response.fhirContext)
  const extensions = Object.entries(response).filter(
    ([name]) => /^(__|https?:)/.test(name) && name !== '__proto__',
  )
  const members = {
    patient: logicalId(stringAt(response, 'patient')),
    encounter: logicalId(stringAt(response, 'encounter'), 'Encounter'),
    fhirUser: stringAt(response, 'fhirUser'),
    fhirContext: fhirContext.length === 0 ? undefined : Object.freeze(fhirContext),
    // Some servers send the word.
    needPatientBanner: { true: true, false: false }[String(banner)],
    smartStyleUrl: stringAt(response, 'smart_style_url'),
    intent: stringAt(response, 'intent'),
    tenant: stringAt(response, 'tenant'),
    extensions: extensions.length === 0 ? undefined : Object.freeze(Object.fromEntries(extensions)),
  }
  return Object.freeze(Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)))
}

// SMART 2.0 had strings here, 2.1 and later have objects.
function readFhirContext(value: unknown): ContextResource[] {
  if (!Array.isArray(value)) return []
  return value.slice(0, 100).flatMap((item): ContextResource[] => {
    const given = typeof item === 'string' ? { reference: item } : item
    if (!isObject(given)) return []
    const role = stringAt(given, 'role') ?? 'launch'
    const reference = stringAt(given, 'reference')
    const canonical = stringAt(given, 'canonical')
    const type = stringAt(given, 'type')
    const identifier = isObject(given.identifier) ? given.identifier : undefined
    if (reference === undefined && canonical === undefined && identifier === undefined) return []
    // SMART 2.2: a patient or encounter stands here only with a role of its own; otherwise it is a member by itself.
    if (role === 'launch' && /^(Patient|Encounter)\//.test(reference ?? '')) return []
    return [
      Object.freeze({
        role,
        ...(reference === undefined ? {} : { reference }),
        ...(canonical === undefined ? {} : { canonical }),
        ...(identifier === undefined ? {} : { identifier }),
        ...(type === undefined ? {} : { type }),
      }),
    ]
  })
}

/**
 * What one grant allows at one or more FHIR servers.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#experimental-authorization-details
 */
export interface AuthorizationDetail {
  /** FHIR base URLs that the token is good for. */
  readonly locations: readonly string[]
  readonly fhirVersions: readonly string[]
  /** Overrides what the grant says as a whole. */
  readonly scope?: string
  readonly context: LaunchContext
}

/** The `authorization_details` of type `smart_on_fhir` in a token response; none when there are none. */
export function readDetails(response: Record<string, unknown>): AuthorizationDetail[] {
  const given = response.authorization_details
  if (!Array.isArray(given)) return []
  return given
    .slice(0, 20)
    .filter(isObject)
    .filter((detail) => detail.type === 'smart_on_fhir')
    .map((detail) => {
      const scope = typeof detail.scope === 'string' ? detail.scope : undefined
      return Object.freeze({
        locations: Object.freeze(stringsAt(detail, 'locations')),
        fhirVersions: Object.freeze(stringsAt(detail, 'fhirVersions')),
        ...(scope === undefined ? {} : { scope }),
        context: readContext(detail),
      })
    })
}

/** Later context over earlier: what a refresh leaves out stays as it was. */
export function mergeContext(before: LaunchContext, after: LaunchContext): LaunchContext {
  return Object.freeze({ ...before, ...after })
}

/** The id in a logical id, a reference or a URL; undefined for what is none. */
export function logicalId(value: string | undefined, type = 'Patient'): string | undefined {
  if (value === undefined) return undefined
  const segments = value.split('/_history/')[0]?.split('/') ?? []
  const id = segments.at(-2) === type ? segments.at(-1) : value
  // It becomes part of URLs. Real ones can be longer than FHIR's 64 characters, but hold nothing else.
  return isPathSegment(id) ? id : undefined
}
