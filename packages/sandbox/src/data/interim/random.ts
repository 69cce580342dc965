/** A seeded source of numbers: the same seed, the same people. */
export interface Random {
  /** In [0, 1). */
  next(): number
  /** A whole number in [low, high]. */
  whole(low: number, high: number): number
  /** A number near `mean`, rounded to `digits` decimals; most lie within two `spread`s. */
  near(mean: number, spread: number, digits: number): number
  pick<T>(from: readonly T[]): T
}

/** Makes a source from a text and a number (FNV-1a into a 32-bit mixer). Not for secrets. */
export function createRandom(name: string, seed: number): Random {
  let state = 2166136261 ^ seed
  for (let at = 0; at < name.length; at++) state = Math.imul(state ^ name.charCodeAt(at), 16777619)
  const next = (): number => {
    state = (state + 0x9e3779b9) | 0
    let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b)
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32
  }
  return {
    next,
    whole: (low, high) => low + Math.floor(next() * (high - low + 1)),
    near: (mean, spread, digits) => {
      const around = next() + next() + next() + next() - 2
      return Number((mean + around * spread).toFixed(digits))
    },
    pick: (from) => from[Math.floor(next() * from.length)] as never,
  }
}
