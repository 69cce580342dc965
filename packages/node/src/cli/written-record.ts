import { mkdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { explainRecord, type PatientRecord, type Plan } from '@s4s/core'
import { writeDurably } from '../durable.js'
import { createFile } from '../export/files.js'
import { beginFolder, settleFolder } from '../export/new-folder.js'

/** What was written of a record. */
export interface WrittenRecord {
  /** How many resources each file has. */
  readonly files: Readonly<Record<string, number>>
  readonly attachments: number
  readonly complete: boolean
  /** Names of the classes of which more may be had another time. */
  readonly again: readonly string[]
}

/**
 * Writes a record into a new folder, whole or not at all, for its owner's eyes only: the resources by type as NDJSON, files
 * under their SHA-256, and a report in words and as JSON.
 */
export async function writeRecord(record: PatientRecord, plan: Plan, folder: string): Promise<WrittenRecord> {
  const target = resolve(folder)
  const temporary = await beginFolder(target)
  try {
    const files: Record<string, number> = {}
    for (const [name, types] of byFile(Object.keys(record.types()))) {
      const lines = types.flatMap((type) => [record.lines(type)])
      files[name] = await writeLines(join(temporary, name), lines)
    }
    const attachments = await writeAttachments(record, temporary)
    const classes = explainRecord(record, plan)
    const again = record.completeness
      .filter(({ status, reason }) =>
        status === 'truncated' ? reason !== 'partly-granted' : status === 'failed',
      )
      .map(({ dataClass }) => dataClass)
    const complete = classes.every(({ whole }) => whole)
    const words = classes.map(({ sentence }) => `${sentence}\n`).join('')
    await writeDurably(join(temporary, 'report.txt'), `${headOf(record, plan)}\n\n${words}`)
    const { provider, startedAt, collectedAt, since, completeness, issues } = record
    await writeDurably(
      join(temporary, 'report.json'),
      `${JSON.stringify({ provider, plan: record.plan, startedAt, collectedAt, since, complete, completeness, issues }, null, 2)}\n`,
    )
    await settleFolder(temporary, target)
    return Object.freeze({ files, attachments, complete, again })
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

// A type is a word of the server's: whatever is not like one of FHIR's goes under a name of ours.
function byFile(types: readonly string[]): Map<string, string[]> {
  const files = new Map<string, string[]>()
  for (const type of types) {
    const name = /^[A-Z][A-Za-z]{1,63}$/.test(type) ? `${type}.ndjson` : 'other.ndjson'
    files.set(name, [...(files.get(name) ?? []), type])
  }
  return files
}

async function writeLines(path: string, parts: readonly Iterable<string>[]): Promise<number> {
  const file = await createFile(path)
  let count = 0
  try {
    for (const lines of parts)
      for (const line of lines) {
        count++
        await file.write(`${line}\n`)
      }
    await file.close()
  } finally {
    await file.abandon()
  }
  return count
}

async function writeAttachments(record: PatientRecord, folder: string): Promise<number> {
  if (record.attachments.length === 0) return 0
  const inside = join(folder, 'attachments')
  await mkdir(inside, { mode: 0o700 })
  const written = new Set<string>()
  const rows: string[] = []
  for (const attachment of record.attachments) {
    const { status, contentType, size, sha256, source, dataClasses, reason } = attachment
    rows.push(JSON.stringify({ source, status, contentType, size, sha256, dataClasses, reason }))
    if (status !== 'received' || sha256 === undefined || written.has(sha256)) continue
    written.add(sha256)
    await writeDurably(join(inside, sha256), attachment.bytes())
  }
  await writeLines(join(folder, 'attachments.ndjson'), [rows])
  return written.size
}

const headOf = ({ provider, collectedAt, since }: PatientRecord, plan: Plan): string =>
  [
    `${plan.title} from ${provider.name}, collected ${collectedAt.toISOString()}`,
    ...(since ? [`only what changed since ${since.toISOString()}`] : []),
  ].join(', ')
