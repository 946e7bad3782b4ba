/**
 * A leader that stops at every single call that it makes, of every plan there is: before the call, and after it was
 * carried out but not heard of. Another one leads then. It must leave things as the plan wanted them, or as they were
 * before if nobody was told that it was done; never in between. The first one wakes at last, and must not move anything.
 *
 * The calls are counted in a run in which nobody stops, and each is then cut: no place is picked by hand.
 */
import { describe, expect, it } from 'vitest'
import { conservationFault } from '../../stock/core/sale-record.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import { compareVersions } from '../../stock/core/words.ts'
import type { SaleSnapshot } from '../../stock/port.ts'
import { changeNode, type NodeWish } from '../operations/fleet-change.ts'
import { planRebalance, rebalance } from '../operations/rebalance.ts'
import { changeSale, createSale, setStock } from '../operations/sales.ts'
import { TestNode, testWorld, type TestWorld } from '../operations/testing/test-world.ts'
import { underLease, type World } from '../operations/world.ts'
import { nextRollStep, type RollRecord } from '../plan/roll.ts'
import { memoryEras, mortalLeader, TestEdge, type Cut, type MortalLeader } from './testing/mortal-leader.ts'

const ROUND_MS = 200
/** A lease lapses, a judge hears the store for long enough, nginx follows, nodes drain: all of it in so many rounds. */
const ROUNDS_TO_REST = 24
const ROUNDS_AFTER_WAKING = 5

/** Nodes, buyers and an operator around a leader. */
class Scene {
  readonly world: TestWorld = testWorld()
  readonly edge = new TestEdge()
  readonly nodes = new Map<string, TestNode>()
  /** Nodes whose process does not run. */
  readonly down = new Set<string>()
  /** How often each node's process was started anew by a roll. */
  readonly lives = new Map<string, number>()
  /** What goes on in every round. */
  everyRound: () => Promise<void> = async () => {}
  readonly #eras = memoryEras()
  readonly #share: 'weight' | 'demand'
  #leaders: MortalLeader[] = []
  #orders = 0

  constructor(share: 'weight' | 'demand') {
    this.#share = share
    this.world.whileWaiting = () => this.#speak()
  }

  lead(id: string): MortalLeader {
    const leader = mortalLeader(this.world, id, { edge: this.edge, eras: this.#eras }, this.#share)
    this.#leaders.push(leader)
    return leader
  }

  /** Whoever may act now; a process that does not run may not. */
  leading(): MortalLeader | undefined {
    return this.#leaders.find((one) => !one.isStopped() && one.leadership.lease() !== null)
  }

  async begin(times: string): Promise<MortalLeader> {
    const first = this.lead('c1')
    this.world.restartStore()
    await first.cycle.tick()
    await createSale(this.world, SALE.replace('{times}', times))
    if (times === '') await changeSale(this.world, 'demo', 'open')
    for (const id of ['n1', 'n2', 'n3']) await this.start(id)
    await this.rounds(12)
    return first
  }

  async start(id: string): Promise<void> {
    const node = new TestNode(this.world, id)
    node.seen = this.nodes.get(id)?.seen ?? node.seen
    this.nodes.set(id, node)
    this.down.delete(id)
    await node.joinFleet()
    await node.join()
  }

  async rounds(count: number): Promise<void> {
    for (let round = 0; round < count; round += 1) {
      this.world.advance(ROUND_MS)
      await this.#speak()
      await this.#drain()
      await this.everyRound()
      await this.world.process.round()
      for (const leader of this.#leaders) {
        if (leader.isStopped()) continue
        await leader.run(() => leader.cycle.tick())
        await leader.run(() => leader.cycle.settled())
      }
    }
  }

  /** Nodes report, and whoever is fenced joins anew. */
  async #speak(): Promise<void> {
    for (const [id, node] of this.nodes) {
      if (this.down.has(id)) continue
      const [inFleet, inSale] = await node.heartbeat()
      if (inFleet === 'fenced') await node.joinFleet()
      if (inSale === 'fenced') await node.join()
    }
  }

  /** What draining nodes do by themselves once nginx has looked away. */
  async #drain(): Promise<void> {
    const { fleet } = this.world.port
    const { nodes, version, applied } = await fleet.read()
    for (const { id, state, epoch } of nodes) {
      if (state !== 'draining' || this.down.has(id) || compareVersions(applied, version) < 0) continue
      await fleet.setNodes(null, [{ id, expectedEpoch: epoch, state: 'drained' }], version)
    }
  }

  async sell(id: string): Promise<string | undefined> {
    this.#orders += 1
    return this.nodes.get(id)?.sell(`o${this.#orders}`, `b${this.#orders}`)
  }

  async sale(): Promise<SaleSnapshot> {
    const sale = await this.world.port.sales.read('demo', this.world.rules)
    if (sale === null) throw new Error('the sale is gone')
    return sale
  }

  /** All that a plan may change, without versions and epochs. */
  async picture(): Promise<object> {
    const fleet = await this.world.port.fleet.read()
    const sale = await this.sale()
    const edge = this.edge.history.at(-1)
    return {
      fleet: fleet.nodes.map(({ id, state, weight }) => `${id} ${state} ${weight}`),
      isApplied: compareVersions(fleet.applied, fleet.version) >= 0,
      nginx: edge?.servers.map(({ id, weight }) => `${id} ${weight}`),
      orders: edge?.orders.map(({ id, url }) => `${id} ${url}`),
      certified: [fleet.certified, sale.certified],
      state: sale.state,
      stock: sale.fares.map(({ stock }) => stock),
      shares: sale.shares,
      // By demand they move with the buyers, so what they are at one moment is not compared.
      weights: this.#share === 'demand' ? null : sale.nodes.map(({ id, weight }) => `${id} ${weight}`),
      fenced: sale.nodes.filter(({ id, epoch }) => this.nodes.get(id)?.epoch !== epoch).map(({ id }) => id),
      lives: [...this.lives],
    }
  }

  /** Every node that runs and was not taken out takes part, each with its lawful share, and all together sell. */
  async expectOrder(isOpen: boolean): Promise<void> {
    await this.#speak()
    const fleet = await this.world.port.fleet.read()
    const sale = await this.sale()
    const runs = fleet.nodes.filter(({ id, state }) => !this.down.has(id) && state !== 'drained')
    expect(runs.map(({ id, state }) => `${id} ${state}`)).toEqual(runs.map(({ id }) => `${id} live`))
    expect(this.edge.history.at(-1)?.servers.map(({ id }) => id)).toEqual(runs.map(({ id }) => id))

    const weightOf = (id: string): number => sale.nodes.find((node) => node.id === id)?.weight ?? 0
    const all = runs.reduce((sum, { id }) => sum + weightOf(id), 0)
    const remaining = sale.fares[0]?.remaining ?? 0
    let shares = 0
    for (const { id } of runs) {
      const share = Math.ceil((weightOf(id) * remaining) / all)
      const buffer = Math.max(1, Math.ceil((weightOf(id) * remaining) / all / 10))
      expect([id, this.nodes.get(id)?.allowance]).toEqual([id, share + buffer])
      shares += share
    }
    expect(shares).toBeGreaterThanOrEqual(remaining)
    expect(shares).toBeLessThan(remaining + runs.length)

    for (const { id } of runs) expect([id, await this.sell(id)]).toEqual([id, isOpen ? 'held' : sale.state])
    const after = (await this.sale()).fares[0]
    expect(after === undefined ? 'no fare' : conservationFault('second', after)).toBeNull()
    expect(after?.held).toBe((sale.fares[0]?.held ?? 0) + (isOpen ? runs.length : 0))
  }
}

const SALE = `
id: demo
name: Demo
limitPerBuyer: 2
holdSeconds: 300
{times}
fares:
  - { id: second, name: Second, stock: 100, price: { amount: 100, currency: CNY } }
`

/** What somebody or something wants of the fleet, and who sees to it. */
interface Plan {
  readonly name: string
  readonly share?: 'demand'
  readonly times?: string
  /** How things were before. */
  readonly prepare?: (scene: Scene, leader: MortalLeader) => Promise<unknown>
  /** What happens to the fleet. Nobody undoes it: things end as the plan wants. */
  readonly happens?: (scene: Scene) => Promise<unknown>
  /** What an operator asks of the leader, and asks again of the next one when nothing was answered. */
  readonly ask?: (scene: Scene, leader: MortalLeader) => Promise<unknown>
  readonly check?: (scene: Scene) => Promise<void>
  readonly isShut?: true
  /** How long a leader whom nobody stops needs for it. */
  readonly rounds: number
}

function leaseOf({ leadership }: MortalLeader): number {
  const lease = leadership.lease()
  if (lease === null) throw new Error('nobody leads')
  return lease
}

/** The world as a leader changes it. */
function acting(leader: MortalLeader): World {
  return underLease(leader.world, leaseOf(leader))
}

function wish(id: string, what: NodeWish): (scene: Scene, leader: MortalLeader) => Promise<unknown> {
  return (_scene, leader) => changeNode(leader.world, leaseOf(leader), id, what, null)
}

function share(shares: Readonly<Record<string, number>> | null) {
  return async (_scene: Scene, leader: MortalLeader): Promise<unknown> => {
    const { version } = await planRebalance(leader.world, 'demo', { shares, expected: null })
    return rebalance(leader.world, leaseOf(leader), 'demo', { shares, expected: version })
  }
}

const drain = (id: string) => wish(id, { to: 'drain', evenTheLast: false })

async function rest(scene: Scene): Promise<void> {
  await scene.rounds(6)
}

/** `farebox roll`, called again whenever it found nobody to ask. */
function roll(scene: Scene): void {
  const processOf = (id: string): string => `${id} ${scene.lives.get(id) ?? 0}`
  const record: RollRecord = {
    startedAt: '',
    nodes: [...scene.nodes.keys()].map((id) => ({ id, process: processOf(id) })),
  }
  scene.everyRound = async () => {
    const { version, applied, nodes } = await scene.world.port.fleet.read()
    const view = nodes.map(({ id, state }) => {
      const isUp = !scene.down.has(id)
      return { id, process: isUp ? processOf(id) : null, state, isHeard: isUp, isReady: isUp }
    })
    const step = nextRollStep(record, { version, applied, nodes: view })
    if (step.do === 'give_up') throw new Error(`gave up at ${step.id}, which ${step.why}`)
    if (step.do === 'end') scene.down.add(step.id)
    if (step.do === 'start') {
      scene.lives.set(step.id, (scene.lives.get(step.id) ?? 0) + 1)
      await scene.start(step.id)
    }
    const leader = scene.leading()
    if (step.do === 'drain' && leader !== undefined) await leader.run(() => drain(step.id)(scene, leader))
  }
}

const OPENS = 'opensAt: 2027-01-15T08:00:05Z'
const CLOSES = 'opensAt: 2027-01-15T08:00:01Z\nclosesAt: 2027-01-15T08:00:05Z'

const PLANS: readonly Plan[] = [
  { name: 'a death', happens: async ({ down }) => down.add('n1'), rounds: 14 },
  { name: 'a node that joins', happens: (scene) => scene.start('n4'), rounds: 5 },
  {
    name: 'a node that is paused and wakes',
    prepare: async (scene) => {
      scene.down.add('n1')
      await scene.rounds(14)
    },
    happens: async ({ down }) => down.delete('n1'),
    rounds: 6,
  },
  { name: 'drain', ask: drain('n2'), rounds: 5 },
  { name: 'a death while it drains', ask: drain('n2'), happens: async ({ down }) => down.add('n2'), rounds: 14 },
  {
    name: 'resume',
    prepare: async (scene, leader) => {
      await drain('n2')(scene, leader)
      await rest(scene)
    },
    ask: wish('n2', { to: 'resume' }),
    rounds: 5,
  },
  { name: 'weight', ask: wish('n3', { to: 'weigh', weight: 3 }), rounds: 5 },
  { name: 'shares of a sale', ask: share({ n1: 1, n2: 5 }), rounds: 5 },
  {
    name: 'shares given back to the rule',
    prepare: async (scene, leader) => {
      await share({ n1: 1, n2: 5 })(scene, leader)
      await rest(scene)
    },
    ask: share(null),
    rounds: 5,
  },
  {
    name: 'rebalance by demand',
    share: 'demand',
    happens: async (scene) => {
      scene.everyRound = async () => void (await scene.sell('n1'))
    },
    check: async (scene) => {
      const [n1 = 0, ...others] = (await scene.sale()).nodes.map(({ weight }) => weight)
      expect(n1).toBeGreaterThan(2 * Math.max(...others))
    },
    rounds: 8,
  },
  {
    name: 'nginx: an orders process comes',
    happens: ({ world }) =>
      world.port.fleet.announceOrders({ id: 'o1', url: 'http://o1', adminUrl: 'http://o1.admin' }),
    rounds: 3,
  },
  { name: 'opening on schedule', times: OPENS, rounds: 14 },
  { name: 'closing on schedule', times: CLOSES, rounds: 14, isShut: true },
  {
    name: 'pause',
    ask: (_scene, leader) => changeSale(acting(leader), 'demo', 'pause'),
    rounds: 3,
    isShut: true,
  },
  {
    name: 'pause while no orders process answers',
    prepare: async ({ world }) => void (world.isOrdersAway = true),
    ask: (_scene, leader) =>
      changeSale(acting(leader), 'demo', 'pause').catch((error: unknown) => {
        if (!(error instanceof OperationError) || error.code !== 'ledger_pending') throw error
      }),
    rounds: 3,
    isShut: true,
  },
  { name: 'stock', ask: (_scene, leader) => setStock(acting(leader), 'demo', 'second', 150), rounds: 3 },
  { name: 'a new life of the store', happens: async ({ world }) => world.restartStore(), rounds: 8 },
  { name: 'roll', happens: async (scene) => roll(scene), rounds: 34 },
]

interface Run {
  readonly scene: Scene
  readonly leader: MortalLeader
  readonly before: object
  readonly wasTold: boolean
}

/** The plan under one leader, as far as it comes. */
async function under(plan: Plan, cut: Cut | null): Promise<Run> {
  const scene = new Scene(plan.share ?? 'weight')
  const leader = await scene.begin(plan.times ?? '')
  await plan.prepare?.(scene, leader)
  const before = await scene.picture()
  leader.arm(cut)
  const told = plan.ask === undefined ? 'stopped' : await leader.run(async () => plan.ask?.(scene, leader))
  await plan.happens?.(scene)
  await scene.rounds(plan.rounds)
  return { scene, leader, before, wasTold: told !== 'stopped' }
}

async function stopAndTakeOver(plan: Plan, cut: Cut, wanted: object): Promise<void> {
  const { scene, leader, before, wasTold } = await under(plan, cut)
  expect(leader.isStopped()).toBe(true)
  const next = scene.lead('c2')
  await scene.rounds(ROUNDS_TO_REST + plan.rounds)
  expect(next.leadership.lease()).not.toBeNull()
  const found = await scene.picture()
  if (plan.ask === undefined || wasTold) expect(found).toEqual(wanted)
  else expect([before, wanted]).toContainEqual(found)

  leader.wake()
  await scene.rounds(ROUNDS_AFTER_WAKING)
  expect(await scene.picture()).toEqual(found)

  if (!wasTold && plan.ask !== undefined) await next.run(() => again(plan, scene, next))
  await scene.rounds(plan.rounds)
  expect(await scene.picture()).toEqual(wanted)
  await plan.check?.(scene)
  await scene.expectOrder(plan.isShut !== true)
}

/** It may have been done, though nobody heard of it; then there is nothing to do, or nothing left to do it to. */
async function again(plan: Plan, scene: Scene, leader: MortalLeader): Promise<void> {
  await plan.ask?.(scene, leader)?.catch((error: unknown) => {
    if (!(error instanceof Error) || error.name !== 'OperationError') throw error
  })
}

describe.each(PLANS)('$name', (plan) => {
  it('is finished or left alone by the next leader, wherever the first one stops', { timeout: 60_000 }, async () => {
    const whole = await under(plan, null)
    const calls = whole.leader.calls()
    const wanted = await whole.scene.picture()
    await plan.check?.(whole.scene)
    await whole.scene.expectOrder(plan.isShut !== true)
    expect(calls).toBeGreaterThan(plan.rounds)
    for (let call = 1; call <= calls; call += 1) {
      for (const when of ['before', 'after'] as const) {
        await stopAndTakeOver(plan, { call, when }, wanted).catch((error: unknown) => {
          throw new Error(`stopped ${when} call ${call} of ${calls}`, { cause: error })
        })
      }
    }
  })
})
