/**
 * The sale that a process practises on: a node in the store, an orders process in its embedded database. No other sale can
 * have its id: a sale's id never begins with a hyphen. It is in no list of sales, so no other process ever hears of it, and
 * each has one of its own.
 */
export function practiceSaleId(processId: string): string {
  return `-practice-${processId}`
}
