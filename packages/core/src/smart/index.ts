/**
 * SMART App Launch step by step, for those who bring their own state: each function does one step and keeps nothing.
 * Most apps want `createClient` of `@s4s/core`, which walks them in order.
 *
 * @example
 * const configuration = await discover(transport, provider)
 * const { url, pending } = await prepareAuthorization(crypto, { provider, configuration, plan, redirectUri, now })
 * // … the participant comes back with `callback`
 * const code = checkCallback(readCallback(callback), pending, provider.name)
 * const tokens = await exchangeCode({ transport, crypto }, client, { code, redirectUri, verifier: pending.verifier })
 * @module
 */

export { Secret } from '../util/secret.js'
export {
  createTransport,
  type Transport,
  TransportError,
  type TransportFault,
  type TransportRequest,
  type TransportResponse,
} from '../util/transport.js'
export { isWithin } from '../util/url.js'

// discovery

export { type CapabilitySet, capabilitySets, supports } from './capabilities.js'
export { type AssociatedEndpoint, discover, type SmartConfiguration } from './configuration.js'
export { type ClientAuth, type ClientAuthRequest, defineProviders, type Provider } from './provider.js'

// launch

export {
  type AccessWanted,
  type AuthorizationDraft,
  type AuthorizationForm,
  type BoundEndpoints,
  bind,
  challengeOf,
  dialectOf,
  type PendingLaunch,
  type PreparedAuthorization,
  prepareAuthorization,
} from './authorize.js'
export { type CallbackParameters, checkCallback, isCallback, readCallback } from './callback.js'
export { isLaunch, readLaunch } from './launch.js'
export {
  actionOf,
  allows,
  compareScopes,
  covers,
  type FhirInteraction,
  granular,
  launchScope,
  type MissingScope,
  narrow,
  normalize,
  parseScope,
  printScope,
  type ResourceScope,
  type ScopeComparison,
  type ScopeDialect,
  type ScopeRequest,
  scopeFromUri,
  scopesOf,
  scopeToUri,
  splitScopes,
} from './scopes.js'

// tokens

export {
  type AuthorizationDetail,
  type ContextResource,
  type LaunchContext,
  mergeContext,
  readContext,
  readDetails,
} from './context.js'
export {
  type Identity,
  type IdentityCheck,
  type IdentityProblem,
  type IdentityRequest,
  type IdTokenOptions,
  idToken,
  userPath,
} from './identity.js'
export { type IntrospectionOptions, introspectToken, type TokenState } from './introspect.js'
export { algorithmOf, type Signer, type SigningAlgorithm, signJwt } from './jws.js'
export { type Registration, registerClient } from './register.js'
export {
  exchangeCode,
  type RevocationAnswer,
  refreshTokens,
  requestTokens,
  revokeToken,
  type TokenClient,
  type Tokens,
  type TokenWorld,
} from './token.js'
