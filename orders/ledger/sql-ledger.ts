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
import { idOfKey, keyOf, selectDeadLetters } from './dead-letters.ts'
import { type Clocks, decideAll, lapsedUpToMs, withFate } from './fate.ts'
import { type Insert, insertCarefully, insertWhole } from './insertion.ts'
import { planIntake, TRIES_MAX } from './intake.ts'
import type {
  DeadLetter,
  Decision,
  DecisionResult,
  EnsureResult,
  EventBatch,
  FareRecount,
  FeedItem,
  HeardDecision,
  Ledger,
  LedgerOrder,
  LedgerSale,
  Page,
  TakeResult,
  Told,
  Watermark,
} from './ledger.ts'
import { type OrderChange, ordersOf, type PlacedOrder, selectById, selectOrders, updateOrders } from './order-table.ts'
import { advance, eraOf, givePositions, lockSale, lockSalesOf, whyNotTaken } from './sale-lock.ts'
import { insertSale, readSales } from './sale-table.ts'
import { isRefused } from './sql-error.ts'

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
      `update sales set era = greatest(era + 1, $3::bigint), turn = turn + 1 where id = $1 and era = $2 returning era`,
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
    return (await this.orders([orderId]))[0] ?? null
  }

  async orders(orderIds: readonly string[]): Promise<readonly LedgerOrder[]> {
    return ordersOf(await selectById(this.#database, orderIds))
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
    decisions: readonly HeardDecision[],
    storeNowMs: number | null,
  ): Promise<readonly DecisionResult[]> {
    const ids = [...new Set(decisions.map(({ orderId }) => orderId))]
    const positions = await lockSalesOf(transaction, ids)
    const before = await selectById(transaction, ids)
    const clocks = { ledgerNowMs: await nowMs(transaction), storeNowMs }
    const orders = new Map(before.map(({ order }) => [order.id, order]))
    const dated = decisions.map((decision) => ({ ...decision, clocks: clocksOf(decision, clocks) }))
    const { results, changed } = decideAll(orders, dated, clocks)
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

  async markSettled(settled: readonly Decision[], told?: Told): Promise<void> {
    if (settled.length === 0) return
    const ids = settled.map(({ orderId }) => orderId)
    await this.#database.transaction(async (transaction) => {
      await lockSalesOf(transaction, ids)
      if (told !== undefined && !(await hearTold(transaction, told))) return
      await transaction.query(
        `update orders o set is_settled = true
          from unnest($1::text[], $2::text[], $3::text[]) as n (id, state, reason)
          where o.id = n.id and o.state = n.state and o.reason is not distinct from n.reason and not o.is_settled`,
        [ids, settled.map(({ fate }) => fate.state), settled.map(({ fate }) => reasonOf(fate))],
      )
      const expired = settled.filter(({ fate }) => reasonOf(fate) === 'expired')
      if (expired.length === 0) return
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

async function nowMs(query: Query): Promise<number> {
  const [row] = await query.query<{ now_ms: number }>('select ledger_now_ms() as now_ms')
  return row?.now_ms ?? Number.NaN
}

function clocksOf({ heard }: HeardDecision, clocks: Clocks): Clocks {
  if (heard === undefined) return clocks
  // Asked after the ledger was: what comes out, in whole milliseconds, is never ahead of the ledger's clock then.
  return { ledgerNowMs: clocks.ledgerNowMs - Math.ceil(heard.agoMs()), storeNowMs: heard.storeNowMs }
}

function reasonOf(fate: Decision['fate']): string | null {
  return fate.state === 'released' ? fate.reason : null
}

function pageOf(found: readonly LedgerOrder[], limit: number): Page<LedgerOrder> {
  const items = found.slice(0, limit)
  const last = items.at(-1)
  const hasMore = found.length > limit && last !== undefined
  return { items, nextCursor: hasMore ? `${last.createdAtMs}-${last.id}` : null }
}

/** False when the ledger has begun another era since. */
async function hearTold(transaction: Transaction, { saleId, version: { era, seq } }: Told): Promise<boolean> {
  const [sale] = await transaction.query<{ era: number }>('select era from sales where id = $1 for no key update', [
    saleId,
  ])
  if (sale?.era !== era) return false
  await transaction.query(
    `update sales set watermark_era = $2, watermark_seq = $3
      where id = $1 and watermark_era > 0 and (watermark_era, watermark_seq) < ($2::bigint, $3::bigint)`,
    [saleId, era, seq],
  )
  return true
}
