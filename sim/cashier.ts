/**
 * The orders process as simulated until the real pipeline stands here: decides fates in a ledger that loses nothing,
 * and tells the store afterwards, again and again until it knows. Nobody settles what the ledger has not decided.
 */
import { compareVersions, type Order, type ReleaseReason, type Version, VERSION_ZERO } from '../stock/core/words.ts'
import type { SettleItem } from '../stock/port.ts'
import { delay } from '../runtime/timers.ts'
import type { Host } from './host.ts'
import type { StoreCluster } from './store-cluster.ts'
import { StoreLink } from './store-link.ts'

export interface Fate {
  readonly orderId: string
  readonly state: 'paid' | 'released'
  readonly reason: ReleaseReason | null
  readonly atMs: number
  /** Clocks when a hold was found overdue; null for what buyers asked. */
  readonly overdue: { readonly storeMs: number; readonly ledgerMs: number; readonly deadlineMs: number } | null
  isSettled: boolean
}

const SETTLE_EVERY_MS = 100
const SWEEP_EVERY_MS = 500
const SETTLE_MAX = 100

export class Cashier {
  readonly host: Host
  readonly link: StoreLink
  /** The ledger: outlives the process. */
  readonly fates = new Map<string, Fate>()
  /** Orders whose fate in the store contradicts the ledger. */
  readonly conflicts = new Set<string>()
  readonly #saleId: string
  readonly #holdMs: number
  #seen: Version = VERSION_ZERO

  constructor(host: Host, cluster: StoreCluster, saleId: string, holdMs: number) {
    this.host = host
    this.link = new StoreLink(host, cluster)
    this.#saleId = saleId
    this.#holdMs = holdMs
    this.#begin()
    host.onStart = () => {
      this.link.connect()
      this.#begin()
    }
  }

  /** Every fate is known to the store. */
  get isSettled(): boolean {
    return [...this.fates.values()].every((fate) => fate.isSettled)
  }

  async decide(orderId: string, kind: 'pay' | 'cancel'): Promise<'ok' | 'fail' | 'unknown'> {
    const wanted = kind === 'pay' ? 'paid' : 'released'
    try {
      const decided = this.fates.get(orderId)
      if (decided !== undefined) return decided.state === wanted ? 'ok' : 'fail'
      const [order] = await this.link.port.sales.readOrders(this.#saleId, [orderId])
      if (order === null || order === undefined) return 'unknown'
      const meanwhile = this.fates.get(orderId)
      if (meanwhile !== undefined) return meanwhile.state === wanted ? 'ok' : 'fail'
      if (order.state !== 'held') return 'fail'
      this.#decide(orderId, wanted, kind === 'pay' ? null : 'cancelled', null)
      return 'ok'
    } catch {
      return 'unknown'
    }
  }

  #decide(orderId: string, state: Fate['state'], reason: ReleaseReason | null, overdue: Fate['overdue']): void {
    this.fates.set(orderId, { orderId, state, reason, atMs: this.host.nowMs(), overdue, isSettled: false })
  }

  #begin(): void {
    const again = (everyMs: number, work: () => Promise<void>): void =>
      void work()
        .catch(() => {})
        .then(() => delay(this.host.timers, everyMs))
        .then(() => again(everyMs, work))
    again(SETTLE_EVERY_MS, () => this.#settle())
    again(SWEEP_EVERY_MS, () => this.#sweep())
  }

  async #settle(): Promise<void> {
    const open = [...this.fates.values()].filter((fate) => !fate.isSettled).slice(0, SETTLE_MAX)
    if (open.length === 0) return
    const items = open.map(({ orderId, state, reason, atMs }): SettleItem => ({
      orderId,
      fate: state === 'paid' ? { state } : { state, reason: reason ?? 'expired' },
      atMs: Math.floor(atMs),
    }))
    const reply = await this.link.port.sales.settle(this.#saleId, items, this.#seen)
    if (reply.outcome !== 'settled') return
    this.#hear(reply.version)
    for (const [index, fate] of open.entries()) {
      // An order that the store does not know may come back with a recovery, and is then told again.
      fate.isSettled = true
      if (reply.results[index] === 'conflict') this.conflicts.add(fate.orderId)
    }
  }

  /** Holds whose time is over by the store's clock and by this one. */
  async #sweep(): Promise<void> {
    const { sales } = this.link.port
    const sentMs = this.host.nowMs()
    const snapshot = await sales.read(this.#saleId, { buffer: { tickets: 1 }, deadAfterMs: 1 })
    if (snapshot === null) return
    this.#hear(snapshot.version)
    let cursor: string | null = ''
    while (cursor !== null) {
      const page: { readonly cursor: string | null; readonly orders: readonly Order[] } = await sales.scanOrders(
        this.#saleId,
        cursor,
      )
      for (const order of page.orders) {
        const deadlineMs = order.createdAtMs + this.#holdMs
        const isOverdue = snapshot.nowMs > deadlineMs && sentMs > deadlineMs
        if (order.state !== 'held' || !isOverdue) continue
        const fate = this.fates.get(order.id)
        // It was settled in a history that is lost, and came into being again.
        if (fate !== undefined) fate.isSettled = false
        if (fate !== undefined) continue
        this.#decide(order.id, 'released', 'expired', { storeMs: snapshot.nowMs, ledgerMs: sentMs, deadlineMs })
      }
      cursor = page.cursor
    }
  }

  /** In a new era the store may be an older copy: every fate is told again. */
  #hear(version: Version): void {
    if (version.era > this.#seen.era) for (const fate of this.fates.values()) fate.isSettled = false
    if (compareVersions(version, this.#seen) > 0) this.#seen = version
  }
}
