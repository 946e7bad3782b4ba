/** Of numbers in ascending order; null where there are none. `share` 0.99 is the value that 99 % do not exceed. */
export function percentile(ascending: ArrayLike<number>, share: number): number | null {
  if (ascending.length === 0) return null
  return ascending[Math.min(ascending.length - 1, Math.max(0, Math.ceil(share * ascending.length) - 1))] ?? null
}
