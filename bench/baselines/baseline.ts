/**
 * What a baseline is: a way of selling known from the field, behind the same HTTP route, reading the same request,
 * checking the same token and answering the same body as Farebox. Each is as good as it is usually done: connections
 * are kept, commands pipelined, statements prepared. Where the way knows repeats by their key, it is used.
 */

/** `again`: trouble, the buyer may repeat with the same key. */
export type Sold = 'won' | 'replayed' | 'refused' | 'again'

export interface Baseline {
  buy(buyer: string, key: string): Promise<Sold>
  /** Tickets come back, in the way that this kind of system does it. */
  giveBack(count: number): Promise<void>
  /** As its store counts: tickets left, and sold to somebody. */
  count(): Promise<{ readonly remaining: number; readonly sold: number }>
}

export interface Making {
  /** Of its Redis, or of its PostgreSQL. */
  readonly store: string
  readonly stock: number
  /** True in the one process that makes the sale. */
  readonly isFirst: boolean
  /** How many processes there will be. */
  readonly processes: number
  /** Most connections, where the way takes one per request. */
  readonly connectionsMax: number
}

export type MakeBaseline = (making: Making) => Promise<Baseline>
