/** What a node says of itself on its private port (`GET /state`). */
import type { SaleState, Version } from '../stock/core/words.ts'

export interface FareReport {
  readonly fareId: string
  readonly remaining: number
  readonly allowance: number
  readonly inFlight: number
  readonly available: number
  readonly parked: number
  readonly confirmed: number
}

export interface SaleReport {
  readonly saleId: string
  readonly era: number
  readonly seq: number
  readonly lastWriteSeq: number
  readonly epoch: number
  readonly state: SaleState
  readonly recovering: boolean
  readonly fares: readonly FareReport[]
  /** Wishes that wait for allowance. */
  readonly parked?: number
  readonly winners: number
  readonly heartbeatAgeMs: number
  /** Tickets of new orders that it told in this era. */
  readonly confirmedInEra?: number
  /** From where on its journal is whole (`node-journal.ts`); null when it answers for nothing. */
  readonly journalSince?: Version | null
}

export interface NodeReport {
  readonly nodeId: string
  readonly epoch: number
  readonly state: string
  readonly sales: readonly SaleReport[]
}

/** Null when the node does not answer in time, or not with a report. */
export type AskNode = (adminUrl: string) => Promise<NodeReport | null>

export function nodeAsker(token: string | null, timeoutMs = 800): AskNode {
  return async (adminUrl) => {
    try {
      const response = await fetch(new URL('/state', adminUrl), {
        headers: token === null ? {} : { authorization: `Bearer ${token}` },
        signal: AbortSignal.timeout(timeoutMs),
      })
      const body: unknown = await response.json()
      return response.ok && isReport(body) ? body : null
    } catch {
      return null
    }
  }
}

function isReport(value: unknown): value is NodeReport {
  if (!isRecord(value) || typeof value['nodeId'] !== 'string' || !Array.isArray(value['sales'])) return false
  return value['sales'].every(
    (sale: unknown) =>
      isRecord(sale) &&
      typeof sale['saleId'] === 'string' &&
      Number.isSafeInteger(sale['era']) &&
      Number.isSafeInteger(sale['seq']) &&
      Number.isSafeInteger(sale['lastWriteSeq']) &&
      Array.isArray(sale['fares']),
  )
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
