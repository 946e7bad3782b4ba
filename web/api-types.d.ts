// Made from the schemas in http/; a test keeps it so.

export type Sale = {
  readonly id: string
  readonly name: string
  readonly state: 'scheduled' | 'open' | 'paused' | 'closed'
  readonly recovering: boolean
  readonly opensAt: string | null
  readonly closesAt: string | null
  readonly serverTime: string
  readonly limitPerBuyer: number
  readonly holdSeconds: number
  readonly fares: readonly ({
    readonly id: string
    readonly name: string
    readonly price: {
      readonly amount: number
      readonly currency: string
    }
    readonly stock: number
    readonly remaining: number
    readonly availability: 'available' | 'all_held' | 'sold_out'
  })[]
}

export type SaleList = {
  readonly items: readonly ({
    readonly id: string
    readonly name: string
    readonly state: 'scheduled' | 'open' | 'paused' | 'closed'
    readonly recovering: boolean
    readonly opensAt: string | null
    readonly closesAt: string | null
    readonly serverTime: string
    readonly limitPerBuyer: number
    readonly holdSeconds: number
    readonly fares: readonly ({
      readonly id: string
      readonly name: string
      readonly price: {
        readonly amount: number
        readonly currency: string
      }
      readonly stock: number
      readonly remaining: number
      readonly availability: 'available' | 'all_held' | 'sold_out'
    })[]
  })[]
  readonly nextCursor: string | null
}

export type Order = {
  readonly id: string
  readonly saleId: string
  readonly fareId: string
  readonly quantity: number
  readonly state: 'held' | 'paid' | 'released'
  readonly reason: 'expired' | 'cancelled' | 'refunded' | 'conflict' | null
  readonly createdAt: string
  readonly holdExpiresAt: string
  readonly paidAt: string | null
  readonly unitPrice: {
    readonly amount: number
    readonly currency: string
  }
  readonly total: {
    readonly amount: number
    readonly currency: string
  }
  readonly serverTime: string
}

export type OrderList = {
  readonly items: readonly ({
    readonly id: string
    readonly saleId: string
    readonly fareId: string
    readonly quantity: number
    readonly state: 'held' | 'paid' | 'released'
    readonly reason: 'expired' | 'cancelled' | 'refunded' | 'conflict' | null
    readonly createdAt: string
    readonly holdExpiresAt: string
    readonly paidAt: string | null
    readonly unitPrice: {
      readonly amount: number
      readonly currency: string
    }
    readonly total: {
      readonly amount: number
      readonly currency: string
    }
    readonly serverTime: string
  })[]
  readonly nextCursor: string | null
}

export type Problem = {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: 'malformed' | 'bad_key' | 'bad_signature' | 'stale_timestamp' | 'unauthenticated' | 'blocked' | 'not_found' | 'no_such_sale' | 'no_such_fare' | 'no_such_order' | 'no_such_payment' | 'method_not_allowed' | 'not_open' | 'paused' | 'closed' | 'sold_out' | 'all_held' | 'not_enough' | 'limit_reached' | 'not_picked' | 'not_held' | 'already_paid' | 'not_paid' | 'too_large' | 'key_reused' | 'bad_quantity' | 'wrong_amount' | 'rate_limited' | 'headers_too_large' | 'internal' | 'busy' | 'recovering' | 'outcome_unknown'
  readonly detail: string
  readonly requestId: string
  readonly retryAfterMs: number | null
  readonly opensAt?: string | null
  readonly remaining?: number
  readonly held?: number
  readonly limit?: number
}

export type Payment = {
  readonly redirectUrl: string
}

export type TicketList = {
  readonly items: readonly ({
    readonly code: string
    readonly qrSvg: string
  })[]
}

export type Keys = {
  readonly keys: readonly ({
    readonly kty: string
    readonly crv: string
    readonly kid: string
    readonly x: string
  })[]
}

export type Session = {
  readonly token: string
  readonly buyer: string
}

export type BuyRequest = {
  readonly quantity?: number
}

export type LiveAvailability = {
  readonly type: 'availability'
  readonly saleId: string
  readonly state: 'scheduled' | 'open' | 'paused' | 'closed'
  readonly serverTime: string
  readonly fares: readonly ({
    readonly id: string
    readonly remaining: number
    readonly availability: 'available' | 'all_held' | 'sold_out'
  })[]
}

export type LiveAuth = {
  readonly type: 'auth'
  readonly ok: true
  readonly buyer: string
}

export type LiveOrder = {
  readonly type: 'order'
  readonly serverTime: string
  readonly order: {
    readonly id: string
    readonly saleId: string
    readonly fareId: string
    readonly quantity: number
    readonly state: 'held' | 'paid' | 'released'
    readonly reason: 'expired' | 'cancelled' | 'refunded' | 'conflict' | null
    readonly createdAt: string
    readonly holdExpiresAt: string
    readonly paidAt: string | null
    readonly unitPrice: {
      readonly amount: number
      readonly currency: string
    }
    readonly total: {
      readonly amount: number
      readonly currency: string
    }
    readonly serverTime: string
  }
}

export type LiveAuthRequest = {
  readonly type: 'auth'
  readonly token: string
}
