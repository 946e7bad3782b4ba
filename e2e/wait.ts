/** Waiting for a condition, always with a deadline. */

/** Asks until the answer is neither undefined, null, 0 nor false; throws, saying what was waited for, when time is up. */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
  deadlineMs = 20_000,
): Promise<Exclude<T, undefined | null | false | 0>> {
  const end = performance.now() + deadlineMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== null && answer !== false && answer !== 0) {
      return answer as Exclude<T, undefined | null | false | 0>
    }
    if (performance.now() >= end) throw new Error(`waited ${deadlineMs} ms for ${what}`)
    await pause(20)
  }
}

/** Between two looks, or as long as a server asked a client to wait. Never instead of a condition. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
