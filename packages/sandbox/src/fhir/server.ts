import type { Repository } from './repository.js'

/** What an access token allows. */
export interface Access {
  readonly scopes: readonly string[]
  /** The launch patient to whom `patient/` scopes are bound. */
  readonly patient?: string
}

/** What a FHIR server needs. */
export interface FhirServerOptions {
  /** The absolute FHIR base, such as `http://127.0.0.1:4000/fhir`. */
  readonly base: string
  readonly repository: Repository
  /** undefined = no token or a bad one, which is answered with 401. */
  readonly authorize: (request: Request) => Promise<Access | undefined>
  /** Addresses that the CapabilityStatement names. */
  readonly smart?: {
    readonly authorize: string
    readonly token: string
    readonly register?: string
    readonly manage?: string
    readonly introspect?: string
    readonly revoke?: string
  }
  readonly name?: string
}

/** A FHIR R4 read API as one function of a request. */
export function createFhirServer(_options: FhirServerOptions): (request: Request) => Promise<Response> {
  throw new TypeError('not yet written')
}
