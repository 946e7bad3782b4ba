/**
 * The sale that a node practises on. No other sale can have its id: a sale's id never begins with a hyphen. It is in no
 * list of sales, so no other process ever hears of it, and each node has one of its own.
 */
export function practiceSaleId(nodeId: string): string {
  return `-practice-${nodeId}`
}
