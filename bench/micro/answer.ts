/** What was found for one task of a question. */
export interface MicroAnswer {
  readonly question: string
  readonly asks: string
  readonly task: string
  /** Per thing, not per timed call. Null when it could not be measured. */
  readonly medianNs: number | null
  readonly p99Ns: number | null
  readonly samples: number
  readonly fault: string | null
}
