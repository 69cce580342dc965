import type { Resource } from '../fhir/types.js'
import { usCore } from '../plans/us-core.js'
import { classesOf } from '../record/classify.js'
import {
  code,
  codes,
  concept,
  dates,
  decimal,
  identity,
  instant,
  made,
  once,
  quantity,
  reference,
  systems,
  text,
  truth,
} from './columns.js'
import { allAt, choiceOf, joined, oneAt, textOf } from './read.js'
import { type Cell, defineTable, type ResourceSubject, type ResourceTable } from './table.js'
import { choiceText } from './values.js'

/** Read from the observation, also in the row of a component. */
function whole(paths: string): (subject: ResourceSubject) => unknown {
  const find = oneAt(paths)
  return ({ resource }) => find(resource)
}

const classes = once((resource: ResourceSubject['resource']): Cell => {
  const entry = { resource: resource as unknown as Resource, text: '', mode: 'match' } as const
  return joined(classesOf(entry, usCore.classes).map(({ name }) => name))
})

/** The data classes that a resource is of, as US Core asks for them. */
export function dataClasses({ type, resource }: ResourceSubject): Cell {
  // What a line says of its own type is not what its part is listed as: it may be anything.
  return resource.resourceType === type ? classes(resource) : null
}

export const observations: ResourceTable = defineTable({
  name: 'observations',
  says: 'One observation: a result of a laboratory, a vital sign, smoking status, social history, an assessment; and one row more for each of its components, such as the two pressures of a blood pressure. Where `component` is null is the observation itself, so counting those rows counts observations',
  types: ['Observation'],
  parts: (resource) => allAt(resource, 'component'),
  columns: [
    ...identity,
    made(
      'component',
      'integer',
      'component',
      'Which component of the observation, from 1; null in the row of the observation itself',
      ({ number }) => number,
    ),
    made(
      'data_classes',
      'string',
      'category, code',
      'The data classes of US Core that it is of, such as `Laboratory`; several are separated by “; ”',
      dataClasses,
    ),
    codes('categories', 'category', 'Its categories', ({ resource }) => resource),
    code('status', 'status', 'Whether it is final', whole('status')),
    ...concept('code', 'code', 'What was observed', [systems.loinc]),
    ...dates(
      'effective',
      'effectiveDateTime | effectiveInstant | effectivePeriod.start',
      'When it was true',
      'time',
      whole('effectiveDateTime | effectiveInstant | effectivePeriod.start'),
    ),
    text(
      'effective_end',
      'effectivePeriod.end',
      'The end of a period, as it was written',
      whole('effectivePeriod.end'),
    ),
    instant('issued', 'issued', 'When it was made known', whole('issued')),
    made(
      'value_type',
      'string',
      'value[x]',
      'What its value is: `Quantity`, `CodeableConcept`, `String` and so on; null without a value',
      ({ part }) => choiceOf(part, 'value')?.type ?? null,
    ),
    ...decimal('value', 'valueQuantity.value | valueInteger', 'The value, where it is a number'),
    text('value_comparator', 'valueQuantity.comparator', '`<` or `>=` and so on, where it is not exact'),
    text('value_unit', 'valueQuantity.unit', 'The unit of the value, as it was written'),
    text('value_unit_code', 'valueQuantity.code', 'The unit of the value, as a code, mostly of UCUM'),
    truth('value_boolean', 'valueBoolean', 'The value, where it is yes or no'),
    ...concept('value_code', 'valueCodeableConcept', 'The value, where it is a code').filter(
      ({ name }) => name !== 'value_code_text',
    ),
    made('value_text', 'string', 'value[x]', 'The value in words, whatever it is', ({ part }) =>
      choiceText(choiceOf(part, 'value')),
    ),
    code('absent_reason', 'dataAbsentReason', 'Why there is no value'),
    codes('interpretations', 'interpretation', 'Codes such as `H` for high'),
    ...quantity('reference_low', 'referenceRange.low', 'The low end of the first reference range'),
    ...quantity('reference_high', 'referenceRange.high', 'The high end of the first reference range'),
    made('reference_text', 'string', 'referenceRange.text', 'Reference ranges in words', ({ part }) =>
      joined(allAt(part, 'referenceRange.text').map(textOf)),
    ),
    code('method', 'method', 'How it was done', whole('method')),
    code('body_site', 'bodySite', 'Where on the body', whole('bodySite')),
    reference('specimen', 'specimen', 'Of which sample', whole('specimen')),
    reference('encounter', 'encounter', 'At which visit', whole('encounter | context')),
    made('notes', 'string', 'note.text', 'Remarks', ({ resource }) =>
      joined(allAt(resource, 'note.text').map(textOf)),
    ),
  ],
})

export const specimens: ResourceTable = defineTable({
  name: 'specimens',
  says: 'One sample',
  types: ['Specimen'],
  columns: [
    ...identity,
    code('status', 'status', 'Whether it is available'),
    ...concept('code', 'type', 'What it is', [systems.snomed]),
    ...dates(
      'collected',
      'collection.collectedDateTime | collection.collectedPeriod.start',
      'When it was taken',
    ),
    code('body_site', 'collection.bodySite', 'Where on the body it was taken'),
  ],
})
