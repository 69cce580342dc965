/**
 * What a cell of a column is.
 *
 * `decimal` is the text of a number with all its digits, `date` a whole day as `2026-05-04`, `timestamp` an instant in
 * UTC as `2026-05-04T13:30:00.000Z`, `integer` a whole number of 32 bits.
 */
export type ColumnType = 'string' | 'decimal' | 'integer' | 'double' | 'boolean' | 'date' | 'timestamp'

/** Null is what is not there, or is not what it should be. */
export type Cell = string | number | boolean | null

/** One column, as it is documented and exported. */
export interface Column {
  /** In snake_case. */
  readonly name: string
  readonly type: ColumnType
  /** What it means. */
  readonly says: string
  /** What it is read from: a path in the resource, in the manifest of the package, or in words. */
  readonly from: string
}

/** One table: a kind of thing that a researcher counts. */
export interface Table {
  readonly name: string
  /** What a row is. */
  readonly says: string
  /** The resource types that it is made of; none for what is made of the manifests. */
  readonly types: readonly string[]
  readonly columns: readonly Column[]
}

/** A row: one cell for each column of the table, in their order. */
export interface Row {
  readonly table: Table
  readonly cells: readonly Cell[]
}

/** Where a resource comes from. */
export interface LineSource {
  /** The digest of its package. */
  readonly package: string
  readonly participant: string
  /** The provider's id, as the app names it. */
  readonly provider: string
  /** The folder of the source in the package, such as `records/01`. */
  readonly folder: string
}

/** One resource of a package, not yet read. */
export interface Line {
  readonly type: string
  /** Its JSON text. */
  readonly line: string
  readonly source: LineSource
}

/** A column, and how its cell is read from what a row is about. */
export interface ColumnOf<Subject> extends Column {
  readonly read: (subject: Subject) => Cell
}

/** A table, and how its cells are read. */
export interface TableOf<Subject> extends Table {
  readonly columns: readonly ColumnOf<Subject>[]
}

/** What a row of a resource is read from. */
export interface ResourceSubject extends Line {
  /** The resource, with numbers whose digits matter kept as `digitsOf` reads them; empty when it cannot be read. */
  readonly resource: Readonly<Record<string, unknown>>
  /** What the row is about: the resource itself, or one of its parts. */
  readonly part: unknown
  /** Which of the parts it is, from 1; null for the resource itself. */
  readonly number: number | null
}

/** A table of resources: one row each, and one for each of their parts where it says so. */
export interface ResourceTable extends TableOf<ResourceSubject> {
  /** Finds the parts that have rows of their own. */
  readonly parts?: (resource: ResourceSubject['resource']) => readonly unknown[]
}

/** Makes a table, and makes sure that its columns have names of their own. */
export function defineTable<T extends Table>(table: T): T {
  const names = new Set<string>()
  for (const { name } of table.columns) {
    if (!/^[a-z][a-z0-9_]*$/.test(name)) throw new TypeError(`${table.name}.${name} is not in snake_case`)
    if (names.has(name)) throw new TypeError(`${table.name}.${name} is there twice`)
    names.add(name)
  }
  return Object.freeze({ ...table, columns: Object.freeze([...table.columns]) })
}

/** The cells of a row. */
export function rowOf<Subject>(table: TableOf<Subject>, subject: Subject): Row {
  return { table, cells: table.columns.map(({ read }) => read(subject)) }
}
