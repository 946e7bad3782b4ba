/**
 * Tells buyers of the orders that the store has judged for them, when what `ack` promises is true and no node can say
 * "no" any more that is older than the order. Until then nobody can say what became of them.
 */
import type { Clock } from '../runtime/clock.ts'
import { delay, type Timers } from '../runtime/timers.ts'
import type { Order, Version } from '../stock/core/words.ts'
import type { ConfirmReply, ConfirmVerdict } from '../stock/port.ts'
import type { Acknowledgement, Acknowledger } from './acknowledger.ts'
import { type Barrier, HeldBack } from './held-back.ts'
import { Journal } from './journal.ts'
import type { PendingBuy } from './pending-buy.ts'

export interface TellerParts {
  readonly saleId: string
  /** What `ack` asks for beyond the store's reply; undefined for nothing. */
  readonly acknowledger: Acknowledger | undefined
  readonly clock: Clock
  readonly timers: Timers
  readonly isStopped: () => boolean
  /** A new order is as safe as `ack` asks; `era` is that of the store that judged it. */
  readonly onConfirmed: (buy: PendingBuy, era: number) => void
  /** Nobody knows what became of these: they must be judged anew. */
  readonly judgeAnew: (buys: readonly PendingBuy[]) => void
  readonly onTrouble: (error: unknown) => void
}

/** A purchase that the store has judged. */
export interface Judged {
  readonly buy: PendingBuy
  readonly verdict: ConfirmVerdict
}

/** One that waits to be told. */
interface Untold {
  readonly buy: PendingBuy
  readonly verdict: ConfirmVerdict & { readonly order: Order }
  /** What its answer waits for; null for nothing. */
  readonly barrier: Barrier | null
}

interface AckAsked {
  readonly sinceMs: number
}

type KeptOrders = Extract<Acknowledgement, { readonly outcome: 'kept' }>['orders']

/** An acknowledgement that takes longer is late. */
const ACK_LATE_MS = 500
const ASK_AGAIN_MS = 50

export class Teller {
  readonly journal = new Journal()
  readonly #parts: TellerParts
  /** Acknowledged, and waiting for every node to have heard. */
  readonly #heldBack = new HeldBack()
  #unacknowledged = 0
  /** Batches whose acknowledgement is under way, the first asked first. */
  readonly #acksAsked = new Set<AckAsked>()
  #isLate = false

  constructor(parts: TellerParts) {
    this.#parts = parts
  }

  /** Judged, and waiting for what `ack` asks. */
  get unacknowledged(): number {
    return this.#unacknowledged
  }

  /** Waiting for other nodes to hear. */
  get heldBack(): number {
    return this.#heldBack.size
  }

  /** What `ack` asks was answered "not yet", or not for a while: nobody new may be taken in until it changes. */
  get isLate(): boolean {
    return this.#isLate
  }

  /** Called often: tells what need wait no longer. */
  tick(nowMs: number): void {
    this.#heldBack.release(nowMs)
    // The first of them was asked first. Whoever comes now would wait as long, and take a ticket away meanwhile.
    for (const { sinceMs } of this.#acksAsked) {
      if (nowMs - sinceMs > ACK_LATE_MS) this.#isLate = true
      break
    }
  }

  /** Every other node has heard of all changes up to `seq`. */
  heard(seq: number, nowMs: number): void {
    this.#heldBack.heard(seq, nowMs)
  }

  /** What was judged together. Refusals are told at once; orders at once where nothing has to be waited for. */
  tell(judged: readonly Judged[], reply: ConfirmReply, receivedMs: number): void {
    const { acknowledger } = this.#parts
    const barriers = barriersOf(reply, receivedMs)
    const orders: Untold[] = []
    for (const { buy, verdict } of judged) {
      const barrier = barriers.length === 0 ? null : barrierFor(barriers, buy, verdict)
      if (acknowledger !== undefined && hasOrder(verdict)) orders.push({ buy, verdict, barrier })
      else this.#answer(buy, verdict, barrier, reply)
    }
    if (acknowledger !== undefined && orders.length > 0) void this.#acknowledge(acknowledger, orders, reply)
  }

  /** Nobody is taken in while `ack` is late, so nobody's order would show that it is in time again. */
  async lookAgain(seen: Version): Promise<void> {
    const { acknowledger, saleId, onTrouble } = this.#parts
    if (acknowledger === undefined || !this.#isLate || this.#unacknowledged > 0) return
    try {
      const { outcome } = await acknowledger.keeps(saleId, seen, [])
      if (outcome === 'kept') this.#isLate = false
    } catch (error) {
      onTrouble(error)
    }
  }

  async #acknowledge(acknowledger: Acknowledger, untold: readonly Untold[], reply: ConfirmReply): Promise<void> {
    const { saleId, clock, timers, isStopped, judgeAnew, onTrouble } = this.#parts
    const orders = untold.map(({ verdict }) => verdict.order)
    const buys = untold.map(({ buy }) => buy)
    const asked: AckAsked = { sinceMs: clock.monotonicMs() }
    this.#acksAsked.add(asked)
    this.#unacknowledged += buys.length
    for (const buy of buys) buy.isUncertain = true
    try {
      let kept = await acknowledger.keeps(saleId, reply.version, orders)
      while (kept.outcome === 'not_yet' && buys.some(({ isAnswered }) => !isAnswered) && !isStopped()) {
        this.#isLate = true
        await delay(timers, ASK_AGAIN_MS)
        kept = await acknowledger.keeps(saleId, reply.version, orders)
      }
      if (kept.outcome === 'kept') this.#onKept(untold, kept.orders, reply)
      else if (kept.outcome === 'void') judgeAnew(buys)
    } catch (error) {
      onTrouble(error)
      judgeAnew(buys)
    } finally {
      this.#acksAsked.delete(asked)
      this.#unacknowledged -= buys.length
    }
  }

  /** An order that is not kept, though others are, stays unknown to its buyer. */
  #onKept(untold: readonly Untold[], orders: KeptOrders, reply: ConfirmReply): void {
    this.#isLate = false
    for (const { buy, verdict, barrier } of untold) {
      const asKept = orders === undefined ? verdict : verdictAsKept(verdict, orders)
      if (asKept !== null) this.#answer(buy, asKept, barrier, reply)
    }
  }

  /** Behind a barrier the buyer may hear no more, until then, than that the outcome is unknown. */
  #answer(buy: PendingBuy, verdict: ConfirmVerdict, barrier: Barrier | null, { version, nowMs }: ConfirmReply): void {
    if (verdict.order !== undefined) this.journal.note(verdict.order, version)
    if (verdict.status === 'held') this.#parts.onConfirmed(buy, version.era)
    if (barrier === null) {
      buy.answer({ by: 'store', verdict, nowMs })
      return
    }
    buy.isUncertain = true
    const { clock } = this.#parts
    this.#heldBack.tell(barrier, clock.monotonicMs(), () => buy.answer({ by: 'store', verdict, nowMs }))
  }
}

type FareBarrier = Barrier & { readonly fareId: string }

function barriersOf(reply: ConfirmReply, receivedMs: number): FareBarrier[] {
  return reply.unheard.map(({ fareId, seq, forMs }) => ({ fareId, seq, untilMs: receivedMs + forMs }))
}

function hasOrder(verdict: ConfirmVerdict): verdict is Untold['verdict'] {
  return verdict.order !== undefined
}

/**
 * What a buyer hears of an order as it is kept; null when it is not. One that was released meanwhile is no new order. One
 * key may have been used for two wishes, each in a history of its own: where the ledger keeps the other, this is not kept.
 */
function verdictAsKept(verdict: Untold['verdict'], orders: ReadonlyMap<string, Order>): Untold['verdict'] | null {
  const kept = orders.get(verdict.order.id)
  const { fareId, quantity } = verdict.order
  if (kept?.fareId !== fareId || kept.quantity !== quantity) return null
  const { state, reason, paidAtMs, releasedAtMs } = kept
  const status = state === 'held' ? verdict.status : 'replayed'
  return { ...verdict, status, order: { ...verdict.order, state, reason, paidAtMs, releasedAtMs } }
}

function barrierFor(barriers: readonly FareBarrier[], buy: PendingBuy, verdict: ConfirmVerdict): Barrier | null {
  return barriers.find(({ fareId, seq }) => fareId === buy.fareId && isAfter(verdict, seq)) ?? null
}

/** Is it an order that came into being after that change? */
function isAfter({ order }: ConfirmVerdict, seq: number): boolean {
  return order !== undefined && order.createdSeq > seq
}
