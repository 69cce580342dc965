import { DuckDBInstance } from '@duckdb/node-api'

/** A DuckDB in memory, as a researcher would open one. */
export interface Duck {
  /** The rows that a query gives, their values as JSON has them. */
  rows<Row = Record<string, unknown>>(query: string): Promise<Row[]>
  /** The first column of what a query gives, by the second. */
  counts(query: string): Promise<Record<string, number>>
  close(): void
}

export async function openDuck(): Promise<Duck> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  await connection.run("set timezone = 'UTC'; set threads = 1")
  const rows = async <Row>(query: string): Promise<Row[]> =>
    (await connection.runAndReadAll(query)).getRowObjectsJson() as Row[]
  return {
    rows,
    async counts(query) {
      const found = await rows<{ name: string; count: string | number }>(query)
      return Object.fromEntries(found.map(({ name, count }) => [name, Number(count)]))
    },
    close() {
      connection.closeSync()
      instance.closeSync()
    },
  }
}
