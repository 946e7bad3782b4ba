/** Several orders processes on one ledger, while the store is counted anew and that takes long. */
import { beforeEach, describe, expect, it } from 'vitest'
import { audit } from '../../coordinator/operations/audit.ts'
import { DEMO, TestNode, testWorld, type TestWorld } from '../../coordinator/operations/testing/test-world.ts'
import type { SaleStore, StockPort } from '../../stock/port.ts'
import { type InMemoryOrders, inMemoryOrders } from '../testing/in-memory-orders.ts'
import { RIVAL_SILENT_MS_MAX } from './rival.ts'

const STOCK = DEMO.fares[0]?.stock ?? 0
const ROUND_MS = 200

let world: TestWorld
let node: TestNode
let processes: InMemoryOrders[]
/** What each call takes that reads many records of the store. */
let readingMs: number
/** Eras begun in the store. */
let begun: number[]
/** Stands still before its next call of the store, as a process that was stopped. */
let stopped: InMemoryOrders | null

beforeEach(async () => {
  world = testWorld()
  readingMs = 0
  begun = []
  stopped = null
  await world.port.fleet.certify(0, 1)
  await world.port.sales.create(DEMO, 2)
  await world.port.fleet.addSale('demo')
  await world.port.sales.change('demo', 'open', { era: 0, seq: 0 })
  const { ledger, actLedger } = world.process
  processes = [0, 1].map(() => {
    const process = inMemoryOrders({
      port: slow(() => process),
      rules: world.rules,
      nowMs: world.monotonicMs,
      askNode: world.askNode,
      union: world.union,
      shared: { ledger, actLedger },
    })
    return process
  })
  await processes[0]?.acts.adopt(['demo'])
  node = new TestNode(world, 'n1')
  await node.joinFleet()
  node.keepJournal()
  await node.join()
  for (let number = 0; number < STOCK; number++) await node.sell(`o${number}`, `buyer-${number}`)
  await go(1000)
  await take(processes[0])
})

/** The store as a process sees it: reading many records takes its time, and a stopped process gets no answer. */
function slow(ofWhom: () => InMemoryOrders): StockPort {
  const { sales } = world.port
  const waits = async (ms: number): Promise<void> => {
    const untilMs = world.monotonicMs() + ms
    while (world.monotonicMs() < untilMs || stopped === ofWhom()) await turn()
  }
  const slowed: Partial<SaleStore> = {
    // All of them, and two empty pages.
    async scanOrders(saleId, cursor) {
      await waits(readingMs)
      if (cursor !== '') return { orders: [], cursor: cursor === 'more' ? 'end' : null }
      return { ...(await sales.scanOrders(saleId, cursor)), cursor: 'more' }
    },
    async readOrders(...given) {
      await waits(readingMs)
      return sales.readOrders(...given)
    },
    async beginUnion(definition, era) {
      begun.push(era)
      return sales.beginUnion(definition, era)
    },
    async openUnion(...given) {
      await waits(0)
      return sales.openUnion(...given)
    },
  }
  return { ...world.port, sales: { ...sales, ...slowed } }
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

/** Both processes take their rounds; what they began goes on beside them. */
async function go(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += ROUND_MS) {
    world.advance(ROUND_MS)
    const [, outcome] = await node.heartbeat()
    if (outcome !== 'alive') await node.join().catch(() => {})
    for (const process of processes) {
      if (process !== stopped) await process.rounds.round()
    }
    for (let turns = 0; turns < 50; turns += 1) await turn()
  }
}

/** As the pipeline of that process does: orders of the store's era into the ledger. */
async function take(process: InMemoryOrders | undefined, orderIds?: readonly string[]): Promise<readonly string[]> {
  const record = world.record('demo')
  const orders = [...record.orders.values()].filter(({ id }) => orderIds?.includes(id) ?? true)
  const result = await process?.ledger.ensure('demo', record.era, orders)
  const conflicts = result?.outcome === 'ensured' ? result.conflicts : []
  if (conflicts.length > 0) process?.rounds.overran('demo', record.era)
  return conflicts
}

/** Two tickets that are not there are sold, and each process meets one of them. */
async function sellTooMuch(): Promise<void> {
  const fare = world.record('demo').fares.get('second')
  if (fare === undefined) throw new Error('no fare')
  fare.held -= 2
  fare.remaining += 2
  for (const id of ['x0', 'x1']) expect(await node.sell(id, `eve-${id}`)).toBe('held')
  expect(await take(processes[0], ['x0'])).toEqual(['x0'])
  expect(await take(processes[1], ['x1'])).toEqual(['x1'])
}

async function expectWhole(): Promise<void> {
  const { fares, orders, certificate } = world.record('demo')
  expect(certificate).not.toBe('')
  expect(fares.get('second')).toMatchObject({ stock: STOCK, remaining: 0, held: STOCK, paid: 0 })
  const states = [...orders.values()].map(({ state, reason }) => reason ?? state)
  expect(states.filter((state) => state === 'held')).toHaveLength(STOCK)
  expect(states.filter((state) => state === 'conflict')).toHaveLength(2)
  expect((await audit(world, 'demo')).problems).toEqual([])
}

function how(): string[] {
  return processes.flatMap(({ recovery }) => recovery.recovered().map((one) => one.how))
}

describe('two orders processes that both meet orders without room', () => {
  it('count the store anew once, however long that takes', async () => {
    await sellTooMuch()
    // Two of its four steps take longer than the silence after which a process counts as gone.
    readingMs = RIVAL_SILENT_MS_MAX * 0.6
    await go(RIVAL_SILENT_MS_MAX * 3)
    await expectWhole()
    expect(how()).toEqual(['recount'])
    expect(begun).toHaveLength(1)
    expect(await node.sell('again', 'bob')).toBe('all_held')
  })

  it('do not wait for ever for one that stands still half way, which changes nothing when it wakes', async () => {
    await sellTooMuch()
    readingMs = 1500
    await go(ROUND_MS)
    stopped = processes[0] ?? null
    await go(RIVAL_SILENT_MS_MAX - 2 * ROUND_MS)
    expect(begun).toHaveLength(1)
    await go(12_000)
    await expectWhole()
    const { era } = world.record('demo')
    expect(how()).toEqual(['union'])
    stopped = null
    await go(4000)
    await expectWhole()
    expect([world.record('demo').era, how()]).toEqual([era, ['union']])
  })

  it('pause the sale when one of them meets more of it after the other has counted', async () => {
    await sellTooMuch()
    await go(2000)
    await expectWhole()
    const fare = world.record('demo').fares.get('second')
    if (fare === undefined) throw new Error('no fare')
    fare.held -= 1
    fare.remaining += 1
    expect(await node.sell('x2', 'mallory')).toBe('held')
    expect(await take(processes[1], ['x2'])).toEqual(['x2'])
    await go(1000)
    expect(how()).toEqual(['recount'])
    expect([world.record('demo').state, (await world.process.ledger.sale('demo'))?.state]).toEqual(['paused', 'paused'])
  })
})
