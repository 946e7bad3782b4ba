/** What an answer to a buy call means to a buyer. */
import type { RefinedResponse } from 'k6/http'

export type Outcome = 'won' | 'replayed' | 'refused' | 'again' | 'unexpected'

/** Refusals that the global counter alone may give. */
const NO_MORE = ['sold_out', 'all_held', 'not_enough']
const AGAIN = ['busy', 'recovering', 'outcome_unknown', 'rate_limited', 'not_open']

export function outcomeOf(response: RefinedResponse<'text'>): Outcome {
  if (response.status === 201) return 'won'
  if (response.status === 200) return 'replayed'
  // No answer at all: the same key, again.
  if (response.status === 0) return 'again'
  const code = memberOf(response, 'code')
  if (response.status === 409 && NO_MORE.includes(code)) return 'refused'
  return AGAIN.includes(code) ? 'again' : 'unexpected'
}

/** A member of the body as text; empty where there is none. */
export function memberOf(response: RefinedResponse<'text'>, name: string): string {
  try {
    const value: unknown = response.json(name)
    return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
  } catch {
    return ''
  }
}
