/**
 * Randomness as an argument: {@link systemRandom} in production, {@link seededRandom} where a run must be repeatable.
 */
import { randomBytes } from 'node:crypto'

export interface Random {
  /** At least 0, below 1. Not for secrets. */
  next(): number
  /** A whole number from 0 to `below - 1`. Not for secrets. */
  below(below: number): number
  /** Lower-case hex of this many bytes; unguessable only from {@link systemRandom}. */
  hex(bytes: number): string
}

export const systemRandom: Random = {
  next: () => Math.random(),
  below: (below) => Math.floor(Math.random() * below),
  hex: (bytes) => randomBytes(bytes).toString('hex'),
}

/** The same seed gives the same numbers for ever (mulberry32, public domain, by Tommy Ettinger). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = (limit: number): number => Math.floor(next() * limit)
  const hex = (bytes: number): string => {
    let text = ''
    for (let index = 0; index < bytes; index += 1) text += below(256).toString(16).padStart(2, '0')
    return text
  }
  return { next, below, hex }
}
