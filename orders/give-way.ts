/**
 * The everyday path gives way to the rush path where both share a core, as on a machine that runs the whole cluster: taking
 * a batch of orders into the embedded database is one piece of work of many milliseconds, in which a buyer's purchase
 * would wait. Behind by a moment, the ledger costs nobody anything; where cores are idle, nothing changes.
 */
import os from 'node:os'
import type { Config } from '../config/options.ts'

interface Priority {
  readonly getPriority: () => number
  readonly setPriority: (nice: number) => void
}

/** Not where buyers wait for the ledger itself. Never less nice than whoever started the process wanted it to be. */
export function giveWay({ ack, orders }: Pick<Config, 'ack' | 'orders'>, priority: Priority = os): void {
  if (ack === 'ledger' || orders.nice <= priority.getPriority()) return
  priority.setPriority(orders.nice)
}
