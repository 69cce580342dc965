import {
  code,
  codes,
  concept,
  countOf,
  dates,
  identity,
  instant,
  made,
  reference,
  systems,
  text,
  texts,
  whole,
} from './columns.js'
import { allAt, joined, referenceOf } from './read.js'
import { defineTable, type ResourceTable } from './table.js'

export const diagnosticReports: ResourceTable = defineTable({
  name: 'diagnostic_reports',
  says: 'One report of a laboratory, of imaging or of another test',
  types: ['DiagnosticReport'],
  columns: [
    ...identity,
    code('status', 'status', '`final`, `amended` and so on'),
    codes('categories', 'category', '`LAB`, `RAD` and so on'),
    ...concept('code', 'code', 'What was reported on', [systems.loinc]),
    ...dates('effective', 'effectiveDateTime | effectivePeriod.start', 'When what it says was true'),
    instant('issued', 'issued', 'When it was made known'),
    text('conclusion', 'conclusion', 'What it concludes'),
    codes('conclusion_codes', 'conclusionCode', 'What it concludes, as codes'),
    made(
      'results',
      'string',
      'result.reference',
      'Its results, which are rows of `observations`; several are separated by “; ”',
      ({ part }) => joined(allAt(part, 'result').map(referenceOf)),
    ),
    countOf('result_count', 'result', 'How many results it has'),
    countOf(
      'form_count',
      'presentedForm',
      'How many files it has; those that came are rows of `attachments`',
    ),
    reference('encounter', 'encounter | context', 'At which visit'),
  ],
})

export const documents: ResourceTable = defineTable({
  name: 'documents',
  says: 'One clinical note or other document. Its files are rows of `attachments`',
  types: ['DocumentReference'],
  columns: [
    ...identity,
    code('status', 'status', '`current`, `superseded` and so on'),
    code('document_status', 'docStatus', '`final`, `preliminary` and so on'),
    codes('categories', 'category', '`clinical-note` and so on'),
    ...concept('code', 'type', 'What kind of document', [systems.loinc]),
    ...dates('written', 'date | created | indexed', 'When it was written'),
    text('description', 'description', 'What it is, in words'),
    text('title', 'content.attachment.title', 'The title of the first file'),
    text('content_type', 'content.attachment.contentType', 'What the first file is'),
    whole('size', 'content.attachment.size', 'The bytes of the first file, as the provider says'),
    countOf('content_count', 'content', 'How many files it has'),
    ...dates('period_start', 'context.period.start', 'From when on what it describes took place'),
    reference('encounter', 'context.encounter', 'At which visit'),
  ],
})

export const serviceRequests: ResourceTable = defineTable({
  name: 'service_requests',
  says: 'One order or referral',
  types: ['ServiceRequest'],
  columns: [
    ...identity,
    code('status', 'status', '`active`, `completed` and so on'),
    code('intent', 'intent', '`order`, `plan` and so on'),
    codes('categories', 'category', 'What kind it is'),
    ...concept('code', 'code', 'What was ordered', [systems.loinc, systems.snomed, systems.cpt]),
    ...dates('occurrence', 'occurrenceDateTime | occurrencePeriod.start', 'When it should be done'),
    ...dates('authored', 'authoredOn', 'When it was ordered'),
    codes('reasons', 'reasonCode', 'Why, as codes'),
    reference('encounter', 'encounter', 'At which visit'),
    texts('notes', 'note.text', 'Remarks'),
  ],
})
