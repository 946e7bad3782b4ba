/**
 * The program that Farebox descends from: a process-wide lock, inside of it a deduction from the process's own share
 * (with its buffer), then one in Redis by a script. With its mistakes: `>=` where `>` was meant, a share that is not
 * given back when Redis says no, and, with the leak, a connection per request that is never returned.
 */
import type { Redis } from 'ioredis'
import type { Baseline, MakeBaseline, Making } from './baseline.ts'
import { connectRedis } from './redis.ts'

const SALE = 'ticket_hash_key'
/** Sells as long as the total is not below what was sold: one too many. */
const SCRIPT = `
local total = tonumber(redis.call('HGET', KEYS[1], ARGV[1]))
local sold = tonumber(redis.call('HGET', KEYS[1], ARGV[2]))
if total >= sold then return redis.call('HINCRBY', KEYS[1], ARGV[2], 1) end
return 0`
/** Each process may sell twice its share, so that the other's death is covered. */
const BUFFER = 2

export const trainTicket: MakeBaseline = (making) => make(making, false)
export const trainTicketLeaking: MakeBaseline = (making) => make(making, true)

async function make(
  { store, stock, isFirst, processes, connectionsMax }: Making,
  isLeaking: boolean,
): Promise<Baseline> {
  const redis = connectRedis(store)
  if (isFirst) await redis.hset(SALE, { total: stock, sold: 0 })
  const share = Math.ceil((stock / processes) * BUFFER)
  let [sales, connections] = [0, 0]
  let lock: Promise<unknown> = Promise.resolve()
  const take = (): Promise<Redis> => {
    connections += 1
    if (!isLeaking) return Promise.resolve(redis)
    // The pool hands out so many, then waits for one to be returned.
    return connections > connectionsMax ? new Promise(() => {}) : Promise.resolve(connectRedis(store, false))
  }
  const sell = async (): Promise<'won' | 'refused'> => {
    sales += 1
    if (sales > share) return 'refused'
    const connection = await take()
    return Number(await connection.eval(SCRIPT, 1, SALE, 'total', 'sold')) === 0 ? 'refused' : 'won'
  }
  return {
    buy() {
      const mine = lock.then(sell)
      lock = mine.catch(() => {})
      return mine
    },
    giveBack: async (count) => void (await redis.hincrby(SALE, 'sold', -count)),
    async count() {
      const { total, sold } = await redis.hgetall(SALE)
      return { remaining: Number(total) - Number(sold), sold: Number(sold) }
    },
  }
}
