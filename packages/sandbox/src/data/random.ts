/** Chance that comes out the same for the same seed. */
export interface Random {
  /** At least 0, less than 1. */
  next(): number
  /** A number from low to high, rounded to some decimals. */
  between(low: number, high: number, decimals?: number): number
  /** A number about a mean, rounded to some decimals; never further from it than three deviations. */
  about(mean: number, deviation: number, decimals?: number): number
  pick<T>(choices: readonly [T, ...T[]]): T
  chance(probability: number): boolean
}

/** A stream of chance of its own for each name, so that one person's records do not hang on another's. */
export function createRandom(seed: number, name: string): Random {
  let state = (seed ^ hash(name)) >>> 0
  // The xorshift family has no way out of zero.
  if (state === 0) state = 0x9e3779b9
  const next = (): number => {
    state ^= state << 13
    state >>>= 0
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state / 4294967296
  }
  for (let warm = 0; warm < 8; warm++) next()
  return Object.freeze({
    next,
    between: (low: number, high: number, decimals = 0) => round(low + next() * (high - low), decimals),
    about: (mean: number, deviation: number, decimals = 0) => {
      // Six throws add up to nearly a normal distribution, and stay within three deviations.
      let sum = 0
      for (let index = 0; index < 6; index++) sum += next()
      const offset = Math.max(-3, Math.min(3, (sum - 3) * Math.SQRT2))
      return round(mean + offset * deviation, decimals)
    },
    pick: <T>(choices: readonly [T, ...T[]]): T => choices[Math.floor(next() * choices.length)] as T,
    chance: (probability: number) => next() < probability,
  })
}

/** A number with so many decimals. */
export function round(value: number, decimals: number): number {
  const factor = 10 ** decimals
  return Math.round(value * factor) / factor
}

function hash(text: string): number {
  let value = 0x811c9dc5
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
  }
  return value >>> 0
}
