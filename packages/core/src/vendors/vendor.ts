/** One fact about how an EHR behaves, and how we know. */
export interface Trait<Value> {
  readonly value: Value
  /** What goes wrong without it. */
  readonly why: string
  readonly source: string
  /** Year and month in which it was last seen true, such as `2026-08`. */
  readonly seen: string
}

/** Where a patient's id is found when the token response does not name one: a claim of the access token, or a read. */
export type PatientSource = 'id-token' | 'search' | `claim:${string}`

/** Search parameters to their values. */
export type VendorSearch = Readonly<Record<string, string>>

/**
 * A row of knowledge about one EHR product. Code asks for a trait, never for the vendor, and every trait is optional:
 * what a row does not say is done by the standard.
 */
export interface Vendor {
  readonly id: string
  readonly name: string

  /** How its FHIR bases look: hosts, with all below them, and a part of the path. */
  readonly bases?: Trait<{ readonly hosts?: readonly string[]; readonly path?: string }>
  /** What its CapabilityStatement says as `software.name` or `publisher`; compared by its beginning, in any case. */
  readonly software?: Trait<readonly string[]>

  /** What to send as `aud` in the authorization request; `as-given` unless said otherwise. */
  readonly audience?: Trait<'as-given' | 'no-trailing-slash' | 'omit'>
  /** Which scope syntax its authorization server wants, when its metadata cannot be trusted to say. */
  readonly scopeDialect?: Trait<'v1' | 'v2'>
  /** The only scopes that it knows, where one that it does not know costs the whole request. */
  readonly scopes?: Trait<readonly string[]>
  /** False where a refresh token is never given to public clients. */
  readonly publicRefresh?: Trait<boolean>
  /** Where public apps get lasting access by registering each installation: the scope for it, and the endpoint beside the token endpoint. */
  readonly installation?: Trait<{ readonly scope: string; readonly path: string }>

  /** Where to find the patient when the token response does not name one, in this order. */
  readonly patientFrom?: Trait<readonly PatientSource[]>
  /** True where a refresh must name the scopes that were granted. */
  readonly refreshScope?: Trait<boolean>
  /** Hours after which a refresh token that was not used is dead. */
  readonly refreshIdleHours?: Trait<number>
  /** A claim of the access token that goes with every request as a parameter, its slashes as they are. */
  readonly requestContext?: Trait<{ readonly claim: string; readonly parameter: string }>
  /** Most requests in one minute of the clock; one that refuses more says nothing about how long to wait. */
  readonly requestsPerMinute?: Trait<number>

  /** Searches to ask beside those of a plan, by type. */
  readonly moreSearches?: Trait<Readonly<Record<string, readonly VendorSearch[]>>>
  /** Values that its searches refuse, by `Type.parameter`: not asked for. */
  readonly refusedValues?: Trait<Readonly<Record<string, readonly string[]>>>
  /** HTTP statuses, beside 400, with which it refuses the form of a search. */
  readonly badQuery?: Trait<readonly number[]>
  /** `ignored` where a search by `_lastUpdated` brings everything. */
  readonly lastUpdated?: Trait<'ignored'>
  /** Its own codes of the remarks that say that something was held back; others stand beside whole answers too. */
  readonly heldBack?: Trait<readonly string[]>

  /** False where `Bundle.total` is not the number of results. */
  readonly totals?: Trait<boolean>
  /** Origins that its links name in place of its own. */
  readonly linkOrigins?: Trait<readonly string[]>
  /** True where its links write the path in another case than its base. */
  readonly linksInAnyCase?: Trait<boolean>
  /** The parameter by which pages are numbered, where the last ones have no link. */
  readonly pageParameter?: Trait<string>
}

/** Checks and freezes a vendor row. */
export function defineVendor(vendor: Vendor): Vendor {
  return Object.freeze({ ...vendor })
}
