import { CliError, EXIT } from './frame.ts'

/** Wider than the ids that are given out; what is not of this form would be another path. */
const ID = /^[A-Za-z0-9_-]{1,64}$/

/** The admin path of an order, or of something about it. An id that no order can have is an unknown one. */
export function orderPath(orderId: string, about?: string): string {
  if (!ID.test(orderId)) {
    throw new CliError(EXIT.refused, 'no_such_order', `no sale has an order with the id "${orderId}"`, { orderId })
  }
  return about === undefined ? `/admin/orders/${orderId}` : `/admin/orders/${orderId}/${about}`
}
