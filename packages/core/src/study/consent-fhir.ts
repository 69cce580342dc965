import type {
  Attachment,
  CodeableConcept,
  Coding,
  Consent,
  ConsentProvision,
  Extension,
  Reference,
} from 'fhir/r4.js'
import { SmartError } from '../errors.js'
import { base64, fromBase64 } from '../util/bytes.js'
import { isObject, stringAt } from '../util/json.js'
import { sha1Base64 } from '../util/old-hash.js'
import { type ConsentDocument, checkAgainst, parseDocument } from './consent.js'
import { names } from './fhir-names.js'
import { sensitiveCategories } from './sensitive.js'
import type { Recipient, Study } from './study.js'

/**
 * A consent as a FHIR R4 `Consent`. What is secret in a consent record is not in it.
 *
 * | of the consent | in FHIR |
 * |---|---|
 * | `id` | `identifier` |
 * | `study` | `organization`, by identifier and title |
 * | `participant` | `patient.identifier` |
 * | `version` | `policyRule.coding.version` |
 * | `text`, `language` | `sourceAttachment`, with its size and SHA-1 |
 * | `givenAt` | `dateTime` and `provision.period.start` |
 * | `expiresAt` | `provision.period.end` |
 * | `givenBy` | `performer`, with the extension `…/StructureDefinition/relationship`; else the participant |
 * | `dataClasses` | `provision.code`; with a study also their types in `provision.class` |
 * | `period` | `provision.dataPeriod` |
 * | `withhold` | `provision.provision` of type `deny`, its `securityLabel` |
 * | `recipients` | `provision.actor`, with what they do as the text of the role |
 * | what the study asks for and was not given | `provision.provision` of type `deny`; with a study only |
 * | `format`, `digest`, `signature`, `sharing`, `replaces`, `withdrawalCommitment` | the extension `…/StructureDefinition/consent`, one part each |
 *
 * The URLs begin with `https://syncfor.science/fhir`.
 *
 * @param options.study Says of what types the data classes are, and what was withheld
 * @see https://hl7.org/fhir/R4/consent.html
 */
export function consentToFhir(consent: ConsentDocument, options: { readonly study?: Study } = {}): Consent {
  const { study } = options
  const patient: Reference = {
    type: 'Patient',
    identifier: { system: names.participant, value: consent.participant },
  }
  return {
    resourceType: 'Consent',
    extension: [{ url: names.consent, extension: extensionsOf(consent) }],
    identifier: [{ system: names.consentId, value: consent.id }],
    status: 'active',
    scope: concept(`${terminology}/consentscope`, 'research', 'Research'),
    category: [
      concept('http://loinc.org', '59284-0', 'Patient Consent'),
      concept(`${terminology}/consentcategorycodes`, 'research', 'Research Information Access'),
    ],
    patient,
    dateTime: consent.givenAt,
    performer: [consent.givenBy ? proxyOf(consent.givenBy) : patient],
    organization: [
      {
        type: 'Organization',
        identifier: { system: names.study, value: consent.study.id },
        display: consent.study.title,
      },
    ],
    sourceAttachment: textOf(consent),
    policyRule: {
      coding: [{ system: names.consentText, version: consent.version, code: consent.study.id }],
      text: `${consent.study.title}, ${consent.version}`,
    },
    provision: provisionOf(consent, study),
  }
}

const terminology = 'http://terminology.hl7.org/CodeSystem'

// A member that R4 has an element for is a line here and one in `membersOf`.
function provisionOf(consent: ConsentDocument, study: Study | undefined): ConsentProvision {
  const { dataClasses, recipients, givenAt, expiresAt, period } = consent
  const denied = deniedIn(consent, study)
  const types = study ? typesOf(study, dataClasses) : []
  return {
    type: 'permit',
    period: { start: givenAt, ...(expiresAt === undefined ? {} : { end: expiresAt }) },
    ...(recipients ? { actor: recipients.map(actorOf) } : {}),
    action: [
      concept(`${terminology}/consentaction`, 'access', 'Access'),
      concept(`${terminology}/consentaction`, 'use', 'Use'),
    ],
    purpose: [{ system: `${terminology}/v3-ActReason`, code: 'HRESCH', display: 'healthcare research' }],
    ...(types.length === 0
      ? {}
      : { class: types.map((code) => ({ system: 'http://hl7.org/fhir/resource-types', code })) }),
    code: dataClasses.map(classOf),
    ...(period === undefined ? {} : { dataPeriod: { ...period } }),
    ...(denied.length === 0 ? {} : { provision: denied }),
  }
}

function deniedIn(
  { dataClasses, withhold = [] }: ConsentDocument,
  study: Study | undefined,
): ConsentProvision[] {
  const withheld = (study?.plan.classes ?? [])
    .map(({ name }) => name)
    .filter((name) => !dataClasses.includes(name))
  return [
    ...(withheld.length === 0 ? [] : [{ type: 'deny' as const, code: withheld.map(classOf) }]),
    ...(withhold.length === 0 ? [] : [{ type: 'deny' as const, securityLabel: withhold.map(labelOf) }]),
  ]
}

const labelOf = (code: string): Coding => {
  const display = sensitiveCategories.find(({ id }) => id === code)?.says
  return { system: names.sensitive, code, ...(display === undefined ? {} : { display }) }
}

const typesOf = (study: Study, dataClasses: readonly string[]): string[] =>
  [
    ...new Set(
      study.plan.classes.filter((row) => dataClasses.includes(row.name)).map((row) => row.type as string),
    ),
  ].sort()

// Codes have no white space but single spaces; a class that is called otherwise has its name only.
const classOf = (name: string): CodeableConcept => ({
  ...(/^\S+( \S+)*$/.test(name) ? { coding: [{ system: names.dataClass, code: name }] } : {}),
  text: name,
})

const actorOf = ({ name, role }: Recipient): { role: CodeableConcept; reference: Reference } => ({
  role: {
    ...concept(`${terminology}/v3-ParticipationType`, 'IRCP', 'information recipient'),
    ...(role === undefined ? {} : { text: role }),
  },
  reference: { type: 'Organization', display: name },
})

const proxyOf = ({ name, relationship }: NonNullable<ConsentDocument['givenBy']>): Reference => ({
  extension: [{ url: names.relationship, valueString: relationship }],
  type: 'RelatedPerson',
  display: name,
})

function textOf({ text, language, givenAt }: ConsentDocument): Attachment {
  const bytes = new TextEncoder().encode(text)
  return {
    contentType: 'text/plain; charset=utf-8',
    ...(language === undefined ? {} : { language }),
    data: base64(bytes),
    size: bytes.length,
    hash: sha1Base64(bytes),
    creation: givenAt,
  }
}

function extensionsOf(consent: ConsentDocument): Extension[] {
  const { sharing, replaces } = consent
  return [
    { url: 'format', valueString: consent.format },
    { url: 'digest', valueString: consent.digest },
    { url: 'signature', valueString: consent.signature },
    ...(sharing === undefined ? [] : [{ url: 'sharing', valueCode: sharing }]),
    ...(replaces === undefined ? [] : [{ url: 'replaces', valueString: replaces }]),
    { url: 'withdrawalCommitment', valueString: consent.withdrawalCommitment },
  ]
}

const concept = (system: string, code: string, display: string): CodeableConcept => ({
  coding: [{ system, code, display }],
})

/**
 * The consent that a FHIR `Consent` of `consentToFhir` stands for, unaltered and to this study's present text. A
 * server's own `id`, `meta` and narrative may have come to it; every other element must say what the consent says.
 *
 * @throws SmartError `SHARE_CONSENT_INVALID`; `SHARE_WITHDRAWN` when it is no longer active
 */
export function consentFromFhir(resource: unknown, study: Study): ConsentDocument {
  if (!isObject(resource) || resource.resourceType !== 'Consent') throw invalid('is not a FHIR Consent')
  const found = parseDocument(membersOf(resource))
  checkAgainst(found, study)
  if (resource.status === 'inactive')
    throw new SmartError('SHARE_WITHDRAWN', 'the participant has withdrawn this consent', {
      subject: study.id,
    })
  const said = [consentToFhir(found), consentToFhir(found, { study })]
  const { id: _id, meta: _meta, text: _text, ...own } = resource
  if (!said.some((one) => isSame(own, one))) throw invalid('was altered')
  return Object.freeze(found)
}

// Anything may be anywhere in what a server answers; whatever is not as we write it is not found.
function membersOf(resource: Record<string, unknown>): Record<string, unknown> {
  const { provision, sourceAttachment } = resource
  const own = first(resource.extension)
  const performer = first(resource.performer)
  const organization = first(resource.organization)
  const actors = isObject(provision) ? provision.actor : undefined
  const relationship = stringAt(first(at(performer, 'extension')), 'valueString')
  return given({
    ...Object.fromEntries(list(at(own, 'extension')).map((one) => [String(at(one, 'url')), valueIn(one)])),
    id: at(first(resource.identifier), 'value'),
    study: { id: at(at(organization, 'identifier'), 'value'), title: at(organization, 'display') },
    participant: at(at(resource.patient, 'identifier'), 'value'),
    version: at(first(at(resource.policyRule, 'coding')), 'version'),
    text: decoded(at(sourceAttachment, 'data')),
    language: at(sourceAttachment, 'language'),
    dataClasses: list(at(provision, 'code')).map((one) => at(one, 'text')),
    period: at(provision, 'dataPeriod'),
    withhold: withholdIn(provision),
    recipients: actors === undefined ? undefined : list(actors).map(recipientOf),
    givenBy: relationship === undefined ? undefined : { name: at(performer, 'display'), relationship },
    givenAt: resource.dateTime,
    expiresAt: at(at(provision, 'period'), 'end'),
  })
}

function withholdIn(provision: unknown): unknown[] | undefined {
  const denied = list(at(provision, 'provision')).find((one) => at(one, 'securityLabel') !== undefined)
  return denied === undefined ? undefined : list(at(denied, 'securityLabel')).map((one) => at(one, 'code'))
}

const recipientOf = (actor: unknown): Record<string, unknown> =>
  given({ name: at(at(actor, 'reference'), 'display'), role: at(at(actor, 'role'), 'text') })

const at = (value: unknown, key: string): unknown => (isObject(value) ? value[key] : undefined)
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])
const first = (value: unknown): unknown => list(value)[0]
const valueIn = (one: unknown): unknown => at(one, 'valueString') ?? at(one, 'valueCode')
const given = (value: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined))

function decoded(data: unknown): string | undefined {
  if (typeof data !== 'string') return undefined
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(fromBase64(data))
  } catch {
    return undefined
  }
}

/** The same JSON, in whatever order its members stand. */
function isSame(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((one, index) => isSame(one, b[index]))
  if (!isObject(a) || !isObject(b)) return a === b
  const keys = Object.keys(a)
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && isSame(a[key], b[key]))
  )
}

const invalid = (what: string): SmartError => new SmartError('SHARE_CONSENT_INVALID', `the consent ${what}`)
