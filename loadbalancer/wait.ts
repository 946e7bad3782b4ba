/** Waiting for a condition, always with a deadline. */

export class DeadlineError extends Error {
  override readonly name = 'DeadlineError'
}

export interface WaitOptions {
  readonly deadlineMs: number
  readonly everyMs?: number
  /** What is waited for, for the message. */
  readonly what: string
  /** Gives up at once when aborted, with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

/** Asks until the answer is neither undefined, null nor false. */
export async function waitFor<T>(
  ask: () => T | Promise<T>,
  { deadlineMs, everyMs = 25, what, signal }: WaitOptions,
): Promise<Exclude<T, undefined | null | false>> {
  const end = performance.now() + deadlineMs
  for (;;) {
    signal?.throwIfAborted()
    const answer = await ask()
    if (answer !== undefined && answer !== null && answer !== false) {
      return answer as Exclude<T, undefined | null | false>
    }
    if (performance.now() >= end) throw new DeadlineError(`waited ${deadlineMs} ms for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}
