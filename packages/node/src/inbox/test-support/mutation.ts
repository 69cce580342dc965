import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256 } from './make-package.js'

/** A whole number from 0 on, below a bound. */
export type Random = (below: number) => number

/** The same numbers for the same seed. */
export function randomFrom(seed: number): Random {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/** Files with one byte changed, anywhere in all of them together. */
export function mutationOf<F extends { readonly bytes: Uint8Array }>(
  files: readonly F[],
  random: Random,
): { readonly file: F; readonly bytes: Uint8Array; readonly at: number } {
  const all = files.reduce((sum, { bytes }) => sum + bytes.length, 0)
  let at = random(all)
  for (const file of files) {
    if (at < file.bytes.length) {
      const bytes = Uint8Array.from(file.bytes)
      bytes[at] = (bytes[at] as number) ^ (1 + random(255))
      return { file, bytes, at }
    }
    at -= file.bytes.length
  }
  throw new RangeError('no bytes to change')
}

/** Everything below a folder, by its digest. */
export async function snapshot(folder: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {}
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    files[path] = sha256(await readFile(path))
  }
  return files
}

/** Runs work that many times, a few at a time. */
export async function atATime(
  few: number,
  times: number,
  work: (round: number) => Promise<void>,
): Promise<void> {
  let next = 0
  await Promise.all(
    Array.from({ length: few }, async () => {
      while (next < times) await work(next++)
    }),
  )
}
