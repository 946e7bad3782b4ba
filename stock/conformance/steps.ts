/**
 * One set of steps, run against any two implementations of the stock port.
 *
 * A sequence is plain data. The runner keeps what each node knows (epoch, newest version, last own change), as
 * real nodes do, and lets a step use knowledge that is stale, so that fences are met as often as open doors.
 */
import fc from 'fast-check'
import type { NodeState, SettleItem, StateChange, StockPort } from '../port.ts'
import {
  type Order,
  type QuotaRules,
  RELEASE_REASONS,
  SALE_STATES,
  type SaleDefinition,
  type Version,
} from '../core/words.ts'

const NODES = ['n1', 'n2', 'n3'] as const
const BUYERS = ['ann', 'bob', 'c d', 'eve "q"'] as const
const FARES = ['second', 'standing', 'unknown'] as const
const SEQUENCE_LENGTH_MAX = 25
const KEYS_PER_BUYER = 3

/** What a test may do to a store from outside: its clock, its lives, copies of it, its counters. */
export interface TestWorld {
  readonly port: StockPort
  setNow(nowMs: number): Promise<void>
  /** A new life of the server with the data it had. */
  restart(fingerprint: string): Promise<void>
  /** Keeps a copy of the sale. */
  copy(): Promise<void>
  /** Puts the copy back in place, under the same fingerprint. */
  restore(): Promise<void>
  /** Changes a counter by hand. */
  damage(fareId: string, counter: 'remaining' | 'held', by: number): Promise<void>
}

const node = fc.constantFrom('n1', 'n1', ...NODES)
const item = fc.record({
  buyer: fc.nat(BUYERS.length - 1),
  key: fc.nat(KEYS_PER_BUYER - 1),
  fare: fc.oneof({ weight: 12, arbitrary: fc.nat(1) }, { weight: 1, arbitrary: fc.constant(2) }),
  quantity: fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 1, max: 3 }) },
    { weight: 1, arbitrary: fc.constantFrom(0, 4, 0.5, -1) },
  ),
  late: fc.nat(9).map((draw) => draw === 0),
})

/** Of an operator's act, if it is one; by the newest era known, or the one before. */
const turn = fc.option(fc.record({ number: fc.nat(2), eraOff: fc.constantFrom(0, 0, 0, 1) }), { nil: undefined })

const saleStep = fc.oneof(
  { weight: 1, arbitrary: fc.record({ do: fc.constant('create' as const), era: fc.integer({ min: 1, max: 3 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('change' as const),
      change: fc.constantFrom<StateChange[]>('open', 'open', 'open', 'pause', 'close'),
      stale: fc.boolean(),
      lease: fc.constantFrom(undefined, undefined, undefined, undefined, undefined, undefined, 1, 2),
      turn,
    }),
  },
  // A leader stops the sale by itself.
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('change' as const),
      change: fc.constantFrom<StateChange[]>('pause', 'pause', 'close'),
      stale: fc.constant(false),
      lease: fc.constant(2),
      turn: fc.constant(undefined),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('setStock' as const),
      fare: fc.constantFrom(...FARES),
      stock: fc.nat(12),
      lease: fc.constantFrom(undefined, undefined, undefined, 1),
      turn,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('beginTurn' as const), turn: fc.nat(3), stale: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('join' as const), node, weight: fc.integer({ min: 1, max: 4 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('heartbeat' as const),
      node,
      weight: fc.option(fc.nat(4), { freq: 3 }),
      since: fc.nat(40),
      limit: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 9,
    arbitrary: fc.record({
      do: fc.constant('confirm' as const),
      node,
      items: fc.array(item, { maxLength: 6 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      items: fc.array(
        fc.record({
          order: fc.nat(5),
          fate: fc.constantFrom('paid' as const, ...RELEASE_REASONS),
          // Of orders that the store has, and of others, what a ledger may know.
          known: fc.option(
            fc.record({ id: fc.nat(3), buyer: fc.nat(BUYERS.length - 1), quantity: fc.integer({ min: 1, max: 3 }) }),
            { nil: undefined },
          ),
        }),
        { minLength: 1, maxLength: 3 },
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('awaitReplicas' as const),
      back: fc.nat(12),
      ahead: fc.nat(9).map((draw) => draw === 0),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('readEvents' as const),
      back: fc.nat(12),
      ahead: fc.nat(9).map((draw) => draw === 0),
      limit: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('trimEvents' as const),
      back: fc.nat(8),
      ahead: fc.nat(9).map((draw) => draw === 0),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('setWeights' as const),
      lease: fc.nat(3),
      weights: fc.dictionary(node, fc.integer({ min: 1, max: 5 }), { maxKeys: 3, noNullPrototype: true }),
      fence: fc.subarray([...NODES]),
      rule: fc.option(
        fc.record({
          shares: fc.option(fc.dictionary(node, fc.integer({ min: 1, max: 5 }), { maxKeys: 2, noNullPrototype: true })),
          stale: fc.nat(4).map((draw) => draw === 0),
        }),
        { nil: undefined },
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('certify' as const),
      era: fc.nat(6),
      floor: fc.oneof(fc.nat(60), fc.constant(1000)),
      wrong: fc.constantFrom(null, null, 'era', 'seq'),
    }),
  },
)

const unionStep = fc.oneof(
  fc.record({ do: fc.constant('beginUnion' as const), eraOff: fc.integer({ min: 0, max: 3 }) }),
  fc.record({
    do: fc.constant('reassert' as const),
    eraOff: fc.integer({ min: 0, max: 3 }),
    orders: fc.array(
      fc.record({ buyer: fc.nat(BUYERS.length - 1), key: fc.nat(KEYS_PER_BUYER - 1), fate: fc.nat(5) }),
      { maxLength: 5 },
    ),
  }),
  fc.record({
    do: fc.constant('openUnion' as const),
    eraOff: fc.integer({ min: 0, max: 3 }),
    floor: fc.nat(60),
    state: fc.constantFrom(...SALE_STATES),
    stock: fc.integer({ min: 5, max: 12 }),
    held: fc.nat(5),
    paid: fc.nat(2),
    nodes: fc.uniqueArray(fc.record({ id: node, epoch: fc.nat(5), confirmed: fc.nat(9) }), {
      selector: ({ id }) => id,
    }),
  }),
)

const fleetStep = fc.oneof(
  fc.record({ do: fc.constant('fleetCertify' as const), era: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ do: fc.constant('fleetAgree' as const), hash: fc.constantFrom('aa', 'bb') }),
  fc.record({ do: fc.constant('fleetJoin' as const), node, weight: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ do: fc.constant('fleetHeartbeat' as const), node, epoch: fc.integer({ min: 1, max: 3 }) }),
  fc.record({
    do: fc.constant('fleetLead' as const),
    who: fc.constantFrom('c1', 'c2'),
    ttlMs: fc.constantFrom(0, 50, 5000),
  }),
  fc.record({
    do: fc.constant('fleetAnnounceOrders' as const),
    who: fc.constantFrom('o1', 'o2'),
    afterMs: fc.constantFrom(0, 0, 60_000),
  }),
  fc.record({ do: fc.constant('fleetResignOrders' as const), who: fc.constantFrom('o1', 'o2') }),
  fc.record({
    do: fc.constant('fleetSetNodes' as const),
    lease: fc.option(fc.nat(3)),
    node,
    epoch: fc.integer({ min: 1, max: 3 }),
    state: fc.option(fc.constantFrom<NodeState>('live', 'draining', 'drained', 'dead'), { nil: undefined }),
    weight: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
    expected: fc.option(fc.record({ era: fc.integer({ min: 1, max: 2 }), seq: fc.nat(6) }), { nil: undefined }),
  }),
  fc.record({
    do: fc.constant('fleetNoteApplied' as const),
    lease: fc.nat(3),
    version: fc.record({ era: fc.nat(2), seq: fc.nat(6) }),
  }),
)

const worldStep = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 40, 400, 1600, 5000) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('copy' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('restore' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('damage' as const),
      fare: fc.constantFrom('second', 'standing'),
      counter: fc.constantFrom('remaining' as const, 'held' as const),
      by: fc.constantFrom(1, -1),
    }),
  },
)

const step = fc.oneof(
  { weight: 12, arbitrary: saleStep },
  { weight: 2, arbitrary: unionStep },
  { weight: 2, arbitrary: fleetStep },
  { weight: 3, arbitrary: worldStep },
)
export type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

export interface Sequence {
  readonly timed: boolean
  readonly percent: boolean
  readonly steps: readonly Step[]
}

/** Most sequences begin with a sale that sells; the others with nothing. */
export const sequence: fc.Arbitrary<Sequence> = fc.record({
  timed: fc.boolean(),
  percent: fc.boolean(),
  steps: fc
    .tuple(fc.nat(7), fc.array(step, { minLength: 1, maxLength: SEQUENCE_LENGTH_MAX, size: 'max' }))
    .map(([cold, steps]): Step[] => {
      if (cold === 0) return steps
      const opening: Step[] = [
        { do: 'create', era: 1 },
        { do: 'join', node: 'n1', weight: 1 },
        { do: 'join', node: 'n2', weight: 3 },
        { do: 'change', change: 'open', stale: false, lease: undefined, turn: undefined },
        { do: 'fleetCertify', era: 1 },
      ]
      return [...opening, ...steps]
    }),
})

const START_MS = 1_800_000_000_000
const OPENS_AFTER_MS = 300
const CLOSES_AFTER_MS = 12_000
const DEADLINE_MS = 1000

interface Knowledge {
  epoch: number
  seen: Version
  lastWriteSeq: number
}

/** Runs a sequence; returns every reply and, last, all that the store then holds. */
export async function runSequence(world: TestWorld, saleId: string, run: Sequence): Promise<unknown[]> {
  const runner = new Runner(world, saleId, run)
  const log: unknown[] = []
  await world.setNow(START_MS)
  await world.restart('life-1')
  for (const one of run.steps) log.push(await outcomeOf(() => runner.perform(one)))
  log.push(await dump(world.port, saleId, runner.rules))
  return log
}

/** A rejected operation is an answer too; its words may differ between implementations. */
async function outcomeOf(work: () => Promise<unknown>): Promise<unknown> {
  try {
    return (await work()) ?? null
  } catch {
    return 'rejected'
  }
}

class Runner {
  readonly rules: QuotaRules
  private readonly world: TestWorld
  private readonly saleId: string
  private readonly definition: SaleDefinition
  private nowMs = START_MS
  private life = 1
  private newest: Version = { era: 0, seq: 0 }
  private readonly nodes = new Map<string, Knowledge>()
  private readonly orderIds: string[] = []

  constructor(world: TestWorld, saleId: string, run: Sequence) {
    this.world = world
    this.saleId = saleId
    this.rules = { buffer: run.percent ? { percent: 10 } : { tickets: 2 }, deadAfterMs: 1500 }
    const price = { amount: 55_300, currency: 'CNY' }
    this.definition = {
      id: saleId,
      name: 'Conformance "sale"',
      opensAtMs: run.timed ? START_MS + OPENS_AFTER_MS : null,
      closesAtMs: run.timed ? START_MS + CLOSES_AFTER_MS : null,
      limitPerBuyer: 3,
      holdMs: 300_000,
      fares: [
        { id: 'second', name: 'Second', price, stock: 7 },
        { id: 'standing', name: 'Standing', price, stock: 3 },
      ],
      orderIdSecret: '00',
    }
  }

  async perform(one: Step): Promise<unknown> {
    const { sales, fleet } = this.world.port
    switch (one.do) {
      case 'create':
        return sales.create(this.definition, one.era)
      case 'change':
        return this.learn(
          await sales.change(this.saleId, one.change, one.stale ? zero() : this.seenBy(one), {
            lease: one.lease,
            turn: one.turn?.number,
          }),
        )
      case 'beginTurn':
        return this.learn(await sales.beginTurn(this.saleId, one.turn, one.stale ? zero() : this.newest))
      case 'setStock':
        return this.learn(
          await sales.setStock(this.saleId, one.fare, one.stock, this.seenBy(one), {
            lease: one.lease,
            turn: one.turn?.number,
          }),
        )
      case 'join':
        return this.join(one.node, one.weight)
      case 'heartbeat': {
        const known = this.knowledge(one.node)
        const reply = await sales.heartbeat(
          this.saleId,
          { nodeId: one.node, ...known },
          {
            changedSinceSeq: one.since,
            winnersAfter: { era: 1, seq: one.since },
            winnersLimit: one.limit,
            weight: one.weight,
          },
          this.rules,
        )
        return this.learn(reply, one.node)
      }
      case 'confirm':
        return this.confirm(one)
      case 'settle':
        return this.learn(
          await sales.settle(
            this.saleId,
            one.items.map((settling) => this.settling(settling)),
            this.newest,
          ),
        )
      case 'awaitReplicas':
        return sales.awaitReplicas(this.saleId, this.versionNear(one), 0)
      case 'readEvents':
        return sales.readEvents(this.saleId, this.versionNear(one), one.limit)
      case 'trimEvents':
        return sales.trimEvents(this.saleId, this.versionNear(one))
      case 'setWeights': {
        const fences = one.fence.map((id) => ({ id, epoch: this.knowledge(id).epoch }))
        if (one.rule === undefined) return sales.setWeights(this.saleId, one.lease, one.weights, fences, this.rules)
        const { shares, stale } = one.rule
        const now = await sales.read(this.saleId, this.rules)
        const expected = { era: now?.version.era ?? 0, seq: stale ? 0 : (now?.weightsSeq ?? 0) }
        return sales.setWeights(this.saleId, one.lease, one.weights, fences, this.rules, { shares, expected })
      }
      case 'certify':
        return sales.certify(this.saleId, this.expected(one.wrong), one.era, one.floor)
      case 'beginUnion':
        return sales.beginUnion(this.definition, this.newest.era + one.eraOff)
      case 'reassert': {
        const orders = new Map(one.orders.map((choice, place) => [choice.buyer + 9 * choice.key, { choice, place }]))
        const asserted = [...orders.values()].map(({ choice, place }) => this.orderOf(choice, place))
        return sales.reassert(this.saleId, this.newest.era + one.eraOff, asserted)
      }
      case 'openUnion': {
        const { floor: floorSeq, state, stock, held, paid, nodes } = one
        const fares = [{ fareId: 'second', stock, held, paid }]
        return this.learn(
          await sales.openUnion(this.saleId, this.newest.era + one.eraOff, {
            floorSeq,
            state,
            fares,
            tickets: held + paid + 1,
            nodes,
          }),
        )
      }
      case 'fleetCertify':
        return fleet.certify(one.era - 1, one.era)
      case 'fleetAgree':
        return fleet.agreeOnConfig(one.hash, this.rules.deadAfterMs)
      case 'fleetJoin':
        return fleet.join({ id: one.node, url: `http://${one.node}`, adminUrl: 'http://admin', weight: one.weight })
      case 'fleetHeartbeat':
        return fleet.heartbeat({ id: one.node, epoch: one.epoch })
      case 'fleetLead':
        return fleet.lead({ id: one.who, adminUrl: 'http://c' }, one.ttlMs)
      case 'fleetAnnounceOrders':
        this.nowMs += one.afterMs
        await this.world.setNow(this.nowMs)
        return fleet.announceOrders({ id: one.who, url: `http://${one.who}`, adminUrl: 'http://admin' })
      case 'fleetResignOrders':
        return fleet.resignOrders(one.who)
      case 'fleetSetNodes': {
        const { state, weight } = one
        const change = { id: one.node, expectedEpoch: one.epoch }
        return fleet.setNodes(
          one.lease,
          [
            {
              ...change,
              ...(state === undefined ? {} : { state }),
              ...(weight === undefined ? {} : { weight }),
            },
          ],
          one.expected,
        )
      }
      case 'fleetNoteApplied':
        return fleet.noteApplied(one.lease, one.version)
      case 'wait':
        this.nowMs += one.ms
        return this.world.setNow(this.nowMs)
      case 'restart':
        this.life += 1
        return this.world.restart(`life-${this.life}`)
      case 'copy':
        return this.world.copy()
      case 'restore':
        return this.world.restore()
      case 'damage':
        return this.world.damage(one.fare, one.counter, one.by)
    }
  }

  /** The order that this buyer and key would have, with some fate. */
  private orderOf(choice: { buyer: number; key: number; fate: number }, place: number): Order {
    const id = `order-${choice.buyer}-${choice.key}-000000000000000`
    if (!this.orderIds.includes(id)) this.orderIds.push(id)
    const isPaid = choice.fate === 1 || choice.fate === 2
    const reason = choice.fate < 2 ? null : (RELEASE_REASONS[choice.fate - 2] ?? null)
    return {
      id,
      fareId: 'second',
      quantity: 1 + (choice.key % 2),
      buyer: BUYERS[choice.buyer] ?? 'ann',
      state: reason === null ? (choice.fate === 1 ? 'paid' : 'held') : 'released',
      reason,
      createdAtMs: START_MS + place,
      createdSeq: 1,
      paidAtMs: isPaid ? START_MS + 50 : null,
      paidSeq: isPaid ? 2 : null,
      releasedAtMs: reason === null ? null : START_MS + 60,
      releasedSeq: reason === null ? null : 3,
    }
  }

  private async join(nodeId: string, weight: number): Promise<unknown> {
    const known = this.knowledge(nodeId)
    const reply = await this.world.port.sales.join(
      this.saleId,
      { id: nodeId, weight },
      known.seen,
      known.lastWriteSeq,
      this.rules,
    )
    if (reply.outcome === 'joined') {
      this.nodes.set(nodeId, { epoch: reply.epoch, seen: reply.version, lastWriteSeq: reply.version.seq })
    }
    return this.learn(reply)
  }

  private settling({ order, fate, known }: Extract<Step, { do: 'settle' }>['items'][number]): SettleItem {
    const item: SettleItem = {
      orderId: this.orderIds[order] ?? 'nobody',
      fate: fate === 'paid' ? { state: 'paid' } : { state: 'released', reason: fate },
      atMs: this.nowMs,
    }
    if (known === undefined) return item
    const { id, buyer, quantity } = known
    const lostId = order % 2 === 0 ? `lost-${id}-0000000000000000000` : item.orderId
    // An order is its buyer's for ever.
    const owner = /^order-(\d)/.exec(lostId)?.[1]
    const facts = {
      fareId: FARES[id] ?? 'second',
      quantity,
      buyer: BUYERS[Number(owner ?? buyer)] ?? 'ann',
      createdAtMs: 1_700_000_000_000,
    }
    return { ...item, orderId: lostId, known: facts }
  }

  private async confirm(one: Extract<Step, { do: 'confirm' }>): Promise<unknown> {
    const items = one.items.map((wanted) => {
      const buyer = BUYERS[wanted.buyer] ?? 'ann'
      const orderId = `order-${wanted.buyer}-${wanted.key}-000000000000000`
      if (!this.orderIds.includes(orderId)) this.orderIds.push(orderId)
      return {
        orderId,
        buyer,
        fareId: FARES[wanted.fare] ?? 'second',
        quantity: wanted.quantity,
        deadlineMs: wanted.late ? this.nowMs - 1 : this.nowMs + DEADLINE_MS,
      }
    })
    const caller = { nodeId: one.node, ...this.knowledge(one.node) }
    const reply = await this.world.port.sales.confirm(this.saleId, caller, items, this.rules)
    this.learn(reply, one.node)
    if (reply.outcome === 'judged' && reply.verdicts.some((verdict) => verdict.status === 'held')) {
      this.knowledge(one.node).lastWriteSeq = reply.version.seq
    }
    return reply
  }

  /** A version that lies some changes back, or one that the store has not reached. */
  private seenBy({ turn: by }: { readonly turn: { readonly eraOff: number } | undefined }): Version {
    const { era, seq } = this.newest
    return { era: Math.max(era - (by?.eraOff ?? 0), 0), seq }
  }

  private versionNear({ back, ahead }: { readonly back: number; readonly ahead: boolean }): Version {
    const { era, seq } = this.newest
    return { era, seq: ahead ? seq + 1 : Math.max(seq - back, 0) }
  }

  private expected(wrong: 'era' | 'seq' | null): Version {
    const { era, seq } = this.newest
    return { era: wrong === 'era' ? era + 1 : era, seq: wrong === 'seq' ? seq + 1 : seq }
  }

  private knowledge(nodeId: string): Knowledge {
    const known = this.nodes.get(nodeId) ?? { epoch: 0, seen: zero(), lastWriteSeq: 0 }
    this.nodes.set(nodeId, known)
    return known
  }

  /** A fence tells the version too, but a fenced node only takes it in when it joins anew. */
  private learn<R extends { outcome: string }>(reply: R, nodeId?: string): R {
    const version = (reply as { version?: Version }).version
    if (version === undefined || reply.outcome === 'fenced') return reply
    this.newest = version
    if (nodeId !== undefined) this.knowledge(nodeId).seen = version
    return reply
  }
}

function zero(): Version {
  return { era: 0, seq: 0 }
}

async function dump(port: StockPort, saleId: string, rules: QuotaRules): Promise<unknown> {
  const orders: Order[] = []
  for (let cursor: string | null = ''; cursor !== null;) {
    const page = await port.sales.scanOrders(saleId, cursor)
    orders.push(...page.orders)
    cursor = page.cursor
  }
  const buyers = await Promise.all(BUYERS.map((buyer) => port.sales.readBuyer(saleId, buyer)))
  const counted = await port.sales.scanBuyers(saleId, '')
  return {
    sale: await port.sales.read(saleId, rules),
    fleet: await port.fleet.read(),
    orders: orders.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    buyers,
    ordersOf: await port.sales.readOrdersOf(saleId, BUYERS),
    counted: counted.buyers.toSorted((a, b) => (a.buyer < b.buyer ? -1 : 1)),
  }
}
