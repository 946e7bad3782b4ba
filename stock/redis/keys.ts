/** Redis keys. All keys of a sale share one Cluster hash tag, so that one script may touch them all. */

export interface SaleKeys {
  readonly sale: string
  readonly nodes: string
  readonly orders: string
  readonly buyers: string
  readonly events: string
}

/** The tag `fleet` cannot collide with a sale: a sale's tag has a prefix of its own. */
export function saleKeys(saleId: string): SaleKeys {
  const prefix = `farebox:{sale-${saleId}}:`
  return {
    sale: `${prefix}sale`,
    nodes: `${prefix}nodes`,
    orders: `${prefix}orders`,
    buyers: `${prefix}buyers`,
    events: `${prefix}events`,
  }
}

export const FLEET_KEYS = {
  fleet: 'farebox:{fleet}:fleet',
  nodes: 'farebox:{fleet}:nodes',
  orders: 'farebox:{fleet}:orders',
  sales: 'farebox:{fleet}:sales',
} as const
