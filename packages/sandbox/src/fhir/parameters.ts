/** The kinds of search parameters that this server knows. */
export type ParameterKind = 'token' | 'date' | 'reference' | 'string' | 'uri'

/** A search parameter of a resource type. */
export interface Parameter {
  readonly name: string
  readonly kind: ParameterKind
  /** Where its values are; a segment `x[x]` stands for every choice of a type, `@name` for an extension. */
  readonly paths: readonly (readonly string[])[]
}

const address =
  'address:string address-city:string=address.city address-state:string=address.state address-postalcode:string=address.postalCode'
const human = `name:string family:string=name.family given:string=name.given telecom:token gender:token ${address}`
const about = 'patient:reference=subject subject:reference'

// name:kind=path|path; without a path the name in camelCase is the path.
const rows: Readonly<Record<string, string>> = {
  AllergyIntolerance:
    'patient:reference clinical-status:token verification-status:token code:token=code|reaction.substance category:token criticality:token type:token date:date=recordedDate onset:date=reaction.onset last-date:date=lastOccurrence recorder:reference asserter:reference',
  Binary: 'contenttype:token=contentType',
  CarePlan: `${about} category:token status:token intent:token date:date=period encounter:reference care-team:reference goal:reference condition:reference=addresses performer:reference=activity.detail.performer activity-code:token=activity.detail.code`,
  CareTeam: `${about} status:token category:token role:token=participant.role participant:reference=participant.member date:date=period encounter:reference`,
  Claim:
    'patient:reference created:date provider:reference status:token use:token encounter:reference=item.encounter',
  Condition: `${about} category:token clinical-status:token verification-status:token code:token severity:token onset-date:date=onsetDateTime|onsetPeriod abatement-date:date=abatementDateTime|abatementPeriod recorded-date:date asserted-date:date=@condition-assertedDate.valueDateTime encounter:reference asserter:reference recorder:reference evidence-detail:reference=evidence.detail`,
  Coverage:
    'patient:reference=beneficiary beneficiary:reference subscriber:reference policy-holder:reference payor:reference status:token type:token',
  Device:
    'patient:reference type:token status:token manufacturer:string device-name:string=deviceName.name model:string=modelNumber udi-di:string=udiCarrier.deviceIdentifier organization:reference=owner location:reference',
  DiagnosticReport: `${about} category:token code:token status:token date:date=effective[x] issued:date result:reference encounter:reference performer:reference results-interpreter:reference specimen:reference media:reference=media.link conclusion:token=conclusionCode based-on:reference`,
  DocumentReference: `${about} category:token type:token status:token date:date period:date=context.period author:reference authenticator:reference custodian:reference encounter:reference=context.encounter related:reference=context.related contenttype:token=content.attachment.contentType format:token=content.format description:string relatesto:reference=relatesTo.target`,
  Encounter: `${about} class:token type:token status:token date:date=period location:reference=location.location participant:reference=participant.individual practitioner:reference=participant.individual participant-type:token=participant.type reason-code:token diagnosis:reference=diagnosis.condition service-provider:reference discharge-disposition:token=hospitalization.dischargeDisposition based-on:reference part-of:reference`,
  Endpoint: 'name:string status:token connection-type:token organization:reference=managingOrganization',
  ExplanationOfBenefit:
    'patient:reference created:date provider:reference status:token type:token service-date:date=billablePeriod encounter:reference=item.encounter coverage:reference=insurance.coverage claim:reference care-team:reference=careTeam.provider',
  FamilyMemberHistory:
    'patient:reference status:token relationship:token code:token=condition.code date:date sex:token',
  Goal: `${about} lifecycle-status:token achievement-status:token category:token description:token target-date:date=target.dueDate start-date:date addresses:reference`,
  ImagingStudy: `${about} started:date status:token modality:token=series.modality encounter:reference endpoint:reference`,
  Immunization:
    'patient:reference date:date=occurrence[x] status:token status-reason:token vaccine-code:token lot-number:string manufacturer:reference location:reference performer:reference=performer.actor encounter:reference',
  Location: `name:string=name|alias ${address} status:token type:token organization:reference=managingOrganization partof:reference=partOf endpoint:reference`,
  Media: `${about} created:date=created[x] status:token type:token encounter:reference`,
  Medication:
    'code:token status:token form:token ingredient-code:token=ingredient.itemCodeableConcept manufacturer:reference',
  MedicationAdministration: `${about} status:token code:token=medicationCodeableConcept medication:reference=medicationReference effective-time:date=effective[x] context:reference request:reference`,
  MedicationDispense: `${about} status:token type:token code:token=medicationCodeableConcept medication:reference=medicationReference whenhandedover:date=whenHandedOver whenprepared:date=whenPrepared prescription:reference=authorizingPrescription context:reference performer:reference=performer.actor`,
  MedicationRequest: `${about} intent:token status:token priority:token category:token code:token=medicationCodeableConcept medication:reference=medicationReference authoredon:date=authoredOn encounter:reference requester:reference intended-dispenser:reference=dispenseRequest.performer`,
  MedicationStatement: `${about} status:token category:token code:token=medicationCodeableConcept medication:reference=medicationReference effective:date=effective[x] context:reference source:reference=informationSource`,
  Observation: `${about} category:token code:token combo-code:token=code|component.code component-code:token=component.code value-concept:token=valueCodeableConcept status:token date:date=effective[x] issued:date=issued encounter:reference performer:reference specimen:reference device:reference focus:reference based-on:reference has-member:reference derived-from:reference data-absent-reason:token`,
  Organization: `name:string=name|alias ${address} active:token type:token partof:reference=partOf endpoint:reference`,
  Patient: `${human} birthdate:date=birthDate death-date:date=deceasedDateTime active:token language:token=communication.language general-practitioner:reference organization:reference=managingOrganization link:reference=link.other`,
  Practitioner: `${human} active:token communication:token=communication`,
  PractitionerRole:
    'practitioner:reference organization:reference location:reference service:reference=healthcareService endpoint:reference role:token=code specialty:token active:token telecom:token date:date=period',
  Procedure: `${about} status:token category:token code:token date:date=performed[x] encounter:reference performer:reference=performer.actor location:reference reason-code:token reason-reference:reference based-on:reference`,
  Provenance:
    'target:reference patient:reference=target agent:reference=agent.who agent-type:token=agent.type recorded:date entity:reference=entity.what',
  Questionnaire: 'url:uri name:string title:string status:token version:token code:token date:date',
  QuestionnaireResponse: `${about} status:token authored:date questionnaire:uri author:reference source:reference encounter:reference based-on:reference`,
  RelatedPerson: `patient:reference ${human} relationship:token active:token birthdate:date=birthDate`,
  ServiceRequest: `${about} category:token code:token status:token intent:token priority:token authored:date=authoredOn occurrence:date=occurrence[x] encounter:reference requester:reference performer:reference specimen:reference based-on:reference`,
  Specimen: `${about} type:token status:token accession:token=accessionIdentifier collected:date=collection.collected[x] collector:reference=collection.collector parent:reference`,
}

// For types of loaded folders that have no row: what nearly every clinical resource has.
const otherwise =
  'patient:reference=patient|subject|beneficiary subject:reference status:token code:token category:token type:token encounter:reference'
const everywhere =
  'identifier:token=identifier|masterIdentifier _tag:token=meta.tag _security:token=meta.security _profile:uri=meta.profile'

const parsed = new Map<string, ReadonlyMap<string, Parameter>>()

/** The types that are served whether or not there is a resource of them. */
export const knownTypes: readonly string[] = Object.freeze(Object.keys(rows))

/** The search parameters of a type, by name; without `_id` and `_lastUpdated`, which need no path. */
export function parametersOf(type: string): ReadonlyMap<string, Parameter> {
  const row = Object.hasOwn(rows, type) ? type : ''
  let parameters = parsed.get(row)
  if (!parameters) {
    parameters = parse(`${rows[row] ?? otherwise} ${everywhere}`)
    parsed.set(row, parameters)
  }
  return parameters
}

/** The elements at the paths of a parameter, arrays opened. */
export function elementsAt(resource: unknown, parameter: Parameter): unknown[] {
  return parameter.paths.flatMap((path) => path.reduce<unknown[]>(step, [resource]))
}

function parse(row: string): ReadonlyMap<string, Parameter> {
  const parameters = new Map<string, Parameter>()
  for (const text of row.split(' ')) {
    const [head = '', paths] = text.split('=')
    const [name = '', kind] = head.split(':')
    const camel = name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
    parameters.set(name, {
      name,
      kind: kind as ParameterKind,
      paths: (paths ?? camel).split('|').map((path) => path.split('.')),
    })
  }
  return parameters
}

function step(elements: unknown[], segment: string): unknown[] {
  const found: unknown[] = []
  for (const element of elements) {
    if (typeof element !== 'object' || element === null) continue
    for (const value of valuesOf(element as Readonly<Record<string, unknown>>, segment)) {
      if (Array.isArray(value)) found.push(...value)
      else if (value !== undefined && value !== null) found.push(value)
    }
  }
  return found
}

function valuesOf(element: Readonly<Record<string, unknown>>, segment: string): unknown[] {
  if (segment.startsWith('@')) {
    const extensions = Array.isArray(element.extension) ? (element.extension as unknown[]) : []
    return extensions.filter((one) =>
      String((one as { url?: unknown } | null)?.url).endsWith(`/${segment.slice(1)}`),
    )
  }
  if (segment.endsWith('[x]')) {
    const stem = segment.slice(0, -3)
    const keys = Object.keys(element).filter(
      (key) => key.startsWith(stem) && /^[A-Z]/.test(key.slice(stem.length)),
    )
    return keys.map((key) => element[key])
  }
  return Object.hasOwn(element, segment) ? [element[segment]] : []
}
