/**
 * Lets clients go before a reload, so that it costs none of them a request.
 *
 * A worker that is told to end closes idle connections at once, and busy ones after an answer that said
 * `keep-alive`. A client that sends its next request just then loses it. So the workers are told some time before:
 * while a file exists, each answer says `Connection: close`, and the client opens another connection for its next
 * request. Nobody loses anything who was heard from in that time.
 *
 * The file belongs to one plan, not to nginx: workers of the old plan go on telling the last of their clients after
 * the new ones have taken over, and a file that a dead coordinator left is without effect under the next plan.
 *
 * What is left are two rare cases, in which a client sees what it sees whenever a server closes an idle connection:
 * - Nothing came on a connection for all that time, and its next request comes in the very moment of the reload.
 * - A request came before the flag and was answered after the reload, and the next one comes at once.
 */
import { systemClock } from '../runtime/clock.ts'
import { readdirSync, rmSync, statSync } from 'node:fs'
import { writeAtomically } from './atomic-file.ts'
import { CLOSING_FLAG_PREFIX, closingFlagPath, WORKER_SHUTDOWN_TIMEOUT_MS } from './render.ts'
import type { PlanVersion } from './render.ts'
import { idleConnections } from './status.ts'
import { waitFor } from './wait.ts'

/** So that requests which came before the flag are answered, and then the ones after them. */
const TELL_MS_MIN = 500
/** Then as long as idle connections are left, but no longer than this. */
const TELL_MS_MAX = 1000

/** Resolves when the workers of a plan may be told to end. */
export async function letClientsGo(dir: string, served: PlanVersion, statusPort: number): Promise<void> {
  writeAtomically(closingFlagPath(dir, served), '')
  await new Promise((resolve) => setTimeout(resolve, TELL_MS_MIN))
  await waitFor(async () => (await idleConnections(statusPort)) === 0, {
    deadlineMs: TELL_MS_MAX - TELL_MS_MIN,
    everyMs: 10,
    what: 'idle connections to end',
  }).catch(() => undefined)
}

/** For a reload that did not come about. */
export function keepClients(dir: string, served: PlanVersion): void {
  rmSync(closingFlagPath(dir, served), { force: true })
}

/**
 * Removes what nobody looks at any more, and the flag of the served plan: whoever holds the lock announces nothing,
 * so somebody died while doing so. Flags of plans whose workers may still be ending stay.
 */
export function sweepFlags(dir: string, served: PlanVersion | null): void {
  for (const name of readdirSync(dir)) {
    if (!name.startsWith(CLOSING_FLAG_PREFIX)) continue
    const path = `${dir}/${name}`
    const isServed = served === null || path === closingFlagPath(dir, served)
    if (isServed || systemClock.nowMs() - statSync(path).mtimeMs > 2 * WORKER_SHUTDOWN_TIMEOUT_MS)
      rmSync(path, { force: true })
  }
}
