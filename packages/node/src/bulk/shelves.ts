import { createHash } from 'node:crypto'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isMissing } from '../durable.js'
import { splitLines } from './lines.js'
import type { Sealing } from './sealing.js'

/**
 * Lines in files by key, each file for one key or for some: written in large pieces, so that an export of many is not
 * held at once.
 */
export interface Shelves {
  /** Adds a line to the file of a name; the first line of each piece is `head`. */
  put(name: string, line: string, head?: string): Promise<void>
  /** Resolves when all that was put is written. */
  flush(): Promise<void>
  /** The names of the files of a folder, in order. */
  names(folder: string): AsyncGenerator<string, void, undefined>
  read(name: string): AsyncGenerator<Buffer, void, undefined>
  remove(name: string): Promise<void>
}

const most = 8 * 1024 * 1024
const mostFiles = 4096

export function createShelves(root: string, sealing: Sealing): Shelves {
  let waiting = new Map<string, string[]>()
  let held = 0
  const made = new Set<string>()
  const flush = async (): Promise<void> => {
    const all = waiting
    waiting = new Map()
    held = 0
    for (const [name, lines] of all) {
      const path = join(root, name)
      const folder = join(path, '..')
      if (!made.has(folder)) await mkdir(folder, { recursive: true, mode: 0o700 })
      made.add(folder)
      for (const piece of piecesOf(lines)) await sealing.append(path, Buffer.from(piece))
    }
  }
  return Object.freeze({
    put: async (name: string, line: string, head?: string) => {
      const lines = waiting.get(name)
      if (lines) lines.push(line)
      else waiting.set(name, head === undefined ? [line] : [head, line])
      held += line.length
      if (held >= most || waiting.size >= mostFiles) await flush()
    },
    flush,
    async *names(folder: string) {
      for (const part of await entries(join(root, folder)))
        for (const name of await entries(join(root, folder, part))) yield `${folder}/${part}/${name}`
    },
    read: (name: string) => sealing.read(join(root, name)),
    remove: (name: string) => rm(join(root, name), { force: true }),
  } satisfies Shelves)
}

// A line may be as long as a piece: one that is longer is a piece of its own.
function* piecesOf(lines: readonly string[]): Generator<string> {
  let piece = ''
  for (const line of lines) {
    if (piece.length > 0 && piece.length + line.length > most) {
      yield piece
      piece = ''
    }
    piece += `${line}\n`
  }
  if (piece.length > 0) yield piece
}

async function entries(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort()
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

/** Where the lines of a patient are. The name says nothing about who it is. */
export function shelfOfPatient(id: string): string {
  const hash = hashOf(`patient ${id}`)
  return `patients/${hash.slice(0, 2)}/${hash.slice(2, 40)}`
}

/** Where the lines of a key are that shares its file with others. */
export function shelfOfKey(folder: string, key: string): string {
  return `${folder}/${hashOf(`key ${key}`).slice(0, 2)}/all`
}

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex')

/** The resources that records share, such as clinicians: found by key, a part of them held at a time. */
export interface Shared {
  /** The texts that were put under a key. */
  find(key: string): Promise<readonly string[]>
}

const mostHeld = 64 * 1024 * 1024

export function createShared(shelves: Shelves): Shared {
  const held = new Map<string, { size: number; texts: Map<string, string[]> }>()
  let size = 0
  const load = async (name: string): Promise<{ size: number; texts: Map<string, string[]> }> => {
    const texts = new Map<string, string[]>()
    let length = 0
    for await (const line of keyedLines(shelves, name)) {
      const known = texts.get(line.key)
      if (known) known.push(line.text)
      else texts.set(line.key, [line.text])
      length += line.text.length
    }
    return { size: length, texts }
  }
  return Object.freeze({
    find: async (key: string) => {
      const name = shelfOfKey('shared', key)
      const known = held.get(name) ?? (await load(name))
      if (!held.has(name)) size += known.size
      // What was used last is dropped last.
      held.delete(name)
      held.set(name, known)
      for (const [oldest, { size: freed }] of held) {
        if (size <= mostHeld || oldest === name) break
        held.delete(oldest)
        size -= freed
      }
      return known.texts.get(key) ?? []
    },
  })
}

/** A line of a file that several keys share: the key, a tab, the text. */
export const keyedLine = (key: string, text: string): string => `${key}\t${text}`

/** The lines of such a file; none when there is no such file. */
export async function* keyedLines(
  shelves: Shelves,
  name: string,
): AsyncGenerator<{ key: string; text: string }, void, undefined> {
  try {
    for await (const bytes of splitLines(shelves.read(name))) {
      const line = Buffer.from(bytes ?? '').toString('utf8')
      const at = line.indexOf('\t')
      yield { key: line.slice(0, at), text: line.slice(at + 1) }
    }
  } catch (error) {
    if (!isMissing(error)) throw error
  }
}
