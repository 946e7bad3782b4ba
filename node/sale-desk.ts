/**
 * One sale at one node: joins it, hears of it, and sends batches of wishes to be confirmed.
 *
 * Intuition: a clerk at a ticket window with one telephone. Wishes gather on the desk while the line is busy, and
 * all of them are read out in the next call; at a quiet hour each is read out at once. When a call breaks off, the
 * clerk does not know what the other side has heard: it keeps those wishes, rings up as a new clerk (a higher epoch,
 * so that nothing the old one said can act any more), and reads the same wishes out again.
 *
 * Contract: a wish is answered exactly once; by the store's verdict, by memory as {@link SaleQuota} allows, or as
 * trouble at its deadline. Every deduction is given back when its wish has left this node's hands.
 */
import { DeadlineQueue } from '../http/deadlines.ts'
import { assertStock, StockLawError } from '../runtime/assert.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import { delay, systemTimers, type Timers } from '../runtime/timers.ts'
import type { QuotaRules, SaleDefinition } from '../stock/core/words.ts'
import { type Caller, type ConfirmReply, type StockPort, StoreError, type WinnersPage } from '../stock/port.ts'
import type { Acknowledger } from './acknowledger.ts'
import type { Journal } from './journal.ts'
import type { DeskMetrics } from './node-metrics.ts'
import { orderIds, type OrderIds } from '../stock/order-id.ts'
import type { PendingBuy } from './pending-buy.ts'
import { type Admission, type Asked, type Refusal, SaleQuota } from './quota/sale-quota.ts'
import { type Judged, Teller } from './teller.ts'

export interface DeskSettings {
  readonly nodeId: string
  readonly rules: QuotaRules
  readonly batchMaxItems: number
  readonly batchMaxInFlight: number
  readonly lineMaxItems: number
  readonly buyDeadlineMs: number
  /** Whether the store is as durable as `ack` promises; asked before every join. */
  readonly checkDurability: () => Promise<boolean>
  /** What `ack` asks for beyond the store's reply; nothing when left out. */
  readonly acknowledger?: Acknowledger
  /** The process's own unless a simulation steps them. */
  readonly timers?: Timers
}

/** Whoever wants to hear which orders of the sale change, made through this node or any other. */
export interface OrderListener {
  /** Whether it waits for anything: then a backlog of events is read without a pause. */
  readonly isWaiting: boolean
  /** `orderIds` were made, one per buyer; `settled` met their fate. */
  onOrders(page: Pick<WinnersPage, 'orderIds' | 'buyers' | 'settled'>): void
  /** Changes may have been missed: whatever is shown must be read anew. */
  onGap(): void
}

/** Time kept back from the buy deadline for getting the answer out. */
const ANSWER_MARGIN_MS = 100
type BuyersPage = Awaited<ReturnType<StockPort['sales']['scanBuyers']>>

const REJOIN_DELAY_MS = 50
/** Most wishes at a time that ask the store without a deduction. */
const ASKING_MAX = 1000
/** Most wishes that wait to be sent: with the store away they may be as many as the allowance, without end. */
const QUEUE_MAX = 10_000
/** Most events that one heartbeat reads. */
const WINNERS_PER_HEARTBEAT = 64

/**
 * - `joining`: not in the sale, or fenced, or unsure of what was sent; sends nothing but joins
 * - `selling`: in the sale under {@link SaleDesk.epoch}
 * - `recovering`: the store is not certified; asks again until it is
 * - `stopped`: sends nothing any more
 */
export type DeskState = 'joining' | 'selling' | 'recovering' | 'stopped'

export class SaleDesk {
  readonly definition: SaleDefinition
  readonly orderIds: OrderIds
  readonly quota: SaleQuota<PendingBuy>
  epoch = 0
  /** seq of this node's own last change in the present era. */
  lastWriteSeq = 0
  /** Tickets of new orders told in the present era: as many the store's record of this node has at least. */
  confirmedInEra = 0
  listener: OrderListener | null = null

  readonly #port: StockPort
  readonly #settings: DeskSettings
  readonly #clock: Clock
  readonly #timers: Timers
  readonly #logger: Logger
  readonly #metrics: DeskMetrics
  readonly #deadlines: DeadlineQueue
  readonly #teller: Teller
  #state: DeskState = 'joining'
  #queue: PendingBuy[] = []
  #batchesInFlight = 0
  #itemsInFlight = 0
  #isFlushScheduled = false
  #isHeartbeatInFlight = false
  #isJoining = false
  #onBatchesDone: (() => void) | null = null
  #heartbeatRepliedMs = Number.NEGATIVE_INFINITY
  /** Number of the reading of winners last begun. */
  #readingWinners = 0
  /** What the fleet wants this node to weigh; 0 while draining. */
  #weight: number
  #tellWeight = false

  constructor(
    definition: SaleDefinition,
    weight: number,
    port: StockPort,
    settings: DeskSettings,
    clock: Clock,
    logger: Logger,
    metrics: DeskMetrics,
  ) {
    this.definition = definition
    this.orderIds = orderIds(Buffer.from(definition.orderIdSecret, 'hex'))
    this.#weight = weight
    this.#port = port
    this.#settings = settings
    this.#clock = clock
    this.#timers = settings.timers ?? systemTimers
    this.#logger = logger.child({ saleId: definition.id })
    this.#metrics = metrics
    this.#deadlines = new DeadlineQueue(Math.max(settings.buyDeadlineMs - ANSWER_MARGIN_MS, settings.buyDeadlineMs / 2))
    this.quota = new SaleQuota(definition, { line: settings.lineMaxItems, asking: ASKING_MAX })
    this.#teller = new Teller({
      saleId: definition.id,
      acknowledger: settings.acknowledger,
      clock,
      timers: this.#timers,
      isStopped: () => this.#state === 'stopped',
      onConfirmed: (buy, era) => this.#countConfirmed(buy, era),
      judgeAnew: (buys) => {
        this.#takeBack(buys, true)
        this.#leaveSale('fenced')
      },
      onTrouble: (error) => this.#onTrouble('acknowledge', error),
    })
  }

  get state(): DeskState {
    return this.#state
  }

  get queueLength(): number {
    return this.#queue.length
  }

  /** What it told its buyers. */
  get journal(): Journal {
    return this.#teller.journal
  }

  get heartbeatAgeMs(): number {
    return this.#clock.monotonicMs() - this.#heartbeatRepliedMs
  }

  /** Whether everything taken in has been answered. */
  get isIdle(): boolean {
    const { unacknowledged, heldBack } = this.#teller
    const waiting = this.#queue.length + unacknowledged + heldBack + this.quota.lineLength
    return waiting === 0 && this.#batchesInFlight === 0
  }

  start(): void {
    this.#join()
  }

  stop(): void {
    this.#setState('stopped')
  }

  /** The "no" that memory allows; null for a wish to be taken by {@link buy}. */
  refusal(wish: Asked, nowMs: number): Refusal | null {
    return this.#state === 'recovering' ? null : this.quota.refusal(wish, nowMs)
  }

  /** Takes a wish; it is answered through {@link PendingBuy.answer}, sooner or later. */
  buy(buy: PendingBuy): void {
    if (this.#state === 'recovering') {
      buy.answer({ by: 'trouble', code: 'recovering' })
      return
    }
    if (this.#teller.isLate) {
      buy.answer({ by: 'trouble', code: 'busy' })
      return
    }
    const nowMs = buy.arrivedMs
    const admission = this.quota.admit(buy, nowMs)
    if (admission.to === 'store' || admission.to === 'line') {
      buy.onDue = this.#onDue
      this.#deadlines.add(buy, nowMs)
    }
    this.#place(buy, admission)
  }

  /** The buyer has gone: what was not sent is dropped. */
  abandon(buy: PendingBuy): void {
    if (buy.isAnswered) return
    buy.isAnswered = true
    buy.queue?.remove(buy)
    this.quota.leave(buy)
  }

  /** Called often: answers what has fallen due. */
  tick(): void {
    const nowMs = this.#clock.monotonicMs()
    this.#teller.tick(nowMs)
    this.#deadlines.expireDue(nowMs)
    if (this.#teller.heldBack > 0) void this.heartbeat()
  }

  setWeight(weight: number): void {
    if (weight === this.#weight) return
    this.#weight = weight
    this.#tellWeight = true
  }

  async heartbeat(): Promise<void> {
    if (this.#state !== 'selling' || this.#isHeartbeatInFlight) return
    this.#isHeartbeatInFlight = true
    try {
      for (let isSecond = false; await this.#heartbeatOnce(isSecond);) isSecond = true
    } finally {
      this.#isHeartbeatInFlight = false
    }
  }

  /** True when another should follow at once: to say what was heard, or for winners that are needed. */
  async #heartbeatOnce(isSecond: boolean): Promise<boolean> {
    const sentMs = this.#clock.monotonicMs()
    const { synced, winners } = this.quota
    const changedSinceSeq = synced.era === this.quota.seen.era ? synced.seq : 0
    const tellWeight = this.#tellWeight
    const weight = tellWeight ? this.#weight : null
    const epoch = this.epoch
    try {
      const reply = await this.#port.sales.heartbeat(
        this.definition.id,
        this.#caller(),
        {
          changedSinceSeq,
          winnersAfter: winners.cursor,
          winnersLimit: WINNERS_PER_HEARTBEAT,
          weight,
        },
        this.#settings.rules,
      )
      // An answer to a membership that has ended meanwhile says nothing about the present one.
      if (epoch !== this.epoch || this.#state !== 'selling') return false
      if (reply.outcome !== 'alive') {
        this.#leaveSale(reply.outcome)
        return false
      }
      if (tellWeight && weight === this.#weight) this.#tellWeight = false
      const receivedMs = this.#clock.monotonicMs()
      this.#heartbeatRepliedMs = receivedMs
      this.quota.hearHeartbeat(reply, sentMs, receivedMs)
      this.#teller.heard(reply.heardSeq, receivedMs)
      this.#wake()
      void this.#teller.lookAgain(this.quota.seen)
      this.listener?.onOrders(reply.winners)
      if (reply.winners.lost) {
        this.quota.winners.startReading(reply.version)
        void this.#readWinners()
        this.listener?.onGap()
      }
      // Others may wait to tell of their orders until it is known that this was heard; once, as more may come.
      if (reply.reopenedSeq > changedSinceSeq && !isSecond) return true
      return !reply.winners.complete && (this.quota.lacksWinners || this.listener?.isWaiting === true)
    } catch (error) {
      this.#onTrouble('heartbeat', error)
      return false
    }
  }

  #caller(): Caller {
    return {
      nodeId: this.#settings.nodeId,
      epoch: this.epoch,
      seen: this.quota.seen,
      lastWriteSeq: this.lastWriteSeq,
    }
  }

  #setState(state: DeskState): void {
    if (this.#state === state || this.#state === 'stopped') return
    this.#logger.info({ from: this.#state, to: state, epoch: this.epoch, seen: this.quota.seen }, 'desk')
    this.#state = state
  }

  #place(buy: PendingBuy, admission: Admission): void {
    switch (admission.to) {
      case 'store':
        if (this.#queue.length + this.#teller.unacknowledged >= QUEUE_MAX) {
          this.quota.release(buy)
          buy.answer({ by: 'trouble', code: 'busy' })
          break
        }
        this.#queue.push(buy)
        this.#scheduleFlush()
        break
      case 'line':
        break
      case 'buyer':
        buy.answer({ by: 'memory', refusal: admission.refusal })
        break
      case 'nobody':
        buy.answer({ by: 'trouble', code: 'busy' })
        break
    }
  }

  /** At the end of this turn of the event loop, so that what arrived together goes together. */
  #scheduleFlush(): void {
    if (this.#isFlushScheduled) return
    this.#isFlushScheduled = true
    this.#timers.soon(() => {
      this.#isFlushScheduled = false
      this.#flush()
    })
  }

  #flush(): void {
    const { batchMaxItems, batchMaxInFlight } = this.#settings
    while (this.#state === 'selling' && this.#isWorthACall() && this.#batchesInFlight < batchMaxInFlight) {
      const taken = this.#queue.slice(0, batchMaxItems)
      this.#queue = this.#queue.length > taken.length ? this.#queue.slice(taken.length) : []
      const batch = taken.filter((buy) => this.#isStillWanted(buy))
      if (batch.length > 0) void this.#confirm(batch)
      // What the dead gave back is for those in line; no reply will come to wake them.
      else this.#wake()
    }
  }

  /**
   * The first call goes at once. While one is out, a second waits until it would carry as many: every call costs the
   * store a turn and a write to its disk, and a small one now delays the large one behind it.
   */
  #isWorthACall(): boolean {
    const waiting = this.#queue.length
    return waiting > 0 && waiting >= Math.min(this.#itemsInFlight, this.#settings.batchMaxItems)
  }

  /** What was answered meanwhile (its buyer gone, its deadline past) is not sent, or not sent again. */
  #isStillWanted(buy: PendingBuy): boolean {
    if (!buy.isAnswered) return true
    this.quota.release(buy)
    return false
  }

  async #confirm(batch: PendingBuy[]): Promise<void> {
    this.#batchesInFlight += 1
    this.#itemsInFlight += batch.length
    for (const buy of batch) buy.isOut = true
    const sentMs = this.#clock.monotonicMs()
    this.#metrics.batchSent(batch, sentMs)
    try {
      const storeNowMs = this.quota.clock.atLeast(sentMs)
      const items = batch.map((buy) => ({
        orderId: buy.orderId,
        buyer: buy.buyer,
        fareId: buy.fareId,
        quantity: buy.quantity,
        deadlineMs: Math.floor(storeNowMs + buy.dueMs - sentMs),
      }))
      const reply = await this.#port.sales.confirm(this.definition.id, this.#caller(), items, this.#settings.rules)
      const receivedMs = this.#clock.monotonicMs()
      this.#metrics.batchAnswered(sentMs, receivedMs)
      if (reply.outcome === 'judged') {
        this.#onJudged(batch, reply, sentMs, receivedMs)
      } else {
        this.#takeBack(batch, false)
        this.#leaveSale(reply.outcome)
      }
    } catch (error) {
      this.#takeBack(batch, !(error instanceof StoreError && error.outcome === 'not_executed'))
      this.#onTrouble('confirm', error)
      this.#leaveSale('fenced')
    } finally {
      this.#batchesInFlight -= 1
      this.#itemsInFlight -= batch.length
      if (this.#batchesInFlight === 0) this.#onBatchesDone?.()
    }
    this.#wake()
    this.#flush()
  }

  #onJudged(batch: PendingBuy[], reply: ConfirmReply, sentMs: number, receivedMs: number): void {
    this.quota.hearConfirm(reply, sentMs, receivedMs)
    const { verdicts } = reply
    const judged: Judged[] = []
    let held = 0
    for (let i = 0; i < batch.length; i += 1) {
      const buy = batch[i]
      const verdict = verdicts[i]
      if (buy === undefined || verdict === undefined) {
        assertStock(false, `sale ${this.definition.id}: ${verdicts.length} verdicts for ${batch.length} items`)
        continue
      }
      this.quota.release(buy)
      buy.isOut = false
      if (verdict.status === 'held') {
        this.lastWriteSeq = Math.max(this.lastWriteSeq, reply.version.seq)
        held += 1
      }
      if (verdict.order !== undefined) this.quota.winners.add(buy.buyer)
      judged.push({ buy, verdict })
    }
    this.#teller.tell(judged, reply, receivedMs)
    // With more to be waited for than the store's reply, others may hear first.
    if (held > 0 && this.#settings.acknowledger === undefined && reply.unheard.length === 0) this.#passOwn(batch, reply)
    if (this.quota.lacksWinners) void this.heartbeat()
  }

  /** In a rush a node makes most events itself: those that nothing came before need not be read and taken in again. */
  #passOwn(batch: readonly PendingBuy[], { version, verdicts }: ConfirmReply): void {
    if (!this.quota.winners.passOwn(version) || this.listener === null) return
    const made = batch.filter((_, i) => verdicts[i]?.status === 'held')
    const [orderIds, buyers] = [made.map(({ orderId }) => orderId), made.map(({ buyer }) => buyer)]
    this.listener.onOrders({ orderIds, buyers, settled: [] })
  }

  /** Not before it is told: what a store confirmed that is none any more may be judged anew, and nobody heard of it. */
  #countConfirmed({ fareId, quantity }: PendingBuy, era: number): void {
    const fare = this.quota.fare(fareId)
    if (fare !== undefined) fare.confirmed += quantity
    if (era === this.quota.seen.era) this.confirmedInEra += quantity
  }

  /** Not judged: back to the front of the queue, in order. */
  #takeBack(batch: readonly PendingBuy[], isUncertain: boolean): void {
    for (const buy of batch) {
      buy.isOut = false
      if (isUncertain) buy.isUncertain = true
    }
    this.#queue = [...batch, ...this.#queue]
  }

  readonly #onDue = (buy: PendingBuy): void => {
    this.quota.leave(buy)
    buy.answer({ by: 'trouble', code: this.#codeAtDeadline(buy) })
  }

  /** A wish that may have been carried out is unknown; one that surely was not is told what was in the way. */
  #codeAtDeadline(buy: PendingBuy): 'busy' | 'recovering' | 'outcome_unknown' {
    if (buy.isUncertain || buy.isOut) return 'outcome_unknown'
    return this.#state === 'recovering' ? 'recovering' : 'busy'
  }

  #onTrouble(call: string, error: unknown): void {
    // Not the store's trouble: whoever owns the process stops it.
    if (error instanceof StockLawError) throw error
    this.#metrics.storeErrors.value += 1
    if (error instanceof StoreError) {
      this.#logger.warn({ call, code: error.code, outcome: error.outcome, reason: error.message }, 'store trouble')
    } else {
      this.#logger.error({ call, err: error }, 'store trouble of an unknown kind')
    }
  }

  #leaveSale(why: 'fenced' | 'recovering'): void {
    if (this.#state === 'stopped') return
    this.#setState(why === 'recovering' ? 'recovering' : 'joining')
    this.#join()
  }

  #join(): void {
    if (this.#isJoining) return
    this.#isJoining = true
    void this.#joinUntilIn().finally(() => {
      this.#isJoining = false
      if (this.#state === 'joining' || this.#state === 'recovering') this.#join()
    })
  }

  async #joinUntilIn(): Promise<void> {
    while (this.#state === 'joining' || this.#state === 'recovering') {
      // Batches still out may get their verdicts; joining now would fence them for nothing.
      await this.#batchesDone()
      if (await this.#joinOnce()) return
      await delay(this.#timers, REJOIN_DELAY_MS)
    }
  }

  async #joinOnce(): Promise<boolean> {
    const node = { id: this.#settings.nodeId, weight: this.#weight }
    try {
      // A store in a new life may be less durable than the last; a join would be a promise.
      if (!(await this.#settings.checkDurability())) {
        this.#setState('recovering')
        return false
      }
      const sentMs = this.#clock.monotonicMs()
      const reply = await this.#port.sales.join(
        this.definition.id,
        node,
        this.quota.seen,
        this.lastWriteSeq,
        this.#settings.rules,
      )
      if (reply.outcome !== 'joined') {
        this.#setState(reply.outcome === 'recovering' ? 'recovering' : 'joining')
        return false
      }
      this.epoch = reply.epoch
      this.lastWriteSeq = reply.version.seq
      this.journal.begin(reply.version)
      // The events of the old era are not followed to their end.
      if (reply.version.era !== this.quota.seen.era) {
        this.confirmedInEra = 0
        this.listener?.onGap()
      }
      this.quota.hearJoin(reply, sentMs, this.#clock.monotonicMs())
    } catch (error) {
      this.#onTrouble('join', error)
      return false
    }
    this.#setState('selling')
    void this.#readWinners()
    this.#wake()
    this.#flush()
    return true
  }

  async #batchesDone(): Promise<void> {
    if (this.#batchesInFlight === 0) return
    await new Promise<void>((resolve) => {
      this.#onBatchesDone = resolve
    })
    this.#onBatchesDone = null
  }

  /** Reads the whole set of winners in pages, unless that is under way or done. */
  async #readWinners(): Promise<void> {
    const { winners } = this.quota
    const { reading } = winners
    if (!winners.isReading || this.#readingWinners === reading) return
    this.#readingWinners = reading
    let cursor: string | null = ''
    while (cursor !== null && this.#state !== 'stopped' && winners.reading === reading) {
      try {
        const page: BuyersPage = await this.#port.sales.scanBuyers(this.definition.id, cursor)
        for (const { buyer } of page.buyers) winners.add(buyer)
        cursor = page.cursor
      } catch (error) {
        this.#onTrouble('scan', error)
        await delay(this.#timers, REJOIN_DELAY_MS)
      }
    }
    if (cursor === null) winners.finishReading(reading)
    if (this.quota.lacksWinners) void this.heartbeat()
  }

  #wake(): void {
    const moved = this.quota.wake(this.#clock.monotonicMs())
    for (const { wish, admission } of moved) this.#place(wish, admission)
  }
}
