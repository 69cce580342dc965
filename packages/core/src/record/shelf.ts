import { stringAt } from '../util/json.js'

/** A resource as the record holds it: once, as the server's own text. */
export interface Held {
  readonly type: string
  readonly id: string
  text: string
  /** Names of the data classes that it belongs to. */
  classes: ReadonlySet<string>
  updated: number
  version: string
}

/** Where collected resources are put, each once by type and id. */
export interface Shelf {
  /** Puts it, or its newer version; `conflict` when the one that is held is not the same. */
  put(
    resource: { readonly type: string; readonly id: string; readonly meta?: unknown },
    text: string,
    classes: readonly string[],
  ): { readonly conflict: boolean }
  /** Says that a resource belongs to these classes too; false when it is not held. */
  mark(key: string, classes: readonly string[]): boolean
  readonly size: number
  all(): Iterable<Held>
}

/** An empty shelf. A Map throughout: servers choose the keys. */
export function createShelf(): Shelf {
  const held = new Map<string, Held>()
  // Thousands of resources share a handful of combinations of classes, so each combination is kept once.
  const combinations = new Map<string, ReadonlySet<string>>()
  const combine = (names: Iterable<string>): ReadonlySet<string> => {
    const sorted = [...new Set(names)].sort()
    const key = JSON.stringify(sorted)
    const known = combinations.get(key) ?? new Set(sorted)
    combinations.set(key, known)
    return known
  }
  const join = (known: Held, classes: readonly string[]): void => {
    if (classes.some((name) => !known.classes.has(name)))
      known.classes = combine([...known.classes, ...classes])
  }
  return {
    get size() {
      return held.size
    },
    all: () => held.values(),
    mark: (key, classes) => {
      const known = held.get(key)
      if (known) join(known, classes)
      return known !== undefined
    },
    put: ({ type, id, meta }, text, classes) => {
      const key = `${type}/${id}`
      const stamp = stampOf(meta)
      const known = held.get(key)
      if (!known) {
        held.set(key, { type, id, text, classes: combine(classes), ...stamp })
        return { conflict: false }
      }
      join(known, classes)
      const conflict = known.text !== text
      if (conflict && isNewer({ text, ...stamp }, known)) Object.assign(known, { text, ...stamp })
      return { conflict }
    },
  }
}

interface Version {
  readonly text: string
  readonly updated: number
  readonly version: string
}

function stampOf(meta: unknown): { updated: number; version: string } {
  const updated = Date.parse(stringAt(meta, 'lastUpdated') ?? '')
  const version = stringAt(meta, 'versionId') ?? ''
  return { updated: Number.isNaN(updated) ? Number.NEGATIVE_INFINITY : updated, version }
}

// Queries run side by side, so the order of arrival must not decide: without a better sign, the text does.
function isNewer(a: Version, b: Version): boolean {
  if (a.updated !== b.updated) return a.updated > b.updated
  if (a.version !== b.version) {
    const [numberA, numberB] = [Number(a.version), Number(b.version)]
    if (numberA !== numberB && !Number.isNaN(numberA) && !Number.isNaN(numberB)) return numberA > numberB
    return a.version > b.version
  }
  return a.text > b.text
}
