/** The admin API of an orders process as data: what coordinator and CLI ask of the ledger's one door. */
import type { AdminAnswer, AdminRequest } from '../../http/admin-server.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import type { OrderReader } from '../order-reader.ts'

export interface AdminParts {
  readonly reader: OrderReader
}

export async function answerAdmin(parts: AdminParts, { method, path }: AdminRequest): Promise<AdminAnswer> {
  const [root, room, id, verb, ...rest] = path.split('/').slice(1)
  if (root !== 'admin' || room !== 'orders' || id === undefined || verb !== undefined || rest.length > 0) {
    throw new OperationError('not_found', `there is no ${path}`)
  }
  if (method !== 'GET') throw new OperationError('method_not_allowed', `${method} ${path} is not a call`)
  const order = await parts.reader.find(id)
  if (order === null) throw new OperationError('no_such_order', `no sale has an order with the id "${id}"`)
  return { status: 200, body: order }
}
