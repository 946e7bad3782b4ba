/**
 * The everyday path gives way to the rush path where both share a core, as on a machine that runs the whole cluster: taking
 * a batch of orders into the embedded database is one piece of work of many milliseconds, in which a buyer's purchase
 * would wait. Behind by a moment, the ledger costs nobody anything; where cores are idle, nothing changes.
 */
import { readdirSync } from 'node:fs'
import os from 'node:os'
import type { Config } from '../config/options.ts'

interface Priority {
  readonly getPriority: () => number
  readonly setPriority: (thread: number, nice: number) => void
  readonly threads: () => readonly number[]
}

/**
 * Linux gives each thread a priority of its own, which those it starts later take over. The ones that compile and collect
 * have been there from the start.
 */
function threadsOfProcess(): readonly number[] {
  return process.platform === 'linux' ? readdirSync('/proc/self/task').map(Number) : [process.pid]
}

const SYSTEM: Priority = {
  getPriority: os.getPriority,
  setPriority: os.setPriority,
  threads: threadsOfProcess,
}

/** Not where buyers wait for the ledger itself. Never less nice than whoever started the process wanted it to be. */
export function giveWay({ ack, orders }: Pick<Config, 'ack' | 'orders'>, priority: Priority = SYSTEM): void {
  if (ack === 'ledger' || orders.nice <= priority.getPriority()) return
  for (const thread of priority.threads()) priority.setPriority(thread, orders.nice)
}
