const SETTLED_WITHIN_MS = 10_000
const LOOK_EVERY_MS = 50

/** Faults that stay. Requests of clients that are gone already may still be under way; then counts do not agree yet. */
export async function settledFaults(look: () => Promise<string[]>): Promise<string[]> {
  const deadline = performance.now() + SETTLED_WITHIN_MS
  for (;;) {
    const faults = await look()
    if (faults.length === 0 || performance.now() > deadline) return faults
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
  }
}
