import type { SmartConfiguration } from './configuration.js'

/** What a server offers as a whole, by the names of the standard. */
export type CapabilitySet =
  | 'Patient Access for Standalone Apps'
  | 'Patient Access for EHR Launch'
  | 'Clinician Access for Standalone'
  | 'Clinician Access for EHR Launch'

// Each line is needed; of those between bars, one.
const sets: Readonly<Record<CapabilitySet, readonly string[]>> = {
  'Patient Access for Standalone Apps': [
    'launch-standalone',
    'client-public|client-confidential-symmetric|client-confidential-asymmetric',
    'context-standalone-patient',
    'permission-patient',
  ],
  'Patient Access for EHR Launch': [
    'launch-ehr',
    'client-public|client-confidential-symmetric|client-confidential-asymmetric',
    'context-ehr-patient',
    'permission-patient',
  ],
  'Clinician Access for Standalone': [
    'launch-standalone',
    'client-public|client-confidential-symmetric|client-confidential-asymmetric',
    'permission-user',
    'permission-patient',
  ],
  'Clinician Access for EHR Launch': [
    'launch-ehr',
    'client-public|client-confidential-symmetric|client-confidential-asymmetric',
    'context-ehr-patient|context-ehr-encounter',
    'permission-user',
    'permission-patient',
  ],
}

/** True when the server lists a capability. */
export function supports(configuration: SmartConfiguration, capability: string): boolean {
  return configuration.capabilities.includes(capability)
}

/**
 * For each capability set, what the server does not list of it; an empty list is a set that is whole.
 *
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html#capability-sets
 */
export function capabilitySets(
  configuration: SmartConfiguration,
): Readonly<Record<CapabilitySet, readonly string[]>> {
  const lacking = (needed: readonly string[]): string[] =>
    needed.filter((line) => !line.split('|').some((name) => supports(configuration, name)))
  return Object.freeze(
    Object.fromEntries(Object.entries(sets).map(([name, needed]) => [name, lacking(needed)])),
  ) as unknown as Readonly<Record<CapabilitySet, readonly string[]>>
}
