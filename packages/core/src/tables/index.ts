/**
 * What a researcher opens: the records of a study as flat tables with documented columns.
 *
 * @module
 */
export type { PackageSubject } from './about.js'
export { csvHeader, csvLine, fromCsvText } from './csv.js'
export { rowOfAttachment, rowsOf, rowsOfLine, rowsOfPackage, sourceOf } from './rows.js'
export type { Cell, Column, ColumnType, Line, LineSource, Row, Table } from './table.js'
export { tables } from './tables.js'
