import { SmartError } from '../errors.js'
import type { Plan } from '../plans/plan.js'
import type { CryptoPort } from '../ports.js'
import { isSecure, parseUrl } from '../util/url.js'
import type { Vendor } from '../vendors/vendor.js'
import type { SmartConfiguration } from './configuration.js'

/**
 * How a confidential client proves who it is at the token endpoint.
 * Made by `clientSecret` or `privateKeyJwt` of `@s4s/core/confidential`; a public client has none.
 */
export interface ClientAuth {
  readonly method: 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt'
  /** Adds the credentials to one request; called anew for each, since an assertion is used once. */
  authenticate(request: ClientAuthRequest): Promise<void>
}

export interface ClientAuthRequest {
  readonly clientId: string
  readonly tokenEndpoint: string
  /** What the server says it accepts, if it says so. */
  readonly methods?: readonly string[]
  readonly crypto: CryptoPort
  /** Epoch milliseconds by the server's clock, as far as its answers told it. */
  readonly now: number
  readonly body: URLSearchParams
  readonly headers: Headers
}

/** One EHR that the app is registered with. */
export interface Provider {
  /** The app's own short name for it, unique among its providers. */
  readonly id: string
  /** What the participant calls it. */
  readonly name: string
  /** The FHIR base URL exactly as the provider publishes it; sent verbatim as `aud`. */
  readonly iss: string
  /** The client id that this provider's authorization server assigned to the app. */
  readonly clientId: string
  readonly vendor?: Vendor
  readonly auth?: ClientAuth
  /** Scopes to request in place of those that follow from the plan, separated by spaces. */
  readonly scope?: string
  /** Scopes beside those that follow from the plan, such as one for app state. */
  readonly moreScopes?: readonly string[]
  /** Stands in place of what the server publishes, member by member. With both endpoints given nothing is asked. */
  readonly configuration?: Partial<SmartConfiguration>
  /**
   * Origins at which the provider may keep its token endpoint, such as `https://auth.mercy.example`. Without it, the
   * one seen first is kept, and another is refused until it is listed here.
   */
  readonly tokenOrigins?: readonly string[]
  /** The FHIR release that the base speaks; R4 unless given. */
  readonly fhirVersion?: 'DSTU2' | 'STU3' | 'R4'
  /** What to ask for here in place of the client’s plan, such as `argonaut` of `@s4s/core/plans` at a server of DSTU2. */
  readonly plan?: Plan
  /** Other origins whose attachments the provider serves to the same token, where the provider says so. */
  readonly attachmentOrigins?: readonly string[]
  /** Also sends `resource`, the name of `aud` in RFC 8707, for servers that know that one. */
  readonly sendResource?: boolean
}

/**
 * Checks a list of providers.
 *
 * @throws SmartError `CONFIG_INVALID` naming the entry and the field; `CONFIG_INSECURE_URL` for plain http off loopback.
 */
export function defineProviders(providers: readonly Provider[]): readonly Provider[] {
  const seen = new Set<string>()
  providers.forEach((provider, index) => {
    const at = `providers[${index}]`
    for (const field of ['id', 'name', 'iss', 'clientId'] as const) {
      if (typeof provider[field] !== 'string' || provider[field] === '') {
        throw new SmartError('CONFIG_INVALID', `${at}.${field} is missing`)
      }
    }
    if (!/^[A-Za-z0-9._-]{1,64}$/.test(provider.id)) {
      throw new SmartError(
        'CONFIG_INVALID',
        `${at}.id may hold letters, digits, dots, dashes and underscores`,
      )
    }
    if (seen.has(provider.id))
      throw new SmartError('CONFIG_INVALID', `${at}.id is used twice: ${provider.id}`)
    seen.add(provider.id)
    const url = parseUrl(provider.iss)
    if (url?.search !== '' || url.hash !== '') {
      throw new SmartError('CONFIG_INVALID', `${at}.iss is not a FHIR base URL`, { subject: provider.id })
    }
    if (!isSecure(url)) {
      throw new SmartError('CONFIG_INSECURE_URL', `${at}.iss must be https`, { subject: provider.id })
    }
    for (const [name, value] of Object.entries(provider.configuration ?? {})) {
      if (!/(Endpoint|Uri|Bundle)$/.test(name)) continue
      const given = parseUrl(String(value))
      if (!given || !isSecure(given)) {
        throw new SmartError('CONFIG_INSECURE_URL', `${at}.configuration.${name} must be an https URL`, {
          subject: provider.id,
        })
      }
    }
  })
  return Object.freeze(providers.map((provider) => Object.freeze({ ...provider })))
}
