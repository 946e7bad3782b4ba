/** Text forms of records in Redis; the scripts' headers define them. */
import type { Order, OrderState, ReleaseReason, SaleDefinition } from '../core/words.ts'

/** State of an order by its record's letter. */
const LETTERS: Readonly<Record<string, { state: OrderState; reason: ReleaseReason | null }>> = {
  h: { state: 'held', reason: null },
  p: { state: 'paid', reason: null },
  x: { state: 'released', reason: 'expired' },
  c: { state: 'released', reason: 'cancelled' },
  r: { state: 'released', reason: 'refunded' },
  k: { state: 'released', reason: 'conflict' },
}

export function letterOf(state: OrderState, reason: ReleaseReason | null): string {
  const found = Object.entries(LETTERS).find(([, meaning]) => meaning.state === state && meaning.reason === reason)
  if (found === undefined) throw new Error(`no order is ${state} because ${String(reason)}`)
  return found[0]
}

export function parseOrder(id: string, text: string): Order {
  const letter = text.slice(0, 1)
  const meaning = LETTERS[letter]
  const numbers = letter === 'h' ? 3 : letter === 'p' ? 5 : 7
  const fields = text.split(' ', 2 + numbers)
  const headLength = fields.reduce((sum, field) => sum + field.length + 1, 0)
  const [quantity, createdAtMs, createdSeq, paidAtMs, paidSeq, releasedAtMs, releasedSeq] = fields.slice(2).map(Number)
  const fareId = fields[1]
  if (meaning === undefined || fareId === undefined || quantity === undefined || createdSeq === undefined) {
    throw new Error(`order ${id} has an unreadable record: ${text}`)
  }
  return {
    id,
    fareId,
    quantity,
    buyer: text.slice(headLength),
    ...meaning,
    createdAtMs: createdAtMs ?? 0,
    createdSeq,
    paidAtMs: orNull(paidAtMs),
    paidSeq: orNull(paidSeq),
    releasedAtMs: orNull(releasedAtMs),
    releasedSeq: orNull(releasedSeq),
  }
}

export function formatOrder(order: Order): string {
  const { state, reason, fareId, quantity, createdAtMs, createdSeq, buyer } = order
  const paid = state === 'held' ? [] : [order.paidAtMs ?? 0, order.paidSeq ?? 0]
  const released = state === 'released' ? [order.releasedAtMs ?? 0, order.releasedSeq ?? 0] : []
  return [letterOf(state, reason), fareId, quantity, createdAtMs, createdSeq, ...paid, ...released, buyer].join(' ')
}

/** 0 stands for "not yet" in a record. */
function orNull(number: number | undefined): number | null {
  return number === undefined || number === 0 ? null : number
}

export function parseBuyer(text: string): { tickets: number; orderIds: string[] } {
  const [tickets, ...orderIds] = text.split(' ')
  return { tickets: Number(tickets), orderIds }
}

export function parseDefinition(text: string): SaleDefinition {
  return JSON.parse(text) as SaleDefinition
}

/** Pairs of a flat [field, value, …] reply. */
export function fieldsOf(flat: readonly unknown[]): Map<string, string> {
  const fields = new Map<string, string>()
  for (let i = 0; i + 1 < flat.length; i += 2) fields.set(String(flat[i]), String(flat[i + 1]))
  return fields
}

/** cjson writes an empty array as `{}`. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller names what the script sends
export function listOf<T>(value: unknown): readonly T[] {
  return Array.isArray(value) ? (value as T[]) : []
}
