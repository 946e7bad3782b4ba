/** The part of the audit about buyers: stored tickets against the records, the limit, and who is missing where. */
import type { Order } from '../../stock/core/words.ts'
import type { SaleSnapshot } from '../../stock/port.ts'
import type { Problem, Recount } from './recount.ts'
import type { World } from './world.ts'

/** A buyer who keeps buying may differ once or twice only because two reads are not one instant. */
const READ_AGAIN_TIMES = 5
const READ_AGAIN_EVERY_MS = 20
/** More than anybody reads. */
const PROBLEMS_MAX = 100
const LOOK_AT_ONCE = 64

export async function auditBuyers(
  world: World,
  snapshot: SaleSnapshot,
  recount: Recount,
): Promise<{ readonly overLimit: number; readonly problems: readonly Problem[] }> {
  const saleId = snapshot.definition.id
  const problems: Problem[] = []
  const stored = await scanBuyers(world, saleId)
  const suspects = new Set<string>()
  for (const [buyer, tickets] of stored) if (recount.buyers.get(buyer)?.ticketsNow !== tickets) suspects.add(buyer)
  for (const buyer of recount.buyers.keys()) if (!stored.has(buyer)) suspects.add(buyer)
  const list = [...suspects]
  for (let start = 0; start < list.length && problems.length < PROBLEMS_MAX; start += LOOK_AT_ONCE) {
    const looks = list
      .slice(start, start + LOOK_AT_ONCE)
      .map((buyer) => lookAgain(world, saleId, buyer, recount.buyers.get(buyer)?.orderIds ?? []))
    problems.push(...(await Promise.all(looks)).filter((problem) => problem !== null))
  }

  const limit = snapshot.definition.limitPerBuyer
  const over = [...recount.buyers].filter(([, { tickets }]) => tickets > limit)
  for (const [buyer, { tickets }] of over.slice(0, PROBLEMS_MAX)) {
    problems.push({ rule: 'limit_per_buyer', witness: `buyer ${buyer}: ${tickets} tickets, the limit is ${limit}` })
  }
  return { overLimit: over.length, problems }
}

async function scanBuyers(world: World, saleId: string): Promise<Map<string, number>> {
  const stored = new Map<string, number>()
  let cursor: string | null = ''
  while (cursor !== null) {
    const page: Awaited<ReturnType<World['port']['sales']['scanBuyers']>> = await world.port.sales.scanBuyers(
      saleId,
      cursor,
    )
    for (const { buyer, tickets } of page.buyers) stored.set(buyer, tickets)
    cursor = page.cursor
  }
  return stored
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
