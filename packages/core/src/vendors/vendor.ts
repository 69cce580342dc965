/** One fact about how an EHR behaves, and how we know. */
export interface Trait<Value> {
  readonly value: Value
  /** What goes wrong without it. */
  readonly why: string
  readonly source: string
  /** Year and month in which it was last seen true, such as `2026-08`. */
  readonly seen: string
}

/** A row of knowledge about one EHR product. Code asks for a trait, never for the vendor. */
export interface Vendor {
  readonly id: string
  readonly name: string
  /** What to send as `aud` in the authorization request; `as-given` unless said otherwise. */
  readonly audience?: Trait<'as-given' | 'no-trailing-slash' | 'omit'>
  /** Which scope syntax its authorization server wants, when its metadata cannot be trusted to say. */
  readonly scopeDialect?: Trait<'v1' | 'v2'>
  /** False where a refresh token is never given to public clients. */
  readonly publicRefresh?: Trait<boolean>
  /** Where public apps get lasting access by registering each installation: the scope for it, and the endpoint beside the token endpoint. */
  readonly installation?: Trait<{ readonly scope: string; readonly path: string }>
}

/** Checks and freezes a vendor row. */
export function defineVendor(vendor: Vendor): Vendor {
  return Object.freeze({ ...vendor })
}
