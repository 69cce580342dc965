import type { Cell, Column, ColumnType, Table } from '@s4s/core/tables'
import { ByteWriter, type ParquetWriteOptions, ParquetWriter } from 'hyparquet-writer'
import { createFile } from './files.js'
import type { Sink } from './sink.js'

type SchemaElement = NonNullable<ParquetWriteOptions['schema']>[number]

// A group of rows is in memory until it is written, and there are some twenty tables.
const mostRows = 50_000
const mostCharacters = 4 * 1024 * 1024

/**
 * A table as Parquet, written a group of rows at a time.
 *
 * @see https://parquet.apache.org/docs/file-format/
 */
export async function parquetSink(path: string, { columns }: Table): Promise<Sink> {
  const file = await createFile(path)
  const bytes = new ByteWriter()
  // A group goes to the file before the next begins.
  const flush = async (): Promise<void> => {
    await file.put(bytes.getBytes())
    bytes.index = 0
  }
  const root: SchemaElement = { name: 'root', num_children: columns.length }
  const schema = [root, ...columns.map(elementOf)]
  const writer = new ParquetWriter({
    writer: Object.assign(bytes, { flush }),
    schema,
    createdBy: '@s4s/node',
  })
  let data: Value[][] = columns.map(() => [])
  let rows = 0
  let characters = 0

  const writeGroup = async (): Promise<void> => {
    const columnData = columns.map(({ name }, at) => ({ name, data: data[at] as Value[] }))
    data = columns.map(() => [])
    const rowGroupSize = rows
    rows = 0
    characters = 0
    if (rowGroupSize > 0) await writer.write({ columnData, rowGroupSize })
  }
  return Object.freeze({
    write(cells: readonly Cell[]) {
      columns.forEach(({ type }, at) => {
        const cell = cells[at] ?? null
        if (typeof cell === 'string') characters += cell.length
        data[at]?.push(cell === null ? null : asValue(type, cell))
      })
      return ++rows >= mostRows || characters >= mostCharacters ? writeGroup() : undefined
    },
    async close() {
      await writeGroup()
      await writer.finish()
      await flush()
      await file.close()
    },
    abandon: file.abandon,
  })
}

type Value = string | number | boolean | Date | null

function asValue(type: ColumnType, cell: string | number | boolean): Value {
  return typeof cell === 'string' && (type === 'date' || type === 'timestamp') ? new Date(cell) : cell
}

const elements: Readonly<Record<ColumnType, Omit<SchemaElement, 'name'>>> = {
  string: { type: 'BYTE_ARRAY', converted_type: 'UTF8' },
  decimal: { type: 'BYTE_ARRAY', converted_type: 'UTF8' },
  integer: { type: 'INT32' },
  double: { type: 'DOUBLE' },
  boolean: { type: 'BOOLEAN' },
  date: { type: 'INT32', converted_type: 'DATE' },
  timestamp: {
    type: 'INT64',
    converted_type: 'TIMESTAMP_MILLIS',
    logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MILLIS' },
  },
}

function elementOf({ name, type }: Column): SchemaElement {
  return { name, repetition_type: 'OPTIONAL', ...elements[type] }
}
