import { SmartError } from '@s4s/core'
import type { BackendService } from '@s4s/core/confidential'
import type { Doors } from './doors.js'
import { type Fetched, fetchFile } from './download.js'
import { type Asked, awaitExport, deleteExport, ExpiredError, kickOff } from './kick-off.js'
import type { ExportFile, ExportManifest } from './manifest.js'
import type { Sealing } from './sealing.js'
import type { Shelves } from './shelves.js'
import { stage } from './stage.js'
import { type Folder, nameOfExport, type State } from './state.js'

/** How far an export is. */
export interface BulkProgress {
  /** The server makes the export; files come; their lines are sorted; records are given. */
  readonly phase: 'waiting' | 'files' | 'sorting' | 'records'
  /** Of `total`: percents while waiting, else files or records. */
  readonly done: number
  readonly total: number
}

/** What one export is fetched with. */
export interface Fetching {
  readonly service: BackendService
  readonly doors: Doors
  readonly sealing: Sealing
  readonly folder: Folder
  readonly shelves: Shelves
  readonly asked: Asked
  readonly concurrency: number
  readonly maxFileBytes: number
  readonly maxLineBytes: number
  readonly maxWait: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: BulkProgress) => void
}

/** An export whose lines are all sorted. */
export type Finished = State & Required<Pick<State, 'manifest' | 'staged'>>

/** Exports that expire while they are fetched are begun anew so often. */
const mostAnew = 2

/**
 * Brings an export into the folder, from wherever another process left it, and tells the server that it may forget it.
 *
 * @throws SmartError when there is nothing to be had
 */
export async function fetchExport(fetching: Fetching): Promise<Finished> {
  const { folder, doors, service, asked, signal } = fetching
  const name = nameOfExport(service.provider.iss, asked)
  let state = await folder.load()
  if (state && state.for !== name) {
    if (!state.staged) await deleteExport(doors, state.status)
    await folder.wipe()
    state = undefined
  }
  if (state?.staged && state.manifest) return state as Finished
  try {
    for (let anew = 0; ; anew++) {
      try {
        state ??= await begin(fetching, name)
        const finished = await finish(fetching, state)
        await deleteExport(doors, state.status)
        await folder.clear('files')
        return finished
      } catch (error) {
        if (!(error instanceof ExpiredError)) throw error
        await folder.wipe()
        state = undefined
        if (anew >= mostAnew)
          throw new SmartError(
            'FHIR_GONE',
            `exports of ${service.provider.name} expire before they are fetched`,
            {
              subject: service.provider.id,
              cause: error,
            },
          )
      }
    }
  } catch (error) {
    // Nobody comes back for it. What failed otherwise is gone on with by the next process.
    if (signal?.aborted) {
      if (state) await deleteExport(doors, state.status)
      await folder.wipe()
    }
    throw error
  }
}

async function begin({ folder, doors, service, asked, signal }: Fetching, name: string): Promise<State> {
  await folder.wipe()
  const { status, types, lenient } = await kickOff(doors, asked, service.scopes, signal)
  const scopes = [...service.scopes()]
  const state = { for: name, status, types, lenient, scopes, begunAt: doors.clock.now() }
  await folder.save(state)
  return state
}

async function finish(fetching: Fetching, begun: State): Promise<Finished> {
  const { folder, doors, sealing, shelves, asked, service, signal, maxWait } = fetching
  let state = begun
  if (!state.manifest) {
    const waiting = (percent = 0): void => tell(fetching, { phase: 'waiting', done: percent, total: 100 })
    const manifest = await awaitExport(doors, state.status, maxWait, waiting, signal)
    state = { ...state, manifest }
    await folder.save(state)
  }
  const manifest = state.manifest as NonNullable<State['manifest']>
  const fetched = await fetchAll(fetching, state.status, manifest)
  // Whatever a process has sorted that was killed meanwhile is sorted again: it costs no request.
  await folder.clear('sorted')
  let sorted = 0
  const staged = await stage(
    {
      shelves,
      iss: service.provider.iss,
      types: new Set(state.types),
      ...(asked.patients ? { patients: new Set(asked.patients) } : {}),
      maxLineBytes: fetching.maxLineBytes,
      ...(signal ? { signal } : {}),
      onFile: () => tell(fetching, { phase: 'sorting', done: ++sorted, total: fetched.length }),
    },
    fetched,
    (path) => sealing.read(path),
  )
  const finished = { ...state, manifest, staged }
  await folder.save(finished)
  return finished
}

async function fetchAll(
  fetching: Fetching,
  status: string,
  { files, requiresAccessToken: needsToken }: ExportManifest,
): Promise<{ file: ExportFile; fetched: Fetched; path: string }[]> {
  const { doors, sealing, folder, signal, maxFileBytes } = fetching
  const stop = new AbortController()
  const world = {
    doors,
    sealing,
    status,
    needsToken,
    maxBytes: maxFileBytes,
    signal: signal ? AbortSignal.any([signal, stop.signal]) : stop.signal,
  }
  const all: { file: ExportFile; fetched: Fetched; path: string }[] = []
  const queue = files.entries()
  let failure: { error: unknown } | undefined
  const work = async (): Promise<void> => {
    for (let next = queue.next(); !next.done && !failure; next = queue.next()) {
      const [index, file] = next.value
      const path = folder.file(index)
      try {
        all[index] = { file, path, fetched: await fetchFile(world, file, path) }
        tell(fetching, { phase: 'files', done: all.filter(Boolean).length, total: files.length })
      } catch (error) {
        failure ??= { error }
        stop.abort()
      }
    }
  }
  await Promise.all(Array.from({ length: fetching.concurrency }, work))
  if (failure) throw failure.error
  const output = all.filter(({ file }) => file.kind === 'output')
  const [first] = output
  if (
    first?.fetched.fault !== undefined &&
    output.every(({ fetched }) => fetched.fault !== undefined && fetched.lines === 0)
  )
    await nothing(fetching, first.fetched.fault)
  return all
}

// Nothing at all could be had: an error, as it is for a collection. Each file is asked for again by the next process.
async function nothing({ folder, doors }: Fetching, fault: string): Promise<never> {
  await folder.clear('files')
  throw new SmartError(
    fault === 'count' ? 'FHIR_RESPONSE_INVALID' : (fault as SmartError['code']),
    `no file of the export of ${doors.provider.name} could be had`,
    { subject: doors.provider.id },
  )
}

/** Says how far it is. What a listener throws is its own affair. */
export function tell({ onProgress }: Fetching, progress: BulkProgress): void {
  try {
    onProgress?.(Object.freeze(progress))
  } catch {
    // A progress bar that breaks must not cost the export.
  }
}
