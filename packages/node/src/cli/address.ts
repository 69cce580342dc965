import { UsageError } from './usage.js'

/**
 * Reads the address of a server as somebody typed it.
 *
 * @throws UsageError for what is no https URL; plain http is for this machine only
 */
export function addressOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !['https:', 'http:'].includes(url.protocol))
    throw new UsageError(`${text} is not an address such as https://fhir.hospital.example/r4`)
  if (url.username !== '' || url.password !== '')
    throw new UsageError('the address holds a password; none is needed here')
  if (url.protocol === 'http:' && !isLoopback(url.hostname))
    throw new UsageError('the address must begin with https; plain http is for this machine only')
  return url
}

const isLoopback = (host: string): boolean => /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(host)

// What stands below a base, in whatever a person copied from a browser or a manual.
const ending = /\/(\.well-known(\/smart-configuration)?|metadata)\/?$/
const usualPaths = ['fhir', 'fhir/r4', 'fhir/R4', 'r4', 'api/FHIR/R4']

/** The FHIR bases that an address may mean, the likeliest first: itself, what it lies below, and the usual places. */
export function basesNear(url: URL): {
  readonly above: readonly string[]
  readonly below: readonly string[]
} {
  // A slash at the end stays: the base is sent as the provider writes it.
  const path = url.pathname.replace(ending, '')
  const own = url.origin + (path === '/' ? '' : path)
  const above = [own]
  for (let rest = path; rest.length > 1 && above.length < 5; ) {
    rest = rest.slice(0, rest.lastIndexOf('/'))
    above.push(url.origin + rest)
  }
  const below = [own.replace(/\/$/, ''), url.origin].flatMap((base) =>
    usualPaths.map((usual) => `${base}/${usual}`),
  )
  return { above: unique(above), below: unique(below).filter((base) => !above.includes(base)) }
}

const unique = (all: readonly string[]): string[] => [...new Set(all)]
