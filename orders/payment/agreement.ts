/**
 * The law of the money side, written once: money and stock agree, order by order.
 *
 * - A paid order has exactly one charge, of exactly its total; no other order has any.
 * - Every charge that is not kept has gone back or is going back, in full and once; or a new order is being bought
 *   with it, which does not take long.
 *
 * So, over a sale: money taken - money given or going back - money of retakes under way = totals of paid orders.
 */
import type { OrderState, Price } from '../../stock/core/words.ts'
import type { ChargeState, RefundReason } from './charge.ts'

export interface MoneyCharge {
  readonly id: string
  readonly state: ChargeState
  readonly isTaken: boolean
  readonly amount: number
  readonly currency: string
  /** When its state was last changed. */
  readonly changedMs: number
  readonly keptFor: string | null
  readonly refund: MoneyRefund | null
}

export interface MoneyRefund {
  readonly state: 'due' | 'accepted' | 'done'
  readonly amount: number
  readonly reason: RefundReason
}

/** An order and every charge that is kept for it or was meant for it. */
export interface OrderMoney {
  readonly orderId: string
  readonly state: OrderState
  readonly total: Price
  readonly charges: readonly MoneyCharge[]
}

export interface MoneyProblem {
  readonly rule: string
  readonly witness: string
}

/** A retake is one confirm and its repeats; one older than this has been forgotten. */
export const RETAKE_MAX_MS = 30 * 60_000

export function moneyProblems(order: OrderMoney, nowMs: number): MoneyProblem[] {
  return [...orderProblems(order), ...order.charges.flatMap((charge) => chargeProblems(charge, nowMs))]
}

function orderProblems({ orderId, state, total, charges }: OrderMoney): MoneyProblem[] {
  const kept = charges.filter(({ keptFor }) => keptFor === orderId)
  const [only] = kept
  if (state !== 'paid') {
    if (only === undefined) return []
    return [{ rule: 'money_kept', witness: `order ${orderId} is ${state}, and charge ${only.id} is kept for it` }]
  }
  if (only === undefined) return [{ rule: 'paid_without_money', witness: `order ${orderId} is paid, by no charge` }]
  if (kept.length > 1) {
    const ids = kept.map(({ id }) => id).join(', ')
    return [{ rule: 'paid_twice', witness: `order ${orderId} is paid by ${kept.length} charges: ${ids}` }]
  }
  if (only.amount === total.amount && only.currency === total.currency) return []
  const witness = `order ${orderId} costs ${total.amount} ${total.currency}, its charge ${only.id} is ${only.amount} ${only.currency}`
  return [{ rule: 'wrong_amount', witness }]
}

function chargeProblems(charge: MoneyCharge, nowMs: number): MoneyProblem[] {
  const { id, state, isTaken, amount, keptFor, refund, changedMs } = charge
  const problem = (rule: string, what: string): MoneyProblem[] => [{ rule, witness: `charge ${id} is ${state}${what}` }]
  if ((state === 'kept') !== (keptFor !== null)) return problem('money_astray', `, kept for ${keptFor ?? 'no order'}`)
  if (refund !== null && refund.amount !== amount)
    return problem('wrong_refund', `: ${amount}, refund ${refund.amount}`)
  switch (state) {
    case 'kept':
      if (!isTaken) return problem('money_astray', ', and its money was never reported')
      return refund === null ? [] : problem('refund_of_kept', `, and a refund of it is ${refund.state}`)
    case 'retaking':
      if (refund !== null) return problem('refund_of_kept', `, and a refund of it is ${refund.state}`)
      return nowMs - changedMs <= RETAKE_MAX_MS ? [] : problem('money_astray', ` since ${nowMs - changedMs} ms`)
    case 'refunding':
      return refund !== null && refund.state !== 'done' ? [] : problem('money_astray', ', and no refund of it is due')
    case 'refunded':
      return refund === null || refund.state === 'done'
        ? []
        : problem('refund_open', `, and its refund ${refund.state}`)
  }
}
