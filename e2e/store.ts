/** The sale's keys in Redis, for damage done by hand and for copies put back: what an operator's mistake would touch. */
import { Redis } from 'ioredis'

const PREFIX = 'farebox:{sale-rush}:'
export const SALE = `${PREFIX}sale`
export const ORDERS = `${PREFIX}orders`
export const BUYERS = `${PREFIX}buyers`

/** Of any sale: its counters. */
export function saleKey(saleId: string): string {
  return `farebox:{sale-${saleId}}:sale`
}

/** Connects, works, disconnects. */
export async function withStore<T>(url: string, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url, { maxRetriesPerRequest: 0, retryStrategy: () => null, lazyConnect: true })
  redis.on('error', () => undefined)
  try {
    await redis.connect()
    return await work(redis)
  } finally {
    redis.disconnect()
  }
}

export type Copy = ReadonlyMap<string, Buffer>

/** Every key of the sale as DUMP gives it. */
export async function dumpSale(redis: Redis): Promise<Copy> {
  const copy = new Map<string, Buffer>()
  for (const key of await redis.keys(`${PREFIX}*`)) {
    const value = await redis.dumpBuffer(key)
    if (value !== null) copy.set(key, value)
  }
  return copy
}

/** In place, in one step, as a careless script would. */
export async function restoreSale(redis: Redis, copy: Copy): Promise<void> {
  const steps = redis.multi()
  for (const [key, value] of copy) steps.restore(key, 0, value, 'REPLACE')
  await steps.exec()
}
