/** A world for tests: the twin of the store in memory, clocks that move only when waited for, nodes that report. */
import { createMemoryStock, type MemoryStock } from '../../../stock/memory/memory-stock.ts'
import type { Order, SaleDefinition, Version } from '../../../stock/core/words.ts'
import type { SaleRecord } from '../../../stock/core/sale-record.ts'
import type { AskTold, NodeJournal } from '../../../http/node-journal.ts'
import type { NodeReport, SaleReport } from '../../../http/node-report.ts'
import type { UnionRules } from '../../../orders/recovery/recovery.ts'
import { inMemoryOrders, type InMemoryOrders } from '../../../orders/testing/in-memory-orders.ts'
import type { AdminAnswer } from '../../../http/admin-server.ts'
import { OperationError } from '../../../runtime/operation-error.ts'
import type { OrdersDoor } from '../orders-door.ts'
import type { World } from '../world.ts'

type Told = NonNullable<Awaited<ReturnType<AskTold>>>

export interface TestWorld extends World {
  readonly stock: MemoryStock
  /** The orders process behind {@link World.orders}. */
  readonly process: InMemoryOrders
  isOrdersAway: boolean
  /** By admin address; a node that is not here does not answer. */
  readonly reports: Map<string, NodeReport>
  /** By admin address, as far as a node keeps one. */
  readonly journals: Map<string, NodeJournal>
  /** By admin address: what a node told in earlier eras. */
  readonly told: Map<string, Told>
  readonly union: UnionRules
  /** Called with every wait, after the clocks moved. */
  whileWaiting: () => Promise<void>
  advance(ms: number): void
  restartStore(): void
  record(saleId: string): SaleRecord
}

export const DEMO: SaleDefinition = {
  id: 'demo',
  name: 'Demo',
  opensAtMs: null,
  closesAtMs: null,
  limitPerBuyer: 2,
  holdMs: 300_000,
  fares: [{ id: 'second', name: 'Second', price: { amount: 100, currency: 'CNY' }, stock: 100 }],
  orderIdSecret: 'ab'.repeat(32),
}

/** The same as its operator writes it. */
export const DEMO_FILE = `
id: demo
name: Demo
limitPerBuyer: 2
holdSeconds: 300
fares:
  - { id: second, name: Second, stock: 100, price: { amount: 100, currency: CNY } }
`

export function testWorld(): TestWorld {
  let nowMs = 1_800_000_000_000
  let life = 1
  const stock = createMemoryStock({ nowMs: () => nowMs, fingerprint: () => `life-${life}` })
  const reports = new Map<string, NodeReport>()
  const rules = { buffer: { percent: 10 }, deadAfterMs: 1500 }
  const askNode = async (adminUrl: string): Promise<NodeReport | null> => reports.get(adminUrl) ?? null
  const journals = new Map<string, NodeJournal>()
  const told = new Map<string, Told>()
  const askTold: AskTold = async (adminUrl) => told.get(adminUrl) ?? null
  const union = { allInLedger: false, askJournal: async (adminUrl: string) => journals.get(adminUrl) ?? null }
  const process = inMemoryOrders({ port: stock, rules, nowMs: () => nowMs, askNode, askTold, union })
  const world: TestWorld = {
    stock,
    process,
    orders: doorOf(() => (world.isOrdersAway ? null : process)),
    isOrdersAway: false,
    port: stock,
    reports,
    journals,
    told,
    union,
    rules,
    askNode,
    askTold,
    monotonicMs: () => nowMs,
    async wait(ms) {
      nowMs += ms
      await world.whileWaiting()
    },
    whileWaiting: async () => {},
    advance(ms) {
      nowMs += ms
    },
    restartStore() {
      life += 1
    },
    record(saleId) {
      const record = stock.saleRecords.get(saleId)
      if (record === undefined) throw new Error(`no sale ${saleId}`)
      return record
    },
  }
  return world
}

function doorOf(process: () => InMemoryOrders | null, lease: number | null = null): OrdersDoor {
  const ask = async (method: string, path: string, body = ''): Promise<AdminAnswer> => {
    const orders = process()
    if (orders === null) throw new OperationError('no_orders', 'no orders process answers')
    const [place = '', query = ''] = path.split('?')
    return orders.answer({ method, path: place, query: new URLSearchParams(query), body, lease })
  }
  return {
    async call<T>(method: 'GET' | 'POST', path: string, body?: string) {
      const answer = await ask(method, path, body)
      if (!('body' in answer)) throw new Error(`${path} is streamed`)
      // What comes over the wire is JSON.
      return JSON.parse(JSON.stringify(answer.body)) as T
    },
    async stream(path) {
      const answer = await ask('GET', path)
      if ('body' in answer) throw new Error(`${path} is not streamed`)
      return answer
    },
    under: (held) => doorOf(process, held),
  }
}

export function adminUrlOf(nodeId: string): string {
  return `http://${nodeId}.admin`
}

/** A node that sells by the port alone, and tells of it. */
export class TestNode {
  readonly id: string
  readonly #world: TestWorld
  epoch = 0
  fleetEpoch = 0
  seen = { era: 0, seq: 0 }
  lastWriteSeq = 0
  confirmed = 0
  remaining = 0
  /** As last heard; 0 before. */
  allowance = 0
  /** What it told, when it keeps that; see {@link TestNode.keepJournal}. */
  #journal: { since: Version; orders: Order[] } | null = null

  constructor(world: TestWorld, id: string) {
    this.#world = world
    this.id = id
  }

  /** From now on it answers for what it tells. */
  keepJournal(): void {
    this.#journal = { since: this.seen, orders: [] }
    this.report()
  }

  async joinFleet(weight = 1): Promise<void> {
    const node = { id: this.id, url: `http://${this.id}`, adminUrl: adminUrlOf(this.id), weight }
    const reply = await this.#world.port.fleet.join(node)
    if (reply.outcome === 'joined') this.fleetEpoch = reply.epoch
  }

  async join(weight = 1): Promise<void> {
    const { port, rules } = this.#world
    const reply = await port.sales.join('demo', { id: this.id, weight }, this.seen, this.lastWriteSeq, rules)
    if (reply.outcome !== 'joined') throw new Error(`join: ${reply.outcome}`)
    this.epoch = reply.epoch
    this.seen = reply.version
    this.lastWriteSeq = reply.version.seq
    this.report()
  }

  #caller() {
    return { nodeId: this.id, epoch: this.epoch, seen: this.seen, lastWriteSeq: this.lastWriteSeq }
  }

  /** The outcomes of the heartbeats in the fleet and in the sale. */
  async heartbeat(): Promise<[string, string]> {
    const { port, rules } = this.#world
    const fleet = await port.fleet.heartbeat({ id: this.id, epoch: this.fleetEpoch })
    const options = { changedSinceSeq: 0, winnersAfter: this.seen, winnersLimit: 100, weight: null }
    const reply = await port.sales.heartbeat('demo', this.#caller(), options, rules)
    if (reply.outcome === 'alive') {
      this.seen = reply.version
      this.remaining = reply.fares[0]?.remaining ?? this.remaining
      this.allowance = reply.fares[0]?.allowance ?? this.allowance
      this.report()
    }
    return [fleet.outcome, reply.outcome]
  }

  async sell(orderId: string, buyer: string, quantity = 1): Promise<string> {
    const { port, rules } = this.#world
    const deadlineMs = this.#world.monotonicMs() + 3000
    const item = { orderId, buyer, fareId: 'second', quantity, deadlineMs }
    const reply = await port.sales.confirm('demo', this.#caller(), [item], rules)
    if (reply.outcome !== 'judged') return reply.outcome
    const status = reply.verdicts[0]?.status ?? 'none'
    this.seen = reply.version
    this.remaining = reply.fares[0]?.remaining ?? this.remaining
    const order = reply.verdicts[0]?.order
    if (order !== undefined) this.#journal?.orders.push(order)
    if (status === 'held') {
      this.lastWriteSeq = reply.version.seq
      this.confirmed += quantity
    }
    this.report()
    return status
  }

  report(): void {
    const fare = {
      fareId: 'second',
      remaining: this.remaining,
      allowance: 60,
      inFlight: 1,
      available: 59,
      parked: 0,
      confirmed: this.confirmed,
    }
    const sale: SaleReport = {
      saleId: 'demo',
      ...this.seen,
      lastWriteSeq: this.lastWriteSeq,
      epoch: this.epoch,
      state: 'open',
      recovering: false,
      fares: [fare],
      winners: 0,
      heartbeatAgeMs: 0,
      journalSince: this.#journal?.since ?? null,
    }
    if (this.#journal !== null) this.#world.journals.set(adminUrlOf(this.id), this.#journal)
    this.#world.reports.set(adminUrlOf(this.id), {
      nodeId: this.id,
      epoch: this.fleetEpoch,
      state: 'live',
      sales: [sale],
    })
  }

  die(): void {
    this.#world.reports.delete(adminUrlOf(this.id))
    this.#world.journals.delete(adminUrlOf(this.id))
  }
}

export function damageOrder(world: TestWorld, orderId: string, change: Partial<Order>): void {
  const { orders } = world.record('demo')
  const order = orders.get(orderId)
  if (order === undefined) throw new Error(`no order ${orderId}`)
  orders.set(orderId, { ...order, ...change })
}
