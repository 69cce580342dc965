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
import { digitsOf } from './parse.js'
import { allAt, choiceOf, firstAt, joined, oneAt, quantityText, textOf } from './read.js'
import { type Cell, defineTable, type ResourceSubject, type ResourceTable } from './table.js'

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

// What is neither a number nor a code, in the words in which one would write it down.
function valueText({ part }: ResourceSubject): Cell {
  const chosen = choiceOf(part, 'value')
  if (chosen === undefined) return null
  const { type, value } = chosen
  if (type === 'CodeableConcept') return textOf(firstAt(value, 'text'))
  if (type === 'Quantity') return quantityText(value)
  if (type === 'Integer' || type === 'Decimal') return digitsOf(value)
  if (type === 'Boolean') return typeof value === 'boolean' ? String(value) : null
  if (type === 'Range') return between(value, 'low', ' - ', 'high')
  if (type === 'Ratio') return between(value, 'numerator', ':', 'denominator')
  if (type === 'Period') {
    const [start, end] = [textOf(firstAt(value, 'start')), textOf(firstAt(value, 'end'))]
    return start === null && end === null ? null : `${start ?? ''}/${end ?? ''}`
  }
  if (type === 'SampledData') return textOf(firstAt(value, 'data'))
  return textOf(value)
}

function between(value: unknown, from: string, mark: string, to: string): Cell {
  const [low, high] = [quantityText(firstAt(value, from)), quantityText(firstAt(value, to))]
  return low === null && high === null ? null : `${low ?? ''}${mark}${high ?? ''}`
}

export const observations: ResourceTable = defineTable({
  name: 'observations',
  says: 'One observation: a result of a laboratory, a vital sign, smoking status, social history, an assessment; and one row more for each of its components, such as the two pressures of a blood pressure. Where `component` is null is the observation itself, so counting those rows counts observations',
  types: ['Observation'],
  parts: 'component',
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
    made('value_text', 'string', 'value[x]', 'The value in words, whatever it is', valueText),
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
