/** A whole cluster in one seed: puts it together, lets people buy while things go wrong, heals it, and looks again. */
import type { Logger } from '../runtime/logger.ts'
import { type Random, seededRandom } from '../runtime/random.ts'
import { type SaleRecord, stateAt } from '../stock/core/sale-record.ts'
import type { Order, SaleDefinition, Version } from '../stock/core/words.ts'
import type { FarePlace, SaleActs } from '../orders/sales/sale-acts.ts'
import type { StateChange } from '../stock/port.ts'
import { Buyers } from './buyers.ts'
import { type AskKeep, KEEP_WITHIN_MS } from '../http/keep-orders.ts'
import { mayStayUnlike } from './checkers/books.ts'
import type { StockChangeSeen, TransferSeen, UnlikeOrder, UnlikeStock } from './checkers/evidence.ts'
import { CoordinatorProcess, Disk } from './coordinator-process.ts'
import { Edge } from './edge.ts'
import { heal, type FaultKind, scheduleFaults, type Target } from './faults.ts'
import { Host } from './host.ts'
import { Kernel } from './kernel.ts'
import { LedgerServer } from './ledger-server.ts'
import { type NodeSettings, NodeProcess } from './node-process.ts'
import { OrdersProcess } from './orders-process.ts'
import { askAt } from './private-port.ts'
import { ackOf, drawScenario, profileOf, SALE_ID, type Scenario } from './scenario.ts'
import { type LossKind, StoreCluster } from './store-cluster.ts'
import { LATE_MS_MAX } from './store-link.ts'
import { Witness } from './witness.ts'

/** Virtual time after healing in which everything must be sellable again; holds are compared once a minute. */
const CONVERGE_MS = 100_000
/** So long a sale may stay recovering before the operator decides. */
const OPERATOR_WAITS_MS = 3000
const LOOK_EVERY_MS = 250
/** Until everybody has heard of the last ticket that came back. */
const NEWS_MS = 1100
const HOLD_MS_SHORT = 10_000
/** A command of the operator may still be carried out, whatever was answered: the longest latency with it. */
const OPERATOR_UNCERTAIN_MS = LATE_MS_MAX + 500
/** From the last purchase until store and ledger agree on every order. */
const BOOKS_MS = 5000
/** From healing until every node takes part: a death found late, a reload, and joining anew. */
const TAKES_PART_MS = 10_000
/** From healing until the ledger has every order made before, where the store has lost nothing. */
const BOOKS_LATE_MS = 8000

/** Rivals are drawn apart, so that who has none does as without them. */
const RIVALS = 0x7e57

/** What an orders process asks in the middle of an act: of the store for `setStock`, else of the ledger. */
type StepOfAct = 'beginStock' | 'setStock' | 'beginTransfer' | 'carryTransfer' | 'told'
/** Undefined for an act that is not interrupted. */
const STEPS_OF_TRANSFER: readonly (StepOfAct | undefined)[] = [
  undefined,
  'beginTransfer',
  'setStock',
  'carryTransfer',
  'told',
]

/** A change of a fare's stock, as its operator knows it. */
export interface StockChange extends StockChangeSeen {
  completedMs: number
  doneAt: Version | null
}

/** An order that was asked for, and there was said to be none. */
export interface NotFound {
  readonly orderId: string
  readonly invokedMs: number
  readonly completedMs: number
}

export class World {
  readonly kernel: Kernel
  readonly scenario: Scenario
  readonly cluster: StoreCluster
  readonly witness: Witness
  readonly nodes: readonly NodeProcess[]
  readonly coordinators: readonly CoordinatorProcess[]
  readonly orders: readonly OrdersProcess[]
  readonly database: LedgerServer
  readonly edge: Edge
  readonly buyers: Buyers
  readonly stockChanges: StockChange[] = []
  readonly transfers: TransferSeen[] = []
  /** Orders that an orders process said there are none of. */
  readonly notFound: NotFound[] = []
  /** Faults that took effect. */
  readonly effects: FaultKind[] = []
  readonly crashes: string[] = []
  isHealing = false
  /** How much of the store's log it takes to have the sale. */
  saleMadeEntries = 0
  hasSteppedClocks = false
  /** How often an operator had to decide that what the store has counts. */
  forced = 0
  /** The same while a mark said how far the sale had come. */
  forcedWithMark = 0
  /** Decisions of an operator whom nobody had told of the loss that called for one. */
  readonly untoldDecisions: string[] = []
  /** Orders that the ledger should long have had. */
  readonly lateRows = new Set<string>()
  /** When the operator last asked for anything. */
  #operatorAtMs = Number.NEGATIVE_INFINITY
  readonly #rivals: Random
  /** The convergence phase came to its end. */
  hasConverged = false

  constructor(seed: number, logger: Logger, isTraced: boolean) {
    const kernel = new Kernel(seed, isTraced)
    this.#rivals = seededRandom(seed ^ RIVALS)
    this.kernel = kernel
    const scenario = { ...drawScenario(kernel.random, profileOf(seed)), ack: ackOf(seed) }
    this.scenario = scenario
    this.cluster = new StoreCluster(kernel, scenario.latencyMs, scenario.isReordering)
    const database = new LedgerServer(kernel)
    this.database = database
    this.witness = new Witness(kernel, this.cluster, (orderId) => database.ledger.rowOf(SALE_ID, orderId)?.state)
    this.nodes = Array.from(
      { length: scenario.nodes },
      (_, index) => new NodeProcess(this.#host(`n${index + 1}`), this.cluster, this.#nodeSettings(), logger),
    )
    this.edge = new Edge(kernel, this.nodes, scenario.buyDeadlineMs)
    const disk = new Disk()
    const rules = { buffer: scenario.buffer, deadAfterMs: scenario.deadAfterMs }
    this.coordinators = ['c1', 'c2'].map(
      (id) => new CoordinatorProcess(this.#host(id), this.cluster, disk, this.edge, rules, logger),
    )
    const settings = { rules, allInLedger: scenario.ack === 'ledger' }
    this.orders = ['o1', 'o2'].map(
      (id) => new OrdersProcess(this.#host(id), this.cluster, database, this.nodes, settings, logger),
    )
    this.buyers = new Buyers(
      kernel,
      this.edge,
      scenario,
      this.nodes.map(({ host }) => host.id),
      (orderId, kind, respond) => this.#actOn(orderId, kind, respond),
    )
    this.cluster.whoKnowsMore = (kind) => this.#whoKnowsMore(kind)
    this.cluster.onGone = (server) => {
      for (const { link } of this.targets()) link.onGone(server)
    }
    kernel.onCrash = (owner, error) => {
      // A process that lets an error go ends itself; that is what the checkers call a broken assertion.
      this.crashes.push(`${owner?.id ?? 'the world'}: ${error instanceof Error ? (error.stack ?? '') : String(error)}`)
      const host = this.targets().find(({ host: { id } }) => id === owner?.id)?.host
      host?.crash()
    }
  }

  targets(): readonly Target[] {
    return [...this.nodes, ...this.coordinators, ...this.orders]
  }

  /**
   * Nodes that are ahead of the store by so much that writes of those who are not cannot hide it before they ask, or
   * by a change of their own.
   */
  #whoKnowsMore(kind: LossKind): { readonly id: string; readonly seen: Version }[] {
    const record = this.cluster.primary.stock.saleRecords.get(SALE_ID)
    if (record === undefined) return []
    return [...this.#knowingLedger(kind, record), ...this.#knowingNodes(record)]
  }

  /** A store in a new life sells nothing before it was compared with the ledger's mark; in an old life it may. */
  #knowingLedger(kind: LossKind, record: SaleRecord): { readonly id: string; readonly seen: Version }[] {
    if (kind !== 'unsynced' && kind !== 'failover') return []
    const seen = this.database.ledger.mark
    return seen.era === record.era && seen.seq > record.seq ? [{ id: 'the ledger', seen }] : []
  }

  #knowingNodes(record: SaleRecord): { readonly id: string; readonly seen: Version }[] {
    return this.nodes
      .filter(({ host }) => host.isUp && !host.isPaused)
      .filter(({ host, link, seen, lastWriteSeq }) => {
        // Its own last change nobody else's writes can hide, only a command of its own that is still under way.
        const ownSeq = record.nodes.get(host.id)?.lastWriteSeq ?? 0
        const lacksOwn = lastWriteSeq > ownSeq && !link.hasCommandsUnderWay
        return seen.era === record.era && (seen.seq > record.seq + 5 || lacksOwn)
      })
      .map(({ host, seen }) => ({ id: host.id, seen }))
  }

  /** Nodes that run and yet do not take part. */
  leftOut(): string[] {
    return this.nodes
      .filter(({ host, isReady }) => host.isUp && !(isReady && this.edge.sendsTo(host.id)))
      .map(({ host }) => host.id)
  }

  /** Orders on which store and ledger do not agree, or whose fate the ledger takes for untold. */
  unlikeOrders(): UnlikeOrder[] {
    const orders = this.cluster.primary.stock.saleRecords.get(SALE_ID)?.orders ?? new Map<string, Order>()
    const { ledger } = this.database
    const unlike: UnlikeOrder[] = []
    for (const { id, state, reason, isSettled } of ledger.rows(SALE_ID)) {
      const order = orders.get(id)
      if (order?.state === state && order.reason === reason && isSettled) continue
      const inLedger = `${reason ?? state}${isSettled ? '' : ' (untold)'}`
      unlike.push({ orderId: id, inLedger, inStore: order?.reason ?? order?.state ?? null })
    }
    for (const { id, state, reason } of orders.values()) {
      if (ledger.rowOf(SALE_ID, id) === undefined)
        unlike.push({ orderId: id, inLedger: null, inStore: reason ?? state })
    }
    return unlike
  }

  /** Fares of which store and ledger have another stock. */
  unlikeStocks(): UnlikeStock[] {
    const inStore = this.cluster.primary.stock.saleRecords.get(SALE_ID)?.fares
    return [...this.database.ledger.stocksOf(SALE_ID)].flatMap(([fareId, inLedger]) => {
      const stock = inStore?.get(fareId)?.stock ?? 0
      return stock === inLedger ? [] : [{ fareId, inLedger, inStore: stock }]
    })
  }

  /** Nothing is on its way between ledger and store that will arrive. */
  get isBooked(): boolean {
    return this.unlikeStocks().length === 0 && this.unlikeOrders().every((one) => mayStayUnlike(this.cluster.lost, one))
  }

  effect(kind: FaultKind): void {
    this.effects.push(kind)
  }

  run(): void {
    const { kernel, scenario } = this
    this.#makeSale(scenario.definition)
    this.buyers.invite()
    this.#scheduleOperator()
    this.#scheduleRivals()
    scheduleFaults(this)
    kernel.schedule(null, scenario.requestMs + 500, 'heal', () => this.#converge())
    kernel.run(scenario.requestMs + CONVERGE_MS)
  }

  #host(id: string): Host {
    const host = new Host(this.kernel, id)
    const { skew, turnMs } = this.scenario
    host.rate = 1 + skew * (this.kernel.random.next() * 2 - 1)
    host.turnMs = turnMs
    return host
  }

  #nodeSettings(): NodeSettings {
    const { buffer, deadAfterMs, batchMaxItems, batchMaxInFlight, lineMaxItems, buyDeadlineMs, heartbeatMs } =
      this.scenario
    return {
      rules: { buffer, deadAfterMs },
      batchMaxItems,
      batchMaxInFlight,
      lineMaxItems,
      buyDeadlineMs,
      heartbeatMs,
      weight: 1 + this.kernel.random.below(3),
      askKeep: this.scenario.ack === 'ledger' ? (host) => this.#keepAsker(host) : null,
    }
  }

  /** A node's call to the private port of an orders process. */
  #keepAsker(from: Host): AskKeep {
    return async (adminUrl, saleId, body) => {
      const process = this.orders.find((candidate) => candidate.adminUrl === adminUrl)
      const reply = await askAt(from, process?.host, KEEP_WITHIN_MS, () => process?.keep(saleId, body))
      if (reply === undefined) throw new Error('no answer')
      return reply
    }
  }

  /** Done before anything can go wrong: an operator makes the sale and sees that it is there. */
  #makeSale(definition: SaleDefinition): void {
    const { cluster } = this
    const run = (room: 'sales' | 'fleet', verb: string, ...args: unknown[]): void =>
      cluster.execute(cluster.primary, room, verb, args)
    this.kernel.schedule(null, 0, 'make the sale', () => {
      const { ledger } = this.database
      void ledger.createSale(definition)
      run('sales', 'create', definition, 1)
      if (definition.opensAtMs === null) {
        void ledger.setState(SALE_ID, 'open')
        run('sales', 'change', SALE_ID, 'open', { era: 1, seq: 0 })
      }
      run('fleet', 'addSale', SALE_ID)
      this.saleMadeEntries = cluster.primary.log.length
    })
  }

  #actOn(orderId: string, kind: 'pay' | 'cancel', respond: (outcome: 'ok' | 'fail' | 'unknown') => void): void {
    const process = this.#anyOrders()
    if (process === null) return respond('unknown')
    const invokedMs = this.kernel.nowMs
    const hear = (outcome: Awaited<ReturnType<OrdersProcess['act']>>): void => {
      if (outcome === 'missing') this.notFound.push({ orderId, invokedMs, completedMs: this.kernel.nowMs })
      respond(outcome === 'missing' ? 'unknown' : outcome)
    }
    this.kernel.schedule(process.host, 1, kind, () => void process.act(orderId, kind).then(hear))
  }

  /** As nginx does: one that takes connections; null when none does. */
  #anyOrders(): OrdersProcess | null {
    const up = this.orders.filter(({ host }) => host.isUp)
    return up.length === 0 ? null : (up[this.kernel.random.below(up.length)] ?? null)
  }

  /** An operator's act, at some process unless one is named; what was answered may not be the end of it. */
  #operate(act: (acts: SaleActs) => Promise<unknown>, at?: OrdersProcess): void {
    const process = at?.host.isUp === true ? at : this.#anyOrders()
    const note = (): void => {
      this.#operatorAtMs = this.kernel.nowMs
    }
    note()
    if (process === null) return
    this.kernel.schedule(process.host, 1, 'operator', () => void act(process.acts).then(note, note))
  }

  /** An operator who pauses and opens, or changes stock, in mid-sale. */
  #scheduleOperator(): void {
    const { kernel, scenario } = this
    const { random } = kernel
    const at = (): number => random.next() * scenario.requestMs
    if (random.next() < 0.2) {
      const pausesMs = at()
      kernel.schedule(null, pausesMs, 'operator', () => this.changeSale('pause'))
      kernel.schedule(null, pausesMs + random.below(1500), 'operator', () => this.changeSale('open'))
    }
    if (random.next() < 0.2) {
      const [fare] = scenario.definition.fares
      if (fare === undefined) return
      const stock = fare.stock + random.below(20) - 5
      kernel.schedule(null, at(), 'operator', () => this.#setStock(fare.id, stock))
    }
  }

  /**
   * Operators who set the same stock at once, at both processes. The first process may fall asleep in the middle of the
   * act: after the ledger was raised and before the store is, or the other way about where the stock is lowered.
   */
  #scheduleRivals(): void {
    const { kernel, orders, scenario } = this
    const random = this.#rivals
    const [fare] = scenario.definition.fares
    const [first, second] = random.next() < 0.5 ? orders : orders.toReversed()
    if (fare === undefined || first === undefined || second === undefined || random.next() >= 0.3) return
    const wanted = (isMore: boolean): number => fare.stock + (isMore ? 3 + random.below(15) : -1 - random.below(10))
    const set = (ms: number, isMore: boolean, at: OrdersProcess): void => {
      const stock = wanted(isMore)
      kernel.schedule(null, ms, 'operator', () => this.#setStock(fare.id, stock, at))
    }
    const fromMs = random.next() * scenario.requestMs * 0.15
    const isMore = random.next() < 0.5
    const forMs = 100 + 8 * scenario.latencyMs + random.below(700)
    const sleeps = random.next() < 0.7
    if (sleeps) kernel.schedule(null, fromMs, 'operator', () => this.#sleepInTheAct(first, isMore, forMs))
    set(fromMs + 1, isMore, first)
    const [afterMs, withinMs] = sleeps ? [20 + 8 * scenario.latencyMs, 100] : [0, 4 + 4 * scenario.latencyMs]
    if (random.next() < 0.5) set(fromMs + afterMs + random.next() * withinMs, isMore, second)
    set(fromMs + afterMs + (1 + random.next()) * withinMs, !isMore, second)
    if (!sleeps) set(fromMs + random.next() * withinMs, random.next() < 0.5, first)
    this.#scheduleTransfers(fromMs, first, second)
  }

  /**
   * What the second fare has left goes to the first, while others set the stock of the first. Whoever carries may fall
   * asleep at any of the steps. Early, while something is left.
   */
  #scheduleTransfers(untilMs: number, first: OrdersProcess, second: OrdersProcess): void {
    const { kernel, scenario } = this
    const random = this.#rivals
    const [to, from] = scenario.definition.fares
    if (to === undefined || from === undefined) return
    const [carrier, other] = random.next() < 0.5 ? [first, second] : [second, first]
    const fromMs = random.next() * (untilMs + 50)
    const withinMs = 20 + 12 * scenario.latencyMs
    const step = STEPS_OF_TRANSFER[random.below(STEPS_OF_TRANSFER.length)]
    if (step !== undefined) {
      const forMs = 100 + 8 * scenario.latencyMs + random.below(700)
      kernel.schedule(null, fromMs, 'operator', () => this.#sleepAt(carrier, step, forMs))
    }
    const carry = (at: OrdersProcess): void => this.#carry(from.id, to.id, at)
    kernel.schedule(null, fromMs + 1, 'operator', () => carry(carrier))
    const setMs = fromMs + random.next() * 2 * withinMs
    const stock = to.stock + random.below(25) - 10
    if (random.next() < 0.6) kernel.schedule(null, setMs, 'operator', () => this.#setStock(to.id, stock, other))
    const againMs = fromMs + random.next() * 2 * withinMs
    if (random.next() < 0.4) kernel.schedule(null, againMs, 'operator', () => carry(other))
  }

  #sleepInTheAct(process: OrdersProcess, isMore: boolean, forMs: number): void {
    this.#sleepAt(process, isMore ? 'beginStock' : 'setStock', forMs)
  }

  /** It sleeps when it next asks that of ledger or store. */
  #sleepAt({ host, link, ledgerLink }: OrdersProcess, step: StepOfAct, forMs: number): void {
    const sleep = (): void => {
      if (this.isHealing || !host.isUp || host.isPaused) return
      host.pause()
      this.kernel.schedule(null, forMs, 'operator', () => {
        if (host.isPaused) host.resume()
      })
    }
    if (step === 'setStock') link.whenAsked('sales', 'setStock', sleep)
    else ledgerLink.whenAsked(step, sleep)
  }

  /** An operator opens or pauses the sale. */
  changeSale(change: StateChange): void {
    this.#operate((acts) => acts.change(SALE_ID, change))
  }

  /** An operator adds tickets to the first fare, whatever it has by now. */
  addStock(tickets: number): void {
    const [fare] = this.scenario.definition.fares
    const present = this.cluster.primary.stock.saleRecords.get(SALE_ID)?.fares.get(fare?.id ?? '')?.stock
    if (fare !== undefined && present !== undefined) this.#setStock(fare.id, present + tickets)
  }

  #carry(fromFare: string, toFare: string, at: OrdersProcess): void {
    this.transfers.push({ fromFare, toFare, invokedMs: this.kernel.nowMs })
    this.#operate((acts) => acts.transfer(placeOf(fromFare), placeOf(toFare)), at)
  }

  #setStock(fareId: string, stock: number, at?: OrdersProcess): void {
    const { kernel } = this
    const never = Number.POSITIVE_INFINITY
    const change: StockChange = { fareId, stock, invokedMs: kernel.nowMs, completedMs: never, doneAt: null }
    this.stockChanges.push(change)
    this.#operate(async (acts) => {
      try {
        change.doneAt = (await acts.setStock(SALE_ID, fareId, stock)).version
      } finally {
        change.completedMs = kernel.nowMs
      }
    }, at)
  }

  #converge(): void {
    heal(this)
    // What was asked of a process that died or slept may be done now.
    if (Number.isFinite(this.#operatorAtMs)) this.#operatorAtMs = this.kernel.nowMs
    const { scenario } = this
    const healedMs = this.kernel.nowMs
    let openSinceMs = healedMs
    let quietSinceMs = openSinceMs
    const look = (): void => {
      const record = this.cluster.primary.stock.saleRecords.get(SALE_ID)
      const isCertified = record !== undefined && record.certificate === this.cluster.primary.fingerprint
      const isOpen = record !== undefined && stateAt(record, this.cluster.nowMs(this.cluster.primary)) === 'open'
      if (record !== undefined && !isOpen) this.#open()
      if (!isCertified && this.kernel.nowMs - openSinceMs > OPERATOR_WAITS_MS) {
        openSinceMs = this.kernel.nowMs
        this.#decideAsOperator()
      }
      // Short holds lapse first: a ticket that comes back later would be news to those who heard that none is left.
      const isLapsed = scenario.definition.holdMs > HOLD_MS_SHORT || !hasHolds(record)
      const isOperatorDone = this.kernel.nowMs > this.#operatorAtMs + OPERATOR_UNCERTAIN_MS
      const isSold = this.buyers.open === 0 && this.isBooked && isLapsed
      const isQuiet = isSold && isCertified && isOpen && isOperatorDone
      if (!isQuiet) quietSinceMs = this.kernel.nowMs
      if (!this.isBooked && this.kernel.nowMs > healedMs + BOOKS_LATE_MS) this.#noteLateRows(healedMs)
      if (this.kernel.nowMs - quietSinceMs > NEWS_MS) this.#sellTheRest(0)
      else this.kernel.schedule(null, LOOK_EVERY_MS, 'look', look)
    }
    look()
  }

  #open(): void {
    const process = this.#anyOrders()
    if (process === null) return
    this.kernel.schedule(process.host, 1, 'operator', () => void process.acts.change(SALE_ID, 'open').catch(() => {}))
  }

  /** What an older copy has in store and ledger not is found later, by comparing holds. */
  #noteLateRows(madeUntilMs: number): void {
    if (this.cluster.losses.length > 0) return
    const made = new Set(this.witness.creations.filter(({ atMs }) => atMs <= madeUntilMs).map(({ orderId }) => orderId))
    for (const { orderId, inLedger } of this.unlikeOrders()) {
      if (inLedger === null && made.has(orderId)) this.lateRows.add(orderId)
    }
  }

  #decideAsOperator(): void {
    const process = this.#anyOrders()
    // One case of trouble is told once, whatever else is lost in it; a split is lost when it ends, and found before.
    const openedMs = this.witness.openedMs.at(-1) ?? 0
    const loss = this.cluster.losses.find(({ atMs }) => atMs > openedMs)
    const wasTold = this.orders.some(({ toldMs }) => toldMs > openedMs)
    // One who has begun a union is waited for longer than this operator waits, and tells what it finds.
    if (loss !== undefined && !loss.isUndone && !wasTold && !this.cluster.isUniting) {
      this.untoldDecisions.push(`${loss.kind} took ${loss.entries} writes at ${loss.atMs.toFixed(1)} ms`)
    }
    const decide = async (): Promise<void> => {
      const hadMark = this.database.ledger.mark.era > 0
      if ((await process?.force(SALE_ID)) !== true) return
      this.forced += 1
      if (hadMark) this.forcedWithMark += 1
    }
    this.kernel.schedule(process?.host ?? null, 1, 'operator', () => void decide())
  }

  /** Fresh buyers, a few at a time, until each fare has been refused to all of a group. */
  #sellTheRest(sent: number): void {
    const { fares } = this.scenario.definition
    const GROUP = 8
    let waiting = fares.length * GROUP
    let won = 0
    for (const fare of fares) {
      for (let count = 0; count < GROUP; count += 1) {
        const number = sent + count + fares.indexOf(fare) * GROUP
        this.buyers.sendFresh(number, fare.id, (purchase) => {
          if (purchase.attempts.some(({ orderId }) => orderId !== null)) won += 1
          waiting -= 1
          if (waiting > 0) return
          if (won > 0) this.#sellTheRest(sent + fares.length * GROUP)
          else this.#end()
        })
      }
    }
  }

  /** Everybody who ever heard a "yes" asks once more. */
  #end(): void {
    for (const purchase of this.buyers.history) {
      if (purchase.mayRepeat && purchase.attempts.some(({ orderId }) => orderId !== null)) {
        this.buyers.repeat(purchase)
      }
    }
    const untilMs = this.scenario.requestMs + TAKES_PART_MS
    const booksUntilMs = this.kernel.nowMs + BOOKS_MS
    const end = (): void => {
      const { nowMs } = this.kernel
      const isWaiting = this.leftOut().length > 0 && nowMs < untilMs
      if (isWaiting || (!this.isBooked && nowMs < booksUntilMs)) {
        this.kernel.schedule(null, LOOK_EVERY_MS, 'look', end)
        return
      }
      this.hasConverged = true
      this.kernel.stop()
    }
    this.kernel.schedule(null, 600, 'end', end)
  }
}

function hasHolds(record: SaleRecord | undefined): boolean {
  return [...(record?.orders.values() ?? [])].some(({ state }) => state === 'held')
}

function placeOf(fareId: string): FarePlace {
  return { saleId: SALE_ID, fareId }
}
