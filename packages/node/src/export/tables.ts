import { join } from 'node:path'
import { type Cell, csvHeader, csvLine, type Row, type Table, tables } from '@s4s/core/tables'
import { createFile } from './files.js'
import { parquetSink } from './parquet.js'
import type { Sink } from './sink.js'

/** How tables are written. */
export type ExportFormat = 'ndjson' | 'csv' | 'parquet'

/** Every table, open to be written. */
export interface Tables {
  write(row: Row): Promise<void> | undefined
  close(): Promise<{ readonly name: string; readonly file: string; readonly rows: number }[]>
  /** Closes what is open, as it is. */
  abandon(): Promise<void>
}

/** Makes a file for each table, also for those that will have no rows: a script finds what it looks for. */
export async function openTables(folder: string, format: ExportFormat): Promise<Tables> {
  const sinks = new Map<string, { readonly file: string; readonly sink: Sink; rows: number }>()
  const abandon = async (): Promise<void> => {
    for (const { sink } of sinks.values()) await sink.abandon()
  }
  try {
    for (const table of tables) {
      const file = `${table.name}.${format}`
      sinks.set(table.name, { file, sink: await openers[format](join(folder, file), table), rows: 0 })
    }
  } catch (error) {
    await abandon()
    throw error
  }
  return Object.freeze({
    write({ table, cells }: Row) {
      const one = sinks.get(table.name)
      if (!one) throw new TypeError(`there is no table ${table.name}`)
      one.rows++
      return one.sink.write(cells)
    },
    async close() {
      for (const { sink } of sinks.values()) await sink.close()
      return [...sinks].map(([name, { file, rows }]) => Object.freeze({ name, file, rows }))
    },
    abandon,
  })
}

const openers: Readonly<Record<ExportFormat, (path: string, table: Table) => Promise<Sink>>> = {
  csv: async (path, table) => {
    const { write, close, abandon } = await createFile(path)
    await write(csvHeader(table))
    return { write: (cells) => write(csvLine(table, cells)), close, abandon }
  },
  ndjson: async (path, { columns }) => {
    const { write, close, abandon } = await createFile(path)
    const names = columns.map(({ name }) => JSON.stringify(name))
    const member = (cell: Cell, at: number): string => `${names[at]}:${JSON.stringify(cell)}`
    return { write: (cells) => write(`{${cells.map(member).join(',')}}\n`), close, abandon }
  },
  parquet: parquetSink,
}
