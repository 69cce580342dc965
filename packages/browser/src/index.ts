/**
 * S4S in the browser: everything of `@s4s/core`, and the parts that a page brings.
 *
 * @module
 */
export * from '@s4s/core'
export {
  type BrowserClient,
  type BrowserClientOptions,
  type ConnectOptions,
  createBrowserClient,
  type PopupOptions,
} from './client.js'
export { browserLock } from './lock.js'
export { type BrowserPlatform, browserPlatform } from './platform.js'
export { type BrowserStore, type BrowserStoreOptions, browserStore, type StoreKind } from './store.js'
