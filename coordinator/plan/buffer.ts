/**
 * How large a buffer to choose, what it costs, and how long a death keeps tickets back: by formula.
 *
 * The model. A node may have `a(r) = max(limit, share·r + buffer)` tickets in flight while `r` remain, and each of them
 * takes one round trip `T`. Buyers come at `λ` a second to a node. By Little's law (J. D. C. Little, "A proof for the
 * queuing formula L = λW", Operations Research 9, 1961) it wants `λT` in flight; while that is less than `a(r)` nobody
 * waits, and the allowance says nothing. Below that, the node is bound: it confirms `a(r)` in each round trip.
 *
 * So with `A` and `C` the sums of the bound nodes' slopes and constants, and of what the others sell, one round trip
 * takes `r` to `r - (A·r + C)`. That is a linear recurrence; its solution in continuous time is
 *
 *     r(t) = (r₀ + C/A)·(1 - A)^(t/T) - C/A        and so        t = T · ln((r₀ + C/A) / (r₁ + C/A)) / -ln(1 - A)
 *
 * piece by piece between the points at which a node becomes bound or meets its floor. With all `n` nodes in the shares
 * and alive `A = 1`: all that remains is in flight at once, and is sold one round trip later. With `k` of them dead,
 * and still in the shares, `A = (n - k)/n`: each round trip leaves `k/n` of what remained, less the buffers. That lasts
 * until the death is seen (`deadAfterMs`, give or take a heartbeat) and the shares are the survivors'.
 *
 * Nothing is lost in either case: levels are not hand-outs. The buffer only decides how long the last tickets take.
 */
import type { BufferRule } from '../../stock/core/words.ts'

export interface Scene {
  readonly stock: number
  readonly nodes: number
  /** Nodes that die, all at once. */
  readonly kill: number
  /** Purchases a second, all nodes together. */
  readonly ratePerSecond: number
  /** From a deduction to its answer. */
  readonly roundTripMs: number
  readonly deadAfterMs: number
  readonly heartbeatMs: number
  /** How much more than a fair part of the buyers the most wanted node gets; 1 is none. It lives on. */
  readonly skew: number
  readonly limitPerBuyer: number
  readonly buffer: BufferRule
  /** How much is left when they die; null: the worst moment. */
  readonly remainingAtDeath: number | null
}

export interface Forecast {
  readonly remainingAtDeath: number
  /** From the death until the last ticket is held, and how long it would have taken without it. */
  readonly withDeathMs: number
  readonly withoutDeathMs: number
  readonly delayMs: number
  /** Confirms of a sale without deaths that come back with nothing, because more was in flight than was left. */
  readonly wastedConfirms: number
}

/** A node's allowance as a line in what remains, with a floor. */
interface Selling {
  readonly slope: number
  readonly constant: number
  /** Tickets a round trip that its buyers want. */
  readonly wanted: number
}

export function forecast(scene: Scene): Forecast {
  const remainingAtDeath = scene.remainingAtDeath ?? worstMoment(scene)
  const whole = partsOf(scene, scene.nodes)
  const withoutDeathMs = timeToZero(scene, fleet(scene, whole, scene.nodes), remainingAtDeath)
  const withDeathMs = timeWithDeath(scene, remainingAtDeath)
  const delayMs = Math.max(0, withDeathMs - withoutDeathMs)
  return { remainingAtDeath, withDeathMs, withoutDeathMs, delayMs, wastedConfirms: wastedConfirms(scene) }
}

/** When its buyers first want more than a survivor may have: a death earlier is seen earlier, one later has less left. */
export function worstMoment(scene: Scene): number {
  const { stock, nodes, kill } = scene
  const points = fleet(scene, partsOf(scene, nodes - kill), nodes).map((node) => boundBelow(scene, node))
  return Math.max(1, Math.min(stock, Math.ceil(Math.max(...points))))
}

/** The smallest whole number of tickets with which no survivor ever waits for allowance, and what it is made of. */
export interface Advice {
  /** Enough in flight for the buyers of the most wanted survivor, with three standard deviations of their arrivals. */
  readonly enough: number
  /**
   * So that the survivors' quotas add up to the whole stock: `(n - k)·(s + b) ≥ n·s`, so `b ≥ k·s/(n - k)` with the
   * fair share `s`. A buffer of the dead nodes' part, `k·s/n`, is too small.
   */
  readonly covering: number
  readonly recommended: number
}

export function adviseBuffer(scene: Scene): Advice {
  const { stock, nodes, kill } = scene
  const survivors = nodes - kill
  const wanted = Math.max(...partsOf(scene, survivors)) * roundTripWants(scene)
  const enough = Math.max(1, Math.ceil(wanted + 3 * Math.sqrt(wanted)))
  const covering = coveringBuffer(stock / nodes, nodes, kill)
  return { enough, covering, recommended: Math.max(1, Math.min(enough, covering)) }
}

/** The smallest buffer with which `nodes - kill` quotas add up to what `nodes` fair shares do. */
export function coveringBuffer(fairShare: number, nodes: number, kill: number): number {
  return Math.ceil((kill * fairShare) / (nodes - kill))
}

/** Tickets wanted in one round trip, all nodes together. */
function roundTripWants({ ratePerSecond, roundTripMs }: Scene): number {
  return (ratePerSecond * roundTripMs) / 1000
}

/** Which part of the buyers comes to each of the nodes that take traffic; the first is the most wanted. */
export function partsOf({ skew }: Pick<Scene, 'skew'>, count: number): number[] {
  const weights = Array.from({ length: count }, (_, index) => (index === 0 ? skew : 1))
  const sum = skew + count - 1
  return weights.map((weight) => weight / sum)
}

/** Nodes that sell, with the shares of `inShares` nodes. */
function fleet(scene: Scene, parts: readonly number[], inShares: number): Selling[] {
  const { buffer } = scene
  const share = 1 / inShares
  // A share is rounded up, half a ticket on average; a percentage again, and it is at least one ticket.
  const slope = 'tickets' in buffer ? share : share * (1 + buffer.percent / 100)
  const constant = 'tickets' in buffer ? buffer.tickets + 0.5 : 1
  return parts.map((part) => ({ slope, constant, wanted: part * roundTripWants(scene) }))
}

/** The remaining below which a node wants more than it may have; 0 for never. */
function boundBelow({ limitPerBuyer }: Scene, { slope, constant, wanted }: Selling): number {
  return wanted <= limitPerBuyer ? 0 : Math.max(0, (wanted - constant) / slope)
}

function floorBelow({ limitPerBuyer }: Scene, { slope, constant }: Selling): number {
  return Math.max(0, (limitPerBuyer - constant) / slope)
}

function timeWithDeath(scene: Scene, remaining: number): number {
  const { nodes, kill, roundTripMs, ratePerSecond } = scene
  const survivors = nodes - kill
  const parts = partsOf(scene, survivors)
  const blindMs = kill === 0 ? Infinity : seenAfterMs(scene)
  const blind = walk(scene, fleet(scene, parts, nodes), remaining, blindMs)
  if (blind.remaining <= 0) return blind.ms
  const after = timeToZero(scene, fleet(scene, parts, survivors), blind.remaining)
  // What waits at the survivors goes as soon as they may; but nobody sells to buyers who have not come yet.
  const backlogMs = Math.min(after, roundTripMs)
  return Math.max(blind.ms + backlogMs, (remaining / ratePerSecond) * 1000)
}

/**
 * A node was last heard of half a heartbeat before its death, on average; the shares change with the next heartbeat of
 * any survivor after it counts as silent, and are heard with the next reply.
 */
function seenAfterMs({ deadAfterMs, heartbeatMs, nodes, kill, roundTripMs }: Scene): number {
  return deadAfterMs - heartbeatMs / 2 + heartbeatMs / (nodes - kill + 1) + roundTripMs / 2
}

function timeToZero(scene: Scene, selling: readonly Selling[], remaining: number): number {
  return walk(scene, selling, remaining, Infinity).ms
}

/** From `remaining` down, piece by piece, to zero or until the time is up. */
function walk(
  scene: Scene,
  selling: readonly Selling[],
  remaining: number,
  untilMs: number,
): { readonly ms: number; readonly remaining: number } {
  const points = selling.flatMap((node) => [boundBelow(scene, node), floorBelow(scene, node)])
  const stops = [...new Set([...points.filter((point) => point < remaining), 0])].toSorted((a, b) => b - a)
  let from = remaining
  let ms = 0
  for (const to of stops) {
    const piece = pieceBetween(scene, selling, from, to)
    const pieceMs = scene.roundTripMs * tripsOf(piece, from, to)
    if (ms + pieceMs >= untilMs) {
      return { ms: untilMs, remaining: remainingAfter(piece, from, (untilMs - ms) / scene.roundTripMs) }
    }
    ms += pieceMs
    from = to
  }
  return { ms, remaining: 0 }
}

/** One round trip takes `r` to `r - (slope·r + constant)`. */
interface Piece {
  readonly slope: number
  readonly constant: number
}

function pieceBetween(scene: Scene, selling: readonly Selling[], from: number, to: number): Piece {
  const middle = (from + to) / 2
  let slope = 0
  let constant = 0
  for (const node of selling) {
    if (middle >= boundBelow(scene, node)) constant += node.wanted
    else if (middle < floorBelow(scene, node)) constant += scene.limitPerBuyer
    else {
      slope += node.slope
      constant += node.constant
    }
  }
  return { slope, constant }
}

/** From this slope on, what remains is in flight all at once. */
const ALL_AT_ONCE = 0.999

function tripsOf({ slope, constant }: Piece, from: number, to: number): number {
  if (slope === 0) return (from - to) / constant
  if (slope >= ALL_AT_ONCE) return Math.min(1, (from - to) / (slope * from + constant))
  const rest = constant / slope
  return Math.log((from + rest) / (to + rest)) / -Math.log(1 - slope)
}

function remainingAfter({ slope, constant }: Piece, from: number, trips: number): number {
  if (slope === 0) return Math.max(0, from - constant * trips)
  if (slope >= ALL_AT_ONCE) return Math.max(0, from - (slope * from + constant) * trips)
  const rest = constant / slope
  return Math.max(0, (from + rest) * (1 - slope) ** trips - rest)
}

/**
 * When the counter meets zero, as much is under way as the buyers of one round trip want, but no more than the floors
 * of the quotas: that many confirms come back with nothing. And every other node hears of the zero by asking in vain
 * once, the rest by a heartbeat.
 */
function wastedConfirms(scene: Scene): number {
  const { nodes, limitPerBuyer, buffer } = scene
  const floor = Math.max(limitPerBuyer, 'tickets' in buffer ? buffer.tickets : 1)
  const wants = partsOf(scene, nodes).map((part) => Math.min(part * roundTripWants(scene), floor))
  return wants.reduce((sum, each) => sum + each + 0.5, 0)
}
