/** Every change asked of the admin API: who, when, what, what was before and after, and how it ended. */
import { OperationError } from '../../runtime/operation-error.ts'
import type { World } from '../operations/world.ts'
import type { AdminRequest, JsonAnswer } from '../../http/admin-server.ts'
import type { Journal } from './journal.ts'

/** Does the change and writes it down; refused ones too. A change that cannot be written down is not made. */
export async function audited(
  parts: { readonly world: World; readonly journal?: Journal | undefined },
  request: AdminRequest,
  work: () => Promise<JsonAnswer>,
): Promise<JsonAnswer> {
  const { journal, world } = parts
  if (journal === undefined || request.method === 'GET') return work()
  const call = `${request.method} ${request.path}`
  const who = { role: request.role ?? 'operator', by: request.by ?? null, from: request.from ?? null }
  const before = await subjectOf(world, request.path)
  await journal.change(`${call}: asked`, { who, before })
  try {
    const answer = await work()
    const after = await subjectOf(world, request.path)
    const { outcome } = answer.body as { readonly outcome?: unknown }
    await journal.change(`${call}: ${typeof outcome === 'string' ? outcome : answer.status}`, { who, before, after })
    return answer
  } catch (error) {
    const code = error instanceof OperationError ? error.code : 'internal'
    await journal.change(`${call}: refused, ${code}`, { who, before, after: before })
    throw error
  }
}

/** What a call is about, in short; null where there is none (yet), or the store does not tell. */
async function subjectOf({ port, rules }: World, path: string): Promise<unknown> {
  const [, , room, id] = path.split('/')
  if (id === undefined) return null
  try {
    if (room === 'nodes') {
      const node = (await port.fleet.read()).nodes.find((candidate) => candidate.id === id)
      return node === undefined ? null : { state: node.state, weight: node.weight, epoch: node.epoch }
    }
    const sale = room === 'sales' ? await port.sales.read(id, rules) : null
    if (sale === null) return null
    const { state, version, shares, fares, nodes } = sale
    return { state, version, shares, fares, weights: Object.fromEntries(nodes.map((node) => [node.id, node.weight])) }
  } catch {
    return null
  }
}
