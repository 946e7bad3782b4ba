/**
 * Which rows a batch of the store's records becomes: pure, so that SQL and the twin in memory agree by construction on
 * everything but the storing itself.
 */
import { assert } from '../../runtime/assert.ts'
import type { Order, SaleDefinition } from '../../stock/core/words.ts'
import { reconciled } from './fate.ts'
import type { LedgerOrder } from './ledger.ts'

/** A try to insert an order that is dead after the last of them. */
export const TRIES_MAX = 5

export interface Room {
  /** Tickets of a fare that neither a held nor a paid order has. */
  free: number
}

export interface Intake {
  /** Each order once, oldest first. */
  readonly orders: readonly LedgerOrder[]
  readonly records: ReadonlyMap<string, Order>
  /** Records that no row can hold, with why. */
  readonly faults: readonly { readonly record: Order; readonly error: string }[]
}

export function planIntake(definition: SaleDefinition, records: readonly Order[]): Intake {
  const byId = new Map<string, Order>()
  for (const record of records) byId.set(record.id, further(byId.get(record.id), record))
  const faults: { record: Order; error: string }[] = []
  const orders: LedgerOrder[] = []
  for (const record of byId.values()) {
    const error = recordFault(definition, record)
    if (error === null) orders.push(rowOf(definition, record))
    else faults.push({ record, error })
  }
  orders.sort((a, b) => a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : 1))
  return { orders, records: byId, faults }
}

const STATE_ORDER = ['held', 'paid', 'released']

/** Of two records of one order, the one that went further. */
function further(known: Order | undefined, record: Order): Order {
  if (known === undefined) return record
  return STATE_ORDER.indexOf(record.state) > STATE_ORDER.indexOf(known.state) ? record : known
}

/** Why a record cannot be a row of the sale; null when it can. */
function recordFault(definition: SaleDefinition, record: Order): string | null {
  const { id, buyer, fareId, quantity, state, reason, createdAtMs, paidAtMs, releasedAtMs } = record
  if ([id, buyer, fareId].some((text) => text.includes('\0'))) return 'a text with a zero byte'
  if ([createdAtMs, paidAtMs ?? 0, releasedAtMs ?? 0].some((ms) => !Number.isSafeInteger(ms) || ms < 0)) {
    return 'a time that is none'
  }
  if (!Number.isInteger(quantity) || quantity < 1 || quantity > definition.limitPerBuyer) {
    return `quantity ${quantity} is not from 1 to ${definition.limitPerBuyer}`
  }
  if (!definition.fares.some((fare) => fare.id === fareId)) return `no fare ${fareId}`
  const isHeld = state === 'held' && reason === null && paidAtMs === null && releasedAtMs === null
  const isPaid = state === 'paid' && reason === null && paidAtMs !== null && releasedAtMs === null
  const isReleased = state === 'released' && reason !== null && releasedAtMs !== null
  return isHeld || isPaid || isReleased ? null : `state ${state} with reason ${String(reason)}`
}

/** The row that a record of the store becomes. A record is what the store knows, so the order is settled. */
export function rowOf(definition: SaleDefinition, record: Order): LedgerOrder {
  const { id, fareId, buyer, quantity, state, reason, createdAtMs, paidAtMs, releasedAtMs } = record
  const fare = definition.fares.find((one) => one.id === fareId)
  assert(fare !== undefined, () => `order ${id} is of fare ${fareId}, which sale ${definition.id} has not`)
  return {
    id,
    saleId: definition.id,
    fareId,
    buyer,
    quantity,
    state,
    reason,
    createdAtMs,
    holdExpiresAtMs: createdAtMs + definition.holdMs,
    paidAtMs,
    releasedAtMs,
    unitPrice: fare.price,
    isSettled: true,
  }
}

/** Fits new orders under the stock, oldest first; one that finds no room is released as `conflict`, unsettled. */
export function fitted(
  orders: readonly LedgerOrder[],
  rooms: ReadonlyMap<string, Room>,
  nowMs: number,
): readonly LedgerOrder[] {
  return orders.map((order) => {
    if (order.state === 'released') return order
    const room = rooms.get(order.fareId)
    if (room !== undefined && room.free >= order.quantity) {
      room.free -= order.quantity
      return order
    }
    return { ...order, state: 'released', reason: 'conflict', releasedAtMs: nowMs, isSettled: false }
  })
}

export function isConflict(order: LedgerOrder): boolean {
  return order.reason === 'conflict' && !order.isSettled
}

/** The orders that are there already and change by what the store's records say of them now. */
export function reconciledAll(known: readonly LedgerOrder[], records: ReadonlyMap<string, Order>): LedgerOrder[] {
  return known.flatMap((order) => {
    const record = records.get(order.id)
    const after = record === undefined ? null : reconciled(order, record)
    return after === null ? [] : [after]
  })
}
