import { type Column, type ColumnType, tables } from '@s4s/core/tables'
import type { ExportReport } from './export.js'

/**
 * The description of an export: every table with its columns, what they mean and where they come from.
 *
 * @see https://datapackage.org/standard/data-package/
 */
export function dataPackage({ format, tables: written, packages, resources }: ExportReport): object {
  const rows = new Map(written.map((one) => [one.name, one]))
  return {
    $schema: 'https://datapackage.org/profiles/2.0/datapackage.json',
    name: 's4s-export',
    title: 'Health records shared with a study',
    description: `${packages} packages with ${resources} resources. A cell that is empty is null: the record does not say, or says what it cannot mean. The files behind documents are in the folder attachments${format === 'ndjson' ? ', the resources as they were sent in the folder fhir' : ''}.`,
    resources: tables.map(({ name, says, columns }) => ({
      name,
      type: 'table',
      path: rows.get(name)?.file,
      format,
      mediatype: mediaTypes[format],
      encoding: 'utf-8',
      description: says,
      rows: rows.get(name)?.rows,
      schema: { fields: columns.map(fieldOf), missingValues: [''] },
    })),
  }
}

const mediaTypes = {
  csv: 'text/csv',
  ndjson: 'application/x-ndjson',
  parquet: 'application/vnd.apache.parquet',
} as const

const fieldTypes: Readonly<Record<ColumnType, string>> = {
  string: 'string',
  decimal: 'string',
  integer: 'integer',
  double: 'number',
  boolean: 'boolean',
  date: 'date',
  timestamp: 'datetime',
}

function fieldOf({ name, type, says, from }: Column): object {
  return { name, type: fieldTypes[type], description: says, from }
}
