import { SmartError } from '../errors.js'
import type { PendingLaunch } from './authorize.js'

/** What an authorization server sent back with the participant. */
export interface CallbackParameters {
  readonly state?: string
  readonly code?: string
  readonly error?: string
  readonly iss?: string
}

const known = ['state', 'code', 'error', 'error_description', 'error_uri', 'iss'] as const

/**
 * Reads the callback's parameters; unknown ones are ignored, a known one that stands twice is refused.
 *
 * @throws SmartError `AUTHORIZATION_RESPONSE_INVALID`
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2
 */
export function readCallback(url: string): CallbackParameters {
  let parameters: URLSearchParams
  try {
    parameters = new URL(url).searchParams
  } catch {
    throw new SmartError('AUTHORIZATION_RESPONSE_INVALID', 'the callback is not a URL')
  }
  for (const name of known) {
    if (parameters.getAll(name).length > 1) {
      throw new SmartError('AUTHORIZATION_RESPONSE_INVALID', `the callback holds ${name} twice`)
    }
  }
  const found: Record<string, string> = {}
  for (const name of ['state', 'code', 'error', 'iss'] as const) {
    const value = parameters.get(name)
    if (value !== null && value !== '') found[name] = value
  }
  return found
}

/** True when a URL looks like the answer of an authorization server. */
export function isCallback(url: string): boolean {
  try {
    const { searchParams } = new URL(url)
    return (searchParams.has('code') && searchParams.has('state')) || searchParams.has('error')
  } catch {
    return false
  }
}

/**
 * Holds a callback against the launch that it claims to answer, before its code is used.
 *
 * @throws SmartError `AUTHORIZATION_ISSUER_MISMATCH`, `AUTHORIZATION_DENIED`, `AUTHORIZATION_FAILED`, `AUTHORIZATION_RESPONSE_INVALID`
 * @see https://www.rfc-editor.org/rfc/rfc9207#section-2.4
 */
export function checkCallback(
  parameters: CallbackParameters,
  pending: PendingLaunch,
  providerName: string,
): string {
  const { issuer, issParameter } = pending.endpoints
  const subject = pending.provider
  if (issuer !== undefined) {
    const missing = parameters.iss === undefined
    if (missing ? issParameter : parameters.iss !== issuer) {
      throw new SmartError(
        'AUTHORIZATION_ISSUER_MISMATCH',
        `the callback is not from the server of ${providerName}`,
        { subject },
      )
    }
  }
  if (parameters.error !== undefined) {
    const reason = parameters.error
    if (reason === 'access_denied') {
      throw new SmartError('AUTHORIZATION_DENIED', `access at ${providerName} was not approved`, {
        subject,
        reason,
      })
    }
    throw new SmartError('AUTHORIZATION_FAILED', `${providerName} refused the launch`, { subject, reason })
  }
  if (parameters.code === undefined) {
    throw new SmartError(
      'AUTHORIZATION_RESPONSE_INVALID',
      `the callback from ${providerName} holds no code`,
      { subject },
    )
  }
  return parameters.code
}
