/**
 * The ledger on a SQL database.
 *
 * Every transaction that changes orders first locks the row of their sale (of several sales in the order of their ids)
 * and reads what it decides on afterwards. So decisions on a sale happen one after the other, no two processes can wait
 * for each other, and a position once visible has none still to come behind it. What is decided is pure (`fate.ts`,
 * `intake.ts`); the database's own constraints and triggers guard it once more.
 */
import type { Order, SaleDefinition, SaleState } from '../../stock/core/words.ts'
import type { Database, Query, Transaction } from './database.ts'
import { type Clocks, decideAll, lapsedUpToMs, withFate } from './fate.ts'
import { fitted, type Intake, isConflict, planIntake, reconciledAll, type Room, TRIES_MAX } from './intake.ts'
import type {
  DeadLetter,
  Decision,
  DecisionResult,
  EnsureResult,
  EventBatch,
  FareRecount,
  FeedItem,
  Ledger,
  LedgerOrder,
  LedgerSale,
  Page,
  TakeResult,
  Watermark,
} from './ledger.ts'
import {
  insertOrders,
  type OrderChange,
  type PlacedOrder,
  selectById,
  selectOrders,
  updateOrders,
} from './order-table.ts'
import { readSales } from './sale-table.ts'
import { isRefused } from './sql-error.ts'

interface Taken {
  readonly inserted: number
  /** The rows of the batch as they are now. */
  readonly orders: readonly LedgerOrder[]
  readonly conflicts: readonly string[]
  readonly setAside: readonly string[]
}

/** A sale's row, locked. */
interface LockedSale {
  readonly last_position: number
  readonly now_ms: number
}

const OK_CURSOR = /^(\d{1,15})-([0-9a-z]{1,64})$/

export class SqlLedger implements Ledger {
  readonly #database: Database
  /** Definitions never change. */
  readonly #definitions = new Map<string, SaleDefinition>()

  constructor(database: Database) {
    this.#database = database
  }

  async nowMs(): Promise<number> {
    const [row] = await this.#database.query<{ now_ms: number }>('select ledger_now_ms() as now_ms')
    return row?.now_ms ?? Number.NaN
  }

  async createSale(definition: SaleDefinition): ReturnType<Ledger['createSale']> {
    const isNew = await this.#database.transaction(async (transaction) => insertSale(transaction, definition))
    const sale = await this.sale(definition.id)
    if (sale === null) throw new Error(`sale ${definition.id} is gone`)
    return { outcome: isNew ? 'created' : 'exists', sale }
  }

  async sale(saleId: string): Promise<LedgerSale | null> {
    return (await readSales(this.#database, saleId))[0] ?? null
  }

  async sales(): Promise<readonly LedgerSale[]> {
    return readSales(this.#database, null)
  }

  async setState(saleId: string, state: SaleState): Promise<LedgerSale | null> {
    await this.#database.query('update sales set state = $2 where id = $1', [saleId, state])
    return this.sale(saleId)
  }

  async setStock(saleId: string, fareId: string, stock: number): ReturnType<Ledger['setStock']> {
    return this.#database.transaction(async (transaction) => {
      await lockSale(transaction, saleId)
      const [fare] = await transaction.query<{ stock: number; held: number; paid: number }>(
        'select stock, held, paid from fares where sale_id = $1 and id = $2',
        [saleId, fareId],
      )
      if (fare === undefined) return { outcome: 'no_such_fare' }
      if (fare.stock === stock) return { outcome: 'unchanged' }
      if (stock < fare.held + fare.paid) return { outcome: 'below_held_and_paid' }
      await transaction.query('update fares set stock = $3 where sale_id = $1 and id = $2', [saleId, fareId, stock])
      return { outcome: 'changed' }
    })
  }

  async beginEra(saleId: string, expectedEra: number, atLeast = 0): ReturnType<Ledger['beginEra']> {
    const [begun] = await this.#database.query<{ era: number }>(
      `update sales set era = greatest(era + 1, $3::bigint) where id = $1 and era = $2 returning era`,
      [saleId, expectedEra, atLeast],
    )
    if (begun !== undefined) return { outcome: 'begun', era: begun.era }
    const [sale] = await this.#database.query<{ era: number }>('select era from sales where id = $1', [saleId])
    return sale === undefined ? { outcome: 'no_such_sale' } : { outcome: 'lost_race', era: sale.era }
  }

  async raiseWatermark(saleId: string, { version, durable, fingerprint }: Watermark): Promise<void> {
    await this.#database.query(
      `update sales set watermark_era = $2, watermark_seq = $3, watermark_durable = $4, watermark_fingerprint = $5
        where id = $1 and (watermark_era, watermark_seq) <= ($2::bigint, $3::bigint)`,
      [saleId, version.era, version.seq, durable, fingerprint],
    )
  }

  async take(saleId: string, batch: EventBatch): Promise<TakeResult> {
    const definition = await this.#definition(saleId)
    if (definition === null) return { outcome: 'no_such_sale' }
    const intake = planIntake(definition, batch.orders)
    return this.#insert(async (transaction, insert): Promise<TakeResult> => {
      const position = await advance(transaction, saleId, batch, intake.orders.length)
      if (position === null) return whyNotTaken(transaction, saleId, batch)
      const { inserted, conflicts, setAside: aside } = await insert(transaction, saleId, intake, position)
      return { outcome: 'taken', inserted, conflicts, setAside: aside }
    })
  }

  async ensure(saleId: string, storeEra: number, orders: readonly Order[]): Promise<EnsureResult> {
    const definition = await this.#definition(saleId)
    if (definition === null) return { outcome: 'no_such_sale' }
    const intake = planIntake(definition, orders)
    return this.#insert(async (transaction, insert): Promise<EnsureResult> => {
      const position = await givePositions(transaction, saleId, storeEra, intake.orders.length)
      if (position === null) return { outcome: 'fenced', era: await eraOf(transaction, saleId) }
      const { orders: rows, conflicts, setAside: aside } = await insert(transaction, saleId, intake, position)
      return { outcome: 'ensured', orders: rows, conflicts, setAside: aside }
    })
  }

  async retryDeadLetters(saleId: string, storeEra: number): ReturnType<Ledger['retryDeadLetters']> {
    const definition = await this.#definition(saleId)
    if (definition === null) return { inserted: 0, died: [] }
    return this.#database.transaction(async (transaction) => {
      const { last_position: position } = (await lockSale(transaction, saleId, storeEra)) ?? { last_position: null }
      if (position === null) return { inserted: 0, died: [] }
      const letters = (await selectDeadLetters(transaction, saleId)).filter(({ isDead }) => !isDead)
      await transaction.query('delete from dead_letters where order_id = any($1::text[])', [letters.map(keyOf)])
      const intake = planIntake(
        definition,
        letters.map(({ order }) => order),
      )
      await givePositions(transaction, saleId, storeEra, intake.orders.length)
      const { inserted, setAside } = await insertCarefully(transaction, saleId, intake, position, letters)
      const died = letters.filter(({ orderId, tries }) => setAside.includes(orderId) && tries + 1 >= TRIES_MAX)
      return { inserted, died: died.map(({ orderId }) => orderId) }
    })
  }

  async deadLetters(saleId: string): Promise<readonly DeadLetter[]> {
    return selectDeadLetters(this.#database, saleId)
  }

  async releaseDeadLetters(saleId: string, storeNowMs: number, limit: number): Promise<readonly string[]> {
    const definition = await this.#definition(saleId)
    if (definition === null) return []
    return this.#database.transaction(async (transaction) => {
      const sale = await lockSale(transaction, saleId)
      if (sale === null) return []
      const upToMs = lapsedUpToMs({ ledgerNowMs: sale.now_ms, storeNowMs }) - definition.holdMs
      const letters = await selectDeadLetters(transaction, saleId)
      const due = letters.filter(
        ({ isDead, isReleased, order }) => isDead && !isReleased && order.createdAtMs <= upToMs,
      )
      await transaction.query(
        'update dead_letters set released_ms = $2, is_settled = false where order_id = any($1::text[])',
        [due.slice(0, limit).map(keyOf), sale.now_ms],
      )
      const rows = await transaction.query<{ order_id: string }>(
        'select order_id from dead_letters where sale_id = $1 and not is_settled order by order_id limit $2',
        [saleId, limit],
      )
      return rows.map(({ order_id: key }) => idOfKey(key))
    })
  }

  async order(orderId: string): Promise<LedgerOrder | null> {
    return (await selectById(this.#database, [orderId]))[0]?.order ?? null
  }

  async ordersOfBuyer(buyer: string, cursor: string | null, limit: number): Promise<Page<LedgerOrder>> {
    const after = cursor === null ? null : OK_CURSOR.exec(cursor)
    if (cursor !== null && after === null) return { items: [], nextCursor: null }
    const [where, values] =
      after === null ? ['', []] : ['and (o.created_ms, o.id) < ($3::bigint, $4)', [Number(after[1]), after[2] ?? '']]
    const found = await selectOrders(
      this.#database,
      `where o.buyer = $1 ${where} order by o.created_ms desc, o.id desc limit $2`,
      [buyer, limit + 1, ...values],
    )
    return pageOf(ordersOf(found), limit)
  }

  async decide(decisions: readonly Decision[], storeNowMs: number | null): Promise<readonly DecisionResult[]> {
    if (decisions.length === 0) return []
    return this.#database.transaction(async (transaction) => this.decideWithin(transaction, decisions, storeNowMs))
  }

  /**
   * The same inside a transaction of a caller that has more to commit with these fates (money, above all). The
   * orders' sales are locked from here on: take locks of your own before.
   */
  async decideWithin(
    transaction: Transaction,
    decisions: readonly Decision[],
    storeNowMs: number | null,
  ): Promise<readonly DecisionResult[]> {
    const ids = [...new Set(decisions.map(({ orderId }) => orderId))]
    const positions = await lockSalesOf(transaction, ids)
    const before = await selectById(transaction, ids)
    const clocks = { ledgerNowMs: await nowMs(transaction), storeNowMs }
    const orders = new Map(before.map(({ order }) => [order.id, order]))
    const { results, changed } = decideAll(orders, decisions, clocks)
    // In the order of the decisions, which is the order of the feed.
    const after = [...changed].flatMap((id) => orders.get(id) ?? [])
    await this.#move(transaction, before, after, positions)
    return results
  }

  async expire(saleId: string, storeNowMs: number, limit: number): Promise<readonly LedgerOrder[]> {
    return this.#database.transaction(async (transaction) => {
      const sale = await lockSale(transaction, saleId)
      if (sale === null) return []
      const clocks: Clocks = { ledgerNowMs: sale.now_ms, storeNowMs }
      const before = await selectOrders(
        transaction,
        `where o.sale_id = $1 and o.state = 'held' and o.hold_expires_ms <= $2
          order by o.hold_expires_ms, o.id limit $3`,
        [saleId, lapsedUpToMs(clocks), limit],
      )
      const fate = { state: 'released', reason: 'expired' } as const
      const after = before.map(({ order }) => withFate(order, fate, clocks.ledgerNowMs))
      await this.#move(transaction, before, after, new Map([[saleId, sale.last_position]]))
      return after
    })
  }

  async unsettled(saleId: string, limit: number, skip = 0): Promise<readonly LedgerOrder[]> {
    return ordersOf(
      await selectOrders(
        this.#database,
        'where o.sale_id = $1 and not o.is_settled order by o.sale_id, o.position limit $2 offset $3',
        [saleId, limit, skip],
      ),
    )
  }

  async markSettled(settled: readonly Decision[]): Promise<void> {
    if (settled.length === 0) return
    const ids = settled.map(({ orderId }) => orderId)
    await this.#database.transaction(async (transaction) => {
      await lockSalesOf(transaction, ids)
      await transaction.query(
        `update orders o set is_settled = true
          from unnest($1::text[], $2::text[], $3::text[]) as n (id, state, reason)
          where o.id = n.id and o.state = n.state and o.reason is not distinct from n.reason and not o.is_settled`,
        [ids, settled.map(({ fate }) => fate.state), settled.map(({ fate }) => reasonOf(fate))],
      )
      const expired = settled.filter(({ fate }) => reasonOf(fate) === 'expired')
      await transaction.query(
        'update dead_letters set is_settled = true where order_id = any($1::text[]) and not is_settled',
        [expired.map(keyOf)],
      )
    })
  }

  async feed(saleId: string, after: number, limit: number): Promise<readonly FeedItem[]> {
    return selectOrders(
      this.#database,
      'where o.sale_id = $1 and o.position > $2 order by o.sale_id, o.position limit $3',
      [saleId, after, limit],
    )
  }

  async scanOrders(saleId: string, after: string | null, limit: number): Promise<readonly LedgerOrder[]> {
    return ordersOf(
      await selectOrders(this.#database, 'where o.sale_id = $1 and o.id > $2 order by o.sale_id, o.id limit $3', [
        saleId,
        after ?? '',
        limit,
      ]),
    )
  }

  async scanOrderIds(saleId: string, after: string | null, limit: number): Promise<readonly string[]> {
    const rows = await this.#database.query<{ id: string }>(
      'select id from orders where sale_id = $1 and id > $2 order by sale_id, id limit $3',
      [saleId, after ?? '', limit],
    )
    return rows.map(({ id }) => id)
  }

  async sums(saleId: string): ReturnType<Ledger['sums']> {
    const fares = await this.recount(saleId)
    return fares.map(({ fareId, countedHeld, countedPaid }) => ({ fareId, held: countedHeld, paid: countedPaid }))
  }

  async recount(saleId: string): Promise<readonly FareRecount[]> {
    return this.#database.query(
      `select f.id as "fareId", f.held, f.paid, coalesce(s.held, 0) as "countedHeld", coalesce(s.paid, 0) as "countedPaid"
        from fares f left join (
          select fare_id, coalesce(sum(quantity) filter (where state = 'held'), 0)::bigint as held,
            coalesce(sum(quantity) filter (where state = 'paid'), 0)::bigint as paid
          from orders where sale_id = $1 group by fare_id
        ) s on s.fare_id = f.id
        where f.sale_id = $1 order by f.place`,
      [saleId],
    )
  }

  async close(): Promise<void> {
    await this.#database.close()
  }

  /**
   * A healthy batch is one insert. Where the database refuses it, all begins anew with {@link insertCarefully}, which
   * finds out which orders are to blame.
   */
  async #insert<T>(work: (transaction: Transaction, insert: Insert) => Promise<T>): Promise<T> {
    try {
      return await this.#database.transaction(async (transaction) => work(transaction, insertWhole))
    } catch (error) {
      if (!isRefused(error)) throw error
      return this.#database.transaction(async (transaction) => work(transaction, insertCarefully))
    }
  }

  async #move(
    transaction: Transaction,
    before: readonly PlacedOrder[],
    after: readonly LedgerOrder[],
    positions: Map<string, number>,
  ): Promise<void> {
    if (after.length === 0) return
    const states = new Map(before.map(({ order }) => [order.id, order.state]))
    const changes = after.map((order): OrderChange => {
      const position = (positions.get(order.saleId) ?? 0) + 1
      positions.set(order.saleId, position)
      return { order, position, before: states.get(order.id) ?? 'held' }
    })
    await updateOrders(transaction, changes)
    await transaction.query(
      `update sales s set last_position = n.position
        from unnest($1::text[], $2::bigint[]) as n (id, position) where s.id = n.id`,
      [[...positions.keys()], [...positions.values()]],
    )
  }

  async #definition(saleId: string): Promise<SaleDefinition | null> {
    const known = this.#definitions.get(saleId)
    if (known !== undefined) return known
    const found = (await this.sale(saleId))?.definition ?? null
    if (found !== null) this.#definitions.set(saleId, found)
    return found
  }
}

type Insert = (transaction: Transaction, saleId: string, intake: Intake, position: number) => Promise<Taken>

/** All at once. Rejects when the database refuses any of them. */
async function insertWhole(transaction: Transaction, saleId: string, intake: Intake, position: number): Promise<Taken> {
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
async function insertCarefully(
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

/** Moves the cursor if it is where the batch begins, and gives positions; null when it is not. */
async function advance(
  transaction: Transaction,
  saleId: string,
  { storeEra, after, upTo }: EventBatch,
  positions: number,
): Promise<number | null> {
  const [row] = await transaction.query<{ last_position: number }>(
    `update sales set taken_era = $5, taken_seq = $6, last_position = last_position + $7::bigint
      where id = $1 and era = $2 and taken_era = $3 and taken_seq = $4 returning last_position`,
    [saleId, storeEra, after.era, after.seq, upTo.era, upTo.seq, positions],
  )
  return row === undefined ? null : row.last_position - positions
}

async function whyNotTaken(transaction: Transaction, saleId: string, { storeEra }: EventBatch): Promise<TakeResult> {
  const [row] = await transaction.query<{ era: number; taken_era: number; taken_seq: number }>(
    'select era, taken_era, taken_seq from sales where id = $1',
    [saleId],
  )
  if (row === undefined) return { outcome: 'no_such_sale' }
  if (row.era !== storeEra) return { outcome: 'fenced', era: row.era }
  return { outcome: 'moved', taken: { era: row.taken_era, seq: row.taken_seq } }
}

/** Null when the era is another. */
async function givePositions(
  transaction: Transaction,
  saleId: string,
  era: number,
  positions: number,
): Promise<number | null> {
  const [row] = await transaction.query<{ last_position: number }>(
    'update sales set last_position = last_position + $3::bigint where id = $1 and era = $2 returning last_position',
    [saleId, era, positions],
  )
  return row === undefined ? null : row.last_position - positions
}

async function eraOf(transaction: Transaction, saleId: string): Promise<number> {
  const [row] = await transaction.query<{ era: number }>('select era from sales where id = $1', [saleId])
  return row?.era ?? 0
}

/** Null when there is no such sale, or its era is not the one expected. */
async function lockSale(transaction: Transaction, saleId: string, era?: number): Promise<LockedSale | null> {
  const [row] = await transaction.query<LockedSale & { readonly era: number }>(
    'select last_position, era, ledger_now_ms() as now_ms from sales where id = $1 for no key update',
    [saleId],
  )
  return row === undefined || (era !== undefined && row.era !== era) ? null : row
}

/** Their last positions by sale. */
async function lockSalesOf(transaction: Transaction, orderIds: readonly string[]): Promise<Map<string, number>> {
  const rows = await transaction.query<{ id: string; last_position: number }>(
    `select id, last_position from sales
      where id in (
        select sale_id from orders where id = any($1::text[])
        union select sale_id from dead_letters where order_id = any($1::text[])
      )
      order by id for no key update`,
    [orderIds],
  )
  return new Map(rows.map(({ id, last_position: position }) => [id, position]))
}

async function nowMs(query: Query): Promise<number> {
  const [row] = await query.query<{ now_ms: number }>('select ledger_now_ms() as now_ms')
  return row?.now_ms ?? Number.NaN
}

async function insertSale(transaction: Transaction, definition: SaleDefinition): Promise<boolean> {
  const { id, limitPerBuyer, opensAtMs, fares } = definition
  const inserted = await transaction.query(
    `insert into sales (id, definition, limit_per_buyer, state, era) values ($1, $2, $3, $4, 1)
      on conflict (id) do nothing returning id`,
    [id, JSON.stringify(definition), limitPerBuyer, opensAtMs === null ? 'draft' : 'scheduled'],
  )
  if (inserted.length === 0) return false
  await transaction.query(
    `insert into fares (sale_id, id, place, price_amount, price_currency, stock)
      select $1, n.id, n.place, n.amount, n.currency, n.stock
      from unnest($2::text[], $3::bigint[], $4::text[], $5::bigint[])
        with ordinality as n (id, amount, currency, stock, place)`,
    [
      id,
      fares.map((fare) => fare.id),
      fares.map(({ price }) => price.amount),
      fares.map(({ price }) => price.currency),
      fares.map(({ stock }) => stock),
    ],
  )
  return true
}

/** `former` are letters that were tried again just now. */
async function setAside(
  transaction: Transaction,
  saleId: string,
  faults: Intake['faults'],
  former: readonly DeadLetter[] = [],
): Promise<void> {
  if (faults.length === 0) return
  const tries = faults.map(({ record }) => (former.find(({ orderId }) => orderId === record.id)?.tries ?? 0) + 1)
  await transaction.query(
    `insert into dead_letters (order_id, sale_id, record, tries, error, is_dead)
      select n.order_id, $1, n.record, n.tries, n.error, n.tries >= $6::integer
      from unnest($2::text[], $3::text[], $4::integer[], $5::text[]) as n (order_id, record, tries, error)
      on conflict (order_id) do nothing`,
    [
      saleId,
      faults.map(({ record }) => keyOf({ orderId: record.id })),
      faults.map(({ record }) => JSON.stringify(record)),
      tries,
      faults.map(({ error }) => error.replaceAll('\0', '')),
      TRIES_MAX,
    ],
  )
}

async function selectDeadLetters(query: Query, saleId: string): Promise<DeadLetter[]> {
  const rows = await query.query<{
    record: string
    tries: number
    error: string
    is_dead: boolean
    released_ms: number | null
  }>('select record, tries, error, is_dead, released_ms from dead_letters where sale_id = $1 order by order_id', [
    saleId,
  ])
  return rows.map(({ record, tries, error, is_dead: isDead, released_ms: releasedMs }) => {
    const order = JSON.parse(record) as Order
    return { orderId: order.id, saleId, order, tries, error, isDead, isReleased: releasedMs !== null }
  })
}

/** SQL's text has no zero byte, and an id that is unreadable must not stop the others. */
function keyOf({ orderId }: { readonly orderId: string }): string {
  return encodeURIComponent(orderId)
}

function idOfKey(key: string): string {
  return decodeURIComponent(key)
}

function reasonOf(fate: Decision['fate']): string | null {
  return fate.state === 'released' ? fate.reason : null
}

function ordersOf(placed: readonly PlacedOrder[]): LedgerOrder[] {
  return placed.map(({ order }) => order)
}

function pageOf(found: readonly LedgerOrder[], limit: number): Page<LedgerOrder> {
  const items = found.slice(0, limit)
  const last = items.at(-1)
  const hasMore = found.length > limit && last !== undefined
  return { items, nextCursor: hasMore ? `${last.createdAtMs}-${last.id}` : null }
}
