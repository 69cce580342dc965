/**
 * S4S on a server: all of the core, with what Node brings to it.
 *
 * @module
 */
export * from '@s4s/core'
export type { BackendOptions, BackendService, ClientSecretOptions, Signer } from '@s4s/core/confidential'
export { clientSecret, createBackendService } from '@s4s/core/confidential'
export { type ExpressHandler, toExpress } from './adapters/express.js'
export { type NextRoute, toNextRoute } from './adapters/next.js'
// connect
export { createNodeClient, type NodeClient, type NodeClientOptions } from './client.js'
export type { CustodyOptions } from './custody/custody.js'
export { fileDelivery } from './file-delivery.js'
export { fileLock } from './file-lock.js'
export { type FileStore, type FileStoreOptions, fileStore } from './file-store.js'
export { type GuardedFetchOptions, guardedFetch } from './guarded-fetch.js'
// the study's side
export * from './inbox/index.js'
export { type GeneratedKey, generateKey, loadKey, type NodeKeyOptions, privateKeyJwt } from './keys.js'
export { memoryStore } from './memory-store.js'
// served anywhere
export type { Handler } from './node-http.js'
export { type NodePlatformOptions, nodePlatform } from './platform.js'
export { processLock } from './process-lock.js'
export { type Served, serve } from './serve.js'
export { connectFromTerminal, type TerminalOptions } from './terminal.js'
