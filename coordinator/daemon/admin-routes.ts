/**
 * The admin API as data: from a request to an answer. The server around it (`admin-server.ts`) knows HTTP.
 *
 * Only the leader changes anything, and only it knows the marks; so whoever does not lead answers `not_leader` with
 * the leader's address, and the CLI goes there.
 */
import { toldAsAnswer, type AdminRequest, type JsonAnswer } from '../../http/admin-server.ts'
import { parseSaleFile } from '../../config/sale-file.ts'
import { describeFaults } from '../../config/faults.ts'
import { audit } from '../operations/audit.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import { whoHasNotHeard } from '../operations/heard.ts'
import { showOrder } from '../operations/orders.ts'
import { quota } from '../operations/quota.ts'
import { changeSale, createSale, listSales, readSale } from '../operations/sales.ts'
import { status } from '../operations/status.ts'
import { nodesView, saleView } from '../operations/views.ts'
import type { World } from '../operations/world.ts'
import { audited } from './admin-audit.ts'
import { answerFleet } from './admin-fleet.ts'
import type { Cycle } from './cycle.ts'
import type { EraBook } from './eras.ts'
import type { Journal } from './journal.ts'
import type { Leadership } from './leadership.ts'
import type { MarkBook } from './marks.ts'
import type { Recovery } from './recovery.ts'

export interface AdminParts {
  readonly world: World
  readonly leadership: Leadership
  readonly cycle: Cycle
  readonly recovery: Recovery
  readonly eras: EraBook
  readonly marks: MarkBook
  readonly declaredDurable: boolean
  readonly journal?: Journal
}

export function answerAdmin(parts: AdminParts, request: AdminRequest): Promise<JsonAnswer> {
  return toldAsAnswer(() => audited(parts, request, () => route(parts, request)))
}

type Act = (parts: AdminParts, saleId: string, body: string) => Promise<unknown>

const SALE_READS: Readonly<Record<string, Act>> = {
  quota: ({ world }, saleId) => quota(world, saleId),
  audit: ({ world }, saleId) => audit(world, saleId),
}

const SALE_ACTS: Readonly<Record<string, Act>> = {
  open: ({ world }, saleId) => changeSale(world, saleId, 'open'),
  pause: ({ world }, saleId) => changeSale(world, saleId, 'pause'),
  close: ({ world }, saleId) => changeSale(world, saleId, 'close'),
  recover,
}

async function route(parts: AdminParts, request: AdminRequest): Promise<JsonAnswer> {
  const { method, path, body } = request
  const [root, room, id, verb, ...rest] = path.split('/').slice(1)
  if (root !== 'admin' || room === undefined || rest.length > 0) throw notFound(path)
  await refuseUnlessLeader(parts)
  const fleet = await answerFleet(parts, request)
  if (fleet !== null) return ok(fleet)
  if (id === undefined) return routeRoom(parts, method, room, path, body)
  if (room === 'orders' && verb === undefined && method === 'GET') return ok(await showOrder(parts.world, id))
  if (room !== 'sales') throw notFound(path)
  if (verb === undefined && method === 'GET') return ok(saleView(await readSale(parts.world, id)))
  const act = (method === 'POST' ? SALE_ACTS : SALE_READS)[verb ?? '']
  if (act === undefined) throw notFound(path)
  return ok(await act(parts, id, body))
}

async function routeRoom(
  parts: AdminParts,
  method: string,
  room: string,
  path: string,
  body: string,
): Promise<JsonAnswer> {
  const { world, recovery, marks, declaredDurable } = parts
  if (room === 'sales' && method === 'POST') return create(parts, body)
  if (method !== 'GET') throw new OperationError('method_not_allowed', `${method} ${path} is not a call`)
  if (room === 'sales') return ok(await listSales(world))
  if (room === 'nodes') return ok(nodesView(await world.port.fleet.read(), world.rules))
  if (room === 'status') {
    return ok(await status(world, { cases: recovery.cases(), saleIds: marks.saleIds(), declaredDurable }))
  }
  throw notFound(path)
}

async function create({ world, eras, marks, declaredDurable }: AdminParts, text: string): Promise<JsonAnswer> {
  const parsed = parseSaleFile(text)
  if (!parsed.ok) {
    throw new OperationError('bad_sale_file', describeFaults(parsed.faults), { faults: parsed.faults })
  }
  const file = parsed.value
  const known = marks.get(file.id)
  const stored = await world.port.sales.read(file.id, world.rules)
  if (stored === null && known !== null) {
    const message = `sale "${file.id}" was made before, but the store has lost it: see "farebox status"`
    throw new OperationError('sale_lost', message, { mark: known })
  }
  const result = await createSale(world, file, () => eras.allot())
  const { fingerprint, durable } = await world.port.durability()
  marks.note(file.id, result.sale.version, { fingerprint, durable: durable ?? declaredDurable })
  await marks.flush()
  return { status: result.outcome === 'created' ? 201 : 200, body: result }
}

/** The operator's decision when recovery cannot prove that nothing was lost. */
async function recover(parts: AdminParts, saleId: string): Promise<unknown> {
  const { world, recovery } = parts
  const [fleet, snapshot] = await Promise.all([world.port.fleet.read(), world.port.sales.read(saleId, world.rules)])
  if (snapshot !== null && recovery.isWhole(saleId, snapshot)) {
    return { outcome: 'unchanged', sale: saleView(snapshot), notHeardBy: [] }
  }
  const version = await recovery.force(saleId, snapshot, fleet.nodes)
  const notHeardBy = await whoHasNotHeard(world, saleId, version)
  return { outcome: 'changed', sale: saleView(await readSale(world, saleId)), notHeardBy }
}

async function refuseUnlessLeader({ leadership, world }: AdminParts): Promise<void> {
  if (leadership.lease() !== null) return
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
