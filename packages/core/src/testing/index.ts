/**
 * Parts to test an app with: a store and a lock in memory, a clock in the test's hand, and the platform made of them.
 *
 * @module
 */

export { type MemoryPages, type MemoryReaderOptions, memoryReader, pageOf } from '../record/memory-reader.js'
export { type ManualClock, manualClock } from './manual-clock.js'
export { memoryStore } from './memory-store.js'
export { processLock } from './process-lock.js'
export { testPlatform } from './test-platform.js'
