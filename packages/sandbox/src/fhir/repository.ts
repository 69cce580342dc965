import type { Resource, Stored } from './resource.js'

/** The records that a server serves. */
export interface Repository {
  put(resource: Resource): void
  get(type: string, id: string): Stored | undefined
  /** Leaves a tombstone, so that a read answers 410. */
  remove(type: string, id: string): void
  patients(): Resource[]
}

/** A repository in memory. */
export function createRepository(_resources: Iterable<Resource> = []): Repository {
  throw new TypeError('not yet written')
}
