import type { Vendor } from './vendor.js'

/** What a server shows of the product that it runs. */
export interface VendorMarks {
  /** Its FHIR base. */
  readonly base?: URL | undefined
  /** `software.name` and `publisher` of its CapabilityStatement. */
  readonly software?: readonly (string | undefined)[]
}

/**
 * Finds the row of a server: by the host of its base, else by the path, else by what it calls itself.
 *
 * @example recogniseVendor(vendors, { base: new URL(iss), software: [statement.software?.name, statement.publisher] })
 */
export function recogniseVendor(vendors: readonly Vendor[], marks: VendorMarks): Vendor | undefined {
  const { base: url, software = [] } = marks
  const says = software.map((name) => name?.trim().toLowerCase())
  return (
    (url &&
      (vendors.find(({ bases }) =>
        bases?.value.hosts?.some((host) => url.hostname === host || url.hostname.endsWith(`.${host}`)),
      ) ??
        vendors.find(({ bases }) => bases?.value.path && url.pathname.includes(bases.value.path)))) ??
    vendors.find((vendor) =>
      vendor.software?.value.some((name) => says.some((said) => said?.startsWith(name.toLowerCase()))),
    )
  )
}
