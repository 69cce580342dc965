import type { Clock, CryptoPort, Fetch } from './ports.js'

// The one file in core that names a global. Each is looked up at the call, so that a test, a tracer
// or a polyfill that replaces it later is honoured.

/** The runtime's `fetch`. */
export const ambientFetch: Fetch = (input, init) => globalThis.fetch(input, init)

/** The runtime's Web Crypto. */
export const ambientCrypto: CryptoPort = {
  get subtle() {
    return globalThis.crypto.subtle
  },
  getRandomValues: (array) => globalThis.crypto.getRandomValues(array as never),
}

/** The runtime's clock. */
export const ambientClock: Clock = {
  now: () => Date.now(),
  sleep: (milliseconds, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const stop = (): void => {
        clearTimeout(timer)
        reject(signal?.reason)
      }
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', stop)
        resolve()
      }, milliseconds)
      signal?.addEventListener('abort', stop, { once: true })
    }),
}
