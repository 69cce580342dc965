import { rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { rowOfAttachment, rowsOfLine, rowsOfPackage, sourceOf } from '@s4s/core/tables'
import { writeDurably } from '../durable.js'
import { kindOf } from '../inbox/manifest.js'
import type { StoredPackage } from '../inbox/stored.js'
import { dataPackage } from './data-package.js'
import { appendLines, filesOf, writeFile } from './files.js'
import { linesOf } from './lines.js'
import { beginFolder, settleFolder } from './new-folder.js'
import { type ExportFormat, openTables, type Tables } from './tables.js'

export type { ExportFormat } from './tables.js'

export interface ExportOptions {
  /** `ndjson` has the resources as they were sent beside the tables, a file for each type, in the folder `fhir`. */
  readonly format: ExportFormat
  /** Where the export will be. It must not be there yet, or be empty. */
  readonly folder: string
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: ExportProgress) => void
}

/** How far an export is. */
export interface ExportProgress {
  /** Packages that are written. */
  readonly packages: number
  readonly resources: number
}

/** What an export holds. */
export interface ExportReport extends ExportProgress {
  readonly folder: string
  readonly format: ExportFormat
  /** The number of resources by type. */
  readonly types: Readonly<Record<string, number>>
  readonly tables: readonly { readonly name: string; readonly file: string; readonly rows: number }[]
  /** Files behind documents and reports; the same bytes are there once. */
  readonly attachments: number
}

/**
 * Writes packages into a folder: a file for each table of `@s4s/core/tables`, the files behind documents, and
 * `datapackage.json`, which documents every column. The folder is there whole or not at all. A package at a time is read,
 * and rows are written as they come, so that memory does not grow with the study.
 *
 * @example await exportPackages(heldPackages(inbox, 'sleep-2026'), { format: 'parquet', folder: './sleep-2026' })
 * @throws SmartError `CONFIG_INVALID` when there is something in the folder already, `SHARE_REFUSED` when a stored part is
 *   no longer what was sent, `SHARE_SEAL_INVALID` when no key opens a package, `SHARE_WITHDRAWN` as `heldPackages` does
 * @see https://datapackage.org/standard/data-package/
 */
export async function exportPackages(
  packages: AsyncIterable<StoredPackage>,
  options: ExportOptions,
): Promise<ExportReport> {
  const { format, signal } = options
  if (format !== 'ndjson' && format !== 'csv' && format !== 'parquet')
    throw new TypeError('format is ndjson, csv or parquet')
  if (typeof options.folder !== 'string' || options.folder === '') throw new TypeError('folder is missing')
  const folder = resolve(options.folder)
  const temporary = await beginFolder(folder)
  let open: Tables | undefined
  try {
    open = await openTables(temporary, format)
    const counts = await writeAll(packages, open, temporary, options)
    const tables = await open.close()
    const report = { folder, format, ...counts, tables }
    const described = dataPackage(report)
    await writeDurably(join(temporary, 'datapackage.json'), `${JSON.stringify(described, null, 2)}\n`)
    signal?.throwIfAborted()
    await settleFolder(temporary, folder)
    return Object.freeze(report)
  } catch (error) {
    await open?.abandon()
    await rm(temporary, { recursive: true, force: true })
    throw error
  }
}

type Counts = Pick<ExportReport, 'packages' | 'resources' | 'types' | 'attachments'>

async function writeAll(
  packages: AsyncIterable<StoredPackage>,
  tables: Tables,
  folder: string,
  { format, signal, onProgress }: ExportOptions,
): Promise<Counts> {
  const types = new Map<string, number>()
  const attachments = new Set<string>()
  let [count, resources] = [0, 0]

  const addPackage = async (stored: StoredPackage): Promise<void> => {
    const files = filesOf(stored.manifest)
    for (const row of rowsOfPackage(stored)) await tables.write(row)
    for (const part of stored.manifest.parts) {
      signal?.throwIfAborted()
      const kind = kindOf(part)
      const source = sourceOf(stored, part.path.split('/').slice(0, 2).join('/'))
      const file = files.get(part.path)
      if (kind.kind === 'resources') {
        const { type } = kind
        const plain: string[] = []
        for await (const line of linesOf(stored.read(part.path))) {
          signal?.throwIfAborted()
          for (const row of rowsOfLine({ type, line, source })) await tables.write(row)
          if (format === 'ndjson') plain.push(line)
          types.set(type, (types.get(type) ?? 0) + 1)
          resources++
        }
        if (format === 'ndjson') await appendLines(join(folder, 'fhir'), `${type}.ndjson`, plain)
      } else if (kind.kind === 'index') {
        for await (const line of linesOf(stored.read(part.path)))
          await tables.write(rowOfAttachment({ line, source }, files))
      } else if (file !== undefined && !attachments.has(file)) {
        attachments.add(file)
        await writeFile(join(folder, file), stored.read(part.path))
      }
    }
  }

  for await (const stored of packages) {
    signal?.throwIfAborted()
    await addPackage(stored)
    count++
    onProgress?.({ packages: count, resources })
  }
  const sorted = [...types].sort(([a], [b]) => (a < b ? -1 : 1))
  return { packages: count, resources, types: Object.fromEntries(sorted), attachments: attachments.size }
}
