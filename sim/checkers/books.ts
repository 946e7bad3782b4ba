/** The books: what stores and ledger have at the end, each counted again from single records. */
import { conservationFault } from '../../stock/core/sale-record.ts'
import type { Evidence, UnlikeOrder, Violation } from './evidence.ts'
import { name } from './promises.ts'

/** The law about stock, after every command of the run. */
export function stockLaw({ lawFault }: Evidence): Violation[] {
  return lawFault === null ? [] : [{ rule: 'stock_law', witness: lawFault }]
}

/** Counters are what the orders add up to. */
export function countersFollow({ fares, orders, buyers }: Evidence): Violation[] {
  for (const fare of fares) {
    const own = [...orders.values()].filter(({ fareId }) => fareId === fare.fareId)
    const sum = (state: string): number =>
      own.filter((order) => order.state === state).reduce((tickets, { quantity }) => tickets + quantity, 0)
    const [held, paid] = [sum('held'), sum('paid')]
    const fault = conservationFault(fare.fareId, fare)
    if (fault !== null) return [{ rule: 'stock_law', witness: fault }]
    if (held === fare.held && paid === fare.paid) continue
    const witness = `fare ${fare.fareId}: counters say ${fare.held} held, ${fare.paid} paid; the orders ${held} and ${paid}`
    return [{ rule: 'stock_law', witness }]
  }
  const ticketsOf = new Map<string, number>()
  for (const { buyer, state, quantity } of orders.values()) {
    if (state !== 'released') ticketsOf.set(buyer, (ticketsOf.get(buyer) ?? 0) + quantity)
  }
  for (const [buyer, tickets] of buyers) {
    const counted = ticketsOf.get(buyer) ?? 0
    if (counted !== tickets) {
      return [{ rule: 'buyer_count', witness: `${buyer} is counted with ${tickets} tickets and has ${counted}` }]
    }
  }
  return []
}

/** P5 in the surviving store. An order that was lost and comes back does so whatever its buyer bought meanwhile. */
export function limitInBooks(evidence: Evidence): Violation[] {
  const { buyers, orders, lost, limitPerBuyer } = evidence
  const backOf = (owner: string): number =>
    [...orders.values()]
      .filter(({ id, buyer, state }) => buyer === owner && state !== 'released' && lost.has(id))
      .reduce((sum, { quantity }) => sum + quantity, 0)
  const over = [...buyers].find(
    ([buyer, tickets]) => tickets > limitPerBuyer && tickets - backOf(buyer) > limitPerBuyer,
  )
  if (over === undefined) return []
  return [
    { rule: 'over_limit', witness: `${over[0]} has ${over[1]} tickets in the store, the limit is ${limitPerBuyer}` },
  ]
}

/** P2: after healing everything could be bought. */
export function nothingStranded({ fares, orders, hasConverged, history, unlike, lost }: Evidence): Violation[] {
  if (!hasConverged) {
    const open = history.filter(
      ({ mayRepeat, attempts }) => mayRepeat && attempts.every(({ status }) => status === 0 || status >= 500),
    )
    const differ = unlike.filter((one) => !mayStayUnlike(lost, one))
    const without = [...open.map(name), ...differ.map(({ orderId }) => `${orderId} (the books differ)`)].slice(0, 3)
    const witness = `after healing the cluster did not come to rest; without an end: ${without.join('; ')}`
    return [{ rule: 'stranded', witness }]
  }
  for (const { fareId, stock } of fares) {
    const sold = [...orders.values()]
      .filter((order) => order.fareId === fareId && order.state !== 'released')
      .reduce((sum, { quantity }) => sum + quantity, 0)
    if (sold < stock) {
      return [
        {
          rule: 'stranded',
          witness: `fare ${fareId}: ${stock - sold} of ${stock} tickets are left, and fresh buyers were refused`,
        },
      ]
    }
  }
  return []
}

/** One fate per order: the one the ledger decided, and what the buyer was told of it. */
export function oneFate({ fates, conflicts, orders, lost, history }: Evidence): Violation[] {
  for (const fate of fates.values()) {
    if (lost.has(fate.orderId)) continue
    const order = orders.get(fate.orderId)
    if (order === undefined || (order.state === fate.state && (order.reason ?? null) === fate.reason)) continue
    const witness = `order ${fate.orderId} is ${fate.state} in the ledger and ${order.state} in the store`
    return [{ rule: 'two_fates', witness }]
  }
  for (const orderId of conflicts) {
    if (!lost.has(orderId)) return [{ rule: 'two_fates', witness: `the store contradicts the ledger on ${orderId}` }]
  }
  for (const purchase of history) {
    const told = new Set(purchase.acts.filter(({ outcome }) => outcome === 'ok').map(({ kind }) => kind))
    if (told.size > 1) return [{ rule: 'two_fates', witness: `${name(purchase)} was told paid and cancelled` }]
  }
  return []
}

/**
 * After healing the store has every order of the ledger and the ledger every order of the store, and both agree, also on
 * the stock.
 */
export function booksAgree({ unlike, unlikeStocks, lost, hasConverged }: Evidence): Violation[] {
  const [stock] = hasConverged ? unlikeStocks : []
  if (stock !== undefined) {
    const { fareId, inLedger, inStore } = stock
    return [
      { rule: 'books_differ', witness: `fare ${fareId} has ${inLedger} in the ledger and ${inStore} in the store` },
    ]
  }
  const found = hasConverged ? unlike.find((one) => !mayStayUnlike(lost, one)) : undefined
  if (found === undefined) return []
  const { orderId, inLedger, inStore } = found
  return [{ rule: 'books_differ', witness: `${orderId} is ${inLedger} in the ledger and ${inStore} in the store` }]
}

/**
 * An order that an older copy lacks, which gave its version to another before any call could show that it is older: nothing
 * tells that it was ever in the store, until its hold is over. What the store does have is compared with the ledger.
 */
export function mayStayUnlike(lost: Evidence['lost'], { orderId, inStore }: UnlikeOrder): boolean {
  const loss = lost.get(orderId)
  return inStore === null && loss !== undefined && loss.givenAgain !== null && loss.knowers.length === 0
}

/** A hold lapses only when both clocks have passed its deadline, and its ticket goes only by a decision. */
export function neverEarly({ fates, settled }: Evidence): Violation[] {
  for (const { orderId, overdue } of fates.values()) {
    if (overdue === null) continue
    const { storeMs, ledgerMs, deadlineMs } = overdue
    if (storeMs >= deadlineMs && ledgerMs >= deadlineMs) continue
    return [
      {
        rule: 'early_expiry',
        witness: `${orderId} lapsed at ${Math.min(storeMs, ledgerMs)}, its deadline was ${deadlineMs}`,
      },
    ]
  }
  const undecided = settled.find(({ wasDecided }) => !wasDecided)
  if (undecided === undefined) return []
  return [
    {
      rule: 'undecided',
      witness: `${undecided.orderId} was ${undecided.state} in the store and undecided in the ledger`,
    },
  ]
}

/** Nothing is sold while the sale is not open, by the store's own clock. */
export function onlyWhileOpen({ creations, opensAtMs }: Evidence): Violation[] {
  const wrong = creations.find(
    ({ state, storeMs }) => state !== 'open' && !(state === 'scheduled' && opensAtMs !== null && storeMs >= opensAtMs),
  )
  if (wrong === undefined) return []
  return [
    {
      rule: 'sold_while_shut',
      witness: `${wrong.orderId} was sold at ${wrong.atMs.toFixed(1)} ms, the sale was ${wrong.state}`,
    },
  ]
}

/** Nothing is sold in a life of the store that nobody has certified. */
export function onlyCertified({ creations }: Evidence): Violation[] {
  const wrong = creations.find(({ isCertified }) => !isCertified)
  if (wrong === undefined) return []
  return [
    {
      rule: 'sold_uncertified',
      witness: `${wrong.orderId} was sold at ${wrong.atMs.toFixed(1)} ms by a store without an era`,
    },
  ]
}

/** Nothing is done for a caller of an older era or an older membership. */
export function fencesHold({ fenceFault }: Evidence): Violation[] {
  return fenceFault === null ? [] : [{ rule: 'fence', witness: fenceFault }]
}

/** One leader: a lease is held by one coordinator. */
export function oneLeader({ leaseFault, losses }: Evidence): Violation[] {
  // An older copy hands the same lease out again; leaders only tune.
  return leaseFault === null || losses.length > 0 ? [] : [{ rule: 'two_leaders', witness: leaseFault }]
}

/** An operator is only called where something may be missing. */
export function noNeedlessAlarm({ forcedWithMark, losses }: Evidence): Violation[] {
  if (forcedWithMark === 0 || losses.length > 0) return []
  return [
    {
      rule: 'needless_alarm',
      witness: `an operator had to decide ${forcedWithMark} times, and no fault took anything`,
    },
  ]
}

/** A sale that stays closed until an operator decides is told to one. */
export function decisionsAreAskedFor({ untoldDecisions }: Evidence): Violation[] {
  return untoldDecisions.slice(0, 1).map((loss) => ({
    rule: 'silent_stop',
    witness: `${loss}, the sale stayed closed until an operator decided, and nobody was told`,
  }))
}

/** What a store that lost nothing has sold is soon in the ledger. */
export function booksAreKept({ lateRows }: Evidence): Violation[] {
  return lateRows.slice(0, 1).map((orderId) => ({
    rule: 'books_late',
    witness: `${orderId} was in the store, which lost nothing, and long after healing not in the ledger`,
  }))
}

/** After healing every node that runs is in the sale, and buyers are sent to it. */
export function nobodyLeftOut({ leftOut, hasConverged }: Evidence): Violation[] {
  if (!hasConverged || leftOut.length === 0) return []
  return [{ rule: 'left_out', witness: `${leftOut.join(', ')} run and take no part` }]
}

/** No process found its own books impossible. */
export function nobodyGaveUp({ crashes }: Evidence): Violation[] {
  return crashes.slice(0, 1).map((witness) => ({ rule: 'broken_assertion', witness }))
}
