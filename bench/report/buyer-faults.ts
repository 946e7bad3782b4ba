/**
 * What must be true of a sale, whatever the servers say: judged from what each buyer was told and from the store's
 * order records, read one by one. Knows nothing of how the load was made.
 */
import type { Attempt, StoredOrder } from './attempts.ts'

export interface SaleExpectation {
  readonly stock: Readonly<Record<string, number>>
  /** Tickets that must be sold in the end, per fare; null where it depends on chance. */
  readonly sold: Readonly<Record<string, number>> | null
  readonly buyers: number
  readonly limitPerBuyer: number
  /** Tickets come back during the run (holds lapse): a "no" may then be followed by a sale, and more be sold than the stock. */
  readonly ticketsReturn: boolean
  /** Every request must be answered at the first try. */
  readonly noRepeats: boolean
}

interface Told {
  readonly id: string
  readonly first: Attempt
}

export function buyerFaults(attempts: readonly Attempt[], expected: SaleExpectation): string[] {
  const told = ordersTold(attempts)
  return [
    ...endFaults(attempts, expected),
    ...orderFaults(attempts),
    ...countFaults(told, expected),
    ...limitFaults(told, expected),
    ...(expected.ticketsReturn ? [] : falseNo(attempts)),
  ]
}

/** Each order that some buyer was told of, once. */
export function ordersTold(attempts: readonly Attempt[]): Told[] {
  const told = new Map<string, Told>()
  for (const attempt of attempts) {
    if (hasOrder(attempt) && !told.has(attempt.what)) told.set(attempt.what, { id: attempt.what, first: attempt })
  }
  return [...told.values()]
}

export function hasOrder({ outcome }: Attempt): boolean {
  return outcome === 'won' || outcome === 'replayed'
}

/** Everybody came, everybody knows in the end, and nobody heard anything unheard-of. */
function endFaults(attempts: readonly Attempt[], { buyers, noRepeats }: SaleExpectation): string[] {
  const faults: string[] = []
  const came = new Set(attempts.map(({ buyer }) => buyer)).size
  if (came !== buyers) faults.push(`${came} buyers of ${buyers} left a record`)
  const ended = new Set(attempts.filter(({ outcome }) => outcome !== 'again').map(({ key }) => key))
  const open = attempts.find(({ key }) => !ended.has(key))
  if (open !== undefined) faults.push(`a buyer never had a final answer: ${open.buyer}, key ${open.key}`)
  const odd = attempts.filter(({ outcome }) => outcome === 'unexpected')
  if (odd.length > 0) faults.push(`${odd.length} unexpected answers, such as ${odd[0]?.status} ${odd[0]?.what}`)
  const again = attempts.filter(({ outcome }) => outcome === 'again')
  if (noRepeats && again.length > 0) {
    faults.push(`${again.length} requests failed, such as ${again[0]?.status} ${again[0]?.what}`)
  }
  return faults
}

/** One order per key, one key per order, and "new" is said of it once. */
function orderFaults(attempts: readonly Attempt[]): string[] {
  const faults: string[] = []
  const keyOf = new Map<string, string>()
  const idOf = new Map<string, string>()
  const made = new Set<string>()
  for (const attempt of attempts.filter(hasOrder)) {
    const { buyer, key, what: id, outcome } = attempt
    const owner = `${buyer} ${key}`
    if (id === '') faults.push(`${buyer} has an order without an id`)
    if ((keyOf.get(id) ?? owner) !== owner) faults.push(`order ${id} was sold twice: ${keyOf.get(id)} and ${owner}`)
    if ((idOf.get(owner) ?? id) !== id) faults.push(`${owner} has two orders: ${idOf.get(owner)} and ${id}`)
    if (outcome === 'won' && made.has(id)) faults.push(`order ${id} was said to be new twice`)
    keyOf.set(id, owner)
    idOf.set(owner, id)
    if (outcome === 'won') made.add(id)
  }
  return shortened(faults)
}

function countFaults(told: readonly Told[], { stock, sold, ticketsReturn }: SaleExpectation): string[] {
  const ticketsOf = ticketsByFare(told)
  return Object.entries(stock).flatMap(([fare, tickets]) => {
    const count = ticketsOf.get(fare) ?? 0
    const wanted = sold?.[fare]
    if (count > tickets && !ticketsReturn) return [`${fare}: OVERSOLD, buyers have ${count} tickets of ${tickets}`]
    if (wanted !== undefined && count !== wanted)
      return [`${fare}: buyers have ${count} tickets; ${wanted} were to sell`]
    return []
  })
}

export function ticketsByFare(told: readonly Told[]): Map<string, number> {
  const tickets = new Map<string, number>()
  for (const { first } of told) tickets.set(first.fare, (tickets.get(first.fare) ?? 0) + first.quantity)
  return tickets
}

function limitFaults(told: readonly Told[], { limitPerBuyer, ticketsReturn }: SaleExpectation): string[] {
  if (ticketsReturn) return []
  const held = new Map<string, number>()
  for (const { first } of told) held.set(first.buyer, (held.get(first.buyer) ?? 0) + first.quantity)
  const over = [...held].filter(([, tickets]) => tickets > limitPerBuyer)
  return shortened(over.map(([buyer, tickets]) => `${buyer} has ${tickets} tickets; the limit is ${limitPerBuyer}`))
}

/**
 * "No more" before the last ticket of that fare was so much as asked for. (The last ticket went at the earliest when
 * its buyer asked.) `not_enough` says only that fewer remain than were wanted, and is not judged.
 */
function falseNo(attempts: readonly Attempt[]): string[] {
  const lastAskedMs = new Map<string, number>()
  const firstAskedMs = new Map<string, number>()
  for (const { key, sentMs } of attempts) firstAskedMs.set(key, Math.min(sentMs, firstAskedMs.get(key) ?? sentMs))
  for (const { first } of ordersTold(attempts)) {
    const askedMs = firstAskedMs.get(first.key) ?? first.sentMs
    lastAskedMs.set(first.fare, Math.max(askedMs, lastAskedMs.get(first.fare) ?? 0))
  }
  const early = attempts.filter(
    ({ outcome, what, fare, answeredMs }) =>
      outcome === 'refused' && what !== 'not_enough' && answeredMs < (lastAskedMs.get(fare) ?? 0),
  )
  return early.length === 0 ? [] : [`${early.length} buyers heard "no more" before the last ticket was asked for`]
}

/** Every order that a buyer was told of is in the store, as told, and the store has no others. */
export function storeFaults(
  attempts: readonly Attempt[],
  orders: readonly StoredOrder[] | null,
  { ticketsReturn }: SaleExpectation,
): string[] {
  if (orders === null) return ["the store's orders were not read"]
  const stored = new Map(orders.map((order) => [order.id, order]))
  const told = ordersTold(attempts)
  const lost = told.filter(({ id, first }) => !isAsTold(stored.get(id), first, ticketsReturn))
  const known = new Set(told.map(({ id }) => id))
  const untold = orders.filter(({ id }) => !known.has(id))
  return [
    ...shortened(
      lost.map(({ id, first }) => `LOST ORDER: ${first.buyer} was told of ${id}; the store does not have it so`),
    ),
    ...shortened(untold.map(({ id, buyer }) => `order ${id} of ${buyer} is in the store, but nobody was told of it`)),
  ]
}

function isAsTold(order: StoredOrder | undefined, { buyer, fare, quantity }: Attempt, ticketsReturn: boolean): boolean {
  if (order === undefined || order.buyer !== buyer || order.fare !== fare || order.quantity !== quantity) return false
  return ticketsReturn || order.state === 'held' || order.state === 'paid'
}

const SHOWN_MAX = 3

/** The first few of many faults of one kind. */
function shortened(faults: readonly string[]): string[] {
  if (faults.length <= SHOWN_MAX) return [...faults]
  return [...faults.slice(0, SHOWN_MAX), `and ${faults.length - SHOWN_MAX} more like that`]
}
