/**
 * Puts a sale together again: what the store still has, what the ledger has, and what nodes have told.
 *
 * Everything meets in the ledger, under an era that was begun there before, so that its guards decide what fits: first
 * what is there, then what nodes told, then what only the store has. The store is made what the ledger says, order by
 * order, and its counters are what these orders come to. Until it is opened nobody sells, and whatever a crash leaves half done is
 * begun again under a later era; putting an order in twice does no harm.
 *
 * A sale may have millions of orders. Both sides are read page by page and asked for the other's part of each page, so
 * what is in memory is a page, what nodes' journals told, and the few orders that no row can hold.
 */
import { OperationError } from '../../runtime/operation-error.ts'
import { countedTickets, type UnitedFare, type UnitedNode } from '../../stock/core/union.ts'
import type { Order, Version } from '../../stock/core/words.ts'
import type { SaleStore } from '../../stock/port.ts'
import type { Ledger, LedgerOrder, LedgerSale } from '../ledger/ledger.ts'

export interface UnionParts {
  readonly ledger: Pick<Ledger, 'ensure' | 'orders' | 'scanOrders' | 'sale'>
  readonly store: Pick<SaleStore, 'beginUnion' | 'reassert' | 'openUnion' | 'scanOrders' | 'readOrders'>
  readonly monotonicMs: () => number
}

export interface UnionTask {
  readonly sale: LedgerSale
  /** Begun in the ledger. */
  readonly era: number
  readonly floorSeq: number
  readonly nodes: readonly UnitedNode[]
  /** Asked of the nodes once the store sells nothing any more, so that nothing is told after it. */
  readonly told: () => Promise<readonly Order[]>
  /** Called before the store is opened: whether its answer to that comes, or who is there to hear it, is not known. */
  readonly onUnited: (united: United) => void
}

export interface United {
  /** Orders that the store had lost, or had in an older state. */
  readonly reasserted: number
  /** Of them, those that only nodes' journals had. */
  readonly fromJournals: number
  /** That did not fit under the stock: released. */
  readonly conflicts: readonly string[]
  /** That no row of the ledger can hold: as the store has them, or not at all. */
  readonly setAside: readonly string[]
  readonly fares: readonly UnitedFare[]
}

export interface UnionReport extends United {
  readonly version: Version
}

const PAGE = 1000
/** Well below what others take for the silence of a process that is gone. */
const WORD_EVERY_MS = 500

export async function uniteSale(parts: UnionParts, task: UnionTask): Promise<UnionReport> {
  const { ledger, store } = parts
  const { sale, era, floorSeq, nodes, told, onUnited } = task
  const saleId = sale.definition.id
  if ((await store.beginUnion(sale.definition, era)).outcome !== 'begun') throw lostRace(saleId)
  const union = new Union(parts, saleId, era)
  await union.unite(await told())
  const present = await ledger.sale(saleId)
  if (present === null || present.era !== era) throw lostRace(saleId)
  const fares = union.faresOf(present)
  const united = { ...union.report(), fares }
  onUnited(united)
  const opened = await store.openUnion(saleId, era, {
    floorSeq: Math.max(floorSeq, union.seqMax),
    state: present.state,
    fares,
    tickets: union.ordered,
    nodes,
  })
  if (opened.outcome !== 'certified') throw lostRace(saleId)
  return { version: opened.version, ...united }
}

class Union {
  readonly #parts: UnionParts
  readonly #saleId: string
  readonly #era: number
  readonly #tickets = new Map<string, { held: number; paid: number }>()
  readonly #conflicts: string[] = []
  readonly #setAside: string[] = []
  /** Orders of the store that are counted and have no row: a scan may show them again. */
  readonly #rowless = new Set<string>()
  #reasserted = 0
  #fromJournals = 0
  /** When it last said in the store that it is at work. */
  #saidMs: number
  /** The highest in any record that the store is to have: the sale's own is above it. */
  seqMax = 0
  /** Tickets of all orders that the store has then. */
  ordered = 0

  constructor(parts: UnionParts, saleId: string, era: number) {
    this.#parts = parts
    this.#saleId = saleId
    this.#era = era
    this.#saidMs = parts.monotonicMs()
  }

  /** Finds what store, ledger and journals do not agree on, has the ledger decide it, and tells the store. */
  async unite(journals: readonly Order[]): Promise<void> {
    const told = new Map(journals.map((order) => [order.id, order]))
    for await (const rows of this.#rows()) {
      for (const { id } of rows) told.delete(id)
      await this.#matchRows(rows)
    }
    // Where not all fit the stock, those come first of which a buyer was surely told.
    const stored = await this.#bringBack([...told.values()])
    for (const ids of pagesOf(stored)) await this.#decide(await this.#recordsOf(ids))
    for await (const records of this.#records()) await this.#decide(await this.#withoutRow(records))
  }

  /** Throws `does_not_fit` where orders that no row can hold exceed the stock. */
  faresOf(sale: LedgerSale): UnitedFare[] {
    return sale.fares.map(({ fareId, stock }) => {
      const { held, paid } = this.#tickets.get(fareId) ?? { held: 0, paid: 0 }
      if (held + paid > stock) {
        const message = `fare ${fareId}: ${held + paid} tickets of ${stock} are held or paid in the store, with orders that the ledger put aside`
        throw new OperationError('does_not_fit', message, { fareId, held, paid, stock })
      }
      return { fareId, stock, held, paid }
    })
  }

  report() {
    return {
      reasserted: this.#reasserted,
      fromJournals: this.#fromJournals,
      conflicts: this.#conflicts,
      setAside: this.#setAside,
    }
  }

  /** The next page is read while this one is worked on. */
  async *#rows(): AsyncIterable<readonly LedgerOrder[]> {
    const read = (after: string | null): Promise<readonly LedgerOrder[]> =>
      this.#parts.ledger.scanOrders(this.#saleId, after, PAGE)
    let rows = await read(null)
    while (rows.length > 0) {
      const next = rows.length < PAGE ? null : read(rows.at(-1)?.id ?? null)
      // Whoever awaits it hears of the error; until then nobody may.
      next?.catch(() => {})
      yield rows
      rows = (await next) ?? []
    }
  }

  async *#records(): AsyncIterable<readonly Order[]> {
    for (let cursor: string | null = ''; cursor !== null;) {
      const page: Awaited<ReturnType<SaleStore['scanOrders']>> = await this.#parts.store.scanOrders(
        this.#saleId,
        cursor,
      )
      await this.#sayAtWork()
      yield page.orders
      cursor = page.cursor
    }
  }

  async #recordsOf(ids: readonly string[]): Promise<Order[]> {
    const records = await this.#parts.store.readOrders(this.#saleId, ids)
    return records.filter((record) => record !== null)
  }

  async #withoutRow(records: readonly Order[]): Promise<Order[]> {
    const byId = new Map(records.map((record) => [record.id, record]))
    for (const { id } of await this.#parts.ledger.orders([...byId.keys()])) byId.delete(id)
    return [...byId.values()].filter(({ id }) => !this.#rowless.has(id))
  }

  async #matchRows(rows: readonly LedgerOrder[]): Promise<void> {
    const records = new Map((await this.#recordsOf(rows.map(({ id }) => id))).map((record) => [record.id, record]))
    const lost: LedgerOrder[] = []
    const differing: Order[] = []
    for (const row of rows) {
      const record = records.get(row.id)
      if (record === undefined) lost.push(row)
      else if (isSame(record, row)) this.#count(row)
      else differing.push(record)
    }
    await this.#assert(lost)
    await this.#decide(differing)
  }

  /** Those that only a journal has come into the ledger; returns which of them the store has. */
  async #bringBack(told: readonly Order[]): Promise<string[]> {
    const stored: string[] = []
    for (const orders of pagesOf(told)) {
      const known = new Set((await this.#recordsOf(orders.map(({ id }) => id))).map(({ id }) => id))
      stored.push(...known)
      const rows = await this.#ensure(orders.filter(({ id }) => !known.has(id)))
      this.#fromJournals += rows.length
      await this.#assert(rows)
    }
    return stored
  }

  /** The store's records of these go into the ledger, which says what they are. */
  async #decide(records: readonly Order[]): Promise<void> {
    const rows = new Map((await this.#ensure(records)).map((row) => [row.id, row]))
    const differing: LedgerOrder[] = []
    for (const record of records) {
      const row = rows.get(record.id)
      if (row !== undefined && !isSame(record, row)) differing.push(row)
      else this.#count(record)
      if (row === undefined) this.#rowless.add(record.id)
    }
    await this.#assert(differing, new Map(records.map((record) => [record.id, record])))
  }

  async #ensure(orders: readonly Order[]): Promise<readonly LedgerOrder[]> {
    if (orders.length === 0) return []
    const result = await this.#parts.ledger.ensure(this.#saleId, this.#era, orders)
    if (result.outcome !== 'ensured') throw lostRace(this.#saleId)
    this.#conflicts.push(...result.conflicts)
    this.#setAside.push(...result.setAside)
    return result.orders
  }

  /** Makes the store have what the rows say; `records` are what it has of them. */
  async #assert(rows: readonly LedgerOrder[], records: ReadonlyMap<string, Order> = new Map()): Promise<void> {
    await this.#sayAtWork()
    if (rows.length === 0) return
    const orders = rows.map((row) => recordOf(row, records.get(row.id) ?? null))
    for (const order of orders) {
      this.seqMax = Math.max(this.seqMax, order.createdSeq, order.paidSeq ?? 0, order.releasedSeq ?? 0)
      this.#count(order)
    }
    this.#reasserted += orders.length
    // A buyer's list of orders keeps the newest.
    await this.#reassert(orders.toSorted((a, b) => a.createdAtMs - b.createdAtMs))
  }

  /** So that no other process begins anew meanwhile; if one has, there is no use in going on. */
  async #sayAtWork(): Promise<void> {
    if (this.#parts.monotonicMs() - this.#saidMs >= WORD_EVERY_MS) await this.#reassert([])
  }

  async #reassert(orders: readonly Order[]): Promise<void> {
    this.#saidMs = this.#parts.monotonicMs()
    const { outcome } = await this.#parts.store.reassert(this.#saleId, this.#era, orders)
    if (outcome !== 'reasserted') throw lostRace(this.#saleId)
  }

  #count({ fareId, state, quantity }: Pick<Order, 'fareId' | 'state' | 'quantity'>): void {
    this.ordered += quantity
    if (state === 'released') return
    const tickets = this.#tickets.get(fareId) ?? { held: 0, paid: 0 }
    this.#tickets.set(fareId, tickets)
    tickets[state] += countedTickets({ state, quantity })
  }
}

/**
 * The wish is compared as well as the state: one key may have been used for two wishes, one in each of two histories,
 * and names one order.
 */
function isSame(record: Order, row: LedgerOrder): boolean {
  const { state, reason, fareId, quantity } = record
  return state === row.state && reason === row.reason && fareId === row.fareId && quantity === row.quantity
}

/**
 * The record of a row. What the store did not see happen happened before everything else that it has, and each step of
 * an order after the one before.
 */
function recordOf(row: LedgerOrder, record: Order | null): Order {
  const { id, fareId, quantity, buyer, state, reason, createdAtMs, paidAtMs, releasedAtMs } = row
  const createdSeq = record?.createdSeq ?? 1
  const paidSeq = paidAtMs === null ? null : (record?.paidSeq ?? createdSeq + 1)
  const releasedSeq = releasedAtMs === null ? null : (record?.releasedSeq ?? (paidSeq ?? createdSeq) + 1)
  return {
    id,
    fareId,
    quantity,
    buyer,
    state,
    reason,
    createdAtMs,
    createdSeq,
    paidAtMs,
    paidSeq,
    releasedAtMs,
    releasedSeq,
  }
}

function pagesOf<T>(all: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(all.length / PAGE) }, (_, at) => all.slice(at * PAGE, (at + 1) * PAGE))
}

export function lostRace(saleId: string): OperationError {
  const message = `another process began a new era of "${saleId}" first, or the store changed meanwhile: look again`
  return new OperationError('lost_race', message, { saleId })
}
