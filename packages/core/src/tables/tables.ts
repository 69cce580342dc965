import { attachments, completeness, packages, sources } from './about.js'
import { identity, made } from './columns.js'
import { medicationDispenses, medicationRequests, medicationStatements, medications } from './medications.js'
import { dataClasses, observations, specimens } from './observations.js'
import { familyHistory, patients } from './patients.js'
import { carePlans, careTeams, coverages, devices, goals } from './plans.js'
import { allergies, conditions, encounters, immunizations, procedures } from './problems.js'
import { questionnaireResponses } from './questionnaires.js'
import { diagnosticReports, documents, serviceRequests } from './reports.js'
import { defineTable, type ResourceTable, type Table } from './table.js'

/** Everything, as it was sent: what has no column is here. */
export const resources: ResourceTable = defineTable({
  name: 'resources',
  says: 'One resource of any type, whole, so that nothing is lost to what the other tables leave out',
  types: [],
  columns: [
    ...identity,
    made('resource_type', 'string', 'resourceType', 'Its type', ({ type }) => type),
    made(
      'data_classes',
      'string',
      'resourceType, category, code',
      'The data classes of US Core that it is of; several are separated by “; ”',
      dataClasses,
    ),
    made('json', 'string', 'the line', 'The resource as it was sent, with every digit', ({ line }) => line),
  ],
})

export const resourceTables: readonly ResourceTable[] = Object.freeze([
  patients,
  conditions,
  allergies,
  medicationRequests,
  medicationDispenses,
  medicationStatements,
  medications,
  immunizations,
  observations,
  specimens,
  questionnaireResponses,
  procedures,
  encounters,
  diagnosticReports,
  documents,
  carePlans,
  careTeams,
  goals,
  devices,
  serviceRequests,
  coverages,
  familyHistory,
])

/** Every table that a study's packages make, in the order of the documentation. */
export const tables: readonly Table[] = Object.freeze([
  packages,
  sources,
  completeness,
  ...resourceTables,
  attachments,
  resources,
])
