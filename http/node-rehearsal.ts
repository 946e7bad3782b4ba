/** Asks a node to practise, on its private port (`POST /rehearsal`), before a sale is opened by hand. */

/** Resolves when it has, or does not answer in time; never rejects. */
export type AskRehearsal = (adminUrl: string) => Promise<void>

/** Somebody waits for the sale to open meanwhile. */
const TIMEOUT_MS = 150

export function rehearsalAsker(token: string, timeoutMs = TIMEOUT_MS): AskRehearsal {
  return async (adminUrl) => {
    try {
      const response = await fetch(new URL('/rehearsal', adminUrl), {
        method: 'POST',
        headers: { authorization: `Bearer ${token}` },
        signal: AbortSignal.timeout(timeoutMs),
      })
      await response.arrayBuffer()
    } catch {
      // A first purchase may then take a moment longer; nothing else depends on it.
    }
  }
}
