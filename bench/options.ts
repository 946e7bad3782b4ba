/** What may be said behind `npm run bench --`, in one place: every option once, read and checked once. */
import { parseArgs } from 'node:util'

/** Wrongly asked: told with the usage, and nothing is run. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Whole numbers of at least 1. Those without a default differ by what is run. */
const NUMBERS = {
  pairs: 7,
  rounds: null,
  seconds: null,
  connections: null,
  buyers: 30_000,
  stock: 10_000,
  nodes: 4,
  orders: 100_000,
  rate: 3000,
} as const satisfies Record<string, number | null>

type NumberName = keyof typeof NUMBERS

export interface BenchOptions {
  /** What was chosen, and what stands behind it. */
  readonly words: readonly string[]
  /** @param otherwise for options that have no default of their own. */
  number(name: NumberName, otherwise?: number): number
  /** Names after `--only`, all of them known; empty for all. */
  only(known: readonly string[]): string[]
  /** Above 0, at most 100. */
  scale(otherwise: number): number
  readonly ledger: string
  readonly strict: boolean
  readonly quick: boolean
  readonly all: boolean
  readonly help: boolean
  readonly k6: string | undefined
  readonly out: string | undefined
}

export function readOptions(args: readonly string[]): BenchOptions {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean', default: false } as const
  const { values, positionals } = parse(() =>
    parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        pairs: text,
        rounds: text,
        seconds: text,
        connections: text,
        buyers: text,
        stock: text,
        nodes: text,
        orders: text,
        rate: text,
        scale: text,
        only: { type: 'string', default: '' },
        ledger: { type: 'string', default: 'pglite' },
        k6: text,
        out: text,
        strict: flag,
        quick: flag,
        all: flag,
        help: { ...flag, short: 'h' },
      },
    }),
  )
  const { ledger, strict, quick, all, help, k6, out } = values
  return {
    words: positionals,
    number: (name, otherwise) => wholeOf(name, values[name] ?? String(NUMBERS[name] ?? otherwise)),
    only: (known) => namesOf(values.only, known),
    scale: (otherwise) => scaleOf(values.scale ?? String(otherwise)),
    ledger,
    strict,
    quick,
    all,
    help,
    k6,
    out,
  }
}

function parse<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}

function wholeOf(name: string, text: string): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : 0
  if (value < 1) throw new UsageError(`--${name} ${text}: a whole number of at least 1 is expected`)
  return value
}

function scaleOf(text: string): number {
  const value = Number(text)
  if (!(value > 0 && value <= 100)) throw new UsageError(`--scale ${text}: above 0, at most 100`)
  return value
}

function namesOf(text: string, known: readonly string[]): string[] {
  const names = text.split(',').filter(Boolean)
  const unknown = names.filter((name) => !known.includes(name))
  if (unknown.length > 0) throw new UsageError(`--only ${unknown.join(',')}: there are ${known.join(', ')}`)
  return names
}
