/** The sale of `up --sale FILE`: made and opened by the coordinator, then seen through nginx. */
import { readFileSync } from 'node:fs'
import { describeFaults } from '../../config/faults.ts'
import { parseSaleFile } from '../../config/sale-file.ts'
import { waitFor } from '../../loadbalancer/wait.ts'
import { clusterPaths } from './cluster-config.ts'
import { pinnedFetch } from '../../http/pinned-fetch.ts'
import { certificateOf, type CoordinatorRecord } from './cluster-file.ts'
import { ClusterFailure, interrupted } from './failure.ts'

type Coordinator = Pick<CoordinatorRecord, 'adminUrl' | 'certFile'>

export interface SaleText {
  readonly id: string
  readonly fareId: string
  /** A sale with an hour opens by itself. */
  readonly opensByHand: boolean
  readonly text: string
}

/** @throws ClusterFailure with all faults of the file at once. */
export function readSaleText(path: string): SaleText {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new ClusterFailure('bad_sale_file', `the sale file cannot be read: ${why}`, { path }, error)
  }
  const parsed = parseSaleFile(text)
  if (!parsed.ok) {
    const { faults } = parsed
    throw new ClusterFailure('bad_sale_file', `${path}: ${describeFaults(faults)}`, { faults })
  }
  const { id, fares, opensAtMs } = parsed.value
  return { id, fareId: fares[0]?.id ?? '', opensByHand: opensAtMs === null, text }
}

/**
 * Makes the sale and opens it, unless an equal one is there: then its state is left as it is.
 * @returns whether buyers are shown the sale; a draft they are not.
 */
export async function createAndOpen(
  dir: string,
  coordinator: Coordinator,
  sale: SaleText,
): Promise<{ readonly shown: boolean }> {
  const { value: made, isRepeat } = await admin(dir, coordinator, '/admin/sales', sale.text)
  const state = field(field(made, 'sale'), 'state')
  // A call that failed may have made it all the same: then the repeat found a draft.
  const isNew = field(made, 'outcome') === 'created' || (isRepeat && state === 'draft')
  if (isNew && sale.opensByHand) {
    await admin(dir, coordinator, `/admin/sales/${sale.id}/open`, '')
    return { shown: true }
  }
  return { shown: state !== 'draft' }
}

/** Waits until nginx passes on an answer about the sale; without one, any answer of a node's. */
export async function waitForSale(
  url: string,
  saleId: string | null,
  deadlineMs: number,
  signal?: AbortSignal,
): Promise<void> {
  const path = saleId === null ? '/api/sales' : `/api/sales/${saleId}`
  let last = 'no answer'
  try {
    await waitFor(
      async () => {
        const answer = await fetch(url + path, { signal: AbortSignal.timeout(2000) }).catch(() => null)
        if (answer) last = `${answer.status} ${(await answer.text().catch(() => '')).slice(0, 300)}`
        return answer?.status === 200
      },
      { deadlineMs, everyMs: 50, what: `${path} to be answered through nginx`, signal },
    )
  } catch (error) {
    if (signal?.aborted) throw interrupted(error)
    throw new ClusterFailure('not_ready', `GET ${url}${path} is not answered with 200; last: ${last}`, null, error)
  }
}

const TROUBLE_DEADLINE_MS = 20_000
/** What passes: who is ready may still wait for its lease, and on a machine that has much to start a call may be late. */
const TROUBLE: readonly unknown[] = ['not_leader', 'internal', 'store_away', 'ledger_away', 'no_orders', 'busy']

/** Both calls may be repeated: what is there already is left as it is. */
async function admin(
  dir: string,
  coordinator: Coordinator,
  path: string,
  body: string,
): Promise<{ readonly value: unknown; readonly isRepeat: boolean }> {
  let answer = await post(dir, coordinator, path, body)
  let isRepeat = false
  await waitFor(
    async () => {
      if (!TROUBLE.includes(field(field(answer.value, 'error'), 'code'))) return true
      isRepeat = true
      answer = await post(dir, coordinator, path, body)
      return false
    },
    { deadlineMs: TROUBLE_DEADLINE_MS, everyMs: 200, what: 'the sale to be made' },
  ).catch(() => undefined)
  const { status, value } = answer
  if (status < 300) return { value, isRepeat }
  const message = field(field(value, 'error'), 'message')
  const why = typeof message === 'string' ? message : `it answered ${status}`
  const code = status === 400 || status === 422 ? 'bad_sale_file' : 'sale_refused'
  throw new ClusterFailure(code, `the coordinator refuses the sale: ${why}`, field(value, 'error') ?? null)
}

async function post(
  dir: string,
  coordinator: Coordinator,
  path: string,
  body: string,
): Promise<{ status: number; value: unknown }> {
  const token = readFileSync(clusterPaths(dir).adminToken, 'utf8').trim()
  const init = {
    method: 'POST',
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/yaml' },
    body,
    signal: AbortSignal.timeout(15_000),
  }
  const answer = await pinnedFetch(new URL(path, coordinator.adminUrl), init, certificateOf(coordinator))
  const value: unknown = await answer.json().catch(() => null)
  return { status: answer.status, value }
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}
