/**
 * Leaders that die in the middle of anything: before or after any single call to the store or the load balancer. The
 * next one must leave the fleet as if nobody had died: drained nodes out of the shares and of nginx, the dead fenced,
 * an operator's shares kept, and no plan of an older leader in force.
 */
import fc from 'fast-check'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { StockPort } from '../../stock/port.ts'
import { compareVersions } from '../../stock/core/words.ts'
import { changeNode } from '../operations/fleet-change.ts'
import { planRebalance, rebalance } from '../operations/rebalance.ts'
import { DEMO, TestNode, testWorld, type TestWorld } from '../operations/testing/test-world.ts'
import type { Topology } from '../plan/topology.ts'
import { SILENT } from '../../runtime/log.ts'
import { Cycle } from './cycle.ts'
import { openEraBook, type EraBook } from './eras.ts'
import { Leadership } from './leadership.ts'

/** The process is gone: what it was about to do does not happen, and nobody hears of what it did. */
class Killed extends Error {}

interface Death {
  /** The how-manieth writing call of this leader. */
  readonly call: number
  readonly when: 'before' | 'after'
}

/** nginx as the applier keeps it: an older plan is refused. */
interface Edge {
  inForce: Topology | null
  readonly history: Topology[]
}

interface Leader {
  readonly cycle: Cycle
  readonly leadership: Leadership
  readonly port: StockPort
  isDead(): boolean
}

function leaderOf(world: TestWorld, eras: EraBook, id: string, edge: Edge, death: Death | null): Leader {
  let calls = 0
  let dead = false
  const mortal = async <T>(work: () => Promise<T>): Promise<T> => {
    if (dead) throw new Killed()
    calls += 1
    const isLast = death !== null && calls === death.call
    if (isLast && death.when === 'before') dead = true
    if (dead) throw new Killed()
    const result = await work()
    if (isLast) dead = true
    if (dead) throw new Killed()
    return result
  }
  const { fleet, sales } = world.port
  const port: StockPort = {
    ...world.port,
    fleet: {
      ...fleet,
      lead: (...args) => mortal(() => fleet.lead(...args)),
      setNodes: (...args) => mortal(() => fleet.setNodes(...args)),
      noteApplied: (...args) => mortal(() => fleet.noteApplied(...args)),
    },
    sales: { ...sales, setWeights: (...args) => mortal(() => sales.setWeights(...args)) },
  }
  const loadBalancer = {
    apply: (topology: Topology) =>
      mortal(async () => {
        if (edge.inForce !== null && compareVersions(topology.version, edge.inForce.version) < 0) return false
        edge.inForce = topology
        edge.history.push(topology)
        return true
      }),
  }
  const { rules, monotonicMs } = world
  const leadership = new Leadership(port.fleet, { id, adminUrl: `http://${id}` }, monotonicMs)
  const cycle = new Cycle({ port, rules, leadership, loadBalancer, eras, log: SILENT, monotonicMs })
  return { cycle, leadership, port, isDead: () => dead }
}

type Order =
  | { readonly do: 'drain' | 'resume'; readonly node: string }
  | { readonly do: 'weigh'; readonly node: string; readonly weight: number }
  | { readonly do: 'rebalance'; readonly shares: Readonly<Record<string, number>> | null }
  /** The node's process is killed. */
  | { readonly do: 'kill'; readonly node: string }

const node = fc.constantFrom('n1', 'n2', 'n3')
const order: fc.Arbitrary<Order> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('drain' as const, 'resume' as const), node }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('weigh' as const), node, weight: fc.integer({ min: 1, max: 5 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('rebalance' as const),
      shares: fc.option(fc.dictionary(node, fc.integer({ min: 1, max: 5 }), { maxKeys: 3, noNullPrototype: true })),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('kill' as const), node }) },
)
const death: fc.Arbitrary<Death> = fc.record({
  call: fc.integer({ min: 1, max: 25 }),
  when: fc.constantFrom('before' as const, 'after' as const),
})

/** Orders come while leaders die; then one lives long enough. */
async function live(orders: readonly Order[], deaths: readonly Death[]): Promise<{ world: TestWorld; edge: Edge }> {
  const directory = await mkdtemp(join(tmpdir(), 'farebox-takeover-'))
  try {
    const world = testWorld()
    const eras = await openEraBook(directory)
    const edge: Edge = { inForce: null, history: [] }
    const first = leaderOf(world, eras, 'c0', edge, null)
    world.restartStore()
    await first.cycle.tick()
    await world.port.sales.create(DEMO, await eras.allot())
    await world.port.fleet.addSale('demo')
    await world.port.sales.change('demo', 'open', { era: 0, seq: 0 })
    await first.leadership.resign()
    const nodes = new Map(['n1', 'n2', 'n3'].map((id) => [id, new TestNode(world, id)]))
    for (const each of nodes.values()) {
      await each.joinFleet()
      await each.join()
    }
    const killed = new Set<string>()
    const round = async (leader: Leader): Promise<void> => {
      world.advance(200)
      for (const [id, each] of nodes) if (!killed.has(id)) await each.heartbeat()
      await settleDrains(world, killed)
      await leader.cycle.tick().catch(ignoreKilled)
      await leader.cycle.settled()
    }
    let left = [...orders]
    for (const [index, each] of [...deaths, null].entries()) {
      const leader = leaderOf(world, eras, `c${index + 1}`, edge, each)
      for (let rounds = 0; rounds < 60 && !leader.isDead(); rounds += 1) {
        await round(leader)
        const next = left[0]
        if (rounds < 9 || next === undefined || leader.isDead()) continue
        if (next.do === 'kill') killed.add(next.node)
        else await obey(world, leader, next).catch(ignoreKilled)
        // An order cut short is given again by whoever gave it, unless it was done.
        left = left.slice(1)
      }
    }
    return { world, edge }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

function ignoreKilled(error: unknown): void {
  // What the rules refuse (the last live node, one that does not run) is an answer; a death is the point.
  if (error instanceof Killed || (error instanceof Error && error.name === 'OperationError')) return
  throw error
}

async function obey(world: TestWorld, leader: Leader, asked: Exclude<Order, { do: 'kill' }>): Promise<void> {
  const lease = leader.leadership.lease()
  if (lease === null) return
  const through = { ...world, port: leader.port }
  if (asked.do === 'drain') await changeNode(through, lease, asked.node, { to: 'drain', evenTheLast: false }, null)
  if (asked.do === 'resume') await changeNode(through, lease, asked.node, { to: 'resume' }, null)
  if (asked.do === 'weigh') await changeNode(through, lease, asked.node, { to: 'weigh', weight: asked.weight }, null)
  if (asked.do === 'rebalance') {
    const { version } = await planRebalance(through, 'demo', { shares: asked.shares, expected: null })
    await rebalance(through, lease, 'demo', { shares: asked.shares, expected: version })
  }
}

/** What draining nodes do by themselves once nginx has looked away. */
async function settleDrains(world: TestWorld, killed: ReadonlySet<string>): Promise<void> {
  const fleet = await world.port.fleet.read()
  for (const each of fleet.nodes) {
    if (each.state !== 'draining' || killed.has(each.id)) continue
    if (compareVersions(fleet.applied, fleet.version) < 0) continue
    await world.port.fleet.setNodes(null, [{ id: each.id, expectedEpoch: each.epoch, state: 'drained' }], fleet.version)
  }
}

describe('a leader that dies in the middle of anything', () => {
  it('is followed by one that leaves the fleet in order', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(order, { maxLength: 6 }), fc.array(death, { maxLength: 4 }), async (orders, deaths) => {
        const { world, edge } = await live(orders, deaths)
        const fleet = await world.port.fleet.read()
        const sale = await world.port.sales.read('demo', world.rules)
        if (sale === null) throw new Error('the sale is gone')

        // nginx has the live nodes at their weights, and nobody waits for it.
        const liveOnes = fleet.nodes.filter(({ state }) => state === 'live')
        expect(edge.inForce?.servers.map(({ id, weight }) => [id, weight])).toEqual(
          liveOnes.map(({ id, weight }) => [id, weight]),
        )
        expect(fleet.applied).toEqual(fleet.version)
        // No plan ever followed a newer one.
        const versions = edge.history.map(({ version }) => version)
        expect(versions).toEqual(versions.toSorted(compareVersions))

        for (const { id, state, weight } of fleet.nodes) {
          expect(state).not.toBe('draining')
          const wanted = state === 'live' ? (sale.shares?.[id] ?? weight) : 0
          expect([id, sale.nodes.find((member) => member.id === id)?.weight]).toEqual([id, wanted])
        }
        expect(fleet.nodes.some(({ state }) => state === 'live') || orders.some((each) => each.do === 'kill')).toBe(
          true,
        )
      }),
      { numRuns: 60 },
    )
  })

  it('cannot act once another leads: its calls are refused by the store, its plan by nginx', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'farebox-takeover-'))
    try {
      const world = testWorld()
      const eras = await openEraBook(directory)
      const edge: Edge = { inForce: null, history: [] }
      const old = leaderOf(world, eras, 'c1', edge, null)
      world.restartStore()
      await old.cycle.tick()
      const n1 = new TestNode(world, 'n1')
      await n1.joinFleet()
      const staleLease = old.leadership.lease() ?? 0
      world.advance(2000)
      const next = leaderOf(world, eras, 'c2', edge, null)
      await next.cycle.tick()
      expect(next.leadership.lease()).toBeGreaterThan(staleLease)
      const wish = { to: 'weigh', weight: 3 } as const
      const refused = await changeNode(world, staleLease, 'n1', wish, null).catch((error: unknown) => error)
      const { version } = await world.port.fleet.read()
      expect(refused).toMatchObject({ code: 'not_leader', details: { version } })
      expect(await world.port.fleet.noteApplied(staleLease, version)).toEqual({ outcome: 'refused' })
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  })
})
