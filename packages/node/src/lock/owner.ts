import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'

/** Who holds a lock file. */
export interface Owner {
  /** Different at every acquisition. */
  readonly id: string
  readonly host: string
  readonly pid: number
  /** Tells a process from a later one with the same pid; empty where the system does not say. */
  readonly started: string
}

/** This process, for one acquisition. */
export function newOwner(): Owner {
  return { id: randomUUID(), host: hostname(), pid: process.pid, started: startOf(process.pid) ?? '' }
}

/** Reads what a lock file says; undefined when it was not written by us. */
export function readOwner(text: string): Owner | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const { id, host, pid, started } = (value ?? {}) as Partial<Record<keyof Owner, unknown>>
  if (typeof id !== 'string' || !/^[0-9a-f-]{36}$/.test(id)) return undefined
  if (typeof host !== 'string' || typeof started !== 'string' || !Number.isSafeInteger(pid)) return undefined
  return { id, host, pid: pid as number, started }
}

/** `dead` and `alive` when the system can tell; else `unknown`: the owner is on another machine, or the system says too little. */
export function fateOf(owner: Owner): 'alive' | 'dead' | 'unknown' {
  if (owner.host !== hostname()) return 'unknown'
  try {
    process.kill(owner.pid, 0)
  } catch (error) {
    // EPERM: it is there and belongs to someone else.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return 'dead'
  }
  const started = startOf(owner.pid)
  if (started === undefined || owner.started === '') return 'unknown'
  return started === owner.started ? 'alive' : 'dead'
}

// Linux tells when a process started, in ticks since the boot that the boot id names.
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name of the program stands in parentheses and may hold spaces: count behind it.
    const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const ticks = rest[18]
    if (ticks === undefined) return undefined
    // A zombie runs no more, though its number is taken until it is waited for.
    if (state === 'Z' || state === 'X') return 'ended'
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()} ${ticks}`
  } catch {
    return undefined
  }
}
