/**
 * The part of the audit about the ledger: every row of it against every order record of the store, and each fare's
 * stock, which is in both.
 *
 * The two are never read at one instant, and orders are on their way between them all the time: an order comes into
 * the ledger a moment after the store made it, and a fate comes into the store a moment after the ledger committed it.
 * So what differs is read again, both sides, and counts only if it still differs; at most 10 s later. What agreed by
 * then was under way: `ledgerPending` is the tickets that the store counted and the ledger did not, for that reason.
 *
 * All is as of the counters' seq, like the recount: an order made after it is not counted on either side.
 */
import type { Order } from '../../stock/core/words.ts'
import type { SaleSnapshot } from '../../stock/port.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import { stateAsOf, type Problem } from './recount.ts'
import { readSale } from './sales.ts'
import type { World } from './world.ts'

export interface LedgerCount {
  held: number
  paid: number
  pending: number
}

export interface LedgerAudit {
  /** By fare; null when the ledger could not be asked. */
  readonly fares: ReadonlyMap<string, LedgerCount> | null
  readonly problems: readonly Problem[]
}

/** A row of the ledger, as far as it is compared. */
interface Row {
  readonly id: string
  readonly fareId: string
  readonly quantity: number
  readonly state: Order['state']
}

interface BooksPage {
  readonly items: readonly Row[]
  readonly next: string | null
  readonly stocks: readonly { readonly fareId: string; readonly stock: number }[]
}

const READ_AGAIN_WITHIN_MS = 10_000
const READ_AGAIN_EVERY_MS = 200
const IDS_AT_ONCE = 100
/** More than anybody reads. */
const PROBLEMS_MAX = 100

export async function auditLedger(
  world: World,
  snapshot: SaleSnapshot,
  records: ReadonlyMap<string, Order>,
): Promise<LedgerAudit> {
  try {
    return await askLedger(world, snapshot, records)
  } catch (error) {
    if (!(error instanceof OperationError)) throw error
    return { fares: null, problems: [{ rule: 'ledger_away', witness: error.message }] }
  }
}

async function askLedger(
  world: World,
  snapshot: SaleSnapshot,
  records: ReadonlyMap<string, Order>,
): Promise<LedgerAudit> {
  const saleId = snapshot.definition.id
  const rows = await readRows(world, saleId)
  const suspects = [...new Set([...records.keys(), ...rows.keys()])].filter((id) =>
    differs(records.get(id) ?? null, rows.get(id) ?? null),
  )
  const left = await readAgain(world, saleId, suspects)
  const stocks = await stockProblems(world, saleId)
  const counts = count(snapshot, records, rows, left)
  return { fares: counts, problems: [...stocks, ...left.values()].slice(0, PROBLEMS_MAX) }
}

/** A change of stock is done in one of the two first: only what still differs after the time is wrong. */
async function stockProblems(world: World, saleId: string): Promise<readonly Problem[]> {
  const deadlineMs = world.monotonicMs() + READ_AGAIN_WITHIN_MS
  for (;;) {
    const problems = await compareStocks(world, saleId)
    if (problems.length === 0 || world.monotonicMs() >= deadlineMs) return problems
    await world.wait(READ_AGAIN_EVERY_MS)
  }
}

async function compareStocks(world: World, saleId: string): Promise<Problem[]> {
  const { stocks } = await world.orders.call<BooksPage>('GET', `/admin/sales/${saleId}/books?ids=`)
  const { fares } = await readSale(world, saleId)
  const inLedger = new Map(stocks.map(({ fareId, stock }) => [fareId, stock]))
  return fares.flatMap(({ fareId, stock }): Problem[] => {
    const told = inLedger.get(fareId) ?? null
    if (told === stock) return []
    const witness = `fare ${fareId}: stock is ${stock} in the store, ${told ?? 'unknown'} in the ledger`
    return [{ rule: 'ledger_stock', witness }]
  })
}

async function readRows(world: World, saleId: string): Promise<Map<string, Row>> {
  const rows = new Map<string, Row>()
  let after: string | null = null
  do {
    const query: string = after === null ? '' : `?after=${encodeURIComponent(after)}`
    const page: BooksPage = await world.orders.call<BooksPage>('GET', `/admin/sales/${saleId}/books${query}`)
    for (const row of page.items) rows.set(row.id, row)
    after = page.next
  } while (after !== null)
  return rows
}

function differs(record: Order | null, row: Row | null): boolean {
  if (record === null || row === null) return true
  return record.state !== row.state || record.quantity !== row.quantity || record.fareId !== row.fareId
}

/** Reads both sides of these orders until they agree; what does not within the time is a problem, by order. */
async function readAgain(world: World, saleId: string, ids: readonly string[]): Promise<ReadonlyMap<string, Problem>> {
  const deadlineMs = world.monotonicMs() + READ_AGAIN_WITHIN_MS
  let left = ids
  for (;;) {
    const problems = new Map<string, Problem>()
    for (let start = 0; start < left.length; start += IDS_AT_ONCE) {
      const found = await look(world, saleId, left.slice(start, start + IDS_AT_ONCE))
      for (const [id, problem] of found) problems.set(id, problem)
    }
    left = [...problems.keys()]
    if (left.length === 0 || world.monotonicMs() >= deadlineMs) return problems
    await world.wait(READ_AGAIN_EVERY_MS)
  }
}

async function look(world: World, saleId: string, ids: readonly string[]): Promise<[string, Problem][]> {
  // The ledger is read between two reads of the store: what is in the second as in the first was so at that moment.
  const before = await world.port.sales.readOrders(saleId, ids)
  const page = await world.orders.call<BooksPage>('GET', `/admin/sales/${saleId}/books?ids=${ids.join(',')}`)
  const after = await world.port.sales.readOrders(saleId, ids)
  const rows = new Map(page.items.map((row) => [row.id, row]))
  return ids.flatMap((id, index): [string, Problem][] => {
    const row = rows.get(id) ?? null
    const records = [before[index] ?? null, after[index] ?? null]
    if (records.some((record) => !differs(record, row))) return []
    const witness = `order ${id}: the store says ${told(records[1] ?? null)}, the ledger ${told(row)}`
    return [[id, { rule: 'ledger_order', witness }]]
  })
}

function told(order: Pick<Order, 'state' | 'quantity' | 'fareId'> | null): string {
  return order === null ? 'nothing' : `${order.state}, ${order.quantity} of ${order.fareId}`
}

function count(
  snapshot: SaleSnapshot,
  records: ReadonlyMap<string, Order>,
  rows: ReadonlyMap<string, Row>,
  wrong: ReadonlyMap<string, Problem>,
): ReadonlyMap<string, LedgerCount> {
  const counts = new Map(snapshot.definition.fares.map(({ id }) => [id, { held: 0, paid: 0, pending: 0 }]))
  for (const id of new Set([...records.keys(), ...rows.keys()])) {
    const record = records.get(id)
    const row = rows.get(id)
    const inStore = record === undefined ? null : stateAsOf(record, snapshot.version.seq)
    const isCounted = inStore === 'held' || inStore === 'paid'
    // What was under way counts on neither side, or as pending; what is wrong counts as it stands.
    if (row !== undefined && row.state !== 'released' && (isCounted || wrong.has(id))) {
      const fare = counts.get(row.fareId)
      if (fare !== undefined) fare[row.state] += row.quantity
    } else if (isCounted && record !== undefined && !wrong.has(id)) {
      const fare = counts.get(record.fareId)
      if (fare !== undefined) fare.pending += record.quantity
    }
  }
  return counts
}
