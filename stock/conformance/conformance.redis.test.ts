import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { MemoryStock } from '../memory/memory-stock.ts'
import type { ScriptName } from '../redis/scripts.ts'
import { runSequence, sequence } from './steps.ts'
import { startTestRedis, type TestRedis } from './test-redis.ts'
import { memoryWorld, redisWorlds } from './worlds.ts'

const SALE = 'demo'
const SEQUENCES = 10_000

let redis: TestRedis

beforeAll(async () => {
  redis = await startTestRedis()
})
afterAll(async () => redis.stop())

/** Runs sequences against the twin and against Redis; throws with seed and smallest sequence where they differ. */
async function compare(
  runs: number,
  plant?: { memory?: (stock: MemoryStock) => MemoryStock; script?: (name: ScriptName, lua: string) => string },
): Promise<void> {
  const worlds = await redisWorlds(redis.url, plant?.script)
  try {
    await fc.assert(
      fc.asyncProperty(sequence, async (run) => {
        const expected = await runSequence(memoryWorld(SALE, plant?.memory), SALE, run)
        const found = await runSequence(worlds.world(SALE), SALE, run)
        const leftOver = await worlds.clear(SALE)
        expect(found).toEqual(expected)
        expect(leftOver).toEqual([])
      }),
      { numRuns: runs, endOnFailure: plant !== undefined },
    )
  } finally {
    await worlds.close()
  }
}

/** Changes the text of one script, as a programmer's slip would. */
function inScript(wanted: ScriptName, from: string, to: string): { script: (name: ScriptName, lua: string) => string } {
  return {
    script(name, lua) {
      if (name !== wanted) return lua
      expect(lua).toContain(from)
      return lua.replace(from, to)
    },
  }
}

/** A twin whose confirm says that one ticket more remains. */
function oneRemainingTooMany(stock: MemoryStock): MemoryStock {
  const confirm: MemoryStock['sales']['confirm'] = async (...args) => {
    const reply = await stock.sales.confirm(...args)
    if (reply.outcome !== 'judged') return reply
    return { ...reply, fares: reply.fares.map((fare) => ({ ...fare, remaining: fare.remaining + 1 })) }
  }
  return { ...stock, sales: { ...stock.sales, confirm } }
}

describe('the twin and Redis', () => {
  it(`answer alike in ${SEQUENCES} generated sequences`, { timeout: 600_000 }, async () => {
    await compare(SEQUENCES)
  })
})

describe('a planted difference is found', () => {
  const scripts: [string, ReturnType<typeof inScript>][] = [
    ['confirm sells one too many', inScript('confirm', 'fare.remaining < quantity', 'fare.remaining + 1 < quantity')],
    ['confirm forgets the limit', inScript('confirm', 'tickets + quantity > sale.limit', 'false')],
    ['confirm ignores the epoch', inScript('confirm', 'node.epoch == caller.epoch', 'true')],
    ['a change ignores a store behind', inScript('change-state', 'if is_behind then return', 'if false then return')],
    ['an act that is over sets a stock', inScript('set-stock', 'turn ~= turn_of(sale_key)', 'false')],
    ['an act goes on after a leader stopped the sale', inScript('set-stock', 'turn <= stopped', 'false')],
    ['a turn lower than the last begins', inScript('begin-turn', 'turn < turn_of(sale_key)', 'false')],
    ['heartbeat reckons the dead in', inScript('heartbeat', 'now - dead_after_ms', '0')],
    ['settle gives back twice', inScript('settle', "if order.letter == letter then return 'already' end", '')],
    [
      'a lost order comes back for nothing',
      inScript('settle', 'fare.remaining - order.quantity, fare.paid', 'fare.remaining, fare.paid'),
    ],
    [
      'a heartbeat hides what was trimmed',
      inScript('heartbeat', 'local lost = is_lost', 'local lost = false and is_lost'),
    ],
    ['trimming leaves no mark', inScript('trim-events', "redis.call('HSET', sale_key, 'trimmed', newest[1])", '')],
    ['reading events knows no limit', inScript('read-events', 'if orders >= limit then break end', '')],
    ['a return is not noted', inScript('settle', 'add_reopening(sale_writes', '(function() end)(sale_writes')],
    ['confirm takes every node for one that has heard', inScript('confirm', 'seq > heard then', 'false then')],
    ['a node is taken to have heard what it joins at', inScript('join', 'heard_seq = 0', 'heard_seq = sale.seq')],
    ['silent orders processes stay', inScript('fleet-announce-orders', '<= now - forgotten_after_ms', '< 0')],
    ['certify keeps the era', inScript('certify-sale', 'sale.era = era\n', '')],
    [
      'certify takes a store behind the one that was read',
      inScript('certify-sale', 'sale.seq < expected_seq', 'false'),
    ],
    ['certify forgets who called', inScript('certify-sale', 'is_sought_above(sale_key, ', '(function() end)(')],
  ]
  it.each(scripts)('in a script: %s', { timeout: 120_000 }, async (_name, plant) => {
    await expect(compare(SEQUENCES, plant)).rejects.toThrow(/Counterexample/)
  })

  it('in the twin: a reply says one remaining too many', { timeout: 120_000 }, async () => {
    await expect(compare(SEQUENCES, { memory: oneRemainingTooMany })).rejects.toThrow(/Counterexample/)
  })
})
