/**
 * What goes out, as TypeBox schemas (which are JSON Schema), and the functions that write it.
 *
 * The writers join prepared text instead of building objects: an order is written for every ticket sold. Tests check
 * what they write against the schemas.
 */
import { Type, type Static } from 'typebox'
import type { FareCounters, Order, SaleDefinition, SaleState } from '../stock/core/words.ts'
import { RELEASE_REASONS } from '../stock/core/words.ts'
import { assert } from '../runtime/assert.ts'
import { isoTime } from './iso-time.ts'
import { PROBLEM_CODES } from './problems.ts'

export const Id = Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,31}$' })
export const Time = Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{3}Z$' })
const TimeOrNull = Type.Union([Time, Type.Null()])
export const Count = Type.Integer({ minimum: 0 })
const closed = { additionalProperties: false }

export const Money = Type.Object({ amount: Count, currency: Type.String({ pattern: '^[A-Z]{3}$' }) }, closed)
export const Availability = Type.Union([Type.Literal('available'), Type.Literal('all_held'), Type.Literal('sold_out')])
export type Availability = Static<typeof Availability>

/** Drafts are never shown. */
export const ShownState = Type.Union([
  Type.Literal('scheduled'),
  Type.Literal('open'),
  Type.Literal('paused'),
  Type.Literal('closed'),
])

export const SaleSchema = Type.Object(
  {
    id: Id,
    name: Type.String(),
    state: ShownState,
    recovering: Type.Boolean(),
    opensAt: TimeOrNull,
    closesAt: TimeOrNull,
    serverTime: Time,
    limitPerBuyer: Type.Integer({ minimum: 1 }),
    holdSeconds: Type.Number({ exclusiveMinimum: 0 }),
    fares: Type.Array(
      Type.Object(
        { id: Id, name: Type.String(), price: Money, stock: Count, remaining: Count, availability: Availability },
        closed,
      ),
    ),
  },
  closed,
)

export const OrderSchema = Type.Object(
  {
    id: Type.String({ pattern: '^[0-9a-hjkmnp-tv-z]{26}$' }),
    saleId: Id,
    fareId: Id,
    quantity: Type.Integer({ minimum: 1 }),
    state: Type.Union([Type.Literal('held'), Type.Literal('paid'), Type.Literal('released')]),
    reason: Type.Union([...RELEASE_REASONS.map((reason) => Type.Literal(reason)), Type.Null()]),
    createdAt: Time,
    holdExpiresAt: Time,
    paidAt: TimeOrNull,
    unitPrice: Money,
    total: Money,
    serverTime: Time,
  },
  closed,
)

/** A page, newest first. */
export const SaleListSchema = Type.Object(
  { items: Type.Array(SaleSchema), nextCursor: Type.Union([Type.String(), Type.Null()]) },
  closed,
)
export const OrderListSchema = Type.Object(
  { items: Type.Array(OrderSchema), nextCursor: Type.Union([Type.String(), Type.Null()]) },
  closed,
)

/** Some codes carry further members; see the design's table. */
export const ProblemSchema = Type.Object({
  type: Type.String({ pattern: '^urn:farebox:problem:[a-z_]+$' }),
  title: Type.String(),
  status: Type.Integer({ minimum: 400, maximum: 599 }),
  code: Type.Union(PROBLEM_CODES.map((code) => Type.Literal(code))),
  detail: Type.String(),
  requestId: Type.String({ pattern: '^[A-Za-z0-9_-]{8,64}$' }),
  retryAfterMs: Type.Union([Type.Integer({ minimum: 1 }), Type.Null()]),
  opensAt: Type.Optional(TimeOrNull),
  remaining: Type.Optional(Count),
  held: Type.Optional(Count),
  limit: Type.Optional(Count),
})

/** What changes in a sale, as a node knows it. */
export interface SaleView {
  readonly state: SaleState
  readonly recovering: boolean
  /** A fare that is missing here is shown as at creation. */
  readonly fares: readonly FareCounters[]
}

export function availabilityOf(fare: Pick<FareCounters, 'remaining' | 'held'>): Availability {
  if (fare.remaining > 0) return 'available'
  return fare.held > 0 ? 'all_held' : 'sold_out'
}

/** The JSON text of a sale. */
export function renderSale(definition: SaleDefinition, view: SaleView, serverTimeMs: number): string {
  const counters = new Map(view.fares.map((fare) => [fare.fareId, fare]))
  return JSON.stringify({
    id: definition.id,
    name: definition.name,
    state: view.state,
    recovering: view.recovering,
    opensAt: timeOrNull(definition.opensAtMs),
    closesAt: timeOrNull(definition.closesAtMs),
    serverTime: isoTime(serverTimeMs),
    limitPerBuyer: definition.limitPerBuyer,
    holdSeconds: definition.holdMs / 1000,
    fares: definition.fares.map(({ id, name, price, stock }) => {
      const fare = counters.get(id) ?? { stock, remaining: stock, held: 0 }
      const { amount, currency } = price
      const availability = availabilityOf(fare)
      return { id, name, price: { amount, currency }, stock: fare.stock, remaining: fare.remaining, availability }
    }),
  } satisfies Omit<Static<typeof SaleSchema>, 'state'> & { state: SaleState })
}

/** `items` are JSON texts. */
export function renderList(items: readonly string[], nextCursor: string | null): string {
  return `{"items":[${items.join(',')}],"nextCursor":${JSON.stringify(nextCursor)}}`
}

interface FareText {
  /** From after the order's id to before the quantity. */
  readonly head: string
  /** From the unit price to before the total's amount. */
  readonly price: string
  readonly currency: string
  readonly amount: number
}

const fareTexts = new WeakMap<SaleDefinition, ReadonlyMap<string, FareText>>()

/** The JSON text of an order. Ids need no escaping: their alphabets have nothing to escape. */
export function renderOrder(definition: SaleDefinition, order: Order, nowMs: number): string {
  const fare = fareTextsOf(definition).get(order.fareId)
  assert(fare !== undefined, () => `order ${order.id} is of fare ${order.fareId}, which sale ${definition.id} has not`)
  return (
    `{"id":"${order.id}${fare.head}${order.quantity},"state":"${order.state}","reason":${quotedOrNull(order.reason)}` +
    `,"createdAt":"${isoTime(order.createdAtMs)}","holdExpiresAt":"${isoTime(order.createdAtMs + definition.holdMs)}"` +
    `,"paidAt":${quotedOrNull(timeOrNull(order.paidAtMs))}${fare.price}${fare.amount * order.quantity}${fare.currency}` +
    `,"serverTime":"${isoTime(nowMs)}"}`
  )
}

function fareTextsOf(definition: SaleDefinition): ReadonlyMap<string, FareText> {
  const known = fareTexts.get(definition)
  if (known !== undefined) return known
  const made = new Map(
    definition.fares.map(({ id, price }) => {
      const currency = `,"currency":${JSON.stringify(price.currency)}}`
      const head = `","saleId":"${definition.id}","fareId":"${id}","quantity":`
      const unit = `,"unitPrice":{"amount":${price.amount}${currency},"total":{"amount":`
      return [id, { head, price: unit, currency, amount: price.amount }] as const
    }),
  )
  fareTexts.set(definition, made)
  return made
}

function timeOrNull(ms: number | null): string | null {
  return ms === null ? null : isoTime(ms)
}

/** For texts that need no escaping. */
function quotedOrNull(text: string | null): string {
  return text === null ? 'null' : `"${text}"`
}
