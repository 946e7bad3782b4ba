/**
 * The part of the audit about the ledger: every row of it against every order record of the store, each fare's stock,
 * which is in both, and the ledger's own counters, which only its triggers should move, against its rows.
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
import type { SortedOrders } from './audit-orders.ts'
import { Findings } from './findings.ts'
import { HOLES, Pigeonholes, type Packing } from './pigeonholes.ts'
import { type CountedOrder, stateAsOf, type Problem } from './recount.ts'
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

/** Of each fare, by the ledger. */
interface FareRecount {
  readonly fareId: string
  readonly held: number
  readonly paid: number
  readonly countedHeld: number
  readonly countedPaid: number
}

/** An order on which the two differed when they were read first. */
interface Suspect {
  readonly id: string
  /** What the store counted of it as of the seq; null for nothing. */
  readonly record: { readonly fareId: string; readonly quantity: number } | null
  readonly row: Row | null
}

const READ_AGAIN_WITHIN_MS = 10_000
const READ_AGAIN_EVERY_MS = 200
const IDS_AT_ONCE = 100
/** So many are read again until they agree; then the next ones. */
const SUSPECTS_AT_ONCE = 20_000

const ROWS: Packing<Row> = {
  pack: ({ id, fareId, quantity, state }) => [id, fareId, quantity, state],
  unpack(fields) {
    const [id, fareId, quantity, state] = fields as [string, string, number, Order['state']]
    return { id, fareId, quantity, state }
  },
}

const SUSPECTS: Packing<Suspect> = {
  pack: ({ id, record, row }) => [
    id,
    record?.fareId ?? null,
    record?.quantity ?? null,
    row?.fareId ?? null,
    row?.quantity ?? null,
    row?.state ?? null,
  ],
  unpack(fields) {
    const [id, inStore, counted, inLedger, quantity, state] = fields as [
      string,
      string | null,
      number | null,
      string | null,
      number | null,
      Order['state'] | null,
    ]
    return {
      id,
      record: inStore === null || counted === null ? null : { fareId: inStore, quantity: counted },
      row: inLedger === null || quantity === null || state === null ? null : { id, fareId: inLedger, quantity, state },
    }
  },
}

export async function auditLedger(world: World, snapshot: SaleSnapshot, orders: SortedOrders): Promise<LedgerAudit> {
  try {
    return await askLedger(world, snapshot, orders)
  } catch (error) {
    if (!(error instanceof OperationError) || error.code === 'no_room') throw error
    return { fares: null, problems: [{ rule: 'ledger_away', witness: error.message }] }
  }
}

async function askLedger(world: World, snapshot: SaleSnapshot, orders: SortedOrders): Promise<LedgerAudit> {
  const saleId = snapshot.definition.id
  const rows = new Pigeonholes(ROWS)
  const suspects = new Pigeonholes(SUSPECTS)
  const counts = new Counts(snapshot)
  const wrong = new Findings()
  try {
    await readRows(world, saleId, rows)
    for (let hole = 0; hole < HOLES; hole++) await compareHole(hole, { orders, rows, suspects, counts })
    await judgeSuspects(world, saleId, suspects, counts, wrong)
  } finally {
    await rows.close()
    await suspects.close()
  }
  const stocks = await stockProblems(world, saleId)
  const counters = await counterProblems(world, saleId)
  return { fares: counts.fares, problems: [...stocks, ...counters, ...wrong.list()] }
}

/** The counters let no ticket too many through: one that was changed by hand past the triggers lets one through. */
async function counterProblems(world: World, saleId: string): Promise<Problem[]> {
  const path = `/admin/sales/${saleId}/recount`
  const { fares } = await world.orders.call<{ readonly fares: readonly FareRecount[] }>('GET', path)
  return fares.flatMap(({ fareId, held, paid, countedHeld, countedPaid }) =>
    [
      { name: 'held', counter: held, counted: countedHeld },
      { name: 'paid', counter: paid, counted: countedPaid },
    ]
      .filter(({ counter, counted }) => counter !== counted)
      .map(({ name, counter, counted }) => ({
        rule: 'ledger_counter',
        witness: `fare ${fareId}: the ledger's counter ${name} is ${counter}, its rows sum to ${counted}`,
      })),
  )
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

async function readRows(world: World, saleId: string, rows: Pigeonholes<Row>): Promise<void> {
  let after: string | null = null
  do {
    const query: string = after === null ? '' : `?after=${encodeURIComponent(after)}`
    const page: BooksPage = await world.orders.call<BooksPage>('GET', `/admin/sales/${saleId}/books${query}`)
    for (const row of page.items) rows.put(row.id, row)
    await rows.spill()
    after = page.next
  } while (after !== null)
}

interface Comparison {
  readonly orders: SortedOrders
  readonly rows: Pigeonholes<Row>
  readonly suspects: Pigeonholes<Suspect>
  readonly counts: Counts
}

/** What agrees is counted; what differs is put aside. */
async function compareHole(hole: number, { orders, rows: allRows, suspects, counts }: Comparison): Promise<void> {
  const records = await orders.records(hole)
  const rows = new Map((await allRows.read(hole)).map((row) => [row.id, row]))
  for (const id of new Set([...records.keys(), ...rows.keys()])) {
    const record = records.get(id) ?? null
    const row = rows.get(id) ?? null
    const suspect = { id, record: counts.countedOf(record), row }
    if (differs(record, row)) suspects.put(id, suspect)
    else counts.add(suspect, false)
  }
  await suspects.spill()
}

/** One deadline for all: those that come last have had the time already, and are read once. */
async function judgeSuspects(
  world: World,
  saleId: string,
  suspects: Pigeonholes<Suspect>,
  counts: Counts,
  findings: Findings,
): Promise<void> {
  const deadlineMs = world.monotonicMs() + READ_AGAIN_WITHIN_MS
  let batch: Suspect[] = []
  for (let hole = 0; hole < HOLES; hole++) {
    for (const suspect of await suspects.read(hole)) batch.push(suspect)
    if (batch.length < SUSPECTS_AT_ONCE && hole < HOLES - 1) continue
    const ids = batch.map(({ id }) => id).toSorted()
    const wrong = await readAgain(world, saleId, ids, deadlineMs)
    for (const suspect of batch) counts.add(suspect, wrong.has(suspect.id))
    for (const problem of wrong.values()) findings.add(problem)
    batch = []
  }
}

function differs(record: Pick<CountedOrder, 'fareId' | 'quantity' | 'state'> | null, row: Row | null): boolean {
  if (record === null || row === null) return true
  return record.state !== row.state || record.quantity !== row.quantity || record.fareId !== row.fareId
}

/** Reads both sides of these orders until they agree; what does not within the time is a problem, by order. */
async function readAgain(
  world: World,
  saleId: string,
  ids: readonly string[],
  deadlineMs: number,
): Promise<ReadonlyMap<string, Problem>> {
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

/** The ledger's tickets by fare, as of the seq of the store's counters. */
class Counts {
  readonly fares: ReadonlyMap<string, LedgerCount>
  readonly #seq: number

  constructor(snapshot: SaleSnapshot) {
    this.#seq = snapshot.version.seq
    this.fares = new Map(snapshot.definition.fares.map(({ id }) => [id, { held: 0, paid: 0, pending: 0 }]))
  }

  /** What the store counted of an order as of the seq. */
  countedOf(record: CountedOrder | null): Suspect['record'] {
    const state = record === null ? null : stateAsOf(record, this.#seq)
    if (record === null || (state !== 'held' && state !== 'paid')) return null
    return { fareId: record.fareId, quantity: record.quantity }
  }

  /** What was under way counts on neither side, or as pending; what is wrong counts as it stands. */
  add({ record, row }: Suspect, isWrong: boolean): void {
    if (row !== null && row.state !== 'released' && (record !== null || isWrong)) {
      const fare = this.fares.get(row.fareId)
      if (fare !== undefined) fare[row.state] += row.quantity
    } else if (record !== null && !isWrong) {
      const fare = this.fares.get(record.fareId)
      if (fare !== undefined) fare.pending += record.quantity
    }
  }
}
