import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { SmartError } from '@s4s/core'
import { codeOf, isMissing, syncFolder } from '../durable.js'

/**
 * Begins a folder that is there whole or not at all: what is returned lies beside it under another name, and only its owner
 * can read it.
 *
 * @throws SmartError `CONFIG_INVALID` when there is something in the folder already
 */
export async function beginFolder(folder: string): Promise<string> {
  await checkFree(folder)
  await sweep(folder)
  const temporary = join(dirname(folder), `.${basename(folder)}.${randomBytes(6).toString('hex')}.tmp`)
  await mkdir(temporary, { recursive: true, mode: 0o700 })
  return temporary
}

/** Gives what was written its name, in one step. @throws SmartError `CONFIG_INVALID` when there is something by now */
export async function settleFolder(temporary: string, folder: string): Promise<void> {
  await syncFolder(temporary)
  try {
    await rename(temporary, folder)
  } catch (error) {
    throw ['ENOTEMPTY', 'EEXIST', 'ENOTDIR', 'EPERM'].includes(codeOf(error) ?? '') ? taken() : error
  }
  await syncFolder(dirname(folder))
}

/** Refuses a folder that holds something. @throws SmartError `CONFIG_INVALID` */
export async function checkFree(folder: string): Promise<void> {
  const there = await readdir(folder).catch((error: unknown) => {
    if (codeOf(error) === 'ENOTDIR') return ['a file']
    if (isMissing(error)) return []
    throw error
  })
  if (there.length > 0) throw taken()
}

// What a run that was killed left behind is health data that nobody looks after.
async function sweep(folder: string): Promise<void> {
  const [parent, name] = [dirname(folder), basename(folder)]
  for (const one of await readdir(parent).catch(() => [])) {
    const left = one.startsWith(`.${name}.`) && /^\.[0-9a-f]{12}\.tmp$/.test(one.slice(name.length + 1))
    const at = left ? (await stat(join(parent, one)).catch(() => undefined))?.mtimeMs : undefined
    if (at !== undefined && Date.now() - at > staleAfter)
      await rm(join(parent, one), { recursive: true, force: true })
  }
}

const staleAfter = 24 * 3_600_000

const taken = (): SmartError => new SmartError('CONFIG_INVALID', 'there is something in the folder already')
