/**
 * The promises, judged from outside: by what the buyers themselves wrote down, and by `audit`.
 *
 * A checker knows nothing of how the load was made. It returns what is wrong, each with its smallest witness.
 */
import type { Attempt, History, Purchase } from './client.ts'
import { isFinal } from './client.ts'
import type { AuditReport } from './cluster.ts'

export interface Violation {
  readonly rule: string
  readonly witness: string
}

export type Stock = Readonly<Record<string, number>>

export interface Order {
  readonly id: string
  readonly purchase: Purchase
}

/** Each order that a buyer was told of, once. */
export function ordersOf(history: History): Map<string, Order> {
  const orders = new Map<string, Order>()
  for (const purchase of history) {
    for (const { orderId } of purchase.attempts) {
      if (orderId !== null && !orders.has(orderId)) orders.set(orderId, { id: orderId, purchase })
    }
  }
  return orders
}

export function ticketsOf(history: History, fareId: string): number {
  return [...ordersOf(history).values()]
    .filter(({ purchase }) => purchase.fareId === fareId)
    .reduce((sum, { purchase }) => sum + purchase.quantity, 0)
}

/** P1 and P2: the tickets of distinct orders are the stock, fare by fare. */
export function exactSale(history: History, stock: Stock): Violation[] {
  return Object.entries(stock).flatMap(([fareId, tickets]) => {
    const sold = ticketsOf(history, fareId)
    if (sold === tickets) return []
    const rule = sold > tickets ? 'oversold' : 'undersold'
    return [{ rule, witness: `fare ${fareId}: buyers hold ${sold} tickets of ${tickets}` }]
  })
}

/** P3: orders that a buyer was told of and that are not among `kept`, the ids that the ledger exports. */
export function lostOrders(history: History, kept: Iterable<string>): Order[] {
  const known = new Set(kept)
  return [...ordersOf(history).values()].filter(({ id }) => !known.has(id))
}

/** P3, where nothing may be lost. */
export function nothingLost(history: History, kept: Iterable<string>): Violation[] {
  const lost = lostOrders(history, kept)
  const [first] = lost
  if (first === undefined) return []
  const { id, purchase } = first
  return [{ rule: 'lost', witness: `${lost.length} orders, such as ${id} of buyer ${purchase.buyer}, are nowhere` }]
}

/** P5, for a sale in which nothing is given back. */
export function withinLimit(history: History, limit: number): Violation[] {
  const held = new Map<string, { tickets: number; orderIds: string[] }>()
  for (const { id, purchase } of ordersOf(history).values()) {
    const buyer = held.get(purchase.buyer) ?? { tickets: 0, orderIds: [] }
    held.set(purchase.buyer, buyer)
    buyer.tickets += purchase.quantity
    buyer.orderIds.push(id)
  }
  return [...held]
    .filter(([, { tickets }]) => tickets > limit)
    .map(([buyer, { tickets, orderIds }]) => ({
      rule: 'over_limit',
      witness: `buyer ${buyer} holds ${tickets} tickets, the limit is ${limit}: ${orderIds.join(', ')}`,
    }))
}

/** P4: one order per key, the same id every time, made once, and nobody else's. */
export function oneOrderPerKey(history: History): Violation[] {
  const violations: Violation[] = []
  const ownerOf = new Map<string, string>()
  const madeBy = new Map<string, string>()
  const idOf = new Map<string, string>()
  for (const { buyer, key, attempts } of history) {
    const owner = `buyer ${buyer} key ${key}`
    for (const { orderId, status } of attempts) {
      if (orderId === null) continue
      const first = idOf.get(owner) ?? orderId
      idOf.set(owner, first)
      if (first !== orderId) violations.push({ rule: 'two_orders', witness: `${owner}: ${first} and ${orderId}` })
      const other = ownerOf.get(orderId) ?? owner
      ownerOf.set(orderId, other)
      if (other !== owner) violations.push({ rule: 'shared_order', witness: `${orderId}: ${other} and ${owner}` })
      if (status !== 201) continue
      if (madeBy.has(orderId)) violations.push({ rule: 'made_twice', witness: `${owner}: ${orderId} was 201 twice` })
      madeBy.set(orderId, owner)
    }
  }
  return violations
}

const SCARCITY = new Set(['sold_out', 'all_held', 'not_enough'])

interface Refusal {
  readonly purchase: Purchase
  readonly attempt: Attempt
  /** The most tickets that may have been left when it was made. */
  readonly most: number
}

/**
 * P6, for a sale in which nothing is given back, so that `remaining` only falls.
 *
 * Two proofs, each sure by itself. By the buyers' own times: an order whose first attempt began after the refusal was
 * heard was taken after it. By the order's `createdAt`, which is Redis's clock and here the clock of this machine:
 * an order made in a later millisecond than the refusal was heard. `sold_out` and `all_held` say that nothing
 * remains; `not_enough` that less remains than was asked for. Of refusals that say the same of a fare, the first to
 * be heard has the most orders after it, so it alone is judged.
 */
export function noFalseScarcity(history: History): Violation[] {
  const first = new Map<string, Refusal>()
  for (const purchase of history) {
    for (const attempt of purchase.attempts) {
      if (attempt.code === null || !SCARCITY.has(attempt.code)) continue
      const most = attempt.code === 'not_enough' ? purchase.quantity - 1 : 0
      const claim = `${purchase.fareId} ${most}`
      const known = first.get(claim)
      if (known === undefined || attempt.completedMs < known.attempt.completedMs) {
        first.set(claim, { purchase, attempt, most })
      }
    }
  }
  const orders = [...ordersOf(history).values()]
  return [...first.values()].flatMap((refusal) => falseRefusal(refusal, orders) ?? [])
}

function falseRefusal({ purchase, attempt, most }: Refusal, orders: readonly Order[]): Violation | null {
  const later = orders.filter(
    (order) =>
      order.purchase.fareId === purchase.fareId &&
      ((order.purchase.attempts[0]?.invokedMs ?? 0) > attempt.completedMs ||
        createdAtMs(order) > attempt.completedAtMs),
  )
  const tickets = later.reduce((sum, order) => sum + order.purchase.quantity, 0)
  if (tickets <= most) return null
  const heard = `buyer ${purchase.buyer} heard ${attempt.code} for ${purchase.quantity} at ${Math.round(attempt.completedMs)} ms`
  return { rule: 'false_scarcity', witness: `${heard}, ${tickets} tickets were taken later, such as ${later[0]?.id}` }
}

function createdAtMs({ id, purchase }: Order): number {
  return purchase.attempts.find(({ orderId }) => orderId === id)?.orderCreatedAtMs ?? 0
}

/** Nothing but these, as `status` or `status code`; 0 is no answer. */
export function onlyAnswers(history: History, allowed: readonly string[]): Violation[] {
  const odd = new Map<string, string>()
  for (const { buyer, key, attempts } of history) {
    for (const { status, code, fault } of attempts) {
      const answer = code === null ? String(status) : `${status} ${code}`
      if (!allowed.includes(answer) && !odd.has(answer)) {
        odd.set(answer, `buyer ${buyer} key ${key}: ${answer}${fault === null ? '' : ` (${fault})`}`)
      }
    }
  }
  return [...odd.values()].map((witness) => ({ rule: 'odd_answer', witness }))
}

/** P8: every buyer knows in the end. */
export function allEnded(history: History): Violation[] {
  const open = history.find(({ attempts }) => !attempts.some(isFinal))
  if (open === undefined) return []
  return [{ rule: 'no_end', witness: `buyer ${open.buyer} key ${open.key} gave up after ${open.attempts.length}` }]
}

/** The operator's recount is right in itself and agrees with what the buyers hold. */
export function auditAgrees(history: History, audit: AuditReport): Violation[] {
  const found = audit.problems.map(({ rule, witness }) => ({ rule: `audit_${rule}`, witness }))
  if (!audit.ok && found.length === 0) found.push({ rule: 'audit', witness: 'not ok, and no problem named' })
  const differ = audit.fares.flatMap(({ id, held, paid }) => {
    const tickets = ticketsOf(history, id)
    if (tickets === held + paid) return []
    return [{ rule: 'audit_differs', witness: `fare ${id}: buyers hold ${tickets}, the store ${held + paid}` }]
  })
  return [...found, ...differ]
}

/** How often each answer was heard; for reports. */
export function tally(history: History): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { attempts } of history) {
    for (const { status, code } of attempts) {
      const answer = code === null ? String(status) : `${status} ${code}`
      counts[answer] = (counts[answer] ?? 0) + 1
    }
  }
  return counts
}
