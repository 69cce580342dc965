// 1. connect

export {
  type Authorization,
  type AuthorizeOptions,
  type CallbackOptions,
  type Client,
  type ClientOptions,
  createClient,
} from './client.js'
export type { AccessReason, Connection } from './connection.js'
export { explainGrant, type Grant, type Granted, type GrantedClass } from './grant.js'
export { introspect } from './introspect.js'
export { type Outlook, type OutlookWarning, outlookOf } from './outlook.js'
export type { FinishedRevocation, Revocation } from './revocation.js'
export type { AccessWanted, AuthorizationForm } from './smart/authorize.js'
export { isCallback } from './smart/callback.js'
export type { CapabilitySet } from './smart/capabilities.js'
export type { AssociatedEndpoint, SmartConfiguration } from './smart/configuration.js'
export type { ContextResource, LaunchContext } from './smart/context.js'
export {
  type Identity,
  type IdentityCheck,
  type IdentityProblem,
  type IdentityRequest,
  type IdTokenOptions,
  idToken,
} from './smart/identity.js'
export type { TokenState } from './smart/introspect.js'
export { isLaunch } from './smart/launch.js'
export { type ClientAuth, type ClientAuthRequest, defineProviders, type Provider } from './smart/provider.js'
export {
  defineVendor,
  type PatientSource,
  type Trait,
  type Vendor,
  type VendorSearch,
} from './vendors/vendor.js'

// beside the record

export {
  type AppState,
  type AppStateItem,
  type AppStateOptions,
  type AppStateValues,
  appState,
} from './app-state.js'
export type { MissingScope, ScopeComparison } from './smart/scopes.js'
export { loadStyle, type SmartStyle } from './style.js'
export { readUser } from './user.js'

// read

export { type SearchParamsOf, type UncheckedParams, uncheckedParams } from './fhir/search-types.js'
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
  SearchOptions,
  SearchParams,
  SearchResults,
} from './fhir/types.js'

export {
  type BatchAnswer,
  batch,
  capabilities,
  history,
  type OperationOptions,
  operation,
  vread,
} from './verbs.js'

// 2. collect

export { checkpointOf } from './checkpoint.js'
export { filesOf } from './files.js'
export { type DataClass, definePlan, type Plan } from './plans/plan.js'
export { type S4sPilotClass, s4sPilot } from './plans/s4s-pilot.js'
export { type UsCoreClass, usCore } from './plans/us-core.js'
export type { AttachmentStatus, RecordAttachment } from './record/attachments.js'
export { changesBetween, inventoryOf, type KnownResource, type RecordChanges } from './record/changes.js'
export { type CollectOptions, collect, type Progress } from './record/collect.js'
export type { Completeness, CompletenessStatus, QueryReport } from './record/completeness.js'
export { type ExplainedClass, explainRecord } from './record/explain.js'
export type { RecordIssue, RecordIssueKind } from './record/issues.js'
export type { PatientRecord } from './record/record.js'

// 3. share

export { type BundleOptions, bundleOf } from './study/bundle.js'
export type { Choices } from './study/choices.js'
export {
  type ConsentDocument,
  type ConsentGiven,
  type ConsentRecord,
  type Proxy,
  readConsent,
  recordConsent,
} from './study/consent.js'
export { consentFromFhir, consentToFhir } from './study/consent-fhir.js'
export { type ConsentPageOptions, type ConsentWords, consentPage } from './study/consent-page.js'
export { datedWithin, type Period } from './study/dated.js'
export {
  type Delivery,
  type DeliveryOptions,
  type DeliveryProgress,
  httpDelivery,
  type PartUpload,
  type RemovedPackage,
  type WithdrawalNotice,
  type WithdrawalReceipt,
} from './study/delivery.js'
export { type FhirDeliveryOptions, fhirDelivery } from './study/fhir-delivery.js'
export { itemKey } from './study/item-key.js'
export {
  createPackage,
  type Given,
  type Manifest,
  type ManifestPart,
  type ManifestSource,
  type Package,
  type PackagePart,
} from './study/package.js'
export {
  type PresignedDeliveryOptions,
  presignedDelivery,
  type SignUpload,
  type UploadAsked,
  type UploadSigned,
} from './study/presigned.js'
export { type Receipt, type ReceiptIssuer, readReceipt } from './study/receipt.js'
export { type Removal, type RemovalRow, type RemovalRule, removals } from './study/removals.js'
export { type ReviewedRecord, type ReviewItem, review } from './study/review.js'
export {
  isSealedManifest,
  type OpenSeal,
  openSeal,
  type PrivateKey,
  type SealedManifest,
  seal,
} from './study/seal.js'
export { type SensitiveCategory, sensitiveCategories, sensitivityOf } from './study/sensitive.js'
export {
  readShare,
  type Share,
  type SharedSource,
  type ShareOptions,
  share,
  sharePackage,
} from './study/share.js'
export { verifyReceipt } from './study/signature.js'
export {
  type Attention,
  type AttentionKind,
  type ConnectionState,
  type ProviderStatus,
  type SharedStatus,
  type Status,
  type StatusOptions,
  statusOf,
} from './study/status.js'
export {
  defineStudy,
  type PublicKey,
  type Recipient,
  type Study,
} from './study/study.js'
export { loadStudy, readStudy, type StudyDocument, studyDocument } from './study/study-document.js'
export type { Withheld, WithheldReason } from './study/withheld.js'

// 4. withdraw

export { createOutbox, type Outbox, type OutboxEntry } from './study/outbox.js'
export {
  type Revocable,
  type Withdrawal,
  type WithdrawnShare,
  type WithdrawOptions,
  withdraw,
} from './study/withdraw.js'

// errors, and the world that a platform stands for

export { ambientClock, ambientCrypto, ambientFetch } from './ambient.js'
export { errorTable } from './error-table.js'
export { type ErrorCode, isSmartError, type Remedy, SmartError } from './errors.js'
export type { Checkpoint, Clock, CryptoPort, Fetch, FileShelf, Lock, Platform, Store } from './ports.js'
