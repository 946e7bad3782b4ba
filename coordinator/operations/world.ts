/** What operations work on; the daemon and a CLI without a coordinator both make one. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { QuotaRules } from '../../stock/core/words.ts'
import type { StockPort } from '../../stock/port.ts'
import type { AskTold } from '../../http/node-journal.ts'
import type { AskNode } from '../../http/node-report.ts'
import type { OrdersDoor } from './orders-door.ts'

export interface World {
  readonly port: StockPort
  readonly rules: QuotaRules
  readonly askNode: AskNode
  readonly askTold: AskTold
  /** The ledger's one door. */
  readonly orders: OrdersDoor
  /** Under which a leader acts; see {@link underLease}. */
  readonly lease?: number
  /** Never goes back. */
  readonly monotonicMs: () => number
  readonly wait: (ms: number) => Promise<void>
}

export function realWorld(parts: Pick<World, 'port' | 'rules' | 'askNode' | 'askTold' | 'orders'>): World {
  return { ...parts, monotonicMs: () => performance.now(), wait: (ms) => sleep(ms) }
}

/** For one act of a leader, with the lease that it held when it was asked: nothing is done under an older one. */
export function underLease(world: World, lease: number): World {
  return { ...world, lease, orders: world.orders.under(lease) }
}
