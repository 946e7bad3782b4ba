/**
 * An operator's acts on sales. What changes one is done by an orders process, which owns the ledger; here it is
 * waited until the nodes have heard.
 */
import type { Version } from '../../stock/core/words.ts'
import type { SaleSnapshot, StateChange } from '../../stock/port.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import { noSuchSale } from './failure.ts'
import { notLeader } from './fleet-change.ts'
import { whoHasNotHeard } from './heard.ts'
import { nearName } from './near-name.ts'
import { saleView, type SaleView } from './views.ts'
import type { World } from './world.ts'

export interface ChangeResult {
  readonly outcome: 'created' | 'changed' | 'unchanged'
  readonly sale: SaleView
  /** Live nodes that had not heard of it within the time; they will with their next heartbeat. */
  readonly notHeardBy: readonly string[]
}

export async function readSale(world: World, saleId: string): Promise<SaleSnapshot> {
  const snapshot = await world.port.sales.read(saleId, world.rules)
  if (snapshot !== null) return snapshot
  const { saleIds } = await world.port.fleet.read()
  throw noSuchSale(saleId, nearName(saleId, saleIds))
}

export async function listSales(world: World): Promise<{ readonly items: readonly SaleView[] }> {
  const { saleIds } = await world.port.fleet.read()
  const snapshots = await Promise.all(saleIds.map((saleId) => world.port.sales.read(saleId, world.rules)))
  return { items: snapshots.filter((snapshot) => snapshot !== null).map(saleView) }
}

/** What an orders process answers to an act. */
interface Act {
  readonly outcome: ChangeResult['outcome']
  /** The store's version that has it; null where nothing had to be done. */
  readonly version: Version | null
}

/** Makes the sale from the text of its file; one that is there must be the same, and then nothing happens. */
export async function createSale(world: World, text: string): Promise<ChangeResult> {
  const act = await world.orders.call<Act & { readonly saleId: string }>('POST', '/admin/sales', text)
  return heardOf(world, act.saleId, act)
}

/** Opens (or resumes), pauses or closes; answers when the nodes have heard of it. */
export async function changeSale(world: World, saleId: string, change: StateChange): Promise<ChangeResult> {
  try {
    return await heardOf(world, saleId, await world.orders.call<Act>('POST', `/admin/sales/${saleId}/${change}`))
  } catch (error) {
    const stops = change === 'pause' || change === 'close'
    if (!stops || !(error instanceof OperationError) || error.code !== 'no_orders') throw error
    throw await stopInStore(world, saleId, change, error)
  }
}

/** The operator's decision when recovery cannot prove that nothing was lost. */
export async function recoverSale(world: World, saleId: string): Promise<ChangeResult> {
  return heardOf(world, saleId, await world.orders.call<Act>('POST', `/admin/sales/${saleId}/recover`))
}

export async function setStock(world: World, saleId: string, fareId: string, stock: number): Promise<ChangeResult> {
  const body = JSON.stringify({ fareId, stock })
  return heardOf(world, saleId, await world.orders.call<Act>('POST', `/admin/sales/${saleId}/stock`, body))
}

export interface FarePlace {
  readonly saleId: string
  readonly fareId: string
}

export interface TransferResult extends ChangeResult {
  readonly tickets: number
}

export async function transfer(world: World, from: FarePlace, to: FarePlace): Promise<TransferResult> {
  const body = JSON.stringify({
    fromSale: from.saleId,
    fromFare: from.fareId,
    toSale: to.saleId,
    toFare: to.fareId,
  })
  const act = await world.orders.call<Act & { readonly tickets: number }>('POST', '/admin/transfers', body)
  return { ...(await heardOf(world, to.saleId, act)), tickets: act.tickets }
}

async function heardOf(world: World, saleId: string, { outcome, version }: Act): Promise<ChangeResult> {
  const isNews = outcome !== 'unchanged' && version !== null
  const notHeardBy = isNews ? await whoHasNotHeard(world, saleId, version) : []
  return { outcome, sale: saleView(await readSale(world, saleId)), notHeardBy }
}

const TRIES = 5

/**
 * Stopping a sale does not wait for an orders process: it is done in the store, where it acts, and the first orders
 * process that runs again brings it into the ledger. But done means both, so it is told as an error all the same.
 */
async function stopInStore(world: World, saleId: string, change: StateChange, cause: Error): Promise<OperationError> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const { version } = await readSale(world, saleId)
    const reply = await world.port.sales.change(saleId, change, version, { lease: world.lease })
    if (reply.outcome === 'fenced') continue
    if (reply.outcome === 'recovering') break
    if (reply.outcome === 'refused' && reply.why === 'stale_lease') return notLeader(reply.version)
    if (reply.outcome === 'refused') return new OperationError(reply.why, `sale "${saleId}": ${change} is refused`)
    await whoHasNotHeard(world, saleId, reply.version)
    const message =
      `sale "${saleId}" sells nothing any more, but the ledger has not heard of it: ${cause.message}. ` +
      'The next orders process that runs completes it'
    return new OperationError('ledger_pending', message, { saleId, state: reply.state })
  }
  return new OperationError('recovering', `sale "${saleId}" is recovering: see "farebox status"`, { saleId })
}
