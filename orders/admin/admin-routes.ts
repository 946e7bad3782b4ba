/**
 * The admin API of an orders process as data: what coordinator and CLI ask of the ledger's one door. Ids in paths are
 * what the caller was given; an id that nobody knows is answered as such.
 */
import { describeFaults } from '../../config/faults.ts'
import { parseSaleFile } from '../../config/sale-file.ts'
import type { AdminAnswer, AdminRequest } from '../../http/admin-server.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import { DatabaseError } from '../ledger/database.ts'
import type { Keeping } from '../keeping/keeping.ts'
import type { Ledger, LedgerOrder } from '../ledger/ledger.ts'
import type { OrderReader } from '../order-reader.ts'
import type { MoneyProblem } from '../payment/agreement.ts'
import type { NotedAnomaly } from '../payment/anomalies.ts'
import type { RefundOrderResult } from '../payment/payment-ledger.ts'
import type { Fates } from '../pipeline/fates.ts'
import type { FleetStore } from '../../stock/port.ts'
import type { Recovery } from '../recovery/recovery.ts'
import type { SaleRounds } from '../recovery/sale-rounds.ts'
import type { SaleActs } from '../sales/sale-acts.ts'
import { explain } from './explain.ts'
import { EXPORT_FORMATS, pagesOf, type ExportFormat } from './export.ts'
import { orderView } from './order-view.ts'

/** What an operator may ask of payments and tickets. */
export interface MoneyActs {
  refund(orderId: string): Promise<RefundOrderResult>
  /** Where money and stock do not agree. */
  problems(saleId: string): Promise<readonly MoneyProblem[]>
  anomalies(limit: number): Promise<readonly NotedAnomaly[]>
  /** Another key signs from now on: its id, and how many are published. */
  rotateKeys(): Promise<{ readonly kid: string; readonly keys: number }>
}

export interface AdminParts {
  readonly ledger: Ledger
  readonly reader: OrderReader
  readonly fates: Fates
  readonly money: MoneyActs
  readonly acts: SaleActs
  readonly recovery: Recovery
  readonly rounds: SaleRounds
  readonly keeping: Pick<Keeping, 'keep'>
  readonly fleet: Pick<FleetStore, 'read'>
  readonly nowMs: () => number
}

const FEED_MAX = 1000
const ANOMALIES_MAX = 500

export async function answerAdmin(parts: AdminParts, request: AdminRequest): Promise<AdminAnswer> {
  try {
    await refuseDeposed(parts, request)
    return await route(parts, request)
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.outcome !== 'away') throw error
    throw new OperationError('ledger_away', `the ledger does not answer: ${error.message}`)
  }
}

/**
 * A leader that slept with an operator's call in hand may pass it on when another leads: the operator has long heard
 * that nobody answered, and may have decided otherwise.
 */
async function refuseDeposed({ fleet }: AdminParts, { method, lease = null }: AdminRequest): Promise<void> {
  if (lease === null || method === 'GET') return
  const { leader, version } = await fleet.read()
  if (leader?.lease === lease) return
  const message = `the coordinator that asks leads no more (the version is ${version.era}.${version.seq}): try again`
  throw new OperationError('not_leader', message, { version, adminUrl: leader?.adminUrl ?? null })
}

async function route(parts: AdminParts, request: AdminRequest): Promise<AdminAnswer> {
  const { method, path } = request
  const [root, room, id, verb, ...rest] = path.split('/').slice(1)
  if (root !== 'admin' || rest.length > 0) throw notFound(path)
  const isRead = method === 'GET'
  if (room === 'recovery' && id === undefined && isRead) return ok(recoveryView(parts))
  if (room === 'transfers' && id === undefined && method === 'POST') return ok(await transfer(parts, request))
  if (room === 'payments' && id === 'anomalies' && isRead) {
    return ok({ items: await parts.money.anomalies(ANOMALIES_MAX) })
  }
  if (room === 'keys' && id === 'rotate' && method === 'POST') return ok(await parts.money.rotateKeys())
  if (room === 'orders' && id !== undefined) {
    return ok(isRead ? await readOrder(parts, id, verb, path) : await changeOrder(parts, id, verb, path))
  }
  if (room !== 'sales') throw notFound(path)
  if (id === undefined && method === 'POST') return create(parts, request.body)
  if (id === undefined || verb === undefined) throw notFound(path)
  return isRead ? readSale(parts, id, verb, request) : ok(await changeSale(parts, id, verb, request))
}

function recoveryView({ recovery, rounds }: AdminParts): unknown {
  const cases = recovery.cases().map(({ saleId, reasons }) => ({ saleId, reasons, forMs: recovery.forMs(saleId) }))
  const overruns = rounds.overruns().map(({ saleId }) => saleId)
  return {
    cases,
    overruns,
    losses: rounds.losses(),
    recovered: recovery.recovered(),
    saleIds: rounds.sales().map(({ definition }) => definition.id),
  }
}

async function create({ acts, rounds }: AdminParts, text: string): Promise<AdminAnswer> {
  const parsed = parseSaleFile(text)
  if (!parsed.ok) throw new OperationError('bad_sale_file', describeFaults(parsed.faults), { faults: parsed.faults })
  const result = await acts.create(parsed.value)
  rounds.askAgain()
  return { status: result.outcome === 'created' ? 201 : 200, body: { ...result, saleId: parsed.value.id } }
}

async function changeSale(parts: AdminParts, saleId: string, verb: string, request: AdminRequest): Promise<unknown> {
  const { acts, rounds } = parts
  if (verb === 'open' || verb === 'pause' || verb === 'close') return acts.change(saleId, verb)
  if (verb === 'keep') return parts.keeping.keep(saleId, bodyOf(request))
  if (verb === 'stock') {
    const { fareId, stock } = bodyOf(request)
    if (typeof fareId !== 'string' || typeof stock !== 'number') throw badRequest('fareId and stock are expected')
    return acts.setStock(saleId, fareId, stock)
  }
  if (verb !== 'recover') throw notFound(request.path)
  const version = await rounds.recover(saleId)
  return { outcome: version === null ? 'unchanged' : 'changed', version }
}

async function transfer({ acts }: AdminParts, request: AdminRequest): Promise<unknown> {
  const { fromSale, fromFare, toSale, toFare } = bodyOf(request)
  const names = [fromSale, fromFare, toSale, toFare].filter((name) => typeof name === 'string')
  const [a, b, c, d] = names
  if (a === undefined || b === undefined || c === undefined || d === undefined) {
    throw badRequest('fromSale, fromFare, toSale and toFare are expected')
  }
  const { tickets, version } = await acts.transfer({ saleId: a, fareId: b }, { saleId: c, fareId: d })
  return { outcome: tickets === 0 ? 'unchanged' : 'changed', tickets, version }
}

async function readSale(
  { ledger, money, nowMs }: AdminParts,
  saleId: string,
  verb: string,
  { query, path }: AdminRequest,
): Promise<AdminAnswer> {
  const sale = await ledger.sale(saleId)
  if (sale === null) throw new OperationError('no_such_sale', `no sale has the id "${saleId}"`, { saleId })
  if (verb === 'export') {
    const format = query.get('format') ?? 'json'
    if (!isFormat(format)) throw badRequest(`format ${format}: csv or json is expected`)
    const { contentType, write } = EXPORT_FORMATS[format]
    return { status: 200, contentType, text: write(pagesOf(ledger, saleId), nowMs) }
  }
  if (verb === 'feed') {
    const after = wholeNumber(query.get('after') ?? '0', 'after', Number.MAX_SAFE_INTEGER)
    const limit = wholeNumber(query.get('limit') ?? '100', 'limit', FEED_MAX)
    const items = await ledger.feed(saleId, after, limit)
    const shownItems = items.map(({ position, order }) => ({ position, order: orderView(order, nowMs()) }))
    return ok({ items: shownItems, next: items.at(-1)?.position ?? after })
  }
  if (verb === 'money') return ok({ problems: await money.problems(saleId) })
  if (verb === 'recount') return ok({ fares: await ledger.recount(saleId) })
  if (verb !== 'books') throw notFound(path)
  const stocks = sale.fares.map(({ fareId, stock }) => ({ fareId, stock }))
  return ok({ ...(await booksPage(ledger, saleId, query)), stocks })
}

/** For the audit: every row, by id, or some again. */
async function booksPage(ledger: Ledger, saleId: string, query: URLSearchParams) {
  const ids = query.get('ids')
  if (ids !== null) {
    const rows = await ledger.orders(ids.split(',').slice(0, FEED_MAX))
    return { items: rows.filter((row) => row.saleId === saleId).map(bookOf), next: null }
  }
  const rows = await ledger.scanOrders(saleId, query.get('after'), FEED_MAX)
  return { items: rows.map(bookOf), next: rows.length < FEED_MAX ? null : (rows.at(-1)?.id ?? null) }
}

function bookOf({ id, fareId, quantity, state, isSettled }: LedgerOrder) {
  return { id, fareId, quantity, state, isSettled }
}

async function readOrder(parts: AdminParts, id: string, verb: string | undefined, path: string): Promise<unknown> {
  if (verb === 'explain') return explain(parts, id)
  if (verb !== undefined) throw notFound(path)
  const order = await parts.reader.find(id)
  if (order === null) throw noSuchOrder(id)
  return orderView(order, parts.nowMs())
}

async function changeOrder(parts: AdminParts, id: string, verb: string | undefined, path: string): Promise<unknown> {
  const { fates, nowMs } = parts
  if (verb === 'refund') return refundOrder(parts, id)
  if (verb !== 'cancel') throw notFound(path)
  const { outcome, order } = await fates.cancel(id)
  if (outcome === 'recovering') throw new OperationError('recovering', 'the sale is recovering: try again')
  if (order === null) throw noSuchOrder(id)
  const view = orderView(order, nowMs())
  if (outcome === 'decided' || outcome === 'already') {
    return { outcome: outcome === 'decided' ? 'changed' : 'unchanged', order: view }
  }
  const code = order.state === 'paid' ? 'already_paid' : 'not_held'
  throw new OperationError(code, isNow(order) + (code === 'already_paid' ? ': refund it instead' : ''), { order: view })
}

function isNow({ id, state, reason }: Pick<LedgerOrder, 'id' | 'state' | 'reason'>): string {
  return `order ${id} is ${reason === null ? state : `${state} (${reason})`}`
}

/** Tickets and money together: an order is never given back with its money kept. */
async function refundOrder({ money, ledger, nowMs }: AdminParts, id: string): Promise<unknown> {
  const result = await money.refund(id)
  if (result.outcome === 'refunding' || result.outcome === 'already') {
    return { outcome: result.outcome === 'already' ? 'unchanged' : 'changed', order: orderView(result.order, nowMs()) }
  }
  if (result.outcome === 'no_charge') {
    throw new OperationError(
      'no_charge',
      `order ${id} is paid, and no charge is known to be kept for it: see the alarms`,
    )
  }
  const order = await ledger.order(id)
  if (order === null) throw noSuchOrder(id)
  throw new OperationError('not_paid', isNow(order), { order: orderView(order, nowMs()) })
}

function isFormat(format: string): format is ExportFormat {
  return Object.hasOwn(EXPORT_FORMATS, format)
}

function wholeNumber(text: string, name: string, max: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (value <= max) return value
  throw badRequest(`${name} ${text}: a whole number up to ${max} is expected`)
}

function bodyOf({ body }: AdminRequest): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch {
    // Told below.
  }
  throw badRequest('the body is not a JSON object')
}

function ok(body: unknown): AdminAnswer {
  return { status: 200, body }
}

function badRequest(message: string): OperationError {
  return new OperationError('bad_request', message)
}

function notFound(path: string): OperationError {
  return new OperationError('not_found', `there is no ${path}`)
}

function noSuchOrder(orderId: string): OperationError {
  return new OperationError('no_such_order', `no sale has an order with the id "${orderId}"`, { orderId })
}
