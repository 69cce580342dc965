import {
  code,
  codes,
  concept,
  countOf,
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
import { choiceOf, firstAt, quantityText, textOf } from './read.js'
import { type Cell, defineTable, type ResourceSubject, type ResourceTable } from './table.js'

// A beginning that is no date: an age, a range, a word.
const words =
  (name: string) =>
  ({ part }: ResourceSubject): Cell => {
    const chosen = choiceOf(part, name)
    if (chosen?.type === 'Age') return quantityText(chosen.value)
    if (chosen?.type === 'Range') {
      const [low, high] = ['low', 'high'].map((end) => quantityText(firstAt(chosen.value, end)))
      return low === null && high === null ? null : `${low ?? ''} - ${high ?? ''}`
    }
    return chosen?.type === 'String' ? textOf(chosen.value) : null
  }

export const conditions: ResourceTable = defineTable({
  name: 'conditions',
  says: 'One problem, concern or diagnosis',
  types: ['Condition'],
  columns: [
    ...identity,
    code('clinical_status', 'clinicalStatus', '`active`, `resolved` and so on'),
    code('verification_status', 'verificationStatus', '`confirmed`, `refuted`, `entered-in-error` and so on'),
    codes('categories', 'category', '`problem-list-item`, `encounter-diagnosis` and so on'),
    code('severity', 'severity', 'How severe it is'),
    ...concept('code', 'code', 'The problem', [systems.snomed, systems.icd10]),
    code('body_site', 'bodySite', 'Where on the body'),
    ...dates('onset', 'onsetDateTime | onsetPeriod.start', 'When it began'),
    made(
      'onset_text',
      'string',
      'onset[x]',
      'When it began, where it is an age, a range or a word',
      words('onset'),
    ),
    ...dates('abatement', 'abatementDateTime | abatementPeriod.start', 'When it ended'),
    made(
      'abatement_text',
      'string',
      'abatement[x]',
      'When it ended, where it is an age, a range or a word',
      words('abatement'),
    ),
    ...dates('recorded', 'recordedDate | dateRecorded | assertedDate', 'When it was written down'),
    reference('encounter', 'encounter | context', 'At which visit'),
    texts('notes', 'note.text', 'Remarks'),
  ],
})

export const allergies: ResourceTable = defineTable({
  name: 'allergies',
  says: 'One allergy or intolerance',
  types: ['AllergyIntolerance'],
  columns: [
    ...identity,
    code('clinical_status', 'clinicalStatus | status', '`active`, `inactive`, `resolved`'),
    code('verification_status', 'verificationStatus', '`confirmed`, `refuted` and so on'),
    code('type', 'type', '`allergy` or `intolerance`'),
    codes('categories', 'category', '`food`, `medication`, `environment`, `biologic`'),
    code('criticality', 'criticality', '`low`, `high`, `unable-to-assess`'),
    ...concept('code', 'code | substance', 'What to', [systems.rxnorm, systems.snomed]),
    ...dates('onset', 'onsetDateTime | onsetPeriod.start | onset', 'When it began'),
    ...dates('recorded', 'recordedDate | assertedDate', 'When it was written down'),
    ...dates('last_occurrence', 'lastOccurrence | lastOccurence', 'When it last happened'),
    countOf('reactions', 'reaction', 'How many reactions are described'),
    codes('manifestations', 'reaction.manifestation', 'What the reactions were, as codes'),
    texts('manifestation_texts', 'reaction.manifestation.text', 'What the reactions were, in words'),
    codes('severities', 'reaction.severity', '`mild`, `moderate`, `severe`'),
    texts('notes', 'note.text', 'Remarks'),
  ],
})

export const procedures: ResourceTable = defineTable({
  name: 'procedures',
  says: 'One operation or other procedure',
  types: ['Procedure'],
  columns: [
    ...identity,
    code('status', 'status', '`completed`, `not-done` and so on'),
    code('status_reason', 'statusReason | notDoneReason | reasonNotPerformed', 'Why it was not done'),
    code('category', 'category', 'What kind it is'),
    ...concept('code', 'code', 'What was done', [systems.snomed, systems.cpt]),
    ...dates('performed', 'performedDateTime | performedPeriod.start', 'When it was done, or when it began'),
    ...dates('performed_end', 'performedPeriod.end', 'When it ended'),
    made(
      'performed_text',
      'string',
      'performed[x]',
      'When, where it is an age, a range or a word',
      words('performed'),
    ),
    codes('body_sites', 'bodySite', 'Where on the body'),
    codes('reasons', 'reasonCode', 'Why, as codes'),
    code('outcome', 'outcome', 'What came of it'),
    reference('encounter', 'encounter | context', 'At which visit'),
    texts('notes', 'note.text', 'Remarks'),
  ],
})

export const immunizations: ResourceTable = defineTable({
  name: 'immunizations',
  says: 'One vaccination, given or not given',
  types: ['Immunization'],
  columns: [
    ...identity,
    code('status', 'status', '`completed`, `not-done`, `entered-in-error`'),
    code('status_reason', 'statusReason | explanation.reasonNotGiven', 'Why it was not given'),
    ...concept('code', 'vaccineCode', 'The vaccine', [systems.cvx]),
    ...dates('occurrence', 'occurrenceDateTime | date', 'When it was given'),
    text('occurrence_text', 'occurrenceString', 'When, in words'),
    truth('primary_source', 'primarySource', 'True when whoever gave it wrote it down'),
    text('lot_number', 'lotNumber', 'The lot'),
    code('site', 'site', 'Where on the body'),
    code('route', 'route', 'How it was given'),
    ...quantity('dose', 'doseQuantity', 'How much was given'),
    whole('dose_number', 'protocolApplied.doseNumberPositiveInt', 'Which dose of the series'),
    text('dose_number_text', 'protocolApplied.doseNumberString', 'Which dose of the series, in words'),
    reference('encounter', 'encounter', 'At which visit'),
  ],
})

export const encounters: ResourceTable = defineTable({
  name: 'encounters',
  says: 'One visit or stay',
  types: ['Encounter'],
  columns: [
    ...identity,
    code('status', 'status', '`finished`, `in-progress`, `cancelled` and so on'),
    code('class', 'class', 'The setting: `AMB`, `EMER`, `IMP` and so on'),
    ...concept('code', 'type', 'What kind of visit', [systems.snomed, systems.cpt]),
    code('service_type', 'serviceType', 'Of which service'),
    ...dates('start', 'period.start', 'When it began'),
    ...dates('end', 'period.end', 'When it ended'),
    codes('reasons', 'reasonCode', 'Why, as codes'),
    code(
      'discharge_disposition',
      'hospitalization.dischargeDisposition',
      'Where the patient went afterwards',
    ),
    reference('service_provider', 'serviceProvider', 'The organization'),
    reference('location', 'location.location', 'The first place'),
  ],
})
