/** What whoever catches the error can do about it. */
export type Remedy = 'retry' | 'reconnect' | 'ask-participant' | 'configure' | 'contact-provider'

/**
 * Every error of the SDK: its code, who can mend it, and what it means.
 * docs/errors.md is made from this table.
 */
export const errorTable = {
  CONFIG_INVALID: { remedy: 'configure', means: 'An option is missing, malformed or contradicts another.' },
  CONFIG_UNKNOWN_PROVIDER: {
    remedy: 'configure',
    means: 'The provider is not in the list the client was made with.',
  },
  CONFIG_INSECURE_URL: {
    remedy: 'configure',
    means: 'A URL is not https and not on the loopback interface.',
  },
  CONFIG_STORAGE_FAILED: { remedy: 'configure', means: 'The store could not be read or written.' },

  DISCOVERY_UNREACHABLE: {
    remedy: 'retry',
    means: 'The provider’s configuration could not be fetched: no network, an outage, or no CORS.',
  },
  DISCOVERY_INVALID: {
    remedy: 'contact-provider',
    means: 'The provider’s configuration lacks what the launch needs, or is not JSON.',
  },

  LAUNCH_INVALID: {
    remedy: 'contact-provider',
    means: 'The launch URL lacks iss or launch, or holds one of them twice.',
  },
  LAUNCH_UNKNOWN_ISSUER: {
    remedy: 'configure',
    means: 'The launch names an EHR that is not in the list of providers; nothing was sent to it.',
  },

  AUTHORIZATION_STATE_UNKNOWN: {
    remedy: 'retry',
    means:
      'The callback belongs to no launch of this session: forged, from another browser, or its storage is gone.',
  },
  AUTHORIZATION_EXPIRED: {
    remedy: 'retry',
    means: 'The participant came back after the pending launch had expired.',
  },
  AUTHORIZATION_INTERRUPTED: {
    remedy: 'retry',
    means: 'The code was sent but its answer was lost; a code works only once, so the launch starts again.',
  },
  AUTHORIZATION_RESPONSE_INVALID: {
    remedy: 'contact-provider',
    means: 'The callback repeats a parameter or holds neither a code nor an error.',
  },
  AUTHORIZATION_ISSUER_MISMATCH: {
    remedy: 'contact-provider',
    means: 'The callback comes from another authorization server than the launch went to.',
  },
  AUTHORIZATION_DENIED: {
    remedy: 'ask-participant',
    means: 'The participant, or the provider on their behalf, said no.',
  },
  AUTHORIZATION_FAILED: {
    remedy: 'contact-provider',
    means: 'The authorization server refused the launch for a reason other than the participant’s answer.',
  },

  TOKEN_UNREACHABLE: {
    remedy: 'retry',
    means: 'The token endpoint did not answer, or answered with a server error. No access was lost.',
  },
  TOKEN_REFUSED: { remedy: 'retry', means: 'The token endpoint refused the request in a way that may pass.' },
  TOKEN_CLIENT_REFUSED: {
    remedy: 'configure',
    means: 'The authorization server does not accept this client id or its credentials.',
  },
  TOKEN_RESPONSE_INVALID: {
    remedy: 'contact-provider',
    means: 'The token response lacks an access token or has a token type that is not Bearer.',
  },
  TOKEN_PATIENT_MISSING: {
    remedy: 'contact-provider',
    means: 'Access was granted without saying to which patient.',
  },
  TOKEN_PATIENT_CHANGED: {
    remedy: 'reconnect',
    means: 'A refresh answered with another patient; the connection was stopped.',
  },
  TOKEN_ENDED: {
    remedy: 'reconnect',
    means: 'Access has ended: it was one-time and has expired, or it was revoked.',
  },

  FHIR_UNREACHABLE: {
    remedy: 'retry',
    means: 'The FHIR server did not answer: no network, an outage, or no CORS.',
  },
  FHIR_TIMEOUT: { remedy: 'retry', means: 'The FHIR server did not finish its answer before the deadline.' },
  FHIR_UNAUTHORIZED: {
    remedy: 'reconnect',
    means: 'The FHIR server refuses the access token although it should be valid.',
  },
  FHIR_FORBIDDEN: { remedy: 'ask-participant', means: 'The grant does not cover this.' },
  FHIR_NOT_FOUND: {
    remedy: 'contact-provider',
    means: 'The FHIR server has no such resource or does not know the type.',
  },
  FHIR_GONE: {
    remedy: 'contact-provider',
    means: 'The resource was deleted, or a page of results has expired.',
  },
  FHIR_BAD_REQUEST: { remedy: 'contact-provider', means: 'The FHIR server refuses this query.' },
  FHIR_RATE_LIMITED: { remedy: 'retry', means: 'The FHIR server asks to slow down.' },
  FHIR_SERVER_ERROR: { remedy: 'retry', means: 'The FHIR server failed.' },
  FHIR_RESPONSE_INVALID: {
    remedy: 'contact-provider',
    means: 'The answer is not the FHIR resource that was asked for.',
  },
  FHIR_RESPONSE_TOO_LARGE: { remedy: 'contact-provider', means: 'The answer passes the size limit.' },
  FHIR_FOREIGN_URL: {
    remedy: 'contact-provider',
    means: 'A link or reference points outside the provider’s FHIR base; it was not followed.',
  },
  FHIR_REDIRECTED: {
    remedy: 'contact-provider',
    means: 'The FHIR server redirects; redirects are not followed with a token.',
  },

  SHARE_CONSENT_INVALID: {
    remedy: 'ask-participant',
    means: 'There is no valid consent to this sharing: missing, expired, for another study, or altered.',
  },
  SHARE_NOTHING: {
    remedy: 'ask-participant',
    means: 'Nothing that was collected is covered by the consent.',
  },
  SHARE_UNREACHABLE: {
    remedy: 'retry',
    means: 'The study’s inbox did not answer. Nothing was lost; the same call delivers once.',
  },
  SHARE_KEY_REFUSED: { remedy: 'configure', means: 'The study’s inbox does not accept the study key.' },
  SHARE_INBOX_FULL: { remedy: 'retry', means: 'The study’s inbox has no room. Nothing was stored in part.' },
  SHARE_REFUSED: { remedy: 'contact-provider', means: 'The study’s inbox refused the package.' },
  SHARE_RECEIPT_INVALID: {
    remedy: 'contact-provider',
    means: 'The receipt does not match the package that was sent.',
  },
  SHARE_WITHDRAWN: { remedy: 'ask-participant', means: 'The participant has withdrawn this consent.' },
} as const
errorTable satisfies Record<string, { remedy: Remedy; means: string }>

export type ErrorCode = keyof typeof errorTable

export interface SmartErrorDetails {
  /** The provider's or study's id. */
  readonly subject?: string
  /** The HTTP status that led here. */
  readonly status?: number
  /** Seconds the server asked to wait. */
  readonly retryAfter?: number
  /** An OAuth error code or FHIR issue type that a registry knows; whatever else a server says is left out. */
  readonly reason?: string
  readonly cause?: unknown
}

/**
 * The one error class of the SDK. Act on `code` and `remedy`; show neither `message` nor `cause` to a participant.
 * No token, URL query, body or health data is in any of its fields.
 */
export class SmartError extends Error {
  readonly code: ErrorCode
  readonly remedy: Remedy
  readonly subject?: string
  readonly status?: number
  readonly retryAfter?: number
  readonly reason?: string

  constructor(code: ErrorCode, message: string, details: SmartErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: strip(details.cause) })
    this.name = 'SmartError'
    this.code = code
    this.remedy = errorTable[code].remedy
    if (details.subject !== undefined) this.subject = details.subject
    if (details.status !== undefined) this.status = details.status
    if (details.retryAfter !== undefined) this.retryAfter = details.retryAfter
    const reason = details.reason === undefined ? undefined : knownReason(details.reason)
    if (reason !== undefined) this.reason = reason
  }

  toJSON(): Record<string, unknown> {
    const { name, code, remedy, message, subject, status, retryAfter, reason } = this
    return { name, code, remedy, message, subject, status, retryAfter, reason }
  }
}

/** True for an error of this SDK, also one that another copy of it threw. */
export function isSmartError(error: unknown): error is SmartError {
  return error instanceof Error && error.name === 'SmartError' && 'code' in error && 'remedy' in error
}

/** True when the caller's own `AbortSignal` ended the work. */
export function isAbort(error: unknown, signal?: AbortSignal): boolean {
  return (
    signal?.aborted === true &&
    (error === signal.reason || (error as Error | undefined)?.name === 'AbortError')
  )
}

// A foreign error may hold a response body with tokens (oauth4webapi's do), so only its name and code go on.
function strip(cause: unknown): unknown {
  if (isSmartError(cause)) return cause
  if (!(cause instanceof Error)) return undefined
  const inner = cause.cause instanceof Error ? (cause.cause as Error & { code?: unknown }).code : undefined
  const code = (cause as Error & { code?: unknown }).code ?? inner
  const stripped = new Error(systemCode(code))
  stripped.name = cause.name
  delete stripped.stack
  return stripped
}

// Servers choose these strings, and one could be a token or a name: only what a registry lists goes on.
function knownReason(reason: string): string | undefined {
  return knownReasons.has(reason) ? reason : undefined
}

// RFC 6749 §4.1.2.1 and §5.2, RFC 7009 §2.2.1, OpenID Connect Core §3.1.2.6; then FHIR R4's issue types.
const knownReasons: ReadonlySet<string> = new Set(
  `access_denied invalid_request unauthorized_client unsupported_response_type invalid_scope server_error
  temporarily_unavailable invalid_client invalid_grant unsupported_grant_type unsupported_token_type
  interaction_required login_required consent_required invalid_target
  invalid structure required value invariant security login unknown expired forbidden suppressed processing
  not-supported duplicate multiple-matches not-found deleted too-long code-invalid extension too-costly
  business-rule conflict transient lock-error no-store exception timeout incomplete throttled informational`.split(
    /\s+/,
  ),
)

// The name of a system error, such as ECONNREFUSED.
function systemCode(code: unknown): string {
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{2,40}$/.test(code) ? code : ''
}
