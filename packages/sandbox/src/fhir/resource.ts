/** A FHIR resource as the sandbox passes it around: JSON whose type is known and whose elements are not. */
export interface Resource {
  readonly resourceType: string
  readonly id?: string
  readonly meta?: {
    readonly versionId?: string
    readonly lastUpdated?: string
    readonly [element: string]: unknown
  }
  readonly [element: string]: unknown
}

/** A resource as the repository holds it. */
export interface Stored {
  readonly type: string
  readonly id: string
  readonly version: string
  /** Epoch milliseconds. */
  readonly lastUpdated: number
  /** The JSON that goes over the wire, digit for digit as it was put. */
  readonly text: string
  /** A copy of its own at each call: changing it changes nothing in the repository. */
  readonly resource: Resource
}
