import { type Connection, coreOf } from './connection.js'
import { SmartError } from './errors.js'
import { introspectToken, type TokenState } from './smart/introspect.js'
import { loadConnection } from './stored-connection.js'
import { tokenClientOf } from './tokens.js'
import { Secret } from './util/secret.js'

/**
 * Asks the provider whether a connection is still good, without reading from the record. `unknown` where the provider
 * does not offer to tell.
 *
 * @throws SmartError `TOKEN_UNREACHABLE`, `TOKEN_CLIENT_REFUSED`
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/token-introspection.html
 */
export async function introspect(
  connection: Connection,
  options: { readonly signal?: AbortSignal } = {},
): Promise<TokenState> {
  const { stored: known, world, key } = coreOf(connection)
  const { platform, transport, provider } = world
  const stored = (await loadConnection(platform, key)) ?? known
  const { introspection } = stored.endpoints
  if (introspection === undefined) return Object.freeze({ state: 'unknown' })
  const access = new Secret(stored.accessToken)
  const ask = (bearer?: Secret): Promise<TokenState> =>
    introspectToken(
      { transport, crypto: platform.crypto },
      tokenClientOf(stored, provider),
      introspection,
      access,
      {
        hint: 'access_token',
        ...(bearer ? { bearer } : {}),
        ...options,
      },
    )
  try {
    // SMART lets a token ask about itself; plain OAuth servers want the client's own credentials.
    return await ask(access)
  } catch (error) {
    if (!(error instanceof SmartError) || error.code !== 'TOKEN_CLIENT_REFUSED') throw error
    return ask()
  }
}
