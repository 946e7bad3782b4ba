/**
 * Puts a sale together again: what the store still has, what the ledger has, and what nodes have told.
 *
 * Everything meets in the ledger, under an era that was begun there before, so that its guards decide what fits: first
 * what is there, then what nodes told, then what only the store has. The store is then made what the ledger says, order by order, and its
 * counters are what these orders come to. Until it is opened nobody sells, and whatever a crash leaves half done is
 * begun again under a later era; putting an order in twice does no harm.
 */
import { OperationError } from '../../runtime/operation-error.ts'
import { countedTickets, type UnitedFare, type UnitedNode } from '../../stock/core/union.ts'
import type { Order, Version } from '../../stock/core/words.ts'
import type { SaleStore } from '../../stock/port.ts'
import type { Ledger, LedgerOrder, LedgerSale } from '../ledger/ledger.ts'

export interface UnionParts {
  readonly ledger: Pick<Ledger, 'ensure' | 'scanOrders' | 'sale'>
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
}

export interface UnionReport {
  readonly version: Version
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

const PAGE = 500
const SCAN_PAGE = 1000
/** Well below what others take for the silence of a process that is gone. */
const WORD_EVERY_MS = 500

export async function uniteSale(parts: UnionParts, task: UnionTask): Promise<UnionReport> {
  const { ledger, store } = parts
  const { sale, era, floorSeq, nodes } = task
  const saleId = sale.definition.id
  if ((await store.beginUnion(sale.definition, era)).outcome !== 'begun') throw lostRace(saleId)
  const union = new Union(parts, saleId, era)
  await union.compare(await task.told())
  await union.reassert()
  const present = await ledger.sale(saleId)
  if (present === null || present.era !== era) throw lostRace(saleId)
  const fares = union.faresOf(present)
  const opened = await store.openUnion(saleId, era, {
    floorSeq: Math.max(floorSeq, union.seqMax),
    state: present.state,
    fares,
    tickets: union.ordered,
    nodes,
  })
  if (opened.outcome !== 'certified') throw lostRace(saleId)
  return { version: opened.version, ...union.report(), fares }
}

class Union {
  readonly #parts: UnionParts
  readonly #saleId: string
  readonly #era: number
  /** What the store has, by id, as far as the ledger was not compared with it. */
  readonly #inStore = new Map<string, string>()
  /** Records that the store is to have. */
  readonly #toAssert = new Map<string, Order>()
  readonly #tickets = new Map<string, { held: number; paid: number }>()
  readonly #conflicts: string[] = []
  readonly #setAside: string[] = []
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

  /** Finds what store, ledger and journals do not agree on, and has the ledger decide it. */
  async compare(journals: readonly Order[]): Promise<void> {
    const told = new Map(journals.map((order) => [order.id, order]))
    await this.#readStore()
    const differing: string[] = []
    for await (const row of this.#rows()) {
      const known = this.#inStore.get(row.id)
      this.#inStore.delete(row.id)
      told.delete(row.id)
      if (known === undefined) this.#assert(row, null)
      else if (known === stateText(row)) this.#count(row)
      else differing.push(row.id)
    }
    const lost = [...told.values()].filter(({ id }) => !this.#inStore.has(id))
    // Where not all fit the stock, those come first of which a buyer was surely told.
    for (const orders of pagesOf(lost)) await this.#bringBack(orders)
    const stored = [...this.#inStore.keys()]
    await this.#decideAll([...differing, ...stored.filter((id) => told.has(id))])
    await this.#decideAll(stored.filter((id) => !told.has(id)))
  }

  async reassert(): Promise<void> {
    // Oldest first: a buyer's list of orders keeps the newest.
    const orders = [...this.#toAssert.values()].toSorted((a, b) => a.createdAtMs - b.createdAtMs)
    for (const page of pagesOf(orders)) {
      const { outcome } = await this.#parts.store.reassert(this.#saleId, this.#era, page)
      if (outcome !== 'reasserted') throw lostRace(this.#saleId)
    }
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
      reasserted: this.#toAssert.size,
      fromJournals: this.#fromJournals,
      conflicts: this.#conflicts,
      setAside: this.#setAside,
    }
  }

  async #readStore(): Promise<void> {
    for (let cursor: string | null = ''; cursor !== null;) {
      const page: Awaited<ReturnType<SaleStore['scanOrders']>> = await this.#parts.store.scanOrders(
        this.#saleId,
        cursor,
      )
      for (const order of page.orders) this.#inStore.set(order.id, stateText(order))
      cursor = page.cursor
      await this.#sayAtWork()
    }
  }

  async *#rows(): AsyncIterable<LedgerOrder> {
    for (let after: string | null = null; ;) {
      const rows: readonly LedgerOrder[] = await this.#parts.ledger.scanOrders(this.#saleId, after, SCAN_PAGE)
      yield* rows
      await this.#sayAtWork()
      if (rows.length < SCAN_PAGE) return
      after = rows.at(-1)?.id ?? null
    }
  }

  /** Only a journal has them. */
  async #bringBack(orders: readonly Order[]): Promise<void> {
    const rows = await this.#ensure(orders)
    this.#fromJournals += rows.length
    for (const row of rows) this.#assert(row, null)
  }

  /** The store's records of these go into the ledger, which says what they are. */
  async #decideAll(ids: readonly string[]): Promise<void> {
    for (const page of pagesOf(ids)) {
      const found = await this.#parts.store.readOrders(this.#saleId, page)
      const records = found.filter((one) => one !== null)
      const rows = new Map((await this.#ensure(records)).map((row) => [row.id, row]))
      for (const record of records) {
        const row = rows.get(record.id)
        if (row === undefined || stateText(row) === stateText(record)) this.#count(record)
        else this.#assert(row, record)
      }
    }
  }

  /** So that no other process begins anew meanwhile; if one has, there is no use in going on. */
  async #sayAtWork(): Promise<void> {
    const { store, monotonicMs } = this.#parts
    if (monotonicMs() - this.#saidMs < WORD_EVERY_MS) return
    this.#saidMs = monotonicMs()
    if ((await store.reassert(this.#saleId, this.#era, [])).outcome !== 'reasserted') throw lostRace(this.#saleId)
  }

  async #ensure(orders: readonly Order[]): Promise<readonly LedgerOrder[]> {
    if (orders.length === 0) return []
    await this.#sayAtWork()
    const result = await this.#parts.ledger.ensure(this.#saleId, this.#era, orders)
    if (result.outcome !== 'ensured') throw lostRace(this.#saleId)
    this.#conflicts.push(...result.conflicts)
    this.#setAside.push(...result.setAside)
    return result.orders
  }

  #assert(row: LedgerOrder, record: Order | null): void {
    const asserted = recordOf(row, record)
    this.#toAssert.set(row.id, asserted)
    this.seqMax = Math.max(this.seqMax, asserted.createdSeq, asserted.paidSeq ?? 0, asserted.releasedSeq ?? 0)
    this.#count(row)
  }

  #count({ fareId, state, quantity }: Pick<Order, 'fareId' | 'state' | 'quantity'>): void {
    this.ordered += quantity
    if (state === 'released') return
    const tickets = this.#tickets.get(fareId) ?? { held: 0, paid: 0 }
    this.#tickets.set(fareId, tickets)
    tickets[state] += countedTickets({ state, quantity })
  }
}

function stateText({ state, reason }: Pick<Order, 'state' | 'reason'>): string {
  return reason ?? state
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
