/**
 * S4S on a server: all of the core, with what Node brings to it.
 *
 * @module
 */
export * from '@s4s/core'
export type { ClientSecretOptions } from '@s4s/core/confidential'
export { clientSecret } from '@s4s/core/confidential'
export { type ExpressHandler, toExpress } from './adapters/express.js'
export { type NextRoute, toNextRoute } from './adapters/next.js'
// connect
export { createNodeClient, type NodeClient, type NodeClientOptions } from './client.js'
export { fileLock } from './file-lock.js'
export { type FileStore, type FileStoreOptions, fileStore } from './file-store.js'
// the study's side
export * from './inbox/index.js'
export { loadKey, privateKeyJwt } from './keys.js'
export { memoryStore } from './memory-store.js'
// served anywhere
export type { Handler } from './node-http.js'
export { type NodePlatformOptions, nodePlatform } from './platform.js'
export { processLock } from './process-lock.js'
export { type Served, serve } from './serve.js'
