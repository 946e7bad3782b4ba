/** Asks every process at even intervals what it has counted. */
import type { Redis } from 'ioredis'
import type { SamplePoint, Samples } from '../report/samples.ts'
import { parseNodePoint } from './node-point.ts'

export const SAMPLE_INTERVAL_MS = 500
const ANSWER_WITHIN_MS = 5000

export interface Sampled {
  readonly nodes: readonly { readonly id: string; readonly adminUrl: string }[]
  readonly redis: Redis
  /** The hash with the sale's counters, and its fares. */
  readonly saleKey: string
  readonly fares: readonly string[]
}

/**
 * Every interval has its own point, also when earlier answers are still on their way: a slow answer moves no other,
 * and what is missing is missing for a reason.
 */
export class Sampler {
  readonly #from: Sampled
  readonly #startMs: number
  readonly #points: Promise<SamplePoint>[] = []
  readonly #timer: NodeJS.Timeout

  constructor(from: Sampled, nowMs: number) {
    this.#from = from
    this.#startMs = nowMs
    this.#take()
    this.#timer = setInterval(() => {
      while (this.#startMs + this.#points.length * SAMPLE_INTERVAL_MS <= Date.now()) this.#take()
    }, SAMPLE_INTERVAL_MS / 10)
  }

  /** All that was taken, and a last one. */
  async stop(): Promise<Samples> {
    clearInterval(this.#timer)
    this.#take()
    const points = await Promise.all(this.#points)
    return { intervalMs: SAMPLE_INTERVAL_MS, wanted: points.length, points }
  }

  #take(): void {
    const index = this.#points.length
    this.#points.push(this.#read(index, Date.now() - this.#startMs))
  }

  async #read(index: number, atMs: number): Promise<SamplePoint> {
    const nodes = this.#from.nodes.map(async ({ id, adminUrl }) => [id, await readNode(adminUrl)] as const)
    const [remaining, store] = await Promise.all([orNull(this.#readRemaining()), orNull(this.#readStore())])
    return { index, atMs, nodes: Object.fromEntries(await Promise.all(nodes)), remaining, store }
  }

  async #readRemaining(): Promise<number> {
    const { redis, saleKey, fares } = this.#from
    const values = await redis.hmget(saleKey, ...fares.map((fare) => `remaining:${fare}`))
    return values.reduce((sum, value) => sum + (value === null ? Number.NaN : Number(value)), 0)
  }

  async #readStore(): Promise<{ calls: number; cpuMs: number }> {
    const { redis } = this.#from
    const [stats, cpu] = await Promise.all([redis.info('commandstats'), redis.info('cpu')])
    const seconds = (field: string): number => Number(new RegExp(`^${field}:([\\d.]+)`, 'm').exec(cpu)?.[1])
    return { calls: clientCalls(stats), cpuMs: (seconds('used_cpu_user') + seconds('used_cpu_sys')) * 1000 }
  }
}

/**
 * Calls of scripts. Commands inside of a script are counted by Redis as well and cannot be told apart, so only the
 * calls that carry them count; nodes send nothing else while they sell.
 */
export function clientCalls(commandStats: string): number {
  const calls = commandStats.matchAll(/^cmdstat_(?:evalsha|eval|fcall):calls=(\d+)/gm)
  return [...calls].reduce((sum, [, count]) => sum + Number(count), 0)
}

async function readNode(adminUrl: string): Promise<ReturnType<typeof parseNodePoint> | null> {
  try {
    const answer = await fetch(`${adminUrl}/metrics`, { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) })
    return answer.ok ? parseNodePoint(await answer.text()) : null
  } catch {
    return null
  }
}

async function orNull<T>(reading: Promise<T>): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), ANSWER_WITHIN_MS)
  })
  try {
    return await Promise.race([reading, late])
  } catch {
    return null
  } finally {
    clearTimeout(timer)
  }
}
