/** The admin API's calls about nodes, shares and what happened. */
import type { Version } from '../../stock/core/words.ts'
import type { Shares } from '../../stock/port.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import { changeNode, WEIGHT_MAX, type NodeWish } from '../operations/fleet-change.ts'
import { metricsAsker, watch } from '../operations/watch.ts'
import { planRebalance, rebalance } from '../operations/rebalance.ts'
import type { AdminRequest } from '../../http/admin-server.ts'
import type { AdminParts } from './admin-routes.ts'
import { readJournal } from './journal.ts'

const EVENTS_MAX = 1000
const EVENTS_DEFAULT = 100

/**
 * The answer's body, or null when the call is not one of these.
 * @param lease That was held when it was asked.
 */
export async function answerFleet(parts: AdminParts, lease: number, request: AdminRequest): Promise<unknown> {
  const { method, path } = request
  const [, , room, id, verb, ...rest] = path.split('/')
  if (rest.length > 0 || verb === '') return null
  if (room === 'events' && id === undefined && method === 'GET') return events(parts, request)
  if (room === 'watch' && id === undefined && method === 'GET') {
    const { world, declaredDurable } = parts
    return watch(world, metricsAsker(), { declaredDurable }, request.query.get('sale'))
  }
  if (id === undefined || verb === undefined) return null
  if (room === 'nodes' && method === 'POST') {
    const body = bodyOf(request)
    const wish = nodeWish(verb, body)
    return wish === null ? null : changeNode(parts.world, lease, id, wish, versionOf(body['expected']))
  }
  if (room !== 'sales' || verb !== 'rebalance') return null
  if (method === 'GET') return planRebalance(parts.world, id, rebalanceWish(bodyOfQuery(request)))
  return rebalance(parts.world, lease, id, rebalanceWish(bodyOf(request)))
}

type Body = Readonly<Record<string, unknown>>

function nodeWish(verb: string, body: Body): NodeWish | null {
  if (verb === 'drain') return { to: 'drain', evenTheLast: body['evenTheLast'] === true }
  if (verb === 'resume') return { to: 'resume' }
  if (verb !== 'weight') return null
  const { weight } = body
  if (typeof weight === 'number' && Number.isSafeInteger(weight) && weight >= 1 && weight <= WEIGHT_MAX) {
    return { to: 'weigh', weight }
  }
  const message = `weight ${JSON.stringify(weight)}: a whole number from 1 to ${WEIGHT_MAX} is expected`
  throw new OperationError('bad_weight', message)
}

function rebalanceWish(body: Body): { readonly shares: Shares | null; readonly expected: Version | null } {
  const { weights = null } = body
  const isShares = weights === null || (isRecord(weights) && Object.values(weights).every(Number.isSafeInteger))
  if (!isShares) throw malformed('weights is an object of node ids and whole numbers, or null')
  return { shares: weights as Shares | null, expected: versionOf(body['expected']) }
}

function versionOf(value: unknown): Version | null {
  if (value === undefined || value === null) return null
  if (isRecord(value) && Number.isSafeInteger(value['era']) && Number.isSafeInteger(value['seq'])) {
    return { era: Number(value['era']), seq: Number(value['seq']) }
  }
  throw malformed('expected is a version: {"era":…,"seq":…}')
}

function bodyOf({ body }: Pick<AdminRequest, 'body'>): Body {
  if (body === '') return {}
  try {
    const value: unknown = JSON.parse(body)
    if (isRecord(value)) return value
  } catch {
    // Told below.
  }
  throw malformed('the body is not a JSON object')
}

/** A plan changes nothing, so it is asked for by GET, with the body of the POST in the query. */
function bodyOfQuery({ query }: AdminRequest): Body {
  return bodyOf({ body: query.get('plan') ?? '' })
}

async function events({ journal }: AdminParts, { query }: AdminRequest): Promise<unknown> {
  const asked = Number(query.get('limit') ?? EVENTS_DEFAULT)
  const limit = Number.isSafeInteger(asked) && asked >= 1 && asked <= EVENTS_MAX ? asked : EVENTS_DEFAULT
  if (journal === undefined) return { items: [] }
  await journal.flush()
  return { items: await readJournal(journal.directory, { after: query.get('after') ?? null, limit }) }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function malformed(message: string): OperationError {
  return new OperationError('malformed', message)
}
