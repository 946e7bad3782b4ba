/**
 * Bringing a batch of orders into the ledger: whole at once when nothing is wrong with it, else so carefully that only
 * what is wrong stays out. What does not fit under the stock is released, and what no row can hold is put aside.
 */
import type { Order } from '../../stock/core/words.ts'
import type { Transaction } from './database.ts'
import { setAside } from './dead-letters.ts'
import { fitted, type Intake, isConflict, reconciledAll, type Room } from './intake.ts'
import type { DeadLetter, LedgerOrder } from './ledger.ts'
import { insertOrders, type OrderChange, ordersOf, type PlacedOrder, selectById, updateOrders } from './order-table.ts'
import { isRefused } from './sql-error.ts'

export interface Taken {
  readonly inserted: number
  /** The rows of the batch as they are now. */
  readonly orders: readonly LedgerOrder[]
  readonly conflicts: readonly string[]
  readonly setAside: readonly string[]
}

export type Insert = (transaction: Transaction, saleId: string, intake: Intake, position: number) => Promise<Taken>

/** All at once. Rejects when the database refuses any of them. */
export async function insertWhole(
  transaction: Transaction,
  saleId: string,
  intake: Intake,
  position: number,
): Promise<Taken> {
  const placed = placedAfter(position, intake.orders)
  const inserted = await insertOrders(transaction, saleId, placed)
  const rest = placed.filter(({ order }) => !inserted.has(order.id))
  const known = rest.length > 0 ? await reconcile(transaction, intake, rest) : new Map<string, LedgerOrder>()
  await setAside(transaction, saleId, intake.faults)
  const news = ordersOf(placed).filter(({ id }) => inserted.has(id))
  return {
    inserted: inserted.size,
    orders: [...news, ...known.values()],
    conflicts: [],
    setAside: intake.faults.map(({ record }) => record.id),
  }
}

/** First fits the new ones under the stock; if the rest is refused even so, inserts one by one. */
export async function insertCarefully(
  transaction: Transaction,
  saleId: string,
  intake: Intake,
  position: number,
  former: readonly DeadLetter[] = [],
): Promise<Taken> {
  const placed = placedAfter(position, intake.orders)
  const known = await reconcile(transaction, intake, placed)
  const news = placed.filter(({ order }) => !known.has(order.id))
  const books = await readBooks(transaction, saleId)
  const plan = fittedInto(books, news)
  const whole = await attempt(transaction, async () => insertOrders(transaction, saleId, plan))
  const { orders, refused } =
    whole.error === null
      ? { orders: ordersOf(plan).filter(({ id }) => whole.value.has(id)), refused: [] }
      : await insertSingly(transaction, saleId, news)
  const faults = [...intake.faults, ...refused.flatMap(({ id, error }) => faultOf(intake.records.get(id), error))]
  await setAside(transaction, saleId, faults, former)
  return {
    inserted: orders.length,
    orders: [...orders, ...known.values()],
    conflicts: orders.filter(isConflict).map(({ id }) => id),
    setAside: faults.map(({ record }) => record.id),
  }
}

/** Slow, several statements each; only for a batch in which some row is refused for another reason than the stock. */
async function insertSingly(
  transaction: Transaction,
  saleId: string,
  news: readonly PlacedOrder[],
): Promise<{ readonly orders: LedgerOrder[]; readonly refused: { readonly id: string; readonly error: string }[] }> {
  const orders: LedgerOrder[] = []
  const refused: { id: string; error: string }[] = []
  for (const one of news) {
    const plan = fittedInto(await readBooks(transaction, saleId), [one])
    const result = await attempt(transaction, async () => insertOrders(transaction, saleId, plan))
    if (result.error !== null) refused.push({ id: one.order.id, error: result.error.message })
    else if (result.value.size > 0) orders.push(...ordersOf(plan))
  }
  return { orders, refused }
}

function faultOf(record: Order | undefined, error: string): Intake['faults'] {
  return record === undefined ? [] : [{ record, error }]
}

function placedAfter(position: number, orders: readonly LedgerOrder[]): PlacedOrder[] {
  return orders.map((order, index) => ({ order, position: position + index + 1 }))
}

function fittedInto({ rooms, nowMs }: Books, placed: readonly PlacedOrder[]): PlacedOrder[] {
  const orders = fitted(ordersOf(placed), rooms, nowMs)
  return placed.map(({ order, position }, index) => ({ order: orders[index] ?? order, position }))
}

/** Undoes the work where the database refuses it, and keeps the transaction. */
async function attempt<T>(
  transaction: Transaction,
  work: () => Promise<T>,
): Promise<{ readonly error: null; readonly value: T } | { readonly error: Error }> {
  await transaction.query('savepoint attempt')
  try {
    const value = await work()
    await transaction.query('release savepoint attempt')
    return { error: null, value }
  } catch (error) {
    if (!isRefused(error)) throw error
    await transaction.query('rollback to savepoint attempt')
    return { error }
  }
}

/** Brings the orders that are there already up to what their records say; returns all that are there, as they are then. */
async function reconcile(
  transaction: Transaction,
  intake: Intake,
  placed: readonly PlacedOrder[],
): Promise<ReadonlyMap<string, LedgerOrder>> {
  const positions = new Map(placed.map(({ order, position }) => [order.id, position]))
  const known = await selectById(transaction, [...positions.keys()])
  const after = reconciledAll(ordersOf(known), intake.records)
  const before = new Map(known.map((one) => [one.order.id, one]))
  const changes = after.flatMap((order): OrderChange[] => {
    const was = before.get(order.id)
    if (was === undefined) return []
    const isMoved = was.order.state !== order.state
    return [{ order, before: was.order.state, position: (isMoved ? positions.get(order.id) : null) ?? was.position }]
  })
  await updateOrders(transaction, changes)
  return new Map([...known.map(({ order }) => order), ...after].map((order) => [order.id, order]))
}

interface Books {
  readonly rooms: ReadonlyMap<string, Room>
  readonly nowMs: number
}

async function readBooks(transaction: Transaction, saleId: string): Promise<Books> {
  const rows = await transaction.query<{ id: string; free: number; now_ms: number }>(
    'select id, stock - held - paid as free, ledger_now_ms() as now_ms from fares where sale_id = $1',
    [saleId],
  )
  return { rooms: new Map(rows.map(({ id, free }) => [id, { free }])), nowMs: rows[0]?.now_ms ?? Number.NaN }
}
