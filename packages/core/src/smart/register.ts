import { SmartError } from '../errors.js'
import { isObject, parseJson, stringAt, stringsAt } from '../util/json.js'
import { Secret } from '../util/secret.js'
import { type Transport, TransportError } from '../util/transport.js'

/** What a registration gave: the id that this server knows the app by. */
export interface Registration {
  readonly clientId: string
  readonly clientSecret?: Secret
  /** For reading or changing the registration later (RFC 7592). */
  readonly accessToken?: Secret
  readonly registrationUri?: string
  readonly grantTypes: readonly string[]
}

/**
 * Registers an app with a server.
 *
 * @param metadata Client metadata in the names of RFC 7591, such as `redirect_uris` and `token_endpoint_auth_method`.
 * @param options.bearer An initial access token, where the server wants one.
 * @throws SmartError `CONFIG_REGISTRATION_REFUSED`, `TOKEN_UNREACHABLE`
 * @see https://www.rfc-editor.org/rfc/rfc7591#section-3
 */
export async function registerClient(
  transport: Transport,
  endpoint: string,
  metadata: Readonly<Record<string, unknown>>,
  options: { readonly bearer?: Secret; readonly signal?: AbortSignal } = {},
): Promise<Registration> {
  const { bearer, signal } = options
  const refused = (status?: number, reason?: string): SmartError =>
    new SmartError('CONFIG_REGISTRATION_REFUSED', 'the authorization server did not register this app', {
      ...(status === undefined ? {} : { status }),
      ...(reason === undefined ? {} : { reason }),
    })
  const answer = await transport({
    url: endpoint,
    method: 'POST',
    headers: { accept: 'application/json', 'content-type': 'application/json' },
    body: JSON.stringify(metadata),
    within: [endpoint],
    maxBytes: 1024 * 1024,
    totalTimeout: 60_000,
    ...(bearer ? { bearer } : {}),
    ...(signal ? { signal } : {}),
  }).catch((error: unknown) => {
    const passing =
      error instanceof TransportError && (error.fault === 'unreachable' || error.fault === 'timeout')
    throw passing
      ? new SmartError('TOKEN_UNREACHABLE', 'the registration endpoint does not answer', { cause: error })
      : error instanceof TransportError
        ? refused()
        : error
  })
  const value = parseJson(answer.text())
  if (answer.status >= 500)
    throw new SmartError('TOKEN_UNREACHABLE', 'the registration endpoint fails', { status: answer.status })
  const clientId = stringAt(value, 'client_id')
  if (answer.status < 200 || answer.status > 299 || !isObject(value) || clientId === undefined)
    throw refused(answer.status, stringAt(value, 'error'))
  const secret = stringAt(value, 'client_secret')
  const accessToken = stringAt(value, 'registration_access_token')
  const registrationUri = stringAt(value, 'registration_client_uri')
  return Object.freeze({
    clientId,
    ...(secret === undefined ? {} : { clientSecret: new Secret(secret) }),
    ...(accessToken === undefined ? {} : { accessToken: new Secret(accessToken) }),
    ...(registrationUri === undefined ? {} : { registrationUri }),
    grantTypes: Object.freeze(stringsAt(value, 'grant_types')),
  })
}
