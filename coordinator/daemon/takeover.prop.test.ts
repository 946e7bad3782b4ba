/**
 * Orders of any kind while leaders die one after the other, each at any of its calls. The
 * last one must leave the fleet as if nobody had died: drained nodes out of the shares and of nginx, the dead fenced,
 * an operator's shares kept, and no plan of an older leader in force.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareVersions } from '../../stock/core/words.ts'
import { changeNode } from '../operations/fleet-change.ts'
import { planRebalance, rebalance } from '../operations/rebalance.ts'
import { DEMO, TestNode, testWorld, type TestWorld } from '../operations/testing/test-world.ts'
import { memoryEras, mortalLeader, TestEdge, type Cut, type MortalLeader } from './testing/mortal-leader.ts'

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
const death: fc.Arbitrary<Cut> = fc.record({
  call: fc.integer({ min: 1, max: 100 }),
  when: fc.constantFrom('before' as const, 'after' as const),
})

/** Orders come while leaders die; then one lives long enough. */
async function live(orders: readonly Order[], deaths: readonly Cut[]): Promise<{ world: TestWorld; edge: TestEdge }> {
  const world = testWorld()
  const outside = { edge: new TestEdge(), eras: memoryEras() }
  const first = mortalLeader(world, 'c0', outside)
  world.restartStore()
  await first.cycle.tick()
  await world.port.sales.create(DEMO, await outside.eras.allot())
  await world.port.fleet.addSale('demo')
  await world.port.sales.change('demo', 'open', { era: 0, seq: 0 })
  await first.leadership.resign()
  const nodes = new Map(['n1', 'n2', 'n3'].map((id) => [id, new TestNode(world, id)]))
  for (const each of nodes.values()) {
    await each.joinFleet()
    await each.join()
  }
  const killed = new Set<string>()
  const round = async (leader: MortalLeader): Promise<void> => {
    world.advance(200)
    for (const [id, each] of nodes) if (!killed.has(id)) await each.heartbeat()
    await settleDrains(world, killed)
    await leader.run(() => leader.cycle.tick())
    await leader.run(() => leader.cycle.settled())
  }
  let left = [...orders]
  for (const [index, each] of [...deaths, null].entries()) {
    const leader = mortalLeader(world, `c${index + 1}`, outside)
    leader.arm(each)
    for (let rounds = 0; rounds < 60 && !leader.isStopped(); rounds += 1) {
      await round(leader)
      const next = left[0]
      if (rounds < 9 || next === undefined || leader.isStopped()) continue
      if (next.do === 'kill') killed.add(next.node)
      else await leader.run(() => obey(leader, next).catch(ignoreRefusal))
      // An order cut short is given again by whoever gave it, unless it was done.
      left = left.slice(1)
    }
  }
  return { world, edge: outside.edge }
}

function ignoreRefusal(error: unknown): void {
  // What the rules refuse (the last live node, one that does not run) is an answer.
  if (!(error instanceof Error) || error.name !== 'OperationError') throw error
}

async function obey({ world, leadership }: MortalLeader, asked: Exclude<Order, { do: 'kill' }>): Promise<void> {
  const lease = leadership.lease()
  if (lease === null) return
  if (asked.do === 'drain') await changeNode(world, lease, asked.node, { to: 'drain', evenTheLast: false }, null)
  if (asked.do === 'resume') await changeNode(world, lease, asked.node, { to: 'resume' }, null)
  if (asked.do === 'weigh') await changeNode(world, lease, asked.node, { to: 'weigh', weight: asked.weight }, null)
  if (asked.do === 'rebalance') {
    const { version } = await planRebalance(world, 'demo', { shares: asked.shares, expected: null })
    await rebalance(world, lease, 'demo', { shares: asked.shares, expected: version })
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
        expect(edge.history.at(-1)?.servers.map(({ id, weight }) => [id, weight])).toEqual(
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

  it('cannot act once another leads: its calls are refused by the store, with the present version', async () => {
    const world = testWorld()
    const outside = { edge: new TestEdge(), eras: memoryEras() }
    const old = mortalLeader(world, 'c1', outside)
    world.restartStore()
    await old.cycle.tick()
    await world.port.sales.create(DEMO, await outside.eras.allot())
    await world.port.fleet.addSale('demo')
    const n1 = new TestNode(world, 'n1')
    await n1.joinFleet()
    await n1.join()
    const staleLease = old.leadership.lease() ?? 0
    const { version: planned } = await planRebalance(world, 'demo', { shares: { n1: 2 }, expected: null })
    world.advance(2000)
    const next = mortalLeader(world, 'c2', outside)
    await next.cycle.tick()
    expect(next.leadership.lease()).toBeGreaterThan(staleLease)
    const wish = { to: 'weigh', weight: 3 } as const
    const refused = await changeNode(world, staleLease, 'n1', wish, null).catch((error: unknown) => error)
    const { version } = await world.port.fleet.read()
    expect(refused).toMatchObject({ code: 'not_leader', details: { version } })
    expect(await world.port.fleet.noteApplied(staleLease, version)).toEqual({ outcome: 'refused' })
    // Also in a sale in which the new leader has had nothing to change.
    const shares = { shares: { n1: 2 }, expected: planned }
    const stale = await rebalance(world, staleLease, 'demo', shares).catch((error: unknown) => error)
    expect(stale).toMatchObject({ code: 'not_leader', details: { version: { era: planned.era } } })
  })
})
