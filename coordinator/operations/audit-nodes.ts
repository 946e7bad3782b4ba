/** The part of the audit about nodes: what each live node has seen and done must be in the store. */
import { compareVersions } from '../../stock/core/words.ts'
import type { FleetNode, SaleSnapshot } from '../../stock/port.ts'
import type { NodeReport, SaleReport } from '../../http/node-report.ts'
import type { Problem } from './recount.ts'
import { readSale } from './sales.ts'
import type { World } from './world.ts'

export interface AuditNode {
  readonly id: string
  readonly epoch: number
  readonly state: string
  /** False for a node that did not answer; a problem only while it keeps telling the store that it lives. */
  readonly answered: boolean
  readonly era: number | null
  readonly seq: number | null
  readonly lastWriteSeq: number | null
  /** Tickets confirmed, by the store's record of the node. */
  readonly confirmed: number
}

const ASK_AGAIN_EVERY_MS = 100
const GRACE_MS = 1000

/**
 * A confirm's reply brings the newest seq but only the fares it touched, so for a heartbeat's time a node may rightly
 * know an older level of another fare. What is still so after several heartbeats is wrong.
 */
const LEVEL_RULE = 'remaining_counter'
const LOOK_AGAIN_TIMES = 4
const LOOK_AGAIN_EVERY_MS = 500

interface NodesAudit {
  readonly nodes: readonly AuditNode[]
  readonly problems: readonly Problem[]
}

export async function auditNodes(world: World, saleId: string): Promise<NodesAudit> {
  const first = await lookOnce(world, saleId)
  const certain = first.problems.filter(({ rule }) => rule !== LEVEL_RULE)
  let levels = first.problems.filter(({ rule }) => rule === LEVEL_RULE)
  for (let times = 1; times < LOOK_AGAIN_TIMES && levels.length > 0; times++) {
    await world.wait(LOOK_AGAIN_EVERY_MS)
    const again = new Set((await lookOnce(world, saleId)).problems.map(({ witness }) => witness))
    levels = levels.filter(({ witness }) => again.has(witness))
  }
  return { nodes: first.nodes, problems: [...certain, ...levels] }
}

async function lookOnce(world: World, saleId: string): Promise<NodesAudit> {
  const { nodes: fleet } = await world.port.fleet.read()
  const asked = await Promise.all(fleet.map(async (node) => ({ node, ...(await ask(world, node)) })))
  // Read after the nodes answered: the store may be ahead of them, never behind.
  const snapshot = await readSale(world, saleId)
  const nodes = asked.map(({ node, report }) => viewOf(node, saleOf(report, saleId), report !== null, snapshot))
  const problems = asked.flatMap(({ node, report, expected }) => {
    if (report === null) {
      const witness = `node ${node.id} tells the store that it lives, but does not answer at ${node.adminUrl}`
      return expected ? [{ rule: 'node_silent', witness }] : []
    }
    const sale = saleOf(report, saleId)
    return sale === null ? [] : saleProblems(node.id, sale, snapshot)
  })
  return { nodes, problems }
}

/** A node that died a moment ago still looks alive: wait until it answers, or the store has not heard of it. */
async function ask(world: World, node: FleetNode): Promise<{ report: NodeReport | null; expected: boolean }> {
  if (node.state === 'dead' || node.state === 'drained') return { report: null, expected: false }
  const deadline = world.monotonicMs() + world.rules.deadAfterMs + GRACE_MS
  for (;;) {
    const report = await world.askNode(node.adminUrl)
    if (report !== null) return { report, expected: true }
    const { nodes, nowMs } = await world.port.fleet.read()
    const now = nodes.find(({ id }) => id === node.id)
    const lives = now !== undefined && (now.state === 'live' || now.state === 'draining')
    if (!lives || nowMs - now.lastSeenMs > world.rules.deadAfterMs) return { report: null, expected: false }
    if (world.monotonicMs() >= deadline) return { report: null, expected: true }
    await world.wait(ASK_AGAIN_EVERY_MS)
  }
}

function saleOf(report: NodeReport | null, saleId: string): SaleReport | null {
  return report?.sales.find((sale) => sale.saleId === saleId) ?? null
}

function viewOf(node: FleetNode, sale: SaleReport | null, answered: boolean, snapshot: SaleSnapshot): AuditNode {
  return {
    id: node.id,
    epoch: node.epoch,
    state: node.state,
    answered,
    era: sale?.era ?? null,
    seq: sale?.seq ?? null,
    lastWriteSeq: sale?.lastWriteSeq ?? null,
    confirmed: snapshot.nodes.find(({ id }) => id === node.id)?.confirmed ?? 0,
  }
}

function saleProblems(nodeId: string, sale: SaleReport, snapshot: SaleSnapshot): Problem[] {
  const problems: Problem[] = []
  const { version } = snapshot
  if (compareVersions(sale, version) > 0) {
    const has = `era ${version.era} seq ${version.seq}`
    const witness = `node ${nodeId} has seen era ${sale.era} seq ${sale.seq}, the store is at ${has}`
    problems.push({ rule: 'store_behind_node', witness })
  }
  const member = snapshot.nodes.find(({ id }) => id === nodeId)
  if (sale.era === version.era && (member?.lastWriteSeq ?? 0) < sale.lastWriteSeq) {
    const has = member?.lastWriteSeq ?? 0
    const witness = `node ${nodeId} made change ${sale.lastWriteSeq}, the store knows its changes up to ${has}`
    problems.push({ rule: 'store_behind_node', witness })
  }
  for (const fare of sale.fares) {
    const counters = snapshot.fares.find(({ fareId }) => fareId === fare.fareId)
    const sameInstant = compareVersions(sale, version) === 0
    if (counters !== undefined && sameInstant && fare.remaining !== counters.remaining) {
      const witness = `fare ${fare.fareId}: node ${nodeId} heard ${fare.remaining} remaining at seq ${sale.seq}, the counter says ${counters.remaining}`
      problems.push({ rule: LEVEL_RULE, witness })
    }
    if (fare.inFlight < 0) {
      problems.push({ rule: 'node_quota', witness: `node ${nodeId}: ${fare.inFlight} of ${fare.fareId} in flight` })
    }
  }
  // Of an earlier era its record may know nothing: what was lost with that is looked for order by order.
  const confirmed = sale.era === version.era ? (sale.confirmedInEra ?? 0) : 0
  if (confirmed > (member?.confirmed ?? 0)) {
    const witness = `node ${nodeId} confirmed ${confirmed} tickets, the store's record of it says ${member?.confirmed ?? 0}`
    problems.push({ rule: 'confirmed_counter', witness })
  }
  return problems
}
