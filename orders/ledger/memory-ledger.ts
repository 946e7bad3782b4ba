/**
 * The ledger in this process, for tests and simulation: the same outcomes as `sql-ledger.ts`, each operation one
 * synchronous step, no timers, the clock given.
 */
import { assertStock } from '../../runtime/assert.ts'
import {
  compareVersions,
  type Order,
  type SaleDefinition,
  type SaleState,
  type Version,
  VERSION_ZERO,
} from '../../stock/core/words.ts'
import { decideAll, lapsedUpToMs, withFate } from './fate.ts'
import { fitted, type Intake, isConflict, planIntake, reconciledAll, type Room, TRIES_MAX } from './intake.ts'
import type {
  DeadLetter,
  Decision,
  DecisionResult,
  EventBatch,
  FareRecount,
  FeedItem,
  Ledger,
  LedgerFare,
  LedgerOrder,
  LedgerSale,
  Page,
  TakeResult,
  Told,
  Watermark,
} from './ledger.ts'

export interface MemoryLedgerOptions {
  readonly nowMs: () => number
  /** Stands in for a row that a database refuses: why, or null. */
  readonly refuse?: (order: LedgerOrder) => string | null
}

interface MemoryLetter extends DeadLetter {
  readonly isSettled: boolean
}

interface MemorySale {
  readonly definition: SaleDefinition
  state: SaleState
  era: number
  taken: Version
  watermark: Watermark
  lastPosition: number
  turn: number
  readonly stocks: Map<string, number>
  readonly orders: Map<string, { order: LedgerOrder; position: number }>
  /** What the orders come to, by fare; null since any came or changed its state. */
  sums: ReadonlyMap<string, Sums> | null
  readonly letters: Map<string, MemoryLetter>
}

interface Sums {
  held: number
  paid: number
}

const CURSOR = /^(\d{1,15})-([0-9a-z]{1,64})$/

export class MemoryLedger implements Ledger {
  readonly #options: MemoryLedgerOptions
  readonly #sales = new Map<string, MemorySale>()

  constructor(options: MemoryLedgerOptions) {
    this.#options = options
  }

  async nowMs(): Promise<number> {
    return this.#options.nowMs()
  }

  async createSale(definition: SaleDefinition): ReturnType<Ledger['createSale']> {
    const known = this.#sales.get(definition.id)
    if (known !== undefined) return { outcome: 'exists', sale: snapshotOf(known) }
    const sale: MemorySale = {
      definition,
      state: definition.opensAtMs === null ? 'draft' : 'scheduled',
      era: 1,
      taken: VERSION_ZERO,
      watermark: { version: VERSION_ZERO, durable: false, fingerprint: '' },
      lastPosition: 0,
      turn: 0,
      stocks: new Map(definition.fares.map(({ id, stock }) => [id, stock])),
      orders: new Map(),
      sums: null,
      letters: new Map(),
    }
    this.#sales.set(definition.id, sale)
    return { outcome: 'created', sale: snapshotOf(sale) }
  }

  async sale(saleId: string): Promise<LedgerSale | null> {
    const sale = this.#sales.get(saleId)
    return sale === undefined ? null : snapshotOf(sale)
  }

  async sales(): Promise<readonly LedgerSale[]> {
    return [...this.#sales.values()].map(snapshotOf).toSorted((a, b) => compareText(a.definition.id, b.definition.id))
  }

  async setState(saleId: string, state: SaleState): Promise<LedgerSale | null> {
    const sale = this.#sales.get(saleId)
    if (sale === undefined) return null
    sale.state = state
    return snapshotOf(sale)
  }

  async setStock(saleId: string, fareId: string, stock: number): ReturnType<Ledger['setStock']> {
    const sale = this.#sales.get(saleId)
    const fare = sale === undefined ? undefined : faresOf(sale).find((one) => one.fareId === fareId)
    if (sale === undefined || fare === undefined) return { outcome: 'no_such_fare' }
    if (fare.stock === stock) return { outcome: 'unchanged' }
    if (stock < fare.held + fare.paid) return { outcome: 'below_held_and_paid' }
    sale.stocks.set(fareId, stock)
    return { outcome: 'changed' }
  }

  async beginEra(saleId: string, expectedEra: number, atLeast = 0): ReturnType<Ledger['beginEra']> {
    const sale = this.#sales.get(saleId)
    if (sale === undefined) return { outcome: 'no_such_sale' }
    if (sale.era !== expectedEra) return { outcome: 'lost_race', era: sale.era }
    sale.era = Math.max(sale.era + 1, atLeast)
    sale.turn += 1
    return { outcome: 'begun', era: sale.era }
  }

  /** For `memory-acts.ts`; null when there is no such sale. */
  beginTurn(saleId: string, above: number): number | null {
    const sale = this.#sales.get(saleId)
    if (sale === undefined) return null
    sale.turn = Math.max(sale.turn, above) + 1
    return sale.turn
  }

  turnOf(saleId: string): number | null {
    return this.#sales.get(saleId)?.turn ?? null
  }

  async raiseWatermark(saleId: string, watermark: Watermark): Promise<void> {
    const sale = this.#sales.get(saleId)
    if (sale !== undefined && compareVersions(watermark.version, sale.watermark.version) >= 0) {
      sale.watermark = watermark
    }
  }

  async take(saleId: string, batch: EventBatch): Promise<TakeResult> {
    const sale = this.#sales.get(saleId)
    if (sale === undefined) return { outcome: 'no_such_sale' }
    if (sale.era !== batch.storeEra) return { outcome: 'fenced', era: sale.era }
    if (compareVersions(sale.taken, batch.after) !== 0) return { outcome: 'moved', taken: sale.taken }
    sale.taken = batch.upTo
    return { outcome: 'taken', ...this.#insert(sale, planIntake(sale.definition, batch.orders)) }
  }

  async ensure(saleId: string, storeEra: number, orders: readonly Order[]): ReturnType<Ledger['ensure']> {
    const sale = this.#sales.get(saleId)
    if (sale === undefined) return { outcome: 'no_such_sale' }
    if (sale.era !== storeEra) return { outcome: 'fenced', era: sale.era }
    const intake = planIntake(sale.definition, orders)
    const { conflicts, setAside: aside } = this.#insert(sale, intake)
    const rows = intake.orders.flatMap(({ id }) => sale.orders.get(id)?.order ?? [])
    return { outcome: 'ensured', orders: rows, conflicts, setAside: aside }
  }

  async retryDeadLetters(saleId: string, storeEra: number): ReturnType<Ledger['retryDeadLetters']> {
    const sale = this.#sales.get(saleId)
    if (sale === undefined || sale.era !== storeEra) return { inserted: 0, died: [] }
    const former = [...sale.letters.values()].filter(({ isDead }) => !isDead)
    for (const { orderId } of former) sale.letters.delete(orderId)
    const records = lettersById(former).map(({ order }) => order)
    const { inserted, setAside } = this.#insert(sale, planIntake(sale.definition, records), former)
    const died = lettersById(former).filter(
      ({ orderId, tries }) => setAside.includes(orderId) && tries + 1 >= TRIES_MAX,
    )
    return { inserted, died: died.map(({ orderId }) => orderId) }
  }

  async deadLetters(saleId: string): Promise<readonly DeadLetter[]> {
    const letters = lettersById([...(this.#sales.get(saleId)?.letters.values() ?? [])])
    return letters.map(({ orderId, order, tries, error, isDead, isReleased }) => ({
      orderId,
      saleId,
      order,
      tries,
      error,
      isDead,
      isReleased,
    }))
  }

  async releaseDeadLetters(saleId: string, storeNowMs: number, limit: number): Promise<readonly string[]> {
    const sale = this.#sales.get(saleId)
    if (sale === undefined) return []
    const upToMs = lapsedUpToMs({ ledgerNowMs: this.#options.nowMs(), storeNowMs }) - sale.definition.holdMs
    const due = lettersById([...sale.letters.values()]).filter(
      ({ isDead, isReleased, order }) => isDead && !isReleased && order.createdAtMs <= upToMs,
    )
    for (const letter of due.slice(0, limit)) {
      sale.letters.set(letter.orderId, { ...letter, isReleased: true, isSettled: false })
    }
    const unsettled = lettersById([...sale.letters.values()]).filter(({ isSettled }) => !isSettled)
    return unsettled.slice(0, limit).map(({ orderId }) => orderId)
  }

  async order(orderId: string): Promise<LedgerOrder | null> {
    return this.#saleOf(orderId)?.orders.get(orderId)?.order ?? null
  }

  async orders(orderIds: readonly string[]): Promise<readonly LedgerOrder[]> {
    return [...new Set(orderIds)].flatMap((id) => this.#saleOf(id)?.orders.get(id)?.order ?? [])
  }

  async ordersOfBuyer(buyer: string, cursor: string | null, limit: number): Promise<Page<LedgerOrder>> {
    const after = cursor === null ? null : CURSOR.exec(cursor)
    if (cursor !== null && after === null) return { items: [], nextCursor: null }
    const found = [...this.#sales.values()]
      .flatMap((sale) => [...sale.orders.values()].map(({ order }) => order))
      .filter((order) => order.buyer === buyer)
      .toSorted(newestFirst)
      .filter((order) => after === null || isAfter(order, Number(after[1]), after[2] ?? ''))
    const items = found.slice(0, limit)
    const last = items.at(-1)
    const hasMore = found.length > limit && last !== undefined
    return { items, nextCursor: hasMore ? `${last.createdAtMs}-${last.id}` : null }
  }

  async decide(decisions: readonly Decision[], storeNowMs: number | null): Promise<readonly DecisionResult[]> {
    const orders = new Map<string, LedgerOrder>()
    for (const { orderId } of decisions) {
      const order = this.#saleOf(orderId)?.orders.get(orderId)?.order
      if (order !== undefined) orders.set(orderId, order)
    }
    const { results, changed } = decideAll(orders, decisions, { ledgerNowMs: this.#options.nowMs(), storeNowMs })
    for (const id of changed) {
      const sale = this.#saleOf(id)
      const order = orders.get(id)
      if (sale !== undefined && order !== undefined) place(sale, order)
    }
    return results
  }

  async expire(saleId: string, storeNowMs: number, limit: number): Promise<readonly LedgerOrder[]> {
    const sale = this.#sales.get(saleId)
    if (sale === undefined) return []
    const clocks = { ledgerNowMs: this.#options.nowMs(), storeNowMs }
    const upToMs = lapsedUpToMs(clocks)
    const due: LedgerOrder[] = []
    for (const { order } of sale.orders.values()) {
      if (order.state === 'held' && order.holdExpiresAtMs <= upToMs) due.push(order)
    }
    due.sort((a, b) => a.holdExpiresAtMs - b.holdExpiresAtMs || compareText(a.id, b.id))
    const after = due
      .slice(0, limit)
      .map((order) => withFate(order, { state: 'released', reason: 'expired' }, clocks.ledgerNowMs))
    for (const order of after) place(sale, order)
    return after
  }

  async unsettled(saleId: string, limit: number, skip = 0): Promise<readonly LedgerOrder[]> {
    return inPosition(this.#sales.get(saleId), ({ order }) => !order.isSettled)
      .slice(skip, skip + limit)
      .map(({ order }) => order)
  }

  async markSettled(settled: readonly Decision[], told?: Told): Promise<void> {
    if (settled.length === 0 || !this.#hearTold(told)) return
    for (const { orderId, fate } of settled) {
      const reason = fate.state === 'released' ? fate.reason : null
      const placed = this.#saleOf(orderId)?.orders.get(orderId)
      if (placed?.order.state === fate.state && placed.order.reason === reason) {
        placed.order = { ...placed.order, isSettled: true }
      }
      if (reason === 'expired') this.#settleLetter(orderId)
    }
  }

  async feed(saleId: string, after: number, limit: number): Promise<readonly FeedItem[]> {
    return inPosition(this.#sales.get(saleId), ({ position }) => position > after)
      .slice(0, limit)
      .map(({ position, order }) => ({ position, order }))
  }

  async scanOrders(saleId: string, after: string | null, limit: number): Promise<readonly LedgerOrder[]> {
    const orders: LedgerOrder[] = []
    for (const { order } of this.#sales.get(saleId)?.orders.values() ?? []) {
      if (order.id > (after ?? '')) orders.push(order)
    }
    return orders.toSorted((a, b) => compareText(a.id, b.id)).slice(0, limit)
  }

  async scanOrderIds(saleId: string, after: string | null, limit: number): Promise<readonly string[]> {
    return (await this.scanOrders(saleId, after, limit)).map(({ id }) => id)
  }

  async sums(saleId: string): ReturnType<Ledger['sums']> {
    const sale = this.#sales.get(saleId)
    return sale === undefined ? [] : faresOf(sale).map(({ fareId, held, paid }) => ({ fareId, held, paid }))
  }

  async recount(saleId: string): Promise<readonly FareRecount[]> {
    const sums = await this.sums(saleId)
    return sums.map(({ fareId, held, paid }) => ({ fareId, held, paid, countedHeld: held, countedPaid: paid }))
  }

  async close(): Promise<void> {}

  /** The rows themselves, for simulators to look at. */
  rows(saleId: string): readonly LedgerOrder[] {
    return Array.from(this.#sales.get(saleId)?.orders.values() ?? [], ({ order }) => order)
  }

  /** By fare, at once. */
  stocksOf(saleId: string): ReadonlyMap<string, number> {
    return this.#sales.get(saleId)?.stocks ?? new Map<string, number>()
  }

  /** One row, at once. */
  rowOf(saleId: string, orderId: string): LedgerOrder | undefined {
    return this.#sales.get(saleId)?.orders.get(orderId)?.order
  }

  #insert(
    sale: MemorySale,
    intake: Intake,
    former: readonly DeadLetter[] = [],
  ): { inserted: number; conflicts: string[]; setAside: string[] } {
    const position = sale.lastPosition
    sale.lastPosition += intake.orders.length
    const faults = [...intake.faults]
    const placed = intake.orders.map((order, index) => ({ order, position: position + index + 1 }))
    // What is there already comes first: a fate that only the record knew may make room.
    for (const one of placed) reconcileOne(sale, sale.orders.get(one.order.id), intake, one.position)
    const rooms = new Map(faresOf(sale).map(({ fareId, stock, held, paid }) => [fareId, { free: stock - held - paid }]))
    const came: LedgerOrder[] = []
    for (const one of placed) {
      if (sale.orders.has(one.order.id) || sale.letters.has(one.order.id)) continue
      const error = this.#insertOne(sale, one.order, rooms, one.position, came)
      const record = intake.records.get(one.order.id)
      if (error !== null && record !== undefined) faults.push({ record, error })
    }
    checkStock(sale)
    for (const { record, error } of faults) setAside(sale, record, error, former)
    return {
      inserted: came.length,
      conflicts: came.filter(isConflict).map(({ id }) => id),
      setAside: faults.map(({ record }) => record.id),
    }
  }

  #insertOne(
    sale: MemorySale,
    order: LedgerOrder,
    rooms: ReadonlyMap<string, Room>,
    position: number,
    came: LedgerOrder[],
  ): string | null {
    const error = this.#options.refuse?.(order) ?? null
    if (error !== null) return error
    const [fit] = fitted([order], rooms, this.#options.nowMs())
    if (fit === undefined) return null
    sale.orders.set(fit.id, { order: fit, position })
    sale.sums = null
    came.push(fit)
    return null
  }

  /** False when the ledger has begun another era since. */
  #hearTold(told: Told | undefined): boolean {
    const sale = told === undefined ? undefined : this.#sales.get(told.saleId)
    if (told === undefined || sale === undefined) return told === undefined
    if (sale.era !== told.version.era) return false
    const { watermark } = sale
    const isHigher = watermark.version.era > 0 && compareVersions(told.version, watermark.version) > 0
    if (isHigher) sale.watermark = { ...watermark, version: told.version }
    return true
  }

  #settleLetter(orderId: string): void {
    for (const { letters } of this.#sales.values()) {
      const letter = letters.get(orderId)
      if (letter !== undefined) letters.set(orderId, { ...letter, isSettled: true })
    }
  }

  #saleOf(orderId: string): MemorySale | undefined {
    for (const sale of this.#sales.values()) if (sale.orders.has(orderId)) return sale
    return undefined
  }
}

function reconcileOne(
  sale: MemorySale,
  known: { order: LedgerOrder; position: number } | undefined,
  intake: Intake,
  position: number,
): void {
  const [after] = known === undefined ? [] : reconciledAll([known.order], intake.records)
  if (known === undefined || after === undefined) return
  if (after.state !== known.order.state) known.position = position
  known.order = after
  sale.sums = null
}

function setAside(sale: MemorySale, record: Order, error: string, former: readonly DeadLetter[]): void {
  if (sale.letters.has(record.id)) return
  const tries = (former.find(({ orderId }) => orderId === record.id)?.tries ?? 0) + 1
  sale.letters.set(record.id, {
    orderId: record.id,
    saleId: sale.definition.id,
    order: record,
    tries,
    error,
    isDead: tries >= TRIES_MAX,
    isReleased: false,
    isSettled: true,
  })
}

function place(sale: MemorySale, order: LedgerOrder): void {
  sale.lastPosition += 1
  sale.orders.set(order.id, { order, position: sale.lastPosition })
  sale.sums = null
}

function faresOf(sale: MemorySale): LedgerFare[] {
  sale.sums ??= sumsOf(sale)
  return Array.from(sale.sums, ([fareId, { held, paid }]) => {
    return { fareId, stock: sale.stocks.get(fareId) ?? 0, held, paid }
  })
}

/** Counted from single orders, so that a law about them holds for what is there. */
function sumsOf(sale: MemorySale): ReadonlyMap<string, Sums> {
  const sums = new Map<string, Sums>()
  for (const { id } of sale.definition.fares) sums.set(id, { held: 0, paid: 0 })
  for (const { order } of sale.orders.values()) {
    const sum = sums.get(order.fareId)
    if (sum !== undefined && order.state !== 'released') sum[order.state] += order.quantity
  }
  return sums
}

/** The law that SQL's last guard keeps. */
function checkStock(sale: MemorySale): void {
  for (const { fareId, stock, held, paid } of faresOf(sale)) {
    assertStock(held + paid <= stock, `fare ${fareId}: held ${held} and paid ${paid} of ${stock}`)
  }
}

function snapshotOf(sale: MemorySale): LedgerSale {
  const { definition, state, era, taken, watermark } = sale
  return { definition, state, fares: faresOf(sale), era, taken, watermark }
}

/** Those that are wanted, in the order in which they last changed their state. */
function inPosition(
  sale: MemorySale | undefined,
  isWanted: (row: { readonly order: LedgerOrder; readonly position: number }) => boolean,
): { readonly order: LedgerOrder; readonly position: number }[] {
  const rows = []
  for (const row of sale?.orders.values() ?? []) if (isWanted(row)) rows.push(row)
  return rows.toSorted((a, b) => a.position - b.position)
}

function lettersById<Letter extends DeadLetter>(letters: readonly Letter[]): Letter[] {
  return letters.toSorted((a, b) => compareText(encodeURIComponent(a.orderId), encodeURIComponent(b.orderId)))
}

function newestFirst(a: LedgerOrder, b: LedgerOrder): number {
  return b.createdAtMs - a.createdAtMs || compareText(b.id, a.id)
}

function isAfter(order: LedgerOrder, createdAtMs: number, id: string): boolean {
  return order.createdAtMs < createdAtMs || (order.createdAtMs === createdAtMs && order.id < id)
}

function compareText(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
