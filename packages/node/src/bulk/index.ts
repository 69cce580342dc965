/**
 * Records of many patients at once, over Bulk Data Access.
 *
 * @module
 */
export type { BulkProgress } from './export.js'
export type { BulkIssue, BulkIssueKind } from './issues.js'
export { type BulkOptions, type BulkRecords, type BulkReport, bulkRecords } from './records.js'
