import { SmartError } from '../errors.js'
import type { Provider } from './provider.js'

/** True when a URL carries the two parameters of an EHR launch. */
export function isLaunch(url: string): boolean {
  try {
    const { searchParams } = new URL(url)
    return searchParams.has('iss') && searchParams.has('launch')
  } catch {
    return false
  }
}

/**
 * Finds the provider that an EHR launch comes from. Nothing but `iss` and `launch` is read, and an `iss`
 * that is not configured is never fetched.
 *
 * @throws SmartError `LAUNCH_INVALID`, `LAUNCH_UNKNOWN_ISSUER`
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#launch-app-ehr-launch
 */
export function readLaunch(
  url: string,
  providers: readonly Provider[],
): { readonly provider: Provider; readonly launch: string } {
  const iss = single(url, 'iss')
  const launch = single(url, 'launch')
  const provider = providers.find((candidate) => sameBase(candidate.iss, iss))
  if (!provider)
    throw new SmartError('LAUNCH_UNKNOWN_ISSUER', 'the launch comes from an EHR that this app does not know')
  // SMART 2.2: aud is the iss of the launch, verbatim.
  return { provider: { ...provider, iss }, launch }
}

function single(url: string, name: string): string {
  let values: string[]
  try {
    values = new URL(url).searchParams.getAll(name)
  } catch {
    throw new SmartError('LAUNCH_INVALID', 'the launch is not a URL')
  }
  const [value] = values
  if (values.length !== 1 || value === undefined || value === '' || value.length > 4096) {
    throw new SmartError('LAUNCH_INVALID', `the launch URL needs ${name} exactly once`)
  }
  return value
}

// Equal but for a trailing slash, in the string itself: no other URL is taken for the configured one.
function sameBase(one: string, other: string): boolean {
  return one === other || one === `${other}/` || `${one}/` === other
}
