/**
 * The study's side of the road.
 *
 * @module
 */

export type { Sql, SqlSession } from '../store/sql.js'
export type { AuditVerification } from './audit.js'
export type { DuplicateHint, Duplicates, LikeResource } from './duplicates.js'
export { createInbox, type Inbox, type InboxOptions } from './inbox.js'
export type { InboxStudy } from './keys.js'
export type { LikenessKind } from './likeness.js'
export { folderObjects, type ObjectFile, type ObjectStore, type StoredObject } from './object-store.js'
export type { QuarantineRow } from './quarantine.js'
export type { Finding } from './refusal.js'
export type { PackageRow, WithdrawalRow } from './rows.js'
export { type S3, type S3ObjectsOptions, s3Objects } from './s3-objects.js'
export type { StoredPackage } from './stored.js'
export { createStudyKeys, type StudyKeys } from './study-keys.js'
export type { RemovedPart } from './tombstones.js'
export type { Fault, Verification } from './verification.js'
export type { Deletion } from './withdrawals.js'
