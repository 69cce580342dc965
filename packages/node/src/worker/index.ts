/**
 * Collects and shares in the background, on the database that the connections are in. Needs `pg-boss` 10.
 *
 * @module
 */
export type { Hour, JobOutcome } from './hours.js'
export type { StudyWork } from './job.js'
export type { Notice } from './notices.js'
export { statusPage } from './page.js'
export type { DeadJob, Job, JobReason, QueueCounts } from './queue.js'
export type { WorkerHealth, WorkerStatus } from './status.js'
export type { TelemetryOptions } from './telemetry.js'
export type { ProviderTraffic } from './traffic.js'
export { createWorker, type ScheduleOptions, type Worker, type WorkerOptions } from './worker.js'
