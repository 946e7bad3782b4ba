/** Buyers who want one ticket each and repeat with the same key until they know: for counting, not for speed. */
import { Agent, request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { FARE, SALE } from '../ratios/requests.ts'

export interface CrowdResult {
  /** Buyers who were told of an order. */
  readonly told: number
  readonly refused: number
  /** Gave up. */
  readonly unanswered: number
  /** Requests without an answer, or answered with trouble. */
  readonly failed: number
}

export interface CrowdOptions {
  /** Buyer and token, each. */
  readonly people: readonly { readonly buyer: string; readonly token: string }[]
  /** Those that are still there; asked anew for every request. */
  readonly urls: () => readonly string[]
  readonly concurrency: number
  /** Without a final answer to anybody: whoever is merely slow is waited for. */
  readonly giveUpAfterMs: number
  /** Told after every buyer who has an order. */
  readonly onTold?: (told: number) => void
}

const ANSWER_WITHIN_MS = 1500
const REPEAT_AFTER_MS = 50

export async function sendCrowd(options: CrowdOptions): Promise<CrowdResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: options.concurrency })
  const result = { told: 0, refused: 0, unanswered: 0, failed: 0 }
  let lastAnsweredMs = performance.now()
  const isHopeless = (): boolean => performance.now() - lastAnsweredMs > options.giveUpAfterMs
  let next = 0
  const serve = async (): Promise<void> => {
    for (let at = next++; at < options.people.length; at = next++) {
      const person = options.people[at]
      if (person === undefined) return
      const status = await insist(options, person, at, isHopeless, agent, () => (result.failed += 1))
      if (status !== null) lastAnsweredMs = performance.now()
      if (status === null) result.unanswered += 1
      else if (status === 409) result.refused += 1
      else {
        result.told += 1
        options.onTold?.(result.told)
      }
    }
  }
  await Promise.all(Array.from({ length: options.concurrency }, serve))
  agent.destroy()
  return result
}

/** The status that ended it; null for giving up. */
async function insist(
  { urls }: CrowdOptions,
  person: CrowdOptions['people'][number],
  at: number,
  isHopeless: () => boolean,
  agent: Agent,
  onFailed: () => void,
): Promise<number | null> {
  for (let attempt = 0; attempt === 0 || !isHopeless(); attempt += 1) {
    const now = urls()
    const status = await buy(now[(at + attempt) % now.length] ?? '', person, agent)
    if ([200, 201, 409].includes(status)) return status
    onFailed()
    await pause(REPEAT_AFTER_MS)
  }
  return null
}

/** 0: no answer. */
function buy(base: string, { buyer, token }: CrowdOptions['people'][number], agent: Agent): Promise<number> {
  const headers = {
    authorization: `Bearer ${token}`,
    'idempotency-key': `key-${buyer}`,
    'content-type': 'application/json',
  }
  const url = `${base}/api/sales/${SALE}/fares/${FARE}/orders`
  return new Promise((resolve) => {
    const sent = request(url, { method: 'POST', agent, headers, timeout: ANSWER_WITHIN_MS }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode ?? 0))
      response.on('error', () => resolve(0))
    })
    sent.on('timeout', () => sent.destroy())
    sent.on('error', () => resolve(0))
    sent.end('{"quantity":1}')
  })
}
