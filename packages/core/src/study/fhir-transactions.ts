import type { DocumentReference } from 'fhir/r4.js'
import type { CryptoPort } from '../ports.js'
import { base64 } from '../util/bytes.js'
import { sha1Base64 } from '../util/old-hash.js'
import { join } from '../util/url.js'
import { fileOf, nameOf, recordOf } from './bundle.js'
import { idOf, names } from './fhir-names.js'
import { linesOf, openedPart, partsOf, type SharedFile, type SourceParts } from './opened.js'
import type { ManifestSource, Package, PackagePart } from './package.js'
import { provenanceOf } from './provenance.js'
import { retarget, type Target } from './retarget.js'

/** One step of a package's way onto a FHIR server: all of it is there, or nothing. */
export interface Transaction {
  /** `Provenance/id` that is in it: where it is found, the step was taken. */
  readonly marker: string
  /** Parts of the package that are whole with this step. */
  readonly finishes: number
  entries(): Promise<readonly Entry[]>
}

/** A resource to put: `Type/id` and its text. */
export interface Entry {
  readonly name: string
  readonly text: string
}

export interface TransactionOptions {
  /** Most resources of one step, its Provenance not counted. */
  readonly batchSize: number
  readonly crypto: CryptoPort
}

/**
 * The steps of a package, always the same for the same package and size: for each source its resources, then its files,
 * each step with a Provenance of what is in it. A resource's id is made of study, participant, provider, patient and its
 * own id, so that sharing it again replaces it, and no participant's data is under the id of another's.
 */
export async function* transactionsOf(
  pack: Package,
  { batchSize, crypto }: TransactionOptions,
): AsyncIterable<Transaction> {
  for (const source of pack.manifest.sources) {
    const parts = await partsOf(pack, source.folder, crypto)
    const place = placeOf(pack, source, parts, crypto)
    let number = 0
    const step = (finishes: number, entries: () => Promise<Entry[]>): Transaction => {
      const id = idOf('provenance', pack.digest, source.folder, String(batchSize), String(number++))
      return {
        marker: `Provenance/${id}`,
        finishes,
        entries: async () => {
          const made = await entries()
          return [...made, provenanceFor(source, id, made)]
        },
      }
    }
    for (const { slices, finishes } of groupsOf(pack, parts.resources, batchSize))
      yield step(finishes, () => place.resources(slices))
    for (const file of parts.files) yield step(1, () => place.file(file))
  }
}

interface Slice {
  readonly part: PackagePart
  readonly from: number
  readonly to: number
}

interface Group {
  readonly slices: readonly Slice[]
  readonly finishes: number
}

const mostBytes = 4 * 1024 * 1024

/** Lines of neighbouring parts together, as many as a step may hold; no line is looked at for it. */
function* groupsOf(pack: Package, parts: readonly PackagePart[], batchSize: number): Iterable<Group> {
  const counts = new Map(pack.manifest.parts.map(({ path, resources = 0 }) => [path, resources]))
  let slices: Slice[] = []
  let [lines, bytes, finishes] = [0, 0, 0]
  for (const part of parts) {
    const count = counts.get(part.path) ?? 0
    for (let from = 0; from < count; ) {
      if (lines === batchSize || (lines > 0 && bytes + part.size > mostBytes)) {
        yield { slices, finishes }
        slices = []
        ;[lines, bytes, finishes] = [0, 0, 0]
      }
      const to = Math.min(count, from + batchSize - lines)
      slices.push({ part, from, to })
      lines += to - from
      bytes += part.size
      if (to === count) finishes += 1
      from = to
    }
  }
  if (lines > 0) yield { slices, finishes }
}

interface Place {
  resources(slices: readonly Slice[]): Promise<Entry[]>
  file(file: SharedFile): Promise<Entry[]>
}

function placeOf(pack: Package, source: ManifestSource, parts: SourceParts, crypto: CryptoPort): Place {
  const { iss } = source.provider
  const owner = [pack.manifest.study.id, pack.manifest.participant, iss, source.patient] as const
  let open: { readonly part: PackagePart; readonly lines: readonly string[] } | undefined
  const linesIn = async (part: PackagePart): Promise<readonly string[]> => {
    if (open?.part !== part) open = { part, lines: await linesOf(part, crypto) }
    return open.lines
  }
  let known: Promise<Target> | undefined
  const target = (): Promise<Target> => {
    known ??= targetOf(iss, owner, parts.resources, crypto)
    return known
  }
  return {
    async resources(slices) {
      const to = await target()
      const entries: Entry[] = []
      for (const { part, from, to: end } of slices)
        for (const line of (await linesIn(part)).slice(from, end)) entries.push(entryOf(line, to, owner))
      return entries
    },
    async file(file) {
      const { idFor } = await target()
      const bytes = await openedPart(file.part, crypto)
      const name = (kind: string): string => idOf(kind, ...owner, file.part.sha256)
      const address = (one: string): string => {
        const id = idFor(one)
        return id === undefined ? join(iss, one) : `${one.slice(0, one.indexOf('/'))}/${id}`
      }
      const document = `DocumentReference/${name('document')}`
      const binary = `Binary/${name('file')}`
      const made = fileOf(file, bytes, {
        binary,
        subject: address(`Patient/${source.patient}`),
        sources: file.sources.map(address),
      })
      return [
        binaryEntry(binary, made.binary.contentType, bytes, document),
        jsonEntry(document, { ...made.document }),
      ]
    },
  }
}

/** Only ids are kept of all that goes along. */
async function targetOf(
  iss: string,
  owner: readonly string[],
  parts: readonly PackagePart[],
  crypto: CryptoPort,
): Promise<Target> {
  const ids = new Map<string, string>()
  for (const part of parts)
    for (const line of await linesOf(part, crypto)) {
      const name = nameOf(line)
      if (isOfRecord(name)) ids.set(name, idOf('resource', ...owner, name))
    }
  return { iss, idFor: (name) => ids.get(name) }
}

// What a FHIR server acts on when it is given it, such as a Subscription, is kept as a file and not as what it is.
function entryOf(line: string, target: Target, owner: readonly string[]): Entry {
  const name = nameOf(line)
  if (isOfRecord(name)) return retarget(line, target)
  const id = `Binary/${idOf('other', ...owner, name)}`
  return binaryEntry(id, 'application/fhir+json', new TextEncoder().encode(line))
}

function isOfRecord(name: string): boolean {
  const type = name.slice(0, name.indexOf('/'))
  return /^[A-Za-z]+$/.test(type) && recordTypes.includes(` ${type} `)
}

// R4's clinical, administrative and financial types; none configures a server. One text, which a page that does not
// deliver this way is spared.
const recordTypes =
  ' ' +
  'Account AdverseEvent AllergyIntolerance Appointment AppointmentResponse BodyStructure CarePlan ' +
  'CareTeam ChargeItem Claim ClaimResponse ClinicalImpression Communication CommunicationRequest ' +
  'Composition Condition Coverage CoverageEligibilityRequest CoverageEligibilityResponse DetectedIssue ' +
  'Device DeviceRequest DeviceUseStatement DiagnosticReport DocumentManifest DocumentReference ' +
  'Encounter EnrollmentRequest EnrollmentResponse EpisodeOfCare ExplanationOfBenefit ' +
  'FamilyMemberHistory Flag Goal Group HealthcareService ImagingStudy Immunization ' +
  'ImmunizationEvaluation ImmunizationRecommendation InsurancePlan Invoice List Location Media ' +
  'Medication MedicationAdministration MedicationDispense MedicationRequest MedicationStatement ' +
  'MolecularSequence NutritionOrder Observation Organization OrganizationAffiliation Patient ' +
  'PaymentNotice PaymentReconciliation Person Practitioner PractitionerRole Procedure Provenance ' +
  'Questionnaire QuestionnaireResponse RelatedPerson RequestGroup RiskAssessment Schedule ' +
  'ServiceRequest Slot Specimen Substance SupplyDelivery SupplyRequest Task VisionPrescription '

function provenanceFor(source: ManifestSource, id: string, made: readonly Entry[]): Entry {
  const target = made.map(({ name }) => ({ reference: name }))
  return jsonEntry(`Provenance/${id}`, { ...provenanceOf(recordOf(source), source.counts), target })
}

/** A resource under a name. */
export function jsonEntry(name: string, resource: object): Entry {
  return { name, text: JSON.stringify({ ...resource, id: name.slice(name.indexOf('/') + 1) }) }
}

function binaryEntry(name: string, contentType: string, bytes: Uint8Array, document?: string): Entry {
  const id = name.slice(name.indexOf('/') + 1)
  const securityContext = document === undefined ? {} : { securityContext: { reference: document } }
  const head = JSON.stringify({ resourceType: 'Binary', id, contentType, ...securityContext })
  return { name, text: `${head.slice(0, -1)},"data":"${base64(bytes)}"}` }
}

/** Names of what stands for the package itself. */
export function packageNames(digest: string): { readonly document: string; readonly manifest: string } {
  return {
    document: `DocumentReference/${idOf('package', digest)}`,
    manifest: `Binary/${idOf('manifest', digest)}`,
  }
}

/** What stands for the package: its manifest, and, once it is final, every step that it came in. */
export function packageEntries(
  pack: Package,
  status: {
    readonly final: boolean
    readonly consent: string
    readonly markers: readonly string[]
    readonly at: string
  },
): Entry[] {
  const { study, participant } = pack.manifest
  const own = packageNames(pack.digest)
  const bytes = pack.manifestBytes
  const document: DocumentReference = {
    resourceType: 'DocumentReference',
    masterIdentifier: { system: names.package, value: pack.digest },
    status: 'current',
    docStatus: status.final ? 'final' : 'preliminary',
    type: { text: 'Package of health records' },
    subject: { type: 'Patient', identifier: { system: names.participant, value: participant } },
    date: status.at,
    custodian: {
      type: 'Organization',
      identifier: { system: names.study, value: study.id },
      display: study.title,
    },
    content: [
      {
        attachment: {
          contentType: 'application/json',
          url: own.manifest,
          size: bytes.length,
          hash: sha1Base64(bytes),
          title: 'manifest.json',
        },
      },
    ],
    context: { related: [status.consent, ...status.markers].map((reference) => ({ reference })) },
  }
  const manifest = binaryEntry(own.manifest, 'application/json', bytes, own.document)
  return [...(status.final ? [] : [manifest]), jsonEntry(own.document, document)]
}

/** A FHIR Bundle that puts the entries, all of them or none. @see https://hl7.org/fhir/R4/http.html#transaction */
export function transactionBundle(base: string, entries: readonly Entry[]): Uint8Array<ArrayBuffer> {
  const made = entries.map(
    ({ name, text }) =>
      `{"fullUrl":${JSON.stringify(join(base, name))},"resource":${text},"request":{"method":"PUT","url":"${name}"}}`,
  )
  return new TextEncoder().encode(
    `{"resourceType":"Bundle","type":"transaction","entry":[\n${made.join(',\n')}\n]}`,
  )
}
