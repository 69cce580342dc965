import { type ErrorCode, type Remedy, remedyOf } from './errors.js'

const meanings: Readonly<Record<ErrorCode, string>> = {
  CONFIG_INVALID: 'An option is missing, malformed or contradicts another.',
  CONFIG_UNKNOWN_PROVIDER: 'The provider is not in the list the client was made with.',
  CONFIG_INSECURE_URL: 'A URL is not https and not on the loopback interface.',
  CONFIG_STORAGE_FAILED: 'The store could not be read or written.',
  CONFIG_PRIVATE_ADDRESS:
    'A URL leads to an address inside a private network that no listed provider is at; nothing was sent.',
  CONFIG_REGISTRATION_REFUSED:
    'The authorization server does not register this app, or answered with no client id.',

  DISCOVERY_UNREACHABLE:
    'The provider’s configuration could not be fetched: no network, an outage, or no CORS.',
  DISCOVERY_INVALID: 'The provider’s configuration lacks what the launch needs, or is not JSON.',
  DISCOVERY_TOKEN_ORIGIN:
    'The provider names a token endpoint at another origin than before, or at another provider’s; nothing was sent there. Ask the provider, then list the origin.',

  LAUNCH_INVALID: 'The launch URL lacks iss or launch, or holds one of them twice.',
  LAUNCH_UNKNOWN_ISSUER:
    'The launch names an EHR that is not in the list of providers; nothing was sent to it.',
  LAUNCH_FRAMED:
    'The page is inside a frame of another site, which could trick a participant into connecting or sharing.',

  AUTHORIZATION_STATE_UNKNOWN:
    'The callback belongs to no launch of this session: forged, from another browser, or its storage is gone.',
  AUTHORIZATION_EXPIRED: 'The participant came back after the pending launch had expired.',
  AUTHORIZATION_INTERRUPTED:
    'The code was sent but its answer was lost; a code works only once, so the launch starts again.',
  AUTHORIZATION_RESPONSE_INVALID: 'The callback repeats a parameter or holds neither a code nor an error.',
  AUTHORIZATION_ISSUER_MISMATCH:
    'The callback comes from another authorization server than the launch went to.',
  AUTHORIZATION_DENIED: 'The participant, or the provider on their behalf, said no.',
  AUTHORIZATION_FAILED:
    'The authorization server refused the launch for a reason other than the participant’s answer.',
  AUTHORIZATION_POPUP_CLOSED: 'The participant closed the sign-in window before the end.',

  TOKEN_UNREACHABLE:
    'The token endpoint did not answer, or answered with a server error. No access was lost.',
  TOKEN_REFUSED: 'The token endpoint refused the request in a way that may pass.',
  TOKEN_CLIENT_REFUSED: 'The authorization server does not accept this client id or its credentials.',
  TOKEN_RESPONSE_INVALID: 'The token response lacks an access token or has a token type that is not Bearer.',
  TOKEN_PATIENT_MISSING: 'Access was granted without saying to which patient.',
  TOKEN_PATIENT_CHANGED: 'A refresh answered with another patient; the connection was stopped.',
  TOKEN_ENDED: 'Access has ended: it was one-time and has expired, or it was revoked.',

  FHIR_UNREACHABLE: 'The FHIR server did not answer: no network, an outage, or no CORS.',
  FHIR_TIMEOUT: 'The FHIR server did not finish its answer before the deadline.',
  FHIR_UNAUTHORIZED: 'The FHIR server refuses the access token although it should be valid.',
  FHIR_FORBIDDEN: 'The grant does not cover this.',
  FHIR_NOT_FOUND: 'The FHIR server has no such resource or does not know the type.',
  FHIR_GONE: 'The resource was deleted, or a page of results has expired.',
  FHIR_BAD_REQUEST: 'The FHIR server refuses this query.',
  FHIR_RATE_LIMITED: 'The FHIR server asks to slow down.',
  FHIR_SERVER_ERROR: 'The FHIR server failed.',
  FHIR_RESPONSE_INVALID: 'The answer is not the FHIR resource that was asked for.',
  FHIR_RESPONSE_TOO_LARGE: 'The answer passes the size limit.',
  FHIR_FOREIGN_URL: 'A link or reference points outside the provider’s FHIR base; it was not followed.',
  FHIR_REDIRECTED: 'The FHIR server redirects; redirects are not followed with a token.',
  FHIR_CONFLICT: 'The resource has changed since it was read: read it again, then write.',

  SHARE_CONSENT_INVALID:
    'There is no valid consent to this sharing: missing, expired, for another study, or altered.',
  SHARE_NOTHING: 'Nothing that was collected is covered by the consent.',
  SHARE_UNREACHABLE: 'The study’s inbox did not answer. Nothing was lost; the same call delivers once.',
  SHARE_KEY_REFUSED: 'The study’s inbox does not accept the study key.',
  SHARE_INBOX_FULL: 'The study’s inbox has no room. Nothing was stored in part.',
  SHARE_REFUSED: 'The study’s inbox refused the package.',
  SHARE_RECEIPT_INVALID: 'The receipt does not match the package that was sent.',
  SHARE_SEAL_INVALID: 'A sealed package does not open: it was changed, or sealed to another key.',
  SHARE_WITHDRAWN: 'The participant has withdrawn this consent.',
}

/** Every error of the SDK: its code, who can mend it, and what it means. docs/errors.md is made from this table. */
export const errorTable: Readonly<Record<ErrorCode, { readonly remedy: Remedy; readonly means: string }>> =
  /* @__PURE__ */ tableOf(meanings)

function tableOf(means: Readonly<Record<ErrorCode, string>>): typeof errorTable {
  const rows = Object.entries(means).map(([code, text]) => [
    code,
    { remedy: remedyOf(code as ErrorCode), means: text },
  ])
  return Object.freeze(Object.fromEntries(rows)) as typeof errorTable
}
