import {
  code,
  codes,
  concept,
  dates,
  identity,
  made,
  quantity,
  reference,
  systems,
  text,
  texts,
  truth,
  whole,
} from './columns.js'
import { allAt, firstAt, referenceOf } from './read.js'
import { defineTable, type ResourceSubject, type ResourceTable } from './table.js'

// A medicine is a code, or a resource that is pointed to, which may be inside the one that points.
function medicine({ resource }: ResourceSubject): unknown {
  const concept = firstAt(resource, 'medicationCodeableConcept')
  if (concept !== undefined) return concept
  const target = referenceOf(firstAt(resource, 'medicationReference'))
  if (!target?.startsWith('#')) return undefined
  const inside = allAt(resource, 'contained').find((one) => firstAt(one, 'id') === target.slice(1))
  return firstAt(inside, 'code')
}

const medicineColumns = [
  ...concept(
    'code',
    'medicationCodeableConcept, or the contained medication',
    'The medicine',
    [systems.rxnorm],
    medicine,
  ),
  made(
    'medication',
    'string',
    'medicationReference',
    'The medication that is pointed to; its code is in `medications`',
    ({ resource }) => referenceOf(firstAt(resource, 'medicationReference')),
  ),
]

const dosageColumns = (from: string) => [
  texts('dosage_text', `${from}.text`, 'How to take it'),
  code('route', `${from}.route`, 'By which route'),
  truth('as_needed', `${from}.asNeededBoolean`, 'True when it is taken only as needed'),
  ...quantity('dose', `${from}.doseAndRate.doseQuantity | ${from}.doseQuantity`, 'How much at a time'),
]

export const medicationRequests: ResourceTable = defineTable({
  name: 'medication_requests',
  says: 'One medicine that was prescribed, or that was written down as taken',
  types: ['MedicationRequest', 'MedicationOrder'],
  columns: [
    ...identity,
    code('status', 'status', '`active`, `completed`, `stopped` and so on'),
    code('status_reason', 'statusReason', 'Why it has this status'),
    code('intent', 'intent', '`order`, `plan` and so on'),
    codes('categories', 'category', '`community`, `inpatient` and so on'),
    truth('reported', 'reportedBoolean', 'True when it was told, and not prescribed here'),
    ...medicineColumns,
    ...dates('authored', 'authoredOn | dateWritten', 'When it was prescribed'),
    ...dosageColumns('dosageInstruction'),
    whole('refills', 'dispenseRequest.numberOfRepeatsAllowed', 'How many refills are allowed'),
    ...quantity('quantity', 'dispenseRequest.quantity', 'How much is handed out at a time'),
    ...quantity('supply', 'dispenseRequest.expectedSupplyDuration', 'For how long it is meant to last'),
    codes('reasons', 'reasonCode', 'Why, as codes'),
    reference('encounter', 'encounter | context', 'At which visit'),
    texts('notes', 'note.text', 'Remarks'),
  ],
})

export const medicationDispenses: ResourceTable = defineTable({
  name: 'medication_dispenses',
  says: 'One medicine that a pharmacy handed out',
  types: ['MedicationDispense'],
  columns: [
    ...identity,
    code('status', 'status', '`completed`, `cancelled` and so on'),
    code('type', 'type', '`FF` for the first fill, `RF` for a refill and so on'),
    ...medicineColumns,
    ...quantity('quantity', 'quantity', 'How much'),
    ...quantity('supply', 'daysSupply', 'For how long it lasts'),
    ...dates('prepared', 'whenPrepared', 'When it was ready'),
    ...dates('handed_over', 'whenHandedOver', 'When it was handed out'),
    ...dosageColumns('dosageInstruction'),
    reference('prescription', 'authorizingPrescription', 'The first prescription that it is for'),
  ],
})

export const medicationStatements: ResourceTable = defineTable({
  name: 'medication_statements',
  says: 'One medicine that the patient or somebody else has told about',
  types: ['MedicationStatement'],
  columns: [
    ...identity,
    code('status', 'status', '`active`, `completed`, `not-taken` and so on'),
    ...medicineColumns,
    ...dates(
      'effective',
      'effectiveDateTime | effectivePeriod.start',
      'When it is or was taken, or from when on',
    ),
    text('effective_end', 'effectivePeriod.end', 'Until when, as it was written'),
    ...dates('asserted', 'dateAsserted', 'When it was told'),
    ...dosageColumns('dosage'),
    texts('notes', 'note.text', 'Remarks'),
  ],
})

export const medications: ResourceTable = defineTable({
  name: 'medications',
  says: 'One medicine that others point to',
  types: ['Medication'],
  columns: [
    ...identity,
    ...concept('code', 'code', 'The medicine', [systems.rxnorm]),
    code('form', 'form | product.form', 'Tablet, syrup and so on'),
    codes('ingredients', 'ingredient.itemCodeableConcept', 'What is in it, as codes'),
  ],
})
