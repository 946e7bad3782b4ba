/** An operator's acts on sales: make, list, show, open, pause, close. */
import { randomBytes } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { SaleDefinition } from '../../stock/core/words.ts'
import type { ChangeReply, SaleSnapshot, StateChange } from '../../stock/port.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import { noSuchSale } from './failure.ts'
import { whoHasNotHeard } from './heard.ts'
import { nearName } from './near-name.ts'
import { saleView, type SaleView } from './views.ts'
import type { World } from './world.ts'

export type SaleFile = Omit<SaleDefinition, 'orderIdSecret'>

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

/**
 * Makes the sale unless it is there. One that is there must be the same, and then nothing happens, its state
 * included; only its place in the fleet's list is made sure of, which a crash may have left out.
 */
export async function createSale(world: World, file: SaleFile, allotEra: () => Promise<number>): Promise<ChangeResult> {
  const { sales, fleet } = world.port
  const there = await sales.read(file.id, world.rules)
  if (there === null) {
    const definition: SaleDefinition = { ...file, orderIdSecret: randomBytes(32).toString('hex') }
    const made = await sales.create(definition, await allotEra())
    if (made.outcome === 'exists') refuseDifferent(file, made.definition)
    await fleet.addSale(file.id)
    const notHeardBy = await whoHasNotHeard(world, file.id, made.version)
    return {
      outcome: made.outcome === 'created' ? 'created' : 'unchanged',
      sale: saleView(await readSale(world, file.id)),
      notHeardBy,
    }
  }
  refuseDifferent(file, there.definition)
  await fleet.addSale(file.id)
  return { outcome: 'unchanged', sale: saleView(there), notHeardBy: [] }
}

export interface Difference {
  readonly path: string
  readonly stored: unknown
  readonly file: unknown
}

function refuseDifferent(file: SaleFile, stored: SaleDefinition): void {
  const { orderIdSecret: _, ...shown } = stored
  const differences = differencesOf(shown, file)
  if (differences.length === 0) return
  const list = differences.map(
    ({ path, stored: was, file: is }) => `${path} is ${text(was)}, the file says ${text(is)}`,
  )
  throw new OperationError(
    'sale_differs',
    `sale "${file.id}" exists and differs: ${list.join('; ')}. Use the stored values, or another id`,
    { differences },
  )
}

/** Every place in which the two differ, as paths like `fares[0].stock`. */
export function differencesOf(stored: unknown, file: unknown, path = ''): Difference[] {
  if (isDeepStrictEqual(stored, file)) return []
  if (!isContainer(stored) || !isContainer(file) || Array.isArray(stored) !== Array.isArray(file)) {
    return [{ path, stored: stored ?? null, file: file ?? null }]
  }
  const keys = new Set([...Object.keys(stored), ...Object.keys(file)])
  const step = (key: string): string => {
    if (Array.isArray(stored)) return `${path}[${key}]`
    return path === '' ? key : `${path}.${key}`
  }
  return [...keys].flatMap((key) => differencesOf(stored[key], file[key], step(key)))
}

function isContainer(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function text(value: unknown): string {
  return JSON.stringify(value)
}

const REFUSALS: Readonly<Record<string, string>> = {
  sale_closed: 'it is closed, and closing is final',
  sale_is_draft: 'it was never opened',
}
const CHANGE_TRIES = 5

/** Opens (or resumes), pauses or closes; answers when the nodes have heard of it. */
export async function changeSale(world: World, saleId: string, change: StateChange): Promise<ChangeResult> {
  let reply: ChangeReply | null = null
  // `fenced` means that a new era began between reading and changing: read again.
  for (let tries = 0; tries < CHANGE_TRIES; tries++) {
    const { version } = await readSale(world, saleId)
    reply = await world.port.sales.change(saleId, change, version)
    if (reply.outcome !== 'fenced') break
  }
  if (reply === null || reply.outcome === 'recovering' || reply.outcome === 'fenced') {
    throw new OperationError('recovering', `sale "${saleId}" is recovering: see "farebox status"`, { saleId })
  }
  if (reply.outcome === 'refused') {
    const why = REFUSALS[reply.why] ?? reply.why
    throw new OperationError(reply.why, `sale "${saleId}": ${change} is refused: ${why}`, { saleId })
  }
  const notHeardBy = await whoHasNotHeard(world, saleId, reply.version)
  return { outcome: reply.outcome, sale: saleView(await readSale(world, saleId)), notHeardBy }
}
