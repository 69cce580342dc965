import { code, codes, concept, countOf, dates, identity, reference, systems, text, texts } from './columns.js'
import { defineTable, type ResourceTable } from './table.js'

export const carePlans: ResourceTable = defineTable({
  name: 'care_plans',
  says: 'One assessment and plan of treatment',
  types: ['CarePlan'],
  columns: [
    ...identity,
    code('status', 'status', '`active`, `completed` and so on'),
    code('intent', 'intent', '`plan`, `order` and so on'),
    codes('categories', 'category', '`assess-plan` and so on'),
    text('title', 'title', 'What it is called'),
    text('description', 'description', 'What it is about'),
    ...dates('start', 'period.start', 'From when on'),
    ...dates('end', 'period.end', 'Until when'),
    countOf('activities', 'activity', 'How many activities it has'),
    codes('activity_codes', 'activity.detail.code', 'What is to be done, as codes'),
    reference('encounter', 'encounter | context', 'At which visit'),
  ],
})

export const careTeams: ResourceTable = defineTable({
  name: 'care_teams',
  says: 'One team that cares for the patient',
  types: ['CareTeam'],
  columns: [
    ...identity,
    code('status', 'status', '`active`, `inactive` and so on'),
    text('title', 'name', 'What it is called'),
    countOf('members', 'participant', 'How many belong to it'),
    codes('roles', 'participant.role', 'Their roles, as codes'),
    ...dates('start', 'period.start', 'From when on'),
    ...dates('end', 'period.end', 'Until when'),
  ],
})

export const goals: ResourceTable = defineTable({
  name: 'goals',
  says: 'One goal of the patient and their care team',
  types: ['Goal'],
  columns: [
    ...identity,
    code('status', 'lifecycleStatus | status', '`active`, `completed` and so on'),
    code('achievement', 'achievementStatus', 'How far it is reached'),
    codes('categories', 'category', 'What kind it is'),
    ...concept('code', 'description', 'The goal', [systems.snomed]),
    text('description', 'description', 'The goal, where a server of before R4 wrote it as plain text'),
    ...dates('start', 'startDate', 'From when on', 'day'),
    ...dates('due', 'target.dueDate | targetDate', 'When it should be reached', 'day'),
    texts('notes', 'note.text', 'Remarks'),
  ],
})

export const devices: ResourceTable = defineTable({
  name: 'devices',
  says: 'One device, mostly an implanted one',
  types: ['Device'],
  columns: [
    ...identity,
    code('status', 'status', '`active`, `inactive` and so on'),
    ...concept('code', 'type', 'What it is', [systems.snomed]),
    text('device_identifier', 'udiCarrier.deviceIdentifier', 'The part of the UDI that names the model'),
    text('udi', 'udiCarrier.carrierHRF | udi.name | udi', 'The whole UDI, as it is printed'),
    text('manufacturer', 'manufacturer', 'Who made it'),
    text('model_number', 'modelNumber | model', 'The model'),
    text('lot_number', 'lotNumber', 'The lot'),
    text('serial_number', 'serialNumber', 'The number of this one'),
    text('distinct_identifier', 'distinctIdentifier', 'The number of this one, where it is of human cells'),
    ...dates('manufactured', 'manufactureDate', 'When it was made'),
    ...dates('expires', 'expirationDate | expiry', 'Until when it should be used'),
  ],
})

export const coverages: ResourceTable = defineTable({
  name: 'coverages',
  says: 'One health insurance. Numbers of members are in `resources` only',
  types: ['Coverage'],
  columns: [
    ...identity,
    code('status', 'status', '`active`, `cancelled` and so on'),
    ...concept('code', 'type', 'What kind of insurance'),
    code('relationship', 'relationship', 'Who the patient is to the subscriber'),
    reference('payor', 'payor', 'The first who pays'),
    ...dates('start', 'period.start', 'From when on'),
    ...dates('end', 'period.end', 'Until when'),
  ],
})
