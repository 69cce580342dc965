import type { Provenance } from 'fhir/r4.js'
import type { PatientRecord } from '../record/record.js'
import { version } from './version.js'

/**
 * Where a source's resources come from: one Provenance for all of them, the provider as its source.
 * The targets are counts by type, as naming each would double the package.
 *
 * @see https://hl7.org/fhir/R4/provenance.html
 */
export function provenanceOf(
  record: Pick<PatientRecord, 'provider' | 'startedAt' | 'collectedAt'>,
  counts: Readonly<Record<string, number>>,
): Provenance {
  return {
    resourceType: 'Provenance',
    target: Object.entries(counts).map(([type, count]) => ({
      type,
      display: count === 1 ? '1 resource' : `${count} resources`,
    })),
    occurredPeriod: { start: record.startedAt.toISOString(), end: record.collectedAt.toISOString() },
    recorded: record.collectedAt.toISOString(),
    activity: {
      coding: [
        {
          system: 'http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle',
          code: 'receive',
          display: 'Receive/Retain Record Lifecycle Event',
        },
      ],
    },
    agent: [
      {
        type: {
          coding: [
            {
              system: 'http://terminology.hl7.org/CodeSystem/provenance-participant-type',
              code: 'assembler',
              display: 'Assembler',
            },
          ],
        },
        who: { type: 'Device', display: `@s4s/core ${version}` },
      },
    ],
    entity: [
      {
        role: 'source',
        what: {
          identifier: { system: 'urn:ietf:rfc:3986', value: record.provider.iss },
          display: record.provider.name,
        },
      },
    ],
  }
}
