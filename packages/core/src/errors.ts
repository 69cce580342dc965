/** What whoever catches the error can do about it. */
export type Remedy = 'retry' | 'reconnect' | 'ask-participant' | 'configure' | 'contact-provider'

// Grouped by who can mend it; what each means stands in error-table.ts, which no bundle needs.
const codes = {
  retry: [
    'DISCOVERY_UNREACHABLE',
    'AUTHORIZATION_STATE_UNKNOWN',
    'AUTHORIZATION_EXPIRED',
    'AUTHORIZATION_INTERRUPTED',
    'TOKEN_UNREACHABLE',
    'TOKEN_REFUSED',
    'FHIR_UNREACHABLE',
    'FHIR_TIMEOUT',
    'FHIR_RATE_LIMITED',
    'FHIR_SERVER_ERROR',
    'FHIR_CONFLICT',
    'SHARE_UNREACHABLE',
    'SHARE_INBOX_FULL',
  ],
  reconnect: ['TOKEN_PATIENT_CHANGED', 'TOKEN_ENDED', 'FHIR_UNAUTHORIZED'],
  'ask-participant': [
    'AUTHORIZATION_DENIED',
    'AUTHORIZATION_POPUP_CLOSED',
    'FHIR_FORBIDDEN',
    'SHARE_CONSENT_INVALID',
    'SHARE_NOTHING',
    'SHARE_WITHDRAWN',
  ],
  configure: [
    'CONFIG_INVALID',
    'CONFIG_UNKNOWN_PROVIDER',
    'CONFIG_INSECURE_URL',
    'CONFIG_STORAGE_FAILED',
    'CONFIG_PRIVATE_ADDRESS',
    'DISCOVERY_TOKEN_ORIGIN',
    'LAUNCH_UNKNOWN_ISSUER',
    'LAUNCH_FRAMED',
    'TOKEN_CLIENT_REFUSED',
    'SHARE_KEY_REFUSED',
  ],
  'contact-provider': [
    'CONFIG_REGISTRATION_REFUSED',
    'DISCOVERY_INVALID',
    'LAUNCH_INVALID',
    'AUTHORIZATION_RESPONSE_INVALID',
    'AUTHORIZATION_ISSUER_MISMATCH',
    'AUTHORIZATION_FAILED',
    'TOKEN_RESPONSE_INVALID',
    'TOKEN_PATIENT_MISSING',
    'FHIR_NOT_FOUND',
    'FHIR_GONE',
    'FHIR_BAD_REQUEST',
    'FHIR_RESPONSE_INVALID',
    'FHIR_RESPONSE_TOO_LARGE',
    'FHIR_FOREIGN_URL',
    'FHIR_REDIRECTED',
    'SHARE_REFUSED',
    'SHARE_RECEIPT_INVALID',
    'SHARE_SEAL_INVALID',
  ],
} as const
codes satisfies Record<Remedy, readonly string[]>

export type ErrorCode = (typeof codes)[Remedy][number]

/** Who can mend an error of this code. */
export function remedyOf(code: ErrorCode): Remedy {
  const found = Object.entries(codes).find(([, group]) => (group as readonly string[]).includes(code))
  return found?.[0] as Remedy
}

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
    this.remedy = remedyOf(code)
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
