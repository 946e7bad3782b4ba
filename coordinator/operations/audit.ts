/**
 * `audit ID`: recounts a sale from its order records. No counter may prove itself, so everything is compared with
 * something that was counted another way:
 *
 * - each fare's counters with the sums over the records, as of the counters' seq, and with the conservation law;
 * - each buyer's stored tickets with the buyer's records, and with the limit;
 * - the tickets that the nodes say they confirmed with the records ever made;
 * - what each live node has seen with what the store has;
 * - what each node told buyers in earlier lives of the store with the records, order by order;
 * - every row of the ledger with the order's record, and the ledger's own counters with its rows;
 * - each order's money with its state, by the orders process.
 *
 * It is valid while the sale goes on and nodes die. Where two things cannot be read at one instant, a difference
 * counts only if it is still there when both are read again.
 */
import { compareVersions, type FareCounters } from '../../stock/core/words.ts'
import type { SaleSnapshot } from '../../stock/port.ts'
import { auditBuyers } from './audit-buyers.ts'
import { auditLedger, type LedgerCount } from './audit-ledger.ts'
import { auditLost } from './audit-lost.ts'
import { auditNodes, type AuditNode } from './audit-nodes.ts'
import { SortedOrders } from './audit-orders.ts'
import { moneyProblems } from './money.ts'
import type { FareCount, Problem, Recount } from './recount.ts'
import { readSale } from './sales.ts'
import { timeOf } from './views.ts'
import type { World } from './world.ts'

export interface AuditFare {
  readonly id: string
  readonly stock: number
  readonly remaining: number
  readonly held: number
  readonly paid: number
  readonly countedHeld: number
  readonly countedPaid: number
  /** Tickets by the ledger's rows; null when it could not be asked. */
  readonly ledgerHeld: number | null
  readonly ledgerPaid: number | null
  /** Tickets counted in the store that are on their way into the ledger, or whose release is on its way back. */
  readonly ledgerPending: number | null
  /** stock - remaining - held - paid; anything but 0 breaks the conservation law. */
  readonly diff: number
}

export interface AuditReport {
  readonly saleId: string
  readonly at: string
  readonly fares: readonly AuditFare[]
  readonly nodes: readonly AuditNode[]
  readonly buyersOverLimit: number
  readonly problems: readonly Problem[]
  readonly ok: boolean
}

export async function audit(world: World, saleId: string): Promise<AuditReport> {
  const snapshot = await readSale(world, saleId)
  const orders = new SortedOrders(snapshot)
  try {
    return await compareAll(world, snapshot, orders)
  } finally {
    await orders.close()
  }
}

async function compareAll(world: World, snapshot: SaleSnapshot, orders: SortedOrders): Promise<AuditReport> {
  const saleId = snapshot.definition.id
  const { recount } = orders
  await orders.readAll(world, saleId)
  const ledger = await auditLedger(world, snapshot, orders)
  const fares = snapshot.fares.map((counters) =>
    auditFare(counters, countOf(recount, counters.fareId), ledger.fares?.get(counters.fareId) ?? null),
  )
  const buyers = await auditBuyers(world, snapshot, orders)
  const nodes = await auditNodes(world, saleId)
  const lost = await auditLost(world, saleId)
  const problems = [
    ...snapshot.fares.flatMap((counters) => fareProblems(counters, countOf(recount, counters.fareId))),
    ...recount.findings.list(),
    ...buyers.problems,
    ...confirmedProblems(snapshot, recount),
    ...(await seqProblems(world, snapshot, recount)),
    ...nodes.problems,
    ...lost,
    ...ledger.problems,
    ...fares.flatMap(ledgerProblems),
    ...(await moneyProblems(world, saleId)),
  ]
  return {
    saleId,
    at: timeOf(snapshot.nowMs),
    fares,
    nodes: nodes.nodes,
    buyersOverLimit: buyers.overLimit,
    problems,
    ok: problems.length === 0,
  }
}

function countOf(recount: Recount, fareId: string): FareCount {
  return recount.fares.get(fareId) ?? { held: 0, paid: 0 }
}

function auditFare(counters: FareCounters, counted: FareCount, ledger: LedgerCount | null): AuditFare {
  const { fareId, stock, remaining, held, paid } = counters
  return {
    id: fareId,
    stock,
    remaining,
    held,
    paid,
    countedHeld: counted.held,
    countedPaid: counted.paid,
    ledgerHeld: ledger?.held ?? null,
    ledgerPaid: ledger?.paid ?? null,
    ledgerPending: ledger?.pending ?? null,
    diff: stock - remaining - held - paid,
  }
}

function fareProblems(counters: FareCounters, counted: FareCount): Problem[] {
  const { fareId, stock, remaining, held, paid } = counters
  const problems: Problem[] = []
  const numbers = Object.entries({ stock, remaining, held, paid })
  for (const [name, value] of numbers.filter(([, number]) => !Number.isSafeInteger(number) || number < 0)) {
    problems.push({ rule: 'counter_range', witness: `fare ${fareId}: counter ${name} is ${value}` })
  }
  if (stock !== remaining + held + paid) {
    const sum = `remaining ${remaining} + held ${held} + paid ${paid} = ${remaining + held + paid}`
    problems.push({ rule: 'conservation', witness: `fare ${fareId}: stock is ${stock}, ${sum}` })
  }
  if (counted.held + counted.paid > stock) {
    const tickets = counted.held + counted.paid
    problems.push({ rule: 'oversold', witness: `fare ${fareId}: orders of ${tickets} tickets, stock ${stock}` })
  }
  for (const state of ['held', 'paid'] as const) {
    if (counted[state] === counters[state]) continue
    const witness = `fare ${fareId}: counter ${state} is ${counters[state]}, the order records sum to ${counted[state]}`
    problems.push({ rule: `${state}_counter`, witness })
  }
  return problems
}

/** Follows from the orders compared one by one, and is added up once more all the same. */
function ledgerProblems({ id, countedHeld, countedPaid, ledgerHeld, ledgerPaid, ledgerPending }: AuditFare): Problem[] {
  if (ledgerHeld === null || ledgerPaid === null || ledgerPending === null) return []
  const inLedger = ledgerHeld + ledgerPaid + ledgerPending
  if (countedHeld + countedPaid === inLedger) return []
  const sum = `held ${ledgerHeld} + paid ${ledgerPaid} + pending ${ledgerPending} = ${inLedger}`
  const witness = `fare ${id}: the order records sum to ${countedHeld + countedPaid}, the ledger to ${sum}`
  return [{ rule: 'ledger_sum', witness }]
}

/** Every order was made by some node, and each node's record counts what it made. */
function confirmedProblems(snapshot: SaleSnapshot, recount: Recount): Problem[] {
  const confirmed = snapshot.nodes.reduce((sum, node) => sum + node.confirmed, snapshot.unattributed)
  if (confirmed === recount.confirmed) return []
  const witness = `the nodes' records sum to ${confirmed} confirmed tickets, the order records to ${recount.confirmed}`
  return [{ rule: 'confirmed_counter', witness }]
}

/** No record may come from the future: read after all records, the sale's seq is not lower than any in them. */
async function seqProblems(world: World, before: SaleSnapshot, recount: Recount): Promise<Problem[]> {
  const after = await readSale(world, before.definition.id)
  const problems: Problem[] = []
  if (compareVersions(after.version, before.version) < 0) {
    problems.push({ rule: 'version', witness: `the store went back from ${show(before)} to ${show(after)}` })
  }
  if (recount.seqMax > after.version.seq) {
    const witness = `an order was changed at seq ${recount.seqMax}, the sale is at ${show(after)}`
    problems.push({ rule: 'version', witness })
  }
  return problems
}

function show({ version }: SaleSnapshot): string {
  return `era ${version.era} seq ${version.seq}`
}
