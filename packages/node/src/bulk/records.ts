import { join } from 'node:path'
import {
  ambientClock,
  type Clock,
  collect,
  isSmartError,
  type PatientRecord,
  type Plan,
  SmartError,
} from '@s4s/core'
import type { BackendService } from '@s4s/core/confidential'
import { codeOf } from '../durable.js'
import { fileLock } from '../file-lock.js'
import { createDoors } from './doors.js'
import { type BulkProgress, type Fetching, type Finished, fetchExport, tell } from './export.js'
import { type BulkIssue, createBulkIssues } from './issues.js'
import type { Asked } from './kick-off.js'
import { longestLine, splitLines } from './lines.js'
import { exportReader, readOnce } from './reader.js'
import { createSealing } from './sealing.js'
import { createShared, createShelves, type Shelves } from './shelves.js'
import { openFolder } from './state.js'

export interface BulkOptions {
  /** What a record is; asks for its types and reports by its classes. */
  readonly plan: Plan
  /** Where files lie while the export lasts; one export at a time. What is in it is encrypted, and gone at the end. */
  readonly folder: string
  /** 32 random bytes as base64, such as `openssl rand -base64 32` prints. */
  readonly key: string
  /** The id of a Group at the server; without it, all patients that the service may see. */
  readonly group?: string
  /** Only these patients. The server is asked for them alone, and of others nothing is kept, whatever it sends. */
  readonly patients?: readonly string[]
  /** Only what changed after this: the `transactionTime` of the last export. */
  readonly since?: Date
  /** Narrows types at the server, such as `Observation?category=laboratory`; their classes are then `truncated`. */
  readonly typeFilters?: readonly string[]
  /** Origins at which the server keeps files, beside its own; these may be sent the token. */
  readonly fileOrigins?: readonly string[]
  /** Files fetched at a time. Default 2. */
  readonly concurrency?: number
  /** Most bytes of one file. Default 8 GiB. */
  readonly maxFileBytes?: number
  /** Most bytes of one line, up to 256 MiB. Default 32 MiB. */
  readonly maxLineBytes?: number
  /** Most resources of one query of a record. Default 1,000,000. */
  readonly maxResources?: number
  /** How long the server may take to make the export. Milliseconds. Default a day. */
  readonly maxWait?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: BulkProgress) => void
  readonly platform?: { readonly clock: Clock }
}

/** The records of an export, one after the other, and what is to be said of all of them. */
export interface BulkRecords extends AsyncIterable<PatientRecord> {
  /** What the export was; undefined until its files are sorted. Keep `transactionTime` for the next `since`. */
  report(): BulkReport | undefined
}

export interface BulkReport {
  /** The instant whose state the server exported. */
  readonly transactionTime: Date
  readonly types: readonly string[]
  readonly files: number
  readonly lines: number
  /** Records in it. Those of a process before this one do not count. */
  readonly patients: number
  /** `Type/id` of what the server has deleted since. */
  readonly removed: readonly string[]
  readonly issues: readonly BulkIssue[]
}

const day = 86_400_000
const idForm = /^[A-Za-z0-9\-.]{1,64}$/
const filterForm = /^[A-Z][A-Za-z]{1,63}\?./

/**
 * Exports the records of many patients at once and gives them one at a time, each as `collect` would have: with an
 * account of what is missing, and nothing of anybody else. One record is held at a time, however large the export is.
 *
 * A process that is killed goes on where it was when it is started again with the same options: files that are whole are
 * not fetched again, one that was cut off goes on, and a record is given again unless the next one was asked for. When it
 * is aborted while files are fetched, the export is deleted at the server and here.
 *
 * @example
 * for await (const record of bulkRecords(service, { plan: usCore, group: 'sleep-study', folder: './export', key })) …
 * @throws SmartError; the signal's reason when aborted
 * @see https://hl7.org/fhir/uv/bulkdata/STU2/export.html
 */
export function bulkRecords(service: BackendService, options: BulkOptions): BulkRecords {
  const { plan, group, patients, since, typeFilters = [], signal } = options
  if (!Array.isArray(plan?.classes)) throw new TypeError('bulkRecords needs a plan')
  if (typeof options.folder !== 'string' || options.folder === '')
    throw new TypeError('bulkRecords needs a folder')
  if (group !== undefined && !idForm.test(group)) throw new TypeError('group is not the id of a Group')
  if (patients && (patients.length === 0 || !patients.every((id) => idForm.test(id))))
    throw new TypeError('patients is not a list of ids')
  if (since && Number.isNaN(since.getTime())) throw new TypeError('since is not a date')
  if (!typeFilters.every((filter) => filterForm.test(filter)))
    throw new TypeError('a filter is a type, a question mark and what is searched by')
  if (!((options.concurrency ?? 1) >= 1)) throw new TypeError('concurrency is at least 1')
  if ((options.maxLineBytes ?? 0) > 256 * 1024 ** 2) throw new TypeError('maxLineBytes is at most 256 MiB')
  const clock = options.platform?.clock ?? ambientClock
  const sealing = createSealing(options.key)
  const doors = createDoors(service, options.fileOrigins ?? [], clock)
  const asked: Asked = {
    plan,
    typeFilters,
    ...(group === undefined ? {} : { group }),
    ...(patients ? { patients: [...new Set(patients)].sort() } : {}),
    ...(since ? { since } : {}),
  }
  let report: BulkReport | undefined

  async function* records(): AsyncGenerator<PatientRecord, void, undefined> {
    signal?.throwIfAborted()
    let release: (() => void) | undefined
    try {
      const folder = await openFolder(options.folder, sealing)
      release = await held(join(options.folder, 'locks'), signal)
      const shelves = createShelves(folder.root, sealing)
      const fetching: Fetching = {
        service,
        doors,
        sealing,
        folder,
        shelves,
        asked,
        concurrency: options.concurrency ?? 2,
        maxFileBytes: options.maxFileBytes ?? 8 * 1024 ** 3,
        maxLineBytes: options.maxLineBytes ?? longestLine,
        maxWait: options.maxWait ?? day,
        ...(signal ? { signal } : {}),
        ...(options.onProgress ? { onProgress: options.onProgress } : {}),
      }
      const state = await fetchExport(fetching)
      yield* recordsOf(fetching, state)
      await folder.wipe()
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      // A system error is of the disk: those of the network have become errors of ours.
      if (isSmartError(error) || codeOf(error) === undefined) throw error
      throw new SmartError('CONFIG_STORAGE_FAILED', 'the folder of the export cannot be read or written', {
        cause: error,
      })
    } finally {
      release?.()
    }
  }

  async function* recordsOf(
    fetching: Fetching,
    state: Finished,
  ): AsyncGenerator<PatientRecord, void, undefined> {
    const { shelves } = fetching
    const { staged, manifest, types } = state
    const issues = createBulkIssues(staged.issues)
    const present = new Set(manifest.files.filter(({ kind }) => kind === 'output').map(({ type }) => type))
    const exported = {
      service,
      scopes: state.scopes,
      types: new Set(types),
      lenient: state.lenient,
      present,
      filtered: new Set(typeFilters.map((filter) => filter.split('?')[0] as string)),
      staged,
      shared: createShared(shelves),
      live: readOnce(service),
      partial: since !== undefined,
    }
    const names: string[] = []
    for await (const name of shelves.names('patients')) names.push(name)
    let given = 0
    const tellAll = (): void => {
      report = Object.freeze({
        transactionTime: new Date(manifest.transactionTime),
        types: Object.freeze([...types]),
        files: manifest.files.length,
        lines: staged.lines,
        patients: given,
        removed: staged.removed,
        issues: issues.list(),
      })
    }
    tellAll()
    const knowsPatients = staged.incomplete.Patient === undefined && staged.incomplete['*'] === undefined
    for (const [index, name] of names.entries()) {
      signal?.throwIfAborted()
      const { id, lines } = await linesAt(shelves, name)
      // Whoever is not part of the export has no record, whatever names them.
      const isPart = since !== undefined || !knowsPatients || lines.some((line) => isPatientLine(line, id))
      if (isPart) {
        const record = await collect(exportReader(exported, id, lines), {
          plan,
          maxResources: options.maxResources ?? 1_000_000,
          ...(since ? { since } : {}),
          ...(signal ? { signal } : {}),
        })
        given++
        tellAll()
        yield record
      } else {
        for (const line of lines) issues.add('other-patient', typeIn(line))
        tellAll()
      }
      await shelves.remove(name)
      tell(fetching, { phase: 'records', done: index + 1, total: names.length })
    }
  }

  return Object.freeze({
    [Symbol.asyncIterator]: records,
    report: () => report,
  } satisfies BulkRecords)
}

async function linesAt(shelves: Shelves, name: string): Promise<{ id: string; lines: string[] }> {
  let id = ''
  const lines: string[] = []
  const decoder = new TextDecoder()
  for await (const bytes of splitLines(shelves.read(name))) {
    const line = decoder.decode(bytes)
    if (line.startsWith('#')) id = line.slice(1)
    else lines.push(line)
  }
  return { id, lines }
}

function isPatientLine(line: string, id: string): boolean {
  if (!line.includes('"Patient"')) return false
  const { resourceType, id: own } = JSON.parse(line) as { resourceType?: unknown; id?: unknown }
  return resourceType === 'Patient' && own === id
}

function typeIn(line: string): string {
  const { resourceType } = JSON.parse(line) as { resourceType?: unknown }
  return String(resourceType)
}

// One process at a time: the lock is held until the records are through, or nobody asks for more.
async function held(folder: string, signal?: AbortSignal): Promise<() => void> {
  const lock = fileLock(folder)
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal?.reason)
    signal?.addEventListener('abort', stop, { once: true })
    lock(
      'export',
      () =>
        new Promise<void>((release) => {
          signal?.removeEventListener('abort', stop)
          // Whoever waited no longer has no use for it.
          if (signal?.aborted) release()
          else resolve(release)
        }),
    ).catch(reject)
  })
}
