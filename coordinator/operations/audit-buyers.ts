/** The part of the audit about buyers: stored tickets against the records, the limit, and who is missing where. */
import type { Order } from '../../stock/core/words.ts'
import type { SaleSnapshot } from '../../stock/port.ts'
import type { BuyersOrder, SortedOrders } from './audit-orders.ts'
import { Findings, PROBLEMS_MAX } from './findings.ts'
import { HOLES, Pigeonholes } from './pigeonholes.ts'
import type { Problem } from './recount.ts'
import type { World } from './world.ts'

/** A buyer who keeps buying may differ once or twice only because two reads are not one instant. */
const READ_AGAIN_TIMES = 5
const READ_AGAIN_EVERY_MS = 20
const LOOK_AT_ONCE = 64

interface BuyerCount {
  tickets: number
  ticketsNow: number
  readonly orderIds: string[]
}

/** A buyer's entry in the store. */
type Entry = readonly [buyer: string, tickets: number]

export async function auditBuyers(
  world: World,
  snapshot: SaleSnapshot,
  orders: SortedOrders,
): Promise<{ readonly overLimit: number; readonly problems: readonly Problem[] }> {
  const saleId = snapshot.definition.id
  const limit = snapshot.definition.limitPerBuyer
  const entries = new Pigeonholes<Entry>({ pack: (entry) => entry, unpack: ([a, b]) => [a as string, b as number] })
  const wrong = new Findings()
  const over = new Findings()
  try {
    await readEntries(world, saleId, entries)
    for (let hole = 0; hole < HOLES; hole++) {
      const counts = countsOf(await orders.ofBuyers(hole))
      for (const [buyer, { tickets }] of counts) {
        if (tickets <= limit) continue
        over.add({ rule: 'limit_per_buyer', witness: `buyer ${buyer}: ${tickets} tickets, the limit is ${limit}` })
      }
      const stored = new Map(await entries.read(hole))
      await lookAtSuspects(world, saleId, suspectsOf(stored, counts), counts, wrong)
    }
  } finally {
    await entries.close()
  }
  return { overLimit: over.count, problems: [...wrong.list(), ...over.list()] }
}

async function readEntries({ port }: World, saleId: string, entries: Pigeonholes<Entry>): Promise<void> {
  let cursor: string | null = ''
  while (cursor !== null) {
    const page: Awaited<ReturnType<typeof port.sales.scanBuyers>> = await port.sales.scanBuyers(saleId, cursor)
    for (const { buyer, tickets } of page.buyers) entries.put(buyer, [buyer, tickets])
    await entries.spill()
    cursor = page.cursor
  }
}

function countsOf(orders: readonly BuyersOrder[]): ReadonlyMap<string, BuyerCount> {
  const counts = new Map<string, BuyerCount>()
  for (const { buyer, orderId, tickets, ticketsNow } of orders) {
    let count = counts.get(buyer)
    if (count === undefined) {
      count = { tickets: 0, ticketsNow: 0, orderIds: [] }
      counts.set(buyer, count)
    }
    count.orderIds.push(orderId)
    count.tickets += tickets
    count.ticketsNow += ticketsNow
  }
  return counts
}

function suspectsOf(stored: ReadonlyMap<string, number>, counts: ReadonlyMap<string, BuyerCount>): readonly string[] {
  const differing = [...stored].filter(([buyer, tickets]) => counts.get(buyer)?.ticketsNow !== tickets)
  const missing = [...counts.keys()].filter((buyer) => !stored.has(buyer))
  return [...differing.map(([buyer]) => buyer), ...missing]
}

/** Stops when there is more than anybody reads: each look is several reads of the store. */
async function lookAtSuspects(
  world: World,
  saleId: string,
  suspects: readonly string[],
  counts: ReadonlyMap<string, BuyerCount>,
  wrong: Findings,
): Promise<void> {
  for (let start = 0; start < suspects.length && wrong.count < PROBLEMS_MAX; start += LOOK_AT_ONCE) {
    const looks = suspects
      .slice(start, start + LOOK_AT_ONCE)
      .map((buyer) => lookAgain(world, saleId, buyer, counts.get(buyer)?.orderIds ?? []))
    wrong.add(...(await Promise.all(looks)).filter((problem) => problem !== null))
  }
}

/**
 * Reads the buyer's entry and all orders known of the buyer again, until they agree. The records found by the scan
 * are read by id too: the entry cannot hide an order that it does not list.
 */
async function lookAgain(
  world: World,
  saleId: string,
  buyer: string,
  orderIds: readonly string[],
): Promise<Problem | null> {
  let witness = ''
  for (let times = 0; times < READ_AGAIN_TIMES; times++) {
    if (times > 0) await world.wait(READ_AGAIN_EVERY_MS)
    const before = await world.port.sales.readBuyer(saleId, buyer)
    const records = await world.port.sales.readOrders(saleId, orderIds)
    const entry = await world.port.sales.readBuyer(saleId, buyer)
    const orders = new Map<string, Order>()
    for (const order of records) if (order !== null) orders.set(order.id, order)
    for (const order of entry.orders) orders.set(order.id, order)
    const tickets = [...orders.values()]
      .filter(({ state }) => state !== 'released')
      .reduce((sum, { quantity }) => sum + quantity, 0)
    const unlisted = [...orders.keys()].filter((id) => !isListed(id, entry.orderIds))
    const missing = entry.orderIds.filter((id) => !orders.has(id))
    const agree = entry.tickets === tickets && orders.size > 0
    if (agree && unlisted.length === 0 && missing.length === 0) return null
    if (before.tickets !== entry.tickets) continue
    const ids = [...orders.keys()].join(', ') || 'none'
    witness = `buyer ${buyer}: the buyer's entry says ${entry.tickets} tickets, the order records say ${tickets} (orders: ${ids}`
    if (missing.length > 0) witness += `; the record is gone: ${missing.join(', ')}`
    if (unlisted.length > 0) witness += `; not in the entry: ${unlisted.join(', ')}`
    witness += ')'
  }
  return witness === '' ? null : { rule: 'buyer_tickets', witness }
}

/** The entry lists the newest 100 orders only; beyond that nothing can be said. */
function isListed(id: string, listed: readonly string[]): boolean {
  return listed.length >= 100 || listed.includes(id)
}
