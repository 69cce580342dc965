import { createHash } from 'node:crypto'
import { link, mkdir, readFile, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Lock } from '@s4s/core'
import { isTaken, temporaryBeside, unlessMissing, writeSynced } from '../disk.js'
import { fateOf, newOwner, type Owner, readOwner } from './owner.js'
import { processLock } from './process-lock.js'

/**
 * A lock among the processes that see a folder. A process that is killed leaves its lock file; whoever comes next
 * sees that it is dead and goes on. Where the system cannot tell, such as on a folder that several machines share,
 * a lock is given up when its file has shown no sign of life for half a minute.
 */
export function fileLock(folder: string): Lock {
  const inProcess = processLock()
  return (name, work) =>
    // Callers of this process queue in memory, so that one of them at most waits for the file.
    inProcess(name, async () => {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const path = join(folder, `${createHash('sha256').update(name).digest('hex').slice(0, 32)}.lock`)
      const release = await acquire(path)
      try {
        return await work()
      } finally {
        await release()
      }
    })
}

type Release = () => Promise<void>

const signOfLife = 2_000
const patience = 30_000

async function acquire(path: string): Promise<Release> {
  let watched: Watched | undefined
  for (let attempt = 0; ; attempt++) {
    const release = await take(path)
    if (release) return release
    const held = await holderOf(path)
    if (!held) continue
    watched = watch(watched, held)
    if (isAbandoned(watched)) {
      await removeDead(path, held.owner)
      watched = undefined
    } else await sleep(Math.min(100, 5 * (attempt + 1)))
  }
}

/** Takes the lock if nobody holds it. The file comes into being with its content: a link to one already written. */
async function take(path: string): Promise<Release | undefined> {
  const temporary = temporaryBeside(path)
  await writeSynced(temporary, JSON.stringify(newOwner()))
  try {
    await link(temporary, path)
  } catch (error) {
    if (isTaken(error)) return undefined
    throw error
  } finally {
    await rm(temporary, { force: true })
  }
  const beat = setInterval(() => {
    const now = new Date()
    utimes(path, now, now).catch(() => {})
  }, signOfLife)
  beat.unref()
  return async () => {
    clearInterval(beat)
    await rm(path, { force: true })
  }
}

/**
 * Removes the lock of a dead owner. Of all who see that it is dead only one may: the one who holds a second lock,
 * named after this very acquisition, and finds it still in place. Without that, a slow waiter could remove the
 * lock of whoever was faster.
 */
async function removeDead(path: string, owner: Owner | undefined): Promise<void> {
  const release = await acquire(`${path}.${owner?.id ?? 'foreign'}`)
  try {
    const now = await holderOf(path)
    if (now && now.owner?.id === owner?.id) await rm(path, { force: true })
  } finally {
    await release()
  }
}

interface Held {
  /** Undefined when the file is none of ours. */
  readonly owner: Owner | undefined
  readonly touched: number
}

async function holderOf(path: string): Promise<Held | undefined> {
  const text = await unlessMissing(readFile(path, 'utf8'))
  const about = await unlessMissing(stat(path))
  return text === undefined || about === undefined
    ? undefined
    : { owner: readOwner(text), touched: about.mtimeMs }
}

interface Watched extends Held {
  /** When we first saw the file as it is, on our own clock: machines and file servers disagree about the time. */
  readonly since: number
}

function watch(before: Watched | undefined, now: Held): Watched {
  const same = before && before.owner?.id === now.owner?.id && before.touched === now.touched
  return same ? before : { ...now, since: performance.now() }
}

function isAbandoned({ owner, since }: Watched): boolean {
  const fate = owner ? fateOf(owner) : 'unknown'
  return fate === 'dead' || (fate === 'unknown' && performance.now() - since > patience)
}
