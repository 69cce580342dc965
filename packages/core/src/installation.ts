/**
 * Lasting access for public apps at providers that give it to registered installations only.
 *
 * @module
 */
import { type Connection, coreOf, openConnection } from './connection.js'
import { SmartError } from './errors.js'
import { signJwt } from './smart/jws.js'
import { registerClient } from './smart/register.js'
import { requestTokens } from './smart/token.js'
import { applyTokens, loadConnection, type StoredConnection, saveConnection } from './stored-connection.js'
import { tokenClientOf } from './tokens.js'
import { base64url, randomToken } from './util/bytes.js'

export interface InstallationOptions {
  /** The key pair of this installation, RSA (RS384) or P-384 (ES384); its private half need not be extractable. */
  readonly keys: CryptoKeyPair
  readonly signal?: AbortSignal
}

/**
 * Gives a public app lasting access where the provider gives none through a refresh token: registers this
 * installation with a key of its own, and asks for tokens with it. Keep the key pair where it cannot be exported.
 *
 * Call it right after connecting, while the access token is fresh. Call it again with the same keys whenever access
 * is about to end: the registration is made once.
 *
 * @throws SmartError `CONFIG_REGISTRATION_REFUSED` where the provider does not offer it: access stays one-time
 * @see https://www.rfc-editor.org/rfc/rfc7591#section-3
 * @see https://www.rfc-editor.org/rfc/rfc7523#section-2.1
 */
export async function renewByInstallation(
  connection: Connection,
  options: InstallationOptions,
): Promise<Connection> {
  const { world, key } = coreOf(connection)
  const { platform, transport, provider } = world
  const trait = provider.vendor?.installation?.value
  const subject = provider.id
  if (!trait)
    throw new SmartError('CONFIG_INVALID', `nothing is known of installations at ${provider.name}`, {
      subject,
    })
  const signal = options.signal ? { signal: options.signal } : {}
  return platform.lock(key, async () => {
    const current = await loadConnection(platform, key)
    if (!current) throw new SmartError('TOKEN_ENDED', 'the connection is no longer stored here', { subject })
    let stored: StoredConnection = current
    const { crypto } = platform
    const kid = current.installation ?? base64url(crypto.getRandomValues(new Uint8Array(12)))
    if (current.installation === undefined) {
      const endpoint = current.endpoints.registration ?? new URL(trait.path, current.endpoints.token).href
      const { kty, n, e, crv, x, y } = await crypto.subtle.exportKey('jwk', options.keys.publicKey)
      const jwk = kty === 'RSA' ? { kty, n, e, kid } : { kty, crv, x, y, kid }
      const bearer = await coreOf(connection).keeper.access(undefined, options.signal)
      const metadata = { software_id: current.clientId, jwks: { keys: [jwk] } }
      const { clientId } = await registerClient(transport, endpoint, metadata, { bearer, ...signal })
      stored = { ...current, clientId, installation: kid }
      await saveConnection(platform, key, stored)
    }
    const seconds = Math.floor(transport.serverNow(stored.endpoints.token) / 1000)
    const claims = {
      iss: stored.clientId,
      sub: stored.clientId,
      aud: stored.endpoints.token,
      jti: randomToken(crypto, 16),
      iat: seconds,
      exp: seconds + 240,
    }
    const assertion = await signJwt(crypto, options.keys.privateKey, { kid }, claims)
    const body = new URLSearchParams({ grant_type: jwtBearer, assertion })
    const client = tokenClientOf(stored, provider)
    const tokens = await requestTokens({ transport, crypto }, client, body, options.signal)
    if (tokens.context.patient !== undefined && tokens.context.patient !== stored.patient)
      throw new SmartError('TOKEN_PATIENT_CHANGED', `${provider.name} now answers for another patient`, {
        subject,
      })
    const renewed = applyTokens(stored, tokens, platform.clock.now())
    await saveConnection(platform, key, renewed)
    return openConnection(key, renewed, world)
  })
}

const jwtBearer = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
