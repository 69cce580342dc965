/** The standard `fetch`; every byte that leaves goes through one guarded caller of it. */
export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

/** The part of Web Crypto that the SDK calls. */
export interface CryptoPort {
  readonly subtle: SubtleCrypto
  getRandomValues<T extends ArrayBufferView>(array: T): T
}

/** Time: epoch milliseconds, and a wait that an `AbortSignal` ends early by rejecting with its reason. */
export interface Clock {
  now(): number
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>
}

/**
 * Where connections and pending launches are kept: strings by key.
 * Values hold tokens. An implementation that writes to disk encrypts them.
 */
export interface Store {
  get(key: string): Promise<string | undefined>
  /** Resolves when the value is durable. */
  set(key: string, value: string): Promise<void>
  delete(key: string): Promise<void>
  /** Every key that begins with the prefix, in no particular order. */
  keys(prefix: string): Promise<string[]>
}

/**
 * Runs `work` while no one else, in this process or in any other that shares the store,
 * runs work of the same name. Settles as `work` does.
 */
export type Lock = <T>(name: string, work: () => Promise<T>) => Promise<T>

/**
 * Where a collection keeps what it has had so far, so that another can go on from there. Lines hold health data: an
 * implementation that writes to disk encrypts them.
 */
export interface Checkpoint {
  /** All that was appended since it was last cleared, in order. */
  read(): Promise<readonly string[]>
  /** Resolves when the line is durable. */
  append(line: string): Promise<void>
  clear(): Promise<void>
}

/**
 * Where the files of records are kept in place of memory, each under the SHA-256 of its bytes, in hexadecimal. Files are
 * health data: an implementation that writes to disk encrypts them.
 */
export interface FileShelf {
  /** Resolves when the file is durable. */
  put(sha256: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>
  get(sha256: string): Promise<Uint8Array<ArrayBuffer> | undefined>
  delete(sha256: string): Promise<void>
}

/** What the core needs of the world. `@s4s/browser` and `@s4s/node` each bring one. */
export interface Platform {
  readonly fetch: Fetch
  readonly crypto: CryptoPort
  readonly clock: Clock
  readonly store: Store
  readonly lock: Lock
}
