import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isMissing, isNoSpace } from '../durable.js'

/** Takes things off the disk, also off one that is full. */
export interface Clearing {
  /** Removes a folder: in one step out of sight, then file by file. No error when it is not there. */
  remove(path: string): Promise<void>
  /** Removes what a process that was killed had begun to remove. */
  finish(): Promise<void>
  /** Runs work that must not fail for want of a little room, such as a withdrawal. */
  withReserve<T>(work: () => Promise<T>): Promise<T>
}

const reserveBytes = 256 * 1024

export function openClearing(folder: string): Clearing {
  const going = join(folder, 'removing')
  const reserve = join(folder, 'reserve')
  const drop = (path: string): Promise<void> =>
    rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 })

  // Written, not only sized: a file with a hole in it keeps no room.
  const fill = (): Promise<void> =>
    writeFile(reserve, Buffer.alloc(reserveBytes, 1), { flag: 'wx', mode: 0o600 }).catch(async (error) => {
      if (isNoSpace(error)) await rm(reserve, { force: true }).catch(() => {})
    })

  return Object.freeze({
    async remove(path: string): Promise<void> {
      const aside = join(going, randomBytes(9).toString('hex'))
      try {
        await mkdir(going, { recursive: true, mode: 0o700 })
        await rename(path, aside)
      } catch (error) {
        // Where it cannot be moved it is removed in its place.
        if (!isMissing(error)) await drop(path)
        return
      }
      await drop(aside)
    },

    async finish(): Promise<void> {
      await fill()
      for (const name of await readdir(going).catch(() => [])) await drop(join(going, name))
    },

    async withReserve<T>(work: () => Promise<T>): Promise<T> {
      try {
        return await work()
      } catch (error) {
        if (!isNoSpace(error)) throw error
        await rm(reserve, { force: true })
        try {
          return await work()
        } finally {
          await fill()
        }
      }
    },
  } satisfies Clearing)
}
