/** Runs wrk and reads its summary. wrk's hooks for answers cost too much, so answers are counted by the servers. */
import { fileURLToPath } from 'node:url'
import { LOAD_CORE, output } from '../cluster/processes.ts'
import type { RequestFile } from './requests.ts'

const SCRIPT = fileURLToPath(new URL('./requests.lua', import.meta.url))

export interface Load {
  readonly url: string
  /** All servers, where there are several: each gets a thread and its part of the requests. */
  readonly urls?: readonly string[]
  readonly connections: number
  readonly seconds: number
  readonly file: RequestFile
  readonly first: number
  readonly count: number
  /** After which an answer counts as missing; default 5. */
  readonly timeoutSeconds?: number
}

export interface WrkSummary {
  readonly requests: number
  readonly seconds: number
  /** Answers with a status of 400 and more. */
  readonly refused: number
  readonly socketErrors: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export async function runWrk(load: Load): Promise<WrkSummary> {
  const { url, urls = [url], connections, seconds, file, first, count, timeoutSeconds = 5 } = load
  const addresses = urls.length > 1 ? [urls.map((one) => new URL(one).host).join(',')] : []
  const settings = [
    `-t${urls.length}`,
    `-c${connections}`,
    `-d${seconds}s`,
    '--latency',
    '--timeout',
    `${timeoutSeconds}s`,
    '-s',
    SCRIPT,
  ]
  const script = [file.path, file.recordBytes, first, count, ...addresses].map(String)
  return parseSummary(await output(LOAD_CORE, 'wrk', [...settings, url, '--', ...script]))
}

const UNITS_MS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000, m: 60_000 }

/** Throws on a summary without what it must have. */
export function parseSummary(text: string): WrkSummary {
  const total = /(\d+) requests in ([\d.]+)(us|ms|s|m),/.exec(text)
  const p50 = /50%\s+([\d.]+)(us|ms|s|m)/.exec(text)
  const p99 = /99%\s+([\d.]+)(us|ms|s|m)/.exec(text)
  if (total === null || p50 === null || p99 === null) throw new Error(`wrk printed no summary:\n${text}`)
  const socket = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text)
  return {
    requests: Number(total[1]),
    seconds: (Number(total[2]) * unitMs(total[3])) / 1000,
    refused: Number(/Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0),
    socketErrors: (socket ?? []).slice(1).reduce((sum, part) => sum + Number(part), 0),
    p50Ms: Number(p50[1]) * unitMs(p50[2]),
    p99Ms: Number(p99[1]) * unitMs(p99[2]),
  }
}

function unitMs(unit: string | undefined): number {
  return UNITS_MS[unit ?? ''] ?? Number.NaN
}
