import fc from 'fast-check'
import Papa from 'papaparse'
import { expect, test } from 'vitest'
import { type Cell, type ColumnType, csvHeader, csvLine, fromCsvText, type Table } from './index.js'

const tableOf = (...types: readonly ColumnType[]): Table => ({
  name: 'any',
  says: 'Any',
  types: [],
  columns: types.map((type, at) => ({ name: `c${at}`, type, says: 'Any', from: 'any' })),
})
const read = (csv: string): string[][] =>
  Papa.parse<string[]>(csv, { delimiter: ',', newline: '\r\n', skipEmptyLines: false }).data.slice(0, -1)

test('RFC 4180 what is written as CSV is read back as it was, whatever characters are in it', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom('"', ',', '\r', '\n', "'", '=', '-', '@', '+', '\t', ' ', 'ä', '😀') }),
  )
  fc.assert(
    fc.property(
      fc.array(fc.tuple(text, text, fc.double({ noNaN: true, noDefaultInfinity: true }))),
      (rows) => {
        const table = tableOf('string', 'string', 'double')
        const csv = csvHeader(table) + rows.map((cells) => csvLine(table, cells)).join('')
        const [header, ...lines] = read(csv)
        expect(header).toEqual(['c0', 'c1', 'c2'])
        expect(lines.map(([a = '', b = '', c]) => [fromCsvText(a), fromCsvText(b), Number(c) + 0])).toEqual(
          rows.map(([a, b, c]) => [a, b, c + 0]),
        )
      },
    ),
  )
})

test('an empty cell is null, and an empty text is two quotes', () => {
  expect(csvLine(tableOf('string', 'string', 'double', 'boolean'), [null, '', null, false])).toBe(
    ',"",,false\r\n',
  )
})

const payloads = [
  ...[
    '=1+1',
    '+1+1',
    '-1+1',
    '@SUM(1+1)',
    '\t=1+1',
    '\r=1+1',
    '\n=1+1',
    '=cmd|" /C calc"!A0',
    '=HYPERLINK("x")',
  ],
  ...['+cmd|1', '-cmd|1', '@cmd', "'=1+1", "''=1+1", '==1', '=-1', '-@1', '＝1+1', '＋1', '－1', '＠1'],
  ...['=1;2', '="a"', '=1,2', '=IMPORTXML(1)', '=WEBSERVICE(1)', '=DDE(1)', '-2+3+cmd', '+A1', '@A1', '=A1'],
  ...['-', '+', '=', '@', '\t', '\r', '\n', '-1', '+1', '=\u0000', '-\u00a0'],
]

test('T66 no text of a record begins a formula when a spreadsheet opens the export', () => {
  expect(payloads.length).toBeGreaterThanOrEqual(40)
  for (const payload of payloads) {
    const [[cell = ''] = []] = read(csvLine(tableOf('string'), [payload]))
    expect(cell).toMatch(/^'/)
    expect(fromCsvText(cell)).toBe(payload)
  }
  for (const harmless of ["'", "'a", "O'Brien", 'a=b', ' =1', '5-3']) {
    const [[cell = ''] = []] = read(csvLine(tableOf('string'), [harmless]))
    expect(cell).toBe(harmless)
  }
})

test('a number below zero stays a number', () => {
  const cells: Cell[] = ['-1.50', -1.5, -2, '2026-01-02', '2026-01-02T03:04:05.678Z']
  expect(csvLine(tableOf('decimal', 'double', 'integer', 'date', 'timestamp'), cells)).toBe(
    '-1.50,-1.5,-2,2026-01-02,2026-01-02T03:04:05.678Z\r\n',
  )
})
