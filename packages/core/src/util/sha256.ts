import { hex } from './bytes.js'

/**
 * SHA-256 as lower-case hexadecimal, at once: Web Crypto only has it as a promise, and a consent is given in one
 * synchronous step. For short texts; files go through `sha256` of bytes.ts.
 *
 * @see https://doi.org/10.6028/NIST.FIPS.180-4 §6.2
 */
export function sha256Now(text: string): string {
  const message = new TextEncoder().encode(text)
  const padded = new Uint8Array(Math.ceil((message.length + 9) / 64) * 64)
  padded.set(message)
  padded[message.length] = 0x80
  const view = new DataView(padded.buffer)
  view.setUint32(padded.length - 8, Math.floor(message.length / 2 ** 29))
  view.setUint32(padded.length - 4, message.length << 3)

  const hash = Uint32Array.from(initialHash)
  const schedule = new Uint32Array(64)
  for (let block = 0; block < padded.length; block += 64) {
    for (let t = 0; t < 64; t++) schedule[t] = t < 16 ? view.getUint32(block + 4 * t) : extended(schedule, t)
    compress(hash, schedule)
  }
  const digest = new DataView(new ArrayBuffer(32))
  hash.forEach((word, index) => {
    digest.setUint32(4 * index, word)
  })
  return hex(new Uint8Array(digest.buffer))
}

function extended(w: Uint32Array, t: number): number {
  const a = w[t - 15] as number
  const b = w[t - 2] as number
  const small0 = rotate(a, 7) ^ rotate(a, 18) ^ (a >>> 3)
  const small1 = rotate(b, 17) ^ rotate(b, 19) ^ (b >>> 10)
  return (small1 + (w[t - 7] as number) + small0 + (w[t - 16] as number)) >>> 0
}

function compress(hash: Uint32Array, w: Uint32Array): void {
  let [a, b, c, d, e, f, g, h] = hash as unknown as Eight
  for (let t = 0; t < 64; t++) {
    const big1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
    const choice = (e & f) ^ (~e & g)
    const one = (h + big1 + choice + (constants[t] as number) + (w[t] as number)) >>> 0
    const big0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)
    const majority = (a & b) ^ (a & c) ^ (b & c)
    const two = (big0 + majority) >>> 0
    ;[h, g, f, e, d, c, b, a] = [g, f, e, (d + one) >>> 0, c, b, a, (one + two) >>> 0]
  }
  ;[a, b, c, d, e, f, g, h].forEach((word, index) => {
    hash[index] = (hash[index] as number) + word
  })
}

type Eight = [number, number, number, number, number, number, number, number]

const rotate = (word: number, by: number): number => (word >>> by) | (word << (32 - by))

// The standard defines both tables as the first 32 bits of the fractions of roots of the first primes.
const primes = firstPrimes(64)
const fraction = (root: number): number => ((root - Math.floor(root)) * 2 ** 32) >>> 0
const initialHash = primes.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)))
const constants = primes.map((prime) => fraction(Math.cbrt(prime)))

function firstPrimes(count: number): number[] {
  const found: number[] = []
  for (let candidate = 2; found.length < count; candidate++) {
    if (found.every((prime) => candidate % prime !== 0)) found.push(candidate)
  }
  return found
}
