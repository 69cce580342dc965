import { isObject } from '../util/json.js'
import {
  type AttachmentSubject,
  attachments,
  classesIn,
  completeness,
  type PackageSubject,
  packages,
  sources,
} from './about.js'
import { parseKeepingDigits } from './parse.js'
import {
  type Line,
  type LineSource,
  type ResourceSubject,
  type ResourceTable,
  type Row,
  rowOf,
} from './table.js'
import { resources, resourceTables } from './tables.js'

/**
 * The rows of resources: in `resources`, and in the table of their type where there is one. One resource at a time is in
 * memory. What a resource says wrongly is null; nothing that it says throws.
 *
 * @example for await (const { table, cells } of rowsOf(lines)) await write(table.name, cells)
 */
export async function* rowsOf(lines: AsyncIterable<Line> | Iterable<Line>): AsyncGenerator<Row> {
  for await (const line of lines) yield* rowsOfLine(line)
}

/** The rows of one resource. */
export function* rowsOfLine(line: Line): Generator<Row> {
  const value = parseKeepingDigits(line.line)
  const resource = isObject(value) ? value : {}
  const subject: ResourceSubject = { ...line, resource, part: resource, number: null }
  yield rowOf(resources, subject)
  for (const table of byType.get(line.type) ?? []) {
    yield rowOf(table, subject)
    if (table.parts === undefined) continue
    let number = 0
    for (const part of table.parts(resource).slice(0, mostParts))
      yield rowOf(table, { ...subject, part, number: ++number })
  }
}

/** The rows that tell of a package: of itself, of its sources, and of how complete they are. */
export function* rowsOfPackage(subject: PackageSubject): Generator<Row> {
  yield rowOf(packages, subject)
  for (const from of subject.manifest.sources) {
    const about = { source: sourceOf(subject, from.folder), from }
    yield rowOf(sources, about)
    for (const row of classesIn(about)) yield rowOf(completeness, row)
  }
}

/**
 * The row of a line of `attachments.ndjson`.
 *
 * @param files where the files of the package lie in the export, by their paths in the package
 */
export function rowOfAttachment(
  { line, source }: Omit<Line, 'type'>,
  files: ReadonlyMap<string, string>,
): Row {
  const value = parseKeepingDigits(line)
  const subject: AttachmentSubject = { source, files, listed: isObject(value) ? value : {} }
  return rowOf(attachments, subject)
}

/** The source of what lies in a folder of a package. */
export function sourceOf(
  { digest, participant, manifest }: Pick<PackageSubject, 'digest' | 'participant' | 'manifest'>,
  folder: string,
): LineSource {
  const provider = manifest.sources.find((one) => one.folder === folder)?.provider.id ?? ''
  return Object.freeze({ package: digest, participant, provider, folder })
}

// A resource with more is made to fill a disk: a part of three characters would be a row of sixty cells.
const mostParts = 10_000

const byType = new Map<string, ResourceTable[]>()
for (const table of resourceTables)
  for (const type of table.types) byType.set(type, [...(byType.get(type) ?? []), table])
