/** The two implementations under conformance, each with hands to turn its clock, lives, copies and counters. */
import { Redis } from 'ioredis'
import type { SaleRecord } from '../core/sale-record.ts'
import { createMemoryStock, type MemoryStock } from '../memory/memory-stock.ts'
import { FLEET_KEYS, saleKeys } from '../redis/keys.ts'
import { connectRedisStock } from '../redis/redis-stock.ts'
import type { ScriptName } from '../redis/scripts.ts'
import type { TestWorld } from './steps.ts'

export function memoryWorld(saleId: string, plant: (stock: MemoryStock) => MemoryStock = (stock) => stock): TestWorld {
  let nowMs = 0
  let fingerprint = ''
  let kept: SaleRecord | undefined
  const stock = plant(createMemoryStock({ nowMs: () => nowMs, fingerprint: () => fingerprint }))
  return {
    port: stock,
    async setNow(toMs) {
      nowMs = toMs
    },
    async restart(life) {
      fingerprint = life
    },
    async copy() {
      kept = structuredClone(stock.saleRecords.get(saleId))
    },
    async restore() {
      if (kept !== undefined) stock.saleRecords.set(saleId, structuredClone(kept))
    },
    async damage(fareId, counter, by) {
      const fare = stock.saleRecords.get(saleId)?.fares.get(fareId)
      if (fare !== undefined) fare[counter] += by
    },
  }
}

export interface RedisWorlds {
  /** A world with empty keys of its own. */
  world(saleId: string): TestWorld
  /** Removes what a sequence left; returns the keys that nobody should have left. */
  clear(saleId: string): Promise<string[]>
  close(): Promise<void>
}

export async function redisWorlds(
  url: string,
  editScript?: (name: ScriptName, lua: string) => string,
): Promise<RedisWorlds> {
  const port = await connectRedisStock({
    url,
    commandTimeoutMs: 5000,
    world: 'fixed',
    ...(editScript === undefined ? {} : { editScript }),
  })
  const hand = new Redis(url)
  return {
    world: (saleId) => worldOver(port, hand, saleId),
    async clear(saleId) {
      const keys = Object.values(saleKeys(saleId))
      const expected = new Set<string>([
        ...keys,
        ...keys.map((key) => `${key}:copy`),
        ...Object.values(FLEET_KEYS),
        `${saleKeys(saleId).sale}:world`,
        `${FLEET_KEYS.fleet}:world`,
      ])
      const found = await hand.keys('*')
      await hand.flushdb()
      return found.filter((key) => !expected.has(key))
    },
    async close() {
      await port.close()
      hand.disconnect()
    },
  }
}

function worldOver(port: TestWorld['port'], hand: Redis, saleId: string): TestWorld {
  const keys = saleKeys(saleId)
  const setWorld = async (field: string, value: string | number): Promise<void> => {
    await Promise.all([keys.sale, FLEET_KEYS.fleet].map((key) => hand.hset(`${key}:world`, field, value)))
  }
  let isKept = false
  return {
    port,
    setNow: (nowMs) => setWorld('now', nowMs),
    restart: (life) => setWorld('fingerprint', life),
    async copy() {
      isKept = (await hand.exists(keys.sale)) === 1
      for (const key of Object.values(keys)) {
        await hand.del(`${key}:copy`)
        await hand.copy(key, `${key}:copy`)
      }
    },
    async restore() {
      if (!isKept) return
      for (const key of Object.values(keys)) {
        await hand.del(key)
        await hand.copy(`${key}:copy`, key)
      }
    },
    async damage(fareId, counter, by) {
      if ((await hand.exists(keys.sale)) === 1) await hand.hincrby(keys.sale, `${counter}:${fareId}`, by)
    },
  }
}
