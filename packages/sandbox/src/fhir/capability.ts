import { knownTypes, parametersOf } from './parameters.js'
import type { Repository } from './repository.js'

/** Addresses of the authorization server, as the CapabilityStatement names them. */
export interface SmartAddresses {
  readonly authorize: string
  readonly token: string
  readonly register?: string
  readonly manage?: string
  readonly introspect?: string
  readonly revoke?: string
}

/**
 * The CapabilityStatement of the server.
 *
 * @see https://hl7.org/fhir/R4/capabilitystatement.html
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html#declaring-support-for-oauth2-endpoints
 */
export function capabilityText(options: {
  readonly base: string
  readonly repository: Repository
  readonly smart?: SmartAddresses
  readonly name?: string
}): string {
  const { base, repository, smart, name = 'S4S sandbox' } = options
  const types = [...new Set([...knownTypes, ...repository.types()])].sort()
  return JSON.stringify({
    resourceType: 'CapabilityStatement',
    status: 'active',
    date: '2026-06-01',
    kind: 'instance',
    instantiates: ['http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data'],
    name: 'Sandbox',
    title: name,
    software: { name: '@s4s/sandbox' },
    implementation: { description: `${name}: synthetic records for building and testing`, url: base },
    fhirVersion: '4.0.1',
    format: ['application/fhir+json', 'json'],
    rest: [
      {
        mode: 'server',
        security: security(smart),
        resource: types.map((type) => capabilityOf(type, types)),
        interaction: [{ code: 'batch' }],
      },
    ],
  })
}

function security(smart: SmartAddresses | undefined): object {
  if (!smart) return { cors: true }
  const extension = Object.entries(smart)
    .filter(([, url]) => url !== undefined)
    .map(([url, valueUri]) => ({ url, valueUri }))
  return {
    extension: [{ url: 'http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris', extension }],
    cors: true,
    service: [
      {
        coding: [
          {
            system: 'http://terminology.hl7.org/CodeSystem/restful-security-service',
            code: 'SMART-on-FHIR',
            display: 'SMART-on-FHIR',
          },
        ],
        text: 'OAuth2 using SMART-on-FHIR profile (see http://docs.smarthealthit.org)',
      },
    ],
  }
}

function capabilityOf(type: string, types: readonly string[]): object {
  const parameters = [...parametersOf(type).values()]
  const includes = parameters.filter(({ kind }) => kind === 'reference').map(({ name }) => `${type}:${name}`)
  const revIncludes = types.flatMap((source) =>
    ['patient', 'subject', 'target', 'encounter', 'result', 'has-member', 'derived-from', 'practitioner']
      .filter((name) => parametersOf(source).get(name)?.kind === 'reference' && pointsTo(name, type))
      .map((name) => `${source}:${name}`),
  )
  const operations = {
    Patient: [
      ['everything', 'http://hl7.org/fhir/OperationDefinition/Patient-everything'],
      ['export', 'http://hl7.org/fhir/uv/bulkdata/OperationDefinition/patient-export'],
    ],
    Group: [['export', 'http://hl7.org/fhir/uv/bulkdata/OperationDefinition/group-export']],
    DocumentReference: [['docref', 'http://hl7.org/fhir/us/core/OperationDefinition/docref']],
  }
  const operation = Object.hasOwn(operations, type) ? operations[type as keyof typeof operations] : undefined
  return {
    type,
    interaction: [{ code: 'read' }, { code: 'vread' }, { code: 'search-type' }],
    versioning: 'versioned',
    readHistory: false,
    ...(includes.length > 0 ? { searchInclude: ['*', ...includes] } : {}),
    ...(revIncludes.length > 0 ? { searchRevInclude: revIncludes } : {}),
    searchParam: [
      { name: '_id', type: 'token' },
      { name: '_lastUpdated', type: 'date' },
      ...parameters.map(({ name, kind }) => ({ name, type: kind })),
    ],
    ...(operation ? { operation: operation.map(([name, definition]) => ({ name, definition })) } : {}),
  }
}

function pointsTo(name: string, type: string): boolean {
  if (name === 'patient' || name === 'subject') return type === 'Patient'
  if (name === 'encounter') return type === 'Encounter'
  if (name === 'practitioner') return type === 'Practitioner'
  if (name === 'target') return true
  return type === 'Observation'
}
