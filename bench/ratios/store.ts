/** What a ticket costs Redis: CPU by its own `INFO commandstats`, and memory. */
import type { Redis } from 'ioredis'
import { connectRedisStock } from '../../stock/redis/redis-stock.ts'
import { judgeValue, type Verdict } from '../report/verdicts.ts'
import { Confirmer } from './confirmer.ts'
import { openSale, startRedis } from './site.ts'

const TICKETS = 100_000
const BATCH = 128

export interface StoreCosts {
  readonly ticketUsecAtBatch1: number
  readonly ticketUsecAtBatch128: number
  readonly incrUsec: number
  readonly incrPipelinedUsec: number
  readonly bytesPerOrderAtBatch1: number
  readonly bytesPerOrderAtBatch128: number
}

/** One Redis, one run: single calls, then batches, then INCR. */
export async function measureStore(directory: string): Promise<StoreCosts> {
  const redis = await startRedis(directory, 'off')
  const stock = await connectRedisStock({ url: redis.url, commandTimeoutMs: 5000 })
  try {
    await openSale(stock, TICKETS * 3)
    const confirmer = await Confirmer.join(stock, 'bench')
    const single = await confirmAll(redis.client, confirmer, 1)
    const batched = await confirmAll(redis.client, confirmer, BATCH)
    return {
      ticketUsecAtBatch1: single.usec,
      ticketUsecAtBatch128: batched.usec,
      incrUsec: await measureIncr(redis.client, 1),
      incrPipelinedUsec: await measureIncr(redis.client, BATCH),
      bytesPerOrderAtBatch1: single.bytes,
      bytesPerOrderAtBatch128: batched.bytes,
    }
  } finally {
    await stock.close()
    await redis.stop()
  }
}

async function confirmAll(
  client: Redis,
  confirmer: Confirmer,
  batch: number,
): Promise<{ readonly usec: number; readonly bytes: number }> {
  const bytesBefore = await usedMemory(client)
  await client.config('RESETSTAT')
  let tickets = 0
  for (; tickets < TICKETS; tickets += batch) await confirmer.confirm(batch)
  const { usec } = await commandStats(client, 'evalsha')
  return { usec: usec / tickets, bytes: ((await usedMemory(client)) - bytesBefore) / tickets }
}

/** `batch` calls are written at once; 1 is one call after the other, as the confirm calls are. */
async function measureIncr(client: Redis, batch: number): Promise<number> {
  await client.config('RESETSTAT')
  for (let n = 0; n < TICKETS; n += batch) {
    await Promise.all(Array.from({ length: batch }, () => client.incr('bench:counter')))
  }
  const { usec, calls } = await commandStats(client, 'incr')
  return usec / calls
}

async function commandStats(client: Redis, command: string): Promise<{ usec: number; calls: number }> {
  const found = new RegExp(`cmdstat_${command}:calls=(\\d+),usec=(\\d+)`).exec(await client.info('commandstats'))
  return { calls: Number(found?.[1] ?? Number.NaN), usec: Number(found?.[2] ?? Number.NaN) }
}

async function usedMemory(client: Redis): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await client.info('memory'))?.[1] ?? Number.NaN)
}

export function judgeStore(costs: StoreCosts): Verdict[] {
  const { ticketUsecAtBatch1, ticketUsecAtBatch128, incrUsec } = costs
  const memory = '100,000 one-ticket orders of distinct buyers with ids of 16 characters'
  return [
    judgeValue(
      { name: 'Redis CPU per ticket, batch 128 against batch 1 (evalsha usec)', atMost: 0.25 },
      ticketUsecAtBatch128 / ticketUsecAtBatch1,
    ),
    judgeValue(
      { name: 'Redis CPU per ticket at batch 128 against INCR, both one call after the other', atMost: 8 },
      ticketUsecAtBatch128 / incrUsec,
    ),
    judgeValue(
      { name: `the same against INCR written ${BATCH} at a time (pipelined)` },
      ticketUsecAtBatch128 / costs.incrPipelinedUsec,
    ),
    judgeValue({ name: 'Redis CPU microseconds of INCR, one call after the other' }, incrUsec),
    judgeValue(
      { name: `Redis bytes per order, batches of 128; ${memory}`, atMost: 300 },
      costs.bytesPerOrderAtBatch128,
    ),
    judgeValue({ name: `Redis bytes per order, batches of 1; ${memory}` }, costs.bytesPerOrderAtBatch1),
    judgeValue({ name: 'Redis CPU microseconds per ticket at batch 1' }, ticketUsecAtBatch1),
    judgeValue({ name: 'Redis CPU microseconds per ticket at batch 128' }, ticketUsecAtBatch128),
  ]
}
