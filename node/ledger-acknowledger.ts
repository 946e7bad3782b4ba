/**
 * `ack: ledger`: orders are told when they stand in the ledger, inserted under the era in which the store judged them.
 * The way there is the private port of an orders process, whichever of the fleet answers.
 *
 * An answer that does not come, or says that the ledger is away, means `not_yet`: perhaps the orders are in already,
 * and asking again finds that out. The ledger in a later era has begun anew without them: they must be judged anew, by
 * the store of that era. In an earlier one it was put back itself, and whoever recovers the sale will begin a later.
 */
import type { AskKeep, KeepReply } from '../http/keep-orders.ts'
import { ordersOfRows, rowOfOrder } from '../http/order-rows.ts'
import { GroupedCalls, TooManyWaiting } from '../runtime/grouped-calls.ts'
import type { Log } from '../runtime/log.ts'
import { delay, systemTimers, type Timers } from '../runtime/timers.ts'
import type { Order } from '../stock/core/words.ts'
import type { FleetStore } from '../stock/port.ts'
import type { Acknowledgement, Acknowledger } from './acknowledger.ts'

/** The next batch is on its way while one is being committed, and no more than that. */
const CALLS_MAX = 2
const ORDERS_PER_CALL = 1000
/** Above what a desk lets in. */
const WAITING_MAX = 20_000
/** Who is told to have it judged anew must not come back at once, again and again. */
const VOID_PAUSE_MS = 50

export interface LedgerAcknowledgerParts {
  readonly fleet: Pick<FleetStore, 'read'>
  readonly askKeep: AskKeep
  readonly log: Log
  /** The process's own unless a simulation steps them. */
  readonly timers?: Timers
}

interface Judged {
  readonly saleId: string
  readonly era: number
}

export function ledgerAcknowledger(parts: LedgerAcknowledgerParts): Acknowledger {
  const door = new Door(parts)
  const calls = new GroupedCalls<Judged, Order, Acknowledgement>({
    callsMax: CALLS_MAX,
    itemsMax: ORDERS_PER_CALL,
    waitingMax: WAITING_MAX,
    nameOf: ({ saleId, era }) => `${saleId} ${era}`,
    call: (judged, orders) => door.keep(judged, orders),
  })
  return {
    async keeps(saleId, { era }, orders) {
      try {
        return await calls.ask({ saleId, era }, orders)
      } catch (error) {
        if (error instanceof TooManyWaiting) return { outcome: 'not_yet' }
        throw error
      }
    },
  }
}

class Door {
  readonly #parts: LedgerAcknowledgerParts
  /** Of the orders processes; the first is asked. */
  #addresses: readonly string[] = []
  #isTroubled = false

  constructor(parts: LedgerAcknowledgerParts) {
    this.#parts = parts
  }

  async keep({ saleId, era }: Judged, orders: readonly Order[]): Promise<Acknowledgement> {
    if (this.#addresses.length === 0) await this.#lookAround()
    const [address] = this.#addresses
    try {
      if (address === undefined) throw new Error('no orders process is known')
      const answer = await this.#parts.askKeep(address, saleId, { era, orders: orders.map(rowOfOrder) })
      this.#wentWell()
      return await this.#acknowledgementOf(answer, era)
    } catch (error) {
      this.#tell(error)
      await this.#lookAround(address)
      return { outcome: 'not_yet' }
    }
  }

  async #acknowledgementOf(answer: KeepReply, era: number): Promise<Acknowledgement> {
    if (answer.outcome === 'kept') {
      const orders = ordersOfRows(answer.orders)
      if (orders === null) throw new Error('the orders process answered with rows that are none')
      return { outcome: 'kept', orders: new Map(orders.map((order) => [order.id, order])) }
    }
    if (answer.outcome !== 'fenced' || typeof answer.era !== 'number' || answer.era < era) return { outcome: 'not_yet' }
    await delay(this.#parts.timers ?? systemTimers, VOID_PAUSE_MS)
    return { outcome: 'void' }
  }

  /** The one heard of last is the likeliest to answer; the one that just failed comes last. */
  async #lookAround(failed?: string): Promise<void> {
    try {
      const { orders } = await this.#parts.fleet.read()
      if (orders.length === 0) return
      const newest = orders.toSorted((a, b) => b.lastSeenMs - a.lastSeenMs).map(({ adminUrl }) => adminUrl)
      this.#addresses = [...newest.filter((url) => url !== failed), ...newest.filter((url) => url === failed)]
    } catch (error) {
      this.#tell(error)
    }
  }

  #wentWell(): void {
    if (this.#isTroubled) this.#parts.log.info({}, 'the ledger keeps orders again')
    this.#isTroubled = false
  }

  /** Once, until it goes well again. */
  #tell(error: unknown): void {
    if (!this.#isTroubled) this.#parts.log.warn({ reason: reasonOf(error) }, 'the ledger does not keep orders')
    this.#isTroubled = true
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message
}
