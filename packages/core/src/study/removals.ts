/** What a study's protocol keeps out of what it receives. */
export type Removal = 'free-text' | 'names' | 'contact-details' | 'identifiers' | 'birth-day' | 'files'

/** One kind of removal, and the elements that it takes out. */
export interface RemovalRow {
  readonly id: Removal
  /** What is taken out, in words for the participant. */
  readonly says: string
  readonly rules: readonly RemovalRule[]
  /** Extensions that go, by the end of their URL. */
  readonly extensions?: readonly string[]
}

export interface RemovalRule {
  readonly keys: readonly string[]
  /** Only a value of this kind. */
  readonly kind?: 'object' | 'string'
  /** Only in these types of resources. */
  readonly in?: readonly string[]
  /** Only below an element of these names. */
  readonly under?: readonly string[]
  /** Only where the object has such a reference beside it. */
  readonly beside?: RegExp
  /** Not where the object has this member too. */
  readonly unless?: string
  /** Keeps this many characters of a text. */
  readonly keep?: number
}

const persons = ['Patient', 'Practitioner', 'PractitionerRole', 'RelatedPerson', 'Person']
const toPerson = /(?:^|\/)(?:Patient|Practitioner|PractitionerRole|RelatedPerson|Person)\/|^#/

// A narrative says in words what the elements say.
const narrative: readonly RemovalRule[] = [{ keys: ['text'], kind: 'object' }, { keys: ['div'] }]

/**
 * The removals, from free text to the day of birth. They take whole elements out by name, and with each of them the
 * narrative, which may say the same in words; what is left keeps its bytes, so that `1.00` stays `1.00`.
 *
 * @see https://www.hhs.gov/hipaa/for-professionals/special-topics/de-identification/ for the identifiers
 */
export const removals: readonly RemovalRow[] = /* @__PURE__ */ Object.freeze([
  {
    id: 'free-text',
    says: 'What was written in free words, and files',
    rules: [
      ...narrative,
      { keys: ['note', 'notes', 'comment', 'comments', 'conclusion', 'patientInstruction', 'details'] },
      { keys: ['valueString', 'valueMarkdown', 'valueAnnotation', 'authorString', 'summary'] },
      { keys: ['description'], kind: 'string' },
      {
        keys: ['text'],
        kind: 'string',
        under: [
          ...['dosage', 'dosageInstruction', 'bodySite', 'reason', 'reasonCode', 'item', 'description'],
          ...['manifestation', 'complication', 'outcome', 'followUp', 'statusReason'],
        ],
      },
      { keys: ['data', 'contentString'], kind: 'string', unless: 'origin' },
    ],
  },
  {
    id: 'names',
    says: 'Names of people',
    rules: [
      ...narrative,
      { keys: ['name', 'contact'], in: persons },
      { keys: ['display'], beside: toPerson },
      {
        keys: ['display'],
        under: [
          ...['subject', 'patient', 'performer', 'author', 'requester', 'asserter', 'recorder', 'prescriber'],
          ...[
            'individual',
            'actor',
            'informant',
            'informationSource',
            'source',
            'sender',
            'participant',
            'member',
          ],
          ...[
            'authenticator',
            'dispenser',
            'orderer',
            'practitioner',
            'provider',
            'attester',
            'party',
            'collector',
          ],
        ],
      },
    ],
    extensions: ['patient-mothersMaidenName'],
  },
  {
    id: 'contact-details',
    says: 'Addresses, telephone numbers and photographs',
    rules: [
      ...narrative,
      { keys: ['telecom', 'address', 'contact', 'photo', 'valueAddress', 'valueContactPoint'], in: persons },
    ],
    extensions: ['patient-birthPlace'],
  },
  {
    id: 'identifiers',
    says: 'Record numbers and other identifiers',
    rules: [
      ...narrative,
      {
        keys: [
          ...['identifier', 'masterIdentifier', 'accountNumber', 'subscriberId', 'accessionIdentifier'],
          ...['groupIdentifier', 'valueIdentifier', 'udiCarrier', 'udi', 'serialNumber'],
          ...['preAuthRef', 'requisition'],
        ],
      },
    ],
  },
  {
    id: 'birth-day',
    says: 'The day and month of birth',
    rules: [
      ...narrative,
      { keys: ['birthDate', 'deceasedDateTime', 'valueDate', 'valueDateTime'], in: persons, keep: 4 },
    ],
  },
  {
    id: 'files',
    says: 'Files, such as letters and pictures',
    // Of what is measured over time, `data` is numbers, and stands beside the `origin` that they are counted from.
    rules: [{ keys: ['data'], kind: 'string', unless: 'origin' }],
  },
])
