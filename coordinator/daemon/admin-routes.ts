/**
 * The admin API as data: from a request to an answer. The server around it (`admin-server.ts`) knows HTTP.
 *
 * Only the leader changes anything; so whoever does not lead answers `not_leader` with the leader's address, and the
 * CLI goes there. What the ledger owns is asked of an orders process.
 */
import { toldAsAnswer, type AdminAnswer, type AdminRequest, type JsonAnswer } from '../../http/admin-server.ts'
import { audit } from '../operations/audit.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import { asTold } from '../operations/failure.ts'
import { paymentAnomalies, rotateKeys } from '../operations/money.ts'
import { changeOrder, explainOrder, showOrder } from '../operations/orders.ts'
import { quota } from '../operations/quota.ts'
import { changeSale, createSale, listSales, readSale, recoverSale, setStock, transfer } from '../operations/sales.ts'
import { status } from '../operations/status.ts'
import { nodesView, saleView } from '../operations/views.ts'
import { topologyOf } from '../plan/topology.ts'
import { underLease, type World } from '../operations/world.ts'
import { audited } from './admin-audit.ts'
import { answerFleet } from './admin-fleet.ts'
import type { Cycle } from './cycle.ts'
import type { Journal } from './journal.ts'
import type { Leadership } from './leadership.ts'

export interface AdminParts {
  readonly world: World
  readonly leadership: Leadership
  readonly cycle: Cycle
  readonly declaredDurable: boolean
  readonly journal?: Journal
}

export function answerAdmin(parts: AdminParts, request: AdminRequest): Promise<AdminAnswer> {
  return toldAsAnswer<AdminAnswer>(async () => {
    try {
      const exported = await exportOf(parts, request)
      return exported ?? (await audited(parts, request, () => route(parts, request)))
    } catch (error) {
      throw asTold(error)
    }
  })
}

/** Too long for one piece; null for every other call. */
async function exportOf(parts: AdminParts, { method, path, query }: AdminRequest): Promise<AdminAnswer | null> {
  if (method !== 'GET' || !/^\/admin\/sales\/[a-z0-9-]+\/export$/.test(path)) return null
  await leaseOrRefuse(parts)
  return parts.world.orders.stream(`${path}?${query.toString()}`)
}

type Act = (parts: AdminParts, saleId: string, body: string, query: URLSearchParams) => Promise<unknown>

const SALE_READS: Readonly<Record<string, Act>> = {
  quota: ({ world }, saleId) => quota(world, saleId),
  audit: ({ world }, saleId) => audit(world, saleId),
  feed: ({ world }, saleId, _body, query) =>
    world.orders.call('GET', `/admin/sales/${saleId}/feed?${query.toString()}`),
}

const SALE_ACTS: Readonly<Record<string, Act>> = {
  open: ({ world }, saleId) => changeSale(world, saleId, 'open'),
  pause: ({ world }, saleId) => changeSale(world, saleId, 'pause'),
  close: ({ world }, saleId) => changeSale(world, saleId, 'close'),
  recover: ({ world }, saleId) => recoverSale(world, saleId),
  stock,
}

async function route({ world, ...others }: AdminParts, request: AdminRequest): Promise<JsonAnswer> {
  const { method, path, body } = request
  const [root, room, id, verb, ...rest] = path.split('/').slice(1)
  if (root !== 'admin' || room === undefined || rest.length > 0) throw notFound(path)
  const lease = await leaseOrRefuse({ world, ...others })
  const parts = { ...others, world: underLease(world, lease) }
  const fleet = await answerFleet(parts, lease, request)
  if (fleet !== null) return ok(fleet)
  if (id === undefined) return routeRoom(parts, method, room, path, body)
  if (room === 'keys' || room === 'payments') return ok(await money(parts, method, path))
  if (room === 'orders') return ok(await orders(parts, method, id, verb, path))
  if (room !== 'sales') throw notFound(path)
  if (verb === undefined && method === 'GET') return ok(saleView(await readSale(parts.world, id)))
  const act = (method === 'POST' ? SALE_ACTS : SALE_READS)[verb ?? '']
  if (act === undefined) throw notFound(path)
  return ok(await act(parts, id, body, request.query))
}

async function routeRoom(
  parts: AdminParts,
  method: string,
  room: string,
  path: string,
  body: string,
): Promise<JsonAnswer> {
  const { world, declaredDurable } = parts
  if (room === 'sales' && method === 'POST') return create(parts, body)
  if (room === 'transfers' && method === 'POST') return ok(await carry(parts, body))
  if (method !== 'GET') throw new OperationError('method_not_allowed', `${method} ${path} is not a call`)
  if (room === 'sales') return ok(await listSales(world))
  if (room === 'topology') {
    const { version, nodes, orders: processes } = await world.port.fleet.read()
    return ok(topologyOf(version, nodes, processes))
  }
  if (room === 'nodes') return ok(nodesView(await world.port.fleet.read(), world.rules))
  if (room === 'status') return ok(await status(world, { declaredDurable }))
  throw notFound(path)
}

async function create({ world }: AdminParts, text: string): Promise<JsonAnswer> {
  const result = await createSale(world, text)
  return { status: result.outcome === 'created' ? 201 : 200, body: result }
}

async function stock({ world }: AdminParts, saleId: string, text: string): Promise<unknown> {
  const { fareId, stock: wanted } = objectOf(text)
  if (typeof fareId === 'string' && typeof wanted === 'number') return setStock(world, saleId, fareId, wanted)
  throw new OperationError('bad_request', 'fareId and stock are expected')
}

async function carry({ world }: AdminParts, text: string): Promise<unknown> {
  const { fromSale, fromFare, toSale, toFare } = objectOf(text)
  const isPlace = [fromSale, fromFare, toSale, toFare].every((name) => typeof name === 'string')
  if (!isPlace) throw new OperationError('bad_request', 'fromSale, fromFare, toSale and toFare are expected')
  const from = { saleId: String(fromSale), fareId: String(fromFare) }
  return transfer(world, from, { saleId: String(toSale), fareId: String(toFare) })
}

async function orders({ world }: AdminParts, method: string, id: string, verb: string | undefined, path: string) {
  if (method === 'GET' && verb === undefined) return showOrder(world, id)
  if (method === 'GET' && verb === 'explain') return explainOrder(world, id)
  if (method === 'POST' && (verb === 'cancel' || verb === 'refund')) return changeOrder(world, id, verb)
  throw notFound(path)
}

/** Payments and tickets are the orders processes' own affair. */
async function money({ world }: AdminParts, method: string, path: string): Promise<unknown> {
  if (method === 'POST' && path === '/admin/keys/rotate') return rotateKeys(world)
  if (method === 'GET' && path === '/admin/payments/anomalies') return paymentAnomalies(world)
  throw notFound(path)
}

function objectOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch {
    // Told below.
  }
  throw new OperationError('malformed', 'the body is not a JSON object')
}

async function leaseOrRefuse({ leadership, world }: AdminParts): Promise<number> {
  const lease = leadership.lease()
  if (lease !== null) return lease
  const { leader } = await world.port.fleet.read()
  const message = leader === null ? 'no coordinator leads yet: try again in a moment' : `coordinator ${leader.id} leads`
  throw new OperationError('not_leader', message, { adminUrl: leader?.adminUrl ?? null })
}

function ok(body: unknown): JsonAnswer {
  return { status: 200, body }
}

function notFound(path: string): OperationError {
  return new OperationError('not_found', `there is no ${path}`)
}
