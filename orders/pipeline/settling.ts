/**
 * Tells the store which fates the ledger has committed, in batches, and then the ledger that the store knows.
 *
 * Never before the commit: callers hand in rows that the ledger returned. Telling twice does no harm, so whatever a
 * crash or trouble leaves out is repeated by the reconciler.
 */
import type { Clock } from '../../runtime/clock.ts'
import { type Version, VERSION_ZERO } from '../../stock/core/words.ts'
import { type KnownOrder, type SaleStore, type SettleReply, StoreError } from '../../stock/port.ts'
import { DatabaseError } from '../ledger/database.ts'
import type { Decision, Ledger, LedgerOrder } from '../ledger/ledger.ts'
import type { PipelineMetrics } from './pipeline-metrics.ts'
import type { PipelineLog } from './turns.ts'

const BATCH_MAX = 200
/** A fate that the store could not take is tried again after this. */
const STUCK_RETRY_MS = 60_000
/** Most such fates remembered; more are simply tried again. */
const STUCK_MAX = 100_000

export interface SettlingParts {
  readonly ledger: Pick<Ledger, 'order' | 'markSettled'>
  readonly store: Pick<SaleStore, 'settle'>
  readonly clock: Clock
  readonly metrics: PipelineMetrics
  readonly log: PipelineLog
}

/** What is told of an order: its fate as committed. */
export interface ToSettle extends Decision {
  readonly atMs: number
  /** Of orders that have a row. */
  readonly known?: KnownOrder
}

type Result = SettleReply['results'][number]
type Refusal = Exclude<Result, 'settled' | 'already'>

interface Waiting {
  readonly item: ToSettle
  readonly done: () => void
}

export class Settling {
  readonly #parts: SettlingParts
  readonly #queues = new Map<string, Waiting[]>()
  readonly #draining = new Set<string>()
  readonly #seen = new Map<string, Version>()
  /** Order id to when it may be tried again. */
  readonly #stuck = new Map<string, number>()

  constructor(parts: SettlingParts) {
    this.#parts = parts
  }

  /** How many fates wait for a later try. */
  get stuck(): number {
    return this.#stuck.size
  }

  isStuck(orderId: string): boolean {
    const untilMs = this.#stuck.get(orderId)
    if (untilMs === undefined) return false
    if (this.#parts.clock.monotonicMs() < untilMs) return true
    this.#stuck.delete(orderId)
    return false
  }

  /** Resolves when all were tried, and never rejects: a fate that could not be told stays unsettled in the ledger. */
  async settleOrders(orders: readonly LedgerOrder[]): Promise<void> {
    const perSale = new Map<string, ToSettle[]>()
    for (const order of orders) {
      const item = toSettle(order)
      if (item === null) continue
      const items = perSale.get(order.saleId)
      if (items === undefined) perSale.set(order.saleId, [item])
      else items.push(item)
    }
    await Promise.all(Array.from(perSale, ([saleId, items]) => this.settle(saleId, items)))
  }

  async settle(saleId: string, items: readonly ToSettle[]): Promise<void> {
    const queue = this.#queues.get(saleId) ?? []
    this.#queues.set(saleId, queue)
    const told = items.map(
      (item) =>
        new Promise<void>((resolve) => {
          queue.push({ item, done: resolve })
        }),
    )
    if (!this.#draining.has(saleId)) void this.#drain(saleId, queue)
    await Promise.all(told)
  }

  async #drain(saleId: string, queue: Waiting[]): Promise<void> {
    this.#draining.add(saleId)
    while (queue.length > 0) {
      const batch = queue.splice(0, BATCH_MAX)
      await this.#settleBatch(
        saleId,
        batch.map(({ item }) => item),
      )
      for (const { done } of batch) done()
    }
    this.#draining.delete(saleId)
  }

  async #settleBatch(saleId: string, items: readonly ToSettle[]): Promise<void> {
    const { store, ledger, log, metrics } = this.#parts
    try {
      const reply = await store.settle(saleId, items, this.#seen.get(saleId) ?? VERSION_ZERO)
      if (reply.outcome !== 'settled') {
        log.warn({ saleId, outcome: reply.outcome, orders: items.length }, 'the store takes no fates now')
        return
      }
      this.#seen.set(saleId, reply.version)
      const known = items.filter((_item, i) => reply.results[i] === 'settled' || reply.results[i] === 'already')
      metrics.settled.value += reply.results.filter((result) => result === 'settled').length
      const { version } = reply
      if (known.length > 0) {
        const fates = known.map(({ orderId, fate }) => ({ orderId, fate }))
        await ledger.markSettled(fates, { saleId, version })
      }
      for (const [i, item] of items.entries()) {
        const result = reply.results[i]
        if (result !== undefined && isRefusal(result)) await this.#onRefused(saleId, item, result)
      }
    } catch (error) {
      const isTrouble = error instanceof StoreError || error instanceof DatabaseError
      if (isTrouble) log.warn({ saleId, orders: items.length, reason: error.message }, 'fates are told later')
      else log.error({ saleId, err: error }, 'fates could not be told')
    }
  }

  /** A fate that has moved on since is for whoever moved it; any other is an alarm. */
  async #onRefused(saleId: string, item: ToSettle, result: Refusal): Promise<void> {
    const { ledger, clock, metrics, log } = this.#parts
    const order = await ledger.order(item.orderId)
    if (order !== null && !isFate(order, item)) return
    if (order === null && result === 'unknown_order') {
      // Neither has it: no ticket is to return.
      await ledger.markSettled([{ orderId: item.orderId, fate: item.fate }])
      return
    }
    metrics.unsettleable.value += 1
    if (this.#stuck.size < STUCK_MAX) this.#stuck.set(item.orderId, clock.monotonicMs() + STUCK_RETRY_MS)
    log.error({ saleId, orderId: item.orderId, fate: item.fate, result }, 'ALARM: the store cannot take a fate')
  }
}

/** Null while it is held: then there is nothing to tell. */
export function toSettle(order: LedgerOrder): ToSettle | null {
  const { id: orderId, state, reason, createdAtMs, paidAtMs, releasedAtMs } = order
  const { fareId, quantity, buyer } = order
  const known = { fareId, quantity, buyer, createdAtMs }
  if (state === 'held') return null
  if (state === 'paid') return { orderId, fate: { state }, atMs: paidAtMs ?? createdAtMs, known }
  return { orderId, fate: { state, reason: reason ?? 'conflict' }, atMs: releasedAtMs ?? createdAtMs, known }
}

function isRefusal(result: Result): result is Refusal {
  return result !== 'settled' && result !== 'already'
}

function isFate(order: LedgerOrder, { fate }: Decision): boolean {
  return order.state === fate.state && order.reason === (fate.state === 'released' ? fate.reason : null)
}
