// connect

export { ambientClock, ambientCrypto, ambientFetch } from './ambient.js'
export {
  type Authorization,
  type AuthorizeOptions,
  type CallbackOptions,
  type Client,
  type ClientOptions,
  createClient,
} from './client.js'
export type { Connection, Revocation } from './connection.js'
export { type ErrorCode, errorTable, isSmartError, type Remedy, SmartError } from './errors.js'
export type {
  AttachmentBytes,
  FhirResource,
  Outcome,
  Page,
  PageEntry,
  Reader,
  RequestOptions,
  Resource,
  ResourceOf,
  ResourceType,
  SearchParams,
  SearchResults,
} from './fhir/types.js'
export {
  type DataClass,
  definePlan,
  type Plan,
  type S4sPilotClass,
  s4sPilot,
  type UsCoreClass,
  usCore,
} from './plans/index.js'
export type { Clock, CryptoPort, Fetch, Lock, Platform, Store } from './ports.js'
export { isCallback } from './smart/callback.js'
export type { LaunchContext } from './smart/context.js'
export { isLaunch } from './smart/launch.js'
export { type ClientAuth, type ClientAuthRequest, defineProviders, type Provider } from './smart/provider.js'
export { defineVendor, type Trait, type Vendor } from './vendors/vendor.js'
