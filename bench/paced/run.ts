/** Starts the paced load on its core and reads what it says. */
import { fileURLToPath } from 'node:url'
import { LOAD_CORE, output } from '../cluster/processes.ts'
import type { RequestFile } from '../ratios/requests.ts'

const LOAD = fileURLToPath(new URL('./load.js', import.meta.url))

export interface PacedLoad {
  readonly url: string
  readonly file: RequestFile
  readonly first: number
  readonly count: number
  /** Purchases a second. */
  readonly rate: number
  readonly connections: number
}

export interface PacedSummary {
  readonly sent: number
  readonly unanswered: number
  readonly statuses: Readonly<Record<string, number>>
  readonly seconds: number
  /** From the moment at which a purchase was to be sent to its answer. */
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** How much later than that it was sent. */
  readonly lateP99Ms: number
}

export async function runPaced({ url, file, first, count, rate, connections }: PacedLoad): Promise<PacedSummary> {
  const numbers = [file.recordBytes, first, count, rate, connections].map(String)
  return JSON.parse(await output(LOAD_CORE, process.execPath, [LOAD, url, file.path, ...numbers])) as PacedSummary
}

/** Everybody was to be sold a ticket. */
export function pacedFaults({ sent, unanswered, statuses }: PacedSummary, count: number): string[] {
  const won = statuses['201'] ?? 0
  if (sent === count && unanswered === 0 && won === count) return []
  return [`${count} purchases: ${sent} sent, ${unanswered} unanswered, by status ${JSON.stringify(statuses)}`]
}
