import type { Cell, ColumnType, Table } from './table.js'

/**
 * The header of a table as CSV, with its line break.
 *
 * @see https://www.rfc-editor.org/rfc/rfc4180
 */
export function csvHeader({ columns }: Table): string {
  return `${columns.map(({ name }) => name).join(',')}\r\n`
}

/**
 * A row of a table as CSV, with its line break. Null is an empty cell, an empty text is `""`.
 *
 * A spreadsheet runs what begins with `=`, `+`, `-` or `@` as a formula. So a text that begins with one of these, with a
 * tab or a line break, gets a `'` before it; so does one that has a `'` before such a character already, which makes the
 * way back unambiguous: `fromCsvText`. Numbers, days and times are never changed.
 *
 * @see https://owasp.org/www-community/attacks/CSV_Injection
 */
export function csvLine({ columns }: Table, cells: readonly Cell[]): string {
  return `${columns.map(({ type }, at) => csvCell(type, cells[at] ?? null)).join(',')}\r\n`
}

/** The text of a cell as it was before `csvLine` protected it. */
export function fromCsvText(text: string): string {
  return /^'+/.test(text) && formula.test(text) ? text.slice(1) : text
}

const formula = /^'*[=+\-@\t\r\n＝＋－＠]/

function csvCell(type: ColumnType, cell: Cell): string {
  if (cell === null) return ''
  if (typeof cell !== 'string') return String(cell)
  const text = type === 'string' && formula.test(cell) ? `'${cell}` : cell
  return text === '' || /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
