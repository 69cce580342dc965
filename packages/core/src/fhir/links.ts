import type { Vendor } from '../vendors/vendor.js'

/**
 * A link as the provider means it: some write another of their hosts, or their path in another case. What is not known
 * of them stays as it is written.
 */
export function rebased(url: URL, base: string, vendor: Vendor | undefined): URL {
  const own = new URL(base)
  const known = url.origin === own.origin || vendor?.linkOrigins?.value.includes(url.origin) === true
  if (!known) return url
  const root = own.pathname.replace(/\/$/, '')
  const path = url.pathname
  const anyCase =
    vendor?.linksInAnyCase?.value === true && `${path}/`.toLowerCase().startsWith(`${root}/`.toLowerCase())
  if (url.origin === own.origin && !anyCase) return url
  return new URL(`${own.origin}${anyCase ? root + path.slice(root.length) : path}${url.search}`)
}
