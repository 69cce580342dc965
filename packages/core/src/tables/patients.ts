import { code, codes, dates, identity, made, text, truth } from './columns.js'
import { allAt, firstAt, joined, oneAt, quantityText, textOf } from './read.js'
import { defineTable, type ResourceSubject, type ResourceTable } from './table.js'

const usCore = 'http://hl7.org/fhir/us/core/StructureDefinition/'

/** The extensions of a resource with one of these names, which are URLs of US Core or of another. */
function extensions(value: unknown, url: string): unknown[] {
  return allAt(value, 'extension').filter((one) => firstAt(one, 'url') === url)
}

const inside =
  (name: string, part: string, path: string) =>
  ({ resource }: ResourceSubject) =>
    joined(
      extensions(resource, usCore + name)
        .flatMap((one) => extensions(one, part))
        .map((one) => textOf(firstAt(one, path))),
    )

const birthSex = ({ resource }: ResourceSubject) =>
  textOf(firstAt(extensions(resource, `${usCore}us-core-birthsex`), 'valueCode'))

export const patients: ResourceTable = defineTable({
  name: 'patients',
  says: 'One patient as one provider knows them. Names, telephone numbers, streets and record numbers are in `resources` only',
  types: ['Patient'],
  columns: [
    ...identity,
    code('gender', 'gender', 'Administrative gender'),
    ...dates('birth_date', 'birthDate', 'Date of birth', 'day'),
    truth('deceased', 'deceasedBoolean', 'Whether the patient has died, where no date is given'),
    ...dates('deceased_at', 'deceasedDateTime', 'When the patient died'),
    made(
      'race',
      'string',
      'extension(us-core-race).ombCategory',
      'Codes of the OMB’s race categories; several are separated by “; ”',
      inside('us-core-race', 'ombCategory', 'valueCoding.code'),
    ),
    made(
      'race_text',
      'string',
      'extension(us-core-race).text',
      'Race in words',
      inside('us-core-race', 'text', 'valueString'),
    ),
    made(
      'ethnicity',
      'string',
      'extension(us-core-ethnicity).ombCategory',
      'Code of the OMB’s ethnicity category',
      inside('us-core-ethnicity', 'ombCategory', 'valueCoding.code'),
    ),
    made(
      'ethnicity_text',
      'string',
      'extension(us-core-ethnicity).text',
      'Ethnicity in words',
      inside('us-core-ethnicity', 'text', 'valueString'),
    ),
    made('birth_sex', 'string', 'extension(us-core-birthsex)', 'Sex at birth: `F`, `M`, `UNK`', birthSex),
    code('marital_status', 'maritalStatus', 'Marital status'),
    codes('languages', 'communication.language', 'Languages'),
    text('state', 'address.state', 'State of the first address'),
    text('postal_code', 'address.postalCode', 'Postal code of the first address'),
    text('country', 'address.country', 'Country of the first address'),
  ],
})

export const familyHistory: ResourceTable = defineTable({
  name: 'family_history',
  says: 'One relative, and one row more for each condition of theirs',
  types: ['FamilyMemberHistory'],
  parts: (resource) => allAt(resource, 'condition'),
  columns: [
    ...identity,
    made(
      'condition',
      'integer',
      'condition',
      'Which condition of the relative; null in the row of the relative',
      ({ number }) => number,
    ),
    code('status', 'status', 'How much is known', ({ resource }) => resource.status),
    code('relationship', 'relationship', 'Who it is to the patient', ({ resource }) => resource.relationship),
    code('sex', 'sex', 'Sex of the relative', ({ resource }) => resource.sex),
    ...conditionOf(),
  ],
})

function conditionOf() {
  const of = (paths: string): ((subject: ResourceSubject) => unknown) => {
    const find = oneAt(paths)
    return ({ part, number }) => (number === null ? undefined : find(part))
  }
  return [
    code('condition_code', 'condition.code', 'The condition, as the first coding', of('code')),
    text('condition_text', 'condition.code.text', 'The condition in words', of('code.text')),
    code('outcome', 'condition.outcome', 'What came of it', of('outcome')),
    text('onset', 'condition.onset[x]', 'When it began, in words', of('onsetString')),
    made('onset_age', 'string', 'condition.onsetAge', 'The age at which it began, with its unit', (subject) =>
      quantityText(of('onsetAge')(subject)),
    ),
  ]
}
