/**
 * The part of the audit about what was lost with a store that is none any more: every order that a node told buyers of in
 * an earlier era must be in the store. A node on the wrong side of a partition tells of orders that no other server has;
 * it remembers them (the newest 50,000), and it alone does.
 */
import type { Order } from '../../stock/core/words.ts'
import type { FleetNode } from '../../stock/port.ts'
import { PROBLEMS_MAX } from './findings.ts'
import type { Problem } from './recount.ts'
import { readSale } from './sales.ts'
import type { World } from './world.ts'

const PAGE = 1000

export async function auditLost(world: World, saleId: string): Promise<readonly Problem[]> {
  const [{ nodes }, { version }] = await Promise.all([world.port.fleet.read(), readSale(world, saleId)])
  const problems: Problem[] = []
  // One after the other: what a node told may be some ten megabytes.
  for (const node of nodes) {
    const lost = await lostBy(world, saleId, version.era, node)
    if (lost.length > 0) problems.push(problemOf(node.id, lost))
  }
  return problems
}

/** What it told in the present era is compared by counters and versions; one that does not answer is told of elsewhere. */
async function lostBy(
  { port, askTold }: World,
  saleId: string,
  era: number,
  { adminUrl }: FleetNode,
): Promise<Order[]> {
  const told = (await askTold(adminUrl, saleId, era))?.orders ?? []
  const lost: Order[] = []
  for (let from = 0; from < told.length; from += PAGE) {
    const page = told.slice(from, from + PAGE)
    const ids = page.map(({ id }) => id)
    const records = await port.sales.readOrders(saleId, ids)
    lost.push(...page.filter((_, at) => records[at] === null))
  }
  return lost
}

/** The log of the orders process that found it names them all. */
function problemOf(nodeId: string, lost: readonly Order[]): Problem {
  const tickets = lost.reduce((sum, { quantity }) => sum + quantity, 0)
  const names = lost.slice(0, PROBLEMS_MAX).map(({ id }) => id)
  const more = lost.length > names.length ? ', …' : ''
  const what = `node ${nodeId} told buyers of ${lost.length} orders (${tickets} tickets) that were lost`
  return { rule: 'acknowledged_lost', witness: `${what}: ${names.join(', ')}${more}` }
}
