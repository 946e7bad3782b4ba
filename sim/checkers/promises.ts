/**
 * The promises to buyers, each as a function from evidence to what breaks it, with its smallest witness.
 *
 * What an acknowledgement promises is in {@link SURVIVES}: an order that a fault took which its `ack` does not survive
 * is no violation, it is counted as lost, and the rest of the history is judged as it survived.
 */
import { compareVersions, type Order } from '../../stock/core/words.ts'
import { acknowledged, type Attempt, isOk, isUnknown, type Purchase } from '../history.ts'
import type { LossKind } from '../store-cluster.ts'
import type { Ack, Evidence, StockChangeSeen, Violation } from './evidence.ts'
import { groupBy } from './group-by.ts'

const EVERYTHING: ReadonlySet<LossKind> = new Set([
  'unsynced',
  'older_copy',
  'failover',
  'split_brain',
  'return_to_old',
])

/** Losses of the store that an acknowledged order outlives. */
export const SURVIVES: Readonly<Record<Ack, ReadonlySet<LossKind>>> = {
  redis: new Set(),
  replicated: new Set(['failover']),
  ledger: EVERYTHING,
}

/** A "no" from memory may be so old. */
const FRESH_MS = 1000
/** Hops of the edge, and clocks that run differently fast by up to two in a hundred. */
const SLACK_MS = 50

export interface LostOrder {
  readonly purchase: Purchase
  readonly orderId: string
  readonly kind: LossKind | null
}

/** Acknowledged orders that the surviving store does not have, with the fault that took each. */
export function lostOrders({ history, orders, lost }: Evidence): LostOrder[] {
  return history.flatMap((purchase) => {
    const order = acknowledged(purchase)
    if (order === null || orders.has(order.orderId)) return []
    return [{ purchase, orderId: order.orderId, kind: lost.get(order.orderId)?.kind ?? null }]
  })
}

/** P3. */
export function noneLost(evidence: Evidence): Violation[] {
  const survives = SURVIVES[evidence.ack]
  return lostOrders(evidence).flatMap(({ purchase, orderId, kind }) => {
    if (kind !== null && !survives.has(kind)) return []
    const why = kind === null ? 'no fault took it' : `ack ${evidence.ack} survives ${kind}`
    const witness = `${name(purchase)} was told of ${orderId}, the store has it not, ${why}`
    return [{ rule: 'lost_acknowledged', witness }]
  })
}

/** An order is there as soon as its buyer was told of it. Whoever reads the losing side of a split does not find it. */
export function ordersAreThere({ history, notFound, lost, splits }: Evidence): Violation[] {
  const told = new Map(
    history.flatMap((purchase) => {
      const order = acknowledged(purchase)
      return order === null ? [] : [[order.orderId, order.atMs] as const]
    }),
  )
  const missing = notFound.find(({ orderId, invokedMs, completedMs }) => {
    const isSplit = splits.some(({ fromMs, toMs }) => invokedMs <= toMs && completedMs >= fromMs)
    return (told.get(orderId) ?? Number.POSITIVE_INFINITY) <= invokedMs && !lost.has(orderId) && !isSplit
  })
  if (missing === undefined) return []
  return [
    {
      rule: 'not_found',
      witness: `${missing.orderId} was asked for at ${missing.invokedMs.toFixed(1)} ms, after its buyer was told of it`,
    },
  ]
}

/**
 * A store found behind is told to an operator: some node that ran from then on knew more. Not when all of that was back
 * before any sale was opened again: then nothing is missing, and whoever had asked by then finds a store that is whole.
 */
export function lossIsTold({ toldMs, losses, disturbedMs }: Evidence): Violation[] {
  for (const { kind, atMs, entries, knowers, isUndone } of losses) {
    const knower = knowers.find((id) => (disturbedMs.get(id) ?? Number.NEGATIVE_INFINITY) < atMs)
    if (knower === undefined || kind === 'split_brain' || isUndone || toldMs >= atMs) continue
    const witness = `${kind} took ${entries} writes at ${atMs.toFixed(1)} ms, ${knower} had seen them, and nobody was told`
    return [{ rule: 'silent_loss', witness }]
  }
  return []
}

interface Interval {
  readonly purchase: Purchase
  readonly orderId: string
  readonly fromMs: number
  readonly toMs: number
}

/** A fault took it that its `ack` does not survive. */
function mayBeLost({ ack, lost }: Evidence, orderId: string): boolean {
  const loss = lost.get(orderId)
  return loss !== undefined && !SURVIVES[ack].has(loss.kind)
}

/**
 * A new order that its buyer was told of is not taken back for want of room in the ledger: never where it had to be in
 * the ledger first, else only where the store may have lost orders and sold their tickets again. A store that was opened
 * anew after its last loss has every order of the ledger.
 */
export function noneTakenBack(evidence: Evidence): Violation[] {
  const { ack, history, fates, losses } = evidence
  const sinceMs = ack === 'ledger' || losses.length === 0 ? 0 : wholeSinceMs(evidence)
  const madeLater = new Set(evidence.creations.filter(({ atMs }) => atMs > sinceMs).map(({ orderId }) => orderId))
  for (const purchase of history) {
    const order = purchase.attempts.find(
      ({ status, orderId }) =>
        status === 201 && isConflict(fates, orderId) && (sinceMs === 0 || madeLater.has(orderId ?? '')),
    )
    if (order === undefined) continue
    return [{ rule: 'taken_back', witness: `${name(purchase)} was told of ${order.orderId}, and it was a conflict` }]
  }
  return []
}

/** Since when nothing was lost, and the sale was opened anew. */
function wholeSinceMs({ losses, openedMs }: Evidence): number {
  const lostMs = Math.max(...losses.map(({ atMs }) => atMs))
  return openedMs.find((atMs) => atMs > lostMs) ?? Number.POSITIVE_INFINITY
}

function isConflict(fates: Evidence['fates'], orderId: string | null): boolean {
  return fates.get(orderId ?? '')?.reason === 'conflict'
}

const tenuresKnown = new WeakMap<Evidence, readonly Interval[]>()

/** For how long a buyer surely has an order: from being told of it until it may first have gone. */
function tenures(evidence: Evidence): readonly Interval[] {
  const known = tenuresKnown.get(evidence) ?? tenuresOf(evidence)
  tenuresKnown.set(evidence, known)
  return known
}

function tenuresOf(evidence: Evidence): Interval[] {
  const goneMs = new Map<string, number>()
  for (const { orderId, atMs, state } of evidence.fates.values()) if (state === 'released') goneMs.set(orderId, atMs)
  const seen = new Set<string>()
  const actsOn = groupBy(
    evidence.history.flatMap(({ acts }) => acts),
    ({ orderId }) => orderId,
  )
  return evidence.history.flatMap((purchase) => {
    const order = acknowledged(purchase)
    if (order === null || seen.has(order.orderId) || mayBeLost(evidence, order.orderId)) return []
    seen.add(order.orderId)
    const acts = actsOn.get(order.orderId) ?? []
    const cancelMs = Math.min(...acts.map((act) => (act.kind === 'cancel' ? act.invokedMs : Number.POSITIVE_INFINITY)))
    const isPaid = acts.some(({ kind, outcome }) => kind === 'pay' && outcome === 'ok')
    const firstMs = purchase.attempts[0]?.invokedMs ?? 0
    const lapseMs = isPaid ? Number.POSITIVE_INFINITY : firstMs + evidence.holdMs * (1 - SKEW_MAX)
    // Clocks that jump may end a hold at any time; then the store's own record of its release counts.
    const toMs = evidence.hasSteppedClocks ? (goneMs.get(order.orderId) ?? Number.POSITIVE_INFINITY) : lapseMs
    // Its buyer reads so at once.
    const conflictMs = isConflict(evidence.fates, order.orderId)
      ? (goneMs.get(order.orderId) ?? 0)
      : Number.POSITIVE_INFINITY
    return [{ purchase, orderId: order.orderId, fromMs: order.atMs, toMs: Math.min(cancelMs, toMs, conflictMs) }]
  })
}

const SKEW_MAX = 0.05

/**
 * P1: at every instant, by what buyers were told. A transfer makes no tickets: a fare to which others' left-overs may have
 * come has, together with these, no more than all of them without it.
 */
export function neverOversold(evidence: Evidence): Violation[] {
  return Object.keys(evidence.stock).flatMap((fareId) => {
    const given = evidence.transfers.filter(({ toFare }) => toFare === fareId)
    const alone = oversold(evidence, [fareId], Math.min(...given.map(({ invokedMs }) => invokedMs)))
    if (given.length === 0 || alone.length > 0) return alone
    return oversold(evidence, [...new Set([fareId, ...given.map(({ fromFare }) => fromFare)])])
  })
}

function oversold(evidence: Evidence, fareIds: readonly string[], untilMs = Number.POSITIVE_INFINITY): Violation[] {
  const own = tenures(evidence).filter(({ purchase }) => fareIds.includes(purchase.fareId))
  for (const { atMs, tickets } of sweep(own)) {
    const most = fareIds.reduce((sum, id) => sum + stockAtMost(evidence, id, evidence.stock[id] ?? 0, atMs), 0)
    if (tickets <= most || atMs >= untilMs) continue
    const witness = `fare ${fareIds.join(' and ')}: buyers hold ${tickets} of ${most} at ${atMs.toFixed(1)} ms`
    return [{ rule: 'oversold', witness }]
  }
  return []
}

/** P5: at every instant, by what buyers were told. */
export function withinLimit(evidence: Evidence): Violation[] {
  // The store alone keeps the limit, also with `ack: ledger`.
  const own = tenures(evidence).filter(({ orderId }) => !evidence.lost.has(orderId))
  const byBuyer = groupBy(own, ({ purchase }) => purchase.buyer)
  return [...byBuyer].flatMap(([buyer, intervals]) => {
    const over = sweep(intervals).find(({ tickets }) => tickets > evidence.limitPerBuyer)
    if (over === undefined) return []
    const ids = intervals.map(({ orderId }) => orderId).join(', ')
    const witness = `${buyer} holds ${over.tickets} tickets at ${over.atMs.toFixed(1)} ms, the limit is ${evidence.limitPerBuyer}: ${ids}`
    return [{ rule: 'over_limit', witness }]
  })
}

function sweep(intervals: readonly Interval[]): { readonly atMs: number; readonly tickets: number }[] {
  const steps = intervals
    .filter(({ fromMs, toMs }) => fromMs < toMs)
    .flatMap(({ fromMs, toMs, purchase: { quantity } }) => [
      { atMs: fromMs, by: quantity },
      { atMs: toMs, by: -quantity },
    ])
    .toSorted((a, b) => a.atMs - b.atMs || a.by - b.by)
  let tickets = 0
  return steps.map(({ atMs, by }) => ({ atMs, tickets: (tickets += by) }))
}

/**
 * A change that was done binds from then on, unless writes were lost since it was asked for: it may be one of them. What
 * was asked for before and answered, or was done under an earlier version, is over then; what was never answered may be
 * completed some time.
 */
function stockAtMost({ stockChanges, losses }: Evidence, fareId: string, initial: number, atMs: number): number {
  const asked = stockChanges.filter((change) => change.fareId === fareId && change.invokedMs <= atMs)
  const binding = asked.filter(
    ({ doneAt, invokedMs, completedMs }) =>
      doneAt !== null && completedMs <= atMs && losses.every((loss) => loss.atMs < invokedMs),
  )
  const possible = asked.filter((change) => !binding.some((other) => endsBefore(change, other)))
  const stocks = possible.map(({ stock }) => stock)
  return Math.max(...stocks, binding.length === 0 ? initial : 0)
}

/** Was the one over when the other was done? */
function endsBefore(one: StockChangeSeen, other: StockChangeSeen): boolean {
  if (one.completedMs < other.invokedMs) return true
  return one.doneAt !== null && other.doneAt !== null && compareVersions(one.doneAt, other.doneAt) < 0
}

/** P4: one order per key, made once, the same id every time. */
export function oneOrderPerKey({ history, lost }: Evidence): Violation[] {
  const byKey = groupBy(
    history.filter(({ mayRepeat, attempts }) => mayRepeat && attempts.some(isOk)),
    ({ buyer, key }) => `${buyer} ${key}`,
  )
  return [...byKey].flatMap(([owner, purchases]) => {
    const oks = purchases.flatMap(({ attempts }) => attempts.filter(isOk))
    const ids = new Set(oks.map(({ orderId }) => orderId))
    if (ids.size > 1) return [{ rule: 'two_orders', witness: `${owner}: ${[...ids].join(' and ')}` }]
    const [id] = ids
    const made = oks.filter(({ status }) => status === 201).length
    if (made > 1 && !lost.has(id ?? ''))
      return [{ rule: 'made_twice', witness: `${owner}: ${id} was 201 ${made} times` }]
    // All of them were told of an order.
    const wishes = new Set(purchases.map(({ fareId, quantity }) => `${quantity} of ${fareId}`))
    if (wishes.size > 1 && !lost.has(id ?? '')) {
      return [{ rule: 'two_wishes', witness: `${owner}: ${id} was told for ${[...wishes].join(' and ')}` }]
    }
    return []
  })
}

/** Nobody is told of somebody else's order. */
export function ordersAreOnes({ history }: Evidence): Violation[] {
  const ownerOf = new Map<string, string>()
  for (const purchase of history) {
    for (const { orderId } of purchase.attempts) {
      if (orderId === null) continue
      const owner = ownerOf.get(orderId) ?? purchase.buyer
      ownerOf.set(orderId, owner)
      if (owner !== purchase.buyer) {
        return [{ rule: 'shared_order', witness: `${orderId} was told to ${owner} and to ${purchase.buyer}` }]
      }
    }
  }
  return []
}

/**
 * By an older copy that was not found out until then: nobody knew more, or it had passed that before they called. What
 * was found out is over when the sale opens under a new era.
 */
function isVersionGivenTwice(
  { losses, orders, creations, openedMs }: Evidence,
  orderId: string,
  untilMs: number,
): boolean {
  if (losses.every(({ givenAgain }) => givenAgain === null)) return false
  const seq = orders.get(orderId)?.createdSeq ?? 0
  const madeMs = creations.findLast((creation) => creation.orderId === orderId)?.atMs ?? 0
  return losses.some(({ atMs, knowers, givenAgain }) => {
    const isFoundOut = knowers.length > 0 && openedMs.some((opened) => opened > atMs && opened < untilMs)
    if (givenAgain === null || isFoundOut || madeMs < atMs) return false
    const [after, upTo] = givenAgain
    return seq > after && seq <= upTo
  })
}

/** P4, of stores: no order comes into being twice in one history. */
export function madeOnce({ creations, lost }: Evidence): Violation[] {
  const seen = new Set<string>()
  for (const { orderId, buyer } of creations) {
    if (seen.has(orderId) && !lost.has(orderId)) {
      return [{ rule: 'made_twice', witness: `order ${orderId} of ${buyer} came into being twice in the store` }]
    }
    seen.add(orderId)
  }
  return []
}

/**
 * P4: whoever was told of an order hears of it again, however scarce tickets are by then. Not of one whose version an
 * older copy, put in the place of the store, gave a second time before any call could show that it is older: a node
 * that has seen the first cannot tell them apart.
 */
export function repeatsAnswered(evidence: Evidence): Violation[] {
  for (const purchase of evidence.history) {
    const order = acknowledged(purchase)
    if (order === null || !purchase.mayRepeat || evidence.lost.has(order.orderId)) continue
    for (const attempt of purchase.attempts) {
      if (isOk(attempt) || isUnknown(attempt) || attempt.invokedMs < order.atMs) continue
      if (isVersionGivenTwice(evidence, order.orderId, attempt.invokedMs)) continue
      if (attempt.invokedMs < order.atMs + FRESH_MS + SLACK_MS && mayBeBehind(evidence, order.atMs)) continue
      if (
        evidence.splits.some(
          ({ fromMs, toMs }) => attempt.invokedMs <= toMs + FRESH_MS && attempt.completedMs >= fromMs,
        )
      ) {
        continue
      }
      const witness = `${name(purchase)} was told of ${order.orderId} at ${order.atMs.toFixed(1)} ms, and ${attempt.code} at ${attempt.completedMs.toFixed(1)} ms`
      return [{ rule: 'repeat_refused', witness }]
    }
  }
  return []
}

/** A node may be a heartbeat behind with a ticket that came back and was sold again (docs/decisions/0010). */
function mayBeBehind({ settled, stockChanges, transfers }: Evidence, atMs: number): boolean {
  const isClose = (otherMs: number): boolean => otherMs > atMs - 2 * FRESH_MS && otherMs <= atMs + FRESH_MS
  return (
    settled.some((release) => release.state === 'released' && isClose(release.atMs)) ||
    [...stockChanges, ...transfers].some((change) => isClose(change.invokedMs))
  )
}

/** Nobody holds what nobody was told of, unless the answer was lost: each order was made while somebody asked for it. */
export function noGhosts(evidence: Evidence): Violation[] {
  const byKey = groupBy(evidence.history, ({ buyer }) => buyer)
  for (const creation of evidence.creations) {
    // A history that was thrown away holds nothing for anybody.
    if (evidence.lost.has(creation.orderId)) continue
    const purchases = byKey.get(creation.buyer) ?? []
    const isAsked = purchases.some(
      ({ fareId, quantity, attempts }) =>
        fareId === creation.fareId &&
        quantity === creation.quantity &&
        attempts.some((attempt) => mayActAt(attempt, creation.atMs, evidence)),
    )
    if (isAsked) continue
    const witness = `order ${creation.orderId} of ${creation.buyer} was made at ${creation.atMs.toFixed(1)} ms, when nobody waited for it`
    return [{ rule: 'ghost_hold', witness }]
  }
  return []
}

/** An attempt may make an order until it is answered; without an answer until its node's deadline. */
function mayActAt(attempt: Attempt, atMs: number, evidence: Evidence): boolean {
  if (atMs < attempt.invokedMs) return false
  // Says that it was surely not carried out.
  if (attempt.code === 'busy' || attempt.code === 'recovering') return false
  if (!isUnknown(attempt)) return atMs <= attempt.completedMs || isAnsweredElsewhere(attempt, atMs, evidence)
  const { buyDeadlineMs, hasSteppedClocks, pausedMsMax } = evidence
  return hasSteppedClocks || atMs <= attempt.invokedMs + buyDeadlineMs * 1.05 + SLACK_MS + pausedMsMax
}

/**
 * A command under way to a store is carried out late when that store is as it was before: a server that was replaced is
 * primary again, or an older copy lacks the node's new epoch, which would have fenced it. The buyer's deadline has not
 * passed; what the buyer heard meanwhile is of a history that was thrown away.
 */
function isAnsweredElsewhere({ invokedMs, completedMs }: Attempt, atMs: number, evidence: Evidence): boolean {
  if (atMs > invokedMs + evidence.buyDeadlineMs * 1.05 + SLACK_MS) return false
  return evidence.losses.some(
    ({ kind, atMs: backMs }) =>
      (kind === 'return_to_old' || kind === 'older_copy') && completedMs <= backMs && backMs <= atMs,
  )
}

/** Every order that was made and never refused away has somebody who was told of it or never got an answer. */
export function heldOrdersAreKnown(evidence: Evidence): Violation[] {
  const byOrder = new Set<string>()
  for (const { attempts } of evidence.history) {
    for (const { orderId } of attempts) if (orderId !== null) byOrder.add(orderId)
  }
  const byBuyer = groupBy(evidence.history, ({ buyer }) => buyer)
  for (const order of evidence.orders.values()) {
    if (order.state === 'released' || byOrder.has(order.id)) continue
    const own = (byBuyer.get(order.buyer) ?? []).filter(({ fareId }) => fareId === order.fareId)
    if (own.some(({ attempts }) => attempts.some(isUnknown)) || hasComeBack(evidence, order, own)) continue
    const madeMs = evidence.creations.findLast(({ orderId }) => orderId === order.id)?.atMs ?? 0
    if (own.some(({ attempts }) => attempts.some((attempt) => isAnsweredElsewhere(attempt, madeMs, evidence)))) continue
    return [{ rule: 'ghost_hold', witness: `${order.buyer} has ${order.id} and was refused every time` }]
  }
  return []
}

/**
 * An order that a fault took, that its buyer was then rightly refused, and that came back: with the old history, or from
 * the ledger, which had it before its node could hear of it. No process can know of both, and it lapses like any other hold.
 */
function hasComeBack(evidence: Evidence, { id, quantity }: Order, own: readonly Purchase[]): boolean {
  const loss = evidence.lost.get(id)
  const made = evidence.creations.findLast(({ orderId, atMs }) => orderId === id && atMs <= (loss?.atMs ?? 0))
  if (loss === undefined || made === undefined) return false
  const asking = own.filter(
    (purchase) =>
      purchase.quantity === quantity &&
      acknowledged(purchase) === null &&
      purchase.attempts.some(({ invokedMs, completedMs }) => invokedMs <= made.atMs && completedMs >= made.atMs),
  )
  const refusedMs = asking.flatMap(({ attempts }) => attempts.map(({ completedMs }) => completedMs))
  const sinceMs = refusedMs.filter((ms) => ms >= made.atMs)
  if (sinceMs.length === 0) return false
  return backsOf(evidence, id, loss.atMs).some((backMs) => sinceMs.every((ms) => ms > loss.atMs && ms <= backMs))
}

/** When it may have come back, after it went. */
function backsOf({ losses, reasserted }: Evidence, id: string, goneMs: number): number[] {
  const returned = losses.filter(({ kind }) => kind === 'return_to_old')
  const united = reasserted.find(({ orderId, atMs }) => orderId === id && atMs > goneMs)
  return [...returned, ...(united === undefined ? [] : [united])].map(({ atMs }) => atMs)
}

/** P6: a "no" was true at some moment while it was asked, or up to a heartbeat's freshness before. */
export function noFalseScarcity(evidence: Evidence): Violation[] {
  for (const purchase of evidence.history) {
    for (const attempt of purchase.attempts) {
      const { code } = attempt
      if (code !== 'sold_out' && code !== 'all_held' && code !== 'not_enough') continue
      if (isTrueScarcity(evidence, purchase, attempt)) continue
      const witness = `${name(purchase)} heard ${code} between ${attempt.invokedMs.toFixed(1)} and ${attempt.completedMs.toFixed(1)} ms; it was never so`
      return [{ rule: 'false_scarcity', witness }]
    }
  }
  return []
}

function isTrueScarcity({ spans }: Evidence, { fareId, quantity }: Purchase, attempt: Attempt): boolean {
  const fromMs = attempt.invokedMs - FRESH_MS * 1.03 - SLACK_MS
  return spans.some(
    (span) =>
      span.fareId === fareId &&
      span.toMs >= fromMs &&
      span.fromMs <= attempt.completedMs &&
      (attempt.code === 'not_enough'
        ? // A batch may take the last while it is judged: what an item in its middle saw is between two spans.
          span.remaining < quantity
        : span.remaining === 0 && (attempt.code === 'sold_out' ? span.held === 0 : span.held > 0)),
  )
}

/** The same of `not_open`, `paused` and `closed`. */
export function noFalseDoor(evidence: Evidence): Violation[] {
  for (const purchase of evidence.history) {
    for (const { code, invokedMs, completedMs } of purchase.attempts) {
      if (code !== 'not_open' && code !== 'paused' && code !== 'closed') continue
      if (isTrueDoor(evidence, code, invokedMs, completedMs)) continue
      return [
        {
          rule: 'false_door',
          witness: `${name(purchase)} heard ${code} at ${completedMs.toFixed(1)} ms; it was never so`,
        },
      ]
    }
  }
  return []
}

function isTrueDoor(
  { doors, opensAtMs }: Evidence,
  code: 'not_open' | 'paused' | 'closed',
  invokedMs: number,
  completedMs: number,
): boolean {
  const fromMs = invokedMs - FRESH_MS * 1.03 - SLACK_MS
  return doors.some(
    (door) =>
      door.toMs >= fromMs &&
      door.fromMs <= completedMs &&
      (code === 'not_open'
        ? door.state === 'draft' || (door.state === 'scheduled' && opensAtMs !== null)
        : door.state === code),
  )
}

/** Refusals that name the buyer's own doing must be about something the buyer did. */
export function noFalseBlame({ history, creations, limitPerBuyer }: Evidence): Violation[] {
  const purchasesOf = groupBy(history, ({ buyer }) => buyer)
  const madeFor = groupBy(creations, ({ buyer }) => buyer)
  for (const purchase of history) {
    for (const { code } of purchase.attempts) {
      if (code === null) continue
      const fault = blameFault(
        code,
        purchase,
        purchasesOf.get(purchase.buyer) ?? [],
        madeFor.get(purchase.buyer) ?? [],
        limitPerBuyer,
      )
      if (fault !== null) return [{ rule: 'false_blame', witness: `${name(purchase)} heard ${code}: ${fault}` }]
    }
  }
  return []
}

function blameFault(
  code: string,
  purchase: Purchase,
  own: readonly Purchase[],
  made: readonly { readonly quantity: number }[],
  limit: number,
): string | null {
  switch (code) {
    case 'limit_reached': {
      const tickets = made.reduce((sum, { quantity }) => sum + quantity, 0)
      return tickets + purchase.quantity > limit ? null : `${tickets} tickets were ever made for this buyer`
    }
    case 'key_reused': {
      const others = own.filter(
        ({ key, fareId, quantity }) =>
          key === purchase.key && (fareId !== purchase.fareId || quantity !== purchase.quantity),
      )
      return others.length > 0 ? null : 'the key was used for nothing else'
    }
    case 'bad_quantity':
      return purchase.quantity > limit || purchase.quantity < 1 ? null : 'the quantity is right'
    case 'no_such_sale':
    case 'no_such_fare':
    case 'unlawful':
      return 'nothing like that is so'
    default:
      return null
  }
}

/** P8: a node that runs answers in time, and in the end everybody knows. */
export function everybodyKnows({ unanswered, history, hasConverged }: Evidence): Violation[] {
  const violations = unanswered.slice(0, 1).map((witness) => ({ rule: 'unanswered', witness }))
  if (!hasConverged) return violations
  const open = history.find(
    ({ attempts, mayRepeat }) => mayRepeat && !attempts.some((attempt) => !isUnknown(attempt)) && attempts.length > 0,
  )
  if (open !== undefined) violations.push({ rule: 'no_end', witness: `${name(open)} was never told` })
  return violations
}

export function name({ buyer, key, quantity, fareId }: Purchase): string {
  return `${buyer} (${key}, ${quantity} of ${fareId})`
}
