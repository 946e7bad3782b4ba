/** `explain ID`: what ledger and store each say of an order, and what follows from it, in words. */
import { OperationError } from '../../runtime/operation-error.ts'
import type { DeadLetter, Ledger, LedgerOrder } from '../ledger/ledger.ts'
import { type OrderReader, type ReadOrder } from '../order-reader.ts'
import { orderView, type OrderView } from './order-view.ts'

export interface Explanation {
  readonly id: string
  /** Null where it has no such order. */
  readonly ledger: (OrderView & { readonly storeKnows: boolean }) | null
  readonly store: OrderView | null
  readonly deadLetter: { readonly tries: number; readonly error: string; readonly isDead: boolean } | null
  readonly lines: readonly string[]
}

export interface ExplainParts {
  readonly ledger: Ledger
  readonly reader: OrderReader
  readonly nowMs: () => number
}

export async function explain({ ledger, reader, nowMs }: ExplainParts, id: string): Promise<Explanation> {
  const [row, record] = await Promise.all([ledger.order(id), reader.findInStore(id)])
  const letter = row === null && record !== null ? await letterOf(ledger, record) : null
  if (row === null && record === null && letter === null) {
    throw new OperationError('no_such_order', `no sale has an order with the id "${id}"`, { orderId: id })
  }
  return {
    id,
    ledger: row === null ? null : { ...orderView(row, nowMs()), storeKnows: row.isSettled },
    store: record === null ? null : orderView(record, nowMs()),
    deadLetter: letter === null ? null : { tries: letter.tries, error: letter.error, isDead: letter.isDead },
    lines: linesOf(row, record, letter, nowMs()),
  }
}

async function letterOf(ledger: Ledger, record: ReadOrder): Promise<DeadLetter | null> {
  return (await ledger.deadLetters(record.saleId)).find(({ orderId }) => orderId === record.id) ?? null
}

function linesOf(
  row: LedgerOrder | null,
  record: ReadOrder | null,
  letter: DeadLetter | null,
  nowMs: number,
): string[] {
  const order = row ?? record
  if (order === null) return []
  const lines = [`buyer ${order.buyer}: ${order.quantity} of ${order.fareId} in sale ${order.saleId}`]
  lines.push(`made at ${new Date(order.createdAtMs).toISOString()}`)
  if (letter !== null) lines.push(`the ledger refuses it (${letter.tries} tries): ${letter.error}`)
  else if (row === null) lines.push('the ledger has not taken it in yet: its event is under way')
  if (record === null) lines.push('the store has no record of it')
  else if (row !== null && row.state !== record.state) {
    lines.push(`the store still says ${record.state}: it is about to be told`)
  }
  lines.push(fateOf(order, nowMs))
  return lines
}

function fateOf(order: ReadOrder, nowMs: number): string {
  const until = new Date(order.holdExpiresAtMs).toISOString()
  if (order.state === 'paid') return `paid at ${new Date(order.paidAtMs ?? 0).toISOString()}`
  if (order.state === 'held') {
    return order.holdExpiresAtMs > nowMs ? `held: may be paid until ${until}` : `overdue since ${until}: about to lapse`
  }
  const why: Readonly<Record<string, string>> = {
    expired: `it was not paid until ${until}`,
    cancelled: 'it was cancelled',
    refunded: 'the money went back',
    conflict: 'the ledger had no room for it under the stock of its fare',
  }
  return `released: ${why[order.reason ?? ''] ?? 'for no known reason'}; its tickets went back to the sale`
}
