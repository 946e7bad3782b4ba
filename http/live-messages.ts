/** What goes over a live connection, both ways: schemas, writers, and the one reader. */
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { FareCounters, Order, SaleDefinition, SaleState } from '../stock/core/words.ts'
import { isoTime } from './iso-time.ts'
import { Availability, availabilityOf, Count, Id, OrderSchema, renderOrder, ShownState, Time } from './schemas.ts'

const closed = { additionalProperties: false }

export const AvailabilityMessage = Type.Object(
  {
    type: Type.Literal('availability'),
    saleId: Id,
    state: ShownState,
    serverTime: Time,
    fares: Type.Array(Type.Object({ id: Id, remaining: Count, availability: Availability }, closed)),
  },
  closed,
)

export const AuthMessage = Type.Object(
  { type: Type.Literal('auth'), ok: Type.Literal(true), buyer: Type.String({ minLength: 1, maxLength: 128 }) },
  closed,
)

export const OrderMessage = Type.Object({ type: Type.Literal('order'), serverTime: Time, order: OrderSchema }, closed)

/** From the client. Members that we do not know are ignored. */
export const AuthRequest = Type.Object({ type: Type.Literal('auth'), token: Type.String() })

export const LiveMessage = Type.Union([AvailabilityMessage, AuthMessage, OrderMessage])

/** The message without its time, by which one is told from the next, in the two parts around it. */
export function availabilityParts(
  definition: SaleDefinition,
  state: SaleState,
  counters: (fareId: string) => Pick<FareCounters, 'remaining' | 'held'> | null,
): readonly [string, string] {
  const fares = definition.fares.map(({ id, stock }) => {
    const fare = counters(id) ?? { remaining: stock, held: 0 }
    return `{"id":"${id}","remaining":${fare.remaining},"availability":"${availabilityOf(fare)}"}`
  })
  return [
    `{"type":"availability","saleId":"${definition.id}","state":"${state}","serverTime":"`,
    `","fares":[${fares.join(',')}]}`,
  ]
}

export function renderAuth(buyer: string): string {
  return JSON.stringify({ type: 'auth', ok: true, buyer })
}

export function renderOrderMessage(definition: SaleDefinition, order: Order, nowMs: number): string {
  return `{"type":"order","serverTime":"${isoTime(nowMs)}","order":${renderOrder(definition, order, nowMs)}}`
}

/** The token of an auth message; null for anything else. */
export function readAuth(text: string): string | null {
  try {
    const message: unknown = JSON.parse(text)
    return Value.Check(AuthRequest, message) ? message.token : null
  } catch {
    return null
  }
}
