import { createHash } from 'node:crypto'
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { SmartError } from '@s4s/core'
import { isObject } from '../json.js'
import type { Asked } from './kick-off.js'
import type { ExportManifest } from './manifest.js'
import type { Sealing } from './sealing.js'
import type { Staged } from './stage.js'

/** How far an export is: what another process goes on from. */
export interface State {
  /** What was asked, and of whom: another question begins another export. */
  readonly for: string
  readonly status: string
  readonly types: readonly string[]
  readonly scopes: readonly string[]
  readonly lenient: boolean
  /** Epoch milliseconds. */
  readonly begunAt: number
  readonly manifest?: ExportManifest
  /** Set once all lines are sorted: the server is not needed any more. */
  readonly staged?: Staged
}

/** The folder of an export. */
export interface Folder {
  readonly root: string
  load(): Promise<State | undefined>
  save(state: State): Promise<void>
  /** Where a file of the export is put. */
  file(index: number): string
  /** Forgets the files that were fetched, or what they were sorted into. */
  clear(what: 'files' | 'sorted'): Promise<void>
  /** Forgets everything. */
  wipe(): Promise<void>
}

const sorted = ['patients', 'shared', 'targets', 'keys']

export async function openFolder(root: string, sealing: Sealing): Promise<Folder> {
  await mkdir(join(root, 'files'), { recursive: true, mode: 0o700 })
  const path = join(root, 'export')
  const remove = (name: string): Promise<void> => rm(join(root, name), { recursive: true, force: true })
  return Object.freeze({
    root,
    load: async () => {
      const value = await sealing.value(path)
      // To begin anew would delete what somebody with the right key could go on with.
      if (value === undefined && (await stat(path).catch(() => undefined)))
        throw new SmartError(
          'CONFIG_INVALID',
          'the folder holds an export that was written with another key; empty it, or use that key',
        )
      return isObject(value) && typeof value.for === 'string' && typeof value.status === 'string'
        ? (value as unknown as State)
        : undefined
    },
    save: (state: State) => sealing.write(path, state),
    file: (index: number) => join(root, 'files', `${String(index + 1).padStart(6, '0')}.ndjson`),
    clear: async (what: 'files' | 'sorted') => {
      if (what === 'sorted') for (const name of sorted) await remove(name)
      else for (const name of await readdir(join(root, 'files'))) await remove(join('files', name))
    },
    wipe: async () => {
      // The state last: a process that is killed between them finds it, and wipes again.
      for (const name of [...sorted, 'files', 'export']) await remove(name)
      await mkdir(join(root, 'files'), { recursive: true, mode: 0o700 })
    },
  } satisfies Folder)
}

/** The same for the same question to the same server. */
export function nameOfExport(iss: string, { plan, group, patients, since, typeFilters }: Asked): string {
  const classes = plan.classes.map(({ name, type, includes = [] }) => [name, type, includes])
  const about = { iss, plan: plan.id, classes, group, patients, since: since?.getTime(), typeFilters }
  return createHash('sha256')
    .update(`s4s-bulk/1 ${JSON.stringify(about)}`)
    .digest('hex')
}
