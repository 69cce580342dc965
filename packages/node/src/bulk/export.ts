import { isSmartError, SmartError } from '@s4s/core'
import type { BackendService } from '@s4s/core/confidential'
import type { Doors } from './doors.js'
import { type Fetched, fetchFile } from './download.js'
import { type Asked, awaitExport, deleteExport, ExpiredError, kickOff } from './kick-off.js'
import { type ExportFile, type ExportManifest, readManifest } from './manifest.js'
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
    const manifest = await awaitExport(doors, state.status, maxWait, waiting, signal).catch(async (error) => {
      // An export that has failed never becomes ready: the next process begins another.
      if (hasFailed(error)) {
        await deleteExport(doors, begun.status)
        await folder.wipe()
      }
      throw error
    })
    state = { ...state, manifest }
    await folder.save(state)
  }
  const manifest = state.manifest as NonNullable<State['manifest']>
  const fetched = await fetchAll(fetching, state.status, manifest)
  const [first] = fetched.filter(({ file }) => file.kind === 'output')
  if (first?.fetched.fault !== undefined && fetched.every(isNothing)) {
    // Nothing at all could be had: an error, as it is for a collection. The next process asks where the files are again.
    await folder.clear('files')
    await folder.save(begun.manifest ? withoutManifest(begun) : begun)
    throw new SmartError(
      codeOf(first.fetched.fault),
      `no file of the export of ${doors.provider.name} could be had`,
      {
        subject: doors.provider.id,
      },
    )
  }
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
  // Addresses that were signed may end before the export does: its state has new ones.
  const whereNow = async (index: number): Promise<string | undefined> => {
    const answer = await doors.ask({
      url: status,
      headers: { accept: 'application/json' },
      signal: world.signal,
    })
    if (answer.status !== 200) return undefined
    const now = readManifest(answer.text(), doors.provider).files[index]
    return now?.type === files[index]?.type ? now?.url : undefined
  }
  const all: { file: ExportFile; fetched: Fetched; path: string }[] = []
  const queue = files.entries()
  let failure: { error: unknown } | undefined
  const work = async (): Promise<void> => {
    for (let next = queue.next(); !next.done && !failure; next = queue.next()) {
      const [index, file] = next.value
      const path = folder.file(index)
      try {
        all[index] = {
          file,
          path,
          fetched: await fetchFile({ ...world, whereNow: () => whereNow(index) }, file, path),
        }
        tell(fetching, { phase: 'files', done: all.filter(Boolean).length, total: files.length })
      } catch (error) {
        failure ??= { error }
        stop.abort()
      }
    }
  }
  await Promise.all(Array.from({ length: fetching.concurrency }, work))
  if (failure) throw failure.error
  return all
}

const isNothing = ({ file, fetched }: { file: ExportFile; fetched: Fetched }): boolean =>
  file.kind !== 'output' || (fetched.fault !== undefined && fetched.lines === 0)

const withoutManifest = ({ manifest: _, ...state }: State): State => state

const codeOf = (fault: string): SmartError['code'] =>
  fault === 'count' ? 'FHIR_RESPONSE_INVALID' : (fault as SmartError['code'])

function hasFailed(error: unknown): boolean {
  if (!isSmartError(error)) return false
  if (error.code === 'FHIR_RESPONSE_INVALID' || error.code === 'FHIR_FOREIGN_URL') return true
  const { status = 0 } = error
  return status === 500 || (status >= 400 && status < 500 && ![401, 403, 408, 429].includes(status))
}

/** Says how far it is. What a listener throws is its own affair. */
export function tell({ onProgress }: Fetching, progress: BulkProgress): void {
  try {
    onProgress?.(Object.freeze(progress))
  } catch {
    // A progress bar that breaks must not cost the export.
  }
}
