import { createHash, randomBytes, randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { link, mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Lock } from '@s4s/core'
import { codeOf, isMissing } from './durable.js'
import { isObject, parseJson } from './json.js'
import { processLock } from './process-lock.js'

/**
 * A lock over all processes that share a folder. A process that is killed does not keep it: its lock file is
 * passed over once the process is gone, or, when it ran on another machine, once it stopped giving signs of life.
 */
export function fileLock(folder: string): Lock {
  const queue = processLock()
  let prepared = Number.NEGATIVE_INFINITY
  return (name, work) =>
    // One contender a process: the others wait in memory.
    queue(name, async () => {
      if (Date.now() - prepared > 3_600_000) {
        await prepare(folder)
        prepared = Date.now()
      }
      const held = await acquire(folder, createHash('sha256').update(name).digest('hex').slice(0, 32))
      const alive = setInterval(() => touch(held), signOfLife)
      alive.unref()
      try {
        return await work()
      } finally {
        clearInterval(alive)
        await release(folder, held)
      }
    })
}

// The files of a lock are numbered. The highest number is the lock; it is free when its file says so or its owner is
// gone. Taking it is making the next number, which a file system lets one process do only. Numbers never go back
// while anyone may still be looking, so that no two can find different locks free.

const signOfLife = 5_000
const deadAfter = 60_000
const forgottenAfter = 24 * 3_600_000

interface Owner {
  readonly host: string
  readonly pid: number
  /** When the process began, so that a later one of the same number is not taken for it. */
  readonly began: string
}

const me: Owner = { host: hostname(), pid: process.pid, began: beginOf(process.pid) }

async function acquire(folder: string, lock: string): Promise<string> {
  for (let attempt = 0; ; attempt++) {
    const numbers = await numbersOf(folder, lock)
    const last = numbers.at(-1) ?? 0
    if (last === 0 || (await isFree(fileOf(folder, lock, last)))) {
      const next = fileOf(folder, lock, last + 1)
      if (await claim(folder, next)) {
        if (await isAlone(folder, lock, last + 1)) return next
        await release(folder, next)
      }
    }
    await sleep(Math.min(5 * 2 ** Math.min(attempt, 5), 100) * (0.5 + randomInt(1000) / 1000))
  }
}

// Two can hold different numbers only when old ones were cleared away while they looked; then both step back.
async function isAlone(folder: string, lock: string, mine: number): Promise<boolean> {
  for (const number of await numbersOf(folder, lock)) {
    if (number === mine) continue
    const file = fileOf(folder, lock, number)
    if (!(await isFree(file)) && (await isThere(file))) return false
    if (number < mine) await rm(file, { force: true })
  }
  return true
}

const isThere = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  )

// Linked into place, so that no one ever reads half of it.
async function claim(folder: string, file: string): Promise<boolean> {
  const temporary = join(folder, `${randomBytes(8).toString('hex')}.tmp`)
  await writeFile(temporary, JSON.stringify(me), { mode: 0o600 })
  try {
    await link(temporary, file)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  } finally {
    await rm(temporary, { force: true })
  }
}

async function release(folder: string, file: string): Promise<void> {
  const temporary = join(folder, `${randomBytes(8).toString('hex')}.tmp`)
  try {
    await writeFile(temporary, 'free', { mode: 0o600 })
    await rename(temporary, file)
  } catch {
    // On a full disk an empty file still says it.
    await rm(temporary, { force: true }).catch(() => {})
    await writeFile(file, '').catch(() => {})
  }
}

async function isFree(file: string): Promise<boolean> {
  let text: string
  let touched: number
  try {
    text = await readFile(file, 'utf8')
    touched = (await stat(file)).mtimeMs
  } catch (error) {
    // Someone has just taken the next number.
    if (isMissing(error)) return false
    throw error
  }
  const owner = parseJson(text)
  if (!isObject(owner)) return true
  if (owner.host !== me.host) return Date.now() - touched > deadAfter
  return typeof owner.pid !== 'number' || !isRunning(owner.pid) || beginOf(owner.pid) !== owner.began
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return codeOf(error) === 'EPERM'
  }
}

function beginOf(pid: number): string {
  try {
    // The name of the program stands in brackets and may hold anything; start time is the 20th field after it.
    return (
      readFileSync(`/proc/${pid}/stat`, 'latin1')
        .replace(/^.*\) /s, '')
        .split(' ')[19] ?? ''
    )
  } catch {
    return ''
  }
}

const touch = (file: string): void => {
  const now = new Date()
  utimes(file, now, now).catch(() => {})
}

const fileOf = (folder: string, lock: string, number: number): string => join(folder, `${lock}.${number}`)

async function numbersOf(folder: string, lock: string): Promise<number[]> {
  return (await readdir(folder))
    .filter((file) => file.startsWith(`${lock}.`) && /^\d+$/.test(file.slice(lock.length + 1)))
    .map((file) => Number(file.slice(lock.length + 1)))
    .sort((a, b) => a - b)
}

// Locks that were set free long ago go: by then no one is still looking at their numbers.
async function prepare(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  for (const name of await readdir(folder)) {
    const file = join(folder, name)
    const touched = (await stat(file).catch(() => undefined))?.mtimeMs
    if (touched === undefined || Date.now() - touched < forgottenAfter) continue
    if (name.endsWith('.tmp') || (await isFree(file).catch(() => false))) await rm(file, { force: true })
  }
}
